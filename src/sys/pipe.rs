//! Bytes from a pipe into a file without a stop in our memory: a crash in between loses none, because they leave the pipe
//! when they are in the file.
//!
//! The twin of other systems has no such pipes, and everything is read and written.

use super::descriptor::{check, pipe, set_nonblocking};
use super::log_file::LogFile;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

/// The most bytes that can be looked at.
pub const PEEK_MAX: usize = 4096 + 1;

/// What it takes to look into pipes without reading them; one is enough for all.
#[derive(Debug, Default)]
pub struct Spyglass {
    ends: Option<(std::fs::File, OwnedFd)>,
    seen: Vec<u8>,
}

/// The reading end of a pipe.
#[derive(Debug)]
pub struct Pipe<'a> {
    fd: BorrowedFd<'a>,
    spyglass: &'a mut Spyglass,
}

impl<'a> Pipe<'a> {
    /// A pipe whose bytes can be moved.
    pub fn new(fd: BorrowedFd<'a>, spyglass: &'a mut Spyglass) -> Option<Pipe<'a>> {
        Some(Pipe { fd, spyglass })
    }

    /// How many bytes wait in it.
    pub fn waiting(&mut self) -> io::Result<usize> {
        let mut count: libc::c_int = 0;
        // SAFETY: the kernel writes one int into one.
        check(unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::FIONREAD, &mut count) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Looks at the first bytes; they stay where they are.
    pub fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        self.spyglass.look(self.fd, most.min(PEEK_MAX))
    }

    /// Moves bytes to the place where the file is written; 0 at the pipe's end.
    pub fn move_into(&mut self, file: &mut LogFile, length: usize) -> io::Result<usize> {
        let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
        let (from, to) = (self.fd.as_raw_fd(), file.as_fd().as_raw_fd());
        // SAFETY: with both offsets null the kernel uses the descriptors' own; no memory of ours is involved.
        let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), length, flags) };
        usize::try_from(moved).map_err(|_| io::Error::last_os_error())
    }
}

impl Spyglass {
    fn look(&mut self, at: BorrowedFd<'_>, most: usize) -> io::Result<&[u8]> {
        let (mut read, write) = match self.ends.take() {
            Some(ends) => ends,
            None => {
                let (read, write) = pipe()?;
                set_nonblocking(&read)?;
                (read.into(), write)
            }
        };
        // SAFETY: tee takes no pointer.
        let count = unsafe { libc::tee(at.as_raw_fd(), write.as_raw_fd(), most, libc::SPLICE_F_NONBLOCK) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.seen.resize(count, 0);
        // If this fails both ends are dropped: what stays between them would be taken for what comes next.
        read.read_exact(&mut self.seen)?;
        self.ends = Some((read, write));
        Ok(&self.seen)
    }
}

/// How many bytes a pipe holds.
pub fn capacity(pipe: &impl AsFd) -> io::Result<usize> {
    // SAFETY: F_GETPIPE_SZ takes no pointer.
    let size = check(unsafe { libc::fcntl(pipe.as_fd().as_raw_fd(), libc::F_GETPIPE_SZ) })?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Lets a pipe hold so many bytes; how many it really does then.
pub fn set_capacity(pipe: &impl AsFd, size: usize) -> io::Result<usize> {
    let size = libc::c_int::try_from(size).unwrap_or(libc::c_int::MAX);
    // SAFETY: F_SETPIPE_SZ takes no pointer.
    let size = check(unsafe { libc::fcntl(pipe.as_fd().as_raw_fd(), libc::F_SETPIPE_SZ, size) })?;
    Ok(usize::try_from(size).unwrap_or(0))
}
