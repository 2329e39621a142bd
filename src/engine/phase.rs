//! The phases of an instance: what each of them holds, and the one translation from these to the eight states that people
//! see. What moves an instance from one phase to another stands in `instance`.

use super::health::{Health, Verdict};
use super::id::{RunId, Stamp};
use super::message::{Pid, State};
use super::outbox::Outbox;
use super::patience::Patience;
use super::time::Instant;

/// One life of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Which life.
    pub id: RunId,
    /// The leader of its process group; none until there is a process.
    pub pid: Option<Pid>,
    /// When the process was made; before that, when it was asked for.
    pub since: Instant,
}

/// Where an instance is, with all that is valid there and only there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// Nobody wants it up.
    Stopped,
    /// Waits for the next attempt.
    Backoff { retry: Stamp, at: Instant },
    /// An attempt is under way.
    Starting { run: Run, step: Step },
    /// Lived long enough.
    Running { run: Run, health: Health },
    /// Something of it is alive and has to go.
    Stopping { run: Run, leader: Leader, stage: StopStage, then: AfterStop },
    /// Ended by itself.
    Exited,
    /// Given up.
    Fatal,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The shell was asked for a process.
    Queued,
    /// There is a process; its exec is to be confirmed by `verdict`.
    Made { verdict: Stamp },
    /// The program runs and has to live until `gate`.
    Gate { gate: Stamp },
    /// The program runs and has to say that it is ready.
    Notice { deadline: Patience },
    /// The program runs and has to pass a health check.
    Checks { deadline: Patience, health: Health },
}

/// Whether the leader of a stopping run was reaped already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leader {
    Alive,
    Reaped,
}

/// How far the escalation of a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopStage {
    /// The stop signal went out.
    Asked { deadline: Stamp },
    /// SIGKILL went out.
    Killed { deadline: Stamp },
    /// SIGKILL did not help within its time.
    Unkillable,
}

/// Where a stop leads once nothing of the run is left. The latest order overwrites it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterStop {
    /// STOPPED.
    Stay,
    /// The next run, at once.
    Launch,
    /// BACKOFF, as long as after so many failures in a row.
    Backoff { failures: u32 },
    /// EXITED.
    Exit,
    /// FATAL.
    Fatal,
    /// Out of the engine.
    Leave,
}

impl Phase {
    /// The one translation from inside to outside.
    pub(super) fn state(&self) -> State {
        match self {
            Phase::Stopped => State::Stopped,
            Phase::Backoff { .. } => State::Backoff,
            Phase::Starting { .. } => State::Starting,
            Phase::Running { health, .. } => match health.verdict() {
                Verdict::Awaited | Verdict::Unknown | Verdict::Healthy => State::Running,
                Verdict::Unhealthy => State::Unhealthy,
            },
            Phase::Stopping { .. } => State::Stopping,
            Phase::Exited => State::Exited,
            Phase::Fatal => State::Fatal,
        }
    }

    /// The run that is alive, or not wholly gone.
    pub(super) fn run(&self) -> Option<&Run> {
        match self {
            Phase::Starting { run, .. } | Phase::Running { run, .. } | Phase::Stopping { run, .. } => Some(run),
            Phase::Stopped | Phase::Backoff { .. } | Phase::Exited | Phase::Fatal => None,
        }
    }

    /// Whether anybody in this phase waits for `stamp`.
    pub(super) fn holds(&self, stamp: Stamp) -> bool {
        match self {
            Phase::Backoff { retry, .. } => *retry == stamp,
            Phase::Starting { step, .. } => step.holds(stamp),
            Phase::Running { health, .. } => health.holds(stamp),
            Phase::Stopping { stage: StopStage::Asked { deadline } | StopStage::Killed { deadline }, .. } => {
                *deadline == stamp
            }
            Phase::Stopping { stage: StopStage::Unkillable, .. } | Phase::Stopped | Phase::Exited | Phase::Fatal => {
                false
            }
        }
    }
}

impl Step {
    /// Withdraws the question that is open, if there is one.
    pub(super) fn hush(&mut self, out: &mut Outbox) {
        match self {
            Step::Checks { health, .. } => health.hush(out),
            Step::Queued | Step::Made { .. } | Step::Gate { .. } | Step::Notice { .. } => {}
        }
    }

    fn holds(&self, stamp: Stamp) -> bool {
        match self {
            Step::Queued => false,
            Step::Made { verdict: until } | Step::Gate { gate: until } => *until == stamp,
            Step::Notice { deadline } => deadline.ends_with(stamp),
            Step::Checks { deadline, health } => deadline.ends_with(stamp) || health.holds(stamp),
        }
    }
}
