//! Who waits for a process to become something. Settled by what the engine publishes; nothing is asked again and again.

use super::many::nobody;
use super::orders::{Asker, Order};
use super::patterns::{Reach, resolve};
use super::report;
use super::{Alarm, Daemon};
use crate::engine::Instance;
use crate::engine::id::{InstanceId, Key, Ticket};
use crate::engine::message::{Cause, Event, ExitStatus, State};
use crate::engine::policy::Policy;
use crate::engine::time::{Duration, Instant};
use crate::wire::condition::{Condition, Goal};
use crate::wire::reply::{ErrorCode, Reply, Told};
use crate::wire::request::Id;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// All waits that were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: HashMap<Ticket, Wait>,
    /// What is awaited of whom, by whom, and in which of its places: only that is looked at when something happens.
    by_instance: BTreeSet<(InstanceId, Ticket, usize)>,
    alarm_at: Option<Instant>,
}

#[derive(Debug)]
struct Wait {
    until: Option<Instant>,
    /// In the order of the request, each once.
    awaited: Vec<Awaited>,
    /// How many of them do not hold yet.
    left: usize,
    met: Vec<Told>,
}

#[derive(Debug)]
struct Awaited {
    id: InstanceId,
    name: Rc<str>,
    goal: Goal,
    is_met: bool,
}

/// How a condition stands.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Met,
    Open,
    /// It cannot come to be by itself any more, because of this.
    Impossible(String),
}

impl Wait {
    fn new(until: Option<Instant>) -> Wait {
        Wait { until, awaited: Vec::new(), left: 0, met: Vec::new() }
    }

    fn push(&mut self, id: InstanceId, name: Rc<str>, goal: Goal) {
        self.awaited.push(Awaited { id, name, goal, is_met: false });
        self.left += 1;
    }

    /// The results, if all ends here; `unmet` words what does not hold.
    fn results(self, unmet: impl Fn(&Awaited) -> Told) -> Vec<Told> {
        let open = self.awaited.iter().filter(|awaited| !awaited.is_met).map(unmet);
        self.met.into_iter().chain(open).collect()
    }
}

impl Waits {
    fn insert(&mut self, ticket: Ticket, wait: Wait) {
        let places = wait.awaited.iter().enumerate();
        self.by_instance.extend(places.map(|(place, awaited)| (awaited.id, ticket, place)));
        self.open.insert(ticket, wait);
    }

    fn take(&mut self, ticket: Ticket) -> Option<Wait> {
        let wait = self.open.remove(&ticket)?;
        for (place, awaited) in wait.awaited.iter().enumerate().filter(|(_, awaited)| !awaited.is_met) {
            self.by_instance.remove(&(awaited.id, ticket, place));
        }
        Some(wait)
    }

    /// Notes that what is awaited in this place holds; whether it was the last.
    fn meet(&mut self, ticket: Ticket, place: usize) -> bool {
        let Some(wait) = self.open.get_mut(&ticket) else { return false };
        let Some(awaited) = wait.awaited.get_mut(place).filter(|awaited| !awaited.is_met) else { return false };
        awaited.is_met = true;
        self.by_instance.remove(&(awaited.id, ticket, place));
        wait.met.push(Told::ok(&*awaited.name, format!("{} is {}", awaited.name, awaited.goal)));
        wait.left -= 1;
        wait.left == 0
    }

    fn goal(&self, ticket: Ticket, place: usize) -> Option<Goal> {
        self.open.get(&ticket)?.awaited.get(place).filter(|awaited| !awaited.is_met).map(|awaited| awaited.goal)
    }

    /// Nobody waits any more.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.take(ticket);
    }

    /// Whether this is a wait, and not answered yet.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.open.contains_key(&ticket)
    }

    fn of(&self, id: InstanceId) -> Vec<(Ticket, usize)> {
        let range = (id, Ticket(0), 0)..=(id, Ticket(u64::MAX), usize::MAX);
        self.by_instance.range(range).map(|&(_, ticket, place)| (ticket, place)).collect()
    }
}

