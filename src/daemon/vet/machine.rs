//! The few questions that only a system call answers.

use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, User, eaccess, geteuid};
use std::io;
use std::path::Path;

/// A FIFO or a device does not hold the open up, and no terminal becomes ours.
pub(super) const OPEN_FLAGS: i32 = OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits() | OFlag::O_CLOEXEC.bits();

/// Whose rights we have.
pub(super) fn euid() -> u32 {
    geteuid().as_raw()
}

/// The id of a user; `None` if there is no such user.
pub(super) fn uid_of(name: &str) -> io::Result<Option<u32>> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// Whether we may make files in a folder.
pub(super) fn may_write_in(folder: &Path) -> io::Result<()> {
    Ok(eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

/// Whether we may make a folder our working directory.
pub(super) fn may_enter(folder: &Path) -> io::Result<()> {
    Ok(eaccess(folder, AccessFlags::X_OK)?)
}
