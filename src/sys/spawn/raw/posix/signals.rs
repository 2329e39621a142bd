//! Masks and dispositions by libc.

use std::mem::MaybeUninit;

/// Of these signals, the lowest bit being signal 1.
pub(in super::super::super) fn default_dispositions(of: u64) -> Result<(), i32> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroed with an empty mask is SIG_DFL without flags.
    unsafe { libc::sigemptyset(&mut (*action.as_mut_ptr()).sa_mask) };
    for signal in super::super::signals_in(of) {
        // KILL, STOP and numbers that do not exist are refused, as they should be.
        // SAFETY: the action is complete; the old one is not asked for.
        unsafe { libc::sigaction(signal as libc::c_int, action.as_ptr(), std::ptr::null_mut()) };
    }
    Ok(())
}

pub(in super::super::super) fn unblock_signals() -> Result<(), i32> {
    let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigemptyset makes the set valid.
    let none = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        none.assume_init()
    };
    set_mask(none).map(drop)
}

/// Blocks all that can be blocked, in this thread; the mask before.
pub(in super::super::super) fn block_signals() -> Result<libc::sigset_t, i32> {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigfillset makes the set valid.
    let all = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        all.assume_init()
    };
    set_mask(all)
}

/// Makes this the mask of this thread; the mask before.
pub(in super::super::super) fn set_mask(mask: libc::sigset_t) -> Result<libc::sigset_t, i32> {
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are valid for the call.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &mask, before.as_mut_ptr()) } {
        // SAFETY: the call succeeded, so the set is written.
        0 => Ok(unsafe { before.assume_init() }),
        errno => Err(errno),
    }
}
