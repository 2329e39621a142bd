//! Any Unix: a handler notes the signal and wakes the loop by a byte in a pipe.

use super::{HEARD, dispose, set_mask};
use crate::sys::descriptor::{pipe, read_now, set_nonblocking};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Which signals came and were not taken yet, in the order of [`HEARD`]. A full pipe can thus lose none.
static CAME: [AtomicBool; HEARD.len()] = [const { AtomicBool::new(false) }; HEARD.len()];
/// Where the handler writes; -1 while nobody listens.
static WAKE: AtomicI32 = AtomicI32::new(-1);

#[derive(Debug)]
pub(super) struct Backend {
    read: OwnedFd,
    /// Held open for the handler.
    _write: OwnedFd,
}

impl Backend {
    pub(super) fn install() -> io::Result<Backend> {
        let (read, write) = pipe()?;
        set_nonblocking(&read)?;
        set_nonblocking(&write)?;
        if WAKE.compare_exchange(-1, write.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err(io::Error::other("the signals of this process are taken already"));
        }
        let backend = Backend { read, _write: write };
        for signal in HEARD {
            dispose(signal, on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t)?;
        }
        set_mask(&[])?;
        Ok(backend)
    }

    pub(super) fn next(&mut self) -> io::Result<Option<libc::c_int>> {
        loop {
            let noted = HEARD.iter().zip(&CAME).find(|(_, came)| came.swap(false, Ordering::SeqCst));
            if let Some((signal, _)) = noted {
                return Ok(Some(*signal));
            }
            // A signal that comes from here on writes a fresh byte, so no wake-up is lost.
            if read_now(&self.read, &mut [0_u8; 64])?.is_none() {
                return Ok(None);
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        WAKE.store(-1, Ordering::SeqCst);
    }
}

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// Only what a handler may do: atomics, one write, and errno as it was before.
extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    for (signal, came) in HEARD.iter().zip(&CAME) {
        if *signal == number {
            came.store(true, Ordering::SeqCst);
        }
    }
    let wake = WAKE.load(Ordering::SeqCst);
    if wake >= 0 {
        // SAFETY: one byte from a live static; a full pipe says EAGAIN, and then the loop is awake already.
        unsafe { libc::write(wake, [0_u8].as_ptr().cast(), 1) };
    }
    Errno::set_raw(errno);
}
