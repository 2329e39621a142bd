//! The ledger of one sink: what was lost, and when a person is told.
//!
//! The first trouble is told at once, then at most once a minute, and its end as well. Trouble that comes and goes many
//! times a minute is told of once: a flapping disk cannot flood the log.

use crate::engine::time::{Duration, Instant};
use crate::sys::files::errno_text;
use crate::sys::log_file::OpenError;
use std::io;

/// At most one notice of the same trouble in this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The system refused a call.
    Errno(i32),
    /// The path does not lead to a log any more.
    Open(OpenError),
    /// Something stands where a rotated file must go.
    InTheWay {
        /// Number of the backup.
        backup: u32,
        /// What it is.
        what: &'static str,
    },
    /// Whoever reads the daemon's output does not keep up.
    SlowReader,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::Errno(errno) => out.write_str(&errno_text(*errno)),
            Cause::Open(error) => error.fmt(out),
            Cause::InTheWay { backup, what } => write!(out, "backup .{backup} is {what}"),
            Cause::SlowReader => out.write_str("its reader does not keep up"),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        // An error without a number does not come from the system; EIO says that it cannot be helped.
        const EIO: i32 = 5;
        Cause::Errno(error.raw_os_error().unwrap_or(EIO))
    }
}

impl From<OpenError> for Cause {
    fn from(error: OpenError) -> Cause {
        match error {
            OpenError::System { errno, user: None, .. } => Cause::Errno(errno),
            other => Cause::Open(other),
        }
    }
}

/// Something that a person has to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tidings {
    /// It is going wrong.
    Trouble {
        /// Why, by the last failure.
        cause: Cause,
        /// Bytes lost that were not told of before.
        dropped_bytes: u64,
        /// Bytes lost since this trouble began.
        outage_bytes: u64,
    },
    /// It is well again.
    Over {
        /// Bytes lost that were not told of before.
        dropped_bytes: u64,
        /// Bytes lost in this trouble.
        outage_bytes: u64,
    },
}

#[derive(Debug, Default)]
enum Condition {
    #[default]
    Well,
    Failing {
        cause: Cause,
        outage: u64,
        told: bool,
    },
    Recovered {
        outage: u64,
        told: bool,
    },
}

/// Counts losses and says when to tell.
#[derive(Debug, Default)]
pub struct Loss {
    condition: Condition,
    untold: u64,
    total: u64,
    told_at: Option<Instant>,
}

impl Loss {
    /// Something failed, and `bytes` are lost by it.
    pub fn fail(&mut self, cause: Cause, bytes: u64) {
        self.count(bytes);
        self.condition = match std::mem::take(&mut self.condition) {
            Condition::Well => Condition::Failing { cause, outage: bytes, told: false },
            Condition::Failing { outage, told, .. } => {
                Condition::Failing { cause, outage: outage.saturating_add(bytes), told }
            }
            // Not told that it was over: for people it never was.
            Condition::Recovered { outage, told } => {
                Condition::Failing { cause, outage: outage.saturating_add(bytes), told }
            }
        };
    }

    /// More bytes are lost by the same failure.
    pub fn lose(&mut self, bytes: u64) {
        self.count(bytes);
        if let Condition::Failing { outage, .. } = &mut self.condition {
            *outage = outage.saturating_add(bytes);
        }
    }

    /// It works again.
    pub fn recover(&mut self) {
        if let Condition::Failing { outage, told, .. } = self.condition {
            self.condition = Condition::Recovered { outage, told };
        }
    }

    /// What is wrong at present.
    pub fn failing(&self) -> Option<&Cause> {
        match &self.condition {
            Condition::Failing { cause, .. } => Some(cause),
            Condition::Well | Condition::Recovered { .. } => None,
        }
    }

    /// Bytes lost in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// When there will be something to tell; the origin of time means now.
    pub fn due(&self) -> Option<Instant> {
        let in_a_minute = || self.told_at.map_or(Instant::ZERO, |told| told + TELL_EVERY);
        match self.condition {
            Condition::Well => None,
            Condition::Failing { told: true, .. } if self.untold == 0 => None,
            Condition::Failing { .. } | Condition::Recovered { told: false, .. } => Some(in_a_minute()),
            Condition::Recovered { told: true, .. } => Some(Instant::ZERO),
        }
    }

