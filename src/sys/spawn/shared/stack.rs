//! Stacks for children that share our memory: mapped, with a page below that nobody may touch, kept for the next ones.

use crate::sys::descriptor::check;
use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Far more than the steps of a child need, also in a build without optimisation.
const SIZE: usize = 32 << 10;
/// So many are kept; what a burst took beyond that goes back to the kernel.
const KEPT: usize = 32;

/// A mapping; its first page is the guard.
pub(super) struct Stack {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is a piece of memory that only its owner knows; nothing of it belongs to a thread.
unsafe impl Send for Stack {}

static POOL: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

impl Stack {
    /// One that nobody stands on.
    pub(super) fn take() -> io::Result<Stack> {
        let kept = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(Stack::map, Ok)
    }

    /// For the next child. The one that stood on it must be gone from our memory.
    pub(super) fn give_back(self) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(self);
        }
    }

    /// Of those kept one stays; a restart needs no more. Whether there were others.
    pub(super) fn keep_one() -> bool {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let had_more = pool.len() > 1;
        pool.truncate(1);
        had_more
    }

    /// Where it begins, as stacks grow downward; aligned as the calling conventions want it.
    pub(super) fn top(&self) -> *mut u8 {
        // SAFETY: one past the end of the mapping.
        unsafe { self.start.as_ptr().add(self.length) }
    }

    fn map() -> io::Result<Stack> {
        // SAFETY: takes a number and gives one.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(64 << 10);
        let length = page + SIZE.next_multiple_of(page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: an anonymous mapping wherever the kernel likes; nothing is replaced.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let stack = Stack { start, length };
        // SAFETY: all of the mapping but its first page, and nobody uses it yet.
        let usable = unsafe { start.as_ptr().add(page) };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: as above.
        check(unsafe { libc::mprotect(usable.cast(), length - page, access) })?;
        Ok(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole of our own mapping; nobody stands on it, or it would not be dropped.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
