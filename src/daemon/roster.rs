//! Names and groups to ids, and the specs behind them. The engine knows none of these.

use super::beside::Beside;
use super::changes;
use super::groups::Groups;
use super::sheet::{Press, Sheet};
use crate::engine::Engine;
use crate::engine::id::InstanceId;
use crate::engine::message::Plan as EnginePlan;
use crate::engine::policy::Policy;
use crate::engine::time::Instant;
use crate::spec::{Config, InstanceSpec};
use crate::sys::spawn::Plan as SpawnPlan;
use crate::wire::reload::Changes;
use std::collections::HashSet;
use std::rc::Rc;

/// What is known of one instance outside the engine.
#[derive(Debug)]
pub struct Entry {
    /// What its next start uses.
    pub spec: Rc<InstanceSpec>,
    /// The prepared exec of `spec`, made at the first start.
    pub plan: Option<Rc<SpawnPlan>>,
    /// What its program was given.
    pub given: Sheet,
    /// What went wrong with its last start, with the path it went wrong on.
    pub fault: Option<Box<str>>,
    /// When a person was last told that there is no room for it.
    pub shortage_told: Option<Instant>,
    /// A reload dropped it; it is known by its id only until it is down.
    pub leaving: bool,
}

/// Who is who.
#[derive(Debug, Default)]
pub struct Roster {
    entries: Beside<Entry>,
    /// Sorted by name; those that are leaving are not in it.
    by_name: Vec<InstanceId>,
    order: Vec<InstanceId>,
    groups: Groups,
    /// Some in `order` are forgotten.
    untidy: bool,
    changes: u64,
}

impl Roster {
    /// The entry of an instance, also while it is leaving.
    pub fn entry(&self, id: InstanceId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The same, to change it.
    pub fn entry_mut(&mut self, id: InstanceId) -> Option<&mut Entry> {
        self.changes += 1;
        self.entries.get_mut(id)
    }

    /// A number that is another one whenever an entry, or the order, may have changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The name of an instance; of one that is forgotten, a word that says so.
    pub fn name(&self, id: InstanceId) -> &str {
        self.entries.get(id).map_or("(forgotten)", |entry| &entry.spec.name)
    }

    /// The instance of this name; one that is leaving has none.
    pub fn by_name(&self, name: &str) -> Option<InstanceId> {
        let found = self.by_name.binary_search_by(|&id| self.name(id).cmp(name));
        found.ok().map(|place| self.by_name[place])
    }

    /// The instance of this name, also one that is leaving.
    pub fn find(&self, name: &str) -> Option<InstanceId> {
        let is_leaving = |id: &&InstanceId| self.entries.get(**id).is_some_and(|entry| entry.leaving);
        // Those that are leaving come last.
        let mut leaving = self.order.iter().rev().take_while(is_leaving);
        self.by_name(name).or_else(|| leaving.find(|id| self.name(**id) == name).copied())
    }

    /// The members of a group, in the order of the file.
    pub fn group(&self, name: &str) -> Option<&[InstanceId]> {
        self.groups.members(name)
    }

    /// All instances in the order of the file; those that are leaving come last.
    pub fn in_order(&self) -> &[InstanceId] {
        &self.order
    }

    /// What a new configuration changes, in names; what it changes of the daemon itself is not in it.
    pub fn foresee(&self, config: &Config) -> Changes {
        let mut changes = Changes::default();
        let kept: HashSet<&str> = config.instances.iter().map(|spec| &*spec.name).collect();
        let known = self.by_name.iter().map(|&id| self.name(id));
        changes.removed.extend(known.filter(|name| !kept.contains(name)).map(str::to_owned));
        let mut specs: Vec<&InstanceSpec> = config.instances.iter().collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in specs {
            match self.by_name(&spec.name).and_then(|id| self.entries.get(id)) {
                None => changes.added.push(spec.name.to_string()),
                Some(entry) => changes::compare(&entry.spec, spec, &mut changes),
            }
        }
        changes.removed.sort();
        changes
    }

    /// Takes on a new configuration: what the engine has to do.
    pub fn adopt(&mut self, config: &Config, engine: &mut Engine) -> EnginePlan {
        self.changes += 1;
        let mut plan = EnginePlan::default();
        self.dismiss_all_but(&config.instances, &mut plan);
        let mut order = Vec::with_capacity(config.instances.len());
        let mut press = Press::new(config);
        for spec in &config.instances {
            let (spec, given) = press.shared(spec);
            order.push(match self.by_name(&spec.name) {
                Some(id) => self.update(id, spec, given, &mut plan),
                None => self.enrol(spec, given, engine, &mut plan),
            });
        }
        order.extend(self.order.iter().copied().filter(|&id| self.entries.get(id).is_some_and(|entry| entry.leaving)));
        self.order = order;
        self.sort();
        self.groups = Groups::new(&config.groups, |name| self.by_name(name));
        plan
    }

    /// Drops what is known of an instance that the engine let go; [`tidy`](Self::tidy) is to follow.
    pub fn forget(&mut self, id: InstanceId) {
        self.entries.remove(id);
        self.changes += 1;
        self.untidy = true;
    }

    /// Takes those that were forgotten out of the order, all in one go.
    pub fn tidy(&mut self) {
        if std::mem::take(&mut self.untidy) {
            let entries = &self.entries;
            self.changes += 1;
            self.order.retain(|&id| entries.get(id).is_some());
        }
    }

    /// The names of those that are leaving.
    pub fn leaving(&self) -> HashSet<&str> {
        let entries = self.order.iter().filter_map(|&id| self.entries.get(id));
        entries.filter(|entry| entry.leaving).map(|entry| &*entry.spec.name).collect()
    }

    fn dismiss_all_but(&mut self, kept: &[InstanceSpec], plan: &mut EnginePlan) {
        let kept: HashSet<&str> = kept.iter().map(|spec| &*spec.name).collect();
        for &id in &self.order {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if !entry.leaving && !kept.contains(&*entry.spec.name) {
                entry.leaving = true;
                plan.removed.push(id);
            }
        }
        let entries = &self.entries;
        self.by_name.retain(|&id| entries.get(id).is_some_and(|entry| !entry.leaving));
    }

    fn update(&mut self, id: InstanceId, spec: InstanceSpec, given: Sheet, plan: &mut EnginePlan) -> InstanceId {
        let Some(entry) = self.entries.get_mut(id) else { return id };
        entry.given = given;
        if *entry.spec != spec {
            // A program that only moved to another group has nothing new to start with.
            if !changes::differs_only_in_group(&entry.spec, &spec) {
                plan.changed.push((id, Policy::clone(&spec.policy)));
            }
            entry.spec = Rc::new(spec);
            entry.plan = None;
        }
        id
    }

    fn enrol(&mut self, spec: InstanceSpec, given: Sheet, engine: &mut Engine, plan: &mut EnginePlan) -> InstanceId {
        let id = engine.add(Rc::clone(&spec.policy));
        let (spec, leaving) = (Rc::new(spec), false);
        self.entries.insert(id, Entry { spec, plan: None, given, fault: None, shortage_told: None, leaving });
        plan.added.push(id);
        id
    }

    fn sort(&mut self) {
        let is_staying = |id: &InstanceId| self.entries.get(*id).is_some_and(|entry| !entry.leaving);
        let mut by_name: Vec<InstanceId> = self.order.iter().copied().filter(is_staying).collect();
        by_name.sort_by(|&a, &b| self.name(a).cmp(self.name(b)));
        self.by_name = by_name;
    }
}
