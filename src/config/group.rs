//! `[group:NAME]`, and the groups that programs in none are for themselves.

use super::problems::quoted;
use super::section::Reading;
use super::value;
use crate::spec::{GroupSpec, InstanceSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Which program belongs to which group; the last word wins.
#[derive(Default)]
pub(super) struct Membership {
    group_of: BTreeMap<String, String>,
}

impl Membership {
    /// Reads a group. `programs` are those that exist.
    pub(super) fn read(&mut self, section: &mut Reading<'_>, name: &str, programs: &BTreeSet<&str>) {
        if !section.has("programs") {
            section.error("programs", "is missing (the programs of the group, separated by commas)".to_owned());
        }
        let Some(text) = section.text("programs") else { return };
        let members = value::names(&text);
        if members.is_empty() {
            section.warn("programs", "names no program, so there is no such group".to_owned());
        }
        let members: BTreeSet<&str> = members.into_iter().collect();
        for member in members {
            if !programs.contains(member) {
                let message = format!("there is no program {} ({})", quoted(member), hint(section, member, programs));
                section.error("programs", message);
            } else if let Some(before) = self.group_of.insert(member.to_owned(), name.to_owned()) {
                let (member, before, name) = (quoted(member), quoted(&before), quoted(name));
                section.warn(
                    "programs",
                    format!("program {member} is in group {before} too; it belongs to {name}, the last"),
                );
            }
        }
    }

    /// The group of a program: its own, if no other claims it.
    pub(super) fn group_of<'a>(&'a self, program: &'a str) -> &'a str {
        self.group_of.get(program).map_or(program, String::as_str)
    }

    /// Whether a program is in no group.
    pub(super) fn is_alone(&self, program: &str) -> bool {
        !self.group_of.contains_key(program)
    }
}

fn hint(section: &Reading<'_>, member: &str, programs: &BTreeSet<&str>) -> String {
    const ENOUGH: usize = 1_000;
    let among = if section.problems.lists_errors() { ENOUGH } else { 0 };
    let nearest = super::options::nearest(member, programs.iter().take(among).copied());
    nearest.map_or("there is none".to_owned(), |name| format!("nearest: {}", quoted(name)))
}

/// All groups that have members. `order` names programs' own groups and others as the file does.
pub(super) fn groups<'a>(order: impl Iterator<Item = &'a str>, instances: &[InstanceSpec]) -> Vec<GroupSpec> {
    let mut members: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for instance in instances {
        members.entry(&instance.group).or_default().push(instance.name.to_string());
    }
    let group = |name: &str| Some(GroupSpec { name: name.to_owned(), members: members.remove(name)? });
    order.filter_map(group).collect()
}
