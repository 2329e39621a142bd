//! Checked wishes of a configuration, and their arithmetic: how long to wait, whether a restart is wanted.

use super::message::{ExitStatus, Signal};
use super::time::Duration;
use alloc::collections::BTreeSet;

/// `autorestart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autorestart {
    /// After every exit.
    Always,
    /// After a signal, a failed exec, or an exit code that `exitcodes` does not list.
    Unexpected,
    /// Never.
    Never,
}

/// When and how often the health of a run is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPolicy {
    /// From the end of one check to the start of the next; at least one second.
    pub interval: Duration,
    /// A check without an answer by then has failed.
    pub timeout: Duration,
    /// So many failures in a row make a run unhealthy; at least one.
    pub retries: u32,
    /// From RUNNING to the first check.
    pub start_period: Duration,
}

/// What the configuration wants of one instance, in numbers the engine can decide with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Start with the daemon, and when a reload adds the instance.
    pub autostart: bool,
    /// Start again after an exit nobody asked for.
    pub autorestart: Autorestart,
    /// What [`Autorestart::Unexpected`] takes as expected.
    pub exitcodes: BTreeSet<u8>,
    /// RUNNING only after living this long; zero means as soon as exec is confirmed.
    pub start_secs: Duration,
    /// Retries after a failed first attempt, then FATAL.
    pub start_retries: u32,
    /// How a stop begins.
    pub stop_signal: Signal,
    /// From the stop signal to SIGKILL.
    pub stop_timeout: Duration,
    /// Do not clear away what is left of the process group of a run that died unasked.
    pub allow_leftover: bool,
    /// `None`: no health checks.
    pub health: Option<HealthPolicy>,
}

impl Policy {
    /// Whether a run that ended with `status` is to be followed by another one.
    pub fn restart_wanted(&self, status: ExitStatus) -> bool {
        match self.autorestart {
            Autorestart::Always => true,
            Autorestart::Never => false,
            Autorestart::Unexpected => match status {
                ExitStatus::Code(code) => !self.exitcodes.contains(&code),
                ExitStatus::Signal { .. } => true,
            },
        }
    }
}
