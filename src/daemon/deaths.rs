//! Deaths and exec verdicts: what the kernel says of our processes, told to the engine in an order it need not doubt.
//!
//! A child's verdict is always told before its death: a dead child's verdict is complete, so the two never race.

use super::children::{Child, Failed, Killing};
use super::{Alarm, Daemon};
use crate::engine::id::{Key, RunId};
use crate::engine::message::{ExitStatus, Input, Pid, SpawnError};
use crate::engine::time::Duration;
use crate::sys::identity::{self, ProcStat};
use crate::sys::kill::{self, GroupState};
use crate::sys::signals::Arrival;
use crate::sys::spawn::{self, Verdict, VerdictRead};
use crate::sys::watch::{self, Reap};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// How long after its leader's death a group is asked for the first time whether it is empty; from then on after twice
/// the time, for members whose end nobody tells us.
const LINGER_FIRST: Duration = Duration::from_millis(50);
const LINGER_MAX: Duration = Duration::from_millis(800);
/// How long after SIGKILL /proc is asked whether only zombies are left, and how often.
const ZOMBIES_AFTER: Duration = Duration::from_secs(1);
/// When a verdict that could not be read, or not all of it, is looked at again.
const VERDICT_AGAIN: Duration = Duration::from_secs(1);
/// At most so often all children are asked for unknown ones.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// At most so many unknown ones are reaped at one time: to find each the kernel walks over all children.
const STRANGERS_AT_ONCE: usize = 256;
/// Until the next ones; in between others are served.
const SWEEP_AGAIN: Duration = Duration::from_millis(1);

impl Daemon {
    /// Step 3 of the turn: the dead, then the verdicts of the living.
    pub(super) fn hear_deaths(&mut self) {
        if self.arrivals.contains(&Arrival::Child) {
            self.on_child_signal();
        }
        for key in std::mem::take(&mut self.deaths) {
            self.try_reap(key);
        }
        for key in std::mem::take(&mut self.verdicts) {
            self.hear_verdict(key);
        }
    }

    /// Time to ask the groups that outlive their leaders, and to come back as long as there are any.
    pub(super) fn lingering_due(&mut self) {
        let Some((_, wait)) = self.linger.filter(|(at, _)| *at <= self.now) else { return };
        self.linger = None;
        self.check_lingering();
        if self.children.any_lingering() {
            self.ask_lingering_in((2 * wait).min(LINGER_MAX));
        }
    }

    /// Somebody of such a group may be gone soon.
    pub(super) fn ask_lingering_soon(&mut self) {
        self.ask_lingering_in(LINGER_FIRST);
    }

    fn ask_lingering_in(&mut self, wait: Duration) {
        let at = self.now + wait;
        if self.linger.is_none_or(|(armed, _)| at < armed) {
            self.linger = Some((at, wait));
            self.arm(wait, Alarm::Linger);
        }
    }

    /// Asks the groups that outlive their leaders whether they are empty by now.
    pub(super) fn check_lingering(&mut self) {
        // One look at /proc serves all: it takes the longer the more there are to ask for.
        let mut seen = None;
        for key in self.children.lingering() {
            if let Some(run) = self.emptied(key, &mut seen) {
                self.children.remove(key);
                self.feed(Input::GroupEmpty { run });
            }
        }
    }

    /// Reaps what nobody else hears of: orphans that fell to us, and children without a pidfd.
    fn sweep(&mut self) {
        let (mut strangers, mut last) = (0, None);
        while strangers < STRANGERS_AT_ONCE {
            match watch::next_dead() {
                // That it cannot be reaped is told, and no reason to ask for it without end.
                Ok(found) if found.is_some() && found == last => return self.sweep_in(SWEEP_EVERY),
                Ok(Some(pid)) => {
                    last = Some(pid);
                    strangers += usize::from(self.bury(pid));
                }
                Ok(None) => return,
                Err(error) => {
                    log::error!("looking for dead children failed, tried again in a second: {error}");
                    return self.sweep_in(SWEEP_EVERY);
                }
            }
        }
        self.sweep_in(SWEEP_AGAIN);
    }

