//! Linux on x86-64 and aarch64, by instruction.

use core::arch::asm;
use core::cell::Cell;
use core::ffi::{c_char, c_long, c_void};
use core::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::OnceLock;

/// One system call with up to five arguments.
///
/// # Safety
/// Pointers among the arguments must be valid for what this call does with them.
unsafe fn call(number: c_long, arguments: [usize; 5]) -> Result<usize, i32> {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel's convention; it keeps all registers but those named.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    // SAFETY: the kernel's convention; it keeps all registers but x0.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack),
        );
    }
    if (-4095..0).contains(&result) { Err(result.wrapping_neg() as i32) } else { Ok(result as usize) }
}

/// A call whose arguments are numbers only.
fn numbers(number: c_long, arguments: [usize; 5]) -> Result<usize, i32> {
    // SAFETY: every caller in this file passes numbers and no pointers.
    unsafe { call(number, arguments) }
}

/// `None` where the kernel closes a range by itself (since 5.9).
pub(in super::super) fn close_up_to() -> Option<RawFd> {
    if range_closes().is_ok() { None } else { Some(super::highest_open()) }
}

/// What the kernel says to a range in which nothing is open; asked once.
fn range_closes() -> Result<(), i32> {
    static ANSWER: OnceLock<Result<(), i32>> = OnceLock::new();
    let last = u32::MAX as usize;
    *ANSWER.get_or_init(|| numbers(libc::SYS_close_range, [last, last, 0, 0, 0]).map(drop))
}

pub(in super::super) fn new_session() -> Result<(), i32> {
    numbers(libc::SYS_setsid, [0; 5]).map(drop)
}

/// Of these signals, the lowest bit being signal 1; for KILL and STOP the kernel says no, as it should.
pub(in super::super) fn default_dispositions(of: u64) -> Result<(), i32> {
    // Handler, flags, restorer and mask of the kernel's own struct: all zero is SIG_DFL.
    let action = [0_u64; 4];
    for signal in super::signals_in(of) {
        // SAFETY: the kernel reads 32 bytes of zeros; the old action is not asked for.
        let _ = unsafe { call(libc::SYS_rt_sigaction, [signal as usize, action.as_ptr() as usize, 0, 8, 0]) };
    }
    Ok(())
}

pub(in super::super) fn open_null() -> Result<RawFd, i32> {
    let here = libc::AT_FDCWD as usize;
    // SAFETY: the path ends in NUL.
    let fd = unsafe { call(libc::SYS_openat, [here, c"/dev/null".as_ptr() as usize, libc::O_RDWR as usize, 0, 0]) };
    fd.map(|fd| fd as RawFd)
}

pub(in super::super) fn place(from: RawFd, to: RawFd, close_on_exec: bool) -> Result<(), i32> {
    if from == to {
        return Ok(());
    }
    let flags = if close_on_exec { libc::O_CLOEXEC as usize } else { 0 };
    numbers(libc::SYS_dup3, [from as usize, to as usize, flags, 0, 0]).map(drop)
}

pub(in super::super) fn close_from(first: RawFd, up_to: Option<RawFd>) -> Result<(), i32> {
    let Some(last) = up_to else {
        return numbers(libc::SYS_close_range, [first as usize, u32::MAX as usize, 0, 0, 0]).map(drop);
    };
    for fd in first..=last {
        // Most of the numbers are not open; nothing else can go wrong that closing again would mend.
        let _ = numbers(libc::SYS_close, [fd as usize, 0, 0, 0, 0]);
    }
    Ok(())
}

/// Takes a copy of a table of descriptors that was shared; what is at `first` and above is not in it.
pub(in super::super) fn unshare_descriptors(first: RawFd) -> Result<(), i32> {
    let flags = libc::CLOSE_RANGE_UNSHARE as usize;
    numbers(libc::SYS_close_range, [first as usize, u32::MAX as usize, flags, 0, 0]).map(drop)
}

/// Whether that call is there at all: a filter of system calls may be older than the kernel.
pub(in super::super) fn may_unshare() -> bool {
    !matches!(range_closes(), Err(libc::ENOSYS | libc::EPERM | libc::EACCES))
}

pub(in super::super) fn set_nofile(soft: u64, hard: u64) -> Result<(), i32> {
    let limit = [soft, hard];
    let arguments = [0, libc::RLIMIT_NOFILE as usize, limit.as_ptr() as usize, 0, 0];
    // SAFETY: the kernel reads two 64-bit numbers; the old limit is not asked for.
    unsafe { call(libc::SYS_prlimit64, arguments) }.map(drop)
}

