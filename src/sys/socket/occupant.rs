//! What is at the path already: nothing, a dead socket that may be replaced, or a reason to stop.

use super::{BindError, new_socket};
use crate::sys::descriptor::check;
use crate::sys::trusted_folder::kind_of;
use crate::sys::user::effective_uid;
use nix::sys::socket::{UnixAddr, connect, getsockopt, sockopt::SocketError};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// Whether there is a dead socket that may be replaced. Nothing is changed by asking.
pub(super) fn vet(path: &Path) -> Result<bool, BindError> {
    let refused = |what: String| Err(BindError::Refused(path.to_owned(), what));
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(BindError::Io("stat", path.to_owned(), error)),
    };
    if !found.file_type().is_socket() {
        return refused(format!("is {}, which is not replaced", kind_of(found.file_type())));
    }
    if found.uid() != effective_uid() && found.uid() != 0 {
        return refused(format!("belongs to uid {}", found.uid()));
    }
    match answers(path) {
        Ok(true) => Err(BindError::Alive(path.to_owned())),
        Ok(false) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => refused(format!("is there, and whether anybody answers cannot be told: {error}")),
    }
}

/// A connect that takes longer has somebody behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether somebody listens there.
fn answers(path: &Path) -> io::Result<bool> {
    let probe = new_socket()?;
    match connect(probe.as_raw_fd(), &UnixAddr::new(path)?) {
        // EAGAIN: somebody who has more callers than he can take.
        Ok(()) | Err(nix::Error::EAGAIN) => Ok(true),
        Err(nix::Error::ECONNREFUSED) => Ok(false),
        Err(nix::Error::EINPROGRESS) => settled(&probe),
        Err(errno) => Err(errno.into()),
    }
}

fn settled(probe: &OwnedFd) -> io::Result<bool> {
    let mut ready = libc::pollfd { fd: probe.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let patience = libc::c_int::try_from(PATIENCE.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: one pollfd, valid for the call.
    if check(unsafe { libc::poll(&mut ready, 1, patience) })? == 0 {
        return Ok(true);
    }
    match getsockopt(probe, SocketError)? {
        0 => Ok(true),
        libc::ECONNREFUSED => Ok(false),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
