//! The children of a dead daemon: judged before anything is spawned, stopped by identity, all side by side.
//!
//! Programs start only when that is over. An orphan that nothing can kill holds up its own program alone.

mod judge;

use super::memory::Past;
use super::state_file::{Reading, Record};
use super::{Alarm, Daemon};
use crate::daemon::marker;
use crate::engine::message::{Pid, Signal};
use crate::engine::time::{Duration, Instant};
use crate::sys::identity::{self, Machine, ProcStat};
use crate::sys::kill::KillError;
use crate::sys::{clock, kill, signals};
use judge::{Bearer, Judgement, Members, Pack, Sight};
use std::cell::Cell;
use std::time::SystemTime;

/// How often those that were asked to stop are looked for; more seldom where looking takes long.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often those that nothing can kill are looked for.
const LOOK_SELDOM: Duration = Duration::from_secs(1);
/// After SIGKILL; who lives then cannot be killed.
const KILLED_WAIT: Duration = Duration::from_secs(2);
/// How far the wall clock may be off the time of the boot.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The stop signal is out.
    Asked { until: Instant },
    /// SIGKILL is out.
    Killed { until: Instant },
    /// SIGKILL did nothing.
    Stuck,
}

#[derive(Debug)]
struct Quarry {
    pack: Pack,
    stage: Stage,
    /// The kernel refused SIGKILL to one of it, and that is told.
    refused: bool,
}

/// What is left of earlier daemons.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    hunted: Vec<Quarry>,
    left: Vec<Record>,
    stopped: usize,
}

impl Orphans {
    /// Their records, for the next daemon.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.hunted.iter().map(|quarry| &quarry.pack.record).chain(&self.left)
    }

    /// Why this instance cannot start: a copy of it that nothing can kill.
    pub(super) fn in_the_way(&self, name: &str) -> Option<String> {
        let of_name = |quarry: &&Quarry| quarry.pack.record.name == name;
        let quarry = self.hunted.iter().find(of_name)?;
        Some(format!(
            "process group {} of an earlier daemon is still there and cannot be killed",
            quarry.pack.record.pid
        ))
    }

    fn are_under_way(&self) -> bool {
        self.hunted.iter().any(|quarry| quarry.stage != Stage::Stuck)
    }
}

impl Daemon {
    /// Judges what an earlier daemon left, and begins to stop it. To be called before anything is spawned.
    pub(super) fn reconcile(&mut self) {
        let past = self.memory.take_past();
        let Some(here) = self.memory.machine().cloned() else { return };
        let Some(judgement) = self.judge(past, &here) else { return };
        for (level, text) in &judgement.lines {
            log::log!(*level, "{text}");
        }
        self.orphans.left = judgement.left;
        for (pack, members) in judgement.hunted {
            let wait = pack.record.stop_wait.min(self.settings.spec().shutdown_timeout);
            members.ours.iter().for_each(|stat| ask(&pack.record, stat));
            self.orphans.hunted.push(Quarry { pack, stage: Stage::Asked { until: self.now + wait }, refused: false });
        }
        if !self.orphans.hunted.is_empty() {
            self.spawner.hold(true);
            self.arm(LOOK_EVERY, Alarm::Orphans);
        }
    }

    /// Looks who of them still lives, and goes on with the others when that is over.
    pub(super) fn hunt(&mut self) {
        let begun = clock::monotonic();
        match Proc::look() {
            Ok(sight) => self.press(&sight),
            Err(error) => {
                log::error!("looking for the processes of an earlier daemon failed, tried again in a second: {error}");
                self.arm(LOOK_SELDOM, Alarm::Orphans);
                return;
            }
        }
        if !self.orphans.are_under_way() && self.spawner.is_held() {
            self.spawner.hold(false);
            let (stopped, stuck) = (self.orphans.stopped, self.orphans.hunted.len());
            log::warn!("Reconciled {stopped} orphaned process groups of an earlier daemon, {stuck} cannot be killed");
        }
        if !self.orphans.hunted.is_empty() {
            let cost = clock::monotonic().since(begun);
            let pause = if self.orphans.are_under_way() { LOOK_EVERY.max(cost * 4) } else { LOOK_SELDOM };
            self.arm(pause, Alarm::Orphans);
        }
    }

    fn press(&mut self, sight: &Proc) {
        let before = self.orphans.hunted.len();
        let now = self.now;
        self.orphans.hunted.retain_mut(|quarry| {
            let members = quarry.pack.look(sight);
            // Who was not seen because there was no descriptor to look with is not gone.
            let gone = members.ours.is_empty() && !sight.wants.get();
            !gone && {
                quarry.press(&members, now);
                true
            }
        });
        self.orphans.stopped += before - self.orphans.hunted.len();
        if before != self.orphans.hunted.len() {
            self.memory.touch();
        }
    }

