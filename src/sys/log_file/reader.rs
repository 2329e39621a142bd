//! Reading a log back, with the same distrust as in opening it: whoever can plant a name in the folder must not get to see
//! through it what the daemon may read.

use super::super::files::{FileIdentity, FileKind};
use super::super::folder::{Folder, is_trusted};
use super::{LINKS_MAX, LogPlace, OpenError, Opened, parent, unfit};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

const READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

const DEVICE: &str = "is a device, which does not give back what was written to it";

/// A log or one of its backups, open for reading. Renaming and removing do not touch it.
#[derive(Debug)]
pub struct LogReader {
    pub(super) file: File,
    identity: FileIdentity,
    size: u64,
}

impl LogReader {
    /// Which file it is.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Its size when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `offset` on, as much as there is and fits; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.file.read_at(room, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl LogPlace {
    /// Goes to where the path leads without opening anything; whether a file is there.
    pub fn resolve(&mut self) -> Result<bool, OpenError> {
        self.target.clone_from(&self.path);
        for _ in 0..=LINKS_MAX {
            self.enter()?;
            let found = self.find_target();
            self.leave();
            match found? {
                Some(Opened::Link(to)) => self.target = parent(&self.target).join(to),
                Some(Opened::File(_)) => return Ok(true),
                None => return Ok(false),
            }
        }
        Err(self.failed(Errno::ELOOP))
    }

    /// Opens the log (backup 0) or a backup for reading; `None` if there is none.
    pub fn open_part(&mut self, backup: u32) -> Result<Option<LogReader>, OpenError> {
        self.enter()?;
        let opened = self.open_entered(backup);
        self.leave();
        opened
    }

    /// The number under which a file stands among the backups; the search ends at the first gap.
    pub fn number_of(&mut self, identity: FileIdentity, most: u32) -> Result<Option<u32>, OpenError> {
        self.enter()?;
        let mut numbers = (1..=most).map_while(|backup| Some((backup, self.look(backup).ok()??.1)));
        let number = numbers.find(|(_, there)| *there == identity).map(|(backup, _)| backup);
        self.leave();
        Ok(number)
    }

    fn find_target(&self) -> Result<Option<Opened<()>>, OpenError> {
        let (name, folder) = (self.name()?, self.folder.as_ref().ok_or_else(|| self.failed(Errno::EBADF))?);
        match folder.stat(name) {
            Ok(stat) => match FileKind::of(&stat) {
                FileKind::Regular => Ok(Some(Opened::File(()))),
                FileKind::Link => self.judge_link(folder, name, &stat).map(Some),
                FileKind::Device => Err(self.refused(DEVICE)),
                kind => Err(self.refused(unfit(kind))),
            },
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    pub(super) fn open_entered(&self, backup: u32) -> Result<Option<LogReader>, OpenError> {
        let folder = self.folder.as_ref().ok_or_else(|| self.failed(Errno::EBADF))?;
        let name = self.backup_name(backup).map_err(|_| self.failed(Errno::EISDIR))?;
        match open_for_reading(folder, &name) {
            Ok((fd, by_us)) => self.vet_reader(fd, by_us).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    fn vet_reader(&self, fd: OwnedFd, by_us: bool) -> Result<LogReader, OpenError> {
        let stat = fstat(&fd).map_err(|errno| self.failed(errno))?;
        if by_us && !is_trusted(&stat) {
            return Err(self.failed(Errno::EACCES));
        }
        match FileKind::of(&stat) {
            FileKind::Regular if stat.st_nlink > 1 => Err(self.refused("has more than one name (hard links)")),
            FileKind::Regular => Ok(LogReader {
                identity: FileIdentity::of(&stat),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                file: fd.into(),
            }),
            FileKind::Device => Err(self.refused(DEVICE)),
            kind => Err(self.refused(unfit(kind))),
        }
    }
}

/// The file, and whether it took our own rights where the user's should have done.
fn open_for_reading(folder: &Folder, name: &OsStr) -> nix::Result<(OwnedFd, bool)> {
    match folder.act(|at| openat(at, name, READ, Mode::empty())) {
        // What an earlier daemon made as root is still the program's log.
        Err(Errno::EACCES) if folder.acts_for_user() => {
            folder.act_as_ourselves(|at| openat(at, name, READ, Mode::empty())).map(|fd| (fd, true))
        }
        other => other.map(|fd| (fd, false)),
    }
}
