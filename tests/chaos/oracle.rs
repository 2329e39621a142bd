//! What is true by /proc, held against what the daemon tells: no second copy, no orphan, no ghost, no zombie that stays.

use crate::harness::*;
use crate::scene::Scene;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Sightings, a second apart, after which something is no accident any more: an orphan may be on its way out.
const TOO_OFTEN: u32 = 6;

/// Longer than the daemon waits between two looks for adopted dead.
const ZOMBIE_TIME: Duration = Duration::from_millis(2500);

/// A line of `status`.
#[derive(Debug)]
struct Row {
    name: String,
    state: String,
    pid: Option<i32>,
}

/// A process that belongs to the scene.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Living {
    pid: i32,
    start: u64,
    group: i32,
    /// The instance; none for the daemon itself and what has not come to its exec.
    name: Option<String>,
}

#[derive(Default)]
pub struct Oracle {
    strays: BTreeMap<(i32, u64), u32>,
    zombies: BTreeMap<i32, Instant>,
    looks: u32,
    answers: Vec<Duration>,
    rests: Vec<(usize, u64, u32)>,
}

fn start_of(pid: i32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text[text.rfind(')')? + 2..].split(' ').nth(19)?.parse().ok()
}

fn is_check(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.windows(7).any(|part| part == b"a check"))
}

fn living(scene: &Scene) -> Vec<Living> {
    let all = scene.daemon().home.processes().into_iter().filter(|&pid| process::alive(pid) && !is_check(pid));
    all.filter_map(|pid| {
        let start = start_of(pid)?;
        Some(Living { pid, start, group: process::stat(pid)?.group, name: process::variable(pid, "CHAOS") })
    })
    .collect()
}

fn still(one: &Living) -> bool {
    process::alive(one.pid) && start_of(one.pid) == Some(one.start)
}

impl Oracle {
    /// What was seen before a calm does not count after it.
    pub fn forget(&mut self) {
        self.strays.clear();
        self.zombies.clear();
    }

    /// One look at both sides.
    pub fn look(&mut self, scene: &mut Scene) {
        scene.check_alive();
        self.looks += 1;
        let rows = self.ask(scene);
        let living = living(scene);
        let doubles = doubles(&living);
        assert!(doubles.is_empty(), "two lives at once: {doubles}\n{}", scene.story());
        self.count_strays(scene, &rows, &living);
        self.time_zombies(scene);
    }

    fn ask(&mut self, scene: &Scene) -> Vec<Row> {
        let begun = Instant::now();
        // Where there is no descriptor for it, a client waits until there is one.
        let reply = wait_for(DEADLINE, || scene.daemon().client().ask(&json!({"command": "status"})).ok());
        self.answers.push(begun.elapsed());
        assert!(reply.is_some(), "no answer\n{}", scene.story());
        let rows = reply.and_then(|reply| reply["processes"].as_array().cloned()).unwrap_or_default();
        let row = |raw: serde_json::Value| Row {
            name: raw["name"].as_str().unwrap_or("").to_owned(),
            state: raw["state"].as_str().unwrap_or("").to_owned(),
            pid: raw["pid"].as_i64().map(|pid| pid as i32),
        };
        rows.into_iter().map(row).collect()
    }

