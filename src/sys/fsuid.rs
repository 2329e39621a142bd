//! Touching files with the rights of a program's user instead of our own, for one call at a time.

use super::guard::Tie;
use nix::Result;
use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// The user on whose behalf files are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Never root: root's files need no other hands.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups, for the question which folders the user can write to.
    pub groups: Vec<u32>,
}

/// Runs `deed` with the file-system identity of somebody else, and takes ours back afterwards.
///
/// A deed done whose identity did not come back is reported as EPERM: nobody may go on as if nothing had happened.
pub(super) fn acting_as<T>(uid: u32, gid: u32, deed: impl FnOnce() -> Result<T>) -> Result<T> {
    let (our_uid, our_gid) = (current_uid(), current_gid());
    let tie = Tie::ours();
    let taken = switch(Uid::from_raw(uid), Gid::from_raw(gid));
    let result = taken.and_then(|()| deed());
    // In this order a refusal of the group still leaves the user switched back.
    let back = switch_back(our_uid, our_gid);
    // With each change of identity the kernel forgets that we are to end with our parent.
    tie.renew();
    back.and(result)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod native {
    use super::{Errno, Gid, Result, Uid};
    use nix::unistd::{setfsgid, setfsuid};

    // Asking for an impossible id changes nothing and tells the present one.
    pub fn current_uid() -> Uid {
        setfsuid(Uid::from_raw(u32::MAX))
    }

    pub fn current_gid() -> Gid {
        setfsgid(Gid::from_raw(u32::MAX))
    }

    pub fn switch(uid: Uid, gid: Gid) -> Result<()> {
        setfsgid(gid);
        setfsuid(uid);
        if (current_uid(), current_gid()) == (uid, gid) { Ok(()) } else { Err(Errno::EPERM) }
    }

    pub fn switch_back(uid: Uid, gid: Gid) -> Result<()> {
        setfsuid(uid);
        setfsgid(gid);
        if (current_uid(), current_gid()) == (uid, gid) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

// Without a file-system identity of its own the effective one serves: it belongs to the whole process, which has one thread.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod native {
    use super::{Errno, Gid, Result, Uid};
    use nix::unistd::{getegid, geteuid, setegid, seteuid};

    pub fn current_uid() -> Uid {
        geteuid()
    }

    pub fn current_gid() -> Gid {
        getegid()
    }

    pub fn switch(uid: Uid, gid: Gid) -> Result<()> {
        setegid(gid)?;
        seteuid(uid)?;
        if (current_uid(), current_gid()) == (uid, gid) { Ok(()) } else { Err(Errno::EPERM) }
    }

    pub fn switch_back(uid: Uid, gid: Gid) -> Result<()> {
        seteuid(uid)?;
        setegid(gid)?;
        if (current_uid(), current_gid()) == (uid, gid) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

use native::{current_gid, current_uid, switch, switch_back};
