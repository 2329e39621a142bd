//! Orders under way: which ticket belongs to whom, and the words of the answer.

use super::many::Many;
use super::reload::Wish;
use super::renewal::Renewed;
use super::report;
use super::roster::Roster;
use crate::engine::id::{Key, Ticket};
use crate::engine::message::{Cause, Failure, Outcome, State};
use crate::wire::reload::{Changes, Reloaded};
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::Id;
use std::collections::HashMap;

/// What was ordered, by the name it was ordered under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// `start NAME`.
    Start(String),
    /// `stop NAME`.
    Stop(String),
    /// `restart NAME`.
    Restart(String),
    /// One of these of several.
    Many(Many),
    /// `startgroup GROUP`.
    StartGroup(String),
    /// `stopgroup GROUP`.
    StopGroup(String),
    /// `reload` or SIGHUP and what goes with it, with what it changed.
    Reload(Wish, Changes),
    /// The second half of `update`.
    Renewal(Box<Renewed>),
    /// `wait`, which the daemon answers itself.
    Wait,
    /// The first start of everything.
    Boot,
    /// The end of everything.
    Shutdown,
}

/// The client that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Its connection.
    pub conn: Key,
    /// What the answer carries back.
    pub id: Option<Id>,
}

/// One order under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// What was ordered.
    pub order: Order,
    /// `None`: a signal or the daemon itself.
    pub asker: Option<Asker>,
}

/// All orders under way.
#[derive(Debug, Default)]
pub struct Orders {
    last: u64,
    pending: HashMap<Ticket, Pending>,
}

impl Orders {
    /// Makes a ticket for an order.
    pub(super) fn open(&mut self, order: Order, asker: Option<Asker>) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.pending.insert(ticket, Pending { order, asker });
        ticket
    }

    /// What was ordered is known better by now.
    pub(super) fn reword(&mut self, ticket: Ticket, order: Order) {
        if let Some(pending) = self.pending.get_mut(&ticket) {
            pending.order = order;
        }
    }

    /// What a reload that waits for its turn is for.
    pub(super) fn wish(&self, ticket: Ticket) -> Option<&Wish> {
        match &self.pending.get(&ticket)?.order {
            Order::Reload(wish, _) => Some(wish),
            _ => None,
        }
    }

    /// Who waits for the answer.
    pub(super) fn asker(&self, ticket: Ticket) -> Option<&Asker> {
        self.pending.get(&ticket)?.asker.as_ref()
    }

    /// Whether somebody waits for the answer.
    pub fn is_awaited(&self, ticket: Ticket) -> bool {
        self.pending.get(&ticket).is_some_and(|pending| pending.asker.is_some())
    }

    /// Takes the order that was answered.
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<Pending> {
        self.pending.remove(&ticket)
    }

    /// Nobody waits for the answer any more. Returns whether the engine can forget the ticket as well: the end of a
    /// reload is awaited by the next one in any case.
    pub fn desert(&mut self, ticket: Ticket) -> bool {
        match self.pending.get_mut(&ticket) {
            Some(Pending { order: Order::Reload(..), asker }) => {
                *asker = None;
                false
            }
            _ => self.pending.remove(&ticket).is_some(),
        }
    }
}

/// The answer to an order, as the protocol words it.
pub(super) fn reply(order: &Order, outcome: &Outcome, roster: &Roster) -> Reply {
    if let Order::Many(many) = order {
        return many.reply(outcome, roster);
    }
    if let Order::Renewal(renewed) = order {
        return renewed.reply(outcome, roster);
    }
    match outcome {
        Outcome::Superseded => Reply::error(ErrorCode::Superseded, superseded(order), None),
        Outcome::ShuttingDown => Reply::error(ErrorCode::ShuttingDown, "The daemon is shutting down", None),
        Outcome::Done => done(order),
        Outcome::AlreadyUp => already_up(order),
        Outcome::Failed(failures) => failed(order, failures, roster),
    }
}

fn done(order: &Order) -> Reply {
    match order {
        Order::Start(name) => Reply::ok(format!("Started {name}")),
        Order::Stop(name) => Reply::ok(format!("Stopped {name}")),
        Order::Restart(name) => Reply::ok(format!("Restarted {name}")),
        Order::StartGroup(name) => Reply::ok(format!("Started group {name}")),
        Order::StopGroup(name) => Reply::ok(format!("Stopped group {name}")),
        Order::Reload(_, changes) => reloaded(changes, None),
        Order::Boot | Order::Many(_) | Order::Renewal(_) | Order::Wait => Reply::ok("Started"),
        Order::Shutdown => Reply::ok("Shut down"),
    }
}

fn already_up(order: &Order) -> Reply {
    match order {
        Order::Start(name) => Reply::ok(format!("{name} is already running")),
        other => done(other),
    }
}

