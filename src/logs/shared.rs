//! One stream of the daemon for all who write to it: the daemon's own lines and the programs' must not be torn by each other,
//! so what waits for a slow reader waits in one line.

use super::loss::Cause;
use super::sink::{Notice, Written};
use super::standard::StandardStream;
use crate::engine::time::Instant;
use crate::sys::standard::Standard;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream of the daemon with several writers.
#[derive(Debug, Clone)]
pub struct SharedStream(Arc<Mutex<StandardStream<Standard>>>);

impl SharedStream {
    /// A stream that people call `name`.
    pub fn new(name: &str, standard: Standard) -> SharedStream {
        SharedStream(Arc::new(Mutex::new(StandardStream::new(name, standard))))
    }

    /// As [`StandardStream::write`].
    pub fn write(&self, bytes: &[u8], now: Instant) -> Written {
        self.stream().write(bytes, now)
    }

    /// As [`StandardStream::deadline`].
    pub fn deadline(&self) -> Option<Instant> {
        self.stream().deadline()
    }

    /// As [`StandardStream::on_deadline`].
    pub fn on_deadline(&self, now: Instant) {
        self.stream().on_deadline(now);
    }

    /// As [`StandardStream::take_notice`].
    pub fn take_notice(&self, now: Instant) -> Option<Notice> {
        self.stream().take_notice(now)
    }

    /// As [`StandardStream::last_notice`], for the last of its writers.
    pub fn last_notice(&self, now: Instant) -> Option<Notice> {
        if Arc::strong_count(&self.0) > 1 { self.take_notice(now) } else { self.stream().last_notice(now) }
    }

    /// What is wrong at present.
    pub fn failing(&self) -> Option<Cause> {
        self.stream().failing().cloned()
    }

    /// Bytes lost in all.
    pub fn dropped_bytes(&self) -> u64 {
        self.stream().dropped_bytes()
    }

    fn stream(&self) -> MutexGuard<'_, StandardStream<Standard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
