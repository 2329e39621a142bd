//! The only place where pids live: which process is which run, and what is left of its group.

use super::marker;
use super::state_file::Record;
use crate::engine::id::{Key, RunId};
use crate::engine::message::{ExitStatus, Pid, SpawnError};
use crate::engine::slots::Slots;
use crate::engine::time::Instant;
use crate::spec::InstanceSpec;
use crate::sys::identity;
use crate::sys::spawn::{Plan, Verdict};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What a later daemon has to know of a child.
#[derive(Debug)]
pub struct Trace {
    /// What it was started with; a reload may have something else for its next start.
    pub spec: Rc<InstanceSpec>,
    /// The prepared exec of `spec`.
    pub plan: Rc<Plan>,
    /// Which of the runs of this daemon it is; the marker in its environment says so.
    pub serial: u64,
    /// Its start as the clock told it.
    start: Option<NonZeroU64>,
    /// Its start, and the inode of its pidfd; looked up when it is recorded.
    identity: Option<(Option<NonZeroU64>, Option<NonZeroU64>)>,
}

impl Trace {
    /// Of a child that nobody looked at yet.
    pub fn new(spec: Rc<InstanceSpec>, plan: Rc<Plan>, serial: u64, start: Option<u64>) -> Trace {
        Trace { spec, plan, serial, start: start.and_then(NonZeroU64::new), identity: None }
    }

    fn record(&mut self, life: &str, pid: Pid, pidfd: Option<&OwnedFd>, reaped: bool) -> Record {
        let (start, inode) = self.identity.unwrap_or_else(|| {
            // Once it is reaped, only its marker tells its group from others.
            let start = if reaped { Ok(None) } else { identity::start(pid, self.start.map(NonZeroU64::get)) };
            let inode = pidfd.and_then(identity::unique_inode).and_then(NonZeroU64::new);
            let found = (start.unwrap_or(None).and_then(NonZeroU64::new), inode);
            // What there was no room to look at is looked at again.
            self.identity = start.is_ok().then_some(found);
            found
        });
        Record {
            name: self.spec.name.to_string(),
            pid,
            start: start.map(NonZeroU64::get),
            inode: inode.map(NonZeroU64::get),
            run: Some(marker::of(life, self.serial, &self.spec)),
            pdeathsig: self.spec.launch.pdeathsig,
            reconcile: self.spec.reconcile,
            stop_signal: self.spec.policy.stop_signal,
            stop_wait: self.spec.policy.stop_timeout,
        }
    }
}

/// One process we made, from its making until its group is empty.
#[derive(Debug)]
pub struct Child {
    /// The run it is the leader of.
    pub run: RunId,
    /// Its pid, which is its process group's id as well.
    pub pid: Pid,
    /// Says when it died; signals go through it. `None` where the kernel has none.
    pub pidfd: Option<OwnedFd>,
    /// What is recorded of it; a helper of ours is not.
    pub trace: Option<Trace>,
    /// The exec verdict still to come.
    pub verdict: Option<Box<Verdict>>,
    /// The verdict was bad; told to the engine when the process is reaped.
    pub failed: Option<Box<Failed>>,
    /// The program runs, so its process group exists.
    pub confirmed: bool,
    /// Reaped; only its group is left.
    pub reaped: Option<ExitStatus>,
    /// SIGKILL went out.
    pub killing: Option<Box<Killing>>,
}

/// A child that never came to its program, and is about to die.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: SpawnError,
    /// What said so. The child may stand on what it keeps until it is reaped.
    pub verdict: Verdict,
}

/// The end of a child that would not go.
#[derive(Debug, Clone, Copy)]
pub struct Killing {
    /// When SIGKILL went out last.
    pub at: Instant,
    /// When /proc was last asked whether only zombies are left.
    pub looked_at: Option<Instant>,
}

impl Child {
    /// A fresh one, its exec still to come.
    pub fn new(run: RunId, pid: Pid, pidfd: Option<OwnedFd>, verdict: Verdict, trace: Option<Trace>) -> Child {
        Child {
            run,
            pid,
            pidfd,
            trace,
            verdict: Some(Box::new(verdict)),
            failed: None,
            confirmed: false,
            reaped: None,
            killing: None,
        }
    }

    /// Notes that SIGKILL went out.
    pub fn note_killed(&mut self, at: Instant) {
        let looked_at = self.killing.as_ref().and_then(|killing| killing.looked_at);
        self.killing = Some(Box::new(Killing { at, looked_at }));
    }
}

/// All processes we made.
#[derive(Debug, Default)]
pub struct Children {
    table: Slots<Child>,
    by_run: HashMap<RunId, Key>,
    by_pid: HashMap<Pid, Key>,
    lingering: BTreeSet<Key>,
    /// SIGKILL could not be sent to them; some may be gone by now.
    unkilled: BTreeSet<Key>,
    /// Their verdict could not be read, or not all of it.
    unheard: BTreeSet<Key>,
    unproven: usize,
    changed: bool,
}

