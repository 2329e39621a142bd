//! Any Unix, by those of libc's functions that a child of a fork may call.

#[cfg_attr(target_os = "linux", path = "posix/signals_linux.rs")]
mod signals;
pub(in super::super) use signals::{block_signals, default_dispositions, set_mask, unblock_signals};

use nix::errno::Errno;
use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

fn outcome(result: c_int) -> Result<c_int, i32> {
    if result == -1 { Err(Errno::last_raw()) } else { Ok(result) }
}

/// `None` where the system closes a range by itself.
pub(in super::super) fn close_up_to() -> Option<RawFd> {
    if cfg!(target_os = "freebsd") { None } else { Some(super::highest_open()) }
}

pub(in super::super) fn new_session() -> Result<(), i32> {
    // SAFETY: takes no pointer.
    outcome(unsafe { libc::setsid() }).map(drop)
}

pub(in super::super) fn open_null() -> Result<RawFd, i32> {
    // SAFETY: the path ends in NUL.
    outcome(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })
}

pub(in super::super) fn place(from: RawFd, to: RawFd, close_on_exec: bool) -> Result<(), i32> {
    // SAFETY: takes no pointer.
    outcome(unsafe { libc::dup2(from, to) })?;
    if close_on_exec {
        // SAFETY: F_SETFD takes no pointer.
        outcome(unsafe { libc::fcntl(to, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    Ok(())
}

pub(in super::super) fn close_from(first: RawFd, up_to: Option<RawFd>) -> Result<(), i32> {
    #[cfg(target_os = "freebsd")]
    // SAFETY: takes no pointer, and nothing in this child uses these descriptors any more.
    unsafe {
        libc::closefrom(first)
    };
    for fd in first..=up_to.unwrap_or(-1) {
        // Most of the numbers are not open; nothing else can go wrong that closing again would mend.
        // SAFETY: takes no pointer, and nothing in this child uses these descriptors any more.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// No table is shared here, so none is to be copied.
pub(in super::super) fn unshare_descriptors(_first: RawFd) -> Result<(), i32> {
    Err(libc::ENOSYS)
}

pub(in super::super) fn set_nofile(soft: u64, hard: u64) -> Result<(), i32> {
    let limit = libc::rlimit { rlim_cur: soft as libc::rlim_t, rlim_max: hard as libc::rlim_t };
    // SAFETY: the pointer is valid for the call.
    outcome(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }).map(drop)
}

/// How high this process may set it.
#[allow(clippy::unnecessary_cast)] // Not everywhere is rlim_t unsigned.
pub(in super::super) fn hard_nofile() -> Result<u64, i32> {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the kernel writes one rlimit into memory that is one.
    outcome(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) })?;
    // SAFETY: zeroed is a valid rlimit, and the call succeeded.
    Ok(unsafe { limit.assume_init() }.rlim_max as u64)
}

pub(in super::super) fn set_groups(groups: &[u32]) -> Result<(), i32> {
    // SAFETY: as many entries are read as the slice has.
    outcome(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) }).map(drop)
}

/// As root these set the real, the effective and the saved id.
pub(in super::super) fn set_gid(gid: u32) -> Result<(), i32> {
    // SAFETY: takes no pointer.
    outcome(unsafe { libc::setgid(gid) }).map(drop)
}

pub(in super::super) fn set_uid(uid: u32) -> Result<(), i32> {
    // SAFETY: takes no pointer.
    outcome(unsafe { libc::setuid(uid) }).map(drop)
}

pub(in super::super) fn become_root() -> Result<(), i32> {
    // SAFETY: takes no pointer.
    outcome(unsafe { libc::setuid(0) }).map(drop)
}

/// Not every system tells the saved id; that it is not root's, a try to become root shows.
pub(in super::super) fn ids_are(uid: u32, gid: u32) -> bool {
    // SAFETY: these take no pointer and cannot fail.
    let (users, groups) = unsafe { ([libc::getuid(), libc::geteuid()], [libc::getgid(), libc::getegid()]) };
    users == [uid; 2] && groups == [gid; 2]
}

pub(in super::super) fn groups(into: &[Cell<u32>]) -> Result<usize, i32> {
    // SAFETY: at most as many entries are written as the slice has, and cells may be written through it.
    outcome(unsafe { libc::getgroups(into.len() as _, into.as_ptr().cast_mut().cast()) }).map(|count| count as usize)
}

#[cfg(target_os = "linux")]
pub(in super::super) fn no_new_privs() -> Result<(), i32> {
    // SAFETY: this request takes numbers only.
    outcome(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

#[cfg(target_os = "freebsd")]
pub(in super::super) fn no_new_privs() -> Result<(), i32> {
    let mut enable: c_int = libc::PROC_NO_NEW_PRIVS_ENABLE;
    let request = libc::PROC_NO_NEW_PRIVS_CTL;
    // SAFETY: this request reads one int.
    outcome(unsafe { libc::procctl(libc::P_PID, 0, request, (&raw mut enable).cast()) }).map(drop)
}

/// Nobody gets a promise that this system cannot keep.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(in super::super) fn no_new_privs() -> Result<(), i32> {
    Err(libc::ENOTSUP)
}

#[cfg(target_os = "linux")]
pub(in super::super) fn die_with_parent() -> Result<(), i32> {
    // SAFETY: this request takes numbers only.
    outcome(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }).map(drop)
}

#[cfg(target_os = "freebsd")]
pub(in super::super) fn die_with_parent() -> Result<(), i32> {
    let mut signal: c_int = libc::SIGKILL;
    let request = libc::PROC_PDEATHSIG_CTL;
    // SAFETY: this request reads one int.
    outcome(unsafe { libc::procctl(libc::P_PID, 0, request, (&raw mut signal).cast()) }).map(drop)
}

/// Where there is no such signal, the wish for it, which is the default, must not stop a program.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(in super::super) fn die_with_parent() -> Result<(), i32> {
    Ok(())
}

pub(in super::super) fn parent() -> i32 {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::getppid() }
}

pub(in super::super) fn change_directory(path: *const c_char) -> Result<(), i32> {
    // SAFETY: the path ends in NUL (a plan's own).
    outcome(unsafe { libc::chdir(path) }).map(drop)
}

pub(in super::super) fn set_umask(mask: u32) {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Type and permissions of what a path leads to.
#[allow(clippy::unnecessary_cast)] // Not everywhere is mode_t as wide.
pub(in super::super) fn file_mode(path: *const c_char) -> Result<u32, i32> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the path ends in NUL (a plan's own), and the struct is the call's to write.
    outcome(unsafe { libc::fstatat(libc::AT_FDCWD, path, stat.as_mut_ptr(), 0) })?;
    // SAFETY: zeroed is a valid stat, and the call succeeded.
    Ok(unsafe { stat.assume_init() }.st_mode as u32)
}

/// Returns only the error.
pub(in super::super) fn execute(
    path: *const c_char,
    argv: *const *const c_char,
    environment: *const *const c_char,
) -> i32 {
    // SAFETY: the path ends in NUL, both arrays in null; all live in the block.
    unsafe { libc::execve(path, argv, environment) };
    Errno::last_raw()
}

/// There is nobody left to tell of a failure.
pub(in super::super) fn write(fd: RawFd, bytes: &[u8]) {
    // SAFETY: as many bytes are read as the slice has.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

pub(in super::super) fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(code) }
}

/// No such call here.
///
/// # Safety
/// Does nothing.
pub(in super::super) unsafe fn fork_with_pidfd() -> Result<Option<(i32, RawFd)>, i32> {
    Err(libc::ENOSYS)
}
