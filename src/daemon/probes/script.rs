//! One script check: its process, what it says, and its end. Judged by its own exit status; its group ends with it.

use super::super::source;
use crate::engine::id::Key;
use crate::engine::message::{FailureClass, Pid, Signal, SpawnError};
use crate::engine::time::Instant;
use crate::reactor::Reactor;
use crate::reactor::source::Kind;
use crate::spec::Launch;
use crate::sys::kill::{self, GroupState, KillError};
use crate::sys::spawn::{self, ErrorOutput, Fresh, Output, Plan, Verdict, VerdictRead};
use mio::Interest;
use mio::unix::pipe::Receiver;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// So much of what a script says is read at its own pace; the rest is thrown away slowly.
pub(super) const OUTPUT_MAX: usize = 64 * 1024;
/// What they say is read into.
const SCRATCH: usize = 16 * 1024;
/// So much of each stream is kept for the message.
const KEPT_MAX: usize = 1024;

/// What a look at the pipes gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next event tells of more.
    Dry,
    /// There is more than is read now; no event will tell.
    Flood,
}

/// The process of a check and the daemon's ends of its pipes.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) pid: Pid,
    pub(super) pidfd: Option<OwnedFd>,
    /// Since when nothing of it should be there any more.
    pub(super) ended_at: Option<Instant>,
    verdict: Verdict,
    plan: Rc<Plan>,
    stdout: Stream,
    stderr: Stream,
    read: usize,
    /// SIGKILL could not be sent to all of it.
    unkilled: bool,
}

#[derive(Debug, Default)]
struct Stream {
    pipe: Option<Receiver>,
    kept: Vec<u8>,
}

/// How a script is run: as its program, but by a shell, and never beyond the daemon's own life.
pub(super) fn launch(command: &str, program: &Launch) -> Launch {
    let argv = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
    Launch { argv, pdeathsig: true, ..program.clone() }
}

impl Script {
    /// Makes the process; its exec is still to come.
    pub(super) fn spawn(plan: Rc<Plan>, key: Key, reactor: &Reactor) -> Result<Script, SpawnError> {
        let fresh = spawn::spawn_unheard(&plan, Output::Pipe, ErrorOutput::Separate(Output::Pipe))?;
        let Fresh { pid, pidfd, verdict, stdout, stderr, .. } = fresh;
        if let Some(Err(error)) = pidfd.as_ref().map(|fd| reactor.watch(fd.as_raw_fd(), source(Kind::Probe, key))) {
            log::error!("watching process {pid} failed: {error}");
        }
        let (stdout, stderr) = (Stream::new(stdout, key, reactor), Stream::new(stderr, key, reactor));
        Ok(Script { pid, pidfd, ended_at: None, verdict, plan, stdout, stderr, read: 0, unkilled: false })
    }

    /// Reads what there is, up to what may be read of one script.
    pub(super) fn listen(&mut self, scratch: &mut Vec<u8>, reactor: &Reactor) -> Flow {
        let mut left = OUTPUT_MAX - self.read;
        let flow = self.take(scratch, &mut left, reactor);
        self.read = OUTPUT_MAX - left;
        flow
    }

    /// Throws away what there is, a pipe's length at most: a script that is blocked would never end.
    pub(super) fn discard(&mut self, scratch: &mut Vec<u8>, reactor: &Reactor) -> Flow {
        self.take(scratch, &mut OUTPUT_MAX.clone(), reactor)
    }

    fn take(&mut self, scratch: &mut Vec<u8>, left: &mut usize, reactor: &Reactor) -> Flow {
        let flows = [self.stderr.take(scratch, left, reactor), self.stdout.take(scratch, left, reactor)];
        if flows.contains(&Flow::Flood) { Flow::Flood } else { Flow::Dry }
    }

    /// Stops listening: whoever still holds the pipes writes to nobody.
    pub(super) fn hang_up(&mut self, reactor: &Reactor) {
        self.stdout.close(reactor);
        self.stderr.close(reactor);
    }

