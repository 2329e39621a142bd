//! The children of a dead daemon: judged before anything is spawned, stopped by identity, all side by side.
//!
//! Programs start only when that is over. An orphan that nothing can kill holds up its own program alone. Where there is
//! no room to look at the processes, or at the records, everything waits, but not for ever.

mod judge;

use super::memory::{Past, why_strange};
use super::state_file::Record;
use super::{Alarm, Daemon};
use crate::daemon::marker;
use crate::engine::message::{Pid, Signal};
use crate::engine::time::{Duration, Instant};
use crate::sys::identity::{self, Grip, ProcStat, Want};
use crate::sys::kill::KillError;
use crate::sys::{clock, kill, signals};
use judge::{Bearer, Judgement, Members, Pack, Sight};
use std::cell::Cell;

/// How often those that were asked to stop are looked for; more seldom where looking takes long.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often those that nothing can kill are looked for.
const LOOK_SELDOM: Duration = Duration::from_secs(1);
/// After SIGKILL; who lives then cannot be killed.
const KILLED_WAIT: Duration = Duration::from_secs(2);
/// So often it is tried to look at them before the programs are started all the same.
const LOOKS_MAX: u32 = 30;
/// The end of a daemon whose records are another's.
const FAILED: i32 = 1;

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
    /// Those who could not be made sure of when they were to be asked to stop.
    unasked: Vec<ProcStat>,
    /// The kernel refused SIGKILL to one of it, and that is told.
    refused: bool,
}

/// What is left of earlier daemons.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    hunted: Vec<Quarry>,
    left: Vec<Record>,
    stopped: usize,
    /// Looks for which there was no room.
    looks: u32,
    /// So many of the last looks at those that are hunted failed, one after the other.
    blind: u32,
}

impl Orphans {
    /// Nothing is done about them; the next daemon is told.
    pub(super) fn leave(&mut self, records: Vec<Record>) {
        self.left.extend(records);
    }

    /// Their records, for the next daemon.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.hunted.iter().map(|quarry| &quarry.pack.record).chain(&self.left)
    }

    /// Why this instance cannot start: a copy of it that nothing can kill.
    pub(super) fn in_the_way(&self, name: &str) -> Option<String> {
        let of_name = |quarry: &&Quarry| quarry.pack.record.name == name;
        let quarry = self.hunted.iter().find(of_name)?;
        let how = match quarry.stage {
            Stage::Stuck => "is still there and cannot be killed",
            Stage::Asked { .. } | Stage::Killed { .. } => "may still be there, and cannot be looked at",
        };
        Some(format!("process group {} of an earlier daemon {how}", quarry.pack.record.pid))
    }

    fn are_under_way(&self) -> bool {
        self.hunted.iter().any(|quarry| quarry.stage != Stage::Stuck)
    }
}

impl Daemon {
    /// Judges what an earlier daemon left, begins to stop it, and to record our own. To be called before anything is
    /// spawned.
    pub(super) fn reconcile(&mut self) {
        match self.memory.take_past().and_then(|past| self.judge(past)) {
            Ok(judgement) => self.execute(judgement),
            Err(want) => self.put_off(want),
        }
    }

    fn execute(&mut self, judgement: Judgement) {
        for (level, text) in &judgement.lines {
            log::log!(*level, "{text}");
        }
        self.orphans.leave(judgement.left);
        for (pack, members) in judgement.hunted {
            let wait = pack.record.stop_wait.min(self.settings.spec().shutdown_timeout);
            self.orphans.hunted.push(Quarry::asked(pack, members.ours, self.now + wait));
        }
        let any = !self.orphans.hunted.is_empty();
        self.spawner.hold(any);
        if any {
            self.arm(LOOK_EVERY, Alarm::Orphans);
        }
        self.begin_memory();
    }

    /// Nobody is started beside a copy that could not be seen.
    fn put_off(&mut self, want: Want) {
        self.memory.put_off(want);
        self.orphans.looks += 1;
        if self.orphans.looks >= LOOKS_MAX {
            return self.give_up_judging(want);
        }
        if self.orphans.looks == 1 {
            log::warn!(
                "there is no room to look for what an earlier daemon left: {want}; it is tried again each second, and \
                 no program is started before"
            );
            self.spawner.hold(true);
        }
        self.arm(LOOK_SELDOM, Alarm::Orphans);
    }

    fn give_up_judging(&mut self, want: Want) {
        log::error!(
            "reconcile is given up, there was no room for it in {LOOKS_MAX} looks: {want}; what an earlier daemon left \
             may run beside what is started now, and stays recorded for the next start"
        );
        self.memory.give_up();
        self.spawner.hold(false);
        self.begin_memory();
    }

    /// The time has come to look at what an earlier daemon left: for the first time, or whether it is gone.
    pub(super) fn orphans_due(&mut self) {
        if !self.memory.is_put_off() {
            return self.hunt();
        }
        // The file as well: another daemon may have taken it over meanwhile.
        match self.memory.see() {
            Ok(()) => self.reconcile(),
            Err(text) if self.closing => log::error!("{text}"),
            Err(text) => {
                log::error!("{text}");
                self.exit_code = Some(FAILED);
                self.close_down("Without a state file of our own", None);
            }
        }
    }

