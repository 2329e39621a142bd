//! A small language for the tests of the engine: bring one instance into a state, give one stimulus, look at the effects.
//! Effects are told in short words, so that a test reads as a story: `spawn 1`, `signal 1 TERM`, `STARTING>RUNNING`.

use super::id::{InstanceId, ProbeId, RunId, Ticket};
use super::message::{
    Cause, Command, Effect, Event, ExitStatus, FailureClass, Input, Outcome, Plan, ProbeResult, Signal, SpawnError,
    SpawnStage, State,
};
use super::policy::{Autorestart, Consequence, HealthPolicy, Policy, Readiness};
use super::time::{Duration, Instant};
use super::{Engine, Instance};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(crate) const OK: ExitStatus = ExitStatus::Code(0);
pub(crate) const BAD: ExitStatus = ExitStatus::Code(1);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// As a configuration without options has it.
pub(crate) fn policy() -> Policy {
    Policy {
        autostart: true,
        autorestart: Autorestart::Always,
        exitcodes: BTreeSet::from([0]),
        start_secs: seconds(1),
        readiness: Readiness::Lived,
        ready_timeout: seconds(60),
        watchdog: None,
        start_retries: 3,
        stop_signal: Signal::TERM,
        stop_timeout: seconds(10),
        allow_leftover: false,
        on_exit: Consequence::Nothing,
        on_fatal: Consequence::Nothing,
        health: None,
    }
}

/// RUNNING when it says so.
pub(crate) fn notified() -> Policy {
    Policy { readiness: Readiness::Notified, ..policy() }
}

/// Has to be heard of every three seconds.
pub(crate) fn watched() -> Policy {
    Policy { watchdog: Some(seconds(3)), ..policy() }
}

/// Checked every five seconds, sick after two failures.
pub(crate) fn checked() -> Policy {
    let health = HealthPolicy { interval: seconds(5), timeout: seconds(2), retries: 2, start_period: seconds(10) };
    Policy { health: Some(health), ..policy() }
}

pub(crate) fn error(class: FailureClass) -> SpawnError {
    SpawnError { stage: SpawnStage::Exec, errno: 2, class }
}

/// An engine and the instance that a test is about.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    pub(crate) id: InstanceId,
    tickets: u64,
}

impl Rig {
    pub(crate) fn stopped(policy: Policy) -> Rig {
        let now = Instant::from_millis(1_000_000);
        let mut engine = Engine::new(now, 0);
        let id = engine.add(policy);
        Rig { engine, now, id, tickets: 0 }
    }

    /// Asked for, no process yet.
    pub(crate) fn queued(policy: Policy) -> Rig {
        let mut rig = Rig::stopped(policy);
        rig.start();
        rig
    }

    /// A process, no exec yet.
    pub(crate) fn made(policy: Policy) -> Rig {
        let mut rig = Rig::queued(policy);
        rig.spawned();
        rig
    }

    /// The program runs, not long enough yet.
    pub(crate) fn starting(policy: Policy) -> Rig {
        let mut rig = Rig::made(policy);
        rig.exec_ok();
        rig
    }

    pub(crate) fn running(policy: Policy) -> Rig {
        let wait = policy.start_secs;
        let mut rig = Rig::starting(policy);
        rig.wait(wait);
        assert_eq!(rig.state(), State::Running);
        rig
    }

    pub(crate) fn unhealthy() -> Rig {
        let mut rig = Rig::running(Policy { autorestart: Autorestart::Never, ..checked() });
        rig.sicken();
        assert_eq!(rig.state(), State::Unhealthy);
        rig
    }

    pub(crate) fn stopping(policy: Policy) -> Rig {
        let mut rig = Rig::running(policy);
        rig.stop();
        rig
    }

    pub(crate) fn unkillable(policy: Policy) -> Rig {
        let wait = policy.stop_timeout + seconds(2);
        let mut rig = Rig::stopping(policy);
        rig.wait(wait);
        assert!(rig.instance().is_unkillable());
        rig
    }

    /// After one failed attempt.
    pub(crate) fn backoff(policy: Policy) -> Rig {
        let mut rig = Rig::starting(policy);
        rig.exited(BAD);
        assert_eq!(rig.state(), State::Backoff);
        rig
    }

