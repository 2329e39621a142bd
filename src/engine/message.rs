//! The whole border of the engine on one page: what it is told ([`Input`]) and what it wants done ([`Effect`]).

use super::id::{InstanceId, ProbeId, RunId, Ticket};
use super::policy::Policy;
use super::time::Duration;
use alloc::vec::Vec;
use core::fmt;

/// A process id as the kernel gives it; always above 1 for a child.
pub type Pid = i32;

/// A signal number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(pub u8);

impl Signal {
    /// SIGKILL has this number on every Unix.
    pub const KILL: Signal = Signal(9);
    /// SIGTERM has this number on every Unix.
    pub const TERM: Signal = Signal(15);
}

/// The eight states that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not running, and nobody wants it to.
    Stopped,
    /// Spawned, and not yet alive for `startsecs`.
    Starting,
    /// Alive for `startsecs` or longer.
    Running,
    /// Alive, and failing its health checks.
    Unhealthy,
    /// Waiting for its next attempt.
    Backoff,
    /// Asked to stop, or being cleared away; something of it is still alive.
    Stopping,
    /// Ended by itself; no restart wanted.
    Exited,
    /// Given up.
    Fatal,
}

impl State {
    /// All of them, in their order.
    pub const ALL: [State; 8] = [
        State::Stopped,
        State::Starting,
        State::Running,
        State::Unhealthy,
        State::Backoff,
        State::Stopping,
        State::Exited,
        State::Fatal,
    ];

    /// The word of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            State::Stopped => "STOPPED",
            State::Starting => "STARTING",
            State::Running => "RUNNING",
            State::Unhealthy => "UNHEALTHY",
            State::Backoff => "BACKOFF",
            State::Stopping => "STOPPING",
            State::Exited => "EXITED",
            State::Fatal => "FATAL",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a process ended, as reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit with this code.
    Code(u8),
    /// A signal killed it.
    Signal {
        /// Which one.
        number: u8,
        /// It left a core dump.
        core: bool,
    },
}

/// The step at which a start failed. `repr(u8)`: the number goes through the verdict pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SpawnStage {
    /// Looking up the user of the program.
    User = 1,
    /// Opening a log file.
    OpenLog,
    /// Making the pipes.
    Pipe,
    /// Making the process.
    Fork,
    /// setsid.
    Session,
    /// Signal dispositions.
    Signals,
    /// Descriptors 0, 1 and 2.
    Stdio,
    /// Closing all other descriptors.
    CloseDescriptors,
    /// Resource limits.
    Limits,
    /// Supplementary groups.
    Groups,
    /// Group id.
    GroupId,
    /// User id.
    UserId,
    /// The switch of user was asked for and did not take.
    VerifyUser,
    /// no_new_privs.
    NoNewPrivileges,
    /// Parent-death signal.
    ParentDeath,
    /// Working directory.
    Directory,
    /// The signal mask.
    SignalMask,
    /// The command is a file that others may write (root only).
    UnsafeCommand,
    /// execve.
    Exec,
    /// execve says "no such file" of a file that is there: its interpreter is missing.
    Interpreter,
    /// No verdict from exec within a minute.
    Verdict,
}

/// What a failed start means for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// No room for it now: try again in a second, as often as needed; counts as no attempt.
    Shortage,
    /// It can never work.
    Permanent,
    /// Anything else; counts as an attempt.
    Ordinary,
}

/// Why there is no process, or why its exec never happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpawnError {
    /// Where it failed.
    pub stage: SpawnStage,
    /// The error number of the failed call; 0 where there is none (killed before exec, no verdict).
    pub errno: i32,
    /// What follows from it.
    pub class: FailureClass,
}

/// The answer to a probe; its text stays with the prober.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// Healthy.
    Pass,
    /// Not healthy, or no way to ask.
    Fail,
    /// No room to ask with: says nothing of the program.
    NoRoom,
}

