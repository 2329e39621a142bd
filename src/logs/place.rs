//! What a rotating file needs of a file system, so that a test can stand in for one and fail at any step.

use crate::sys::files::{FileIdentity, FileKind};
use crate::sys::log_file::{Facts, LogFile, LogPlace, OpenError};
use crate::sys::pipe::Pipe;
use std::io;
use std::path::Path;

/// Where a log file and its backups live. Backup 0 is the log itself.
pub trait Place {
    /// An open log.
    type File;

    /// How people call it.
    fn path(&self) -> &Path;
    /// Opens what is at the path for appending, or makes it.
    fn open(&mut self) -> Result<Self::File, OpenError>;
    /// Takes hold of the folder for `look`, `shift` and `create`.
    fn enter(&mut self) -> Result<(), OpenError>;
    /// Lets the folder go.
    fn leave(&mut self);
    /// What stands at a backup's name.
    fn look(&mut self, backup: u32) -> io::Result<Option<(FileKind, FileIdentity)>>;
    /// Renames a backup to the next number.
    fn shift(&mut self, from: u32) -> io::Result<()>;
    /// Makes the log where there is none.
    fn create(&mut self) -> io::Result<Self::File>;
    /// Appends a part of the bytes, at least one.
    fn write(&mut self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize>;
    /// Makes the file empty.
    fn truncate(&mut self, file: &mut Self::File) -> io::Result<()>;
    /// Whether each write goes to wherever the end is then, or to where the end is now, and on from there.
    fn set_appending(&mut self, file: &mut Self::File, appending: bool) -> io::Result<()>;
    /// The last byte of the log.
    fn last_byte(&mut self, file: &Self::File) -> io::Result<Option<u8>>;
    /// What is true of the file; `None` for a device, which has no size and cannot be moved aside.
    fn facts(&mut self, file: &Self::File) -> io::Result<Option<Facts>>;
}

/// A pipe whose bytes can go into a file without being looked at.
pub trait Flow<F> {
    /// How many bytes wait.
    fn waiting(&mut self) -> io::Result<usize>;
    /// Looks at the first bytes; they stay where they are.
    fn peek(&mut self, most: usize) -> io::Result<&[u8]>;
    /// Moves bytes to where the file is written; what does not go in stays in the pipe.
    fn move_into(&mut self, file: &mut F, length: usize) -> io::Result<usize>;
}

impl Flow<LogFile> for Pipe<'_> {
    fn waiting(&mut self) -> io::Result<usize> {
        Pipe::waiting(self)
    }

    fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        Pipe::peek(self, most)
    }

    fn move_into(&mut self, file: &mut LogFile, length: usize) -> io::Result<usize> {
        Pipe::move_into(self, file, length)
    }
}

impl Place for LogPlace {
    type File = LogFile;

    fn path(&self) -> &Path {
        LogPlace::path(self)
    }

    fn open(&mut self) -> Result<LogFile, OpenError> {
        LogPlace::open(self)
    }

    fn enter(&mut self) -> Result<(), OpenError> {
        LogPlace::enter(self)
    }

    fn leave(&mut self) {
        LogPlace::leave(self);
    }

    fn look(&mut self, backup: u32) -> io::Result<Option<(FileKind, FileIdentity)>> {
        LogPlace::look(self, backup)
    }

    fn shift(&mut self, from: u32) -> io::Result<()> {
        LogPlace::shift(self, from)
    }

    fn create(&mut self) -> io::Result<LogFile> {
        LogPlace::create(self)
    }

    fn write(&mut self, file: &mut LogFile, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn truncate(&mut self, file: &mut LogFile) -> io::Result<()> {
        file.truncate()
    }

    fn set_appending(&mut self, file: &mut LogFile, appending: bool) -> io::Result<()> {
        file.set_appending(appending)
    }

    fn last_byte(&mut self, file: &LogFile) -> io::Result<Option<u8>> {
        let facts = file.facts()?;
        let reader = self.open_part(0).ok().flatten().filter(|reader| reader.identity() == facts.identity);
        let mut byte = [0];
        let count = reader.map_or(Ok(0), |reader| reader.read_at(&mut byte, facts.size.saturating_sub(1)))?;
        Ok((count == 1).then_some(byte[0]))
    }

    fn facts(&mut self, file: &LogFile) -> io::Result<Option<Facts>> {
        if file.is_regular() { file.facts().map(Some) } else { Ok(None) }
    }
}
