//! The machine: what an instance does when it hears of an order, of its process, or of a deadline.
//! It owns phase and counters of one instance; orders of many, and who waits for an answer, are `job`'s.
//!
//! # The states
//!
//! An instance is *down* in STOPPED, BACKOFF, EXITED and FATAL: it has no run, and nothing of an earlier one is alive. It is
//! *busy* in STARTING, RUNNING, UNHEALTHY and STOPPING: it has exactly one run. So two lives can never overlap: a launch is
//! only reached from a phase without a run, or from a stop whose process group is empty.
//!
//! STARTING has steps. *Queued*: the shell was asked for a process, and may take its time. *Made*: there is a process,
//! not yet the program; its process group may not exist, so whatever ends it now is SIGKILL. Then the program runs, and to
//! be RUNNING it has to live `start_secs`, counted from the making (*Gate*), or to say that it is ready (*Notice*), or to
//! pass a health check (*Checks*), the last two within `ready_timeout`. An attempt that fails in any step goes where
//! `attempts` and the policy say: BACKOFF, FATAL or EXITED.
//!
//! RUNNING and UNHEALTHY are one phase with a different verdict. An end nobody asked for is always shown as EXITED first,
//! then followed by what the policy wants.
//!
//! STOPPING is every kind of "has to go": an order, a health restart, an exec without a verdict, and also leftovers of a
//! leader that died by itself. It ends when the leader is reaped *and* the group is empty. What comes next is not a flag
//! beside the state but the destination of the stop (`AfterStop`), and the latest order overwrites the destination. So a
//! restart is one order to the machine; nobody composes it from a stop, a wait and a start. The escalation goes on
//! whatever the destination is: stop signal, SIGKILL, and if two seconds later something is still there, *unkillable*:
//! the destination becomes STOPPED (a removal still leaves), and orders are refused until it is gone.
//!
//! Waiting is a stamp kept in the phase that waits. Leaving the phase forgets it, so a deadline of an earlier phase or run
//! cannot do anything in this one.
//!
//! All changes of phase go through `enter`, which publishes each edge once. All input about a run or a probe is checked
//! for staleness by the engine before it comes here.

mod news;
mod order;
#[cfg(test)]
mod readiness_tests;

use super::health::{Finding, Health, Verdict};
use super::id::{InstanceId, ProbeId, RunId, Stamp};
use super::message::{
    Cause, Effect, Event, ExitStatus, Failure, FailureClass, Pid, ProbeResult, Signal, SpawnError, SpawnStage, State,
};
use super::outbox::{Note, Outbox, Waiter};
use super::patience::Patience;
use super::phase::{AfterStop, Leader, Phase, Run, Step, StopStage};
use super::policy::{Consequence, PACE, Policy, Readiness, backoff};
use super::time::{Duration, Instant};
use alloc::rc::Rc;

/// What SIGKILL has not ended after this long cannot be killed.
pub(super) const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// How an order was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is as wished already.
    Already,
    /// It is on its way.
    Waits,
    /// It cannot be, as long as what is dying is not dead.
    Refused,
}

/// One numprocs slot of a program: the thing with a state.
#[derive(Debug)]
pub struct Instance {
    id: InstanceId,
    policy: Rc<Policy>,
    next_policy: Option<Rc<Policy>>,
    phase: Phase,
    attempts: u32,
    sick_restarts: u32,
    lives: u32,
    last_cause: Option<Cause>,
}

/// Questions, without effect.
impl Instance {
    pub(super) fn new(id: InstanceId, policy: Rc<Policy>) -> Instance {
        Instance {
            id,
            policy,
            next_policy: None,
            phase: Phase::Stopped,
            attempts: 0,
            sick_restarts: 0,
            lives: 0,
            last_cause: None,
        }
    }

    /// Its identity.
    pub fn id(&self) -> InstanceId {
        self.id
    }

    /// What people see.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// The run that is alive, or not wholly gone.
    pub fn run(&self) -> Option<&Run> {
        self.phase.run()
    }

    /// The verdict of its health checks; none while it is not up, or nothing was decided yet.
    pub fn healthy(&self) -> Option<bool> {
        match self.phase {
            Phase::Running { health, .. } => match health.verdict() {
                Verdict::Awaited | Verdict::Unknown => None,
                Verdict::Healthy => Some(true),
                Verdict::Unhealthy => Some(false),
            },
            Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Fatal => None,
        }
    }

    /// Failed attempts since it was last RUNNING or ordered about.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How often it was launched, so far.
    pub fn lives(&self) -> u32 {
        self.lives
    }

    /// The last thing that went wrong, since it was last ordered up.
    pub fn last_cause(&self) -> Option<Cause> {
        self.last_cause
    }

    /// In BACKOFF, when the next attempt is due.
    pub fn retry_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Backoff { at, .. } => Some(at),
            Phase::Stopped
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Fatal => None,
        }
    }

    /// When its next health check is due; none while one is under way, or it has none.
    pub fn next_check_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running { health, .. } | Phase::Starting { step: Step::Checks { health, .. }, .. } => health.due(),
            Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Fatal => None,
        }
    }

    /// The settings in force; those of a reload may still wait for the next run.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A reload removed it; it goes as soon as nothing of it is alive.
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Stopping { then: AfterStop::Leave, .. })
    }

    /// SIGKILL did not help: it is still there, and takes no orders.
    pub fn is_unkillable(&self) -> bool {
        matches!(self.phase, Phase::Stopping { stage: StopStage::Unkillable, .. })
    }

    /// Nothing of it is alive.
    pub(super) fn is_down(&self) -> bool {
        self.run().is_none()
    }

    /// Its stop leads to the next run.
    pub(super) fn is_relaunching(&self) -> bool {
        matches!(self.phase, Phase::Stopping { then: AfterStop::Launch, .. })
    }

    pub(super) fn holds(&self, stamp: Stamp) -> bool {
        self.phase.holds(stamp)
    }

    /// Whether `run` is its current life.
    pub(super) fn lives_as(&self, run: RunId) -> bool {
        self.run().is_some_and(|current| current.id == run)
    }

    /// Whether it waits for the answer of `probe`.
    pub(super) fn asks(&self, probe: ProbeId) -> bool {
        match self.phase {
            Phase::Running { health, .. } | Phase::Starting { step: Step::Checks { health, .. }, .. } => {
                health.in_flight() == Some(probe)
            }
            Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Fatal => false,
        }
    }

    /// How an order of it is answered that came to nothing.
    pub(super) fn failure(&self, state: State, superseded: bool) -> Failure {
        Failure { instance: self.id, state, superseded, cause: self.last_cause }
    }
}

