//! Which processes of a dead daemon are still about, and which of them are surely its own. Looks, and signals nobody.
//!
//! A process is ours if it is the leader we recorded (number, start, inode), or in its group while the leader or another
//! proven member is there, or in its group or session and carries the marker of that very run. Anything else is unknown,
//! and hands are kept off it.

use crate::daemon::marker::{Fate, Run};
use crate::daemon::state_file::Record;
use crate::engine::message::{Pid, Signal};
use crate::spec::Reconcile;
use crate::sys::identity::ProcStat;
use log::Level;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// Who bears the number of a recorded leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// The leader, dead or alive, by all that was recorded of it.
    Leader,
    /// Somebody else.
    Stranger,
    /// Nobody, or nobody can say.
    Nobody,
}

/// What can be seen of the processes of this machine.
pub trait Sight {
    /// Everybody, ourselves left out.
    fn everybody(&self) -> &[ProcStat];
    /// The markers in the environment of a process. `None`: it cannot be read.
    fn runs(&self, pid: Pid) -> Option<Vec<String>>;
    /// Who bears the number of the recorded leader at this moment.
    fn bearer(&self, record: &Record) -> Bearer;
    /// The group and the session that we are in ourselves.
    fn own(&self) -> [Pid; 2];
}

/// A run of a dead daemon, and those of its processes that were proven to be its.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// What is known of it.
    pub record: Record,
    proven: BTreeSet<(Pid, u64)>,
}

/// Who of a pack lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Surely ours.
    pub ours: Vec<ProcStat>,
    /// In its group or session, and nobody can say whose.
    pub unknown: Vec<Pid>,
    /// Its number is somebody else's.
    pub given_away: bool,
}

impl Pack {
    /// Of which nobody was seen yet.
    pub fn new(record: Record) -> Pack {
        Pack { record, proven: BTreeSet::new() }
    }

    /// Who of it lives now. A group with somebody in it who was proven before has been there all the time since.
    pub fn look(&mut self, sight: &impl Sight) -> Members {
        let id = self.record.pid;
        let near: Vec<ProcStat> =
            sight.everybody().iter().filter(|stat| stat.group == id || stat.session == id).copied().collect();
        let seen = sight.everybody().iter().find(|stat| stat.pid == id);
        if near.iter().chain(seen).all(ProcStat::is_dead) {
            // Nobody lives of whom anything could be asked.
            self.proven.clear();
            return Members::default();
        }
        // Whoever was seen may be reaped by now: its group is no less ours for that.
        let bearer = if seen.is_some() { sight.bearer(&self.record) } else { Bearer::Nobody };
        if bearer == Bearer::Stranger && self.record.start.is_some() {
            // A number is given away only when no group and no session bears it any more.
            return Members { given_away: true, ..Members::default() };
        }
        let carries = |stat: &ProcStat| self.carries(sight, stat.pid);
        let known = |stat: &ProcStat| self.proven.contains(&(stat.pid, stat.start));
        let group_is_ours = bearer == Bearer::Leader
            || near.iter().any(|stat| stat.group == id && (known(stat) || (!stat.is_dead() && carries(stat))));
        let mut members = Members::default();
        for stat in near.iter().filter(|stat| !stat.is_dead()) {
            if (stat.group == id && group_is_ours) || known(stat) || carries(stat) {
                members.ours.push(*stat);
            } else {
                members.unknown.push(stat.pid);
            }
        }
        self.proven = members.ours.iter().map(|stat| (stat.pid, stat.start)).collect();
        members
    }

    fn carries(&self, sight: &impl Sight, pid: Pid) -> bool {
        let Some(run) = &self.record.run else { return false };
        sight.runs(pid).is_some_and(|runs| runs.contains(run))
    }
}