    fn judge(&self, past: Past, here: &Machine) -> Option<Judgement> {
        let life = self.memory.life();
        if let Past::Read(Reading { state, refused }, _) = &past
            && state.closed
            && state.children.is_empty()
            && refused.is_empty()
        {
            return None;
        }
        let sight = match Proc::look() {
            Ok(sight) => sight,
            Err(error) => {
                log::warn!("reconcile is off: looking at /proc failed: {error}");
                return None;
            }
        };
        match past {
            Past::None => Some(judge::judge_unproven(life, "there is no state file of an earlier daemon", &sight)),
            Past::Damaged(why) => {
                log::warn!("the state file {} is not used: {why}", self.memory.path().display());
                Some(judge::judge_unproven(life, "the state file cannot be used", &sight))
            }
            Past::Read(reading, modified) => Some(judge_reading(reading, modified, here, &sight)),
        }
    }
}

impl Quarry {
    fn press(&mut self, members: &Members, now: Instant) {
        let record = &self.pack.record;
        match self.stage {
            Stage::Asked { until } if now < until => {}
            Stage::Asked { .. } => {
                log::warn!("{}: what an earlier daemon left did not stop in time: SIGKILL", record.name);
                self.stage = Stage::Killed { until: now + KILLED_WAIT };
                self.strike(members);
            }
            Stage::Killed { until } => {
                if now >= until {
                    log::error!("{}: process group {} of an earlier daemon cannot be killed", record.name, record.pid);
                    self.stage = Stage::Stuck;
                }
                // Again each time: those that were born meanwhile have to go too.
                self.strike(members);
            }
            Stage::Stuck => self.strike(members),
        }
    }

    /// It goes on at every look, so a refusal is told once.
    fn strike(&mut self, members: &Members) {
        let record = &self.pack.record;
        for stat in &members.ours {
            let Err(error) = send(record, stat, Signal::KILL) else { continue };
            if !std::mem::replace(&mut self.refused, true) {
                tell_refused(record, stat, Signal::KILL, &error);
            }
        }
    }
}

fn judge_reading(reading: Reading, modified: SystemTime, here: &Machine, sight: &Proc) -> Judgement {
    let Reading { state, refused } = reading;
    let mut judgement = match &state.machine {
        Some(there) if there.boot != here.boot => judge::judge_strangers(&state.children, "before a reboot", sight),
        Some(there) if there.namespace != here.namespace => {
            judge::judge_strangers(&state.children, "in another pid namespace", sight)
        }
        None if !is_of_this_boot(modified) => {
            judge::judge_strangers(&state.children, "before a reboot, by the clock", sight)
        }
        Some(_) | None => judge::judge(state.children, state.life.as_deref(), sight),
    };
    let refused = refused.into_iter().map(|why| (log::Level::Warn, format!("a record is not used: {why}")));
    judgement.lines.splice(0..0, refused);
    judgement
}

/// Python's file does not say of which boot it is, only when it was written.
fn is_of_this_boot(modified: SystemTime) -> bool {
    clock::booted().is_some_and(|booted| modified > booted + CLOCK_SLACK) && modified <= clock::wall() + CLOCK_SLACK
}

fn ask(record: &Record, stat: &ProcStat) {
    // A stopped process hears nothing but SIGKILL and the second one.
    for signal in [record.stop_signal, signals::CONTINUE] {
        if let Err(error) = send(record, stat, signal) {
            tell_refused(record, stat, signal, &error);
        }
    }
}

fn tell_refused(record: &Record, stat: &ProcStat, signal: Signal, error: &KillError) {
    log::error!("{}: signal {} to process {} failed: {error}", record.name, signal.0, stat.pid);
}

/// Whoever ended a moment ago needs no signal.
fn send(record: &Record, stat: &ProcStat, signal: Signal) -> Result<(), KillError> {
    let inode = record.inode.filter(|_| stat.pid == record.pid);
    let sent = match identity::grip(stat.pid, stat.start, inode) {
        Ok(Some(grip)) => grip.signal(signal),
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    sent.or_else(|error| if matches!(error, KillError::Gone) { Ok(()) } else { Err(error) })
}

/// The processes as /proc shows them.
struct Proc {
    everybody: Vec<ProcStat>,
    own: [Pid; 2],
    /// Something could not be looked at for want of room.
    wants: Cell<bool>,
}

impl Proc {
    fn look() -> std::io::Result<Proc> {
        Ok(Proc { everybody: identity::everybody()?, own: kill::own_group_and_session(), wants: Cell::new(false) })
    }

    fn note(&self, error: &std::io::Error) {
        self.wants.set(self.wants.get() || identity::is_want(error));
    }
}

impl Sight for Proc {
    fn everybody(&self) -> &[ProcStat] {
        &self.everybody
    }

    fn runs(&self, pid: Pid) -> Option<Vec<String>> {
        let values = identity::variable(pid, marker::VARIABLE).inspect_err(|error| self.note(error)).ok()?;
        Some(values.into_iter().filter_map(|value| String::from_utf8(value).ok()).collect())
    }

    fn bearer(&self, record: &Record) -> Bearer {
        let Some(start) = record.start else { return Bearer::Stranger };
        let grip = identity::grip(record.pid, start, record.inode).and_then(|grip| match grip {
            Some(_) => Ok(Bearer::Leader),
            // Gone since it was seen, or never ours.
            None => Ok(identity::stat(record.pid)?.map_or(Bearer::Nobody, |_| Bearer::Stranger)),
        });
        grip.inspect_err(|error| self.note(error)).unwrap_or(Bearer::Nobody)
    }

    fn own(&self) -> [Pid; 2] {
        self.own
    }
}
