//! The pidfile: a lock that ends with the process, and a number in it for people. Of two daemons one gets it.
//!
//! Written and removed only while it is locked by us and is still the file at that path.

use super::descriptor::check;
use super::trusted_folder::{FileId, FolderError, kind_of, vet_folder};
use super::user::effective_uid;
use crate::sys::clock::monotonic;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else has it; the number is what the file says.
    Held(PathBuf, Option<i32>),
    /// Not a place for a lock.
    Folder(FolderError),
    /// The file that is there is not one of ours; the words say what it is.
    Refused(PathBuf, String),
    /// A call failed; the words say which.
    Io(&'static str, PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held(path, Some(pid)) => {
                write!(f, "pidfile {} is locked: supervice is running with pid {pid}", path.display())
            }
            LockError::Held(path, None) => write!(f, "pidfile {} is locked by another process", path.display()),
            LockError::Folder(error) => write!(f, "pidfile: {error}"),
            LockError::Refused(path, what) => write!(f, "pidfile {}: {what}", path.display()),
            LockError::Io(deed, path, error) => write!(f, "pidfile {}: {deed}: {error}", path.display()),
        }
    }
}

impl std::error::Error for LockError {}

/// A locked pidfile. Dropping it frees the lock and leaves the file.
#[derive(Debug)]
pub struct PidLock {
    file: File,
    path: PathBuf,
    id: FileId,
}

/// A daemon that is just ending still holds it.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than any pid with its line end.
const LONGEST: u64 = 32;

impl PidLock {
    /// Locks the file, makes it if it is not there, and writes our pid. Waits up to a second for another holder.
    pub fn acquire(path: &Path) -> Result<PidLock, LockError> {
        let (folder, _) = vet_folder(path).map_err(LockError::Folder)?;
        let sticky = std::fs::metadata(&folder).map(|found| found.mode() & 0o1002 == 0o1002);
        let sticky = sticky.map_err(|error| LockError::Io("stat of its folder", path.to_owned(), error))?;
        let end = monotonic() + PATIENCE;
        loop {
            let file = open(path)?;
            let id = vet(&file, path, sticky)?;
            let locked = try_lock(&file).map_err(|error| LockError::Io("flock", path.to_owned(), error))?;
            // A file that was removed while we waited is nobody's lock: its holder took the name away with it.
            let in_place = FileId::at(path).map_err(|error| LockError::Io("stat", path.to_owned(), error))? == Some(id);
            if locked && in_place {
                let lock = PidLock { file, path: path.to_owned(), id };
                lock.write_pid()?;
                return Ok(lock);
            }
            if monotonic() >= end {
                return Err(LockError::Held(path.to_owned(), pid_in(&file)));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether the path no longer leads to the locked file.
    pub fn is_lost(&self) -> io::Result<bool> {
        Ok(FileId::at(&self.path)? != Some(self.id))
    }

    /// Removes the file, if it is still ours, and then frees the lock.
    pub fn release(self) -> io::Result<()> {
        if self.is_lost()? {
            return Ok(());
        }
        std::fs::remove_file(&self.path)
    }

    fn write_pid(&self) -> Result<(), LockError> {
        let failed = |deed| move |error| LockError::Io(deed, self.path.clone(), error);
        let text = format!("{}\n", std::process::id());
        self.file.set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed("chmod"))?;
        self.file.write_all_at(text.as_bytes(), 0).map_err(failed("write"))?;
        self.file.set_len(text.len() as u64).map_err(failed("truncate"))
    }
}

/// O_NONBLOCK, or a FIFO put there would hold us for ever.
fn open(path: &Path) -> Result<File, LockError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).write(true).create(true).mode(0o600).custom_flags(flags).open(path);
    opened.map_err(|error| match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            LockError::Refused(path.to_owned(), format!("is {}", kind_of(found.file_type())))
        }
        _ => LockError::Io("open", path.to_owned(), error),
    })
}

/// Nothing was written yet: whatever is refused here stays as it was.
fn vet(file: &File, path: &Path, sticky: bool) -> Result<FileId, LockError> {
    let refused = |what: String| Err(LockError::Refused(path.to_owned(), what));
    let found = file.metadata().map_err(|error| LockError::Io("fstat", path.to_owned(), error))?;
    if !found.is_file() {
        return refused(format!("is {}", kind_of(found.file_type())));
    }
    if found.nlink() > 1 {
        return refused("has other names (hard links)".to_owned());
    }
    if sticky && found.uid() != effective_uid() && found.uid() != 0 {
        return refused(format!("belongs to uid {}", found.uid()));
    }
    if found.len() > LONGEST || !is_pid_text(file).map_err(|error| LockError::Io("read", path.to_owned(), error))? {
        return refused("is a file with something else in it than a pid".to_owned());
    }
    Ok(FileId::of(&found))
}

fn is_pid_text(file: &File) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace()))
}

fn pid_in(file: &File) -> Option<i32> {
    let mut bytes = [0; LONGEST as usize];
    let count = file.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(bytes.get(..count)?).ok()?.trim().parse().ok()
}

fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: takes no pointer.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
