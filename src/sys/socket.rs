//! The control socket: bound so that it is private from its first moment and harms nothing that is there; and who is at
//! the other end of a connection.

mod occupant;
mod openness;
mod peer;
mod unplaced;

pub use openness::Openness;
pub use peer::{Peer, peer_credentials, peer_groups};

use super::trusted_folder::{FileId, FolderError, vet_folder};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use unplaced::{Folder, Unplaced};

/// Why there is no socket.
#[derive(Debug)]
pub enum BindError {
    /// Somebody answers there.
    Alive(PathBuf),
    /// The file that is there is not ours to replace; the words say what it is.
    Refused(PathBuf, String),
    /// Not a place for a socket.
    Folder(FolderError),
    /// The kernel takes no path as long as this.
    TooLong(PathBuf),
    /// A call failed; the words say which.
    Io(&'static str, PathBuf, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Alive(path) => write!(f, "another supervice answers on socket {}", path.display()),
            BindError::Refused(path, what) => write!(f, "socket {}: {what}", path.display()),
            BindError::Folder(error) => write!(f, "socket: {error}"),
            BindError::TooLong(path) => {
                write!(f, "socket {}: the path is longer than {LONGEST_PATH} bytes", path.display())
            }
            BindError::Io(deed, path, error) => write!(f, "socket {}: {deed}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BindError {}

/// The longest path that fits into a socket address with its NUL.
pub const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A listening socket at its path.
#[derive(Debug)]
pub struct BoundSocket {
    /// Accepts without waiting.
    pub listener: UnixListener,
    path: PathBuf,
    id: FileId,
    openness: Openness,
}

impl BoundSocket {
    /// Whether the path still leads to this socket.
    pub fn is_in_place(&self) -> io::Result<bool> {
        Ok(FileId::at(&self.path)? == Some(self.id))
    }

    /// Removes the socket from its path, unless something else is there by now.
    pub fn remove_if_ours(&self) -> io::Result<()> {
        if self.is_in_place()? { std::fs::remove_file(&self.path) } else { Ok(()) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Others may come and go while we look; nobody does so for ever.
const ATTEMPTS: usize = 8;

/// Binds at `path`, as open as it is to be from its first moment there. A socket that is there is replaced only if it is ours or root's and nobody answers. `has_lock`:
/// the caller holds the pidfile, so no other daemon is doing the same; without it the folder is locked meanwhile.
pub fn bind(path: &Path, has_lock: bool, openness: Openness) -> Result<BoundSocket, BindError> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(BindError::TooLong(path.to_owned()));
    }
    let (folder, _) = vet_folder(path).map_err(BindError::Folder)?;
    // What cannot be replaced is refused before anything is made.
    occupant::vet(path)?;
    let failed = |deed| move |error| BindError::Io(deed, path.to_owned(), error);
    let folder = Folder::open(&folder).map_err(failed("open of its folder"))?;
    let (listener, unplaced) = Unplaced::make(&folder, openness).map_err(failed("bind"))?;
    let mut folder_lock = None;
    for _ in 0..ATTEMPTS {
        let occupied = occupant::vet(path)?;
        if occupied && !has_lock && folder_lock.is_none() {
            folder_lock = Some(folder.lock().map_err(failed("lock of its folder"))?);
            // Somebody may have been faster before the lock was ours.
            continue;
        }
        match unplaced.place(path, occupied) {
            Ok(()) => return Ok(BoundSocket { listener, path: path.to_owned(), id: unplaced.id(), openness }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("rename into place")(error)),
        }
    }
    Err(BindError::Refused(path.to_owned(), "others keep putting files there".to_owned()))
}

/// A stream socket that never waits and does not survive an exec.
fn new_socket() -> io::Result<OwnedFd> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    #[cfg(target_vendor = "apple")]
    let flags = SockFlag::empty();
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    #[cfg(target_vendor = "apple")]
    {
        super::descriptor::set_close_on_exec(&socket)?;
        super::descriptor::set_nonblocking(&socket)?;
    }
    Ok(socket)
}
