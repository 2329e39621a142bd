//! The daemon's memory across its own crash: when the children are put on the disk, and in whose name.
//!
//! Written before the first child is made, and then at most every 50 ms and seldom enough that writing never takes more
//! than a small part of the time. A file that cannot be written is told once a minute and tried again; nothing else
//! depends on it.

use super::marker::{self, Fate};
use super::state_file::{self, Damage, Process, Reading, Record, State};
use super::{Alarm, Daemon};
use crate::engine::time::{Duration, Instant};
use crate::spec::InstanceSpec;
use crate::sys::atomic_file::{self, AtomicFile};
use crate::sys::clock;
use crate::sys::identity::{self, Machine};
use crate::sys::limits;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// From one write to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The same, as a multiple of what the last write took: a burst of N changes costs in all what N records cost.
const COST_FACTOR: u32 = 20;
/// Until a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// From one complaint to the next.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The records of so many, and what was needed to start them, take memory that is worth giving back.
const MANY: usize = 100;

/// What an earlier daemon left in the file.
#[derive(Debug)]
pub(super) enum Past {
    /// There is no file.
    None,
    /// A file that nothing can be learned from.
    Damaged(String),
    /// Records, and when they were written.
    Read(Reading, SystemTime),
}

/// The state file, and what of it is still to be written.
#[derive(Debug)]
pub(super) struct Memory {
    file: AtomicFile,
    life: String,
    serial: u64,
    machine: Option<Machine>,
    ourselves: Option<Process>,
    past: Option<Past>,
    dirty: bool,
    armed: bool,
    not_before: Instant,
    complained: Option<Instant>,
}

impl Memory {
    /// Reads what an earlier daemon left. An error is a reason not to start: the folder is open to others, or the
    /// daemon that wrote the file lives.
    pub(super) fn open(path: &Path) -> Result<Memory, String> {
        let file = AtomicFile::at(path).map_err(|error| format!("state_file: {error}"))?;
        let failed = |error: io::Error| format!("state_file {}: {error}", path.display());
        let life = marker::life(file.place().map_err(failed)?, atomic_file::random().map_err(failed)?);
        let own = identity::own_pid();
        let mut memory = Memory {
            file,
            life,
            serial: 0,
            machine: identity::machine().ok(),
            ourselves: identity::stat(own).ok().flatten().map(|stat| Process { pid: own, start: stat.start }),
            past: None,
            dirty: true,
            armed: false,
            not_before: Instant::ZERO,
            complained: None,
        };
        let past = memory.read().map_err(failed)?;
        if let Some(pid) = memory.living_writer(&past) {
            return Err(format!("state_file {} is in use by the supervice with pid {pid}", path.display()));
        }
        memory.past = Some(past);
        Ok(memory)
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The id of this daemon's life.
    pub(super) fn life(&self) -> &str {
        &self.life
    }

    /// Where process numbers mean something; `None` without /proc.
    pub(super) fn machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    /// What was in the file at the start, once.
    pub(super) fn take_past(&mut self) -> Past {
        if let Err(error) = self.file.sweep() {
            log::debug!("removing what an earlier daemon was writing failed: {error}");
        }
        self.past.take().unwrap_or(Past::None)
    }

    /// The marker for the next run of an instance.
    pub(super) fn next_run(&mut self, spec: &InstanceSpec) -> String {
        self.serial += 1;
        marker::run(&self.life, self.serial, Fate::of(spec.reconcile, spec.launch.pdeathsig))
    }

    /// Something is to be written.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    fn read(&mut self) -> io::Result<Past> {
        let content = match self.file.read(state_file::MAX_BYTES) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(Past::None),
            Err(error) => return Ok(Past::Damaged(error.to_string())),
        };
        match state_file::parse(&content.bytes, identity::own_pid()) {
            Ok(reading) => Ok(Past::Read(reading, content.modified)),
            Err(damage) => {
                if damage == Damage::Foreign {
                    self.file.spare()?;
                }
                Ok(Past::Damaged(damage.to_string()))
            }
        }
    }

    /// The daemon that wrote the file, if it is still there. One that is just ending gets a second for it.
    fn living_writer(&self, past: &Past) -> Option<i32> {
        let Past::Read(Reading { state, .. }, _) = past else { return None };
        let writer = state.daemon.filter(|_| !state.closed && state.machine.as_ref() == self.machine.as_ref())?;
        let lives =
            || matches!(identity::stat(writer.pid), Ok(Some(stat)) if stat.start == writer.start && !stat.is_dead());
        (writer.pid != identity::own_pid() && identity::outlasts(lives)).then_some(writer.pid)
    }

    fn write(&mut self, children: Vec<Record>, closed: bool, now: Instant) {
        let begun = clock::monotonic();
        let state = State {
            life: Some(self.life.clone()),
            machine: self.machine.clone(),
            daemon: self.ourselves,
            closed,
            children,
        };
        let written = self.file.replace(&state_file::render(&state));
        let cost = clock::monotonic().since(begun);
        match written {
            Ok(()) => {
                self.dirty = false;
                self.not_before = now + PAUSE.max(cost.saturating_mul(COST_FACTOR));
                if self.complained.take().is_some() {
                    log::info!("the state file {} is written again", self.path().display());
                }
            }
            Err(error) => {
                self.not_before = now + RETRY;
                self.complain(&error, now);
            }
        }
    }

    fn complain(&mut self, error: &io::Error, now: Instant) {
        if self.complained.is_some_and(|at| now.since(at) < COMPLAINT_EVERY) {
            return;
        }
        self.complained = Some(now);
        let path = self.path().display();
        log::warn!("the state file {path} cannot be written: {error}; after a crash our children would be unknown");
    }
}