/// What a new configuration adds, drops and changes. Names were turned into ids by the shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Fresh from [`Engine::add`](super::Engine::add); those with `autostart` are started.
    pub added: Vec<InstanceId>,
    /// To stop, then to forget.
    pub removed: Vec<InstanceId>,
    /// Stop, retry and health settings and what its end means apply at once, the rest at the next start.
    pub changed: Vec<(InstanceId, Policy)>,
}

/// What people ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Settles when each is RUNNING, or at its first failed attempt.
    Start(Vec<InstanceId>),
    /// Settles when each is down.
    Stop(Vec<InstanceId>),
    /// Stop and start again as one order.
    Restart {
        /// Whom.
        instances: Vec<InstanceId>,
        /// SIGKILL first.
        force: bool,
    },
    /// Settles when the removed are gone.
    Reload(Plan),
    /// Stop everything. A second one kills at once.
    Shutdown {
        /// After this, SIGKILL to whatever is left.
        timeout: Duration,
    },
}

/// What the world and people tell the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// There is a process for this run; its exec is still to be confirmed.
    Spawned {
        /// Which run.
        run: RunId,
        /// Its leader.
        pid: Pid,
    },
    /// There is no process for this run, or it ended before its exec. No `Exited` follows.
    SpawnFailed {
        /// Which run.
        run: RunId,
        /// Why.
        error: SpawnError,
    },
    /// The program runs.
    ExecOk {
        /// Which run.
        run: RunId,
    },
    /// The program says that it is ready.
    Ready {
        /// Which run.
        run: RunId,
    },
    /// The program says that it does not hang.
    Ping {
        /// Which run.
        run: RunId,
    },
    /// The leader was reaped.
    Exited {
        /// Which run.
        run: RunId,
        /// How it ended.
        status: ExitStatus,
        /// Its process group still has members.
        leftovers: bool,
    },
    /// The last member of the process group of a reaped leader is gone.
    GroupEmpty {
        /// Which run.
        run: RunId,
    },
    /// A probe was answered.
    ProbeDone {
        /// Which one.
        probe: ProbeId,
        /// The answer.
        result: ProbeResult,
    },
    /// An order that is answered by [`Effect::Reply`] exactly once, unless withdrawn before.
    Command {
        /// Handed back with the reply.
        ticket: Ticket,
        /// The order.
        command: Command,
    },
    /// Nobody waits for this reply any more. The order goes on.
    Withdrawn {
        /// Whose.
        ticket: Ticket,
    },
    /// Nobody listened until now: the daemon was stopped, or had no processor. What was said meanwhile may not have come
    /// through, so silence is nobody's fault yet.
    Away,
}

/// Why a member of an order failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Whom it concerns.
    pub instance: InstanceId,
    /// Its state at that moment: FATAL "failed to start", STOPPING "did not stop", else "did not reach RUNNING".
    pub state: State,
    /// A later order overtook this one.
    pub superseded: bool,
    /// The last exit or exec error.
    pub cause: Option<Cause>,
}

/// The last thing that went wrong with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It exited.
    Exit(ExitStatus),
    /// It could not be started.
    Spawn(SpawnError),
    /// Its health checks failed.
    Unhealthy,
    /// It was not ready in time.
    NotReady,
    /// It was silent for longer than its watchdog allows.
    Hung,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// A start of one instance that was RUNNING or UNHEALTHY already.
    AlreadyUp,
    /// These did not make it; the others did.
    Failed(Vec<Failure>),
    /// A later order overtook it (orders of one instance; in a group the member fails).
    Superseded,
    /// The daemon is shutting down.
    ShuttingDown,
}