    /// SIGKILL to all of it. Before its exec the group may not exist, so the process is told as well.
    pub(super) fn kill(&mut self, now: Instant) {
        self.ended_at.get_or_insert(now);
        let pidfd = self.pidfd.as_ref();
        let group = kill::signal_group(self.pid, pidfd, Signal::KILL);
        let process = kill::signal_process(self.pid, pidfd, Signal::KILL);
        let failed = [group, process].into_iter().find(|sent| matches!(sent, Err(KillError::Failed(_))));
        self.note_killed(failed.unwrap_or(Ok(())));
    }

    /// Whether SIGKILL could not be sent to all of it.
    pub(super) fn is_unkilled(&self) -> bool {
        self.unkilled
    }

    /// Tells once that it could not, and once that it could.
    fn note_killed(&mut self, sent: Result<(), KillError>) {
        let before = self.unkilled;
        self.unkilled = matches!(sent, Err(KillError::Failed(_)));
        match sent {
            Err(error) if self.unkilled && !before => {
                log::error!("SIGKILL to health check {} failed, it is sent again each second: {error}", self.pid);
            }
            Ok(()) if before => log::info!("SIGKILL to health check {} could be sent at last", self.pid),
            Ok(()) | Err(_) => {}
        }
    }

    /// After its process was reaped: ends what it left behind. Whether there was anything.
    pub(super) fn kill_leftovers(&mut self, now: Instant) -> bool {
        let alive = self.has_members();
        self.ended_at.get_or_insert(now);
        if alive {
            self.note_killed(kill::signal_group(self.pid, self.pidfd.as_ref(), Signal::KILL));
        }
        alive
    }

    /// Whether anything of the group of a reaped script is alive.
    pub(super) fn has_members(&self) -> bool {
        match kill::group_state(self.pid, self.pidfd.as_ref()) {
            Ok(GroupState::Members) => true,
            Ok(GroupState::Empty) => false,
            Err(error) => {
                log::error!("asking for process group {} failed: {error}", self.pid);
                false
            }
        }
    }

    /// Why its shell never ran, of a script that was reaped.
    pub(super) fn failure(&mut self) -> Option<(FailureClass, String)> {
        match self.verdict.read_of_the_dead() {
            Ok(VerdictRead::Failed(error)) => {
                let why = spawn::describe(&error, &self.plan.subject(&error, self.verdict.candidate()));
                Some((error.class, why))
            }
            Ok(VerdictRead::ExecOk | VerdictRead::Pending) => None,
            Err(error) => Some((FailureClass::Ordinary, format!("its exec verdict could not be read: {error}"))),
        }
    }

    /// What it had to say: its stderr, and where that is empty its stdout.
    pub(super) fn said(&self) -> String {
        let text = |stream: &Stream| String::from_utf8_lossy(&stream.kept).trim().to_owned();
        let errors = text(&self.stderr);
        if errors.is_empty() { text(&self.stdout) } else { errors }
    }
}

impl Stream {
    fn new(pipe: Option<OwnedFd>, key: Key, reactor: &Reactor) -> Stream {
        let mut pipe = pipe.map(Receiver::from);
        if let Some(Err(error)) =
            pipe.as_mut().map(|pipe| reactor.register(pipe, source(Kind::Probe, key), Interest::READABLE))
        {
            log::error!("watching the output of a health check failed, it is read at its end only: {error}");
        }
        Stream { pipe, kept: Vec::new() }
    }

    fn take(&mut self, scratch: &mut Vec<u8>, left: &mut usize, reactor: &Reactor) -> Flow {
        while let Some(pipe) = &mut self.pipe {
            if *left == 0 {
                return Flow::Flood;
            }
            if scratch.is_empty() {
                *scratch = vec![0; SCRATCH];
            }
            let room = scratch.len().min(*left);
            match pipe.read(&mut scratch[..room]) {
                Ok(0) => self.close(reactor),
                Ok(count) => {
                    *left -= count;
                    let wanted = count.min(KEPT_MAX - self.kept.len());
                    self.kept.extend_from_slice(&scratch[..wanted]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flow::Dry,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.close(reactor),
            }
        }
        Flow::Dry
    }

    fn close(&mut self, reactor: &Reactor) {
        if let Some(mut pipe) = self.pipe.take() {
            reactor.deregister(&mut pipe);
        }
    }
}
