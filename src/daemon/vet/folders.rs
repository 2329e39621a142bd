//! Whether files can be made where they are wanted.

use super::reason;
use crate::config::problems::quoted;
use crate::sys::files;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Folders that were looked at; a thousand logs in one folder cost one look.
#[derive(Default)]
pub(super) struct Folders {
    known: BTreeMap<PathBuf, Result<(), String>>,
}

impl Folders {
    /// Whether the folder of `path` is there and a file can be made in it. A device needs none made.
    pub(super) fn parent_is_writable(&mut self, path: &Path) -> Result<(), String> {
        let parent = parent(path);
        let known = self.known.entry(parent.clone()).or_insert_with(|| writable(&parent)).clone();
        known.or_else(|message| match fs::metadata(path) {
            Ok(found) if found.file_type().is_char_device() => Ok(()),
            _ => Err(message),
        })
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn writable(folder: &Path) -> Result<(), String> {
    let name = quoted(&folder.to_string_lossy());
    is_folder(folder)?;
    files::write_access(folder).map_err(|error| format!("the folder {name} is not writable: {}", reason(&error)))
}

/// Whether a program can be started in the folder.
pub(super) fn enterable(folder: &Path) -> Result<(), String> {
    let name = quoted(&folder.to_string_lossy());
    is_folder(folder)?;
    files::enter_access(folder).map_err(|error| format!("the folder {name} cannot be entered: {}", reason(&error)))
}

fn is_folder(folder: &Path) -> Result<(), String> {
    let name = quoted(&folder.to_string_lossy());
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{name} is no folder (a folder that exists)")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("the folder {name} does not exist (make it first)"))
        }
        Err(error) => Err(format!("the folder {name} cannot be looked at: {}", reason(&error))),
    }
}
