//! Signals to our children. A SIGKILL that the kernel refused goes out again each second: nobody else would ever send it.

use super::{Alarm, Daemon};
use crate::engine::id::{Key, RunId};
use crate::engine::message::Signal;
use crate::engine::time::Duration;
use crate::sys::kill::{self, KillError};
use crate::sys::signals;

/// When a SIGKILL that could not be sent goes out again.
const KILL_AGAIN: Duration = Duration::from_secs(1);

impl Daemon {
    /// Signals the group of a run; before its exec is confirmed the group may not exist, and the leader is signalled.
    pub(super) fn signal(&mut self, run: RunId, signal: Signal) {
        let Some(key) = self.children.of_run(run) else { return };
        let Some(pid) = self.children.get(key).map(|child| child.pid) else { return };
        match self.send(key, signal) {
            // Who is gone died a moment ago; its death is on the way.
            Ok(()) | Err(KillError::Gone) => {}
            Err(error) => {
                log::error!("{}: signal {} to {pid} failed: {error}", self.roster.name(run.instance), signal.0);
                self.note_unkilled(key, signal, &error);
            }
        }
    }

    /// Those whom SIGKILL could not be sent to. That it still cannot is no news.
    pub(super) fn kill_again(&mut self) {
        for key in self.children.take_unkilled() {
            let Some((run, pid)) = self.children.get(key).map(|child| (child.run, child.pid)) else { continue };
            match self.send(key, Signal::KILL) {
                Ok(()) => log::info!("{}: SIGKILL to {pid} could be sent at last", self.roster.name(run.instance)),
                Err(error) => self.note_unkilled(key, Signal::KILL, &error),
            }
        }
    }

    fn send(&mut self, key: Key, signal: Signal) -> Result<(), KillError> {
        let now = self.now;
        let Some(child) = self.children.get_mut(key) else { return Err(KillError::Gone) };
        let (pid, pidfd, lingers) = (child.pid, child.pidfd.as_ref(), child.reaped.is_some());
        let sent = if child.confirmed {
            kill::signal_group(pid, pidfd, signal)
        } else {
            kill::signal_process(pid, pidfd, signal)
        };
        if signal == Signal::KILL {
            child.note_killed(now);
        } else if child.confirmed {
            // A stopped process hears nothing but SIGKILL and this.
            if let Err(error) = kill::signal_group(pid, pidfd, signals::CONTINUE) {
                log::debug!("SIGCONT to process group {pid} failed: {error}");
            }
        }
        if lingers {
            self.ask_lingering_soon();
        }
        sent
    }

    /// Any other signal is followed by SIGKILL, when its time is over.
    fn note_unkilled(&mut self, key: Key, signal: Signal, error: &KillError) {
        if signal != Signal::KILL || !matches!(error, KillError::Failed(_)) {
            return;
        }
        if self.children.note_unkilled(key) {
            self.arm(KILL_AGAIN, Alarm::Kill);
        }
    }
}
