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

/// `ready`: when a program that was started is RUNNING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// When it has lived for [`Policy::start_secs`].
    Lived,
    /// When it says so.
    Notified,
    /// When a health check passes.
    Checked,
}

/// `on_exit`, `on_fatal`: what the end of one program means for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// The others go on.
    Nothing,
    /// The daemon shuts down, and ends as the program did.
    Shutdown,
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
    /// What RUNNING waits for.
    pub readiness: Readiness,
    /// A start that waits longer than this for a word or a check has failed.
    pub ready_timeout: Duration,
    /// A run that is silent for longer than this hangs; `None`: nobody listens for it.
    pub watchdog: Option<Duration>,
    /// Retries after a failed first attempt, then FATAL.
    pub start_retries: u32,
    /// How a stop begins.
    pub stop_signal: Signal,
    /// From the stop signal to SIGKILL.
    pub stop_timeout: Duration,
    /// Do not clear away what is left of the process group of a run that died unasked.
    pub allow_leftover: bool,
    /// What follows when it is EXITED and will not come back by itself.
    pub on_exit: Consequence,
    /// What follows when it is given up.
    pub on_fatal: Consequence,
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
    /// Whether a start that failed without an exit status is to be tried again.
    pub fn retry_wanted(&self) -> bool {
        match self.autorestart {
            Autorestart::Always | Autorestart::Unexpected => true,
            Autorestart::Never => false,
        }
    }
}

/// How long the shortest wait between two attempts is.
pub(super) const PACE: Duration = Duration::from_secs(1);

/// The longest wait between two attempts, before the spread is added.
const BACKOFF_MAX: u32 = 30;

/// The wait before the next attempt when `failures` of them failed in a row: as many seconds, at most thirty, plus up to a
/// tenth, so that many that fail together do not come back together. `random` is any number.
pub(super) fn backoff(failures: u32, random: u64) -> Duration {
    let base = Duration::from_secs(u64::from(failures.clamp(1, BACKOFF_MAX)));
    base + share(base / 10, (random >> 32) as u32)
}

/// A fixed delay for the first health check, so that instances of one program are not asked all at once.
pub(super) fn probe_offset(slot: u32, interval: Duration) -> Duration {
    const GOLDEN: u32 = 0x9E37_79B9;
    share(interval.min(Duration::from_secs(1)), slot.wrapping_mul(GOLDEN))
}

/// `whole` × `numerator` / 2³², so always less than `whole`.
fn share(whole: Duration, numerator: u32) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(numerator)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(autorestart: Autorestart, exitcodes: &[u8]) -> Policy {
        Policy { autorestart, exitcodes: exitcodes.iter().copied().collect(), ..crate::engine::rig::policy() }
    }

    #[test]
    fn restart_wanted() {
        use Autorestart::{Always, Never, Unexpected};
        let segv = ExitStatus::Signal { number: 11, core: true };
        let rows = [
            (Always, ExitStatus::Code(0), true),
            (Always, ExitStatus::Code(3), true),
            (Always, segv, true),
            (Never, ExitStatus::Code(0), false),
            (Never, ExitStatus::Code(3), false),
            (Never, segv, false),
            (Unexpected, ExitStatus::Code(0), false),
            (Unexpected, ExitStatus::Code(2), false),
            (Unexpected, ExitStatus::Code(3), true),
            (Unexpected, segv, true),
        ];
        for (autorestart, status, wanted) in rows {
            assert_eq!(policy(autorestart, &[0, 2]).restart_wanted(status), wanted, "{autorestart:?} {status:?}");
        }
    }

    #[test]
    fn retry_wanted_after_a_start_that_failed_without_an_exit() {
        let rows = [(Autorestart::Always, true), (Autorestart::Unexpected, true), (Autorestart::Never, false)];
        for (autorestart, wanted) in rows {
            assert_eq!(policy(autorestart, &[]).retry_wanted(), wanted, "{autorestart:?}");
        }
    }

    #[test]
    fn backoff_grows_by_a_second_up_to_thirty() {
        let rows =
            [(0, 1000), (1, 1000), (2, 2000), (3, 3000), (29, 29_000), (30, 30_000), (31, 30_000), (u32::MAX, 30_000)];
        for (failures, millis) in rows {
            assert_eq!(backoff(failures, 0), Duration::from_millis(millis), "{failures}");
        }
    }

    #[test]
    fn backoff_is_spread_by_less_than_a_tenth() {
        for failures in [1, 7, 30, 99] {
            let (least, most) = (backoff(failures, 0), backoff(failures, u64::MAX));
            assert!(most > least + least / 11 && most < least + least / 10, "{failures}: {least:?} to {most:?}");
        }
        assert_eq!(backoff(10, 1 << 63), Duration::from_millis(10_500));
    }

    #[test]
    fn the_first_check_is_offset_by_less_than_a_second_and_less_than_the_interval() {
        for slot in [0, 1, 2, 77, 12_345, u32::MAX] {
            for interval in [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(30)] {
                assert!(probe_offset(slot, interval) < interval.min(Duration::from_secs(1)));
            }
        }
        assert_ne!(probe_offset(1, PACE), probe_offset(2, PACE));
    }
}
