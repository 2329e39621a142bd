//! Rotated files on their way to gzip: one child of low priority each, that reads one descriptor and writes another. What
//! becomes of the names is decided here, when it is done: the backup may have moved on meanwhile.

use super::{Alarm, Daemon};
use crate::engine::message::Signal;
use crate::engine::message::{ExitStatus, Pid, SpawnError};
use crate::engine::time::Duration;
use crate::spec::Launch;
use crate::sys::descriptor;
use crate::sys::kill;
use crate::sys::log_file::{LogPlace, LogReader, Raw};
use crate::sys::spawn::{self, Fresh, Plan, Verdict, VerdictRead};
use crate::sys::watch::{self, Reap};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

/// So many at a time, whatever the number of logs.
const PRESSES_MAX: usize = 2;
/// From a failure to the next try.
const RETRY: Duration = Duration::from_secs(60);
/// So much of what gzip complains of is told.
const COMPLAINT_MAX: usize = 1024;

/// A backup that is being compressed.
#[derive(Debug)]
struct Press {
    place: LogPlace,
    /// Stays open, so that no other file comes to be taken for it.
    source: LogReader,
    backups: u32,
    verdict: Verdict,
    complaints: Option<OwnedFd>,
}

/// Everything that is or waits to be compressed.
#[derive(Debug, Default)]
pub(super) struct Presses {
    running: BTreeMap<Pid, Press>,
    waiting: Logs,
    /// Those that failed wait for the alarm; the others need not wait for them.
    resting: Logs,
    /// There is no gzip at the moment: all wait for the alarm.
    paused: bool,
    plan: Option<Rc<Plan>>,
}

/// Logs by their paths, and how many backups of each are kept.
type Logs = BTreeMap<PathBuf, (LogPlace, u32)>;

impl Presses {
    /// A log has something to compress. One that failed rests on.
    fn put(&mut self, (place, backups): (LogPlace, u32)) {
        let path = place.path().to_owned();
        let list = if self.resting.contains_key(&path) { &mut self.resting } else { &mut self.waiting };
        list.insert(path, (place, backups));
    }

    /// The next that nobody is at.
    fn next(&mut self) -> Option<(LogPlace, u32)> {
        let is_free = |path: &&PathBuf| !self.running.values().any(|press| press.place.path() == path.as_path());
        let path = self.waiting.keys().find(is_free).cloned()?;
        self.waiting.remove(&path)
    }

    fn knows(&self, place: &LogPlace) -> bool {
        self.waiting.contains_key(place.path()) || self.resting.contains_key(place.path())
    }
}

impl Daemon {
    /// Near the end of a turn: what was rotated goes to gzip, as far as there is room.
    pub(super) fn press_rotated(&mut self) {
        for log in self.streams.sinks_mut().take_rotated().into_values() {
            self.presses.put(log);
        }
        while !self.presses.paused && self.presses.running.len() < PRESSES_MAX {
            let Some((place, backups)) = self.presses.next() else { return };
            self.press_next_of(place, backups);
        }
    }

    /// Whether a process that ended was a gzip of ours; its result is put in place.
    pub(super) fn press_over(&mut self, pid: Pid) -> bool {
        if !self.presses.running.contains_key(&pid) {
            return false;
        }
        let status = match watch::reap(pid, None) {
            Ok(Reap::Dry) => return true,
            Ok(Reap::Ended(status)) => Some(status),
            Ok(Reap::Unknown) | Err(_) => None,
        };
        if let Some(press) = self.presses.running.remove(&pid) {
            self.take_result(press, status);
        }
        true
    }

    /// A failure was waited out.
    pub(super) fn press_again(&mut self) {
        self.presses.paused = false;
        let rested = std::mem::take(&mut self.presses.resting);
        self.presses.waiting.extend(rested);
    }

    /// The daemon goes: nothing half done is left behind.
    pub(super) fn abandon_presses(&mut self) {
        for (pid, mut press) in std::mem::take(&mut self.presses.running) {
            // What cannot be signalled is gone already.
            let _ = kill::signal_process(pid, None, Signal::KILL);
            if let Err(error) = press.place.discard_unfinished() {
                log::warn!("{}: removing an unfinished file failed: {error}", press.place.path().display());
            }
        }
    }

