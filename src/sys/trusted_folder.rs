//! Whether a folder is a place for files that others trust: lock, socket, state.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a file of ours must not be put there.
#[derive(Debug)]
pub enum FolderError {
    /// The path names no file in a folder.
    NoName(PathBuf),
    /// The folder cannot be looked at, or is none.
    Io(PathBuf, io::Error),
    /// Anybody may put, replace or remove files in it.
    Open(PathBuf),
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FolderError::NoName(path) => write!(f, "{} names no file", path.display()),
            FolderError::Io(path, error) => write!(f, "folder {}: {error}", path.display()),
            FolderError::Open(path) => write!(
                f,
                "folder {} may be written by others and is not sticky (chmod o-w or chmod +t it)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FolderError {}

/// The folder and the name of a path. The folder exists, and what is ours in it others cannot remove.
pub fn vet_folder(path: &Path) -> Result<(PathBuf, &OsStr), FolderError> {
    let (folder, name) = split(path)?;
    let failed = |error| FolderError::Io(folder.clone(), error);
    let found = std::fs::metadata(&folder).map_err(failed)?;
    if !found.is_dir() {
        return Err(failed(io::Error::from_raw_os_error(libc::ENOTDIR)));
    }
    let mode = found.mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(FolderError::Open(folder));
    }
    Ok((folder, name))
}

/// The folder and the name of a path; `.` is the folder of a bare name.
fn split(path: &Path) -> Result<(PathBuf, &OsStr), FolderError> {
    let name = path.file_name().ok_or_else(|| FolderError::NoName(path.to_owned()))?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => Ok((folder.to_owned(), name)),
        _ => Ok((PathBuf::from("."), name)),
    }
}

/// Device and inode: whether it is still the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &std::fs::Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Of whatever bears this name, a link itself and not what it leads to. `None`: nothing does.
    pub(super) fn at(path: &Path) -> io::Result<Option<FileId>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(FileId::of(&metadata))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a file is, for messages.
pub(super) fn kind_of(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_file() => "a regular file",
        _ => "a device",
    }
}
