//! Reading a log back: its last lines, and whatever comes after them, through every rotation.
//!
//! A cursor is a place in the whole log, not a queue: it costs one open file, however far it lags behind. The file that it
//! reads stays readable while it is open; if the ones after it are gone when it gets there, it goes on in the one that is
//! written, and says how many bytes it missed.

use super::rotating_file::{Live, RotatingFile};
use crate::sys::files::FileIdentity;
use crate::sys::log_file::{LogPlace, LogReader, OpenError};
use std::io;

/// Most bytes that are read back at once.
pub const TAIL_MAX: usize = 512 * 1024;

/// Bytes looked at in one read on the way back to the first wanted line.
const BLOCK: usize = 64 * 1024;

/// Backups looked at for the last lines, and for the place of a file that was rotated.
const PARTS_MAX: u32 = 1024;

/// Files gone through in one pull.
const ROUNDS: usize = 4;

/// How much of the end is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// At most so many bytes.
    pub bytes: Option<u64>,
    /// At most so many lines.
    pub lines: Option<u64>,
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tail {
    /// What was found.
    pub bytes: Vec<u8>,
    /// More was wanted and is there, but not at once.
    pub truncated: bool,
}

/// The last of a log, across its backups. `size`: how much of the log itself counts, if not all.
///
/// # Errors
/// What stands in the way of opening or reading one of its files.
pub fn tail(place: &mut LogPlace, size: Option<u64>, wish: Wish) -> Result<Tail, OpenError> {
    let most = wish.bytes.map_or(TAIL_MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let mut search = Search { blocks: Vec::new(), room: most.min(TAIL_MAX), lines: wish.lines, done: false };
    search.done = search.room == 0 || search.lines == Some(0);
    for backup in 0..=PARTS_MAX {
        if search.done {
            break;
        }
        let Some(reader) = place.open_part(backup)? else { break };
        let end = size.filter(|_| backup == 0).map_or(reader.size(), |size| size.min(reader.size()));
        search.backwards(&reader, end).map_err(|error| OpenError::System {
            path: place.path().to_owned(),
            errno: error.raw_os_error().unwrap_or(0),
            user: None,
        })?;
    }
    let bounded = wish.bytes.is_none() || most > TAIL_MAX;
    let truncated = bounded && search.room == 0;
    Ok(Tail { bytes: search.blocks.into_iter().rev().flatten().collect(), truncated })
}

struct Search {
    /// The last one first.
    blocks: Vec<Vec<u8>>,
    room: usize,
    lines: Option<u64>,
    done: bool,
}

impl Search {
    fn backwards(&mut self, reader: &LogReader, mut end: u64) -> io::Result<()> {
        while end > 0 && !self.done {
            let length = usize::try_from(end).unwrap_or(usize::MAX).min(BLOCK).min(self.room);
            end -= length as u64;
            let mut block = vec![0; length];
            let count = reader.read_at(&mut block, end)?;
            block.truncate(count);
            self.room -= length;
            self.take(block);
        }
        Ok(())
    }

    fn take(&mut self, mut block: Vec<u8>) {
        if let Some(at) = self.first_line(&block) {
            block.drain(..at);
            self.done = true;
        }
        self.done |= self.room == 0;
        self.blocks.push(block);
    }

    /// Where in this block the first of the wanted lines begins, if it does.
    fn first_line(&mut self, block: &[u8]) -> Option<usize> {
        let wanted = self.lines.as_mut()?;
        // The last line end of all closes a line, every other one begins the next as well.
        let last = self.blocks.iter().all(Vec::is_empty);
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if last && at + 1 == block.len() {
                continue;
            }
            *wanted -= 1;
            if *wanted == 0 {
                return Some(at + 1);
            }
        }
        None
    }
}

/// A place in a log that is being written.
#[derive(Debug)]
pub struct Cursor {
    /// Counted as `RotatingFile::end` counts.
    position: u64,
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    reader: LogReader,
    offset: u64,
}

/// What a pull brought; nothing at all means that the cursor is at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulled {
    /// Bytes in the buffer.
    pub taken: usize,
    /// Bytes before them that could not be read any more.
    pub missed: u64,
}