impl Daemon {
    /// Writes the state file anew where it was removed.
    pub(super) fn restore_memory(&mut self) {
        let memory = &mut self.memory;
        let is_kept = memory.machine.is_some() && memory.past.is_none() && !memory.dirty;
        if is_kept && memory.file.is_gone() {
            log::warn!("the state file {} was removed; it is written anew", memory.path().display());
            memory.dirty = true;
        }
    }

    /// The first writing: before any child of ours is made, with those an earlier daemon left.
    pub(super) fn begin_memory(&mut self) {
        if self.memory.machine.is_none() {
            log::warn!(
                "reconcile is off: /proc is missing or another namespace's, so no process can be told from another"
            );
            return;
        }
        self.save_children();
    }

    /// Step 7 of the turn: what changed goes to the disk, or waits for its time.
    pub(super) fn save_children(&mut self) {
        let changed = self.children.take_changed();
        self.memory.dirty |= changed;
        if !self.memory.dirty || self.memory.machine.is_none() || self.memory.past.is_some() {
            return;
        }
        let now = clock::monotonic();
        if now >= self.memory.not_before {
            let records = self.records();
            let count = records.len();
            self.memory.write(records, false, now);
            if count >= MANY && self.children.unproven() == 0 {
                limits::give_back_memory();
            }
        }
        if self.memory.dirty && !self.memory.armed {
            self.memory.armed = true;
            self.alarms.arm(self.memory.not_before, Alarm::Memory);
        }
    }

    /// The time for a write has come; the end of the turn does it.
    pub(super) fn memory_due(&mut self) {
        self.memory.armed = false;
    }

    /// The last writing: only survivors are left, for the next daemon.
    pub(super) fn close_memory(&mut self) {
        // A life that never began has no records, and the earlier ones are still in the file.
        if self.memory.machine.is_none() || self.memory.past.is_some() {
            return;
        }
        let records = self.records();
        self.memory.complained = None;
        self.memory.write(records, true, clock::monotonic());
    }

    fn records(&mut self) -> Vec<Record> {
        let mut records: Vec<Record> = self.orphans.records().cloned().collect();
        records.extend(self.children.records());
        records
    }
}