/// What happened, for the log and for subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A child was made.
    Spawned {
        /// Which run.
        run: RunId,
        /// Its pid.
        pid: Pid,
    },
    /// An instance came from one state into another. Published for each edge of the state table.
    StateChanged {
        /// Which instance.
        instance: InstanceId,
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// The live leader, if there is one.
        pid: Option<Pid>,
        /// In BACKOFF: how long until the next attempt.
        delay: Option<Duration>,
        /// In BACKOFF, EXITED, FATAL: what led here.
        cause: Option<Cause>,
        /// Failed attempts so far (BACKOFF, FATAL).
        attempts: u32,
    },
    /// A run ended.
    Exited {
        /// Which run.
        run: RunId,
        /// Its leader.
        pid: Pid,
        /// How.
        status: ExitStatus,
        /// Spawn to reap.
        lived: Duration,
        /// It was being stopped.
        asked: bool,
        /// It was being stopped, or `exitcodes` lists the code.
        expected: bool,
        /// Members of its process group live on.
        leftovers: bool,
    },
    /// A start failed before or at its exec.
    SpawnFailed {
        /// Which run.
        run: RunId,
        /// Why.
        error: SpawnError,
    },
    /// SIGKILL goes out because the stop timeout is over.
    StopTimedOut {
        /// Which run.
        run: RunId,
    },
    /// Two seconds after SIGKILL it is still there.
    Unkillable {
        /// Which run.
        run: RunId,
    },
    /// A health check passed.
    ProbePassed {
        /// Which check.
        probe: ProbeId,
        /// Failures in a row before it.
        after_failures: u32,
    },
    /// A health check failed.
    ProbeFailed {
        /// Which check; its text is with the prober.
        probe: ProbeId,
        /// Failures in a row, this one included.
        failures: u32,
        /// So many make it unhealthy.
        retries: u32,
        /// It failed by not answering in time.
        timed_out: bool,
    },
    /// A check of a run that is to be RUNNING as soon as one passes failed; it counts as nothing.
    NotReadyYet {
        /// Which check; its text is with the prober.
        probe: ProbeId,
        /// It failed by not answering in time.
        timed_out: bool,
    },
    /// A start failed because the program was not ready in time.
    ReadyTimedOut {
        /// Which run.
        run: RunId,
        /// The time it had.
        within: Duration,
    },
    /// A run was silent for longer than its watchdog allows.
    WatchdogMissed {
        /// Which run.
        run: RunId,
    },
    /// An unhealthy run is stopped to be started again.
    HealthRestart {
        /// Which run.
        run: RunId,
        /// The how-manieth in a row.
        count: u32,
        /// After so many, FATAL.
        limit: u32,
    },
}

/// What the engine wants done. Each names all it concerns: the shell needs no memory of what it was doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make a child. Answered in the same breath by `Spawned` or `SpawnFailed`, or later (the shell may queue it).
    Spawn {
        /// For this run.
        run: RunId,
    },
    /// A run whose `Spawn` was not answered yet is no longer wanted: drop it from the queue. Only sent before `Spawned`.
    CancelSpawn {
        /// Which run.
        run: RunId,
    },
    /// Signal the process group of a run (only its leader until its exec is confirmed).
    Signal {
        /// Whom.
        run: RunId,
        /// With what; SIGCONT follows a signal other than SIGKILL.
        signal: Signal,
    },
    /// Ask for the health of a run.
    StartProbe {
        /// The question.
        probe: ProbeId,
    },
    /// Nobody waits for this answer any more.
    CancelProbe {
        /// The question.
        probe: ProbeId,
    },
    /// Answer an order.
    Reply {
        /// Whose.
        ticket: Ticket,
        /// How it ended.
        outcome: Outcome,
    },
    /// Tell whoever listens.
    Publish(Event),
    /// A removed instance is gone: its id is free.
    Forget {
        /// Whom.
        instance: InstanceId,
    },
    /// A program ended for good whose end is to be the daemon's: order a shutdown. Sent at most once.
    ShutDown {
        /// Which program.
        instance: InstanceId,
        /// EXITED or FATAL.
        state: State,
        /// How it ended.
        cause: Option<Cause>,
    },
    /// The shutdown is complete; `survivors` could not be killed.
    Finished {
        /// Instances with something still alive.
        survivors: Vec<InstanceId>,
    },
}
