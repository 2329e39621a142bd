//! Making children. Everything is prepared before the child exists; what it then does is in `child`, in one fixed order.
//!
//! A spawn returns as soon as there is a process. Whether its exec succeeded comes later, through the [`Verdict`], so a
//! slow disk holds nobody up. Nothing here decides when to spawn or what follows from a failure.

mod block;
mod child;
mod environment;
mod failure;
mod maker;
mod plan;
mod raw;
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(feature = "portable"))),
    path = "spawn/no_shared.rs"
)]
mod shared;
mod verdict;

pub use environment::Inherited;
pub use failure::{classify, describe, is_not_found};
pub use plan::{Plan, resolve_user};
pub use shared::{has_place, reserve_places, reserved, rest};
pub use verdict::{Verdict, VerdictRead};

use super::descriptor::{duplicate_above, lift, pipe, set_fresh_nonblocking};
use super::user::User;
use super::{clock, identity};
use crate::engine::message::{Pid, SpawnError, SpawnStage};
use block::Wiring;
use failure::os_error;
use shared::Place;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Where a stream of the child goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// /dev/null itself.
    Null,
    /// A pipe whose reading end comes back.
    Pipe,
    /// A descriptor of the daemon's own.
    Inherit(RawFd),
}

/// Where the child's stderr goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorOutput {
    /// Wherever stdout goes.
    SameAsStdout,
    /// Its own way.
    Separate(Output),
}

/// A child that was just made; its exec is still to come.
#[derive(Debug)]
pub struct Fresh {
    /// Its pid, and that of the process group it is about to make.
    pub pid: Pid,
    /// Readable when it ends. `None` where the system has none.
    pub pidfd: Option<OwnedFd>,
    /// Tells how its exec went.
    pub verdict: Verdict,
    /// When it started, in ticks from the boot, where the clock can tell.
    pub start: Option<u64>,
    /// Reading end of its stdout, if that is a pipe.
    pub stdout: Option<OwnedFd>,
    /// Reading end of its stderr, if that is a pipe of its own.
    pub stderr: Option<OwnedFd>,
}

/// The first number that the child's preparations leave alone: 0, 1, 2 are its stdio, 3 its verdict.
const FIRST_FREE: RawFd = 4;

/// From now on children are copies of this process, also where they could share its memory until their exec. The daemon
/// never asks for it: it is there to measure the one way against the other.
pub fn always_fork() {
    shared::forbid();
}

/// Makes a child. `marker` becomes `SUPERVICE_RUN` in its environment, by which a later daemon knows it. The verdict is to
/// be read whenever it is readable.
pub fn spawn(plan: &Plan, stdout: Output, stderr: ErrorOutput, marker: Option<&str>) -> Result<Fresh, SpawnError> {
    Ends::open(plan, stdout, stderr).and_then(|ends| ends.spawn(plan, marker, true))
}

/// Makes a child whose verdict may wait until the child is reaped.
pub fn spawn_unheard(plan: &Plan, stdout: Output, stderr: ErrorOutput) -> Result<Fresh, SpawnError> {
    Ends::open(plan, stdout, stderr).and_then(|ends| ends.spawn(plan, None, false))
}

