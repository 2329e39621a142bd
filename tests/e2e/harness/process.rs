//! The kernel's side of the story: /proc, without asking the daemon.

use super::wait::{DEADLINE, wait_for, wait_until};
use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;

/// The fields of /proc/PID/stat that tests look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// User and system time in clock ticks.
    pub ticks: u64,
}

pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    let number = |place: usize| fields.get(place)?.parse::<i64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: number(1)? as i32,
        group: number(2)? as i32,
        session: number(3)? as i32,
        ticks: (number(11)? + number(12)?) as u64,
    })
}

/// There is such a process and it is not a zombie.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|found| !matches!(found.state, 'Z' | 'X'))
}

#[track_caller]
pub fn wait_gone(pid: i32) {
    wait_until(DEADLINE, &format!("process {pid} is gone; it is {:?}", stat(pid)), || !alive(pid));
}

/// Every pid there is.
pub fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn matching(test: impl Fn(&Stat) -> bool) -> Vec<i32> {
    all().into_iter().filter(|&pid| stat(pid).is_some_and(|found| test(&found))).collect()
}

/// Living members of a process group.
pub fn group(pgid: i32) -> Vec<i32> {
    matching(|found| found.group == pgid && !matches!(found.state, 'Z' | 'X'))
}

pub fn children(parent: i32) -> Vec<i32> {
    matching(|found| found.parent == parent)
}

pub fn zombies(parent: i32) -> Vec<i32> {
    matching(|found| found.parent == parent && found.state == 'Z')
}

/// A line of /proc/PID/status.
#[track_caller]
pub fn status(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in /proc/{pid}/status")).trim().to_owned()
}

/// Open descriptors and what they are.
pub fn descriptors(pid: i32) -> BTreeMap<u32, String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeMap::new() };
    let open = entries.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, target.to_string_lossy().into_owned()))
    });
    open.collect()
}

/// `KEY=VALUE` entries as the process was started with.
pub fn environment(pid: i32) -> Vec<Vec<u8>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec).collect()
}

pub fn variable(pid: i32, key: &str) -> Option<String> {
    environment(pid).into_iter().find_map(|entry| {
        let text = String::from_utf8_lossy(&entry).into_owned();
        Some(text.strip_prefix(key)?.strip_prefix('=')?.to_owned())
    })
}

/// The value of a variable that a process was given. Whoever is in the middle of an exec shows no environment.
#[track_caller]
pub fn given(pid: i32, key: &str) -> String {
    let value = wait_for(DEADLINE, || variable(pid, key));
    value.unwrap_or_else(|| panic!("process {pid} was given no {key}"))
}

/// (soft, hard) of a line of /proc/PID/limits, as words.
#[track_caller]
pub fn limit(pid: i32, name: &str) -> (String, String) {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process lives");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the limit is known");
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().expect("a soft limit"), words.next().expect("a hard limit"))
}

/// Resident memory in KiB.
pub fn resident(pid: i32) -> u64 {
    let text = status(pid, "VmRSS");
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

pub fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1, "pid {pid} is nobody's to signal");
    // A process that is gone already is what most callers want.
    let _ = send(Pid::from_raw(pid), signal);
}

pub fn kill(pid: i32) {
    signal(pid, Signal::SIGKILL);
}

/// Processes that carry `entry` in their environment.
pub fn carrying(entry: &str) -> Vec<i32> {
    let carries = |pid: &i32| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        bytes.split(|&byte| byte == 0).any(|one| one == entry.as_bytes())
    };
    all().into_iter().filter(carries).collect()
}