/// How high this process may set it.
pub(in super::super) fn hard_nofile() -> Result<u64, i32> {
    let mut limit = [0_u64; 2];
    let arguments = [0, libc::RLIMIT_NOFILE as usize, 0, limit.as_mut_ptr() as usize, 0];
    // SAFETY: the kernel writes two 64-bit numbers, and reads no new limit.
    unsafe { call(libc::SYS_prlimit64, arguments) }?;
    let [_, hard] = limit;
    Ok(hard)
}

pub(in super::super) fn set_groups(groups: &[u32]) -> Result<(), i32> {
    // SAFETY: the kernel reads as many 32-bit numbers as the slice has.
    unsafe { call(libc::SYS_setgroups, [groups.len(), groups.as_ptr() as usize, 0, 0, 0]) }.map(drop)
}

pub(in super::super) fn set_gid(gid: u32) -> Result<(), i32> {
    numbers(libc::SYS_setresgid, [gid as usize, gid as usize, gid as usize, 0, 0]).map(drop)
}

pub(in super::super) fn set_uid(uid: u32) -> Result<(), i32> {
    numbers(libc::SYS_setresuid, [uid as usize, uid as usize, uid as usize, 0, 0]).map(drop)
}

pub(in super::super) fn become_root() -> Result<(), i32> {
    numbers(libc::SYS_setuid, [0; 5]).map(drop)
}

/// Real, effective and saved.
pub(in super::super) fn ids_are(uid: u32, gid: u32) -> bool {
    triple(libc::SYS_getresuid) == Ok([uid; 3]) && triple(libc::SYS_getresgid) == Ok([gid; 3])
}

fn triple(number: c_long) -> Result<[u32; 3], i32> {
    let (mut a, mut b, mut c) = (0_u32, 0_u32, 0_u32);
    // SAFETY: the kernel writes one 32-bit number to each.
    unsafe { call(number, [&raw mut a as usize, &raw mut b as usize, &raw mut c as usize, 0, 0]) }?;
    Ok([a, b, c])
}

pub(in super::super) fn groups(into: &[Cell<u32>]) -> Result<usize, i32> {
    // SAFETY: the kernel writes at most as many 32-bit numbers as the slice has, and cells may be written through it.
    unsafe { call(libc::SYS_getgroups, [into.len(), into.as_ptr() as usize, 0, 0, 0]) }
}

pub(in super::super) fn no_new_privs() -> Result<(), i32> {
    numbers(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]).map(drop)
}

pub(in super::super) fn die_with_parent() -> Result<(), i32> {
    numbers(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0]).map(drop)
}

pub(in super::super) fn parent() -> i32 {
    numbers(libc::SYS_getppid, [0; 5]).map_or(-1, |pid| pid as i32)
}

pub(in super::super) fn change_directory(path: *const c_char) -> Result<(), i32> {
    // SAFETY: the path ends in NUL (a plan's own).
    unsafe { call(libc::SYS_chdir, [path as usize, 0, 0, 0, 0]) }.map(drop)
}

pub(in super::super) fn set_umask(mask: u32) {
    let _ = numbers(libc::SYS_umask, [mask as usize, 0, 0, 0, 0]);
}

pub(in super::super) fn unblock_signals() -> Result<(), i32> {
    set_mask(0).map(drop)
}

/// Blocks all 64, libc's own too, in this thread; the mask before.
pub(in super::super) fn block_signals() -> Result<u64, i32> {
    set_mask(u64::MAX)
}

/// Makes this the mask of this thread; the mask before.
pub(in super::super) fn set_mask(mask: u64) -> Result<u64, i32> {
    let mut before = 0_u64;
    let arguments = [libc::SIG_SETMASK as usize, &raw const mask as usize, &raw mut before as usize, 8, 0];
    // SAFETY: the kernel reads eight bytes and writes eight bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, arguments) }?;
    Ok(before)
}

