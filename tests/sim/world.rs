//! The pretended world: one engine, a shell that does what it says, a kernel that does as it pleases, people who order about.
//! Time is a number. Each step takes the next happening or the engine's deadline, whichever is earlier.

use crate::engine::Engine;
use crate::engine::id::{InstanceId, ProbeId, RunId, Ticket};
use crate::engine::message::{Command, Effect, ExitStatus, Input, ProbeResult, SpawnError};
use crate::engine::policy::Policy;
use crate::engine::time::{Duration, Instant};
use crate::intent::Intent;
use crate::knobs::Knobs;
use crate::os::{Os, Victim};
use crate::rng::Rng;
use crate::trace::Trace;
use crate::witness::Witness;
use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};

/// A daemon that wakes later than this says so to its engine.
const LATE: Duration = Duration::from_millis(100);

pub type Violation = String;
pub type Verdict = Result<(), Violation>;

/// What is going to happen.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The shell takes a spawn from its queue.
    Make(RunId),
    /// The child comes to its execve.
    Exec(RunId, Option<SpawnError>),
    /// The shell reads the verdict.
    Verdict(RunId, Option<SpawnError>),
    /// The program says that it is ready.
    Ready(RunId),
    /// The program says that it does not hang.
    Ping(RunId),
    /// A process of a group dies, unless it is in uninterruptible sleep.
    Death(RunId, Victim, ExitStatus),
    /// The shell reaps a leader.
    Reap(RunId),
    /// The shell finds the group of a reaped leader empty.
    GroupGone(RunId),
    /// A prober answers.
    Answer(ProbeId, ProbeResult),
    /// Something is told again that is past.
    Again(Input),
    /// Somebody gives an order, and more will follow.
    Order,
    /// The daemon does as a program wished with its end.
    ShutDown,
    /// The asker of this ticket leaves.
    Leave(Ticket),
    /// The daemon is stopped for a while, and the rest of the world is not.
    Pause,
    /// For a while there is no room for new processes.
    Burst,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    tie: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, as the heap wants it.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.tie).cmp(&(self.at, self.tie))
    }
}

pub struct World {
    pub rng: Rng,
    pub knobs: Knobs,
    pub engine: Engine,
    pub intent: Intent,
    pub os: Os,
    pub witness: Witness,
    pub trace: Trace,
    pub now: Instant,
    pub steps: u64,
    /// Faults are on.
    pub harsh: bool,
    pub finished: Option<Vec<InstanceId>>,
    agenda: BinaryHeap<Entry>,
    /// Spawns that wait for their turn.
    pub queue: BTreeSet<RunId>,
    /// Whose program never lives long.
    pub crashers: BTreeSet<InstanceId>,
    /// The daemon is stopped until then.
    pub blind_until: Instant,
    /// It has not looked around since.
    pub blind: bool,
    /// No room for processes until then.
    pub burst_until: Instant,
    tickets: u64,
}

impl World {
    pub fn new(seed: u64, verbose: bool) -> World {
        let mut rng = Rng::new(seed);
        let knobs = Knobs::draw(&mut rng);
        World::with(rng, knobs, seed, verbose)
    }

    pub fn with(rng: Rng, knobs: Knobs, seed: u64, verbose: bool) -> World {
        let now = Instant::from_millis(1_000_000);
        World {
            rng,
            knobs,
            engine: Engine::new(now, seed),
            intent: Intent::default(),
            os: Os::default(),
            witness: Witness::default(),
            trace: Trace::new(verbose),
            now,
            steps: 0,
            harsh: true,
            finished: None,
            agenda: BinaryHeap::new(),
            queue: BTreeSet::new(),
            crashers: BTreeSet::new(),
            blind_until: now,
            blind: false,
            burst_until: now,
            tickets: 0,
        }
    }

    /// A new instance that nobody started yet.
    pub fn add(&mut self) -> InstanceId {
        let policy = self.knobs.policy(&mut self.rng);
        let id = self.add_with(policy);
        if self.rng.percent(self.knobs.crasher) {
            self.crashers.insert(id);
        }
        id
    }

    /// As [`add`](Self::add), with a policy of the caller's choice.
    pub fn add_with(&mut self, policy: Policy) -> InstanceId {
        let id = self.engine.add(policy.clone());
        self.intent.add(id, policy);
        id
    }

