//! What anybody could see from outside, without knowing what the engine means to do: physical facts, published edges,
//! replies. Its rules are those that must hold whatever the orders were.

use crate::engine::id::{InstanceId, ProbeId, RunId, Ticket};
use crate::engine::message::{Command, Effect, Event, ExitStatus, Outcome, Signal, State};
use crate::engine::policy::Readiness;
use crate::engine::time::{Duration, Instant};
use crate::engine::{Engine, Instance};
use crate::os::Os;
use crate::world::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// Every edge of the published table.
const EDGES: [(State, &[State]); 8] = [
    (State::Stopped, &[State::Starting]),
    (State::Starting, &[State::Running, State::Backoff, State::Fatal, State::Exited, State::Stopping, State::Stopped]),
    (State::Running, &[State::Unhealthy, State::Exited, State::Stopping]),
    (State::Unhealthy, &[State::Running, State::Exited, State::Stopping]),
    (State::Backoff, &[State::Starting, State::Stopped]),
    (State::Stopping, &[State::Stopped, State::Starting, State::Backoff, State::Exited, State::Fatal]),
    (State::Exited, &[State::Starting, State::Backoff, State::Stopping, State::Stopped]),
    (State::Fatal, &[State::Starting, State::Stopped]),
];

#[derive(Debug, Clone)]
struct Promise {
    /// A stop: what it was for.
    down: Vec<InstanceId>,
    up: Vec<InstanceId>,
}

#[derive(Debug, Default)]
pub struct Witness {
    state: BTreeMap<InstanceId, State>,
    spawned: BTreeMap<InstanceId, Instant>,
    /// Ordered up since its last spawn.
    ordered_up: BTreeSet<InstanceId>,
    made_at: BTreeMap<RunId, Instant>,
    open: BTreeMap<Ticket, Promise>,
    statuses: BTreeMap<RunId, ExitStatus>,
    asked: BTreeSet<ProbeId>,
    ran: BTreeSet<RunId>,
    said_ready: BTreeSet<RunId>,
    passed: BTreeSet<RunId>,
    /// A reload gave or took checks at some time.
    unchecked: BTreeSet<InstanceId>,
    closing: bool,
    asked_to_end: bool,
    finished: bool,
    pub replies: u64,
    pub spawns: u64,
    pub edges: BTreeSet<(State, State)>,
}

impl Witness {
    pub fn ordered(&mut self, ticket: Ticket, command: &Command, engine: &Engine) {
        let mut promise = Promise { down: Vec::new(), up: Vec::new() };
        match command {
            Command::Start(ids) | Command::Restart { instances: ids, .. } => {
                promise.up.clone_from(ids);
                self.ordered_up.extend(ids);
            }
            Command::Stop(ids) => promise.down.clone_from(ids),
            Command::Reload(plan) => {
                promise.down.clone_from(&plan.removed);
                self.unchecked.extend(plan.changed.iter().map(|(id, _)| *id));
                self.ordered_up.extend(plan.added.iter().filter(|id| engine.instance(**id).is_some()));
            }
            Command::Shutdown { .. } => self.closing = true,
        }
        self.open.insert(ticket, promise);
    }

    pub fn left(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
    }

    /// There was no room to ask, and nobody is told of that.
    pub fn given_back(&mut self, probe: ProbeId) {
        self.asked.remove(&probe);
    }

    pub fn said_ready(&mut self, run: RunId) {
        self.said_ready.insert(run);
    }

    pub fn died(&mut self, run: RunId, status: ExitStatus) {
        self.statuses.insert(run, status);
    }

    pub fn status_of(&mut self, run: RunId) -> ExitStatus {
        self.statuses.remove(&run).unwrap_or(ExitStatus::Code(0))
    }

    pub fn unanswered(&self) -> usize {
        self.open.len()
    }

    /// A process is about to be made: nothing of an earlier life may be alive.
    pub fn made(&mut self, run: RunId, os: &Os) -> Verdict {
        for (earlier, group) in os.alive_of(run.instance) {
            if group.leader.alive {
                return Err(format!("{run:?} is made beside the living leader of {earlier:?}"));
            }
            if !group.may_stay {
                return Err(format!("{run:?} is made beside leftovers of {earlier:?}"));
            }
        }
        Ok(())
    }