    /// What is to be told now, if anything.
    pub fn take(&mut self, now: Instant) -> Option<Tidings> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.take_all(now)
    }

    /// What was never told of, due or not: for a sink that is closed.
    pub fn take_all(&mut self, now: Instant) -> Option<Tidings> {
        let dropped_bytes = std::mem::take(&mut self.untold);
        match &mut self.condition {
            Condition::Well => None,
            Condition::Failing { told: true, .. } if dropped_bytes == 0 => None,
            Condition::Failing { cause, outage, told } => {
                *told = true;
                self.told_at = Some(now);
                Some(Tidings::Trouble { cause: cause.clone(), dropped_bytes, outage_bytes: *outage })
            }
            Condition::Recovered { outage, told } => {
                let outage_bytes = *outage;
                // One that was told of may end within the minute; one that was not takes the minute's place itself.
                if !*told {
                    self.told_at = Some(now);
                }
                self.condition = Condition::Well;
                Some(Tidings::Over { dropped_bytes, outage_bytes })
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
        self.untold = self.untold.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Instant = |seconds| Instant::from_millis(seconds * 1000);
    const FULL: Cause = Cause::Errno(28);

    fn trouble(dropped_bytes: u64, outage_bytes: u64) -> Option<Tidings> {
        Some(Tidings::Trouble { cause: FULL, dropped_bytes, outage_bytes })
    }

    #[test]
    fn tells_at_once_then_each_minute_then_the_end() {
        let mut loss = Loss::default();
        assert_eq!((loss.due(), loss.take(AT(1))), (None, None));
        loss.fail(FULL, 10);
        assert_eq!(loss.take(AT(1)), trouble(10, 10));
        loss.lose(5);
        assert_eq!((loss.due(), loss.take(AT(60))), (Some(AT(61)), None));
        assert_eq!(loss.take(AT(61)), trouble(5, 15));
        assert_eq!(loss.due(), None, "nothing more was lost");
        loss.lose(1);
        loss.recover();
        assert_eq!(loss.take(AT(62)), Some(Tidings::Over { dropped_bytes: 1, outage_bytes: 16 }));
        assert_eq!((loss.due(), loss.total()), (None, 16));
    }

    #[test]
    fn flapping_is_told_of_at_most_twice_a_minute() {
        let mut loss = Loss::default();
        let mut told = Vec::new();
        for second in 0..180 {
            loss.fail(FULL, 1);
            told.extend(loss.take(AT(second)));
            loss.recover();
            told.extend(loss.take(AT(second)));
        }
        told.extend(loss.take(AT(600)));
        let sum: u64 = told
            .iter()
            .map(|tidings| match tidings {
                Tidings::Trouble { dropped_bytes, .. } | Tidings::Over { dropped_bytes, .. } => *dropped_bytes,
            })
            .sum();
        assert_eq!(sum, 180, "every byte is told of once");
        assert!(told.len() <= 8, "{told:?}");
    }

    #[test]
    fn closing_tells_what_was_not_due() {
        let mut loss = Loss::default();
        loss.fail(FULL, 1);
        assert!(loss.take(AT(0)).is_some());
        loss.lose(7);
        assert_eq!(loss.take(AT(1)), None);
        assert_eq!(loss.take_all(AT(1)), trouble(7, 8));
        assert_eq!(loss.take_all(AT(1)), None);
    }

    #[test]
    fn an_end_nobody_heard_of_is_no_end() {
        let mut loss = Loss::default();
        loss.fail(FULL, 1);
        assert!(loss.take(AT(0)).is_some());
        loss.recover();
        loss.fail(FULL, 2);
        assert_eq!(loss.failing(), Some(&FULL));
        assert_eq!(loss.take(AT(1)), None);
        assert_eq!(loss.take(AT(60)), trouble(2, 3));
    }
}
