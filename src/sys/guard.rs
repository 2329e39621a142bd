//! What the daemon asks of the kernel for itself: to become parent of orphans, to have children die with it, to be
//! opaque to others.

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
use super::descriptor::check;
use std::io;

/// Makes orphaned descendants our children. `false`: this system does not know such a thing.
#[cfg(target_os = "linux")]
pub fn set_subreaper() -> io::Result<bool> {
    // SAFETY: this request takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
    Ok(true)
}

/// Makes orphaned descendants our children. `false`: this system does not know such a thing.
#[cfg(target_os = "freebsd")]
pub fn set_subreaper() -> io::Result<bool> {
    // SAFETY: this request takes no argument.
    check(unsafe { libc::procctl(libc::P_PID, 0, libc::PROC_REAP_ACQUIRE, std::ptr::null_mut()) })?;
    Ok(true)
}

/// Makes orphaned descendants our children. `false`: this system does not know such a thing.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub fn set_subreaper() -> io::Result<bool> {
    Ok(false)
}

/// Whether a child can really ask to die with us, tried with a child.
#[cfg(target_os = "linux")]
pub fn pdeathsig_works() -> io::Result<bool> {
    // SAFETY: the child makes two system calls and ends.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        let mut signal: libc::c_int = 0;
        // SAFETY: one request takes a number, the other writes one int; _exit runs nothing of ours.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal, 0, 0, 0);
            libc::_exit(if signal == libc::SIGKILL { 0 } else { 1 })
        }
    }
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one int.
        match check(unsafe { libc::waitpid(pid, &mut status, 0) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(status == 0),
        }
    }
}

/// Whether a child can really ask to die with us.
#[cfg(not(target_os = "linux"))]
pub fn pdeathsig_works() -> io::Result<bool> {
    Ok(cfg!(target_os = "freebsd"))
}

/// Keeps others, the daemon's own user too, from looking into its memory; set once and never taken back.
#[cfg(target_os = "linux")]
pub fn set_not_dumpable() -> io::Result<()> {
    // SAFETY: this request takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// Keeps others from looking into the daemon's memory; this system has no such call.
#[cfg(not(target_os = "linux"))]
pub fn set_not_dumpable() -> io::Result<()> {
    Ok(())
}

/// The daemon's own wish to be signalled when its parent ends, which whoever started it may have had for it.
#[cfg(target_os = "linux")]
pub(super) struct Tie {
    signal: libc::c_int,
    parent: libc::pid_t,
}

#[cfg(target_os = "linux")]
impl Tie {
    /// As it is now.
    pub(super) fn ours() -> Tie {
        let mut signal: libc::c_int = 0;
        // SAFETY: the request writes one int; asking for the parent takes no pointer.
        let parent = unsafe {
            // Where it fails, nothing is wished for.
            libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal, 0, 0, 0);
            libc::getppid()
        };
        Tie { signal, parent }
    }

    /// As it was.
    pub(super) fn renew(self) {
        if self.signal == 0 {
            return;
        }
        // SAFETY: these take numbers only.
        unsafe {
            // The kernel takes back a signal that it told.
            libc::prctl(libc::PR_SET_PDEATHSIG, self.signal, 0, 0, 0);
            // Of a parent that went meanwhile nobody was told.
            if libc::getppid() != self.parent {
                libc::raise(self.signal);
            }
        }
    }
}

/// The daemon's own wish to end with its parent: nothing that is done here takes it back.
#[cfg(not(target_os = "linux"))]
pub(super) struct Tie;

#[cfg(not(target_os = "linux"))]
impl Tie {
    /// As it is now.
    pub(super) fn ours() -> Tie {
        Tie
    }

    /// As it was.
    pub(super) fn renew(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_can_ask_to_die_with_us() {
        assert!(pdeathsig_works().unwrap() || cfg!(target_vendor = "apple"));
    }
}