    /// Those that the daemon does not know, and pids that it tells and that are nobody.
    fn count_strays(&mut self, scene: &Scene, rows: &[Row], living: &[Living]) {
        let daemon = scene.daemon().pid();
        let up = |row: &&Row| !["STOPPED", "EXITED", "FATAL", "BACKOFF"].contains(&row.state.as_str());
        let known: BTreeMap<&str, Option<i32>> =
            rows.iter().filter(up).map(|row| (row.name.as_str(), row.pid)).collect();
        let is_stray = |one: &&Living| match &one.name {
            None => one.pid != daemon,
            Some(name) => match known.get(name.as_str()) {
                None => true,
                Some(pid) => pid.is_some_and(|pid| pid != one.group),
            },
        };
        let mut seen = BTreeMap::new();
        for one in living.iter().filter(is_stray) {
            let times = self.strays.get(&(one.pid, one.start)).map_or(1, |times| times + 1);
            assert!(times < TOO_OFTEN, "an orphan: {one:?}\n{rows:?}\n{}", scene.story());
            seen.insert((one.pid, one.start), times);
        }
        for row in rows.iter().filter(|row| row.state == "RUNNING") {
            let Some(pid) = row.pid.filter(|&pid| !living.iter().any(|one| one.pid == pid)) else { continue };
            let times = self.strays.get(&(pid, 0)).map_or(1, |times| times + 1);
            assert!(times < TOO_OFTEN, "a ghost: {row:?}\n{}", scene.story());
            seen.insert((pid, 0), times);
        }
        self.strays = seen;
    }

    /// The daemon was asked after each look, so it has been through a turn.
    fn time_zombies(&mut self, scene: &Scene) {
        let now: BTreeSet<i32> = process::zombies(scene.daemon().pid()).into_iter().collect();
        self.zombies.retain(|pid, _| now.contains(pid));
        for pid in now {
            let since = *self.zombies.entry(pid).or_insert_with(Instant::now);
            assert!(since.elapsed() < ZOMBIE_TIME, "a zombie: {pid}, for {:?}\n{}", since.elapsed(), scene.story());
        }
    }

    /// What is not yet as it should be at rest; empty if all is.
    pub fn unrest(&mut self, scene: &mut Scene) -> String {
        scene.check_alive();
        let rows = self.ask(scene);
        let living = living(scene);
        if let Some(row) = rows.iter().find(|row| row.state != "RUNNING" && !row.name.starts_with("crasher")) {
            return format!("{} is {}", row.name, row.state);
        }
        if rows.len() != 30 {
            return format!("{} rows", rows.len());
        }
        let doubles = doubles(&living);
        if !doubles.is_empty() {
            return doubles;
        }
        let names: BTreeSet<&str> = living.iter().filter_map(|one| one.name.as_deref()).collect();
        let stranger =
            living.iter().find(|one| one.name.as_deref().is_none_or(|name| !rows.iter().any(|row| row.name == name)));
        if let Some(one) = stranger.filter(|one| one.pid != scene.daemon().pid()) {
            return format!("a stranger: {one:?}");
        }
        let missing = rows.iter().find(|row| !row.name.starts_with("crasher") && !names.contains(row.name.as_str()));
        missing.map_or_else(String::new, |row| format!("{} has no process", row.name))
    }

    pub fn note_rest(&mut self, descriptors: usize, resident: u64, life: u32) {
        self.rests.push((descriptors, resident, life));
    }

    pub fn told(&mut self) -> String {
        self.answers.sort();
        let at = |percent: usize| self.answers.get(self.answers.len() * percent / 100).copied().unwrap_or_default();
        let last = self.answers.last().copied().unwrap_or_default();
        format!(
            "{} looks, no second copy, orphan, ghost or zombie; status took {:?} at the median, {:?} at p99, {last:?} at most\n\
             chaos: at rest (descriptors, KiB, which daemon): {:?}",
            self.looks,
            at(50),
            at(99),
            self.rests
        )
    }
}

/// Two process groups of one instance, both alive after all was read.
fn doubles(living: &[Living]) -> String {
    let mut groups: BTreeMap<&str, BTreeMap<i32, &Living>> = BTreeMap::new();
    for one in living {
        if let Some(name) = &one.name {
            groups.entry(name).or_default().entry(one.group).or_insert(one);
        }
    }
    let double = groups.iter().find(|(_, groups)| groups.values().filter(|one| still(one)).count() > 1);
    double.map_or_else(String::new, |(name, groups)| format!("{name}: {groups:?}"))
}
