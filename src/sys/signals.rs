//! Signals to the daemon, as values that come out of a descriptor.
//!
//! Whatever mask and dispositions the daemon was started with, afterwards they are ours: a daemon started with SIGTERM
//! blocked or SIGCHLD ignored behaves as any other.

#[cfg_attr(all(target_os = "linux", not(feature = "portable")), path = "signals/signalfd.rs")]
#[cfg_attr(not(all(target_os = "linux", not(feature = "portable"))), path = "signals/self_pipe.rs")]
mod backend;

use super::descriptor::check;
use crate::engine::message::Signal;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a signal asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// SIGTERM or SIGINT.
    Terminate(Signal),
    /// SIGHUP.
    Hangup,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGCHLD: somebody died or stopped; how many is not told.
    Child,
}

/// What lets a stopped process hear anything but SIGKILL.
pub const CONTINUE: Signal = Signal(libc::SIGCONT as u8);

/// Those that become arrivals.
const HEARD: [libc::c_int; 6] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGCHLD];

/// A broken pipe or a full disk is an error of that write, not the end of the daemon.
const IGNORED: [libc::c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// The daemon's ear. One per process; for the main thread.
#[derive(Debug)]
pub struct Signals {
    backend: backend::Backend,
}

impl Signals {
    /// Takes over the mask and the dispositions.
    pub fn install() -> io::Result<Signals> {
        for signal in IGNORED {
            dispose(signal, libc::SIG_IGN)?;
        }
        Ok(Signals { backend: backend::Backend::install()? })
    }

    /// The next signal that came; `None` if there is none now.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<Arrival>> {
        while let Some(number) = self.backend.next()? {
            if let Some(arrival) = arrival(number) {
                return Ok(Some(arrival));
            }
        }
        Ok(None)
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.backend.as_fd().as_raw_fd()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.backend.as_fd()
    }
}

fn arrival(number: libc::c_int) -> Option<Arrival> {
    match number {
        libc::SIGTERM | libc::SIGINT => Some(Arrival::Terminate(Signal(u8::try_from(number).ok()?))),
        libc::SIGHUP => Some(Arrival::Hangup),
        libc::SIGUSR1 => Some(Arrival::User1),
        libc::SIGUSR2 => Some(Arrival::User2),
        libc::SIGCHLD => Some(Arrival::Child),
        _ => None,
    }
}

/// Sets what a signal does when nobody hears it as an arrival, or the handler that hears it.
fn dispose(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed sigaction is valid: no flags, an empty mask.
    let mut action = unsafe {
        let action = action.as_mut_ptr();
        libc::sigemptyset(&mut (*action).sa_mask);
        *action
    };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is complete, and the handler is SIG_DFL, SIG_IGN or an async-signal-safe function.
    check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) })?;
    ALTERED.store(NOT_KNOWN, Ordering::SeqCst);
    Ok(())
}

/// What [`altered`] found; all of them as long as nobody looked.
static ALTERED: AtomicU64 = AtomicU64::new(NOT_KNOWN);
const NOT_KNOWN: u64 = u64::MAX;

/// The signals that may not have their default disposition, the lowest bit for signal 1: what a child has to set back.
/// Looked up once, and again after a change of ours; nobody else changes one.
pub(super) fn altered() -> u64 {
    let known = ALTERED.load(Ordering::SeqCst);
    if known != NOT_KNOWN {
        return known;
    }
    let found = (1..=64).filter(|signal| !is_default(*signal)).fold(0, |set, signal| set | 1 << (signal - 1));
    ALTERED.store(found, Ordering::SeqCst);
    found
}

/// Libc does not tell of those it keeps for itself, which may have been inherited in any state.
fn is_default(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed; the kernel writes one sigaction into memory that is one.
    let answer = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed is a valid sigaction.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

/// The set of the given signals.
fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigemptyset makes the set valid before anything is added or read.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// Makes `blocked` the whole mask of this thread.
fn set_mask(blocked: &[libc::c_int]) -> io::Result<()> {
    let set = set_of(blocked);
    // SAFETY: the set is valid, and the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_altered_is_known_after_each_change() {
        let of = |signal: libc::c_int| altered() >> (signal - 1) & 1 == 1;
        let before = altered();
        assert!(!of(libc::SIGWINCH) && !of(libc::SIGKILL));
        dispose(libc::SIGWINCH, libc::SIG_IGN).unwrap();
        assert!(of(libc::SIGWINCH));
        dispose(libc::SIGWINCH, libc::SIG_DFL).unwrap();
        assert_eq!(altered(), before);
    }
}
