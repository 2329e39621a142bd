//! A small file of ours that is replaced as a whole: whoever reads it finds the old text or the new one.
//!
//! No fsync: the text is worth nothing after a reboot, and a rename alone is atomic for a process that dies. What
//! stands in the way and is not a plain file of ours is neither read nor replaced.

use super::descriptor::check;
use super::trusted_folder::{FileId, FolderError, kind_of, vet_folder};
use super::user::effective_uid;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The place of the file.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    folder: PathBuf,
    name: OsString,
    /// A file that turned out not to be ours, and stays where it is.
    spared: Option<FileId>,
}

/// What was read.
#[derive(Debug)]
pub struct Content {
    /// All of it.
    pub bytes: Vec<u8>,
    /// When it was last written.
    pub modified: SystemTime,
}

impl AtomicFile {
    /// The place; its folder must be one where others cannot replace what is ours.
    pub fn at(path: &Path) -> Result<AtomicFile, FolderError> {
        let (folder, name) = vet_folder(path)?;
        Ok(AtomicFile { path: path.to_owned(), folder, name: name.to_owned(), spared: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number for the place that is the same for every process, however it spells the path.
    pub fn place(&self) -> io::Result<u64> {
        let folder = fs::metadata(&self.folder)?;
        let numbers = [folder.dev().to_le_bytes(), folder.ino().to_le_bytes()].concat();
        Ok(fnv(&[&numbers, self.name.as_encoded_bytes()].concat()))
    }

    /// The text, at most `max` bytes of it. `None`: there is no file. Never waits, whatever stands there.
    pub fn read(&self, max: usize) -> io::Result<Option<Content>> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.what_stands_there().err().unwrap_or(error)),
        };
        let found = file.metadata()?;
        vet(&found)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(max).unwrap_or(u64::MAX);
        if found.len() > limit {
            return Err(odd(format!("is larger than {max} bytes")));
        }
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(Content { bytes, modified: found.modified()? }))
    }

    /// The file that is there now has a text that is not ours: it is never replaced.
    pub fn spare(&mut self) -> io::Result<()> {
        self.spared = FileId::at(&self.path)?;
        Ok(())
    }

    /// Puts a new text in the place of the old one, mode 0600.
    pub fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.what_stands_there()?;
        let temporary = self.temporary()?;
        let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // What is told is the first error; a temporary file that stays is swept at the next start.
            let _ = fs::remove_file(&temporary);
        } else {
            // What stands there is ours, also if the system gave it the number of what was spared.
            self.spared = None;
        }
        written
    }

    /// Removes what a daemon that died while it was writing left behind.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if self.is_temporary(&entry.file_name()) && entry.metadata().is_ok_and(|found| vet(&found).is_ok()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether nothing stands at its place, or the place itself is gone.
    pub fn is_gone(&self) -> bool {
        fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn what_stands_there(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if Some(FileId::of(&found)) == self.spared => {
                Err(odd("has something else in it than our records".to_owned()))
            }
            Ok(found) => vet(&found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn temporary(&self) -> io::Result<PathBuf> {
        let mut name = self.name.clone();
        name.push(format!(".{:016x}.tmp", random()?));
        Ok(self.folder.join(name))
    }

    fn is_temporary(&self, name: &std::ffi::OsStr) -> bool {
        let rest = name.as_encoded_bytes().strip_prefix(self.name.as_encoded_bytes());
        let middle = rest.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".tmp"));
        middle.is_some_and(|middle| middle.len() == 16 && middle.iter().all(u8::is_ascii_hexdigit))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// A plain file with one name that is ours or root's.
pub(super) fn vet(found: &Metadata) -> io::Result<()> {
    if !found.is_file() {
        return Err(odd(format!("is {}", kind_of(found.file_type()))));
    }
    if found.nlink() > 1 {
        return Err(odd("has other names (hard links)".to_owned()));
    }
    if found.uid() != effective_uid() && found.uid() != 0 {
        return Err(odd(format!("belongs to uid {}", found.uid())));
    }
    Ok(())
}

fn odd(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A number that nobody can guess.
pub fn random() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the kernel writes eight bytes into an array of eight.
    check(unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) })?;
    Ok(u64::from_ne_bytes(bytes))
}

/// FNV-1a. Any single byte that changes gives another sum.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place(folder: &tempfile::TempDir) -> AtomicFile {
        AtomicFile::at(&folder.path().join(".x.state.json")).unwrap()
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_text_replaces_the_one_before_and_is_for_us_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = place(&folder);
        assert!(file.read(100).unwrap().is_none());
        file.replace(b"one").unwrap();
        file.replace(b"two").unwrap();
        assert_eq!(file.read(100).unwrap().unwrap().bytes, b"two");
        assert_eq!(file.read(3).unwrap().unwrap().bytes, b"two");
        assert!(file.read(2).unwrap_err().to_string().contains("larger"));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(&folder), [".x.state.json"], "no temporary file stays");
    }

    #[test]
    fn what_is_not_a_plain_file_of_ours_is_neither_read_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        type Arm = (&'static str, fn(&Path, &Path));
        let arms: [Arm; 5] = [
            ("a symbolic link", |victim, place| std::os::unix::fs::symlink(victim, place).unwrap()),
            ("a symbolic link", |_, place| std::os::unix::fs::symlink("/nonexistent/x", place).unwrap()),
            ("hard links", |victim, place| fs::hard_link(victim, place).unwrap()),
            ("a folder", |_, place| fs::create_dir(place).unwrap()),
            ("a FIFO", |_, place| nix::unistd::mkfifo(place, nix::sys::stat::Mode::S_IRWXU).unwrap()),
        ];
        for (what, lay) in arms {
            let mut file = place(&folder);
            lay(&victim, file.path());
            let read = file.read(100).map(|found| found.is_some());
            assert!(read.as_ref().is_err_and(|error| error.to_string().contains(what)), "{what}: {read:?}");
            assert!(file.replace(b"ours").unwrap_err().to_string().contains(what));
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            fs::remove_file(file.path()).or_else(|_| fs::remove_dir(file.path())).unwrap();
        }
        assert_eq!(names(&folder), ["victim"]);
    }

    #[test]
    fn a_strangers_text_is_spared_until_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = place(&folder);
        fs::write(file.path(), "a letter").unwrap();
        file.spare().unwrap();
        file.replace(b"ours").unwrap_err();
        assert_eq!(fs::read(file.path()).unwrap(), b"a letter");
        fs::remove_file(file.path()).unwrap();
        // The number of the one that went may be that of any of ours.
        for _ in 0..3 {
            file.replace(b"ours").unwrap();
            assert_eq!(file.spared, None);
        }
    }

    #[test]
    fn only_what_a_dead_daemon_was_writing_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let file = place(&folder);
        for name in [".x.state.json.0123456789abcdef.tmp", ".x.state.json.tmp", ".x.state.json.0123.tmp", "other.tmp"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        file.sweep().unwrap();
        assert_eq!(names(&folder), [".x.state.json.0123.tmp", ".x.state.json.tmp", "other.tmp"]);
    }
}
