//! The maker of children that share our memory until their exec: nothing is copied, so it costs the same in a small and in
//! a large daemon, and it does not wait for the exec as a vfork would.
//!
//! # Why this is sound
//!
//! The child runs beside us in the same memory, as a thread would, but it is a process: killing it, also by a signal that
//! dumps core, ends it alone (since Linux 5.16; before, a core dump took all processes that share the memory).
//!
//! - *Its stack* is its own, with a guard page, and so is its [`Block`], which owns everything it points to. Both stay in
//!   the [`Lease`] until the end of the verdict pipe. The kernel closes the pipe after it let go of the old memory, in exec
//!   as in exit, so at the end of the pipe nobody stands there. The eight bytes of a failure are not the end: their writer
//!   is still on its stack. A child that hangs in its exec keeps its lease.
//! - *Its code* ([`child::run`]) makes system calls by instruction and nothing else: libc's functions would write the
//!   errno of the thread that spawns, because both have the same thread-local memory. It allocates, drops, formats and
//!   locks nothing, and nothing in it can panic. What it writes in memory: its stack, and its stage, which is atomic.
//! - *Nobody writes to its block* while it is leased; we only keep it.
//! - *The kernel* gives it its own signal table, working directory, umask, limits and credentials. It clears what a thread
//!   has registered by address (robust list, restartable sequences, the number to clear at exit). All signals are blocked
//!   until the child has reset its dispositions, so no handler of ours runs in it.
//! - *What belongs to the memory* is never touched: a switch of user would make the daemon's memory undumpable, or readable
//!   for that user once it is set back. So a child with a switch of user is forked.
//! - *Descriptors* are a copy of ours, as in a fork; or our own, where it has a [`Place`]: then its first act
//!   is to take a copy, and until it says that it has one, we leave its descriptors alone.

mod places;
mod stack;

pub(super) use places::Place;
pub use places::{has_place, reserve_places, reserved};

use super::block::Block;
use super::{child, raw};
use crate::engine::message::Pid;
use stack::Stack;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a child stands on while it shares our memory. To be dropped at the end of its verdict pipe and not before.
pub(super) struct Lease {
    stack: Option<Stack>,
    /// From a box. No reference to it is made while the child may read it.
    block: NonNull<Block>,
}

// SAFETY: the block's pointers lead to what the block itself owns; stack and block belong to no thread.
unsafe impl Send for Lease {}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(stack) = self.stack.take() {
            stack.give_back();
        }
        // SAFETY: it came from a box, and is given back only here.
        drop(unsafe { Box::from_raw(self.block.as_ptr()) });
    }
}

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on every child is forked.
pub(super) fn forbid() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// Whether a child of this block may be made so.
pub(super) fn suits(block: &Block) -> bool {
    block.switch.is_none() && is_possible()
}

/// Whether any child may be made so.
pub(super) fn is_possible() -> bool {
    !FORBIDDEN.load(Ordering::Relaxed) && is_available()
}

fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    // Valgrind knows clones that are threads, forks or vforks, and this is none of them.
    *AVAILABLE.get_or_init(|| kernel_is_new_enough() && !raw::is_on_valgrind())
}

fn kernel_is_new_enough() -> bool {
    let Ok(name) = nix::sys::utsname::uname() else { return false };
    version(&name.release().to_string_lossy()).is_some_and(|version| version >= (5, 16))
}

/// The first two numbers of `5.16.0-rc1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|sign: char| !sign.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// After a burst, which it tells: what was kept for the children of the next is given back.
pub fn rest() -> bool {
    Stack::keep_one()
}

/// Makes the process. `Err` gives the block back with the error number.
pub(super) fn make(block: Box<Block>) -> Result<(Pid, RawFd, Lease), (i32, Box<Block>)> {
    let stack = match Stack::take() {
        Ok(stack) => stack,
        Err(error) => return Err((error.raw_os_error().unwrap_or(libc::ENOMEM), block)),
    };
    let shares_descriptors = block.wiring.unshare_above.is_some();
    let block = NonNull::from(Box::leak(block));
    // SAFETY: `enter` runs on a stack that nobody else stands on, with a block that nobody writes to; both go into the
    // lease below, or are taken back when there is no child. The rest is told at the top of this file.
    let made = unsafe { raw::clone_sharing(stack.top(), shares_descriptors, enter, block.as_ptr().cast()) };
    match made {
        Ok((pid, pidfd)) => Ok((pid, pidfd, Lease { stack: Some(stack), block })),
        Err(errno) => {
            stack.give_back();
            // SAFETY: it was a box a few lines above, and there is no child that reads it.
            Err((errno, unsafe { Box::from_raw(block.as_ptr()) }))
        }
    }
}

/// The first function of the child.
unsafe extern "C" fn enter(argument: *mut core::ffi::c_void) -> ! {
    // SAFETY: `make` passes a block that stays where it is, and is not written to, until this process is gone from it.
    child::run(unsafe { &*argument.cast::<Block>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_kernels_name_themselves() {
        for (text, found) in [
            ("6.18.44-fc-v657", Some((6, 18))),
            ("5.16.0", Some((5, 16))),
            ("5.4", Some((5, 4))),
            ("4.19-rt", Some((4, 19))),
            ("6", None),
            ("", None),
            ("linux", None),
        ] {
            assert_eq!(version(text), found, "{text}");
        }
    }
}
