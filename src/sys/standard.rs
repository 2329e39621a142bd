//! The daemon's own stdout and stderr as a place to write to without ever waiting.
//!
//! The descriptor was inherited, and others share its description: it is never switched to non-blocking. A description of
//! our own is made where the system can; elsewhere the descriptor is asked first and given no more than it takes for certain.

use super::files::FileKind;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::MsgFlags;
use nix::sys::stat::fstat;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An inherited stream.
#[derive(Debug)]
pub struct Standard {
    fd: OwnedFd,
    manner: Manner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// A disk, or a description of our own that does not block.
    Straight,
    /// /dev/null: what is written there is gone, also if it is not written.
    Nowhere,
    /// One write for each time it says that it has room.
    Asking,
    /// The call itself can be told not to wait.
    Socket,
}

/// What a pipe that says it has room takes whole.
const SURE_BYTES: usize = libc::PIPE_BUF;

impl Standard {
    /// The daemon's stdout.
    pub fn stdout() -> io::Result<Standard> {
        Standard::over(io::stdout().as_fd())
    }

    /// The daemon's stderr.
    pub fn stderr() -> io::Result<Standard> {
        Standard::over(io::stderr().as_fd())
    }

    /// Over a copy of any descriptor.
    pub fn over(inherited: BorrowedFd<'_>) -> io::Result<Standard> {
        let found = fstat(inherited)?;
        let kind = FileKind::of(&found);
        let copy = || inherited.try_clone_to_owned();
        let (fd, manner) = match kind {
            // The offset is shared with whoever redirected us, so it must be the same description.
            FileKind::Regular => (copy()?, Manner::Straight),
            FileKind::Socket => (copy()?, Manner::Socket),
            FileKind::Device if is_null(found.st_rdev) => (copy()?, Manner::Nowhere),
            FileKind::Pipe | FileKind::Device => match own_description(inherited) {
                Some(fd) => (fd, Manner::Straight),
                None => (copy()?, Manner::Asking),
            },
            FileKind::Link | FileKind::Folder | FileKind::Other => return Err(Errno::EINVAL.into()),
        };
        Ok(Standard { fd, manner })
    }

    /// Writes as much as goes in without waiting; WouldBlock if nothing does.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.manner {
            Manner::Straight => nix::unistd::write(&self.fd, bytes),
            Manner::Nowhere => Ok(bytes.len()),
            Manner::Socket => nix::sys::socket::send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT),
            Manner::Asking => self.ask_and_write(bytes),
        };
        Ok(written?)
    }

    fn ask_and_write(&self, bytes: &[u8]) -> nix::Result<usize> {
        let mut asked = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
        if nix::poll::poll(&mut asked, PollTimeout::ZERO)? == 0 {
            return Err(Errno::EAGAIN);
        }
        nix::unistd::write(&self.fd, bytes.get(..SURE_BYTES).unwrap_or(bytes))
    }
}

/// Whether it is /dev/null.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_null(device: libc::dev_t) -> bool {
    device == libc::makedev(1, 3)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_null(_device: libc::dev_t) -> bool {
    false
}

/// The same pipe or terminal, opened once more. Not for devices that are no terminal: opening some has effects of its own.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn own_description(inherited: BorrowedFd<'_>) -> Option<OwnedFd> {
    use nix::fcntl::OFlag;
    use nix::sys::stat::Mode;
    let kind = FileKind::of(&fstat(inherited).ok()?);
    let fit = kind == FileKind::Pipe || nix::unistd::isatty(inherited).unwrap_or(false);
    let path = format!("/proc/self/fd/{}", inherited.as_raw_fd());
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    if fit { nix::fcntl::open(path.as_str(), flags, Mode::empty()).ok() } else { None }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn own_description(_inherited: BorrowedFd<'_>) -> Option<OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_full_pipe_that_is_asked_says_so_instead_of_blocking() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut standard = Standard { fd: write, manner: Manner::Asking };
        let mut written = 0;
        let error = loop {
            match standard.write(&[b'x'; 3 * SURE_BYTES]) {
                Ok(taken) => {
                    assert!(taken <= SURE_BYTES);
                    written += taken;
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut buffer = vec![0; SURE_BYTES];
        std::fs::File::from(read).read_exact(&mut buffer).unwrap();
        assert!(written >= SURE_BYTES);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_dev_null_is_known_to_take_everything() {
        let over = |path: &str| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            Standard::over(file.as_fd()).unwrap()
        };
        let mut null = over("/dev/null");
        assert_eq!((null.manner, null.write(b"gone").unwrap()), (Manner::Nowhere, 4));
        let mut full = over("/dev/full");
        assert_eq!((full.manner, full.write(b"lost").is_err()), (Manner::Asking, true));
    }

    #[test]
    fn a_folder_is_no_stream() {
        let folder = std::fs::File::open("/").unwrap();
        assert!(Standard::over(folder.as_fd()).is_err());
    }
}
