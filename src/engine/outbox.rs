//! Where decisions are put down while an input is handled: effects for the shell, deadlines, and notes to the engine itself
//! about what became of an instance, from which it settles orders. It decides nothing.

use super::id::{InstanceId, Stamp};
use super::message::{Effect, Event, State};
use super::time::{Duration, Instant};
use super::timer::TimerQueue;
use alloc::collections::VecDeque;

/// Who waits for a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiter {
    /// The instance, in its phase.
    Instance(InstanceId),
    /// The shutdown.
    Closing,
}

/// What became of an instance while an input was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// It came into a state.
    Reached(InstanceId, State),
    /// It outlived its SIGKILL.
    Stuck(InstanceId),
    /// It was to be removed and is down.
    Gone(InstanceId),
    /// It comes to this state for good, and its end is to be the end of all.
    Last(InstanceId, State),
}

/// The desk on which an instance decides.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) now: Instant,
    pub(super) effects: VecDeque<Effect>,
    pub(super) notes: VecDeque<Note>,
    pub(super) timers: TimerQueue<Waiter>,
    seed: u64,
}

impl Outbox {
    pub(super) fn new(now: Instant, seed: u64) -> Outbox {
        Outbox { now, effects: VecDeque::new(), notes: VecDeque::new(), timers: TimerQueue::new(), seed }
    }

    /// Time never runs backwards here, whatever the caller says.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) fn put(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn publish(&mut self, event: Event) {
        self.put(Effect::Publish(event));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.notes.push_back(note);
    }

    pub(super) fn arm_after(&mut self, wait: Duration, waiter: Waiter) -> Stamp {
        self.timers.arm(self.now + wait, waiter)
    }

    /// The next number of a fixed sequence (splitmix64): spreads retries, decides nothing else.
    pub(super) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let mut out = Outbox::new(Instant::from_millis(5), 0);
        out.advance(Instant::from_millis(3));
        assert_eq!(out.now, Instant::from_millis(5));
        out.advance(Instant::from_millis(7));
        assert_eq!(out.now, Instant::from_millis(7));
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let sequence = |seed| {
            let mut out = Outbox::new(Instant::ZERO, seed);
            [out.random(), out.random(), out.random()]
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
        assert_ne!(sequence(1)[0], sequence(1)[1]);
    }
}