/// What follows for everybody that a dead daemon left.
#[derive(Debug, Default)]
pub struct Judgement {
    /// To be stopped, with who of them lives.
    pub hunted: Vec<(Pack, Members)>,
    /// Alive, and to stay so; the next daemon is told of them too.
    pub left: Vec<Record>,
    /// What a person would want to know.
    pub lines: Vec<(Level, String)>,
}

/// Judges records that were made on this machine since its boot. `last`: the life in which, and its last run by then.
pub fn judge(records: Vec<Record>, last: Option<(&str, u64)>, sight: &impl Sight) -> Judgement {
    let mut judgement = Judgement::default();
    let numbers: HashSet<Pid> = records.iter().map(|record| record.pid).collect();
    let runs: HashSet<String> = records.iter().filter_map(|record| record.run.clone()).collect();
    records.into_iter().for_each(|record| judgement.weigh(record, sight));
    if let Some(last) = last {
        judgement.find_unrecorded(last, &numbers, &runs, sight);
    }
    judgement
}

/// Records that mean nothing here: another boot, another namespace. Who bears their numbers is a stranger.
pub fn judge_strangers(records: &[Record], why: &str, sight: &impl Sight) -> Judgement {
    let bearers: HashSet<Pid> = sight.everybody().iter().map(|stat| stat.pid).collect();
    let mut judgement = Judgement::default();
    for record in records.iter().filter(|record| bearers.contains(&record.pid)) {
        let text = format!("{}: process {} is left alone: it was recorded {why}", record.name, record.pid);
        judgement.lines.push((Level::Info, text));
    }
    judgement
}

/// Processes that carry a marker of this place, where there are no records to prove anything by.
pub fn judge_unproven(life: &str, why: &str, sight: &impl Sight) -> Judgement {
    let pids: Vec<Pid> = carriers(life, &HashSet::new(), sight).iter().map(|(stat, _)| stat.pid).collect();
    let mut judgement = Judgement::default();
    if !pids.is_empty() {
        let text = format!("{why}, so nothing proves whose these are; they are left alone: {}", listed(&pids));
        judgement.lines.push((Level::Warn, text));
    }
    judgement
}

fn is_of_place(run: &str, life: &str) -> bool {
    Run::parse(run).is_some_and(|run| run.shares_place(life))
}

impl Judgement {
    fn warn(&mut self, text: String) {
        self.lines.push((Level::Warn, text));
    }

    fn weigh(&mut self, record: Record, sight: &impl Sight) {
        let (name, pid) = (record.name.clone(), record.pid);
        let fate = Fate::of(record.reconcile, record.pdeathsig);
        if sight.own().contains(&pid) {
            return self.warn(format!("{name}: process group {pid} is left alone: it is the daemon's own"));
        }
        let mut pack = Pack::new(record);
        let members = pack.look(sight);
        if members.given_away && fate != Fate::Ignore {
            let why = "it started at another time than ours, which is gone";
            return self.warn(format!("{name}: process {pid} is left alone: {why}"));
        }
        if !members.unknown.is_empty() && fate != Fate::Ignore {
            let who = listed(&members.unknown);
            self.warn(format!("{name}: left alone, because nothing proves that they are its processes: {who}"));
        }
        if members.ours.is_empty() {
            return;
        }
        let who = listed(&members.ours.iter().map(|stat| stat.pid).collect::<Vec<_>>());
        match fate {
            Fate::Kill => {
                self.warn(format!("{name}: stopping what an earlier daemon left behind: {who}"));
                self.hunted.push((pack, members));
            }
            Fate::Warn => {
                let why = match pack.record.reconcile {
                    Reconcile::Auto => "pdeathsig = false",
                    Reconcile::Warn | Reconcile::Kill | Reconcile::Off => "reconcile = warn",
                };
                self.warn(format!("{name}: an earlier daemon's copy still runs beside the new one ({why}): {who}"));
                self.left.push(pack.record);
            }
            Fate::Ignore => self.left.push(pack.record),
        }
    }