impl Daemon {
    /// Answers at once what is settled, and takes on the rest.
    pub(super) fn wait_for(&mut self, conn: Key, id: Option<Id>, conditions: &[Condition], timeout: Option<Duration>) {
        let names: Vec<String> = conditions.iter().map(|condition| condition.name.clone()).collect();
        if self.meant(conn, id.as_ref(), &names).is_none() {
            return;
        }
        let mut wait = Wait::new(timeout.map(|timeout| self.now + timeout));
        let mut seen = HashSet::new();
        for Condition { name, goal } in conditions {
            let found = resolve(std::slice::from_ref(name), &self.roster, Reach::Staying);
            if let Some(name) = found.unknown.first() {
                let results = vec![nobody(name)];
                let message = "Process not found".to_owned();
                let reply = Reply::Results { code: Some(ErrorCode::NotFound), message, results };
                return self.answer_conn(conn, &reply, id.as_ref());
            }
            for member in found.members.into_iter().filter(|&member| seen.insert((member, *goal))) {
                let Some(entry) = self.roster.entry(member) else { continue };
                wait.push(member, Rc::clone(&entry.spec.name), *goal);
            }
        }
        let ticket = self.orders.open(Order::Wait, Some(Asker { conn, id }));
        self.note_ticket(conn, ticket);
        let all: Vec<InstanceId> = wait.awaited.iter().map(|awaited| awaited.id).collect();
        self.waits.insert(ticket, wait);
        for (place, id) in all.into_iter().enumerate() {
            self.settle_wait(ticket, place, id, None);
        }
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
        for (ticket, place) in self.waits.of(id) {
            self.settle_wait(ticket, place, id, exit);
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
                Told::error(&*awaited.name, ErrorCode::TimedOut, text, None)
            };
            let results = wait.results(open);
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

    /// Looks at one thing that is awaited, and answers if nothing is left, or nothing can come of it.
    fn settle_wait(&mut self, ticket: Ticket, place: usize, id: InstanceId, exit: Option<ExitStatus>) {
        let Some(goal) = self.waits.goal(ticket, place) else { return };
        match standing(goal, self.engine.instance(id), exit) {
            Standing::Open => {}
            Standing::Met => {
                if !self.waits.meet(ticket, place) {
                    return;
                }
                let results = self.waits.take(ticket).map(|wait| wait.met).unwrap_or_default();
                let message = "All is as awaited".to_owned();
                self.answer_wait(ticket, &Reply::Results { code: None, message, results });
            }
            Standing::Impossible(why) => self.give_wait_up(ticket, place, &why),
        }
    }

    fn give_wait_up(&mut self, ticket: Ticket, place: usize, why: &str) {
        let Some(Wait { awaited, mut met, .. }) = self.waits.take(ticket) else { return };
        if let Some(Awaited { id, name, goal, .. }) = awaited.get(place) {
            let cause = self.engine.instance(*id).and_then(Instance::last_cause);
            let reason = cause.map(|cause| report::cause_text(cause, *id, &self.roster));
            let text = format!("{name} cannot become {goal}: it {why}");
            met.push(Told::error(&**name, ErrorCode::Impossible, text, reason));
        }
        let message = "It has become impossible".to_owned();
        self.answer_wait(ticket, &Reply::Results { code: Some(ErrorCode::Impossible), message, results: met });
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
    } else if goal == Goal::Healthy && !tells_of_health(instance.policy()) {
        Standing::Impossible("has no health checks and no watchdog".to_owned())
    } else if down {
        Standing::Impossible(format!("is {state}"))
    } else {
        Standing::Open
    }
}

/// Where nothing is asked and nothing has to be said, nobody ever knows.
fn tells_of_health(policy: &Policy) -> bool {
    policy.health.is_some() || policy.watchdog.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(slot: u32) -> InstanceId {
        InstanceId(Key { slot, generation: 0 })
    }

    #[test]
    fn what_happens_to_one_touches_only_what_is_awaited_of_it() {
        let mut waits = Waits::default();
        for ticket in [Ticket(1), Ticket(2)] {
            let mut wait = Wait::new(None);
            for slot in 0..100 {
                wait.push(instance(slot), "x".into(), Goal::Stopped);
            }
            wait.push(instance(7), "x".into(), Goal::Fatal);
            waits.insert(ticket, wait);
        }
        assert_eq!(waits.of(instance(8)), [(Ticket(1), 8), (Ticket(2), 8)]);
        assert_eq!(waits.of(instance(7)), [(Ticket(1), 7), (Ticket(1), 100), (Ticket(2), 7), (Ticket(2), 100)]);
        assert!(!waits.meet(Ticket(1), 7) && !waits.meet(Ticket(1), 7), "once");
        assert_eq!((waits.goal(Ticket(1), 7), waits.goal(Ticket(1), 100)), (None, Some(Goal::Fatal)));
        assert_eq!((waits.by_instance.len(), waits.open[&Ticket(1)].left), (201, 100));
        waits.forget(Ticket(2));
        assert_eq!(waits.by_instance.len(), 100);
        let last = (0..101).filter(|place| waits.meet(Ticket(1), *place)).collect::<Vec<_>>();
        assert_eq!((last, waits.by_instance.len()), (vec![100], 0));
    }
}
