//! When a busy stream is left alone for a moment, and how much its pipe holds meanwhile.
//!
//! A program that writes line by line would wake the daemon for every few of them. After a serving that found little, a
//! stream that is busy is not watched for about a millisecond, and one look then takes all that came. A quiet stream is
//! served at once. A stream that fills its pipe in that time gets a larger one; one that fills that as well, or gets none, is
//! not left alone: it would be held up, and its bytes come in large pieces anyway.

use crate::engine::time::{Duration, Instant};
use crate::sys::pipe;
use std::os::fd::AsFd;

/// How long a stream is left alone.
pub(super) const REST: Duration = Duration::from_millis(1);

/// Two servings closer than this make a stream busy.
const BUSY: Duration = Duration::from_millis(2);

/// What a pipe holds unless somebody changes it.
const USUAL: usize = 64 * 1024;
/// What a pipe that is filled again and again is made to hold.
const GROWN: usize = 1024 * 1024;
/// What all pipes together are made to hold.
const GROWN_IN_ALL: usize = 16 * 1024 * 1024;
/// A burst of so much is as good as a full pipe, however large the pipe is.
const ENOUGH: usize = 512 * 1024;
/// A pipe counts as full with less than this free: whoever writes more at once waits.
const SLACK: usize = 4096;
/// So many bursts that fill a pipe make it grow.
const FILLS: u8 = 3;
/// How long a stream has no rest where that would hold the program up.
const HURRY: Duration = Duration::from_secs(1);
/// So many bursts without a rest tell whether it is worth its wake-ups: a program that writes large pieces brings at least
/// `PIECE` in each on average.
const SAMPLE: u32 = 32;
const PIECE: usize = 4096;
/// How long a program that does not is left in peace.
const LINES: Duration = Duration::from_secs(10);

/// The pace of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    capacity: usize,
    growth: Growth,
    fills: u8,
    hurried_until: Instant,
    /// Bursts since then, and bytes in them.
    sample: (u32, usize),
    /// It writes line by line and is not to be hurried before that.
    lines_until: Instant,
    /// Moved since the stream was last left alone.
    burst: usize,
    served_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    Possible,
    /// By so many bytes.
    Done(usize),
    /// The system has no more, for this user at least.
    Refused,
}

impl Pace {
    /// The pace of a fresh pipe.
    pub(super) fn new(pipe: &impl AsFd) -> Pace {
        Pace {
            capacity: pipe::capacity(pipe).unwrap_or(USUAL),
            growth: Growth::Possible,
            fills: 0,
            hurried_until: Instant::ZERO,
            sample: (0, 0),
            lines_until: Instant::ZERO,
            burst: 0,
            served_at: Instant::ZERO,
        }
    }

    /// The serving moved so many bytes.
    pub(super) fn note(&mut self, moved: usize) {
        self.burst = self.burst.saturating_add(moved);
    }

    /// The pipe is empty: whether the stream is to be left alone now. `grown`: what all pipes were made to hold.
    pub(super) fn wants_rest(&mut self, pipe: &impl AsFd, grown: &mut usize, now: Instant) -> bool {
        let burst = std::mem::take(&mut self.burst);
        if burst == 0 {
            return false;
        }
        let busy = now.since(self.served_at) <= BUSY;
        self.served_at = now;
        if busy && now < self.hurried_until {
            return self.is_sampled_in_vain(burst, now);
        }
        if burst + SLACK >= self.capacity.min(ENOUGH) {
            self.is_full(pipe, grown, now);
        } else {
            self.fills = self.fills.saturating_sub(1);
        }
        busy && now >= self.hurried_until
    }

    /// What its pipe was made to hold beyond the usual.
    pub(super) fn grown(&self) -> usize {
        match self.growth {
            Growth::Done(bytes) => bytes,
            Growth::Possible | Growth::Refused => 0,
        }
    }

    /// Whether a stream that is hurried brings so little each time that it should rest after all.
    fn is_sampled_in_vain(&mut self, burst: usize, now: Instant) -> bool {
        let (count, bytes) = self.sample;
        self.sample = (count + 1, bytes.saturating_add(burst));
        let small = count == SAMPLE && bytes < PIECE * SAMPLE as usize;
        if small && matches!(self.growth, Growth::Done(_)) {
            self.hurried_until = now;
            self.lines_until = now + LINES;
            return true;
        }
        false
    }

