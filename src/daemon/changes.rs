//! What another configuration changes: option by option, and when it is in force. The same for a reload as for the
//! question what one would do.

use crate::config::differences;
use crate::config::options::{Applies, OptionRow};
use crate::daemon::Daemon;
use crate::engine::id::InstanceId;
use crate::spec::{InstanceSpec, LogSpec};
use crate::wire::reload::{Changes, Effect};
use std::rc::Rc;

impl Daemon {
    /// Where an instance logs: what its run was started with, and where there is none, what its next start uses.
    pub(super) fn logs_of(&self, id: InstanceId) -> Option<Rc<InstanceSpec>> {
        let next = &self.roster.entry(id)?.spec;
        let run = self.engine.instance(id).and_then(|instance| instance.run());
        let begun = run.and_then(|run| self.children.trace_of(run.id)).map(|trace| &trace.spec);
        let other = begun.filter(|begun| !Rc::ptr_eq(begun, next));
        Some(other.map_or_else(|| Rc::clone(next), |begun| Rc::new(logs_in_force(begun, next))))
    }
}

/// The limits of logs count at once, all else from the next start on.
fn logs_in_force(begun: &InstanceSpec, next: &InstanceSpec) -> InstanceSpec {
    let limited =
        |begun: &LogSpec, next: &LogSpec| LogSpec { maxbytes: next.maxbytes, backups: next.backups, ..begun.clone() };
    let (stdout, stderr) = (limited(&begun.stdout, &next.stdout), limited(&begun.stderr, &next.stderr));
    InstanceSpec { stdout, stderr, ..begun.clone() }
}

/// Notes what another spec changes of an instance.
pub(super) fn compare(old: &InstanceSpec, new: &InstanceSpec, changes: &mut Changes) {
    if old == new {
        return;
    }
    if old.group != new.group {
        changes.regrouped.push(new.name.to_string());
    }
    if !differs_only_in_group(old, new) {
        changes.changed.push(new.name.to_string());
        changes.effects.push(effect(&new.name, &differences::of_instance(old, new)));
    }
}

/// A program that moved to another group has nothing new to start with.
pub(super) fn differs_only_in_group(old: &InstanceSpec, new: &InstanceSpec) -> bool {
    let moved = InstanceSpec { group: new.group.clone(), ..old.clone() };
    moved == *new
}

/// When each of these options is in force.
pub(super) fn effect(name: &str, options: &[&OptionRow]) -> Effect {
    let named = |applies| {
        let options = options.iter().filter(|option| option.applies == applies);
        options.map(|option| option.name.to_owned()).collect()
    };
    Effect { name: name.to_owned(), now: named(Applies::AtOnce), next_start: named(Applies::AtStart) }
}

/// `stopsignal, startretries at once; command at the next start`.
pub(super) fn in_words(effect: &Effect) -> String {
    let part = |options: &[String], when: &str| (!options.is_empty()).then(|| format!("{} {when}", options.join(", ")));
    let parts = [part(&effect.now, "at once"), part(&effect.next_start, "at the next start")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
