//! A socket that listens under a name nobody knows yet, and how it gets its real one.

use super::{ATTEMPTS, LONGEST_PATH, Openness, new_socket};
use crate::sys::clock::monotonic;
use crate::sys::descriptor::check;
use crate::sys::trusted_folder::FileId;
use nix::sys::socket::{Backlog, UnixAddr, bind, listen};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the socket.
pub(super) struct Folder {
    path: PathBuf,
    file: File,
}

const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        Ok(Folder { path: path.to_owned(), file: File::open(path)? })
    }

    /// One binder at a time; waits up to a second. The lock ends with the file that comes back.
    pub(super) fn lock(&self) -> io::Result<File> {
        let own = File::open(&self.path)?;
        let end = monotonic() + LOCK_PATIENCE;
        loop {
            // SAFETY: takes no pointer.
            match check(unsafe { libc::flock(own.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
                Ok(_) => return Ok(own),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && monotonic() < end => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The path of a name in the folder, in a form that is short enough for an address.
    fn address_of(&self, name: &str) -> PathBuf {
        let plain = self.path.join(name);
        if plain.as_os_str().len() <= LONGEST_PATH || !cfg!(target_os = "linux") {
            return plain;
        }
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd())).join(name)
    }
}

/// The unknown name. Dropping it removes it, if the socket did not get its real one.
pub(super) struct Unplaced {
    path: PathBuf,
    id: FileId,
}

impl Unplaced {
    /// Listens under a name of our own, with mode 0600 until it is as open as it is to be.
    pub(super) fn make(folder: &Folder, openness: Openness) -> io::Result<(UnixListener, Unplaced)> {
        let socket = new_socket()?;
        // Linux gives the file the mode that the socket has before it is bound.
        #[cfg(target_os = "linux")]
        nix::sys::stat::fchmod(&socket, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
        let path = bind_hidden(&socket, folder)?;
        let id = FileId::at(&path)?.ok_or(io::ErrorKind::NotFound)?;
        let unplaced = Unplaced { path, id };
        // Elsewhere only now; nobody listens and nobody knows the name, so nobody was let in.
        std::fs::set_permissions(&unplaced.path, PermissionsExt::from_mode(0o600))?;
        if openness.group.is_some() {
            std::os::unix::fs::lchown(&unplaced.path, None, openness.group)?;
        }
        std::fs::set_permissions(&unplaced.path, PermissionsExt::from_mode(openness.mode))?;
        listen(&socket, Backlog::MAXCONN)?;
        Ok((UnixListener::from(socket), unplaced))
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Gives the socket its name: that of a dead one, or one that nobody bears, and then it fails if somebody does by now.
    pub(super) fn place(&self, path: &Path, occupied: bool) -> io::Result<()> {
        if occupied {
            return std::fs::rename(&self.path, path);
        }
        match std::fs::hard_link(&self.path, path) {
            Ok(()) => std::fs::remove_file(&self.path),
            // A file system without links: the name was free a moment ago.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENOSYS)) => {
                std::fs::rename(&self.path, path)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        if matches!(FileId::at(&self.path), Ok(Some(id)) if id == self.id) {
            // A drop has nobody to tell; what stays behind is a socket that nobody answers on.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn bind_hidden(socket: &OwnedFd, folder: &Folder) -> io::Result<PathBuf> {
    for serial in 0..ATTEMPTS {
        let name = format!(".sv{}.{serial}", std::process::id());
        match bind(socket.as_raw_fd(), &UnixAddr::new(&folder.address_of(&name))?) {
            Ok(()) => return Ok(folder.path.join(name)),
            Err(nix::Error::EADDRINUSE) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_took_meanwhile_is_not_taken_from_him() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let place = Folder::open(folder.path()).unwrap();
        let (_listener, unplaced) = Unplaced::make(&place, Openness::PRIVATE).unwrap();
        std::fs::write(&path, "his").unwrap();
        assert_eq!(unplaced.place(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"his");
        drop(unplaced);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