fn superseded(order: &Order) -> String {
    let (verb, name) = match order {
        Order::Start(name) => ("start", name.as_str()),
        Order::Stop(name) => ("stop", name.as_str()),
        Order::Restart(name) => ("restart", name.as_str()),
        Order::StartGroup(name) => ("startgroup", name.as_str()),
        Order::StopGroup(name) => ("stopgroup", name.as_str()),
        Order::Reload(..) => ("reload", ""),
        Order::Many(_) | Order::Renewal(_) | Order::Wait | Order::Boot | Order::Shutdown => ("order", ""),
    };
    format!("{verb} {name}: a later request overtook this one")
}

fn failed(order: &Order, failures: &[Failure], roster: &Roster) -> Reply {
    let names = || failures.iter().map(|failure| roster.name(failure.instance)).collect::<Vec<_>>().join(", ");
    let code = ErrorCode::Failed;
    match order {
        Order::Start(name) | Order::Stop(name) | Order::Restart(name) => match failures.first() {
            Some(failure) => single_failure(name, failure, roster),
            None => Reply::error(ErrorCode::InternalError, "an order failed for nobody", None),
        },
        Order::StartGroup(name) => {
            Reply::error(code, format!("Started group {name}, but failed for: {}", names()), reasons(failures, roster))
        }
        Order::StopGroup(name) => {
            Reply::error(code, format!("Stopped group {name}, but failed for: {}", names()), reasons(failures, roster))
        }
        Order::Reload(_, changes) => {
            reloaded(changes, Some(format!("Reload took effect, but these did not stop: {}", names())))
        }
        Order::Many(_) | Order::Renewal(_) | Order::Wait | Order::Boot | Order::Shutdown => {
            Reply::error(code, format!("These did not come to what was ordered: {}", names()), None)
        }
    }
}

/// What a reload changed, also where not all of it succeeded.
fn reloaded(changes: &Changes, message: Option<String>) -> Reply {
    let code = message.as_ref().map(|_| ErrorCode::Failed);
    Reply::Reload(Box::new(Reloaded { changes: changes.beyond_lists(), code, message, ..Reloaded::default() }))
}

fn single_failure(name: &str, failure: &Failure, roster: &Roster) -> Reply {
    if failure.superseded {
        return Reply::error(ErrorCode::Superseded, format!("{name}: a later request overtook this one"), None);
    }
    let state = failure.state;
    let message = match state {
        State::Fatal => format!("{name} failed to start (state: {state})"),
        State::Stopping => format!("{name} did not stop (state: {state})"),
        _ => format!("{name} did not reach RUNNING (state: {state})"),
    };
    let reason = cause_of(failure).map(|cause| report::cause_text(cause, failure.instance, roster));
    Reply::error(ErrorCode::Failed, &message, reason)
}

/// What went wrong before is no reason why it does not stop.
fn cause_of(failure: &Failure) -> Option<Cause> {
    failure.cause.filter(|_| failure.state != State::Stopping)
}

/// One reason for each failed member that has one.
fn reasons(failures: &[Failure], roster: &Roster) -> Option<String> {
    let texts: Vec<String> = failures
        .iter()
        .filter_map(|failure| {
            let cause = cause_of(failure)?;
            let text = report::cause_text(cause, failure.instance, roster);
            Some(format!("{}: {text}", roster.name(failure.instance)))
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::InstanceId;
    use crate::engine::message::ExitStatus;

    #[test]
    fn a_deserted_order_leaves_nothing_behind() {
        let mut orders = Orders::default();
        let ticket = orders.open(Order::Stop("web".into()), None);
        assert!(orders.desert(ticket), "the engine may forget it too");
        assert!(orders.close(ticket).is_none());
    }

    #[test]
    fn a_reload_that_took_effect_tells_so_when_not_all_of_it_succeeded() {
        let changes = Changes { removed: vec!["a".into()], added: vec!["b".into()], ..Changes::default() };
        let order = Order::Reload(Wish::Reload, changes.clone());
        let Reply::Reload(reloaded) = reply(&order, &Outcome::Failed(Vec::new()), &Roster::default()) else {
            panic!("a reload is answered as one")
        };
        assert_eq!((reloaded.changes, reloaded.code), (changes, Some(ErrorCode::Failed)));
    }

    #[test]
    fn why_one_does_not_stop_is_not_what_ended_an_earlier_run() {
        let instance = InstanceId(Key { slot: 0, generation: 0 });
        let cause = Some(Cause::Exit(ExitStatus::Code(1)));
        let failure = |state| Failure { instance, state, superseded: false, cause };
        assert_eq!(cause_of(&failure(State::Stopping)), None);
        assert_eq!(cause_of(&failure(State::Fatal)), cause);
    }

    #[test]
    fn the_end_of_a_deserted_reload_is_still_awaited() {
        let mut orders = Orders::default();
        let asker = Some(Asker { conn: Key { slot: 0, generation: 0 }, id: None });
        let ticket = orders.open(Order::Reload(Wish::Reload, Changes::default()), asker);
        assert!(!orders.desert(ticket));
        assert!(orders.close(ticket).is_some_and(|pending| pending.asker.is_none()));
    }
}