    /// Children that their daemon made and did not live to record: they lead a session and carry the marker of a run that
    /// is younger than the records. An older one that is not recorded was over, and who is left of it had left it.
    fn find_unrecorded(
        &mut self,
        (life, recorded): (&str, u64),
        numbers: &HashSet<Pid>,
        runs: &HashSet<String>,
        sight: &impl Sight,
    ) {
        let mut carriers = carriers(life, numbers, sight);
        // Of several that lead a session of the same run, the child itself is the oldest.
        carriers.sort_by_key(|(stat, _)| (stat.start, stat.pid));
        let (mut leaders, mut taken) = (Vec::new(), HashSet::new());
        for (stat, run) in &carriers {
            let is_young = |parsed: &Run<'_>| parsed.life == life && parsed.serial > recorded && !runs.contains(run);
            let fate = Run::parse(run).filter(is_young).map(|run| run.fate);
            if let Some(fate) = fate.filter(|_| stat.session == stat.pid && taken.insert(run.clone())) {
                leaders.push(stat.pid);
                self.weigh(unrecorded(stat, run, fate), sight);
            }
        }
        let stray = |stat: &ProcStat| !leaders.contains(&stat.group) && !leaders.contains(&stat.session);
        let strays: Vec<Pid> = carriers.iter().filter(|(stat, _)| stray(stat)).map(|(stat, _)| stat.pid).collect();
        if !strays.is_empty() {
            let why = "they left their program's process group, or their program is not recorded";
            self.warn(format!("processes of an earlier daemon are left alone, because {why}: {}", listed(&strays)));
        }
    }
}

/// Who carries a marker of this place and is near nobody who is recorded.
fn carriers(life: &str, numbers: &HashSet<Pid>, sight: &impl Sight) -> Vec<(ProcStat, String)> {
    let far = |stat: &&ProcStat| ![stat.pid, stat.group, stat.session].iter().any(|id| numbers.contains(id));
    let alive = sight.everybody().iter().filter(|stat| !stat.is_dead()).filter(far);
    let carrying = alive.filter_map(|stat| {
        let run = sight.runs(stat.pid)?.into_iter().find(|run| is_of_place(run, life))?;
        Some((*stat, run))
    });
    carrying.collect()
}

fn unrecorded(stat: &ProcStat, run: &str, fate: Fate) -> Record {
    let reconcile = match fate {
        Fate::Kill => Reconcile::Kill,
        Fate::Warn => Reconcile::Warn,
        Fate::Ignore => Reconcile::Off,
    };
    Record {
        name: format!("(not recorded, pid {})", stat.pid),
        pid: stat.pid,
        start: Some(stat.start),
        inode: None,
        run: Some(run.to_owned()),
        pdeathsig: fate == Fate::Kill,
        reconcile,
        stop_signal: Signal::TERM,
        stop_wait: Duration::from_secs(10),
    }
}

const LISTED_MAX: usize = 20;

