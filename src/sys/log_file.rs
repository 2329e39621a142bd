//! Opening a log file so that nobody can turn our rights against a third party's file, and moving it aside.
//!
//! Regular files with one name are written, and character devices; FIFOs, sockets and folders are refused, because they
//! block or make no sense. A link as the last name is followed only where nobody but root and ourselves could have laid it.
//! When to move files is decided elsewhere.

mod pressing;
mod reader;

pub use pressing::Raw;
pub use reader::LogReader;

use super::files::{FileIdentity, FileKind, errno_text};
use super::folder::{Folder, is_trusted};
use super::fsuid::Owner;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Why a log file could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The system said no.
    System {
        /// The file.
        path: PathBuf,
        /// What it said.
        errno: i32,
        /// As which user it was tried, if not as ourselves.
        user: Option<u32>,
    },
    /// It would have opened, but is nothing to write a log to.
    Refused {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: &'static str,
    },
}

impl OpenError {
    /// Whether there is nothing of that name, or nothing on the way to it.
    pub fn is_missing(&self) -> bool {
        matches!(self, OpenError::System { errno, .. } if *errno == nix::libc::ENOENT)
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::System { path, errno, user: None } => {
                write!(out, "cannot open {}: {}", path.display(), errno_text(*errno))
            }
            OpenError::System { path, errno, user: Some(uid) } => {
                write!(out, "cannot open {} as uid {uid}: {}", path.display(), errno_text(*errno))
            }
            OpenError::Refused { path, reason } => write!(out, "{} {reason}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// An open log.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    regular: bool,
}

/// What is true of an open log at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Bytes in it.
    pub size: u64,
    /// Names it has; 0 when it was removed.
    pub links: u64,
    /// Which file it is.
    pub identity: FileIdentity,
}

impl LogFile {
    /// Whether it has a size and can be moved aside; devices cannot.
    pub fn is_regular(&self) -> bool {
        self.regular
    }

