//! What happened, folded into one number, and told in words where somebody wants to read it.

use crate::engine::id::{ProbeId, RunId};
use crate::engine::message::{Effect, Event, Input, Outcome};
use crate::engine::time::Instant;
use std::fmt::Debug;

pub struct Trace {
    hash: u64,
    verbose: bool,
}

impl Trace {
    pub fn new(verbose: bool) -> Trace {
        Trace { hash: 0xCBF2_9CE4_8422_2325, verbose }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn say(&self, now: Instant, mark: &str, what: &dyn Debug) {
        if self.verbose {
            println!("{:>12.6} {mark} {what:?}", now.as_nanos() as f64 / 1e9);
        }
    }

    pub fn input(&mut self, now: Instant, input: &Input) {
        self.say(now, "->", input);
        self.fold(now.as_nanos());
        match input {
            Input::Spawned { run, .. } => self.run(1, *run),
            Input::SpawnFailed { run, .. } => self.run(2, *run),
            Input::ExecOk { run } => self.run(3, *run),
            Input::Ready { run } => self.run(10, *run),
            Input::Ping { run } => self.run(11, *run),
            Input::Exited { run, .. } => self.run(4, *run),
            Input::GroupEmpty { run } => self.run(5, *run),
            Input::ProbeDone { probe, .. } => self.probe(6, *probe),
            Input::Command { ticket, .. } => self.pair(7, ticket.0),
            Input::Withdrawn { ticket } => self.pair(8, ticket.0),
            Input::Away => self.fold(12),
        }
    }

    pub fn tick(&mut self, now: Instant) {
        self.say(now, "->", &"tick");
        self.pair(9, now.as_nanos());
    }

    pub fn effect(&mut self, now: Instant, effect: &Effect) {
        self.say(now, "<-", effect);
        match effect {
            Effect::Spawn { run } => self.run(20, *run),
            Effect::CancelSpawn { run } => self.run(21, *run),
            Effect::Signal { run, signal } => self.run(32 + u64::from(signal.0), *run),
            Effect::StartProbe { probe } => self.probe(22, *probe),
            Effect::CancelProbe { probe } => self.probe(23, *probe),
            Effect::Reply { ticket, outcome } => self.pair(24 + outcome_number(outcome), ticket.0),
            Effect::Publish(event) => self.event(*event),
            Effect::Forget { instance } => self.pair(120, u64::from(instance.0.slot)),
            Effect::ShutDown { instance, state, .. } => self.pair(122, u64::from(instance.0.slot) << 8 | *state as u64),
            Effect::Finished { survivors } => self.pair(121, survivors.len() as u64),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Spawned { run, pid } => self.run(200 + pid as u64, run),
            Event::StateChanged { instance, from, to, delay, .. } => {
                self.pair(from as u64 * 8 + to as u64, u64::from(instance.0.slot));
                self.fold(delay.map_or(0, |delay| delay.as_nanos() as u64));
            }
            Event::Exited { run, .. } => self.run(130, run),
            Event::SpawnFailed { run, .. } => self.run(131, run),
            Event::StopTimedOut { run } => self.run(132, run),
            Event::Unkillable { run } => self.run(133, run),
            Event::ProbePassed { probe, .. } => self.probe(134, probe),
            Event::ProbeFailed { probe, failures, .. } => self.probe(135 + u64::from(failures), probe),
            Event::NotReadyYet { probe, .. } => self.probe(122, probe),
            Event::ReadyTimedOut { run, .. } => self.run(123, run),
            Event::WatchdogMissed { run } => self.run(124, run),
            Event::HealthRestart { run, count, .. } => self.run(160 + u64::from(count), run),
        }
    }

    fn run(&mut self, mark: u64, run: RunId) {
        self.fold(mark << 48 ^ u64::from(run.instance.0.slot) << 32 ^ u64::from(run.serial));
        self.fold(u64::from(run.instance.0.generation));
    }

    fn probe(&mut self, mark: u64, probe: ProbeId) {
        self.run(mark, probe.run);
        self.fold(u64::from(probe.serial));
    }

    fn pair(&mut self, mark: u64, value: u64) {
        self.fold(mark);
        self.fold(value);
    }

    fn fold(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }
}

fn outcome_number(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Done => 0,
        Outcome::AlreadyUp => 1,
        Outcome::Failed(failures) => 5 + failures.len() as u64,
        Outcome::Superseded => 3,
        Outcome::ShuttingDown => 4,
    }
}