    pub fn see(&mut self, now: Instant, effect: &Effect, os: &Os, engine: &Engine) -> Verdict {
        match effect {
            Effect::Spawn { run } => self.spawn(now, *run, os),
            Effect::Signal { run, signal } => self.signal(*run, *signal, os),
            Effect::StartProbe { probe } => self.start_probe(*probe, os),
            Effect::CancelProbe { probe } => match self.asked.remove(probe) {
                true => Ok(()),
                false => Err(format!("{probe:?} is called off and was not open")),
            },
            Effect::Reply { ticket, outcome } => self.reply(*ticket, outcome, os, engine),
            Effect::Publish(event) => self.publish(now, *event, os, engine),
            Effect::Forget { instance } => self.forget(*instance, os),
            Effect::Finished { survivors } => self.finish(survivors, os),
            Effect::ShutDown { instance, state, .. } => self.ended_with(*instance, *state),
            Effect::CancelSpawn { .. } => Ok(()),
        }
    }

    /// Asked for once, before any shutdown, by one that nobody has to wait for.
    fn ended_with(&mut self, instance: InstanceId, state: State) -> Verdict {
        if self.closing || std::mem::replace(&mut self.asked_to_end, true) {
            return Err(format!("{instance:?} asks for a shutdown that was asked for before"));
        }
        match state {
            State::Exited | State::Fatal => Ok(()),
            _ => Err(format!("{instance:?} asks for a shutdown and is {state}")),
        }
    }

    fn spawn(&mut self, now: Instant, run: RunId, os: &Os) -> Verdict {
        self.spawns += 1;
        if self.closing {
            return Err(format!("{run:?} is spawned in a shutdown"));
        }
        let before = self.spawned.insert(run.instance, now);
        let ordered = self.ordered_up.remove(&run.instance);
        if !ordered && before.is_some_and(|before| now.since(before) < Duration::from_secs(1)) {
            return Err(format!("{run:?} is spawned within a second of the last, and nobody asked"));
        }
        self.made(run, os)
    }

    fn signal(&mut self, run: RunId, signal: Signal, os: &Os) -> Verdict {
        let Some(group) = os.groups.get(&run) else {
            return Err(format!("{signal:?} goes to {run:?}, of which nothing is left"));
        };
        if !group.verdict_read && signal != Signal::KILL {
            return Err(format!("{signal:?} goes to {run:?} before its exec"));
        }
        Ok(())
    }

    fn start_probe(&mut self, probe: ProbeId, os: &Os) -> Verdict {
        if self.asked.iter().any(|open| open.run == probe.run) {
            return Err(format!("{probe:?} is asked while another is open"));
        }
        if os.groups.get(&probe.run).is_none_or(|group| group.reaped) {
            return Err(format!("{probe:?} is asked of the dead"));
        }
        self.asked.insert(probe);
        Ok(())
    }

    fn reply(&mut self, ticket: Ticket, outcome: &Outcome, os: &Os, engine: &Engine) -> Verdict {
        self.replies += 1;
        let Some(promise) = self.open.remove(&ticket) else {
            return Err(format!("{ticket:?} is answered and nobody waits for it"));
        };
        if self.finished && matches!(outcome, Outcome::Done) && !promise.up.is_empty() {
            return Err(format!("{ticket:?} came up after the end"));
        }
        let (Outcome::Done | Outcome::AlreadyUp) = outcome else { return Ok(()) };
        // Of a group, each member was down at its time, and may have been started again since.
        for id in promise.down.iter().filter(|_| promise.down.len() == 1) {
            if os.alive_of(*id).any(|(_, group)| !group.may_stay) {
                return Err(format!("{ticket:?} says {id:?} is down, and it is alive"));
            }
        }
        for id in &promise.up {
            self.truly_up(ticket, *id, promise.up.len(), os, engine)?;
        }
        Ok(())
    }

    /// One of many may have fallen since; one alone is up when its start says so.
    fn truly_up(&self, ticket: Ticket, id: InstanceId, of: usize, os: &Os, engine: &Engine) -> Verdict {
        if of > 1 {
            return Ok(());
        }
        let Some(instance) = engine.instance(id) else { return Err(format!("{ticket:?} is done for nobody")) };
        let shown_up = matches!(instance.state(), State::Running | State::Unhealthy);
        // Where no time to live is asked for, a program that ended at once has been up.
        let may_be_dead = instance.policy().start_secs == Duration::ZERO;
        let group = instance.run().filter(|_| shown_up).and_then(|run| os.groups.get(&run.id));
        match group {
            Some(group) if group.executed && (may_be_dead || !group.reaped) => Ok(()),
            Some(_) | None => Err(format!("{ticket:?} says {id:?} is up, and it is not")),
        }
    }

