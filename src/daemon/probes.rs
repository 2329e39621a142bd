//! Health checks under way, and what the last one of each instance said. The engine asks, and withdraws its questions;
//! how a question is put stands here, what follows from the answer does not.
//!
//! Questions wait in a queue with a bound on each turn and on descriptors. A cancelled script stays here until it is
//! reaped and its process group is empty.

mod asking;
mod names;
mod script;
mod scripts;
mod words;

use super::Daemon;
use crate::engine::id::{InstanceId, Key, ProbeId, Stamp};
use crate::engine::message::{Event, Input, Pid, ProbeResult};
use crate::engine::slots::Slots;
use crate::engine::time::Instant;
use crate::reactor::probe::Caller;
use crate::spec::{InstanceSpec, ProbeTarget};
use crate::sys::spawn::Plan;
use names::Names;
use script::Script;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// Descriptors a script takes while it runs: pidfd, verdict, two pipes.
const PER_SCRIPT: usize = 4;

/// What is known of the checks of one instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// Checks that came to a result.
    pub(super) checks: u64,
    /// How many of the last ones failed in a row.
    pub(super) failures: u32,
    /// What the last one said.
    pub(super) message: String,
    /// When it said so.
    pub(super) at: Instant,
}

/// One question.
#[derive(Debug)]
struct Check {
    probe: ProbeId,
    /// What it asks; a reload counts at once.
    spec: Rc<InstanceSpec>,
    /// When the address tried now has had its share of the time.
    share: Option<Stamp>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Waits for its turn.
    Queued,
    /// Waits for the addresses of its host.
    Naming,
    /// A connection is under way.
    Calling(Caller),
    /// Its script runs.
    Running(Script),
    /// Nobody waits for the answer; its script is killed and not reaped yet.
    Dying(Script),
    /// Its script is reaped; what it left behind is killed and not gone yet.
    Lingering(Script),
}

/// The prepared exec of a script, and what it was made of.
#[derive(Debug)]
struct Asked {
    /// The question.
    spec: Rc<InstanceSpec>,
    /// The exec of the run that it is about.
    program: Rc<Plan>,
    plan: Rc<Plan>,
}

/// All questions under way.
#[derive(Debug)]
pub(super) struct Probes {
    table: Slots<Check>,
    open: HashMap<InstanceId, Key>,
    by_pid: HashMap<Pid, Key>,
    queue: VecDeque<Key>,
    marked: Vec<Key>,
    answers: Vec<(ProbeId, ProbeResult)>,
    names: Names,
    names_marked: bool,
    plans: HashMap<InstanceId, Asked>,
    records: HashMap<InstanceId, Record>,
    /// What is to be said of a withdrawn question if it turns out that it failed thereby.
    overdue: Option<(ProbeId, String)>,
    flooding: Vec<Key>,
    ending: Vec<Key>,
    linger_armed: bool,
    /// When a person was last told that there is no room to ask.
    no_room_told: Option<Instant>,
    scratch: Vec<u8>,
}

impl Probes {
    pub(super) fn new() -> Probes {
        Probes {
            table: Slots::default(),
            open: HashMap::new(),
            by_pid: HashMap::new(),
            queue: VecDeque::new(),
            marked: Vec::new(),
            answers: Vec::new(),
            names: Names::default(),
            names_marked: false,
            plans: HashMap::new(),
            records: HashMap::new(),
            overdue: None,
            flooding: Vec::new(),
            ending: Vec::new(),
            linger_armed: false,
            no_room_told: None,
            scratch: Vec::new(),
        }
    }

    /// Whether a check still waits for this deadline.
    pub(super) fn waits_for(&self, key: Key, stamp: Stamp) -> bool {
        self.table.get(key).is_some_and(|check| check.share == Some(stamp))
    }

    /// Notes that something happened to a check.
    pub(super) fn mark(&mut self, key: Key) -> bool {
        let known = self.table.contains(key);
        if known {
            self.marked.push(key);
        }
        known
    }

    /// Notes that there are answers about names.
    pub(super) fn mark_names(&mut self) -> bool {
        self.names_marked = true;
        true
    }

    /// Whether something waits that needs no event.
    pub(super) fn has_work(&self) -> bool {
        !self.answers.is_empty() || !self.queue.is_empty()
    }

    /// Descriptors that all of it takes, at most.
    pub(super) fn descriptors(&self) -> usize {
        // A question that waits has none yet.
        self.table.len().saturating_sub(self.queue.len()) + PER_SCRIPT * self.by_pid.len()
    }

