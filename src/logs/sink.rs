//! Where the bytes of a stream go: a rotating file, or the daemon's own stdout or stderr.

use super::loss::{Cause, Tidings};
use super::rotating_file::{Limits, Passed, RotatingFile};
use super::shared::SharedStream;
use crate::engine::time::Instant;
use crate::sys::log_file::{LogPlace, OpenError};
use crate::sys::pipe::Pipe;
use std::path::{Path, PathBuf};

/// What became of the bytes of one write: together they are all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// Taken.
    pub written: usize,
    /// Lost, and counted.
    pub dropped: usize,
}

/// What a person has to hear of a sink. The bytes that all notices tell of as dropped add up to those that were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Bytes cannot be written, and are dropped.
    Failing {
        /// Where to.
        path: PathBuf,
        /// Why.
        cause: Cause,
        /// Dropped since the last notice.
        dropped_bytes: u64,
        /// Dropped since this failure began.
        outage_bytes: u64,
    },
    /// They can be written again.
    Recovered {
        /// Where to.
        path: PathBuf,
        /// Dropped since the last notice.
        dropped_bytes: u64,
        /// Dropped since this failure began.
        outage_bytes: u64,
    },
    /// The file is full and cannot be rotated, so it grows beyond its limit.
    RotationFailing {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: Cause,
    },
    /// It was rotated after all.
    RotationRecovered {
        /// Which one.
        path: PathBuf,
    },
}

impl Notice {
    pub(super) fn of_loss(path: &Path, tidings: Tidings) -> Notice {
        let path = path.to_owned();
        match tidings {
            Tidings::Trouble { cause, dropped_bytes, outage_bytes } => {
                Notice::Failing { path, cause, dropped_bytes, outage_bytes }
            }
            Tidings::Over { dropped_bytes, outage_bytes } => Notice::Recovered { path, dropped_bytes, outage_bytes },
        }
    }

    pub(super) fn of_rotation(path: &Path, tidings: Tidings) -> Notice {
        let path = path.to_owned();
        match tidings {
            Tidings::Trouble { cause, .. } => Notice::RotationFailing { path, cause },
            Tidings::Over { .. } => Notice::RotationRecovered { path },
        }
    }
}

/// Where bytes go.
#[derive(Debug)]
pub enum Sink {
    /// A file of the configuration.
    File(Box<RotatingFile<LogPlace>>),
    /// The daemon's own stdout or stderr.
    Standard(SharedStream),
}

impl Sink {
    /// Takes the bytes or drops and counts them; never waits.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> Written {
        match self {
            Sink::File(file) => file.write(bytes, now),
            Sink::Standard(stream) => stream.write(bytes, now),
        }
    }

    /// Closes the file and opens its path anew; keeps the old one if that fails. A stream of the daemon stays what it is.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        match self {
            Sink::File(file) => file.reopen(),
            Sink::Standard(_) => Ok(()),
        }
    }

    /// Whether its name leads to something else by now, or to nothing.
    pub fn is_astray(&mut self) -> bool {
        match self {
            Sink::File(file) => file.is_astray(),
            Sink::Standard(_) => false,
        }
    }

    /// Lets up to `most` bytes pass from a pipe, if this is a file that takes them so.
    pub fn pass(&mut self, pipe: &mut Pipe<'_>, most: usize, now: Instant) -> Passed {
        match self {
            Sink::File(file) => file.pass(pipe, most, now),
            Sink::Standard(_) => Passed::Refused,
        }
    }

    /// The file behind it, if it is one.
    pub fn file_mut(&mut self) -> Option<&mut RotatingFile<LogPlace>> {
        match self {
            Sink::File(file) => Some(file),
            Sink::Standard(_) => None,
        }
    }

    /// Changes when it is rotated, from the next write on.
    pub fn set_limits(&mut self, limits: Limits) {
        match self {
            Sink::File(file) => file.set_limits(limits),
            Sink::Standard(_) => {}
        }
    }

    /// When `on_deadline` wants to be called, or `take_notice` has something; a deadline in the past means now.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Sink::File(file) => file.deadline(),
            Sink::Standard(stream) => stream.deadline(),
        }
    }

    /// Tries again what can be tried without bytes.
    pub fn on_deadline(&mut self, now: Instant) {
        match self {
            Sink::File(file) => file.on_deadline(now),
            Sink::Standard(stream) => stream.on_deadline(now),
        }
    }

    /// What a person has to hear now.
    pub fn take_notice(&mut self, now: Instant) -> Option<Notice> {
        match self {
            Sink::File(file) => file.take_notice(now),
            Sink::Standard(stream) => stream.take_notice(now),
        }
    }

    /// What nobody was told of yet, due or not: for a sink that is closed.
    pub fn last_notice(&mut self, now: Instant) -> Option<Notice> {
        match self {
            Sink::File(file) => file.last_notice(now),
            Sink::Standard(stream) => stream.last_notice(now),
        }
    }

    /// What is wrong at present.
    pub fn failing(&self) -> Option<Cause> {
        match self {
            Sink::File(file) => file.failing().cloned(),
            Sink::Standard(stream) => stream.failing(),
        }
    }

    /// Why it cannot be rotated at present and grows beyond its limit.
    pub fn rotation_failing(&self) -> Option<&Cause> {
        match self {
            Sink::File(file) => file.rotation_failing(),
            Sink::Standard(_) => None,
        }
    }

    /// Bytes lost in all.
    pub fn dropped_bytes(&self) -> u64 {
        match self {
            Sink::File(file) => file.dropped_bytes(),
            Sink::Standard(stream) => stream.dropped_bytes(),
        }
    }
}