    pub(crate) fn exited_rig() -> Rig {
        let mut rig = Rig::running(Policy { autorestart: Autorestart::Never, ..policy() });
        rig.exited(BAD);
        assert_eq!(rig.state(), State::Exited);
        rig
    }

    pub(crate) fn fatal() -> Rig {
        let mut rig = Rig::queued(policy());
        rig.spawn_failed(FailureClass::Permanent);
        assert_eq!(rig.state(), State::Fatal);
        rig
    }

    pub(crate) fn instance(&self) -> &Instance {
        self.engine.instance(self.id).expect("the instance of the test is there")
    }

    pub(crate) fn state(&self) -> State {
        self.instance().state()
    }

    /// The current run, or the one there would have been.
    pub(crate) fn run(&self) -> RunId {
        self.instance().run().map_or(RunId { instance: self.id, serial: 0 }, |run| run.id)
    }

    pub(crate) fn hear(&mut self, input: Input) -> Vec<String> {
        self.engine.handle(self.now, input);
        self.effects()
    }

    pub(crate) fn order(&mut self, command: Command) -> Vec<String> {
        self.tickets += 1;
        self.hear(Input::Command { ticket: Ticket(self.tickets), command })
    }

    pub(crate) fn start(&mut self) -> Vec<String> {
        self.order(Command::Start(Vec::from([self.id])))
    }

    pub(crate) fn stop(&mut self) -> Vec<String> {
        self.order(Command::Stop(Vec::from([self.id])))
    }

    pub(crate) fn restart(&mut self) -> Vec<String> {
        self.order(Command::Restart { instances: Vec::from([self.id]), force: false })
    }

    pub(crate) fn force_restart(&mut self) -> Vec<String> {
        self.order(Command::Restart { instances: Vec::from([self.id]), force: true })
    }

    pub(crate) fn remove(&mut self) -> Vec<String> {
        let removed = Vec::from([self.id]);
        self.order(Command::Reload(Plan { removed, ..Plan::default() }))
    }

    pub(crate) fn change(&mut self, policy: Policy) -> Vec<String> {
        let changed = Vec::from([(self.id, policy)]);
        self.order(Command::Reload(Plan { changed, ..Plan::default() }))
    }

    pub(crate) fn shutdown(&mut self, timeout: u64) -> Vec<String> {
        self.order(Command::Shutdown { timeout: seconds(timeout) })
    }

    pub(crate) fn withdraw(&mut self, ticket: u64) -> Vec<String> {
        self.hear(Input::Withdrawn { ticket: Ticket(ticket) })
    }

    pub(crate) fn spawned(&mut self) -> Vec<String> {
        let run = self.run();
        self.hear(Input::Spawned { run, pid: 100 + run.serial as i32 })
    }

    pub(crate) fn spawn_failed(&mut self, class: FailureClass) -> Vec<String> {
        let run = self.run();
        self.hear(Input::SpawnFailed { run, error: error(class) })
    }

    pub(crate) fn exec_ok(&mut self) -> Vec<String> {
        let run = self.run();
        self.hear(Input::ExecOk { run })
    }

    pub(crate) fn ready(&mut self) -> Vec<String> {
        let run = self.run();
        self.hear(Input::Ready { run })
    }

    pub(crate) fn ping(&mut self) -> Vec<String> {
        let run = self.run();
        self.hear(Input::Ping { run })
    }

    /// Nobody listened until now.
    pub(crate) fn away(&mut self) -> Vec<String> {
        self.hear(Input::Away)
    }

    pub(crate) fn exited(&mut self, status: ExitStatus) -> Vec<String> {
        let run = self.run();
        self.hear(Input::Exited { run, status, leftovers: false })
    }

    pub(crate) fn exited_with_leftovers(&mut self, status: ExitStatus) -> Vec<String> {
        let run = self.run();
        self.hear(Input::Exited { run, status, leftovers: true })
    }

    pub(crate) fn group_empty(&mut self) -> Vec<String> {
        let run = self.run();
        self.hear(Input::GroupEmpty { run })
    }

    /// The answer to question number `serial` of the current run.
    pub(crate) fn answer(&mut self, serial: u32, result: ProbeResult) -> Vec<String> {
        let probe = ProbeId { run: self.run(), serial };
        self.hear(Input::ProbeDone { probe, result })
    }

    /// Lets its checks fail until it is unhealthy.
    pub(crate) fn sicken(&mut self) -> Vec<String> {
        self.wait(seconds(11));
        self.answer(1, ProbeResult::Fail);
        self.wait(seconds(5));
        self.answer(2, ProbeResult::Fail)
    }

