//! The files that commands run, as far as a configuration has to know them.

use crate::spec::InstanceSpec;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files that were looked at; a thousand programs of one command cost one look.
#[derive(Default)]
pub(super) struct Commands {
    /// The mode of what can be run.
    known: HashMap<PathBuf, Option<u32>>,
}

impl Commands {
    /// The file that a command runs, if its owner's or group's rights come with it.
    pub(super) fn setuid_program(&mut self, instance: &InstanceSpec) -> Option<PathBuf> {
        let program = instance.launch.argv.first()?;
        let candidates: Vec<PathBuf> = match program.contains('/') {
            true => vec![instance.launch.directory.clone().unwrap_or_default().join(program)],
            false => search_path(instance).into_iter().map(|folder| folder.join(program)).collect(),
        };
        let (found, mode) = candidates.into_iter().find_map(|path| {
            let mode = self.mode(&path)?;
            Some((path, mode))
        })?;
        (mode & 0o6000 != 0).then_some(found)
    }

    fn mode(&mut self, path: &Path) -> Option<u32> {
        if let Some(known) = self.known.get(path) {
            return *known;
        }
        let found = fs::metadata(path).ok().filter(|found| found.is_file()).map(|found| found.permissions().mode());
        let mode = found.filter(|mode| mode & 0o111 != 0);
        self.known.insert(path.to_owned(), mode);
        mode
    }
}

/// The folders of the PATH that the child will have; relative ones are not searched.
fn search_path(instance: &InstanceSpec) -> Vec<PathBuf> {
    let given = instance.launch.env.get("PATH").map(Into::into);
    let inherited = || std::env::var_os("PATH").filter(|_| !instance.launch.clean_env);
    let path = given.or_else(inherited).unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}
