//! The daemon's memory across its own crash: when the children are put on the disk, and in whose name.
//!
//! Written before the first child is made, then 5 ms after a change, at most every 50 ms, and where writing takes long
//! seldom enough to take a small part of the time, but within 5 s. Until then a child is known by its marker alone. A
//! file that cannot be written is told once a minute and tried again; nothing else depends on it.
//!
//! Until what an earlier daemon left in the file is judged, or taken over unjudged, nothing is written over it.

mod past;

use super::marker;
use super::state_file::{self, Damage, Process, Reading, Record, State};
use super::{Alarm, Daemon};
use crate::engine::message::Pid;
use crate::engine::time::{Duration, Instant};
use crate::spec::InstanceSpec;
use crate::sys::atomic_file::{self, AtomicFile};
use crate::sys::clock;
use crate::sys::identity::{self, Machine, Want};
use crate::sys::{limits, spawn};
pub(super) use past::{Past, why_strange};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

/// From a change to its write: writing would take the processor from programs that just begin.
const SETTLED: Duration = Duration::from_millis(5);

/// From one write to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The same, as a multiple of what the last write took: a burst of N changes costs in all what N records cost.
const COST_FACTOR: u32 = 20;
/// At most so much: a disk that hung once is no reason to leave the children unrecorded for long.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Until a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// From one complaint to the next.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The records of so many, and what was needed to start them, take memory that is worth giving back.
const MANY: usize = 100;

/// How far we are with what an earlier daemon left.
#[derive(Debug)]
enum Prior {
    /// The file may be another daemon's: it is neither judged nor written.
    Others,
    /// There is no room to look at it, or at the processes that it speaks of.
    Unseen(Want),
    /// Read, and not yet judged.
    Seen(Past),
    /// There was no room for too long: it is carried on unjudged, as soon as it can be read.
    GivenUp,
    /// Judged or carried on; the file is ours.
    Settled,
}

/// Why it cannot be said what an earlier daemon left.
#[derive(Debug)]
enum Obstacle {
    Want(Want),
    /// A reason not to start.
    Refused(String),
}

impl From<Want> for Obstacle {
    fn from(want: Want) -> Obstacle {
        Obstacle::Want(want)
    }
}

/// The state file, and what of it is still to be written.
#[derive(Debug)]
pub(super) struct Memory {
    file: AtomicFile,
    life: String,
    serial: u64,
    machine: Option<Machine>,
    ourselves: Option<Process>,
    prior: Prior,
    dirty: bool,
    /// Since when.
    changed_at: Instant,
    armed: bool,
    not_before: Instant,
    complained: Option<Instant>,
    /// So many records were written since memory was last given back.
    wrote: Option<usize>,
}

impl Memory {
    /// Reads what an earlier daemon left. An error is a reason not to start: the folder is open to others, or the
    /// daemon that wrote the file lives.
    pub(super) fn open(path: &Path) -> Result<Memory, String> {
        let file = AtomicFile::at(path).map_err(|error| format!("state_file: {error}"))?;
        let failed = |error: io::Error| format!("state_file {}: {error}", path.display());
        let life = marker::life(file.place().map_err(failed)?, atomic_file::random().map_err(failed)?);
        let mut memory = Memory {
            file,
            life,
            serial: 0,
            machine: None,
            ourselves: None,
            prior: Prior::Others,
            dirty: true,
            changed_at: Instant::ZERO,
            armed: false,
            not_before: Instant::ZERO,
            complained: None,
            wrote: None,
        };
        memory.see()?;
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

    /// What was in the file at the start, to be judged. An error: it could not be looked at.
    pub(super) fn take_past(&mut self) -> Result<Past, Want> {
        match std::mem::replace(&mut self.prior, Prior::Settled) {
            Prior::Seen(past) => Ok(past),
            Prior::Unseen(want) => {
                self.put_off(want);
                Err(want)
            }
            prior @ (Prior::Others | Prior::GivenUp | Prior::Settled) => {
                self.prior = prior;
                Ok(Past::None)
            }
        }
    }

    /// It could not be judged: the file stays as it is, and is read again.
    pub(super) fn put_off(&mut self, want: Want) {
        self.prior = Prior::Unseen(want);
    }

    /// Whether it is still to be judged.
    pub(super) fn is_put_off(&self) -> bool {
        matches!(self.prior, Prior::Unseen(_))
    }

    /// It is judged no more: the next daemon is to do it.
    pub(super) fn give_up(&mut self) {
        self.prior = Prior::GivenUp;
    }

    /// Looks where we are and what an earlier daemon left. An error is a reason not to start.
    pub(super) fn see(&mut self) -> Result<(), String> {
        self.prior = match self.look() {
            Ok(past) => Prior::Seen(past),
            Err(Obstacle::Want(want)) => Prior::Unseen(want),
            Err(Obstacle::Refused(text)) => {
                self.prior = Prior::Others;
                return Err(text);
            }
        };
        Ok(())
    }

    /// The next run: its number, and the marker of an instance for it.
    pub(super) fn next_run(&mut self, spec: &InstanceSpec) -> (u64, String) {
        self.serial += 1;
        (self.serial, marker::of(&self.life, self.serial, spec))
    }

    /// Something is to be written.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    fn look(&mut self) -> Result<Past, Obstacle> {
        if self.machine.is_none() {
            self.machine = Want::sift(identity::machine())?.ok();
        }
        if self.ourselves.is_none() {
            let own = identity::own_pid();
            let stat = Want::sift(identity::stat(own))?.ok().flatten();
            self.ourselves = stat.map(|stat| Process { pid: own, start: stat.start });
        }
        let read = Want::sift(self.read())?;
        let past = read.map_err(|error| Obstacle::Refused(format!("state_file {}: {error}", self.path().display())))?;
        match self.living_writer(&past)? {
            Some(pid) => {
                let path = self.path().display();
                Err(Obstacle::Refused(format!("state_file {path} is in use by the supervice with pid {pid}")))
            }
            None => Ok(past),
        }
    }