    /// Time to sweep.
    pub(super) fn sweep_due(&mut self) {
        self.sweep_armed = false;
        self.sweep();
    }

    fn sweep_in(&mut self, wait: Duration) {
        if !std::mem::replace(&mut self.sweep_armed, true) {
            self.arm(wait, Alarm::Sweep);
        }
    }

    fn on_child_signal(&mut self) {
        if cfg!(feature = "portable") || !cfg!(target_os = "linux") {
            self.sweep();
        } else {
            self.sweep_in(SWEEP_EVERY);
        }
        if self.children.any_lingering() {
            self.check_lingering();
        }
    }

    /// Whether it is nobody we know.
    fn bury(&mut self, pid: Pid) -> bool {
        match (self.children.of_pid(pid), self.probes.of_pid(pid)) {
            (Some(key), _) => self.try_reap(key),
            (None, Some(key)) => self.reap_check(key),
            (None, None) if self.press_over(pid) => {}
            (None, None) => {
                if let Err(error) = watch::reap(pid, None) {
                    log::error!("reaping process {pid} failed: {error}");
                }
                return true;
            }
        }
        false
    }

    fn try_reap(&mut self, key: Key) {
        let Some(child) = self.children.get(key).filter(|child| child.reaped.is_none()) else { return };
        match watch::reap(child.pid, child.pidfd.as_ref()) {
            Ok(Reap::Ended(status)) => self.on_death(key, status),
            Ok(Reap::Dry) => {}
            Ok(Reap::Unknown) => {
                // Somebody else took its exit status, so the worst is assumed of it.
                log::error!("process {} ended, but its exit status is lost", child.pid);
                self.on_death(key, ExitStatus::Code(255));
            }
            Err(error) => log::error!("reaping process {} failed: {error}", child.pid),
        }
    }

    fn on_death(&mut self, key: Key, status: ExitStatus) {
        self.settle_verdict(key);
        let Some(child) = self.children.get(key) else { return };
        let run = child.run;
        if let Some(fd) = child.pidfd.as_ref() {
            self.reactor.forget(fd.as_raw_fd());
        }
        match self.children.get_mut(key).and_then(|child| child.failed.take()) {
            Some(failed) => {
                let Failed { error, verdict } = *failed;
                verdict.end();
                self.children.remove(key);
                self.feed(Input::SpawnFailed { run, error });
            }
            None => self.on_exit(key, run, status),
        }
    }

    fn on_exit(&mut self, key: Key, run: RunId, status: ExitStatus) {
        let leftovers = self.children.get(key).is_some_and(has_members);
        self.children.note_reaped(key, status);
        self.feed(Input::Exited { run, status, leftovers });
        // A group that the engine does not wait for (allow_leftover) is nobody's business any more.
        let awaited = self.engine.instance(run.instance).and_then(|instance| instance.run());
        if leftovers && awaited.is_some_and(|current| current.id == run) {
            self.children.linger(key);
            self.ask_lingering_soon();
        } else {
            self.children.remove(key);
        }
    }

    /// The verdict pipe spoke while the child lives, or says it is about to die.
    pub(super) fn hear_verdict(&mut self, key: Key) {
        let Some(verdict) = self.children.get_mut(key).and_then(|child| child.verdict.as_mut()) else { return };
        let heard = verdict.read();
        if let Err(error) = &heard {
            log::error!("reading an exec verdict failed, tried again in a second: {error}");
        }
        match heard {
            // What is there already is not announced twice.
            Err(_) | Ok(VerdictRead::Pending) => self.ask_verdict_again(key),
            Ok(VerdictRead::ExecOk) => {
                self.take_verdict(key);
                self.confirm(key);
            }
            Ok(VerdictRead::Failed(error)) => {
                // Its death follows at once and is what the engine waits for.
                self.note_failure(key, error);
            }
        }
    }

