//! Who is at the other end of a connection, as the kernel says, not as anybody claims.

use crate::engine::message::Pid;
use std::io;
use std::os::fd::AsFd;

/// The process that connected, or that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id at that time.
    pub uid: u32,
    /// Its effective group id at that time.
    pub gid: u32,
    /// Its pid, where the system tells; it may be gone by now.
    pub pid: Option<Pid>,
}

/// Asks the kernel.
#[cfg(target_os = "linux")]
pub fn peer_credentials(connection: &impl AsFd) -> io::Result<Peer> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    let told = getsockopt(connection, PeerCredentials)?;
    Ok(Peer { uid: told.uid(), gid: told.gid(), pid: Some(told.pid()).filter(|pid| *pid > 0) })
}

/// Asks the kernel.
#[cfg(not(target_os = "linux"))]
pub fn peer_credentials(connection: &impl AsFd) -> io::Result<Peer> {
    let (uid, gid) = nix::unistd::getpeereid(connection)?;
    Ok(Peer { uid: uid.as_raw(), gid: gid.as_raw(), pid: None })
}

/// More groups than any kernel has for one process.
#[cfg(target_os = "linux")]
const MOST_GROUPS: usize = 65_536;

/// All groups of the process that connected, as it was at that time.
#[cfg(target_os = "linux")]
pub fn peer_groups(connection: &impl AsFd) -> io::Result<Vec<u32>> {
    use std::os::fd::AsRawFd;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let room = groups.len() * size_of::<libc::gid_t>();
        let mut length = libc::socklen_t::try_from(room).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let fd = connection.as_fd().as_raw_fd();
        // SAFETY: the kernel writes at most `length` bytes into a buffer of that length, and one socklen_t.
        let told = crate::sys::descriptor::check(unsafe {
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERGROUPS, groups.as_mut_ptr().cast(), &mut length)
        });
        let needed = usize::try_from(length).unwrap_or(0) / size_of::<libc::gid_t>();
        match told {
            Ok(_) => {
                groups.truncate(needed);
                return Ok(groups);
            }
            // The kernel says how much room it takes.
            Err(error)
                if error.raw_os_error() == Some(libc::ERANGE) && needed > groups.len() && needed <= MOST_GROUPS =>
            {
                groups.resize(needed, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// All groups that can be told of the process that connected: its own.
#[cfg(not(target_os = "linux"))]
pub fn peer_groups(connection: &impl AsFd) -> io::Result<Vec<u32>> {
    Ok(vec![peer_credentials(connection)?.gid])
}
