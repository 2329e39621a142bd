//! A backup and its compressed form: who takes its place, and when.
//!
//! Whoever compresses reads one descriptor and writes another, and knows no name. The result stands beside the log under a
//! name of its own until it is whole; then it takes the number that the backup has by now.

use super::super::files::{FileIdentity, FileKind};
use super::{LogPlace, LogReader, OpenError, create};
use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What a compressed backup has behind its number.
const SUFFIX: &str = ".gz";
/// What a compressed backup has behind the log's name while it is made.
const UNFINISHED: &str = ".gz.tmp";

/// A backup that is to be compressed.
#[derive(Debug)]
pub struct Raw {
    /// What to read.
    pub source: LogReader,
    /// What to write.
    pub target: File,
}

impl LogReader {
    /// The file itself, for somebody else to read.
    pub fn as_file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl LogPlace {
    /// Opens the newest backup that is not compressed, and a file for its compressed form; `None` if there is none.
    pub fn next_raw(&mut self, most: u32) -> Result<Option<Raw>, OpenError> {
        self.enter()?;
        let raw = self.find_raw(most).map(|backup| self.open_raw(backup)).transpose();
        self.leave();
        Ok(raw?.flatten())
    }

    /// The compressed form is whole: it takes the backup's place. False if that is not there any more. The source has to be
    /// open all the while: the system gives the number of a file that is gone to the next one.
    pub fn press(&mut self, source: &LogReader, most: u32) -> io::Result<bool> {
        let Some(backup) = self.number_of(source.identity(), most).ok().flatten() else {
            self.discard_unfinished()?;
            return Ok(false);
        };
        self.enter().map_err(io::Error::other)?;
        let pressed = self.replace(backup);
        self.leave();
        pressed.map(|()| true)
    }

    /// The compressed form is not wanted.
    pub fn discard_unfinished(&mut self) -> io::Result<()> {
        self.enter().map_err(io::Error::other)?;
        let removed = self.beside(UNFINISHED).and_then(|name| self.remove(&name));
        self.leave();
        removed
    }

    /// Moves a backup one number up, whichever form it has. What it replaces goes first, in both forms: between the two there
    /// must not be two different files of one number.
    pub(super) fn shift_either(&self, from: u32) -> io::Result<()> {
        let to = from.saturating_add(1);
        if from > 0 && self.look_pressed(from)?.is_some() {
            // It may be there twice, if a daemon ended while it replaced the one by the other.
            self.remove(&self.backup_name(from)?)?;
            self.remove(&self.backup_name(to)?)?;
            return self.rename(&self.pressed_name(from)?, &self.pressed_name(to)?);
        }
        self.remove(&self.pressed_name(to)?)?;
        self.rename(&self.backup_name(from)?, &self.backup_name(to)?)
    }

    /// What stands at the compressed name of a backup.
    pub(super) fn look_pressed(&self, backup: u32) -> io::Result<Option<(FileKind, FileIdentity)>> {
        match self.entered()?.stat(&self.pressed_name(backup)?) {
            Ok(stat) => Ok(Some((FileKind::of(&stat), FileIdentity::of(&stat)))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn find_raw(&mut self, most: u32) -> Option<u32> {
        for backup in 1..=most {
            self.look(backup).ok()??;
            let plain = self.folder.as_ref()?.stat(&self.backup_name(backup).ok()?);
            if plain.is_ok_and(|stat| FileKind::of(&stat) == FileKind::Regular) {
                return Some(backup);
            }
        }
        None
    }

    fn open_raw(&self, backup: u32) -> Result<Option<Raw>, OpenError> {
        let failed = |error: io::Error| self.failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)));
        let Some(source) = self.open_entered(backup)? else { return Ok(None) };
        let name = self.beside(UNFINISHED).map_err(failed)?;
        let in_the_way = |mut error: OpenError| {
            if let OpenError::System { path, .. } = &mut error {
                path.set_file_name(&name);
            }
            error
        };
        // One that an earlier daemon did not get to finish.
        self.remove(&name).map_err(|error| in_the_way(failed(error)))?;
        let folder = self.entered().map_err(failed)?;
        let target = create(folder, &name, self.mode).map_err(|errno| in_the_way(self.failed(errno)))?;
        Ok(Some(Raw { source, target: target.file }))
    }

    fn replace(&self, backup: u32) -> io::Result<()> {
        let (unfinished, pressed) = (self.beside(UNFINISHED)?, self.pressed_name(backup)?);
        self.rename(&unfinished, &pressed)?;
        // Only now: between the two it is there twice, and never not at all.
        self.remove(&self.backup_name(backup)?)
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        match self.entered()?.act(|folder| unlinkat(folder, name, UnlinkatFlags::NoRemoveDir)) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn pressed_name(&self, backup: u32) -> io::Result<OsString> {
        let mut name = self.backup_name(backup)?;
        name.push(SUFFIX);
        Ok(name)
    }

    fn beside(&self, suffix: &str) -> io::Result<OsString> {
        let mut name = self.backup_name(0)?;
        name.push(suffix);
        Ok(name)
    }
}
