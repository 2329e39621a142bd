//! How a process comes into being. One way so far; the interface leaves room for one that shares memory until the exec.

use super::block::Block;
use super::{child, raw};
use crate::engine::message::Pid;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A new process.
pub(super) struct Made {
    pub(super) pid: Pid,
    pub(super) pidfd: Option<OwnedFd>,
}

/// Makes a process that runs [`child::run`] on a block.
pub(super) trait Maker {
    /// Returns in the parent only.
    fn make(&self, block: &mut Block) -> io::Result<Made>;
}

/// A copy of this process.
pub(super) struct Fork;

impl Maker for Fork {
    fn make(&self, block: &mut Block) -> io::Result<Made> {
        // A handler of ours that ran in the child would speak to the daemon's own pipe.
        let before = raw::block_signals().map_err(io::Error::from_raw_os_error)?;
        let made = fork(block);
        raw::set_mask(before).expect("the kernel takes back a mask that it gave");
        let (pid, pidfd) = made.map_err(io::Error::from_raw_os_error)?;
        // SAFETY: the kernel has just opened it for us alone.
        let pidfd = pidfd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        // Without a pidfd the child is watched by SIGCHLD, so failing to get one is no failure.
        Ok(Made { pid, pidfd: pidfd.or_else(|| crate::sys::watch::open_pidfd(pid).ok()) })
    }
}

fn fork(block: &mut Block) -> Result<(Pid, Option<i32>), i32> {
    // SAFETY: the child does nothing but run(), which is made for it.
    match unsafe { raw::fork_with_pidfd() } {
        Ok(None) => child::run(block),
        Ok(Some((pid, pidfd))) => return Ok((pid, Some(pidfd))),
        // Kernels that do not know of pidfds.
        Err(libc::ENOSYS | libc::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    // SAFETY: as above.
    match unsafe { libc::fork() } {
        -1 => Err(nix::errno::Errno::last_raw()),
        0 => child::run(block),
        pid => Ok((pid, None)),
    }
}
