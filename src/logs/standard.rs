//! The daemon's own stdout or stderr as a sink: never rotated, never waited for.
//!
//! What its reader is too slow for waits in a bounded backlog; what does not fit there is dropped and counted.

use super::loss::{Cause, Loss};
use super::rotating_file::RETRY;
use super::sink::{Notice, Written};
use crate::engine::time::{Duration, Instant};
use crate::sys::standard::Standard;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

/// Bytes that wait for a slow reader.
pub const BACKLOG_MAX: usize = 64 * 1024;

/// The end of a line whose begin is out is kept beyond that, up to this length.
const BEGUN_MAX: usize = 512 * 1024;

/// From a full pipe to the first look whether it has room again; each look in vain doubles it, up to the second.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Something to write to that says WouldBlock instead of waiting.
pub trait Outlet {
    /// Writes as much as goes in at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl Outlet for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Standard::write(self, bytes)
    }
}

/// An outlet with its backlog.
#[derive(Debug)]
pub struct StandardStream<O: Outlet> {
    name: PathBuf,
    outlet: O,
    backlog: VecDeque<u8>,
    look_at: Instant,
    pause: Duration,
    broken_until: Option<Instant>,
    loss: Loss,
}

impl<O: Outlet> StandardStream<O> {
    /// A stream that people call `name`.
    pub fn new(name: &str, outlet: O) -> StandardStream<O> {
        StandardStream {
            name: name.into(),
            outlet,
            backlog: VecDeque::new(),
            look_at: Instant::ZERO,
            pause: FIRST_LOOK,
            broken_until: None,
            loss: Loss::default(),
        }
    }

    /// What is wrong at present.
    pub fn failing(&self) -> Option<&Cause> {
        self.loss.failing()
    }

    /// Bytes lost in all.
    pub fn dropped_bytes(&self) -> u64 {
        self.loss.total()
    }

    /// Writes, keeps or drops. What waits in the backlog counts as written; if it is lost later, the loss is counted then.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> Written {
        self.flush(now);
        let taken = if self.backlog.is_empty() && !self.is_broken(now) { self.push_out(bytes, now) } else { 0 };
        let rest = bytes.get(taken..).unwrap_or_default();
        let room = if self.is_broken(now) { 0 } else { BACKLOG_MAX.saturating_sub(self.backlog.len()) };
        let kept = if taken > 0 && !self.is_broken(now) { rest_of_line(rest, room) } else { whole_lines(rest, room) };
        let (kept, dropped) = rest.split_at(kept);
        if self.backlog.is_empty() && !kept.is_empty() {
            self.look_later(now);
        }
        self.backlog.extend(kept);
        self.lose(dropped.len(), now);
        Written { written: bytes.len() - dropped.len(), dropped: dropped.len() }
    }

    /// When `on_deadline` wants to be called, or `take_notice` has something.
    pub fn deadline(&self) -> Option<Instant> {
        let look = if self.backlog.is_empty() { None } else { Some(self.look_at) };
        [look, self.loss.due()].into_iter().flatten().min()
    }

    /// Tries to empty the backlog.
    pub fn on_deadline(&mut self, now: Instant) {
        if now >= self.look_at {
            self.flush(now);
        }
    }

    /// What a person has to hear now.
    pub fn take_notice(&mut self, now: Instant) -> Option<Notice> {
        self.loss.take(now).map(|tidings| Notice::of_loss(&self.name, tidings))
    }

    /// A last try for the backlog, and what nobody was told of yet.
    pub fn last_notice(&mut self, now: Instant) -> Option<Notice> {
        self.flush(now);
        if !self.backlog.is_empty() {
            self.loss.fail(Cause::SlowReader, self.backlog.len() as u64);
            self.backlog.clear();
        }
        self.loss.take_all(now).map(|tidings| Notice::of_loss(&self.name, tidings))
    }

    fn is_broken(&self, now: Instant) -> bool {
        self.broken_until.is_some_and(|until| now < until)
    }

    fn lose(&mut self, bytes: usize, now: Instant) {
        match bytes {
            0 => {}
            // The cause is noted already.
            _ if self.is_broken(now) => self.loss.lose(bytes as u64),
            _ => self.loss.fail(Cause::SlowReader, bytes as u64),
        }
    }

    fn flush(&mut self, now: Instant) {
        if self.backlog.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.backlog);
        let taken = self.push_out(waiting.make_contiguous(), now);
        waiting.drain(..taken);
        if waiting.is_empty() {
            // The memory of the burst is given back with it.
            self.pause = FIRST_LOOK;
        } else if self.is_broken(now) {
            self.lose(waiting.len(), now);
        } else {
            self.backlog = waiting;
            self.look_later(now);
        }
    }

    fn look_later(&mut self, now: Instant) {
        self.look_at = now + self.pause;
        self.pause = LAST_LOOK.min(self.pause.saturating_mul(2));
    }

    /// How many bytes went out; an error is noted.
    fn push_out(&mut self, bytes: &[u8], now: Instant) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.outlet.write(rest) {
                Ok(0) => return self.break_off(io::ErrorKind::WriteZero.into(), taken, now),
                Ok(written) => taken = bytes.len().min(taken.saturating_add(written)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => return taken,
                    _ => return self.break_off(error, taken, now),
                },
            }
        }
        self.broken_until = None;
        self.loss.recover();
        taken
    }

    fn break_off(&mut self, error: io::Error, taken: usize, now: Instant) -> usize {
        self.broken_until = Some(now + RETRY);
        self.loss.fail(error.into(), 0);
        taken
    }
}

/// How much of the bytes is kept where not all of it fits: no line is torn by what is dropped.
fn whole_lines(bytes: &[u8], room: usize) -> usize {
    let Some(fitting) = bytes.get(..room).filter(|fitting| fitting.len() < bytes.len()) else { return bytes.len() };
    match fitting.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        // A line that does not fit is dropped whole; what has no lines is cut anywhere.
        None if bytes.contains(&b'\n') => 0,
        None => room,
    }
}

/// The same where the begin of the first line is out already, and its end has to follow.
fn rest_of_line(bytes: &[u8], room: usize) -> usize {
    let end = bytes.iter().take(BEGUN_MAX).position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    whole_lines(bytes, room).max(end)
}
