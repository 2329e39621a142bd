//! Env files: read once each by the daemon, before any privilege drops, and merged below `environment`.

use super::trust;
use crate::config::problems::{Place, Problems, quoted};
use crate::config::program::MAX_EXPANDED;
use crate::config::{environment, value};
use crate::spec::InstanceSpec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

type Variables = BTreeMap<String, String>;

/// Files that were read, and what they add up to.
#[derive(Default)]
pub(super) struct EnvFiles {
    known: BTreeMap<PathBuf, Option<Rc<Variables>>>,
    bytes: usize,
}

impl EnvFiles {
    /// Adds what the env files of an instance say to its environment.
    pub(super) fn merge(&mut self, instance: &mut InstanceSpec, place: Place<'_>, problems: &mut Problems) {
        let slot = slot(instance);
        // Later files win and `environment` wins over all, so the first word in this order counts.
        let paths = instance.launch.env_files.clone();
        for path in paths.iter().rev() {
            let Some(variables) = self.read(path, place, problems) else { continue };
            for (name, text) in variables.iter() {
                if !instance.launch.env.contains_key(name) {
                    let text = value::expand(text, slot);
                    self.bytes += name.len() + text.len();
                    if self.bytes > MAX_EXPANDED {
                        let message = "the variables of all instances together are too large (256 MiB is the limit)";
                        return problems.error(place, message.to_owned());
                    }
                    Rc::make_mut(&mut instance.launch).env.insert(name.clone(), text);
                }
            }
        }
    }

    fn read(&mut self, path: &Path, place: Place<'_>, problems: &mut Problems) -> Option<Rc<Variables>> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let read = read(path, place, problems).map(Rc::new);
        self.known.insert(path.to_owned(), read.clone());
        read
    }
}

fn read(path: &Path, place: Place<'_>, problems: &mut Problems) -> Option<Variables> {
    let name = path.to_string_lossy();
    let file = match trust::read(path, environment::MAX_ENV_FILE) {
        Ok(file) => file,
        Err(message) => {
            problems.error(place, format!("{} {message}", quoted(&name)));
            return None;
        }
    };
    if file.readable_by_others {
        problems.warn(place, format!("others may read {} (chmod o-r keeps its secrets)", quoted(&name)));
    }
    match environment::file(&file.text) {
        Ok(variables) => Some(variables),
        Err(bad) => {
            problems.error(place, format!("{name}:{}: {}", bad.line, bad.message));
            None
        }
    }
}

/// The number of an instance, which is the end of its name.
fn slot(instance: &InstanceSpec) -> u32 {
    let number = instance.name.strip_prefix(&*instance.program).and_then(|rest| rest.strip_prefix(':'));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
