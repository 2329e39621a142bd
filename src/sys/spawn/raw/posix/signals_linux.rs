//! Masks and dispositions past libc, whose functions leave its own two signals as they were inherited.

use nix::errno::Errno;

/// As many bytes as the kernel's set of 64 signals has.
const SET_SIZE: usize = 8;

/// Of these signals, the lowest bit being signal 1.
pub(in super::super::super) fn default_dispositions(of: u64) -> Result<(), i32> {
    // Handler, flags, restorer and mask of the kernel's own struct: all zero is SIG_DFL.
    let action = [0_u64; 4];
    let nothing = std::ptr::null_mut::<u64>();
    for signal in super::super::signals_in(of) {
        // KILL and STOP are refused, as they should be.
        // SAFETY: the kernel reads 32 bytes of zeros; the old action is not asked for.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), nothing, SET_SIZE) };
    }
    Ok(())
}

pub(in super::super::super) fn unblock_signals() -> Result<(), i32> {
    set_mask(0).map(drop)
}

/// Blocks all 64 in this thread; the mask before.
pub(in super::super::super) fn block_signals() -> Result<u64, i32> {
    set_mask(u64::MAX)
}

/// Makes this the mask of this thread; the mask before.
pub(in super::super::super) fn set_mask(mask: u64) -> Result<u64, i32> {
    let mut before = 0_u64;
    let (new, old) = (&raw const mask, &raw mut before);
    // SAFETY: the kernel reads eight bytes and writes eight bytes.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, SET_SIZE) };
    if result == -1 { Err(Errno::last_raw()) } else { Ok(before) }
}
