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