    /// Whether checks ended that the engine has not heard of.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The script with this pid, if it is not reaped.
    pub(super) fn of_pid(&self, pid: Pid) -> Option<Key> {
        self.by_pid.get(&pid).copied()
    }

    /// What is known of the checks of an instance.
    pub(super) fn record(&self, id: InstanceId) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Takes down a verdict of the engine, with the words that belong to it.
    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        let (probe, failures) = match *event {
            Event::ProbePassed { probe, .. } | Event::NotReadyYet { probe, .. } => (probe, 0),
            Event::ProbeFailed { probe, failures, .. } => (probe, failures),
            _ => return,
        };
        let record = self.records.entry(probe.run.instance).or_default();
        record.checks += 1;
        record.failures = failures;
        record.at = now;
        if let Some((overdue, message)) = self.overdue.take()
            && overdue == probe
        {
            record.message = message;
        }
    }

    /// Drops what is known of an instance that is gone.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.records.remove(&id);
        self.plans.remove(&id);
    }

    fn open_check(&mut self, probe: ProbeId) -> Option<Key> {
        let key = *self.open.get(&probe.run.instance)?;
        self.table.get(key).filter(|check| check.probe == probe).map(|_| key)
    }

    /// The answer to a question, if it was not withdrawn.
    fn answer(&mut self, key: Key, result: ProbeResult, message: String) {
        let Some(check) = self.table.get(key) else { return };
        let (probe, instance) = (check.probe, check.probe.run.instance);
        if self.open.get(&instance) == Some(&key) {
            self.open.remove(&instance);
            self.records.entry(instance).or_default().message = message;
            self.answers.push((probe, result));
        }
    }
}

impl Check {
    fn instance(&self) -> InstanceId {
        self.probe.run.instance
    }

    fn target(&self) -> Option<&ProbeTarget> {
        self.spec.probe.as_deref()
    }
}

impl Daemon {
    /// Puts a question of the engine in the queue.
    pub(super) fn ask_health(&mut self, probe: ProbeId) {
        let Some(entry) = self.roster.entry(probe.run.instance) else { return };
        let check = Check { probe, spec: Rc::clone(&entry.spec), share: None, stage: Stage::Queued };
        let key = self.probes.table.insert(check);
        self.probes.open.insert(probe.run.instance, key);
        self.probes.queue.push_back(key);
    }

    /// Nobody waits for this answer any more: its time is over, or its run.
    pub(super) fn withdraw_probe(&mut self, probe: ProbeId) {
        self.probes.answers.retain(|(answered, _)| *answered != probe);
        let Some(key) = self.probes.open_check(probe) else { return };
        self.probes.open.remove(&probe.run.instance);
        let Some(check) = self.probes.table.get(key) else { return };
        if let (Some(target), Some(policy)) = (check.target(), &check.spec.policy.health) {
            self.probes.overdue = Some((probe, words::timed_out(target, &check.stage, policy.timeout)));
        }
        self.drop_check(key);
    }

    /// Step 3 of the turn, after the deaths: what came of the questions.
    pub(super) fn hear_probes(&mut self) {
        if std::mem::take(&mut self.probes.names_marked) {
            self.hear_names();
        }
        for key in std::mem::take(&mut self.probes.marked) {
            self.advance(key);
        }
        self.hear_answers();
    }

    fn hear_answers(&mut self) {
        for (probe, result) in std::mem::take(&mut self.probes.answers) {
            self.feed(Input::ProbeDone { probe, result });
        }
    }

    /// Goes on with a check as far as it can without waiting.
    fn advance(&mut self, key: Key) {
        match self.probes.table.get(key).map(|check| &check.stage) {
            Some(Stage::Calling(_)) => self.serve_call(key),
            Some(Stage::Running(_)) => {
                self.listen(key);
                self.reap_check(key);
            }
            Some(Stage::Dying(_)) => self.reap_check(key),
            Some(Stage::Queued | Stage::Naming | Stage::Lingering(_)) | None => {}
        }
    }

    /// Lets go of a check; a script that runs is killed and stays until it is reaped.
    fn drop_check(&mut self, key: Key) {
        match self.probes.table.get(key).map(|check| &check.stage) {
            Some(Stage::Running(_)) => self.kill_script(key),
            Some(Stage::Dying(_) | Stage::Lingering(_)) | None => {}
            Some(Stage::Queued | Stage::Naming | Stage::Calling(_)) => {
                if let Some(Check { stage: Stage::Calling(mut caller), .. }) = self.probes.table.remove(key) {
                    caller.close(&self.reactor);
                }
            }
        }
    }
}