    /// Looks who of them still lives, and goes on with the others when that is over.
    fn hunt(&mut self) {
        let begun = clock::monotonic();
        match Proc::look() {
            Ok(sight) => {
                self.orphans.blind = 0;
                self.press(&sight);
            }
            Err(error) => {
                self.orphans.blind += 1;
                if self.orphans.blind == 1 {
                    log::error!(
                        "looking for the processes of an earlier daemon failed, tried again each second: {error}"
                    );
                }
                if self.orphans.blind == LOOKS_MAX && self.spawner.is_held() {
                    log::error!(
                        "programs are started all the same, except those of which a copy is recorded that may be there"
                    );
                    self.spawner.hold(false);
                }
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
            // Each for itself: that another one could not be looked at says nothing of this one.
            sight.want.set(None);
            let members = quarry.pack.look(sight);
            // Who was not seen because there was no descriptor to look with is not gone.
            let gone = members.ours.is_empty() && sight.want.get().is_none();
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

    /// An error: not everybody could be looked at, so what was seen is no ground for a judgement.
    fn judge(&self, past: Past) -> Result<Judgement, Want> {
        let Some(here) = self.memory.machine().filter(|_| !past.is_over()) else { return Ok(Judgement::default()) };
        let at_stake = past.is_at_stake(here);
        let sight = match Proc::look() {
            Ok(sight) => sight,
            Err(error) => {
                let want = Want::of(&error).filter(|_| at_stake);
                return want.map_or_else(|| Ok(unseen(&error)), Err);
            }
        };
        let oddities = past.oddities(self.memory.path());
        let life = self.memory.life();
        let mut judgement = match past {
            Past::None => judge::judge_unproven(life, "there is no state file of an earlier daemon", &sight),
            Past::Damaged(_) => judge::judge_unproven(life, "the state file cannot be used", &sight),
            Past::Read(reading, modified) => match why_strange(&reading, modified, here) {
                Some(why) => judge::judge_strangers(&reading.state.children, why, &sight),
                None => {
                    let (life, serial) = (reading.state.life.as_deref(), reading.state.serial);
                    judge::judge(reading.state.children, life.map(|life| (life, serial)), &sight)
                }
            },
        };
        judgement.lines.splice(0..0, oddities.into_iter().map(|text| (log::Level::Warn, text)));
        sight.want.get().filter(|_| at_stake).map_or(Ok(judgement), Err)
    }
}

fn unseen(error: &std::io::Error) -> Judgement {
    let text = format!("reconcile is off: looking at /proc failed: {error}");
    Judgement { lines: vec![(log::Level::Warn, text)], ..Judgement::default() }
}

impl Quarry {
    fn asked(pack: Pack, mut members: Vec<ProcStat>, until: Instant) -> Quarry {
        members.retain(|stat| {
            let asked = ask(&pack.record, stat);
            if let Err(want) = &asked {
                log::error!("{}: process {} is not asked to stop yet: {want}", pack.record.name, stat.pid);
            }
            asked.is_err()
        });
        Quarry { pack, stage: Stage::Asked { until }, unasked: members, refused: false }
    }

    fn press(&mut self, members: &Members, now: Instant) {
        let record = &self.pack.record;
        match self.stage {
            Stage::Asked { until } if now < until => self.unasked.retain(|stat| ask(record, stat).is_err()),
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

/// An error: there was no room to make sure of it, and it heard nothing.
fn ask(record: &Record, stat: &ProcStat) -> Result<(), Want> {
    let grip = match Want::sift(grip(record, stat))? {
        Ok(Some(grip)) => grip,
        Ok(None) => return Ok(()),
        Err(error) => {
            tell_refused(record, stat, record.stop_signal, &error.into());
            return Ok(());
        }
    };
    // A stopped process hears nothing but SIGKILL and the second one.
    for signal in [record.stop_signal, signals::CONTINUE] {
        if let Err(error) = unless_gone(grip.signal(signal)) {
            tell_refused(record, stat, signal, &error);
        }
    }
    Ok(())
}

fn tell_refused(record: &Record, stat: &ProcStat, signal: Signal, error: &KillError) {
    log::error!("{}: signal {} to process {} failed: {error}", record.name, signal.0, stat.pid);
}

fn send(record: &Record, stat: &ProcStat, signal: Signal) -> Result<(), KillError> {
    grip(record, stat)?.map_or(Ok(()), |grip| unless_gone(grip.signal(signal)))
}

fn grip(record: &Record, stat: &ProcStat) -> std::io::Result<Option<Grip>> {
    identity::grip(stat.pid, stat.start, record.inode.filter(|_| stat.pid == record.pid))
}

/// Whoever ended a moment ago needs no signal.
fn unless_gone(sent: Result<(), KillError>) -> Result<(), KillError> {
    sent.or_else(|error| if matches!(error, KillError::Gone) { Ok(()) } else { Err(error) })
}

/// The processes as /proc shows them.
struct Proc {
    everybody: Vec<ProcStat>,
    own: [Pid; 2],
    /// Something could not be looked at.
    want: Cell<Option<Want>>,
}

impl Proc {
    fn look() -> std::io::Result<Proc> {
        Ok(Proc { everybody: identity::everybody()?, own: kill::own_group_and_session(), want: Cell::new(None) })
    }

    fn note(&self, error: &std::io::Error) {
        self.want.set(self.want.get().or(Want::of(error)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_way_is_told_by_what_is_known_of_it() {
        let mut orphans = Orphans::default();
        orphans.hunted.push(Quarry::asked(Pack::new(Record::sample("a", 12)), Vec::new(), Instant::ZERO));
        let text = |orphans: &Orphans| orphans.in_the_way("a").unwrap();
        assert!(text(&orphans).ends_with("may still be there, and cannot be looked at"), "{}", text(&orphans));
        orphans.hunted[0].stage = Stage::Stuck;
        assert!(text(&orphans).ends_with("is still there and cannot be killed"), "{}", text(&orphans));
        assert_eq!(orphans.in_the_way("b"), None);
    }
}
