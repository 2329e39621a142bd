//! A file of ours to which lines are added, and the one before it: what is old goes as a whole, and nothing is rewritten.
//!
//! No fsync, as for the state file. What stands in the way and is not a plain file of ours is neither read nor written.

use super::atomic_file::vet;
use super::trusted_folder::{FolderError, vet_folder};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// At this size a file is done with, and takes the place of the one before it.
pub const PART_MAX: u64 = 4 << 20;

/// The place of both files.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    earlier: PathBuf,
    part_max: u64,
    /// The last line may lack its end: it is not ours, or could not be written.
    torn: bool,
}

impl Journal {
    /// The place; its folder must be one where others cannot replace what is ours.
    pub fn at(path: &Path) -> Result<Journal, FolderError> {
        Journal::of_parts(path, PART_MAX)
    }

    fn of_parts(path: &Path, part_max: u64) -> Result<Journal, FolderError> {
        vet_folder(path)?;
        let mut earlier = path.as_os_str().to_owned();
        earlier.push(".1");
        Ok(Journal { path: path.to_owned(), earlier: earlier.into(), part_max, torn: true })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All lines that are kept, the oldest first. What cannot be read is told beside them.
    pub fn read(&self) -> (Vec<u8>, Vec<io::Error>) {
        let (mut bytes, mut errors) = (Vec::new(), Vec::new());
        for path in [&self.earlier, &self.path] {
            if let Err(error) = read_part(path, self.part_max, &mut bytes) {
                errors.push(error);
            }
            if bytes.last().is_some_and(|last| *last != b'\n') {
                bytes.push(b'\n');
            }
        }
        (bytes, errors)
    }

    /// Adds whole lines. The file is open no longer than that takes, so that it holds no file system.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let (mut file, size) = self.current(lines.len() as u64)?;
        let torn = std::mem::replace(&mut self.torn, true) && size > 0;
        if torn {
            file.write_all(b"\n")?;
        }
        file.write_all(lines)?;
        self.torn = false;
        Ok(())
    }

    /// The file to add to, and its size; one that is full makes way for a new one.
    fn current(&self, more: u64) -> io::Result<(File, u64)> {
        let (file, size) = self.open()?;
        if size == 0 || size.saturating_add(more) <= self.part_max {
            return Ok((file, size));
        }
        drop(file);
        match fs::symlink_metadata(&self.earlier) {
            Ok(found) => vet(&found)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::rename(&self.path, &self.earlier)?;
        self.open()
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let mut options = OpenOptions::new();
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = options.append(true).create(true).mode(0o600).custom_flags(flags).open(&self.path)?;
        let found = file.metadata()?;
        vet(&found)?;
        Ok((file, found.size()))
    }
}

fn read_part(path: &Path, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    vet(&file.metadata()?)?;
    file.take(most.saturating_mul(2)).read_to_end(bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn journal(folder: &tempfile::TempDir) -> Journal {
        Journal::of_parts(&folder.path().join("h"), 20).unwrap()
    }

    fn text(journal: &Journal) -> String {
        let (bytes, errors) = journal.read();
        assert!(errors.is_empty(), "{errors:?}");
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_are_kept_in_two_files_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(&folder);
        assert_eq!(text(&journal), "");
        for number in 0..9 {
            journal.append(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(text(&journal), "line 6\nline 7\nline 8\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(fs::metadata(folder.path().join("h")).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_torn_line_stays_alone_and_a_file_that_is_gone_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = journal(&folder);
        fs::write(first.path(), "tor").unwrap();
        fs::set_permissions(first.path(), fs::Permissions::from_mode(0o600)).unwrap();
        first.append(b"whole\n").unwrap();
        assert_eq!(text(&first), "tor\nwhole\n");
        fs::remove_file(first.path()).unwrap();
        first.append(b"again\n").unwrap();
        assert_eq!(text(&first), "again\n");
    }

    #[test]
    fn what_is_not_a_plain_file_of_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let mut journal = journal(&folder);
        let path = journal.path().to_owned();
        for hard in [false, true] {
            if hard { fs::hard_link(&victim, &path) } else { std::os::unix::fs::symlink(&victim, &path) }.unwrap();
            assert!(journal.append(b"line\n").is_err());
            assert_eq!(journal.read().1.len(), 1);
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            fs::remove_file(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        assert!(journal.append(b"line\n").is_err() && journal.read().1.len() == 1);
    }
}