/// `pids 12, 13`; of many the first ones.
fn listed(pids: &[Pid]) -> String {
    let shown: Vec<String> = pids.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    let more = pids.len().saturating_sub(LISTED_MAX);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {}{rest}", if pids.len() == 1 { "pid" } else { "pids" }, shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::marker;
    use std::collections::HashMap;

    const OWN: [Pid; 2] = [77, 76];

    /// A machine that is made of numbers.
    #[derive(Default)]
    struct Fake {
        everybody: Vec<ProcStat>,
        runs: HashMap<Pid, Vec<String>>,
        /// Seen, and reaped before they were looked at.
        reaped: HashSet<Pid>,
    }

    impl Sight for Fake {
        fn everybody(&self) -> &[ProcStat] {
            &self.everybody
        }
        fn runs(&self, pid: Pid) -> Option<Vec<String>> {
            self.runs.get(&pid).cloned()
        }
        fn bearer(&self, record: &Record) -> Bearer {
            match self.everybody.iter().find(|stat| stat.pid == record.pid && !self.reaped.contains(&stat.pid)) {
                Some(stat) if Some(stat.start) == record.start => Bearer::Leader,
                Some(_) => Bearer::Stranger,
                None => Bearer::Nobody,
            }
        }
        fn own(&self) -> [Pid; 2] {
            OWN
        }
    }

    impl Fake {
        fn with(mut self, pid: Pid, group: Pid, session: Pid, start: u64, run: Option<&str>) -> Fake {
            self.everybody.push(ProcStat { pid, state: b'S', group, session, threads: 1, start });
            self.runs.extend(run.map(|run| (pid, vec![run.to_owned()])));
            self
        }

        fn with_dead(mut self, pid: Pid, group: Pid, session: Pid, start: u64) -> Fake {
            self.everybody.push(ProcStat { pid, state: b'Z', group, session, threads: 1, start });
            self
        }
    }

    fn life() -> String {
        marker::life(1, 2)
    }

    fn run(serial: u64) -> String {
        marker::run(&life(), serial, Fate::Kill)
    }

    fn record(pid: Pid) -> Record {
        Record {
            name: format!("p{pid}"),
            pid,
            start: Some(1000),
            inode: None,
            run: Some(run(1)),
            pdeathsig: true,
            reconcile: Reconcile::Auto,
            stop_signal: Signal::TERM,
            stop_wait: Duration::from_secs(1),
        }
    }

    /// Who is hunted, how many are left, and how many lines are told.
    fn judged(records: Vec<Record>, sight: &Fake) -> (Vec<Pid>, usize, usize) {
        let judgement = judge(records, Some((&life(), 2)), sight);
        let hunted =
            judgement.hunted.iter().flat_map(|(_, members)| members.ours.iter().map(|stat| stat.pid)).collect();
        (hunted, judgement.left.len(), judgement.lines.len())
    }

    #[test]
    fn a_leader_and_its_group_are_ours() {
        let sight = Fake::default()
            .with(100, 100, 100, 1000, None)
            .with(101, 100, 100, 1001, None)
            .with(102, 102, 102, 1001, None);
        assert_eq!(judged(vec![record(100)], &sight), (vec![100, 101], 0, 1));
    }

    #[test]
    fn a_dead_leader_that_nobody_reaped_still_proves_its_group() {
        let sight = Fake::default().with_dead(100, 100, 100, 1000).with(101, 100, 100, 1001, None);
        assert_eq!(judged(vec![record(100)], &sight), (vec![101], 0, 1));
    }

    #[test]
    fn a_process_lives_as_long_as_any_of_its_threads() {
        let mut sight = Fake::default().with_dead(100, 100, 100, 1000);
        assert_eq!(judged(vec![record(100)], &sight), (vec![], 0, 0));
        sight.everybody[0].threads = 2;
        assert_eq!(judged(vec![record(100)], &sight), (vec![100], 0, 1));
    }

    #[test]
    fn where_nobody_lives_nobody_is_looked_at() {
        struct Blind(Fake);
        impl Sight for Blind {
            fn everybody(&self) -> &[ProcStat] {
                &self.0.everybody
            }
            fn runs(&self, pid: Pid) -> Option<Vec<String>> {
                panic!("the environment of {pid} is looked at")
            }
            fn bearer(&self, record: &Record) -> Bearer {
                panic!("{record:?} is looked for")
            }
            fn own(&self) -> [Pid; 2] {
                OWN
            }
        }
        let sight = Blind(Fake::default().with_dead(100, 100, 100, 1000).with_dead(101, 100, 100, 1001));
        assert_eq!(Pack::new(record(100)).look(&sight), Members::default());
    }

    #[test]
    fn a_leader_that_is_reaped_between_two_looks_gives_nothing_away() {
        let mut sight = Fake::default().with_dead(100, 100, 100, 1000).with(101, 100, 100, 1001, None);
        let mut pack = Pack::new(record(100));
        assert_eq!(pack.look(&sight).ours.len(), 1);
        sight.reaped.insert(100);
        let members = pack.look(&sight);
        assert_eq!((members.given_away, members.ours.len()), (false, 1));
    }

    #[test]
    fn without_its_leader_a_group_needs_the_marker_of_that_run() {
        let marked = Fake::default().with(101, 100, 100, 1001, Some(&run(1))).with(102, 100, 100, 1002, None);
        assert_eq!(judged(vec![record(100)], &marked), (vec![101, 102], 0, 1), "one proves its group");
        for other in [None, Some(run(2)), Some(run(11)), Some(String::from("x"))] {
            let sight = Fake::default().with(101, 100, 100, 1001, other.as_deref());
            assert_eq!(judged(vec![record(100)], &sight), (vec![], 0, 1), "{other:?}: hands off, one line");
        }
    }

    #[test]
    fn in_the_session_alone_each_needs_the_marker() {
        let sight = Fake::default()
            .with(100, 100, 100, 1000, None)
            .with(101, 101, 100, 1001, Some(&run(1)))
            .with(102, 102, 100, 1002, None);
        assert_eq!(judged(vec![record(100)], &sight), (vec![100, 101], 0, 2));
    }

    #[test]
    fn a_number_that_was_given_away_is_a_strangers_with_all_its_group() {
        let sight = Fake::default().with(100, 100, 100, 1001, Some(&run(1))).with(101, 100, 100, 1002, Some(&run(1)));
        assert_eq!(judged(vec![record(100)], &sight), (vec![], 0, 1));
    }

    #[test]
    fn without_a_start_only_the_marker_proves_anything() {
        let unseen = Record { start: None, ..record(100) };
        let marked = Fake::default().with(100, 100, 100, 1000, Some(&run(1)));
        assert_eq!(judged(vec![unseen.clone()], &marked), (vec![100], 0, 1));
        let plain = Fake::default().with(100, 100, 100, 1000, None);
        assert_eq!(judged(vec![unseen], &plain), (vec![], 0, 1));
    }

    #[test]
    fn pythons_records_have_no_marker_and_need_their_leader() {
        let pythons = Record { run: None, ..record(100) };
        let sight = Fake::default().with(101, 100, 100, 1001, None);
        let judgement = judge(vec![pythons.clone()], None, &sight);
        assert!(judgement.hunted.is_empty() && judgement.lines.len() == 1);
        let sight = Fake::default().with(100, 100, 100, 1000, None);
        assert_eq!(judge(vec![pythons], None, &sight).hunted.len(), 1);
    }

    #[test]
    fn policies() {
        let sight = Fake::default().with(100, 100, 100, 1000, None);
        let arms = [
            (Reconcile::Auto, true, (vec![100], 0, 1)),
            (Reconcile::Auto, false, (vec![], 1, 1)),
            (Reconcile::Kill, false, (vec![100], 0, 1)),
            (Reconcile::Warn, true, (vec![], 1, 1)),
            (Reconcile::Off, true, (vec![], 1, 0)),
        ];
        for (reconcile, pdeathsig, expected) in arms {
            let record = Record { reconcile, pdeathsig, ..record(100) };
            assert_eq!(judged(vec![record], &sight), expected, "{reconcile:?} {pdeathsig}");
        }
    }

    #[test]
    fn our_own_group_and_session_are_never_anybodys_orphans() {
        for own in OWN {
            let sight = Fake::default().with(own, own, own, 1000, Some(&run(1)));
            assert_eq!(judged(vec![record(own)], &sight), (vec![], 0, 1));
        }
    }

    #[test]
    fn a_child_that_was_never_recorded_is_found_by_its_marker() {
        for serial in [3, 9] {
            let run = run(serial);
            let sight = Fake::default().with(200, 200, 200, 5, Some(&run)).with(201, 200, 200, 6, Some(&run));
            assert_eq!(judged(vec![], &sight), (vec![200, 201], 0, 1), "{serial}: the records end with the second run");
        }
        let warned = marker::run(&life(), 9, Fate::Warn);
        assert_eq!(judged(vec![], &Fake::default().with(200, 200, 200, 5, Some(&warned))), (vec![], 1, 1));
        let off = marker::run(&life(), 9, Fate::Ignore);
        assert_eq!(judged(vec![], &Fake::default().with(200, 200, 200, 5, Some(&off))), (vec![], 1, 0));
    }

    #[test]
    fn a_marker_that_confirms_nothing_is_left_alone_with_a_line() {
        let strays = [
            ("no leader of a session", Fake::default().with(201, 200, 199, 6, Some(&run(9)))),
            (
                "another life",
                Fake::default().with(200, 200, 200, 6, Some(&marker::run(&marker::life(1, 3), 9, Fate::Kill))),
            ),
        ];
        for (what, sight) in strays {
            assert_eq!(judged(vec![], &sight), (vec![], 0, 1), "{what}");
        }
        let elsewhere = marker::run(&marker::life(2, 3), 9, Fate::Kill);
        assert_eq!(judged(vec![], &Fake::default().with(200, 200, 200, 6, Some(&elsewhere))), (vec![], 0, 0));
    }

    #[test]
    fn who_left_a_recorded_group_by_setsid_is_left_alone() {
        let sight = Fake::default().with(100, 100, 100, 1000, Some(&run(1))).with(300, 300, 300, 1001, Some(&run(1)));
        assert_eq!(judged(vec![record(100)], &sight), (vec![100], 0, 2));
        let over = Fake::default().with(300, 300, 300, 8, Some(&run(2)));
        assert_eq!(judged(vec![], &over), (vec![], 0, 1), "its run was over when the records were written");
        let unrecorded = Fake::default().with(300, 300, 300, 8, Some(&run(9))).with(200, 200, 200, 5, Some(&run(9)));
        assert_eq!(judged(vec![], &unrecorded), (vec![200], 0, 2), "of one run the oldest is the child");
    }

    #[test]
    fn somebody_proven_before_proves_the_group_when_the_leader_is_gone() {
        let mut pack = Pack::new(Record { run: None, ..record(100) });
        pack.look(&Fake::default().with(100, 100, 100, 1000, None).with(101, 100, 100, 1001, None));
        let later = Fake::default().with(101, 100, 100, 1001, None).with(102, 100, 100, 1002, None);
        assert_eq!(pack.look(&later).ours.len(), 2);
        let fresh = Fake::default().with(102, 100, 100, 1002, None);
        assert_eq!(pack.look(&fresh).ours.len(), 1, "it was in the group while the other proved it");
        let stranger = Fake::default().with(103, 100, 100, 1003, None);
        assert_eq!(pack.look(&stranger), Members { unknown: vec![103], ..Members::default() });
    }

    #[test]
    fn records_of_another_boot_are_refused_one_line_for_each_number_that_lives() {
        let sight = Fake::default().with(100, 100, 100, 1000, Some(&run(1)));
        let judgement = judge_strangers(&[record(100), record(101)], "before a reboot", &sight);
        assert!(judgement.hunted.is_empty() && judgement.left.is_empty());
        assert_eq!(judgement.lines.len(), 1);
    }

    #[test]
    fn without_records_markers_of_this_place_are_only_told() {
        let sight = Fake::default().with(100, 100, 100, 1, Some(&run(1))).with(101, 100, 100, 1, None);
        let judgement = judge_unproven(&marker::life(1, 7), "no file", &sight);
        assert!(judgement.hunted.is_empty());
        assert!(judgement.lines[0].1.ends_with("left alone: pid 100"), "{:?}", judgement.lines);
        assert!(judge_unproven(&marker::life(2, 7), "no file", &sight).lines.is_empty());
    }

    #[test]
    fn a_long_list_is_cut() {
        let pids: Vec<Pid> = (1..=23).collect();
        assert!(listed(&pids).ends_with("20 and 3 more"));
    }
}
