//! Signals to processes and to process groups, and whether a group still has members.
//!
//! Through the pidfd where there is one, so that a number that was given away is never hit; and never to everybody, to
//! nobody or to ourselves.

use super::identity::{self, ProcStat};
use super::watch::reap_member;
use crate::engine::message::{Pid, Signal};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

/// Why a signal was not sent.
#[derive(Debug)]
pub enum KillError {
    /// A number that must never be signalled: 1 or less, or our own.
    Forbidden(Pid),
    /// Nobody is there.
    Gone,
    /// The kernel refused.
    Failed(io::Error),
}

impl fmt::Display for KillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KillError::Forbidden(pid) => write!(f, "{pid} must not be signalled"),
            KillError::Gone => f.write_str("no such process"),
            KillError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KillError {}

impl From<io::Error> for KillError {
    fn from(error: io::Error) -> KillError {
        if error.raw_os_error() == Some(libc::ESRCH) { KillError::Gone } else { KillError::Failed(error) }
    }
}

/// Whether a process group has members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// None, not even a zombie.
    Empty,
    /// At least one; a zombie whose parent does not wait counts.
    Members,
}

/// Signals one process.
pub fn signal_process(pid: Pid, pidfd: Option<&OwnedFd>, signal: Signal) -> Result<(), KillError> {
    if pid <= 1 || pid == own_pid() {
        return Err(KillError::Forbidden(pid));
    }
    match pidfd {
        Some(pidfd) => match through_pidfd(pidfd, signal.0.into(), Reach::Process) {
            // Only a child that is not reaped comes here so, and its number is nobody else's.
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(by_number(pid, signal.0.into())?),
            other => Ok(other?),
        },
        None => Ok(by_number(pid, signal.0.into())?),
    }
}

/// Signals every member of a process group.
pub fn signal_group(pgid: Pid, pidfd: Option<&OwnedFd>, signal: Signal) -> Result<(), KillError> {
    to_group(pgid, pidfd, signal.0.into())
}

/// At most so many dead members are reaped at one time.
const REAPED_AT_ONCE: usize = 1024;

/// Whether the process group of a *reaped* leader still has members. Dead members that fell to us are reaped, or each would
/// count as one.
pub fn group_state(pgid: Pid, pidfd: Option<&OwnedFd>) -> Result<GroupState, KillError> {
    // First the question that costs the same with any number of children: mostly there is nobody, and nobody to reap.
    if members(pgid, pidfd)? == GroupState::Empty {
        return Ok(GroupState::Empty);
    }
    let mut reaped = 0;
    while reaped < REAPED_AT_ONCE && reap_member(pgid)? {
        reaped += 1;
    }
    if reaped == 0 { Ok(GroupState::Members) } else { members(pgid, pidfd) }
}

fn members(pgid: Pid, pidfd: Option<&OwnedFd>) -> Result<GroupState, KillError> {
    match to_group(pgid, pidfd, 0) {
        Ok(()) => Ok(GroupState::Members),
        Err(KillError::Gone) => Ok(GroupState::Empty),
        // Somebody is there who is not ours to signal.
        Err(KillError::Failed(error)) if error.raw_os_error() == Some(libc::EPERM) => Ok(GroupState::Members),
        Err(error) => Err(error),
    }
}

