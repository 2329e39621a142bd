//! Names and groups to ids, and the specs behind them. The engine knows none of these.

use super::changes;
use crate::engine::Engine;
use crate::engine::id::InstanceId;
use crate::engine::message::Plan as EnginePlan;
use crate::engine::time::Instant;
use crate::spec::{Config, Given, GroupSpec, InstanceSpec};
use crate::sys::spawn::Plan as SpawnPlan;
use crate::wire::reload::Changes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

/// What is known of one instance outside the engine.
#[derive(Debug)]
pub struct Entry {
    /// What its next start uses.
    pub spec: Rc<InstanceSpec>,
    /// The prepared exec of `spec`, made at the first start.
    pub plan: Option<Rc<SpawnPlan>>,
    /// What went wrong with its last start, with the path it went wrong on.
    pub fault: Option<String>,
    /// When a person was last told that there is no room for it.
    pub shortage_told: Option<Instant>,
    /// A reload dropped it; it is known by its id only until it is down.
    pub leaving: bool,
}

/// Entries in the places of their ids: a status asks for each in turn.
#[derive(Debug, Default)]
struct Entries(Vec<Option<(InstanceId, Entry)>>);

impl Entries {
    #[inline]
    fn get(&self, id: &InstanceId) -> Option<&Entry> {
        let (tenant, entry) = self.0.get(id.0.slot as usize)?.as_ref()?;
        (tenant == id).then_some(entry)
    }

    fn get_mut(&mut self, id: &InstanceId) -> Option<&mut Entry> {
        let (tenant, entry) = self.0.get_mut(id.0.slot as usize)?.as_mut()?;
        (tenant == id).then_some(entry)
    }

    /// The engine lets a place again only after it told to forget its last tenant.
    fn insert(&mut self, id: InstanceId, entry: Entry) {
        let place = id.0.slot as usize;
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some((id, entry));
    }

    fn remove(&mut self, id: &InstanceId) -> Option<Entry> {
        let place = self.0.get_mut(id.0.slot as usize)?;
        place.take_if(|(tenant, _)| tenant == id).map(|(_, entry)| entry)
    }

    fn contains_key(&self, id: &InstanceId) -> bool {
        self.get(id).is_some()
    }
}

/// Who is who.
#[derive(Debug, Default)]
pub struct Roster {
    entries: Entries,
    by_name: HashMap<String, InstanceId>,
    order: Vec<InstanceId>,
    groups: BTreeMap<String, Vec<InstanceId>>,
    /// What each program was given.
    given: HashMap<String, Rc<[Given]>>,
    /// Some in `order` are forgotten.
    untidy: bool,
}