/// What follows.
impl Instance {
    fn launch(&mut self, out: &mut Outbox) {
        if let Some(policy) = self.next_policy.take() {
            self.policy = policy;
        }
        self.lives = self.lives.wrapping_add(1);
        let run = Run { id: RunId { instance: self.id, serial: self.lives }, pid: None, since: out.now };
        self.enter(Phase::Starting { run, step: Step::Queued }, out);
        out.put(Effect::Spawn { run: run.id });
    }

    fn run_on(&mut self, run: Run, out: &mut Outbox) {
        let health = Health::begin(self.policy.health.as_ref(), run.id, out);
        self.run_on_with(health, run, out);
    }

    fn run_on_with(&mut self, mut health: Health, run: Run, out: &mut Outbox) {
        self.attempts = 0;
        if let Some(period) = self.policy.watchdog {
            health.watch(period, run.id, out);
        }
        self.enter(Phase::Running { run, health }, out);
    }

    /// Begins to end the run. A process that was only asked for is called off, and that is the end of it.
    fn stop(&mut self, then: AfterStop, force: bool, out: &mut Outbox) {
        match self.phase {
            Phase::Starting { run, step: Step::Queued } => {
                out.put(Effect::CancelSpawn { run: run.id });
                self.enter(Phase::Stopped, out);
                if then != AfterStop::Stay {
                    self.follow(then, out);
                }
            }
            Phase::Starting { run, step: Step::Made { .. } } => self.begin_stop(run, then, true, out),
            Phase::Starting { run, step: Step::Gate { .. } | Step::Notice { .. } } => {
                self.begin_stop(run, then, force, out);
            }
            Phase::Starting { run, step: Step::Checks { mut health, .. } } | Phase::Running { run, mut health } => {
                health.hush(out);
                self.begin_stop(run, then, force, out);
            }
            Phase::Stopped | Phase::Backoff { .. } | Phase::Stopping { .. } | Phase::Exited | Phase::Fatal => {}
        }
    }

    fn begin_stop(&mut self, run: Run, then: AfterStop, kill: bool, out: &mut Outbox) {
        let stage = if kill { self.send_kill(run.id, out) } else { self.send_stop(run.id, out) };
        self.enter(Phase::Stopping { run, leader: Leader::Alive, stage, then }, out);
    }

    fn send_stop(&self, run: RunId, out: &mut Outbox) -> StopStage {
        out.put(Effect::Signal { run, signal: self.policy.stop_signal });
        StopStage::Asked { deadline: out.arm_after(self.policy.stop_timeout, Waiter::Instance(self.id)) }
    }

    fn send_kill(&self, run: RunId, out: &mut Outbox) -> StopStage {
        out.put(Effect::Signal { run, signal: Signal::KILL });
        StopStage::Killed { deadline: out.arm_after(KILL_TIMEOUT, Waiter::Instance(self.id)) }
    }

    /// Nothing of the run is left.
    fn follow(&mut self, then: AfterStop, out: &mut Outbox) {
        match then {
            AfterStop::Stay => self.enter(Phase::Stopped, out),
            AfterStop::Launch => self.launch(out),
            AfterStop::Backoff { failures } => {
                let at = out.now + backoff(failures, out.random());
                let retry = out.timers.arm(at, Waiter::Instance(self.id));
                self.enter(Phase::Backoff { retry, at }, out);
            }
            AfterStop::Exit => self.enter(Phase::Exited, out),
            AfterStop::Fatal => self.enter(Phase::Fatal, out),
            AfterStop::Leave => {
                self.enter(Phase::Stopped, out);
                out.note(Note::Gone(self.id));
            }
        }
        self.note_end(then, out);
    }

    /// Where it will not come back by itself from, its end may be the end of all.
    fn note_end(&self, then: AfterStop, out: &mut Outbox) {
        let (consequence, state) = match then {
            AfterStop::Exit => (self.policy.on_exit, State::Exited),
            AfterStop::Fatal => (self.policy.on_fatal, State::Fatal),
            AfterStop::Stay | AfterStop::Launch | AfterStop::Backoff { .. } | AfterStop::Leave => return,
        };
        if consequence == Consequence::Shutdown {
            out.note(Note::Last(self.id, state));
        }
    }

    /// The one door from phase to phase. A change that people can see is published, once.
    fn enter(&mut self, phase: Phase, out: &mut Outbox) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from == to {
            return;
        }
        let cause = match to {
            State::Backoff | State::Exited | State::Fatal => self.last_cause,
            State::Stopped | State::Starting | State::Running | State::Unhealthy | State::Stopping => None,
        };
        out.publish(Event::StateChanged {
            instance: self.id,
            from,
            to,
            pid: self.run().and_then(|run| run.pid),
            delay: self.retry_at().map(|at| at.since(out.now)),
            cause,
            attempts: self.attempts,
        });
        out.note(Note::Reached(self.id, to));
    }
}
