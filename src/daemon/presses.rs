//! Rotated files on their way to gzip: one child of low priority each, that reads one descriptor and writes another. What
//! becomes of the names is decided here, when it is done: the backup may have moved on meanwhile.

use super::{Alarm, Daemon};
use crate::engine::message::Signal;
use crate::engine::message::{ExitStatus, Pid, SpawnError};
use crate::engine::time::Duration;
use crate::logs::sinks::SinkId;
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
    sink: SinkId,
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
    waiting: BTreeMap<SinkId, (LogPlace, u32)>,
    plan: Option<Rc<Plan>>,
    /// Those that failed, to be tried again when the alarm goes; the others need not wait for them.
    failed: BTreeMap<SinkId, (LogPlace, u32)>,
}

impl Daemon {
    /// Near the end of a turn: what was rotated goes to gzip, as far as there is room.
    pub(super) fn press_rotated(&mut self) {
        self.presses.waiting.extend(self.streams.sinks_mut().take_rotated());
        while self.presses.running.len() < PRESSES_MAX {
            let Presses { running, failed, .. } = &self.presses;
            let busy = |sink: &SinkId| failed.contains_key(sink) || running.values().any(|press| press.sink == *sink);
            let Some(sink) = self.presses.waiting.keys().copied().find(|sink| !busy(sink)) else { return };
            if let Some((place, backups)) = self.presses.waiting.remove(&sink) {
                self.press_next_of(sink, place, backups);
            }
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
        for (sink, again) in std::mem::take(&mut self.presses.failed) {
            self.presses.waiting.entry(sink).or_insert(again);
        }
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

    fn press_next_of(&mut self, sink: SinkId, mut place: LogPlace, backups: u32) {
        match place.next_raw(backups) {
            Ok(None) => {}
            Ok(Some(raw)) => {
                if let Err(error) = self.start_press(sink, place.again(), raw, backups) {
                    self.press_failed(sink, place, backups, &spawn::describe(&error, "gzip"));
                }
            }
            Err(error) => self.press_failed(sink, place, backups, &error.to_string()),
        }
    }

    fn start_press(&mut self, sink: SinkId, place: LogPlace, raw: Raw, backups: u32) -> Result<(), SpawnError> {
        let plan = self.press_plan()?;
        let Fresh { pid, verdict, stderr, .. } = spawn::spawn_filter(&plan, raw.source.as_file(), raw.target.as_fd())?;
        let press = Press { sink, place, source: raw.source, backups, verdict, complaints: stderr };
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
        match why_failed(&mut press, status) {
            None => match press.place.press(&press.source, press.backups) {
                // There may be more of them.
                Ok(_) => {
                    // What a start brought meanwhile counts.
                    self.presses.waiting.entry(press.sink).or_insert((press.place, press.backups));
                }
                Err(error) => self.press_failed(press.sink, press.place, press.backups, &error.to_string()),
            },
            Some(why) => self.press_failed(press.sink, press.place, press.backups, &why),
        }
    }

    fn press_failed(&mut self, sink: SinkId, mut place: LogPlace, backups: u32, why: &str) {
        let path = place.path().display();
        log::warn!("compressing a rotated file of {path} failed, tried again in {} s: {why}", RETRY.as_secs());
        if let Err(error) = place.discard_unfinished() {
            log::warn!("{}: removing an unfinished file failed: {error}", place.path().display());
        }
        if self.presses.failed.is_empty() {
            self.arm(RETRY, Alarm::Press);
        }
        self.presses.failed.insert(sink, (place, backups));
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