    fn publish(&mut self, now: Instant, event: Event, os: &Os, engine: &Engine) -> Verdict {
        match event {
            Event::StateChanged { instance, from, to, pid, .. } => {
                self.edge(instance, from, to, pid)?;
                let comes_up = (from, to) == (State::Starting, State::Running);
                if comes_up { self.came_up(now, instance, os, engine) } else { Ok(()) }
            }
            Event::Spawned { run, .. } => {
                self.made_at.insert(run, now);
                Ok(())
            }
            Event::ProbePassed { probe, .. } => {
                self.asked.remove(&probe);
                self.passed.insert(probe.run);
                Ok(())
            }
            Event::ProbeFailed { probe, .. } | Event::NotReadyYet { probe, .. } => {
                self.asked.remove(&probe);
                Ok(())
            }
            Event::Exited { .. }
            | Event::SpawnFailed { .. }
            | Event::StopTimedOut { .. }
            | Event::Unkillable { .. }
            | Event::ReadyTimedOut { .. }
            | Event::WatchdogMissed { .. }
            | Event::HealthRestart { .. } => Ok(()),
        }
    }

    fn edge(&mut self, instance: InstanceId, from: State, to: State, pid: Option<i32>) -> Verdict {
        let last = self.state.insert(instance, to).unwrap_or(State::Stopped);
        if last != from {
            return Err(format!("{instance:?} goes from {from} to {to}, and was {last}"));
        }
        if !EDGES.iter().any(|(state, next)| *state == from && next.contains(&to)) {
            return Err(format!("{instance:?} goes from {from} to {to}, which is not in the table"));
        }
        self.edges.insert((from, to));
        if self.closing && matches!(to, State::Starting | State::Running | State::Backoff) {
            return Err(format!("{instance:?} is {to} in a shutdown"));
        }
        let has_pid = matches!(to, State::Running | State::Unhealthy | State::Stopping);
        if has_pid != pid.is_some() && to != State::Starting {
            return Err(format!("{instance:?} is {to} with pid {pid:?}"));
        }
        Ok(())
    }

    /// Once in a life, not before its time, and of a program that runs as far as anybody knows.
    fn came_up(&mut self, now: Instant, instance: InstanceId, os: &Os, engine: &Engine) -> Verdict {
        let Some((run, group)) = os.groups.range(lives_of(instance)).next_back() else {
            return Err(format!("{instance:?} is RUNNING without a process"));
        };
        let policy = engine.instance(instance).map(Instance::policy);
        let ready = match policy.map(|policy| (policy.readiness, &policy.health)) {
            Some((Readiness::Notified, _)) => self.said_ready.contains(run),
            Some((Readiness::Checked, Some(_))) => self.passed.contains(run) || self.unchecked.contains(&instance),
            Some((Readiness::Lived, _) | (Readiness::Checked, None)) | None => true,
        };
        if !ready {
            return Err(format!("{run:?} is RUNNING, and is not ready"));
        }
        let lived = policy.filter(|policy| policy.readiness == Readiness::Lived);
        let wait = lived.map_or(Duration::ZERO, |policy| policy.start_secs);
        let reaped = group.reaped && wait > Duration::ZERO;
        if reaped || !group.executed || !self.ran.insert(*run) {
            return Err(format!("{run:?} is RUNNING, and is not running"));
        }
        match self.made_at.get(run) {
            Some(made) if now.since(*made) >= wait => Ok(()),
            made => Err(format!("{run:?}, made at {made:?}, is RUNNING too soon")),
        }
    }

    fn forget(&mut self, instance: InstanceId, os: &Os) -> Verdict {
        self.state.remove(&instance);
        match os.alive_of(instance).find(|(_, group)| !group.may_stay) {
            None => Ok(()),
            Some((run, _)) => Err(format!("{instance:?} is forgotten while {run:?} is alive")),
        }
    }

    fn finish(&mut self, survivors: &[InstanceId], os: &Os) -> Verdict {
        if self.finished || !self.closing {
            return Err("the end is told twice, or unasked".into());
        }
        self.finished = true;
        if let Some((ticket, _)) = self.open.first_key_value() {
            return Err(format!("the end is told before {ticket:?} is answered"));
        }
        for (run, group) in os.groups.iter().filter(|(_, group)| !group.is_empty() && !group.may_stay) {
            if !survivors.contains(&run.instance) {
                return Err(format!("the end is told while {run:?} is alive: {group:?}"));
            }
        }
        Ok(())
    }
}

fn lives_of(instance: InstanceId) -> std::ops::RangeInclusive<RunId> {
    RunId { instance, serial: 0 }..=RunId { instance, serial: u32::MAX }
}