    /// Appends as much as one write takes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    /// Makes it empty.
    pub fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Whether each write goes to wherever the end is then. Otherwise to where the end is now, and on from there.
    pub fn set_appending(&mut self, appending: bool) -> io::Result<()> {
        let flags = OFlag::from_bits_retain(fcntl(&self.file, FcntlArg::F_GETFL)?);
        let mut wanted = flags;
        wanted.set(OFlag::O_APPEND, appending);
        fcntl(&self.file, FcntlArg::F_SETFL(wanted))?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    /// What is true of it now.
    #[allow(clippy::useless_conversion, reason = "the widths differ from system to system")]
    pub fn facts(&self) -> io::Result<Facts> {
        let stat = fstat(&self.file)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Facts { size, links: u64::from(stat.st_nlink), identity: FileIdentity::of(&stat) })
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Where a log file lives: from its path to the open file, and to its older brothers `path.1`, `path.2`, …
#[derive(Debug)]
pub struct LogPlace {
    path: PathBuf,
    owner: Option<Owner>,
    mode: Mode,
    /// The file that `path` led to when it was last opened; another one where `path` is a link.
    target: PathBuf,
    /// Held from `enter` to `leave`.
    folder: Option<Folder>,
    /// Backups may be compressed.
    pressed: bool,
}

/// Links followed from one log name to the next.
const LINKS_MAX: usize = 8;

/// How often a name may change between a look and the opening.
const RACES_MAX: usize = 4;

impl LogPlace {
    /// A place for a log of `owner`'s program (nobody: of our own); a new file gets 0640 less `umask`.
    pub fn new(path: &Path, owner: Option<Owner>, umask: u32) -> LogPlace {
        let permissions = 0o640 & !umask;
        let mode = Mode::from_bits_truncate(libc::mode_t::try_from(permissions).unwrap_or(0o600));
        LogPlace { path: path.to_owned(), owner, mode, target: path.to_owned(), folder: None, pressed: false }
    }

    /// The same place, for somebody else who does something there.
    pub fn again(&self) -> LogPlace {
        let (path, owner, target) = (self.path.clone(), self.owner.clone(), self.target.clone());
        LogPlace { path, owner, mode: self.mode, target, folder: None, pressed: self.pressed }
    }

    /// Whose program writes here from now on; whether it was somebody else's.
    pub fn set_owner(&mut self, owner: Option<&Owner>) -> bool {
        let changes = self.owner.as_ref() != owner;
        if changes {
            self.owner = owner.cloned();
        }
        changes
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file at the path for appending, and makes it if there is none.
    pub fn open(&mut self) -> Result<LogFile, OpenError> {
        self.folder = None;
        self.target.clone_from(&self.path);
        for _ in 0..=LINKS_MAX {
            self.enter()?;
            let opened = self.open_target();
            self.leave();
            match opened? {
                Opened::File(file) => return Ok(file),
                Opened::Link(to) => self.target = parent(&self.target).join(to),
            }
        }
        Err(self.failed(Errno::ELOOP))
    }

    /// Takes hold of the folder for the calls that follow.
    pub fn enter(&mut self) -> Result<(), OpenError> {
        let folder = Folder::open(parent(&self.target), self.owner.as_ref()).map_err(|errno| self.failed(errno))?;
        self.folder = Some(folder);
        Ok(())
    }

    /// Lets the folder go.
    pub fn leave(&mut self) {
        self.folder = None;
    }

    /// The folder and the name in it, which together are one place whatever the path was called.
    pub fn address(&self) -> Result<(FileIdentity, OsString), OpenError> {
        let folder = Folder::open(parent(&self.target), None).map_err(|errno| self.failed(errno))?;
        Ok((folder.identity(), self.name()?.to_owned()))
    }

    /// From now on backups may be compressed.
    pub fn set_pressed(&mut self) {
        self.pressed = true;
    }

    /// What stands at the name of a backup (0: of the log itself), compressed or not; a link is not followed.
    pub fn look(&mut self, backup: u32) -> io::Result<Option<(FileKind, FileIdentity)>> {
        let (folder, name) = (self.entered()?, self.backup_name(backup)?);
        match folder.stat(&name) {
            Ok(stat) => Ok(Some((FileKind::of(&stat), FileIdentity::of(&stat)))),
            Err(Errno::ENOENT) if backup > 0 => {
                let found = self.look_pressed(backup)?;
                self.pressed |= found.is_some();
                Ok(found)
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Moves backup `from` (0: the log itself) one number up.
    pub fn shift(&self, from: u32) -> io::Result<()> {
        if self.pressed {
            self.shift_either(from)
        } else {
            self.rename(&self.backup_name(from)?, &self.backup_name(from.saturating_add(1))?)
        }
    }

    /// Makes the log anew where there is none.
    pub fn create(&self) -> io::Result<LogFile> {
        Ok(create(self.entered()?, &self.backup_name(0)?, self.mode)?)
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(self.entered()?.rename(from, to)?)
    }

    fn entered(&self) -> io::Result<&Folder> {
        self.folder.as_ref().ok_or_else(|| Errno::EBADF.into())
    }

    fn name(&self) -> Result<&OsStr, OpenError> {
        self.target.file_name().ok_or_else(|| self.refused("is a directory, not a log file"))
    }

    fn backup_name(&self, backup: u32) -> io::Result<OsString> {
        let mut name = self.target.file_name().ok_or(Errno::EISDIR)?.to_owned();
        if backup > 0 {
            name.push(format!(".{backup}"));
        }
        Ok(name)
    }

    fn failed(&self, errno: Errno) -> OpenError {
        let as_user = self.folder.as_ref().is_some_and(Folder::acts_for_user);
        let user = self.owner.as_ref().filter(|_| as_user).map(|owner| owner.uid);
        OpenError::System { path: self.target.clone(), errno: errno as i32, user }
    }

    fn refused(&self, reason: &'static str) -> OpenError {
        OpenError::Refused { path: self.target.clone(), reason }
    }

    fn open_target(&self) -> Result<Opened<LogFile>, OpenError> {
        let name = self.name()?;
        let folder = self.folder.as_ref().ok_or_else(|| self.failed(Errno::EBADF))?;
        for _ in 0..RACES_MAX {
            let found = match folder.stat(name) {
                Ok(stat) => match FileKind::of(&stat) {
                    FileKind::Regular | FileKind::Device => self.open_existing(folder, name)?,
                    FileKind::Link => return self.judge_link(folder, name, &stat),
                    kind => return Err(self.refused(unfit(kind))),
                },
                Err(Errno::ENOENT) => self.open_new(folder, name)?,
                Err(errno) => return Err(self.failed(errno)),
            };
            if let Some(file) = found {
                return Ok(Opened::File(file));
            }
        }
        Err(self.failed(Errno::EAGAIN))
    }

    fn judge_link<F>(&self, folder: &Folder, name: &OsStr, link: &FileStat) -> Result<Opened<F>, OpenError> {
        if !(folder.is_guarded() && is_trusted(link)) {
            return Err(self.refused("is a symbolic link that others could have laid, not a log file"));
        }
        folder.read_link(name).map(Opened::Link).map_err(|errno| self.failed(errno))
    }

    /// `None`: it was there a moment ago and is gone.
    fn open_existing(&self, folder: &Folder, name: &OsStr) -> Result<Option<LogFile>, OpenError> {
        let as_user = folder.act(|at| openat(at, name, APPEND, Mode::empty()));
        let (opened, by_us) = match as_user {
            // An earlier daemon may have made it as root. Appending there harms nobody: it is checked below to have no
            // other name, so whoever can reach it here could as well remove it.
            Err(Errno::EACCES) if folder.acts_for_user() => {
                (folder.act_as_ourselves(|at| openat(at, name, APPEND, Mode::empty())), true)
            }
            other => (other, false),
        };
        match opened {
            Ok(fd) => self.check(fd, by_us),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    fn check(&self, fd: OwnedFd, by_us: bool) -> Result<Option<LogFile>, OpenError> {
        let stat = fstat(&fd).map_err(|errno| self.failed(errno))?;
        if by_us && !(is_trusted(&stat) && FileKind::of(&stat) == FileKind::Regular) {
            return Err(self.failed(Errno::EACCES));
        }
        match FileKind::of(&stat) {
            FileKind::Regular if stat.st_nlink > 1 => Err(self.refused("has more than one name (hard links)")),
            FileKind::Regular if stat.st_nlink == 0 => Ok(None),
            FileKind::Regular => Ok(Some(LogFile { file: fd.into(), regular: true })),
            FileKind::Device => Ok(Some(LogFile { file: fd.into(), regular: false })),
            kind => Err(self.refused(unfit(kind))),
        }
    }

    /// `None`: somebody else made it first.
    fn open_new(&self, folder: &Folder, name: &OsStr) -> Result<Option<LogFile>, OpenError> {
        match create(folder, name, self.mode) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::EEXIST) => Ok(None),
            Err(errno) => Err(self.failed(errno)),
        }
    }
}

enum Opened<F> {
    File(F),
    Link(OsString),
}

const APPEND: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_APPEND)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

fn create(folder: &Folder, name: &OsStr, mode: Mode) -> nix::Result<LogFile> {
    let flags = APPEND | OFlag::O_CREAT | OFlag::O_EXCL;
    let make = |at: BorrowedFd<'_>| {
        let fd = openat(at, name, flags, mode)?;
        // Our own umask is stricter than the one the operator started us with.
        fchmod(&fd, mode)?;
        Ok(fd)
    };
    let fd = folder.act(make)?;
    Ok(LogFile { file: fd.into(), regular: true })
}

fn unfit(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Folder => "is a directory, not a log file",
        FileKind::Pipe => "is a FIFO, not a log file",
        FileKind::Socket => "is a socket, not a log file",
        FileKind::Link => "is a symbolic link, not a log file",
        FileKind::Regular | FileKind::Device | FileKind::Other => "is a block device, not a log file",
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Opens a log once, without keeping its place.
pub fn open_log(path: &Path, owner: Option<Owner>, umask: u32) -> Result<LogFile, OpenError> {
    LogPlace::new(path, owner, umask).open()
}