impl Cursor {
    /// At the end of the log. The file is opened at once: after a rotation its name would be another one.
    pub fn at_end(log: &mut RotatingFile<LogPlace>) -> Cursor {
        let part = log.live().and_then(|live| open_live(log, &live, live.end));
        Cursor { position: log.end(), part }
    }

    /// Whether there is something to pull.
    pub fn is_behind(&self, log: &RotatingFile<LogPlace>) -> bool {
        self.position != log.end()
    }

    /// Bytes that are still to be read.
    pub fn lag(&self, log: &RotatingFile<LogPlace>) -> u64 {
        log.end().saturating_sub(self.position)
    }

    /// Reads the next bytes. Afterwards something was taken, or the cursor is at the end; what cannot be read is missed.
    pub fn pull(&mut self, log: &mut RotatingFile<LogPlace>, buffer: &mut [u8]) -> Pulled {
        let mut pulled = Pulled::default();
        for _ in 0..ROUNDS {
            let Some(live) = log.live() else { break };
            if !self.is_behind(log) || !self.find_part(log, &live, &mut pulled.missed) {
                break;
            }
            match self.read(&live, buffer) {
                Ok(0) | Err(_) if self.reads(live.identity) => break,
                Ok(0) | Err(_) => self.leave_part(log, &live, &mut pulled.missed),
                Ok(count) => {
                    pulled.taken = count;
                    return pulled;
                }
            }
        }
        if self.is_behind(log) {
            pulled.missed += self.lag(log);
            *self = Cursor::at_end(log);
        }
        pulled
    }

    fn reads(&self, identity: FileIdentity) -> bool {
        self.part.as_ref().is_some_and(|part| part.reader.identity() == identity)
    }

    fn read(&mut self, live: &Live, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(part) = &mut self.part else { return Ok(0) };
        let known = if part.reader.identity() == live.identity { live.end - self.position } else { u64::MAX };
        let room = usize::try_from(known).unwrap_or(usize::MAX).min(buffer.len());
        let count = part.reader.read_at(buffer.get_mut(..room).unwrap_or_default(), part.offset)?;
        part.offset += count as u64;
        self.position += count as u64;
        Ok(count)
    }

    /// Makes sure that a file is open, and that the place in the live one is one that it still has.
    fn find_part(&mut self, log: &mut RotatingFile<LogPlace>, live: &Live, missed: &mut u64) -> bool {
        if self.part.is_none() {
            self.part = open_live(log, live, self.position);
        }
        if self.part.is_none() {
            return false;
        }
        if self.reads(live.identity) {
            if !(live.start..=live.end).contains(&self.position) {
                *missed += live.start.saturating_sub(self.position);
                self.position = live.start;
            }
            let offset = self.position - live.start;
            self.part.iter_mut().for_each(|part| part.offset = offset);
        }
        true
    }

    /// At the end of a file that was rotated: on to the next newer one, or to the live one if nobody knows which that is.
    fn leave_part(&mut self, log: &mut RotatingFile<LogPlace>, live: &Live, missed: &mut u64) {
        let Some(left) = self.part.take() else { return };
        let most = log.limits().backups.min(PARTS_MAX);
        let number = log.place_mut().number_of(left.reader.identity(), most).ok().flatten().unwrap_or(1);
        let newer = number.saturating_sub(1);
        let opened = if newer > 0 { log.place_mut().open_part(newer).ok().flatten() } else { None };
        match opened {
            Some(reader) => self.part = Some(Part { reader, offset: 0 }),
            None => {
                *missed += live.start.saturating_sub(self.position);
                self.position = live.start;
                self.part = open_live(log, live, self.position);
            }
        }
    }
}

/// The file that is written, by its name; `None` if others moved it away.
fn open_live(log: &mut RotatingFile<LogPlace>, live: &Live, position: u64) -> Option<Part> {
    let reader = log.place_mut().open_part(0).ok().flatten()?;
    let offset = position.saturating_sub(live.start);
    (reader.identity() == live.identity).then_some(Part { reader, offset })
}