    fn is_full(&mut self, pipe: &impl AsFd, grown: &mut usize, now: Instant) {
        self.fills = self.fills.saturating_add(1);
        if self.fills < FILLS {
            return;
        }
        self.fills = 0;
        let fits = *grown + GROWN <= GROWN_IN_ALL;
        if self.growth == Growth::Possible && fits && self.grow(pipe) {
            *grown += GROWN;
        } else if now >= self.lines_until {
            self.hurried_until = now + HURRY;
            self.sample = (0, 0);
        }
    }

    fn grow(&mut self, pipe: &impl AsFd) -> bool {
        match pipe::set_capacity(pipe, GROWN) {
            Ok(capacity) => {
                self.growth = Growth::Done(GROWN);
                self.capacity = capacity;
                true
            }
            // The user's quota is used up, or the system knows no such thing.
            Err(_) => {
                self.growth = Growth::Refused;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Instant = Instant::from_millis;

    fn pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
        std::io::pipe().unwrap()
    }

    fn serve(pace: &mut Pace, pipe: &impl AsFd, grown: &mut usize, moved: usize, now: u64) -> bool {
        pace.note(moved);
        pace.wants_rest(pipe, grown, AT(now))
    }

    #[test]
    fn only_a_busy_stream_rests() {
        let (read, _write) = pipe();
        let (mut pace, mut grown) = (Pace::new(&read), 0);
        assert!(!serve(&mut pace, &read, &mut grown, 10, 100), "the first line");
        assert!(!serve(&mut pace, &read, &mut grown, 10, 110), "the next one, later");
        assert!(serve(&mut pace, &read, &mut grown, 10, 111));
        assert!(!serve(&mut pace, &read, &mut grown, 0, 112), "nothing came meanwhile");
    }

    #[test]
    fn a_pipe_that_is_filled_again_and_again_grows_within_the_bound() {
        let mut grown = 0;
        let streams: Vec<_> = (0..20).map(|_| pipe()).collect();
        let mut paces: Vec<Pace> = streams.iter().map(|(read, _)| Pace::new(read)).collect();
        for round in 0..u64::from(FILLS) {
            for (pace, (read, _)) in paces.iter_mut().zip(&streams) {
                serve(pace, read, &mut grown, USUAL, 100 + round);
            }
        }
        let most = if cfg!(all(target_os = "linux", not(feature = "portable"))) { GROWN_IN_ALL } else { 0 };
        assert!(grown <= most);
        assert_eq!(grown, paces.iter().map(Pace::grown).sum::<usize>());
        for (pace, (read, _)) in paces.iter_mut().zip(&streams) {
            let rests = serve(pace, read, &mut grown, USUAL / 2, 103);
            assert_eq!(rests, pace.grown() > 0, "without a larger pipe a rest would hold the program up");
        }
        // A second later it is tried again.
        let (pace, (read, _)) = (paces.last_mut().unwrap(), streams.last().unwrap());
        serve(pace, read, &mut grown, USUAL / 2, 1200);
        assert!(serve(pace, read, &mut grown, USUAL / 2, 1201));
    }

    #[test]
    fn a_stream_that_fills_the_large_pipe_has_no_rest() {
        let (read, _write) = pipe();
        let (mut pace, mut grown) = (Pace::new(&read), 0);
        let rests: Vec<bool> = (100..120).map(|now| serve(&mut pace, &read, &mut grown, 1 << 20, now)).collect();
        assert!(rests[1] && rests[6..].iter().all(|rests| !rests), "{rests:?}");
    }

    #[test]
    fn lines_that_pile_up_are_no_reason_to_hurry() {
        let (read, _write) = pipe();
        let (mut pace, mut grown) = (Pace::new(&read), 0);
        let mut rests: Vec<bool> = (100..106).map(|now| serve(&mut pace, &read, &mut grown, 1 << 20, now)).collect();
        rests.extend((106..200).map(|now| serve(&mut pace, &read, &mut grown, 100, now)));
        rests.extend((200..210).map(|now| serve(&mut pace, &read, &mut grown, 1 << 20, now)));
        let hurried = rests.iter().filter(|rests| !**rests).count();
        let expected = if grown > 0 { 1 + SAMPLE as usize + 1 } else { rests.len() - 1 };
        assert_eq!(hurried, expected, "{rests:?}");
    }

    #[test]
    fn now_and_then_full_is_no_reason_to_grow() {
        let (read, _write) = pipe();
        let (mut pace, mut grown) = (Pace::new(&read), 0);
        for round in 0..100 {
            serve(&mut pace, &read, &mut grown, if round % 2 == 0 { USUAL } else { 10 }, 100 + round);
        }
        assert_eq!(grown, 0);
    }
}
