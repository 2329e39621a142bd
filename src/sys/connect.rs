//! Connecting to a daemon: a connect that ends in time, and whom we are talking to.

use super::clock;
use crate::engine::time::Instant;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, sockopt};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The point after which nobody waits any more.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(timeout: Duration) -> Deadline {
        Deadline(clock::monotonic() + timeout)
    }

    /// What is left of it; an error of kind `TimedOut` when nothing is.
    pub fn left(self) -> io::Result<Duration> {
        let left = self.0.since(clock::monotonic());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Connects, also to a daemon too busy to accept, but no longer than until `deadline`.
pub fn connect(path: &Path, deadline: Deadline) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None)?;
    nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    loop {
        // Linux waits this long for room in the backlog; where it does not, the connect fails at once.
        socket::setsockopt(&fd, sockopt::SendTimeout, &time_val(deadline.left()?))?;
        match socket::connect(fd.as_raw_fd(), &address) {
            Ok(()) => return Ok(UnixStream::from(fd)),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What stands on a path on which nobody can listen, in words; `None` for a socket, and where nothing can be seen.
pub fn instead_of_a_socket(path: &Path) -> Option<&'static str> {
    let kind = std::fs::metadata(path).ok()?.file_type();
    match kind {
        _ if kind.is_socket() => None,
        _ if kind.is_file() => Some("a file"),
        _ if kind.is_dir() => Some("a folder"),
        _ if kind.is_fifo() => Some("a named pipe"),
        _ => Some("a device"),
    }
}

/// Waits until one of these has something to read, or is at its end; an error of kind `BrokenPipe` when nobody reads
/// what is written to `out` any more.
pub fn wait_readable(sources: &[BorrowedFd<'_>], out: BorrowedFd<'_>) -> io::Result<()> {
    let mut asked: Vec<PollFd<'_>> = sources.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // Asked for nothing, it tells only of its end.
    asked.push(PollFd::new(out, PollFlags::empty()));
    loop {
        match nix::poll::poll(&mut asked, PollTimeout::NONE) {
            Ok(_) if asked.last().is_some_and(|out| out.any().unwrap_or(true)) => {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Zero would mean for ever.
fn time_val(left: Duration) -> TimeVal {
    let micros = left.as_micros().max(1);
    let seconds = i32::try_from(micros / 1_000_000).unwrap_or(i32::MAX);
    TimeVal::new(seconds.into(), (micros % 1_000_000) as libc::suseconds_t)
}

/// The user on whose behalf the other end listens.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    Ok(socket::getsockopt(stream, sockopt::PeerCredentials)?.uid())
}

/// The user on whose behalf the other end listens.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    Ok(nix::unistd::getpeereid(stream)?.0.as_raw())
}

/// The user on whose behalf this process acts.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether others than the owner of the folder a socket lies in could have put it there.
pub fn folder_is_shared(socket: &Path) -> io::Result<bool> {
    let real = std::fs::canonicalize(socket)?;
    let folder = real.parent().unwrap_or(Path::new("/"));
    Ok(std::fs::metadata(folder)?.mode() & 0o022 != 0)
}
