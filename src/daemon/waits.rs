//! Who waits for a process to become something. Settled by what the engine publishes; nothing is asked again and again.

use super::many::nobody;
use super::orders::{Asker, Order};
use super::patterns::{Reach, resolve};
use super::report;
use super::{Alarm, Daemon};
use crate::engine::Instance;
use crate::engine::id::{InstanceId, Key, Ticket};
use crate::engine::message::{Cause, Event, ExitStatus, State};
use crate::engine::time::{Duration, Instant};
use crate::wire::condition::{Condition, Goal};
use crate::wire::reply::{ErrorCode, Reply, Told};
use crate::wire::request::Id;
use std::collections::{BTreeSet, HashMap};

/// All waits that were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: HashMap<Ticket, Wait>,
    by_instance: BTreeSet<(InstanceId, Ticket)>,
    alarm_at: Option<Instant>,
}

#[derive(Debug)]
struct Wait {
    until: Option<Instant>,
    left: Vec<Awaited>,
    met: Vec<Told>,
}

#[derive(Debug, Clone)]
struct Awaited {
    id: InstanceId,
    name: String,
    goal: Goal,
}

/// How a condition stands.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Met,
    Open,
    /// It cannot come to be by itself any more, because of this.
    Impossible(String),
}

impl Waits {
    fn insert(&mut self, ticket: Ticket, wait: Wait) {
        self.by_instance.extend(wait.left.iter().map(|awaited| (awaited.id, ticket)));
        self.open.insert(ticket, wait);
    }

    fn take(&mut self, ticket: Ticket) -> Option<Wait> {
        let wait = self.open.remove(&ticket)?;
        for awaited in &wait.left {
            self.by_instance.remove(&(awaited.id, ticket));
        }
        Some(wait)
    }

    /// Nobody waits any more.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.take(ticket);
    }

    /// Whether this is a wait, and not answered yet.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.open.contains_key(&ticket)
    }

    fn of(&self, id: InstanceId) -> Vec<Ticket> {
        let range = (id, Ticket(0))..=(id, Ticket(u64::MAX));
        self.by_instance.range(range).map(|&(_, ticket)| ticket).collect()
    }
}

impl Daemon {
    /// Answers at once what is settled, and takes on the rest.
    pub(super) fn wait_for(&mut self, conn: Key, id: Option<Id>, conditions: &[Condition], timeout: Option<Duration>) {
        let names: Vec<String> = conditions.iter().map(|condition| condition.name.clone()).collect();
        if self.meant(conn, id.as_ref(), &names).is_none() {
            return;
        }
        let mut left = Vec::new();
        for Condition { name, goal } in conditions {
            let found = resolve(std::slice::from_ref(name), &self.roster, Reach::Staying);
            if let Some(name) = found.unknown.first() {
                let results = vec![nobody(name)];
                let message = "Process not found".to_owned();
                let reply = Reply::Results { code: Some(ErrorCode::NotFound), message, results };
                return self.answer_conn(conn, &reply, id.as_ref());
            }
            let awaited = |id| Awaited { id, name: self.roster.name(id).to_owned(), goal: *goal };
            left.extend(found.members.into_iter().map(awaited));
        }
        let until = timeout.map(|timeout| self.now + timeout);
        let ticket = self.orders.open(Order::Wait, Some(Asker { conn, id }));
        self.note_ticket(conn, ticket);
        self.waits.insert(ticket, Wait { until, left, met: Vec::new() });
        self.settle_wait(ticket, None, None);
        self.arm_waits();
    }

    /// Something happened to an instance.
    pub(super) fn note_for_waits(&mut self, event: &Event) {
        if self.waits.open.is_empty() {
            return;
        }
        let (id, exit) = match *event {
            Event::Exited { run, status, .. } => (run.instance, Some(status)),
            Event::StateChanged { instance, .. } => (instance, None),
            Event::ProbePassed { probe, .. } | Event::ProbeFailed { probe, .. } => (probe.run.instance, None),
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::StopTimedOut { .. }
            | Event::Unkillable { .. }
            | Event::NotReadyYet { .. }
            | Event::ReadyTimedOut { .. }
            | Event::WatchdogMissed { .. }
            | Event::HealthRestart { .. } => return,
        };
        self.settle_waits_of(id, exit);
    }

    /// Looks again at all that is awaited of an instance.
    pub(super) fn settle_waits_of(&mut self, id: InstanceId, exit: Option<ExitStatus>) {
        for ticket in self.waits.of(id) {
            self.settle_wait(ticket, Some(id), exit);
        }
    }