    /// The next happening or deadline, if there is one before `end`.
    pub fn step(&mut self, end: Instant) -> Result<bool, Violation> {
        let happening = self.agenda.peek().map(|entry| self.when(&entry.what, entry.at));
        let deadline = self.engine.poll_timeout().map(|at| at.max(self.blind_until));
        let next = match (happening, deadline) {
            (Some(happening), Some(deadline)) => happening.min(deadline),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return Ok(false),
        };
        if next > end {
            return Ok(false);
        }
        self.now = self.now.max(next);
        if self.blind && self.now >= self.blind_until {
            self.wake()?;
        }
        // Deaths before deadlines: a happening goes first when both are due.
        if happening == Some(next) {
            if let Some(entry) = self.agenda.pop() {
                self.happen(entry.what)?;
            }
        } else {
            self.tick()?;
        }
        Ok(true)
    }

    /// The first thing that a daemon does when it goes on.
    fn wake(&mut self) -> Verdict {
        self.blind = false;
        if self.engine.poll_timeout().is_some_and(|at| self.now.since(at) > LATE) {
            self.maybe_again(Input::Away);
            self.feed(Input::Away)?;
        }
        Ok(())
    }

    pub fn run_until(&mut self, end: Instant) -> Verdict {
        while self.step(end)? {}
        self.now = self.now.max(end);
        Ok(())
    }

    pub fn at(&mut self, at: Instant, what: Happening) {
        let tie = self.rng.next();
        self.agenda.push(Entry { at, tie, what });
    }

    pub fn after(&mut self, wait: Duration, what: Happening) {
        self.at(self.now + wait, what);
    }

    /// Gives an order, and takes its ticket.
    pub fn order(&mut self, command: Command) -> Result<Ticket, Violation> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.witness.ordered(ticket, &command, &self.engine);
        self.feed(Input::Command { ticket, command })?;
        Ok(ticket)
    }

    /// Kernel and programs go on while the daemon is stopped; what the shell does waits.
    fn when(&self, what: &Happening, at: Instant) -> Instant {
        match what {
            Happening::Exec(..) | Happening::Death(..) => at,
            Happening::Make(_)
            | Happening::Verdict(..)
            | Happening::Ready(_)
            | Happening::Ping(_)
            | Happening::Reap(_)
            | Happening::GroupGone(_)
            | Happening::Answer(..)
            | Happening::Again(_)
            | Happening::Order
            | Happening::ShutDown
            | Happening::Leave(_)
            | Happening::Pause
            | Happening::Burst => at.max(self.blind_until),
        }
    }

    fn tick(&mut self) -> Verdict {
        self.steps += 1;
        self.trace.tick(self.now);
        let before = self.steps;
        self.engine.handle_timeout(self.now);
        if self.engine.poll_timeout().is_some_and(|next| next <= self.now) {
            return Err("time is not used up by a timeout".into());
        }
        self.intent.tick(self.now);
        self.take_effects()?;
        if let Some(late) = self.intent.late(self.now) {
            return Err(late);
        }
        if before.is_multiple_of(8) { self.agree_on_all() } else { Ok(()) }
    }

    pub fn feed(&mut self, input: Input) -> Verdict {
        self.steps += 1;
        self.trace.input(self.now, &input);
        self.engine.handle(self.now, input.clone());
        self.intent.hear(self.now, &input);
        let about = subject(&input);
        self.take_effects()?;
        match about {
            Some(id) => self.intent.agrees(&self.engine, id)?,
            None => self.agree_on_all()?,
        }
        if self.steps.is_multiple_of(32) {
            self.engine.check_invariants();
        }
        Ok(())
    }

    fn agree_on_all(&self) -> Verdict {
        for id in self.intent.books.keys() {
            self.intent.agrees(&self.engine, *id)?;
        }
        self.intent.agrees_on_orders(&self.engine)?;
        let known = self.engine.instances().count();
        if known == self.intent.books.len() { Ok(()) } else { Err(format!("the engine keeps {known} instances")) }
    }

    fn take_effects(&mut self) -> Verdict {
        let effects: Vec<Effect> = std::iter::from_fn(|| self.engine.poll_effect()).collect();
        for effect in &effects {
            self.trace.effect(self.now, effect);
        }
        for effect in &effects {
            self.witness.see(self.now, effect, &self.os, &self.engine)?;
        }
        self.intent.compare(&effects)?;
        for effect in effects {
            self.perform(effect)?;
        }
        Ok(())
    }
}

fn subject(input: &Input) -> Option<InstanceId> {
    match input {
        Input::Spawned { run, .. }
        | Input::SpawnFailed { run, .. }
        | Input::ExecOk { run }
        | Input::Ready { run }
        | Input::Ping { run }
        | Input::Exited { run, .. }
        | Input::GroupEmpty { run } => Some(run.instance),
        Input::ProbeDone { probe, .. } => Some(probe.run.instance),
        Input::Command { .. } | Input::Withdrawn { .. } | Input::Away => None,
    }
}