impl Roster {
    /// The entry of an instance, also while it is leaving.
    pub fn entry(&self, id: InstanceId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The same, to change it.
    pub fn entry_mut(&mut self, id: InstanceId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// The name of an instance; of one that is forgotten, a word that says so.
    pub fn name(&self, id: InstanceId) -> &str {
        self.entries.get(&id).map_or("(forgotten)", |entry| entry.spec.name.as_str())
    }

    /// The instance of this name; one that is leaving has none.
    pub fn by_name(&self, name: &str) -> Option<InstanceId> {
        self.by_name.get(name).copied()
    }

    /// The instance of this name, also one that is leaving.
    pub fn find(&self, name: &str) -> Option<InstanceId> {
        let is_leaving = |id: &&InstanceId| self.entries.get(id).is_some_and(|entry| entry.leaving);
        // Those that are leaving come last.
        let mut leaving = self.order.iter().rev().take_while(is_leaving);
        self.by_name(name).or_else(|| leaving.find(|id| self.name(**id) == name).copied())
    }

    /// The members of a group, in the order of the file.
    pub fn group(&self, name: &str) -> Option<&[InstanceId]> {
        self.groups.get(name).map(Vec::as_slice)
    }

    /// The options that a program was given.
    pub fn given(&self, program: &str) -> Rc<[Given]> {
        self.given.get(program).cloned().unwrap_or_else(|| Rc::new([]))
    }

    /// All instances in the order of the file; those that are leaving come last.
    pub fn in_order(&self) -> &[InstanceId] {
        &self.order
    }

    /// What a new configuration changes, in names; what it changes of the daemon itself is not in it.
    pub fn foresee(&self, config: &Config) -> Changes {
        let mut changes = Changes::default();
        let kept: HashSet<&str> = config.instances.iter().map(|spec| spec.name.as_str()).collect();
        let gone = self.by_name.keys().filter(|name| !kept.contains(name.as_str()));
        changes.removed.extend(gone.cloned());
        let mut specs: Vec<&InstanceSpec> = config.instances.iter().collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in specs {
            match self.by_name(&spec.name).and_then(|id| self.entries.get(&id)) {
                None => changes.added.push(spec.name.clone()),
                Some(entry) => changes::compare(&entry.spec, spec, &mut changes),
            }
        }
        changes.removed.sort();
        changes
    }

    /// Takes on a new configuration: what the engine has to do.
    pub fn adopt(&mut self, config: Config, engine: &mut Engine) -> EnginePlan {
        let mut plan = EnginePlan::default();
        self.dismiss_all_but(&config.instances, &mut plan);
        let mut order = Vec::with_capacity(config.instances.len());
        for spec in config.instances {
            order.push(match self.by_name(&spec.name) {
                Some(id) => self.update(id, spec, &mut plan),
                None => self.enrol(spec, engine, &mut plan),
            });
        }
        order.extend(self.order.iter().filter(|id| self.entries.get(id).is_some_and(|entry| entry.leaving)));
        self.order = order;
        self.regroup(&config.groups);
        self.given = config.positions.given;
        plan
    }

    /// Drops what is known of an instance that the engine let go; [`tidy`](Self::tidy) is to follow.
    pub fn forget(&mut self, id: InstanceId) {
        self.entries.remove(&id);
        self.untidy = true;
    }

    /// Takes those that were forgotten out of the order, all in one go.
    pub fn tidy(&mut self) {
        if std::mem::take(&mut self.untidy) {
            let entries = &self.entries;
            self.order.retain(|id| entries.contains_key(id));
        }
    }

    /// The names of those that are leaving.
    pub fn leaving(&self) -> HashSet<&str> {
        let entries = self.order.iter().filter_map(|id| self.entries.get(id));
        entries.filter(|entry| entry.leaving).map(|entry| entry.spec.name.as_str()).collect()
    }

    fn dismiss_all_but(&mut self, kept: &[InstanceSpec], plan: &mut EnginePlan) {
        let kept: HashSet<&str> = kept.iter().map(|spec| spec.name.as_str()).collect();
        for &id in &self.order {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if !entry.leaving && !kept.contains(entry.spec.name.as_str()) {
                entry.leaving = true;
                self.by_name.remove(&entry.spec.name);
                plan.removed.push(id);
            }
        }
    }

    fn update(&mut self, id: InstanceId, spec: InstanceSpec, plan: &mut EnginePlan) -> InstanceId {
        if let Some(entry) = self.entries.get_mut(&id).filter(|entry| *entry.spec != spec) {
            // A program that only moved to another group has nothing new to start with.
            if !changes::differs_only_in_group(&entry.spec, &spec) {
                plan.changed.push((id, spec.policy.clone()));
            }
            entry.spec = Rc::new(spec);
            entry.plan = None;
        }
        id
    }

    fn enrol(&mut self, spec: InstanceSpec, engine: &mut Engine, plan: &mut EnginePlan) -> InstanceId {
        let id = engine.add(spec.policy.clone());
        self.by_name.insert(spec.name.clone(), id);
        let entry = Entry { spec: Rc::new(spec), plan: None, fault: None, shortage_told: None, leaving: false };
        self.entries.insert(id, entry);
        plan.added.push(id);
        id
    }

    fn regroup(&mut self, groups: &[GroupSpec]) {
        self.groups.clear();
        for group in groups {
            let members = group.members.iter().filter_map(|name| self.by_name(name)).collect();
            self.groups.insert(group.name.clone(), members);
        }
    }
}