    fn read(&mut self) -> io::Result<Past> {
        let content = match Want::sift(self.file.read(state_file::MAX_BYTES))? {
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
    fn living_writer(&self, past: &Past) -> Result<Option<Pid>, Want> {
        let Past::Read(Reading { state, .. }, _) = past else { return Ok(None) };
        let is_another = |writer: &Process| writer.pid != identity::own_pid() && state.machine == self.machine;
        let Some(writer) = state.daemon.filter(|_| !state.closed).filter(is_another) else { return Ok(None) };
        let want = Cell::new(None);
        let lives = identity::outlasts(|| match identity::stat(writer.pid) {
            Ok(seen) => seen.is_some_and(|stat| stat.start == writer.start && !stat.is_dead()),
            Err(error) => {
                want.set(Want::of(&error));
                false
            }
        });
        want.get().map_or(Ok(lives.then_some(writer.pid)), Err)
    }

    /// When it is to be written.
    fn due(&self) -> Instant {
        self.not_before.max(self.changed_at + SETTLED)
    }

    /// Whether anything may be written.
    fn may_write(&self) -> bool {
        match self.prior {
            Prior::Settled => self.machine.is_some(),
            Prior::GivenUp => true,
            Prior::Others | Prior::Unseen(_) | Prior::Seen(_) => false,
        }
    }

    /// The records that nobody judged, once; nobody else would tell the next daemon of them.
    fn take_unjudged(&mut self, now: Instant) -> Vec<Record> {
        if !matches!(self.prior, Prior::GivenUp) {
            return Vec::new();
        }
        match self.look() {
            Ok(past) => {
                self.prior = Prior::Settled;
                past.oddities(self.path()).iter().for_each(|text| log::warn!("{text}"));
                past.into_records(self.machine.as_ref())
            }
            Err(Obstacle::Want(want)) => {
                self.not_before = now + RETRY;
                self.complain(&want, now);
                Vec::new()
            }
            Err(Obstacle::Refused(text)) => {
                self.prior = Prior::Others;
                log::error!("{text}; after a crash our children would be unknown");
                Vec::new()
            }
        }
    }

    fn write(&mut self, children: Vec<Record>, closed: bool, now: Instant) {
        let begun = clock::monotonic();
        let state = State {
            life: Some(self.life.clone()),
            serial: self.serial,
            machine: self.machine.clone(),
            daemon: self.ourselves,
            closed,
            children,
        };
        let written = self.file.replace(&state_file::render(&state));
        let ended = clock::monotonic();
        match written {
            Ok(()) => {
                self.dirty = false;
                self.not_before = ended + pause_after(ended.since(begun));
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

    /// There was no room to look at one of the children.
    fn look_again(&mut self, now: Instant) {
        self.dirty = true;
        self.not_before = self.not_before.max(now + RETRY);
    }

    fn complain(&mut self, error: &dyn fmt::Display, now: Instant) {
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
        if memory.may_write() && !memory.dirty && memory.file.is_gone() {
            log::warn!("the state file {} was removed; it is written anew", memory.path().display());
            memory.dirty = true;
        }
    }

    /// The first writing: before any child of ours is made, with those an earlier daemon left.
    pub(super) fn begin_memory(&mut self) {
        self.save_children();
        if !matches!(self.memory.prior, Prior::Settled) {
            return;
        }
        if let Err(error) = self.memory.file.sweep() {
            log::debug!("removing what an earlier daemon was writing failed: {error}");
        }
        if self.memory.machine.is_none() {
            log::warn!(
                "reconcile is off: /proc is missing or another namespace's, so no process can be told from another"
            );
        }
    }

    /// Step 7 of the turn: what changed goes to the disk, or waits for its time.
    pub(super) fn save_children(&mut self) {
        self.write_children();
        self.rest_after_writing();
    }

    fn write_children(&mut self) {
        if self.children.take_changed() && !std::mem::replace(&mut self.memory.dirty, true) {
            self.memory.changed_at = self.now;
        }
        if !self.memory.dirty || !self.memory.may_write() {
            return;
        }
        let now = clock::monotonic();
        let due = self.memory.due();
        if now >= due {
            let count = self.save(false, now);
            self.memory.wrote = Some(count);
        }
        if self.memory.dirty && !self.memory.armed {
            self.memory.armed = true;
            self.alarms.arm(self.memory.due(), Alarm::Memory);
        }
    }

    /// Once all are through their exec, what that and the writing took is given back where it was much.
    fn rest_after_writing(&mut self) {
        if self.memory.wrote.is_none() || self.children.unproven() > 0 {
            return;
        }
        let is_large = self.memory.wrote.take().is_some_and(|count| count >= MANY);
        if spawn::rest() || is_large {
            self.spawner.rest();
            limits::give_back_memory();
        }
    }

    /// The time for a write has come; the end of the turn does it.
    pub(super) fn memory_due(&mut self) {
        self.memory.armed = false;
    }

    /// The last writing: only survivors are left, for the next daemon.
    pub(super) fn close_memory(&mut self) {
        self.memory.complained = None;
        // A life that never began has no records, and the earlier ones are still in the file.
        if self.memory.may_write() {
            self.save(true, clock::monotonic());
        }
    }

    /// How many records there are.
    fn save(&mut self, closed: bool, now: Instant) -> usize {
        let unjudged = self.memory.take_unjudged(now);
        self.orphans.leave(unjudged);
        if !matches!(self.memory.prior, Prior::Settled) || self.memory.machine.is_none() {
            return 0;
        }
        let records = joined(self.children.records(&self.memory.life).collect(), self.orphans.records());
        let count = records.len();
        self.memory.write(records, closed, now);
        if self.children.any_unseen() {
            self.memory.look_again(now);
        }
        count
    }
}

/// From a write that took so long to the next.
fn pause_after(cost: Duration) -> Duration {
    cost.saturating_mul(COST_FACTOR).clamp(PAUSE, PAUSE_MAX)
}

/// Ours, and those that an earlier daemon left. A number that was given to one of ours is no orphan's any more.
fn joined<'a>(ours: Vec<Record>, earlier: impl Iterator<Item = &'a Record>) -> Vec<Record> {
    let mut earlier = earlier.peekable();
    if earlier.peek().is_none() {
        return ours;
    }
    let numbers: HashSet<Pid> = ours.iter().map(|record| record.pid).collect();
    earlier.filter(|record| !numbers.contains(&record.pid)).cloned().chain(ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_hung_once_puts_the_next_off_for_seconds_alone() {
        let millis = |cost| pause_after(Duration::from_millis(cost)).as_millis();
        assert_eq!([0, 2, 10, 250, 4_000, 600_000].map(millis), [50, 50, 200, 5_000, 5_000, 5_000]);
        assert_eq!(pause_after(Duration::MAX), PAUSE_MAX);
    }

    #[test]
    fn a_number_is_recorded_once_and_is_ours_if_we_gave_it_anew() {
        let ours = vec![Record::sample("a", 10), Record::sample("b", 11)];
        let earlier = [Record::sample("x", 9), Record::sample("y", 11)];
        let names = |records: Vec<Record>| records.into_iter().map(|record| record.name).collect::<Vec<_>>();
        assert_eq!(names(joined(ours.clone(), earlier.iter())), ["x", "a", "b"]);
        assert_eq!(names(joined(ours, [].iter())), ["a", "b"]);
        assert_eq!(names(joined(Vec::new(), earlier.iter())), ["x", "y"]);
    }
}
