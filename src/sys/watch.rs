//! Deaths of children: who died, and how. Each is reaped by its own id; a walk over all children is for strangers only.

use super::descriptor::check;
use crate::engine::message::{ExitStatus, Pid};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

/// What asking after one child gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reap {
    /// Nothing to reap: it lives, or a tracer still holds its death back.
    Dry,
    /// It is dead and reaped; its number is free.
    Ended(ExitStatus),
    /// It is no child of ours, or somebody else reaped it.
    Unknown,
}

/// A descriptor that becomes readable when the process ends. `Unsupported` where the system has none.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub fn open_pidfd(pid: Pid) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: pidfd_open takes no pointer. The kernel opens it with close-on-exec.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = check(libc::c_int::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the call succeeded, so the number is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor that becomes readable when the process ends. `Unsupported` where the system has none.
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
pub fn open_pidfd(_pid: Pid) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Collects the death of one child, if it is dead. Never waits.
pub fn reap(pid: Pid, pidfd: Option<&OwnedFd>) -> io::Result<Reap> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let answer = match pidfd {
        Some(pidfd) => match wait_pidfd(pidfd, libc::WEXITED) {
            // Kernels that have pidfds but cannot wait for one yet.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => wait(libc::P_PID, id, libc::WEXITED),
            other => other,
        },
        None => wait(libc::P_PID, id, libc::WEXITED),
    };
    match answer {
        Ok(Some(death)) => Ok(Reap::Ended(death.status)),
        Ok(None) => Ok(Reap::Dry),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(Reap::Unknown),
        Err(error) => Err(error),
    }
}

/// The pid of a child that is dead and not reaped; it stays so. Walks all children.
pub fn next_dead() -> io::Result<Option<Pid>> {
    match wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOWAIT) {
        Ok(death) => Ok(death.map(|death| death.pid)),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reaps one dead member of a process group; whether there was one.
pub(super) fn reap_member(pgid: Pid) -> io::Result<bool> {
    let id = libc::id_t::try_from(pgid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match wait(libc::P_PGID, id, libc::WEXITED) {
        Ok(death) => Ok(death.is_some()),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(false),
        Err(error) => Err(error),
    }
}

struct Death {
    pid: Pid,
    status: ExitStatus,
}

#[cfg(target_os = "linux")]
fn wait_pidfd(pidfd: &OwnedFd, options: libc::c_int) -> io::Result<Option<Death>> {
    use std::os::fd::AsRawFd;
    let id = libc::id_t::try_from(pidfd.as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    wait(libc::P_PIDFD, id, options)
}

#[cfg(not(target_os = "linux"))]
fn wait_pidfd(_pidfd: &OwnedFd, _options: libc::c_int) -> io::Result<Option<Death>> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

fn wait(kind: libc::idtype_t, id: libc::id_t, options: libc::c_int) -> io::Result<Option<Death>> {
    let mut told = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: the kernel writes one siginfo_t into memory that is one, or leaves it zeroed.
        match check(unsafe { libc::waitid(kind, id, told.as_mut_ptr(), options | libc::WNOHANG) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // SAFETY: zeroed is a valid siginfo_t, and the call succeeded.
    let told = unsafe { told.assume_init() };
    // SAFETY: waitid fills these fields, or all is zero; then the pid says so.
    let (pid, code, status) = unsafe { (told.si_pid(), told.si_code, told.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(Death { pid, status: exit_status(code, status) }))
}

fn exit_status(code: libc::c_int, status: libc::c_int) -> ExitStatus {
    // Both fit: the kernel keeps eight bits of an exit code, and signals end at 64.
    let number = (status & 0xff) as u8;
    match code {
        libc::CLD_EXITED => ExitStatus::Code(number),
        _ => ExitStatus::Signal { number, core: code == libc::CLD_DUMPED },
    }
}
