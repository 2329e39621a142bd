//! Tells when a file is no longer at its path: the socket that a cleaner of /tmp removed.
//!
//! Watches the file itself and not the names in its folder, so a busy folder wakes nobody.

use super::descriptor::{check, read_now};
use super::trusted_folder::{FileId, vet_folder};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A watch on one path. Once it is lost, the file that is put there again needs a watch of its own.
#[derive(Debug)]
pub struct PathWatch {
    fd: OwnedFd,
    path: PathBuf,
    id: FileId,
    /// On the file and on its folder.
    watches: [libc::c_int; 2],
}

impl PathWatch {
    /// Watches the file that is at `path` now.
    pub fn new(path: &Path) -> io::Result<PathWatch> {
        // SAFETY: takes no pointer.
        let fd = check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: the call succeeded, so the number is open and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // Losing a name changes a file's link count, which is an attribute.
        let file = add(&fd, path, libc::IN_ATTRIB | libc::IN_MOVE_SELF | libc::IN_DELETE_SELF | libc::IN_DONT_FOLLOW)?;
        let (folder, _) = vet_folder(path).map_err(io::Error::other)?;
        let folder = add(&fd, &folder, libc::IN_MOVE_SELF | libc::IN_DELETE_SELF | libc::IN_ONLYDIR)?;
        // Asked after the watch stands: what is lost from here on is told.
        let id = FileId::at(path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(PathWatch { fd, path: path.to_owned(), id, watches: [file, folder] })
    }

    /// Takes in what was told; whether the path leads elsewhere or nowhere now.
    pub fn lost(&mut self) -> io::Result<bool> {
        let mut buffer = [0_u8; 4096];
        let mut told = false;
        while read_now(&self.fd, &mut buffer)?.is_some() {
            told = true;
        }
        Ok(told && FileId::at(&self.path)? != Some(self.id))
    }

    /// Watches no longer. The kernel takes some 20 ms to let go of a watch, and closing waits for that; this does not, so
    /// that the time runs beside something else.
    pub fn let_go(&self) {
        for watch in self.watches {
            // Fails for one that went with its file, which is what is wanted.
            // SAFETY: takes no pointer.
            let _ = unsafe { libc::inotify_rm_watch(self.fd.as_raw_fd(), watch) };
        }
    }
}

impl AsRawFd for PathWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn add(fd: &OwnedFd, path: &Path, what: u32) -> io::Result<libc::c_int> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL.
    check(unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), what) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    fn watched() -> (tempfile::TempDir, PathBuf, UnixListener, PathWatch) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let watch = PathWatch::new(&path).unwrap();
        (folder, path, listener, watch)
    }

    #[test]
    fn removal_is_told_although_the_socket_is_open() {
        let (_folder, path, _listener, mut watch) = watched();
        assert!(!watch.lost().unwrap());
        fs::remove_file(&path).unwrap();
        assert!(watch.lost().unwrap());
    }

    #[test]
    fn moving_away_and_replacing_are_told() {
        let (folder, path, _listener, mut watch) = watched();
        fs::rename(&path, folder.path().join("t")).unwrap();
        assert!(watch.lost().unwrap());

        let (folder, path, _listener, mut watch) = watched();
        let other = folder.path().join("other");
        fs::write(&other, "").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(watch.lost().unwrap());
    }

    #[test]
    fn a_folder_that_moves_takes_the_socket_along() {
        let (folder, path, _listener, _) = watched();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = {
            fs::rename(&path, inner.join("s")).unwrap();
            inner.join("s")
        };
        let mut watch = PathWatch::new(&path).unwrap();
        fs::rename(&inner, folder.path().join("outer")).unwrap();
        assert!(watch.lost().unwrap());
    }

    #[test]
    fn what_is_let_go_tells_nothing_more() {
        let (_folder, path, _listener, mut watch) = watched();
        watch.let_go();
        assert!(!watch.lost().unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!watch.lost().unwrap());
        watch.let_go();
    }

    #[test]
    fn other_files_and_other_attributes_are_no_loss() {
        let (folder, path, _listener, mut watch) = watched();
        fs::write(folder.path().join("x"), "").unwrap();
        fs::remove_file(folder.path().join("x")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!watch.lost().unwrap());
    }
}