/// Type and permissions of what a path leads to.
pub(in super::super) fn file_mode(path: *const c_char) -> Result<u32, i32> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    let arguments = [libc::AT_FDCWD as usize, path as usize, stat.as_mut_ptr() as usize, 0, 0];
    // SAFETY: the path ends in NUL (a plan's own), and libc's struct is the kernel's on these machines.
    unsafe { call(libc::SYS_newfstatat, arguments) }?;
    // SAFETY: zeroed is a valid stat, and the call succeeded.
    Ok(unsafe { stat.assume_init() }.st_mode)
}

/// Returns only the error.
pub(in super::super) fn execute(
    path: *const c_char,
    argv: *const *const c_char,
    environment: *const *const c_char,
) -> i32 {
    // SAFETY: the path ends in NUL, both arrays in null; all live in the block.
    let result = unsafe { call(libc::SYS_execve, [path as usize, argv as usize, environment as usize, 0, 0]) };
    result.err().unwrap_or(0)
}

/// There is nobody left to tell of a failure.
pub(in super::super) fn write(fd: RawFd, bytes: &[u8]) {
    // SAFETY: the kernel reads as many bytes as the slice has.
    let _ = unsafe { call(libc::SYS_write, [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0]) };
}

pub(in super::super) fn exit(code: i32) -> ! {
    loop {
        let _ = numbers(libc::SYS_exit_group, [code as usize, 0, 0, 0, 0]);
    }
}

/// Copies this process, with a pidfd that is there before the copy can be gone, or [`UNTOLD`](super::UNTOLD). `Ok(None)` in
/// the child.
///
/// # Safety
/// The child may only do what a child of a process with threads may do.
pub(in super::super) unsafe fn fork_with_pidfd() -> Result<Option<(i32, RawFd)>, i32> {
    let mut pidfd = super::UNTOLD;
    let flags = (libc::CLONE_PIDFD | libc::SIGCHLD) as usize;
    // SAFETY: no memory is shared and no stack given, so this is a fork; the kernel writes the pidfd.
    let pid = unsafe { call(libc::SYS_clone, [flags, 0, &raw mut pidfd as usize, 0, 0]) }?;
    if pid == 0 { Ok(None) } else { Ok(Some((pid as i32, pidfd))) }
}

/// Makes a process that shares our memory, and our descriptors if asked to, with a pidfd or [`UNTOLD`](super::UNTOLD).
/// It runs `enter` on the stack below `top`.
///
/// # Safety
/// `top` is aligned to sixteen, and what is below it belongs to the child, as `argument` does, until it is gone from our
/// memory. `enter` does only what a process may do that shares thread-local memory with the thread that made it.
pub(in super::super) unsafe fn clone_sharing(
    top: *mut u8,
    shares_descriptors: bool,
    enter: unsafe extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> Result<(i32, RawFd), i32> {
    let files = if shares_descriptors { libc::CLONE_FILES } else { 0 };
    let flags = (libc::CLONE_VM | libc::CLONE_PIDFD | files | libc::SIGCHLD) as usize;
    let mut pidfd = super::UNTOLD;
    let pidfd_place = &raw mut pidfd;
    let result: isize;
    // SAFETY: the parent goes on at the label with all registers but those named; the child finds itself on its own
    // stack with copies of the registers, and never comes back from the call. The kernel writes the pidfd for us.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags, in("rsi") top, in("rdx") pidfd_place, in("r10") 0_usize, in("r8") 0_usize,
            in("r12") enter, in("r13") argument,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x21",
            "blr x20",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone as usize,
            inlateout("x0") flags => result,
            in("x1") top, in("x2") pidfd_place, in("x3") 0_usize, in("x4") 0_usize,
            in("x20") enter, in("x21") argument,
        );
    }
    if result < 0 { Err(result.wrapping_neg() as i32) } else { Ok((result as i32, pidfd)) }
}

/// Whether valgrind runs us, by the instructions it has set aside for this question; they do nothing elsewhere.
pub(in super::super) fn is_on_valgrind() -> bool {
    // The number of the question; its five arguments are not used.
    let question = [0x1001_usize, 0, 0, 0, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: turns one register all the way round and swaps another with itself; valgrind reads six numbers.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51",
            "xchg rbx, rbx",
            inout("rdi") 0_usize => _, in("rax") question.as_ptr(), inout("rdx") answer,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "ror x12, x12, #3", "ror x12, x12, #13", "ror x12, x12, #51", "ror x12, x12, #61",
            "orr x10, x10, x10",
            inout("x12") 0_usize => _, in("x4") question.as_ptr(), inout("x3") answer,
        );
    }
    answer != 0
}