    /// Lets time pass, stopping at each deadline on the way.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut told = Vec::new();
        while let Some(next) = self.engine.poll_timeout().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            told.extend(self.effects());
            assert!(self.engine.poll_timeout().is_none_or(|next| next > self.now), "time is used up");
        }
        self.now = end;
        told
    }

    pub(crate) fn effects(&mut self) -> Vec<String> {
        self.engine.check_invariants();
        core::iter::from_fn(|| self.engine.poll_effect()).map(tell).collect()
    }
}

fn tell(effect: Effect) -> String {
    match effect {
        Effect::Spawn { run } => format!("spawn {}", run.serial),
        Effect::CancelSpawn { run } => format!("cancel {}", run.serial),
        Effect::Signal { run, signal: Signal::TERM } => format!("signal {} TERM", run.serial),
        Effect::Signal { run, signal: Signal::KILL } => format!("signal {} KILL", run.serial),
        Effect::Signal { run, signal: Signal(number) } => format!("signal {} {number}", run.serial),
        Effect::StartProbe { probe } => format!("probe {}", number(probe)),
        Effect::CancelProbe { probe } => format!("hush {}", number(probe)),
        Effect::Reply { ticket, outcome } => format!("reply {} {}", ticket.0, tell_outcome(&outcome)),
        Effect::Publish(event) => tell_event(event),
        Effect::Forget { .. } => String::from("forget"),
        Effect::ShutDown { state, cause, .. } => {
            format!("end with {state} {}", cause.map_or("none".into(), tell_cause))
        }
        Effect::Finished { survivors } => format!("finished {}", survivors.len()),
    }
}

fn tell_cause(cause: Cause) -> String {
    match cause {
        Cause::Exit(status) => tell_status(status),
        Cause::Spawn(_) | Cause::Unhealthy | Cause::NotReady | Cause::Hung => format!("{cause:?}"),
    }
}

fn tell_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failures) => {
            let states = failures.iter().map(|failure| {
                let overtaken = if failure.superseded { " overtaken" } else { "" };
                format!("{}{overtaken}", failure.state)
            });
            format!("Failed {}", states.collect::<Vec<_>>().join(", "))
        }
        Outcome::Done | Outcome::AlreadyUp | Outcome::Superseded | Outcome::ShuttingDown => format!("{outcome:?}"),
    }
}

fn tell_event(event: Event) -> String {
    match event {
        Event::Spawned { run, pid } => format!("spawned {} {pid}", run.serial),
        Event::StateChanged { from, to, delay: None, .. } => format!("{from}>{to}"),
        Event::StateChanged { from, to, delay: Some(delay), .. } => format!("{from}>{to} {}s", delay.as_secs()),
        Event::Exited { run, status, expected, leftovers, .. } => {
            let how = if expected { "expected" } else { "unexpected" };
            let left = if leftovers { ", leftovers" } else { "" };
            format!("exited {} {} {how}{left}", run.serial, tell_status(status))
        }
        Event::SpawnFailed { run, .. } => format!("spawn failed {}", run.serial),
        Event::StopTimedOut { run } => format!("stop timed out {}", run.serial),
        Event::Unkillable { run } => format!("unkillable {}", run.serial),
        Event::ProbePassed { probe, after_failures } => format!("passed {} after {after_failures}", number(probe)),
        Event::ProbeFailed { probe, failures, retries, timed_out } => {
            let late = if timed_out { ", no answer" } else { "" };
            format!("failed {} {failures}/{retries}{late}", number(probe))
        }
        Event::NotReadyYet { probe, timed_out } => {
            let late = if timed_out { ", no answer" } else { "" };
            format!("not ready {}{late}", number(probe))
        }
        Event::ReadyTimedOut { run, .. } => format!("ready timed out {}", run.serial),
        Event::WatchdogMissed { run } => format!("watchdog missed {}", run.serial),
        Event::HealthRestart { run, count, limit } => format!("health restart {} {count}/{limit}", run.serial),
    }
}

fn tell_status(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("{code}"),
        ExitStatus::Signal { number, .. } => format!("signal {number}"),
    }
}

fn number(probe: ProbeId) -> String {
    format!("{}.{}", probe.run.serial, probe.serial)
}
