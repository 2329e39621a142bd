//! Bytes that go from a pipe into the file without being looked at, rotation included.
//!
//! The file is written without O_APPEND then, which only works as long as nobody else touches it. That is looked after before
//! each burst; once it was not so, the file is appended to, and its bytes are read and written.

use super::{Access, Passing, RotatingFile};
use crate::engine::time::Instant;
use crate::logs::place::{Flow, Place};
use crate::logs::rotation::{LINE_ZONE, cut};
use std::io;

/// What came of letting bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// So many did; more may have come meanwhile.
    Some(usize),
    /// None waits.
    Nothing,
    /// They cannot pass at present: read them and write them.
    Refused,
}

/// How many bytes go into the open file.
struct Portion {
    length: usize,
    /// Whether they end with a line end, if anybody looked.
    at_line_end: Option<bool>,
}

impl<P: Place> RotatingFile<P> {
    /// Lets up to `most` bytes pass from a pipe into the file.
    pub fn pass(&mut self, flow: &mut impl Flow<P::File>, most: usize, now: Instant) -> Passed {
        if self.passing == Passing::Never || self.size.is_none() {
            return Passed::Refused;
        }
        self.look_at = now;
        if !self.is_ready(now) || !self.takes_blindly() {
            return Passed::Refused;
        }
        match flow.waiting() {
            Ok(0) => Passed::Nothing,
            Ok(waiting) => match self.portion(flow, waiting, now) {
                Ok(portion) => self.let_pass(flow, portion, most, now),
                Err(_) => Passed::Refused,
            },
            Err(_) => Passed::Refused,
        }
    }

    /// Others write to the file or truncate it: from now on each write finds its end by itself.
    pub(super) fn share(&mut self) {
        if !self.appending {
            self.passing = Passing::Never;
            // A descriptor of our own takes its flags; if not, the next write is the one that fails.
            self.appending = self.place.set_appending(&mut self.file, true).is_ok();
        }
    }

    fn takes_blindly(&mut self) -> bool {
        // A new file has to be prepared once; one that cannot be is no worse than one that others write to.
        if self.passing == Passing::Possible && self.appending {
            match self.place.set_appending(&mut self.file, false) {
                Ok(()) => self.appending = false,
                Err(_) => self.passing = Passing::Never,
            }
        }
        self.passing == Passing::Possible
    }

    fn let_pass(&mut self, flow: &mut impl Flow<P::File>, portion: Portion, most: usize, now: Instant) -> Passed {
        let length = portion.length.min(most);
        match flow.move_into(&mut self.file, length) {
            Ok(moved) => {
                self.resize(self.size.map(|size| size.saturating_add(moved as u64)));
                self.at_line_end = if moved == portion.length { portion.at_line_end } else { None };
                self.access = Access::Open;
                self.loss.recover();
                Passed::Some(moved)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Passed::Nothing,
                io::ErrorKind::Interrupted => Passed::Some(0),
                // Of a kind that cannot take them so, or a sandbox that does not let us: a write may still do.
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {
                    self.share();
                    Passed::Refused
                }
                _ => {
                    self.hold(error, 0, now);
                    Passed::Refused
                }
            },
        }
    }

    /// Up to the limit blindly, except for the last part of it, in which a line end is looked for.
    fn portion(&mut self, flow: &mut impl Flow<P::File>, waiting: usize, now: Instant) -> io::Result<Portion> {
        const ROUNDS: usize = 3;
        for _ in 0..ROUNDS {
            let (true, Some(size)) = (self.is_limited(), self.size) else { break };
            let room = usize::try_from(self.limits.maxbytes.saturating_sub(size)).unwrap_or(usize::MAX);
            if waiting <= room {
                break;
            }
            if room > LINE_ZONE {
                return Ok(Portion { length: room - LINE_ZONE, at_line_end: None });
            }
            let at_line_end = size > 0 && self.is_at_line_end();
            let ahead = flow.peek(room + 1)?;
            let fitting = cut(ahead, room, at_line_end);
            if fitting > 0 {
                let last = ahead.get(fitting - 1);
                return Ok(Portion { length: fitting, at_line_end: last.map(|byte| *byte == b'\n') });
            }
            if !self.rotate(now) {
                break;
            }
            // The new file is another one, and starts as one that is appended to.
            if !self.takes_blindly() {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
        Ok(Portion { length: waiting, at_line_end: None })
    }
}