    fn press_next_of(&mut self, mut place: LogPlace, backups: u32) {
        match place.next_raw(backups) {
            Ok(None) => {}
            Ok(Some(raw)) => {
                if let Err(error) = self.start_press(place.again(), raw, backups) {
                    self.presses.paused = true;
                    self.press_failed(place, backups, &spawn::describe(&error, "gzip"));
                }
            }
            // The folder is gone, and all that could be compressed with it.
            Err(error) if error.is_missing() => {}
            Err(error) => self.press_failed(place, backups, &error.to_string()),
        }
    }

    fn start_press(&mut self, place: LogPlace, raw: Raw, backups: u32) -> Result<(), SpawnError> {
        let plan = self.press_plan()?;
        let Fresh { pid, verdict, stderr, .. } = spawn::spawn_filter(&plan, raw.source.as_file(), raw.target.as_fd())?;
        let press = Press { place, source: raw.source, backups, verdict, complaints: stderr };
        self.presses.running.insert(pid, press);
        Ok(())
    }

    fn press_plan(&mut self) -> Result<Rc<Plan>, SpawnError> {
        if let Some(plan) = &self.presses.plan {
            return Ok(Rc::clone(plan));
        }
        let plan = Rc::new(Plan::prepare(&launch(), self.spawner.inherited(), None)?);
        self.presses.plan = Some(Rc::clone(&plan));
        Ok(plan)
    }

    fn take_result(&mut self, mut press: Press, status: Option<ExitStatus>) {
        let failure = match why_failed(&mut press, status) {
            None => press.place.press(&press.source, press.backups).err().map(|error| error.to_string()),
            why => why,
        };
        match failure {
            // There may be more of them. What a start brought meanwhile counts.
            None if self.presses.knows(&press.place) => {}
            None => self.presses.put((press.place, press.backups)),
            Some(why) => self.press_failed(press.place, press.backups, &why),
        }
    }

    fn press_failed(&mut self, mut place: LogPlace, backups: u32, why: &str) {
        let path = place.path().display();
        log::warn!("compressing a rotated file of {path} failed, tried again within {} s: {why}", RETRY.as_secs());
        if let Err(error) = place.discard_unfinished() {
            log::warn!("{}: removing an unfinished file failed: {error}", place.path().display());
        }
        if self.presses.resting.is_empty() {
            self.arm(RETRY, Alarm::Press);
        }
        let path = place.path().to_owned();
        let again = self.presses.waiting.remove(&path).unwrap_or((place, backups));
        self.presses.resting.insert(path, again);
    }
}

/// With nothing of the environment: what gzip does is not for variables to say.
fn launch() -> Launch {
    Launch {
        argv: ["nice", "-n", "19", "gzip", "-c"].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        env_files: Vec::new(),
        clean_env: true,
        directory: Some(PathBuf::from("/")),
        user: None,
        umask: None,
        pdeathsig: true,
        no_new_privs: true,
    }
}

fn why_failed(press: &mut Press, status: Option<ExitStatus>) -> Option<String> {
    if let Ok(VerdictRead::Failed(error)) = press.verdict.read_of_the_dead() {
        return Some(spawn::describe(&error, "nice"));
    }
    let ended = match status {
        Some(ExitStatus::Code(0)) => return None,
        Some(ExitStatus::Code(code)) => format!("gzip exited with code {code}"),
        Some(ExitStatus::Signal { number, .. }) => format!("gzip was killed by signal {number}"),
        None => "the exit status of gzip is lost".to_owned(),
    };
    let mut complaint = [0; COMPLAINT_MAX];
    let count = press.complaints.as_ref().map_or(Ok(None), |pipe| descriptor::read_now(pipe, &mut complaint));
    let said = complaint.get(..count.ok().flatten().unwrap_or(0)).unwrap_or_default();
    let said = String::from_utf8_lossy(said);
    let said = said.trim();
    Some(if said.is_empty() { ended } else { format!("{ended}: {said}") })
}