/// Whether all members of a group are dead and only wait for a parent that does not reap. `None`: /proc shows no member.
pub fn group_only_zombies(pgid: Pid) -> io::Result<Option<bool>> {
    match identity::everybody() {
        Ok(seen) => Ok(only_zombies(pgid, &seen)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same, by what was seen of all processes.
pub fn only_zombies(pgid: Pid, seen: &[ProcStat]) -> Option<bool> {
    let mut members = seen.iter().filter(|stat| stat.group == pgid).peekable();
    let any = members.peek().is_some();
    any.then(|| members.all(ProcStat::is_dead))
}

#[derive(Clone, Copy)]
enum Reach {
    Process,
    Group,
}

pub(super) fn own_pid() -> Pid {
    nix::unistd::getpid().as_raw()
}

/// The process group and the session that we are in.
pub fn own_group_and_session() -> [Pid; 2] {
    // Asking for one's own session cannot fail.
    let session = nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw);
    [nix::unistd::getpgrp().as_raw(), session]
}

fn vet_group(pgid: Pid) -> Result<(), KillError> {
    if pgid <= 1 || pgid == own_pid() || pgid == nix::unistd::getpgrp().as_raw() {
        return Err(KillError::Forbidden(pgid));
    }
    Ok(())
}

fn to_group(pgid: Pid, pidfd: Option<&OwnedFd>, signal: libc::c_int) -> Result<(), KillError> {
    vet_group(pgid)?;
    if let Some(pidfd) = pidfd {
        match through_pidfd(pidfd, signal, Reach::Group) {
            // Kernels that cannot reach a group through a pidfd yet.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {}
            other => return Ok(other?),
        }
    }
    Ok(by_number(-pgid, signal)?)
}

fn by_number(target: Pid, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: kill takes no pointer; the callers let no target through that would reach everybody or ourselves.
    super::descriptor::check(unsafe { libc::kill(target, signal) }).map(drop)
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
fn through_pidfd(pidfd: &OwnedFd, signal: libc::c_int, reach: Reach) -> io::Result<()> {
    match ask_through_pidfd(pidfd, signal, reach) {
        // It says nothing of the process: to us the kernel has no such call.
        Err(_) if is_refused() => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        other => other,
    }
}

/// Whether the call reaches nobody, whoever is meant: the kernel is older than it, or a filter of system calls is, as
/// those of container engines before 2021 are. A filter stays, so it is asked once.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub(super) fn is_refused() -> bool {
    static REFUSED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *REFUSED.get_or_init(|| {
        // SAFETY: the one pointer is null, which asks for no details; -1 is no descriptor, so nobody is signalled.
        let asked =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, -1, 0, std::ptr::null::<libc::siginfo_t>(), 0) };
        asked != -1 || nix::errno::Errno::last_raw() != libc::EBADF
    })
}

#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
pub(super) fn is_refused() -> bool {
    true
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
fn ask_through_pidfd(pidfd: &OwnedFd, signal: libc::c_int, reach: Reach) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let flags = match reach {
        Reach::Process => 0,
        Reach::Group => libc::PIDFD_SIGNAL_PROCESS_GROUP,
    };
    let no_details = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks for the one that kill would send.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_details, flags) };
    super::descriptor::check(libc::c_int::try_from(result).unwrap_or(-1)).map(drop)
}

#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
fn through_pidfd(_pidfd: &OwnedFd, _signal: libc::c_int, _reach: Reach) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_everybody_or_us_are_refused() {
        let own = own_pid();
        for number in [i32::MIN, -2, -1, 0, 1, own] {
            assert!(matches!(signal_process(number, None, Signal(0)), Err(KillError::Forbidden(_))), "{number}");
            assert!(matches!(signal_group(number, None, Signal(0)), Err(KillError::Forbidden(_))), "{number}");
            assert!(matches!(group_state(number, None), Err(KillError::Forbidden(_))), "{number}");
        }
        let group = nix::unistd::getpgrp().as_raw();
        assert!(matches!(signal_group(group, None, Signal(0)), Err(KillError::Forbidden(_))));
    }

    #[test]
    fn a_group_nobody_is_in_is_empty() {
        // Above any pid_max.
        assert!(matches!(group_state(i32::MAX, None), Ok(GroupState::Empty)));
        assert!(matches!(signal_group(i32::MAX, None, Signal::TERM), Err(KillError::Gone)));
        assert!(matches!(signal_process(i32::MAX, None, Signal::TERM), Err(KillError::Gone)));
        assert_eq!(group_only_zombies(i32::MAX).unwrap(), None);
    }
}