/// Makes a child that reads one file and writes another; what it complains of comes through a pipe. Its verdict may wait
/// until the child is reaped.
pub fn spawn_filter(plan: &Plan, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<Fresh, SpawnError> {
    let mut ends = Ends::open(plan, Output::Inherit(to.as_raw_fd()), ErrorOutput::Separate(Output::Pipe))?;
    let input = duplicate_above(from.as_raw_fd(), FIRST_FREE).map_err(|error| os_error(SpawnStage::Pipe, &error))?;
    ends.input = Some(input);
    ends.spawn(plan, None, false)
}

/// All pipes of a child, both ends.
struct Ends {
    /// `None`: /dev/null.
    input: Option<OwnedFd>,
    out: Stream,
    /// `None`: where stdout goes.
    err: Option<Stream>,
    verdict: Verdict,
    report: OwnedFd,
}

impl Ends {
    fn open(plan: &Plan, stdout: Output, stderr: ErrorOutput) -> Result<Ends, SpawnError> {
        // Where nobody is switched to, a pipe is the program's own as it is; only root could give it away.
        let owner = plan.switch_to();
        let stream = |output| Stream::open(output, owner).map_err(|error| os_error(SpawnStage::Pipe, &error));
        let out = stream(stdout)?;
        let err = match stderr {
            ErrorOutput::SameAsStdout => None,
            ErrorOutput::Separate(output) => Some(stream(output)?),
        };
        let (verdict, report) = Verdict::open().map_err(|error| os_error(SpawnStage::Pipe, &error))?;
        Ok(Ends { input: None, out, err, verdict, report })
    }

    fn spawn(mut self, plan: &Plan, marker: Option<&str>, is_heard: bool) -> Result<Fresh, SpawnError> {
        let may_share = is_heard && plan.user().is_none() && shared::is_possible();
        let cell = self.verdict.stage_cell();
        let place = if may_share { Place::take(self.report.as_raw_fd(), cell) } else { None };
        let wiring = self.wire(place.as_ref()).map_err(|error| os_error(SpawnStage::Pipe, &error))?;
        let block = Box::new(block::Block::build(plan, wiring, cell, marker)?);
        let before = clock::since_boot();
        let made = maker::make(block).map_err(|error| os_error(SpawnStage::Fork, &error))?;
        let start = identity::tick_between(before, clock::since_boot());
        let Ends { out, err, mut verdict, .. } = self;
        verdict.keep(place, made.lease);
        let (stdout, stderr) = (out.daemon, err.and_then(|stream| stream.daemon));
        Ok(Fresh { pid: made.pid, pidfd: made.pidfd, verdict, start, stdout, stderr })
    }

    /// Where the child finds its ends; those that get a place are moved there.
    fn wire(&mut self, place: Option<&Place>) -> io::Result<Wiring> {
        let err = self.err.as_mut().map(|stream| &mut stream.child);
        let number = |fd: &OwnedFd, index| match place {
            Some(place) => place.put(index, fd),
            None => Ok(fd.as_raw_fd()),
        };
        let out = self.out.child.as_ref();
        let stdout = out.map(|fd| number(fd, 0)).transpose()?;
        let stderr = match err {
            None => stdout,
            Some(fd) => fd.as_ref().map(|fd| number(fd, 1)).transpose()?,
        };
        let verdict = number(&self.report, 2)?;
        let stdin = self.input.as_ref().map(AsRawFd::as_raw_fd);
        Ok(Wiring { stdin, stdout, stderr, verdict, unshare_above: place.map(Place::end) })
    }
}

/// Both ends of one stream; an absent child's end is /dev/null.
struct Stream {
    child: Option<OwnedFd>,
    daemon: Option<OwnedFd>,
}

impl Stream {
    fn open(output: Output, user: Option<&User>) -> io::Result<Stream> {
        match output {
            Output::Null => Ok(Stream { child: None, daemon: None }),
            Output::Inherit(fd) => Ok(Stream { child: Some(duplicate_above(fd, FIRST_FREE)?), daemon: None }),
            Output::Pipe => {
                let (read, write) = pipe()?;
                // Only the daemon's end: programs do not expect EAGAIN from their stdout.
                set_fresh_nonblocking(&read)?;
                give_to(&write, user)?;
                Ok(Stream { child: Some(lift(write, FIRST_FREE)?), daemon: Some(read) })
            }
        }
    }
}

/// Makes the pipe the user's own, or its program could not open /dev/stdout.
#[cfg(target_os = "linux")]
fn give_to(pipe: &OwnedFd, user: Option<&User>) -> io::Result<()> {
    use nix::unistd::{Gid, Uid, fchown};
    match user {
        Some(user) => Ok(fchown(pipe, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?),
        None => Ok(()),
    }
}

/// Elsewhere opening /dev/stdout duplicates the descriptor and asks for no permission.
#[cfg(not(target_os = "linux"))]
fn give_to(_pipe: &OwnedFd, _user: Option<&User>) -> io::Result<()> {
    Ok(())
}
