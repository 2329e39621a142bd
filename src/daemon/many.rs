//! One order to several: whom it means, and one answer that tells of each.

use super::Daemon;
use super::orders::{self, Asker, Order};
use super::patterns::{self, Found, Reach};
use super::roster::Roster;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Command, Failure, Outcome, State};
use crate::wire::reply::{ErrorCode, Reply, Told};
use crate::wire::request::{Id, Verb};
use std::collections::HashMap;

/// So many names of failures are listed for people.
const NAMED: usize = 10;

/// An order to several, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Many {
    verb: Verb,
    members: Vec<Member>,
    unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    id: InstanceId,
    name: String,
    /// It was up when a start came.
    was_up: bool,
}

impl Daemon {
    /// Who is meant by these names; refuses a request that would cost too much.
    pub(super) fn meant(&mut self, conn: Key, id: Option<&Id>, names: &[String]) -> Option<Found> {
        self.has_few_patterns(conn, id, names).then(|| patterns::resolve(names, &self.roster, Reach::Staying))
    }

    /// The same of everybody there is, also of those that are leaving.
    pub(super) fn known(&mut self, conn: Key, id: Option<&Id>, names: &[String]) -> Option<Found> {
        self.has_few_patterns(conn, id, names).then(|| patterns::resolve(names, &self.roster, Reach::All))
    }

    /// Refuses a request with too many patterns, or too long ones.
    pub(super) fn has_few_patterns(&mut self, conn: Key, id: Option<&Id>, names: &[String]) -> bool {
        let fault = patterns::fault(names);
        if let Some(text) = &fault {
            self.answer_conn(conn, &Reply::error(ErrorCode::InvalidRequest, text, None), id);
        }
        fault.is_none()
    }

    /// `start`, `stop` or `restart` of all that these names mean.
    pub(super) fn order_many(&mut self, conn: Key, id: Option<Id>, verb: Verb, names: &[String]) {
        let Some(Found { members, unknown }) = self.meant(conn, id.as_ref(), names) else { return };
        if members.is_empty() {
            let reply = summary(verb, unknown.iter().map(|name| nobody(name)).collect());
            return self.answer_conn(conn, &reply, id.as_ref());
        }
        let command = match verb {
            Verb::Start => Command::Start(members.clone()),
            Verb::Stop => Command::Stop(members.clone()),
            Verb::Restart { force } => Command::Restart { instances: members.clone(), force },
        };
        self.note_order(conn, verb.name(), &members);
        let many = self.many(verb, members, unknown);
        self.order(Some(Asker { conn, id }), Order::Many(many), command);
    }

    /// An order to these, to be told of each.
    pub(super) fn many(&self, verb: Verb, members: Vec<InstanceId>, unknown: Vec<String>) -> Many {
        Many { verb, members: members.into_iter().map(|id| self.member(id)).collect(), unknown }
    }

    fn member(&self, id: InstanceId) -> Member {
        let state = self.engine.instance(id).map(|instance| instance.state());
        let was_up = matches!(state, Some(State::Running | State::Unhealthy));
        Member { id, name: self.roster.name(id).to_owned(), was_up }
    }
}

impl Many {
    /// What became of each.
    pub(super) fn reply(&self, outcome: &Outcome, roster: &Roster) -> Reply {
        let failures: HashMap<InstanceId, &Failure> = match outcome {
            Outcome::Failed(failures) => failures.iter().map(|failure| (failure.instance, failure)).collect(),
            Outcome::Done | Outcome::AlreadyUp => HashMap::new(),
            Outcome::ShuttingDown => {
                return Reply::error(ErrorCode::ShuttingDown, "The daemon is shutting down", None);
            }
            Outcome::Superseded => {
                let told = |member: &Member| {
                    let text = format!("{}: a later request overtook this one", member.name);
                    Told::error(&member.name, ErrorCode::Superseded, text, None)
                };
                return self.told_of_each(told);
            }
        };
        self.told_of_each(|member| told(&member.name, self.one(member, failures.get(&member.id).copied(), roster)))
    }

    /// Those that nobody bears come last.
    fn told_of_each(&self, told: impl Fn(&Member) -> Told) -> Reply {
        let results = self.members.iter().map(told).chain(self.unknown.iter().map(|name| nobody(name)));
        summary(self.verb, results.collect())
    }

    /// As if it had been ordered alone.
    fn one(&self, member: &Member, failure: Option<&Failure>, roster: &Roster) -> Reply {
        let name = member.name.clone();
        let order = match self.verb {
            Verb::Start => Order::Start(name),
            Verb::Stop => Order::Stop(name),
            Verb::Restart { .. } => Order::Restart(name),
        };
        let outcome = match failure {
            Some(failure) => Outcome::Failed(vec![*failure]),
            None if member.was_up => Outcome::AlreadyUp,
            None => Outcome::Done,
        };
        orders::reply(&order, &outcome, roster)
    }
}

/// One answer as a part of one that tells of several.
pub(super) fn told(name: &str, reply: Reply) -> Told {
    match reply {
        Reply::Ok { message } => Told::ok(name, message),
        Reply::Error { code, message, reason } => Told::error(name, code, message, reason),
        Reply::Reload(_)
        | Reply::Status(_)
        | Reply::Info(_)
        | Reply::History { .. }
        | Reply::Description(_)
        | Reply::Metrics(_)
        | Reply::Results { .. } => Told::ok(name, "Done"),
    }
}

/// What is told of a name that nobody bears.
pub(super) fn nobody(name: &str) -> Told {
    let name = crate::wire::text::echoed(name);
    Told::error(&name, ErrorCode::NotFound, format!("Process not found: {name}"), None)
}

fn summary(verb: Verb, results: Vec<Told>) -> Reply {
    let done = match verb {
        Verb::Start => "Started",
        Verb::Stop => "Stopped",
        Verb::Restart { .. } => "Restarted",
    };
    summed_up(done, results)
}

/// The answer that tells of each, and in its message how many it is about.
pub(super) fn summed_up(done: &str, results: Vec<Told>) -> Reply {
    let failed: Vec<&Told> = results.iter().filter(|told| !told.is_ok()).collect();
    let (all, good) = (results.len(), results.len() - failed.len());
    if failed.is_empty() {
        let processes = if all == 1 { "process" } else { "processes" };
        return Reply::Results { code: None, message: format!("{done} {all} {processes}"), results };
    }
    let mut names: Vec<&str> = failed.iter().take(NAMED).map(|told| told.name()).collect();
    let more = format!("{} more", failed.len().saturating_sub(NAMED));
    if failed.len() > NAMED {
        names.push(&more);
    }
    let nobody_meant = failed.iter().all(|told| told.is_unknown()) && good == 0;
    let code = if nobody_meant { ErrorCode::NotFound } else { ErrorCode::Failed };
    let message = format!("{done} {good} of {all}, but failed for: {}", names.join(", "));
    Reply::Results { code: Some(code), message, results }
}
