//! The twin of `inotify` where there is none: nothing is watched, and the daemon looks when SIGUSR1 tells it to.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

/// A watch that cannot be made.
#[derive(Debug)]
pub enum PathWatch {}

impl PathWatch {
    /// Always `Unsupported`.
    pub fn new(_path: &Path) -> io::Result<PathWatch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is no watch that could be let go.
    pub fn let_go(&self) {
        match *self {}
    }

    /// There is no watch that could be asked.
    pub fn lost(&mut self) -> io::Result<bool> {
        match *self {}
    }
}

impl AsRawFd for PathWatch {
    fn as_raw_fd(&self) -> RawFd {
        match *self {}
    }
}
