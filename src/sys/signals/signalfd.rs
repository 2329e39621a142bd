//! Linux: blocked signals are read from a signalfd.

use super::{HEARD, dispose, set_mask, set_of};
use crate::sys::descriptor::{check, read_now};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

#[derive(Debug)]
pub(super) struct Backend {
    fd: OwnedFd,
}

impl Backend {
    pub(super) fn install() -> io::Result<Backend> {
        // An inherited SIG_IGN for SIGCHLD would let the kernel reap our children unseen.
        for signal in HEARD {
            dispose(signal, libc::SIG_DFL)?;
        }
        set_mask(&HEARD)?;
        let set = set_of(&HEARD);
        // SAFETY: the set is valid; -1 asks for a new descriptor.
        let fd = check(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        // SAFETY: the call succeeded, so the number is open and nobody else owns it.
        Ok(Backend { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<libc::c_int>> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut bytes = [0_u8; SIZE];
        let Some(count) = read_now(&self.fd, &mut bytes)? else { return Ok(None) };
        if count != SIZE {
            return Err(io::Error::other("a signalfd gave a part of a record"));
        }
        let mut record = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: both are SIZE bytes long, and every pattern of bytes is a valid record of integers.
        let record = unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), record.as_mut_ptr().cast::<u8>(), SIZE);
            record.assume_init()
        };
        Ok(libc::c_int::try_from(record.ssi_signo).ok())
    }
}

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
