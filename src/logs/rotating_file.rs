//! One log file that is rotated by size and outlives every error of the file system.
//!
//! A write never waits and never fails: what the file does not take is dropped and counted. A rotation that cannot go on
//! stays at its step and is tried again, and meanwhile the open file takes the bytes, beyond its limit if it must.

mod passing;
mod steps;

pub use passing::Passed;

use super::loss::{Cause, Loss};
use super::place::Place;
use super::rotation::cut;
use super::sink::{Notice, Written};
use crate::engine::time::{Duration, Instant};
use crate::sys::files::FileIdentity;
use crate::sys::log_file::{Facts, OpenError};
use std::io;

/// From a failure to the next try.
pub const RETRY: Duration = Duration::from_secs(2);

/// How long others may have removed or truncated the file before a write notices.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A signal between two tries of the same write is no reason to give up, a storm of them is.
const INTERRUPTS_MAX: usize = 16;

/// When a file is rotated, and into how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size that is not exceeded; 0: never rotated.
    pub maxbytes: u64,
    /// Rotated files kept; 0: the file is started over.
    pub backups: u32,
}

/// A log file with its backups.
#[derive(Debug)]
pub struct RotatingFile<P: Place> {
    place: P,
    file: P::File,
    /// `None` for a device.
    size: Option<u64>,
    /// Bytes of the whole log up to the end of the open file, counted from the begin of the file that was opened first.
    end: u64,
    /// Unknown after bytes that nobody looked at.
    at_line_end: Option<bool>,
    /// Each write goes to wherever the end is; needed as soon as others meddle with the file.
    appending: bool,
    passing: Passing,
    limits: Limits,
    /// How often a new file was begun.
    begun: u64,
    /// How often its path was opened anew: it may have led elsewhere.
    reopened: u64,
    rotation: Rotation,
    access: Access,
    look_at: Instant,
    loss: Loss,
    stuck: Loss,
}

/// The open file as a part of the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Which file it is.
    pub identity: FileIdentity,
    /// Where in the log it begins.
    pub start: u64,
    /// Where in the log it ends.
    pub end: u64,
}

/// How far a rotation has come is read from the names in the folder each time: they cannot be wrong about it, whoever
/// changed them since, and a call that was done though it was said to have failed is not done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rotation {
    Idle,
    /// A step failed and waits for its next try.
    Stuck {
        retry: Instant,
    },
}

/// Whether bytes may go into the file without being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    Possible,
    /// Others write to the file or truncate it, or it is of a kind that cannot take them so.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Open,
    /// A write failed. Bytes are dropped until then, and the next ones after it are the next try.
    Held {
        until: Instant,
    },
    /// The file was removed and cannot be made anew.
    Gone {
        until: Instant,
    },
}

impl<P: Place> RotatingFile<P> {
    /// Opens the file, appending to what is there.
    pub fn open(mut place: P, limits: Limits) -> Result<RotatingFile<P>, OpenError> {
        let (file, size) = open_sized(&mut place)?;
        Ok(RotatingFile {
            place,
            file,
            size,
            end: size.unwrap_or(0),
            // Most likely; if not, a line is torn that was torn before.
            at_line_end: Some(true),
            appending: true,
            passing: Passing::Possible,
            limits,
            begun: 0,
            reopened: 0,
            rotation: Rotation::Idle,
            access: Access::Open,
            look_at: Instant::ZERO,
            loss: Loss::default(),
            stuck: Loss::default(),
        })
    }

    /// Where the file lives.
    pub fn place(&self) -> &P {
        &self.place
    }

    /// The file that is open.
    pub fn file(&self) -> &P::File {
        &self.file
    }

    /// Where the file lives, to read it back.
    pub fn place_mut(&mut self) -> &mut P {
        &mut self.place
    }

    /// When the file is rotated.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How often a new file was begun: whether there may be another backup than before.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// How often its path was opened anew: whether it may be another place than before.
    pub fn reopened(&self) -> u64 {
        self.reopened
    }

    /// Where in the whole log the next byte goes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The open file as a part of the whole log; `None` for a device, and where nobody can tell.
    pub fn live(&mut self) -> Option<Live> {
        let size = self.size?;
        let facts = self.place.facts(&self.file).ok().flatten()?;
        Some(Live { identity: facts.identity, start: self.end.saturating_sub(size), end: self.end })
    }

    /// Changes the limits from the next write on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What is wrong with writing at present.
    pub fn failing(&self) -> Option<&Cause> {
        self.loss.failing()
    }

