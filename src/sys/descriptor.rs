//! Small deeds on descriptors that several rooms of this layer share.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The result of a call that returns -1 and sets errno.
pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A pipe, its reading end first; neither end survives an exec.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: the kernel writes two descriptors into an array of two.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    #[cfg(target_vendor = "apple")]
    // SAFETY: the kernel writes two descriptors into an array of two.
    check(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so both are open and nobody else owns them.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    #[cfg(target_vendor = "apple")]
    {
        set_close_on_exec(&read)?;
        set_close_on_exec(&write)?;
    }
    Ok((read, write))
}

/// Makes reads and writes return at once.
pub(super) fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: F_GETFL takes no pointer.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes no pointer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// The same for an end of a fresh pipe, which has no flags yet that are to be kept.
pub(super) fn set_fresh_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: F_SETFL takes no pointer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok(())
}

/// Closes the descriptor at the next exec.
#[allow(dead_code)] // Only where pipes and sockets cannot be made so.
pub(super) fn set_close_on_exec(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: F_SETFD takes no pointer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(())
}

/// A second descriptor for the same open file, with a number of at least `lowest`, closed at the next exec.
pub(super) fn duplicate_above(fd: RawFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes no pointer.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: the call succeeded, so the number is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The same open file under a number of at least `lowest`.
pub(super) fn lift(fd: OwnedFd, lowest: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= lowest { Ok(fd) } else { duplicate_above(fd.as_raw_fd(), lowest) }
}

/// Reads into `buffer`; `None` if there is nothing yet.
pub(crate) fn read_now(fd: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        // SAFETY: the buffer is valid for writes of its length.
        let count = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        if let Ok(count) = usize::try_from(count) {
            return Ok(Some(count));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

    fn is_closed_on_exec(fd: &OwnedFd) -> bool {
        FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap()).contains(FdFlag::FD_CLOEXEC)
    }

    #[test]
    fn pipes_and_duplicates_do_not_survive_an_exec() {
        let (read, write) = pipe().unwrap();
        let high = duplicate_above(write.as_raw_fd(), 100).unwrap();
        assert!(high.as_raw_fd() >= 100);
        assert!([&read, &write, &high].into_iter().all(is_closed_on_exec));
        let number = high.as_raw_fd();
        assert_eq!(lift(high, 100).unwrap().as_raw_fd(), number);
    }

    #[test]
    fn only_the_end_that_was_asked_for_stops_waiting() {
        let (read, write) = pipe().unwrap();
        set_fresh_nonblocking(&read).unwrap();
        let flags = |fd: &OwnedFd| OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
        assert!(flags(&read).contains(OFlag::O_NONBLOCK) && !flags(&write).contains(OFlag::O_NONBLOCK));
        assert_eq!(read_now(&read, &mut [0; 8]).unwrap(), None);
        drop(write);
        assert_eq!(read_now(&read, &mut [0; 8]).unwrap(), Some(0));
    }
}