impl Children {
    /// Takes a fresh child.
    pub fn insert(&mut self, child: Child) -> Key {
        let (run, pid) = (child.run, child.pid);
        self.unproven += usize::from(child.verdict.is_some());
        self.changed |= child.trace.is_some();
        let key = self.table.insert(child);
        self.by_run.insert(run, key);
        self.by_pid.insert(pid, key);
        key
    }

    /// The child in this place, if it is still there.
    pub fn get(&self, key: Key) -> Option<&Child> {
        self.table.get(key)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Child> {
        self.table.get_mut(key)
    }

    /// The child that leads this run.
    pub fn of_run(&self, run: RunId) -> Option<Key> {
        self.by_run.get(&run).copied()
    }

    /// What this run was started with, until its group is empty.
    pub fn trace_of(&self, run: RunId) -> Option<&Trace> {
        self.get(self.of_run(run)?)?.trace.as_ref()
    }

    /// The child with this pid, unless it is reaped: the number may be somebody else's by now.
    pub fn of_pid(&self, pid: Pid) -> Option<Key> {
        self.by_pid.get(&pid).copied()
    }

    /// Hands out the pending verdict, which is then no longer waited for.
    pub fn take_verdict(&mut self, key: Key) -> Option<Verdict> {
        let verdict = self.table.get_mut(key)?.verdict.take();
        self.unproven -= usize::from(verdict.is_some());
        self.unheard.remove(&key);
        verdict.map(|verdict| *verdict)
    }

    /// Notes that the leader is reaped; its pid names only a group from now on.
    pub fn note_reaped(&mut self, key: Key, status: ExitStatus) {
        if let Some(child) = self.table.get_mut(key) {
            child.reaped = Some(status);
            self.by_pid.remove(&child.pid);
        }
    }

    /// Keeps a reaped child until its group is empty.
    pub fn linger(&mut self, key: Key) {
        self.lingering.insert(key);
    }

    /// Reaped children with a living group.
    pub fn lingering(&self) -> Vec<Key> {
        self.lingering.iter().copied().collect()
    }

    /// Whether any group outlives its leader.
    pub fn any_lingering(&self) -> bool {
        !self.lingering.is_empty()
    }

    /// Notes that SIGKILL could not be sent to a child; whether it is the first one.
    pub fn note_unkilled(&mut self, key: Key) -> bool {
        let first = self.unkilled.is_empty();
        self.unkilled.insert(key);
        first
    }

    /// Those that SIGKILL could not be sent to since the last call; some may be gone by now.
    pub fn take_unkilled(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.unkilled)
    }

    /// Notes that a child's verdict was not to be had; whether it is the first one.
    pub fn note_unheard(&mut self, key: Key) -> bool {
        let first = self.unheard.is_empty();
        self.unheard.insert(key);
        first
    }

    /// Whether anybody's verdict is to be asked for again.
    pub fn any_unheard(&self) -> bool {
        !self.unheard.is_empty()
    }

    /// Those whose verdict was not to be had since the last call, unless they have told it by now.
    pub fn take_unheard(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.unheard)
    }

    /// Lets go of a child; its descriptors close.
    pub fn remove(&mut self, key: Key) -> Option<Child> {
        self.take_verdict(key);
        let child = self.table.remove(key)?;
        self.changed |= child.trace.is_some();
        self.lingering.remove(&key);
        self.by_run.remove(&child.run);
        if child.reaped.is_none() {
            self.by_pid.remove(&child.pid);
        }
        Some(child)
    }

    /// Children whose exec is not confirmed yet.
    pub fn unproven(&self) -> usize {
        self.unproven
    }

    /// Whether there are others to record than the last time this was asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What each that is not reaped was started with.
    pub fn living(&self) -> impl Iterator<Item = &InstanceSpec> {
        let living = self.table.iter().filter(|(_, child)| child.reaped.is_none());
        living.filter_map(|(_, child)| child.trace.as_ref()).map(|trace| &*trace.spec)
    }

    /// Whether something of a child is still to be looked at before its record is whole.
    pub fn any_unseen(&self) -> bool {
        self.table.iter().any(|(_, child)| child.trace.as_ref().is_some_and(|trace| trace.identity.is_none()))
    }

    /// What a later daemon has to know of all of them; `life` is this one's.
    pub fn records(&mut self, life: &str) -> impl Iterator<Item = Record> {
        self.table.iter_mut().filter_map(move |(_, child)| {
            let (pid, pidfd, reaped) = (child.pid, child.pidfd.as_ref(), child.reaped.is_some());
            Some(child.trace.as_mut()?.record(life, pid, pidfd, reaped))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }
}