    /// Why the file cannot be rotated at present and grows beyond its limit.
    pub fn rotation_failing(&self) -> Option<&Cause> {
        self.stuck.failing()
    }

    /// Bytes lost in all.
    pub fn dropped_bytes(&self) -> u64 {
        self.loss.total()
    }

    /// Appends bytes, cut between two files where they would exceed the limit.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> Written {
        let mut rest = if self.is_ready(now) { bytes } else { return self.drop_all(bytes) };
        while !rest.is_empty() {
            let size = self.piece(rest, now);
            let (piece, beyond) = rest.split_at(size);
            let taken = self.append(piece, now);
            if taken < piece.len() {
                return self.drop_rest(bytes, rest.len() - taken);
            }
            rest = beyond;
        }
        Written { written: bytes.len(), dropped: 0 }
    }

    /// Appends a record in one piece, after a rotation if it would fill the file.
    pub fn write_record(&mut self, record: &[u8], now: Instant) -> Written {
        if !self.is_ready(now) {
            return self.drop_all(record);
        }
        let (size, length) = (self.size.unwrap_or(0), record.len() as u64);
        if self.is_limited() && size > 0 && size.saturating_add(length) >= self.limits.maxbytes {
            self.rotate(now);
        }
        let taken = self.append(record, now);
        self.drop_rest(record, record.len() - taken)
    }

    /// Closes the file and opens its path anew; keeps the old one if that fails.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        let (file, size) = open_sized(&mut self.place)?;
        let identity = |place: &mut P, file| place.facts(file).ok().flatten().map(|facts| facts.identity);
        if identity(&mut self.place, &self.file) != identity(&mut self.place, &file) {
            self.resize(Some(0));
        }
        self.adopt(file, size);
        Ok(())
    }

    /// Rotates now, whatever the size; an empty file stays as it is. What cannot be done now is tried again later.
    pub fn rotate_now(&mut self, now: Instant) -> Result<(), Cause> {
        self.look_at = now;
        self.look(now);
        if self.size.unwrap_or(0) == 0 || self.go_on(now) {
            return Ok(());
        }
        self.stuck.failing().cloned().map_or(Ok(()), Err)
    }

    /// Makes the file empty; its backups stay.
    pub fn clear(&mut self) -> Result<(), Cause> {
        if self.size.is_some() {
            self.place.truncate(&mut self.file)?;
            self.resize(Some(0));
            self.at_line_end = Some(true);
        }
        Ok(())
    }

    /// When `on_deadline` wants to be called, or `take_notice` has something; a deadline in the past means now.
    pub fn deadline(&self) -> Option<Instant> {
        let gone = match self.access {
            Access::Gone { until } => Some(until),
            Access::Open | Access::Held { .. } => None,
        };
        let stuck = match self.rotation {
            Rotation::Stuck { retry } => Some(retry),
            Rotation::Idle => None,
        };
        [gone, stuck, self.loss.due(), self.stuck.due()].into_iter().flatten().min()
    }

    /// Tries again what failed and can be tried without bytes.
    pub fn on_deadline(&mut self, now: Instant) {
        if matches!(self.access, Access::Gone { .. }) {
            self.is_ready(now);
        }
        self.resume(now);
    }

    /// What a person has to hear now.
    pub fn take_notice(&mut self, now: Instant) -> Option<Notice> {
        let path = self.place.path();
        let of_loss = self.loss.take(now).map(|tidings| Notice::of_loss(path, tidings));
        of_loss.or_else(|| self.stuck.take(now).map(|tidings| Notice::of_rotation(path, tidings)))
    }

    /// What nobody was told of yet, due or not: for a file that is closed.
    pub fn last_notice(&mut self, now: Instant) -> Option<Notice> {
        let path = self.place.path();
        self.loss.take_all(now).map(|tidings| Notice::of_loss(path, tidings))
    }

    fn drop_all(&mut self, bytes: &[u8]) -> Written {
        self.loss.lose(bytes.len() as u64);
        Written { written: 0, dropped: bytes.len() }
    }

    fn drop_rest(&mut self, bytes: &[u8], dropped: usize) -> Written {
        if dropped > 0 {
            self.loss.lose(dropped as u64);
        }
        Written { written: bytes.len() - dropped, dropped }
    }

    fn is_limited(&self) -> bool {
        self.limits.maxbytes > 0 && self.size.is_some()
    }

    /// Whether a write may be tried now.
    fn is_ready(&mut self, now: Instant) -> bool {
        self.resume(now);
        match self.access {
            Access::Held { until } if now < until => false,
            Access::Gone { until } if now < until => false,
            Access::Gone { .. } => self.replace_gone(now),
            Access::Held { .. } => {
                self.follow_name();
                self.look(now)
            }
            Access::Open => self.look(now),
        }
    }

    /// Looks now and then whether others removed or truncated the file.
    fn look(&mut self, now: Instant) -> bool {
        if now < self.look_at {
            return true;
        }
        self.look_at = now + LOOK_EVERY;
        match self.place.facts(&self.file) {
            Ok(Some(Facts { links: 0, .. })) => self.replace_gone(now),
            Ok(facts) => {
                let size = facts.map(|facts| facts.size);
                if size != self.size {
                    self.share();
                }
                self.resize(size);
                true
            }
            // If anything is wrong with the file, the write that follows tells.
            Err(_) => true,
        }
    }

    fn is_at_line_end(&mut self) -> bool {
        if self.at_line_end.is_none() {
            let last = self.place.last_byte(&self.file).ok().flatten();
            self.at_line_end = Some(last == Some(b'\n'));
        }
        self.at_line_end == Some(true)
    }

    /// Bytes in a file without a name would be lost and still fill the disk.
    fn replace_gone(&mut self, now: Instant) -> bool {
        match self.reopen() {
            Ok(()) => true,
            Err(error) => {
                self.access = Access::Gone { until: now + RETRY };
                self.loss.fail(error.into(), 0);
                false
            }
        }
    }

    /// The file has another size than before: it grew, or it was started over and has that much again.
    fn resize(&mut self, size: Option<u64>) {
        let (old, new) = (self.size.unwrap_or(0), size.unwrap_or(0));
        self.end = self.end.saturating_add(if new >= old { new - old } else { new });
        self.size = size;
    }

    fn adopt(&mut self, file: P::File, size: Option<u64>) {
        self.file = file;
        self.reopened += 1;
        self.resize(size);
        self.at_line_end = Some(true);
        self.appending = true;
        self.access = Access::Open;
        self.rotation = Rotation::Idle;
        self.stuck.recover();
    }

    /// How many of the bytes go into the file that is open after this call; at least one.
    fn piece(&mut self, bytes: &[u8], now: Instant) -> usize {
        // Others may truncate the file or put a full one in its place: enough rounds for that, and then it just goes on.
        const ROUNDS: usize = 3;
        for _ in 0..ROUNDS {
            let (true, Some(size)) = (self.is_limited(), self.size) else { return bytes.len() };
            let room = self.limits.maxbytes.saturating_sub(size);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let fitting = cut(bytes, room, size > 0 && self.is_at_line_end());
            if fitting > 0 {
                return fitting;
            }
            if !self.rotate(now) {
                break;
            }
        }
        bytes.len()
    }

    /// Appends until all is taken or an error ends it.
    fn append(&mut self, piece: &[u8], now: Instant) -> usize {
        let (mut taken, mut interrupts) = (0, 0);
        while let Some(rest) = piece.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.place.write(&mut self.file, rest) {
                Ok(0) => return self.hold(io::ErrorKind::WriteZero.into(), taken, now),
                Ok(written) => {
                    taken = piece.len().min(taken.saturating_add(written));
                    self.has_grown(piece, taken, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted && interrupts < INTERRUPTS_MAX => {
                    interrupts += 1
                }
                Err(error) => return self.hold(error, taken, now),
            }
        }
        taken
    }

    fn has_grown(&mut self, piece: &[u8], taken: usize, written: usize) {
        self.resize(self.size.map(|size| size.saturating_add(written as u64)));
        self.at_line_end = Some(piece.get(..taken).is_some_and(|taken| taken.ends_with(b"\n")));
        self.access = Access::Open;
        self.loss.recover();
    }

    fn hold(&mut self, error: io::Error, taken: usize, now: Instant) -> usize {
        self.access = Access::Held { until: now + RETRY };
        self.loss.fail(error.into(), 0);
        taken
    }
}

fn open_sized<P: Place>(place: &mut P) -> Result<(P::File, Option<u64>), OpenError> {
    let file = place.open()?;
    let facts = place.facts(&file).map_err(|error| OpenError::System {
        path: place.path().to_owned(),
        errno: error.raw_os_error().unwrap_or(0),
        user: None,
    })?;
    Ok((file, facts.map(|facts| facts.size)))
}
