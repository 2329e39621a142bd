//! Files that are believed: opened once, judged by the descriptor, read only if nobody but their owner can write them.
//!
//! A configuration is code, and an env file is part of it.

use super::reason;
use crate::config::problems::quoted;
use crate::sys::{files, user};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that was read.
pub(super) struct Trusted {
    pub(super) text: Vec<u8>,
    pub(super) readable_by_others: bool,
}

/// Reads a regular file of at most `limit` bytes. Never blocks, whatever the path is. The error is a sentence about the file.
pub(super) fn read(path: &Path, limit: usize) -> Result<Trusted, String> {
    let cannot = |error: &std::io::Error| format!("cannot be read: {}", reason(error));
    let file =
        OpenOptions::new().read(true).custom_flags(files::CAREFUL_OPEN).open(path).map_err(|error| cannot(&error))?;
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if !metadata.is_file() {
        return Err("is no regular file (a text file)".to_owned());
    }
    check_file(metadata.uid(), metadata.mode() & 0o7777, user::effective_uid())?;
    if user::effective_uid() == 0 {
        check_folders(path)?;
    }
    let text = bounded(&file, limit).map_err(|error| cannot(&error))?;
    if text.len() > limit {
        return Err(format!("is larger than {limit} bytes (that is the limit)"));
    }
    Ok(Trusted { text, readable_by_others: metadata.mode() & 0o004 != 0 })
}

fn bounded(file: &File, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn check_file(owner: u32, mode: u32, euid: u32) -> Result<(), String> {
    if owner != 0 && owner != euid {
        let right = if euid == 0 { "root" } else { "you or root" };
        return Err(format!("is owned by user {owner} (it must belong to {right}, since it says what is run)"));
    }
    let forbidden = if euid == 0 { 0o022 } else { 0o002 };
    if mode & forbidden != 0 {
        return Err(format!("may be written by others, mode {mode:04o} (chmod go-w; it says what is run)"));
    }
    Ok(())
}

/// For a root daemon: nobody else may be able to put another file in this one's place.
fn check_folders(path: &Path) -> Result<(), String> {
    let lost = |error: std::io::Error| format!("cannot be told where it lies: {}", reason(&error));
    for folder in folders(path).map_err(lost)? {
        let name = quoted(&folder.to_string_lossy());
        let lost = |error: std::io::Error| format!("its folder {name} cannot be looked at: {}", reason(&error));
        let metadata = fs::metadata(&folder).map_err(lost)?;
        check_folder(&name, metadata.uid(), metadata.mode() & 0o7777)?;
    }
    Ok(())
}

fn check_folder(name: &str, owner: u32, mode: u32) -> Result<(), String> {
    if owner != 0 {
        return Err(format!("lies in the folder {name}, which user {owner} owns (run as root, it must be root's)"));
    }
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let right = "chmod go-w, or the sticky bit";
        return Err(format!("lies in the folder {name}, where others may write, mode {mode:04o} ({right})"));
    }
    Ok(())
}

/// All folders on the way to a file: those of the path as it is written, and those that it leads through by links.
fn folders(path: &Path) -> std::io::Result<BTreeSet<PathBuf>> {
    let paths = [std::path::absolute(path)?, fs::canonicalize(path)?];
    Ok(paths.iter().flat_map(|path| path.ancestors().skip(1).map(Path::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        assert_eq!(check_file(0, 0o644, 0), Ok(()));
        assert_eq!(check_file(0, 0o644, 1000), Ok(()));
        assert_eq!(check_file(1000, 0o664, 1000), Ok(()));
        let owned =
            |right| Err(format!("is owned by user 1000 (it must belong to {right}, since it says what is run)"));
        assert_eq!(check_file(1000, 0o644, 0), owned("root"));
        assert_eq!(check_file(1000, 0o644, 1001), owned("you or root"));
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let writable = |mode| Err(format!("may be written by others, mode {mode} (chmod go-w; it says what is run)"));
        assert_eq!(check_file(0, 0o666, 0), writable("0666"));
        assert_eq!(check_file(0, 0o664, 0), writable("0664"));
        assert_eq!(check_file(0, 0o602, 1000), writable("0602"));
    }

    #[test]
    fn a_folder_where_others_may_write_needs_the_sticky_bit() {
        assert_eq!(check_folder("`/x`", 0, 0o755), Ok(()));
        assert_eq!(check_folder("`/x`", 0, 0o1777), Ok(()));
        let wrong = "lies in the folder `/x`, where others may write, mode 0777 (chmod go-w, or the sticky bit)";
        assert_eq!(check_folder("`/x`", 0, 0o777), Err(wrong.to_owned()));
        let wrong = "lies in the folder `/x`, which user 7 owns (run as root, it must be root's)";
        assert_eq!(check_folder("`/x`", 7, 0o755), Err(wrong.to_owned()));
    }
}
