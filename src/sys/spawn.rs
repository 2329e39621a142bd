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
mod verdict;

pub use environment::Inherited;
pub use failure::{classify, describe};
pub use plan::{Plan, resolve_user};
pub use verdict::{Verdict, VerdictRead};

use super::descriptor::{duplicate_above, lift, pipe, set_nonblocking};
use super::user::User;
use crate::engine::message::{Pid, SpawnError, SpawnStage};
use block::Wiring;
use failure::os_error;
use maker::{Fork, Maker};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

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
    /// Reading end of its stdout, if that is a pipe.
    pub stdout: Option<OwnedFd>,
    /// Reading end of its stderr, if that is a pipe of its own.
    pub stderr: Option<OwnedFd>,
}

/// The first number that the child's preparations leave alone: 0, 1, 2 are its stdio, 3 its verdict.
const FIRST_FREE: RawFd = 4;

/// Makes a child. `marker` becomes `SUPERVICE_RUN` in its environment, by which a later daemon knows it.
pub fn spawn(plan: &Plan, stdout: Output, stderr: ErrorOutput, marker: Option<&str>) -> Result<Fresh, SpawnError> {
    let out = Stream::open(stdout, plan.user()).map_err(|error| os_error(SpawnStage::Pipe, &error))?;
    let err = match stderr {
        ErrorOutput::SameAsStdout => None,
        ErrorOutput::Separate(output) => {
            Some(Stream::open(output, plan.user()).map_err(|error| os_error(SpawnStage::Pipe, &error))?)
        }
    };
    let (verdict, report) = Verdict::open().map_err(|error| os_error(SpawnStage::Pipe, &error))?;
    let child_out = out.child.as_ref().map(AsRawFd::as_raw_fd);
    let child_err = match &err {
        None => child_out,
        Some(stream) => stream.child.as_ref().map(AsRawFd::as_raw_fd),
    };
    let wiring = Wiring { stdout: child_out, stderr: child_err, verdict: report.as_raw_fd() };
    let mut block = block::Block::build(plan, wiring, verdict.stage_cell(), marker)?;
    let made = Fork.make(&mut block).map_err(|error| os_error(SpawnStage::Fork, &error))?;
    Ok(Fresh {
        pid: made.pid,
        pidfd: made.pidfd,
        verdict,
        stdout: out.daemon,
        stderr: err.and_then(|stream| stream.daemon),
    })
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
                set_nonblocking(&read)?;
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