    fn ask_verdict_again(&mut self, key: Key) {
        if self.children.note_unheard(key) {
            self.arm(VERDICT_AGAIN, Alarm::Verdict);
        }
    }

    /// Time to look again at the verdicts that were not to be had.
    pub(super) fn hear_verdicts_again(&mut self) {
        for key in self.children.take_unheard() {
            self.hear_verdict(key);
        }
    }

    fn settle_verdict(&mut self, key: Key) {
        let Some(verdict) = self.children.get_mut(key).and_then(|child| child.verdict.as_mut()) else { return };
        let heard = verdict.read_of_the_dead().or_else(|_| verdict.read_of_the_dead());
        match told(heard) {
            VerdictRead::Failed(error) => self.note_failure(key, error),
            VerdictRead::ExecOk | VerdictRead::Pending => {
                self.take_verdict(key);
                self.confirm(key);
            }
        }
    }

    fn take_verdict(&mut self, key: Key) -> Option<Verdict> {
        let verdict = self.children.take_verdict(key)?;
        self.reactor.forget(verdict.as_raw_fd());
        Some(verdict)
    }

    fn confirm(&mut self, key: Key) {
        if let Some(child) = self.children.get_mut(key) {
            child.confirmed = true;
            let run = child.run;
            self.metrics.note_exec(run.instance);
            self.feed(Input::ExecOk { run });
        }
    }

    /// Keeps what the verdict said, and in words on which path, for the log and for whoever asks.
    fn note_failure(&mut self, key: Key, error: SpawnError) {
        let Some(verdict) = self.take_verdict(key) else { return };
        let candidate = verdict.candidate();
        let Some(child) = self.children.get_mut(key) else { return };
        child.failed = Some(Box::new(Failed { error, verdict }));
        let subject = child.trace.as_ref().map(|trace| trace.plan.subject(&error, candidate)).unwrap_or_default();
        if let Some(entry) = self.roster.entry_mut(child.run.instance) {
            entry.fault = Some(spawn::describe(&error, &subject).into());
        }
    }

    /// The run of a lingering child whose group is empty now.
    fn emptied(&mut self, key: Key, seen: &mut Option<Vec<ProcStat>>) -> Option<RunId> {
        let now = self.now;
        let child = self.children.get_mut(key)?;
        if !has_members(child) {
            return Some(child.run);
        }
        let is_old = |at| now.since(at) >= ZOMBIES_AFTER;
        let due = |killing: &&mut Box<Killing>| {
            is_old(killing.at) && (seen.is_some() || killing.looked_at.is_none_or(is_old))
        };
        child.killing.as_mut().filter(due)?.looked_at = Some(now);
        // Without /proc nobody can tell; the group counts as alive.
        let seen = seen.get_or_insert_with(|| identity::everybody().unwrap_or_default());
        match kill::only_zombies(child.pid, seen) {
            Some(true) => {
                let (run, pid) = (child.run, child.pid);
                let name = self.roster.name(run.instance);
                log::warn!("{name}: only zombies that their parent does not reap are left in process group {pid}");
                Some(run)
            }
            Some(false) | None => None,
        }
    }
}

fn told(read: io::Result<VerdictRead>) -> VerdictRead {
    read.unwrap_or_else(|error| {
        log::error!("reading an exec verdict failed: {error}");
        VerdictRead::Pending
    })
}

fn has_members(child: &Child) -> bool {
    let pidfd: Option<&OwnedFd> = child.pidfd.as_ref();
    match kill::group_state(child.pid, pidfd) {
        Ok(GroupState::Empty) => false,
        Ok(GroupState::Members) => true,
        Err(error) => {
            log::error!("asking for process group {} failed: {error}", child.pid);
            true
        }
    }
}