    /// Waits whose time is over are answered.
    pub(super) fn waits_due(&mut self) {
        self.waits.alarm_at = None;
        let now = self.now;
        let due = self.waits.open.iter().filter(|(_, wait)| wait.until.is_some_and(|until| until <= now));
        for ticket in due.map(|(&ticket, _)| ticket).collect::<Vec<_>>() {
            let Some(wait) = self.waits.take(ticket) else { continue };
            let open = |awaited: &Awaited| {
                let state = self.engine.instance(awaited.id).map_or("gone", |instance| instance.state().name());
                let text = format!("{} is {state}, not {}", awaited.name, awaited.goal);
                Told::error(&awaited.name, ErrorCode::TimedOut, text, None)
            };
            let results: Vec<Told> = wait.met.into_iter().chain(wait.left.iter().map(open)).collect();
            let message = "Timed out".to_owned();
            self.answer_wait(ticket, &Reply::Results { code: Some(ErrorCode::TimedOut), message, results });
        }
        self.arm_waits();
    }

    /// The daemon ends: whoever still waits is told so.
    pub(super) fn refuse_waits(&mut self) {
        for ticket in self.waits.open.keys().copied().collect::<Vec<_>>() {
            self.waits.forget(ticket);
            let reply = Reply::error(ErrorCode::ShuttingDown, "The daemon is shutting down", None);
            self.answer_wait(ticket, &reply);
        }
    }

    fn settle_wait(&mut self, ticket: Ticket, only: Option<InstanceId>, exit: Option<ExitStatus>) {
        let Some(mut wait) = self.waits.take(ticket) else { return };
        let mut impossible = None;
        wait.left.retain(|awaited| {
            if only.is_some_and(|id| id != awaited.id) || impossible.is_some() {
                return true;
            }
            match standing(awaited.goal, self.engine.instance(awaited.id), exit) {
                Standing::Open => true,
                Standing::Met => {
                    wait.met.push(Told::ok(&awaited.name, format!("{} is {}", awaited.name, awaited.goal)));
                    false
                }
                Standing::Impossible(why) => {
                    let cause = self.engine.instance(awaited.id).and_then(Instance::last_cause);
                    let reason = cause.map(|cause| report::cause_text(cause, awaited.id, &self.roster));
                    let text = format!("{} cannot become {}: it {why}", awaited.name, awaited.goal);
                    impossible = Some(Told::error(&awaited.name, ErrorCode::Impossible, text, reason));
                    false
                }
            }
        });
        if let Some(told) = impossible {
            let results = wait.met.into_iter().chain([told]).collect();
            let message = "It has become impossible".to_owned();
            self.answer_wait(ticket, &Reply::Results { code: Some(ErrorCode::Impossible), message, results });
        } else if wait.left.is_empty() {
            let message = "All is as awaited".to_owned();
            self.answer_wait(ticket, &Reply::Results { code: None, message, results: wait.met });
        } else {
            self.waits.insert(ticket, wait);
        }
    }

    fn answer_wait(&mut self, ticket: Ticket, reply: &Reply) {
        if let Some(Asker { conn, id }) = self.orders.close(ticket).and_then(|pending| pending.asker) {
            self.answer_conn(conn, reply, id.as_ref());
        }
    }

    /// One alarm for the earliest of all; one that is armed for an earlier time serves as well.
    fn arm_waits(&mut self) {
        let Some(first) = self.waits.open.values().filter_map(|wait| wait.until).min() else { return };
        if self.waits.alarm_at.is_none_or(|at| first < at) {
            self.waits.alarm_at = Some(first);
            self.alarms.arm(first, Alarm::Waits);
        }
    }
}

/// How a condition stands now; `exit` is what an instance just ended with. `None`: a reload removed the instance.
fn standing(goal: Goal, instance: Option<&Instance>, exit: Option<ExitStatus>) -> Standing {
    let Some(instance) = instance else {
        return if goal == Goal::Stopped { Standing::Met } else { Standing::Impossible("is gone".to_owned()) };
    };
    let state = instance.state();
    let down = matches!(state, State::Stopped | State::Exited | State::Fatal);
    let at_rest = match instance.last_cause() {
        Some(Cause::Exit(status)) if matches!(state, State::Exited | State::Fatal) => Some(status),
        _ => None,
    };
    let met = match goal {
        Goal::Running => matches!(state, State::Running | State::Unhealthy),
        Goal::Healthy => state == State::Running && instance.healthy() == Some(true),
        Goal::Stopped => down,
        Goal::Exited(None) => exit.or(at_rest).is_some(),
        Goal::Exited(Some(code)) => [exit, at_rest].contains(&Some(ExitStatus::Code(code))),
        Goal::Fatal => state == State::Fatal,
    };
    if met {
        Standing::Met
    } else if goal == Goal::Healthy && instance.policy().health.is_none() {
        Standing::Impossible("has no health checks".to_owned())
    } else if down {
        Standing::Impossible(format!("is {state}"))
    } else {
        Standing::Open
    }
}
