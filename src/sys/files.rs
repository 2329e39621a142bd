//! Small questions to the file system that can neither hang nor swallow memory, and the wording of its errors.
//!
//! Log files have a room of their own: [`log_file`](super::log_file).

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag};
use nix::unistd::AccessFlags;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A FIFO or a device does not hold an open with these up, and no terminal becomes ours.
pub const CAREFUL_OPEN: i32 = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

/// The whole of a regular file of at most `max` bytes; anything else there (a FIFO, a folder) is an error, never a wait.
pub fn read_small_file(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(CAREFUL_OPEN).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Makes a file that only its owner can change; whatever is there already, a dangling link too, is an error and stays.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        // It is ours and not whole; that it stays is worth less than the error that is told.
        let _ = std::fs::remove_file(path);
    })
}

/// Whether we could make a file in this folder, asked of the kernel with our effective identity.
pub fn write_access(folder: &Path) -> io::Result<()> {
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    nix::unistd::faccessat(nix::fcntl::AT_FDCWD, folder, wanted, AtFlags::AT_EACCESS).map_err(io::Error::from)
}

/// Whether we could make a folder our working directory.
pub fn enter_access(folder: &Path) -> io::Result<()> {
    nix::unistd::faccessat(nix::fcntl::AT_FDCWD, folder, AccessFlags::X_OK, AtFlags::AT_EACCESS)
        .map_err(io::Error::from)
}

/// `ENOSPC (No space left on device)`.
pub fn errno_text(errno: i32) -> String {
    let errno = Errno::from_raw(errno);
    format!("{errno:?} ({})", errno.desc())
}

/// What stands at a place, as one tells a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Bytes on a disk.
    Regular,
    /// A character device.
    Device,
    /// A symbolic link itself.
    Link,
    /// A folder.
    Folder,
    /// A named pipe, or an anonymous one.
    Pipe,
    /// A socket.
    Socket,
    /// Anything else.
    Other,
}

impl FileKind {
    /// With its article, for an error message.
    pub fn describe(self) -> &'static str {
        match self {
            FileKind::Regular => "a regular file",
            FileKind::Device => "a character device",
            FileKind::Link => "a symbolic link",
            FileKind::Folder => "a directory",
            FileKind::Pipe => "a FIFO",
            FileKind::Socket => "a socket",
            FileKind::Other => "a block device",
        }
    }

    pub(super) fn of(stat: &FileStat) -> FileKind {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => FileKind::Regular,
            SFlag::S_IFCHR => FileKind::Device,
            SFlag::S_IFLNK => FileKind::Link,
            SFlag::S_IFDIR => FileKind::Folder,
            SFlag::S_IFIFO => FileKind::Pipe,
            SFlag::S_IFSOCK => FileKind::Socket,
            _ => FileKind::Other,
        }
    }
}

/// Which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIdentity {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

impl FileIdentity {
    // The widths of these fields differ from system to system.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn of(stat: &FileStat) -> FileIdentity {
        FileIdentity { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn small_files_are_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_small_file(&path, 5).unwrap(), b"12345");
        assert_eq!(read_small_file(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_small_file(folder.path(), 4).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(read_small_file(Path::new("/dev/zero"), 4).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_new_file_is_never_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        write_new(&path, b"first").unwrap();
        assert_eq!(write_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert_eq!(write_new(&link, b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!folder.path().join("nowhere").exists());
    }

    #[test]
    fn a_fifo_is_an_error_and_no_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read_small_file(&path, 4).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn folders_are_asked_for_access() {
        let folder = tempfile::tempdir().unwrap();
        enter_access(folder.path()).unwrap();
        assert!(enter_access(&folder.path().join("none")).is_err());
        write_access(folder.path()).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let expected = nix::unistd::geteuid().is_root();
        assert_eq!(write_access(folder.path()).is_ok(), expected, "root may write everywhere");
    }

    #[test]
    fn errors_have_a_name_and_a_meaning() {
        assert_eq!(errno_text(libc::EDQUOT), "EDQUOT (Quota exceeded)");
    }
}
