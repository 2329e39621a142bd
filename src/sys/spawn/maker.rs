//! How a process comes into being: as a copy of this one, or, where the kernel is good for it, in its memory.

use super::block::Block;
use super::shared::Lease;
use super::{child, raw, shared};
use crate::engine::message::Pid;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A new process.
pub(super) struct Made {
    pub(super) pid: Pid,
    pub(super) pidfd: Option<OwnedFd>,
    /// To be kept until it is gone from our memory.
    pub(super) lease: Option<Lease>,
}

/// Makes a process that runs [`child::run`] on a block. Returns in the parent only.
pub(super) fn make(block: Box<Block>) -> io::Result<Made> {
    // A handler of ours that ran in the child would speak to the daemon's own pipe.
    let before = raw::block_signals().map_err(io::Error::from_raw_os_error)?;
    let made = with_signals_blocked(block);
    raw::set_mask(before).expect("the kernel takes back a mask that it gave");
    made.map_err(io::Error::from_raw_os_error)
}

fn with_signals_blocked(block: Box<Block>) -> Result<Made, i32> {
    if !shared::suits(&block) {
        return fork(&block);
    }
    match shared::make(block) {
        Ok((pid, pidfd, lease)) => Ok(made(pid, pidfd, Some(lease))),
        Err((libc::ENOSYS | libc::EINVAL, block)) => fork(&block),
        Err((errno, _)) => Err(errno),
    }
}

/// A copy of this process. The block is copied with it, so nothing is kept for the child.
fn fork(block: &Block) -> Result<Made, i32> {
    let (pid, pidfd) = match copy(block) {
        Err(libc::ENOSYS | libc::EINVAL) => (copy_by_libc(block)?, raw::UNTOLD),
        other => other?,
    };
    Ok(made(pid, pidfd, None))
}

fn made(pid: Pid, pidfd: RawFd, lease: Option<Lease>) -> Made {
    // SAFETY: the kernel has just opened it for us alone.
    let told = (pidfd != raw::UNTOLD).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    // Without a pidfd the child is watched by SIGCHLD, so failing to get one is no failure.
    Made { pid, pidfd: told.or_else(|| crate::sys::watch::open_pidfd(pid).ok()), lease }
}

fn copy(block: &Block) -> Result<(Pid, RawFd), i32> {
    // SAFETY: the child does nothing but run(), which is made for it.
    match unsafe { raw::fork_with_pidfd() }? {
        None => child::run(block),
        Some(made) => Ok(made),
    }
}

/// For kernels that do not know of pidfds.
fn copy_by_libc(block: &Block) -> Result<Pid, i32> {
    // SAFETY: the child does nothing but run(), which is made for it.
    match unsafe { libc::fork() } {
        -1 => Err(nix::errno::Errno::last_raw()),
        0 => child::run(block),
        pid => Ok(pid),
    }
}
