//! One queue of deadlines. There is no cancelling: whoever waits keeps the stamp, and forgets it when it waits no more.
//! A stamp that comes due and that nobody holds falls to the ground, so the waiting state is the truth and this only a hint.

use super::id::Stamp;
use super::time::Instant;
use alloc::collections::BinaryHeap;
use core::cmp::{Ordering, Reverse};

/// Room for so many deadlines is kept.
const KEPT: usize = 64;

/// Deadlines in the order of their time, then of their arming; `K` names who waits.
#[derive(Debug)]
pub struct TimerQueue<K> {
    heap: BinaryHeap<Reverse<Entry<K>>>,
    next: u64,
}

#[derive(Debug)]
struct Entry<K> {
    at: Instant,
    stamp: Stamp,
    key: K,
}

impl<K> PartialEq for Entry<K> {
    fn eq(&self, other: &Self) -> bool {
        self.stamp == other.stamp
    }
}

impl<K> Eq for Entry<K> {}

impl<K> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Entry<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.stamp).cmp(&(other.at, other.stamp))
    }
}

impl<K> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue { heap: BinaryHeap::new(), next: 1 }
    }
}

impl<K> TimerQueue<K> {
    /// A queue in which nothing is due.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms a deadline; the stamp is to be kept by whoever waits for it.
    pub fn arm(&mut self, at: Instant, key: K) -> Stamp {
        let stamp = Stamp(self.next);
        self.next += 1;
        self.heap.push(Reverse(Entry { at, stamp, key }));
        stamp
    }

    /// Takes out the earliest deadline that is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Stamp, K)> {
        if self.next_deadline()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.stamp, entry.key))
    }

    /// The earliest deadline; unless skimmed it may be a forgotten one, and a wake for it finds nothing to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Drops the earliest deadlines as long as nobody holds them, so that the next one is worth waking up for.
    pub fn skim(&mut self, holds: impl Fn(&K, Stamp) -> bool) {
        while let Some(Reverse(entry)) = self.heap.peek()
            && !holds(&entry.key, entry.stamp)
        {
            self.heap.pop();
        }
        self.give_back();
    }

    /// Drops every deadline that nobody holds any more.
    pub fn sweep(&mut self, mut holds: impl FnMut(&K, Stamp) -> bool) {
        self.heap.retain(|Reverse(entry)| holds(&entry.key, entry.stamp));
        self.give_back();
    }

    /// What a start of thousands armed made room that nothing else fills.
    fn give_back(&mut self) {
        if self.heap.capacity() > KEPT && self.heap.len() < self.heap.capacity() / 4 {
            self.heap.shrink_to(KEPT.max(2 * self.heap.len()));
        }
    }

    /// How many deadlines are armed, the forgotten ones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no deadline is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn due(queue: &mut TimerQueue<char>, now: Instant) -> Vec<char> {
        core::iter::from_fn(|| queue.pop_due(now)).map(|(_, key)| key).collect()
    }

    #[test]
    fn deadlines_come_due_in_the_order_of_their_time() {
        let mut queue = TimerQueue::new();
        queue.arm(at(3), 'c');
        queue.arm(at(1), 'a');
        queue.arm(at(2), 'b');
        assert_eq!(queue.next_deadline(), Some(at(1)));
        assert_eq!(due(&mut queue, at(2)), ['a', 'b']);
        assert_eq!(due(&mut queue, at(2)), []);
        assert_eq!(due(&mut queue, at(9)), ['c']);
        assert_eq!((queue.next_deadline(), queue.is_empty()), (None, true));
    }

    #[test]
    fn those_of_one_time_come_due_as_they_were_armed() {
        let mut queue = TimerQueue::new();
        for key in ['x', 'y', 'z'] {
            queue.arm(at(1), key);
        }
        assert_eq!(due(&mut queue, at(1)), ['x', 'y', 'z']);
    }

    #[test]
    fn a_stamp_is_never_used_twice() {
        let mut queue = TimerQueue::new();
        let first = queue.arm(at(1), 'a');
        assert_eq!(queue.pop_due(at(1)), Some((first, 'a')));
        assert_ne!(queue.arm(at(1), 'a'), first);
    }

    #[test]
    fn skimming_takes_what_is_forgotten_off_the_top() {
        let mut queue = TimerQueue::new();
        queue.arm(at(1), 'a');
        queue.arm(at(2), 'b');
        queue.arm(at(3), 'c');
        queue.arm(at(4), 'd');
        queue.skim(|key, _| matches!(key, 'c'));
        assert_eq!((queue.len(), queue.next_deadline()), (2, Some(at(3))));
        queue.skim(|_, _| false);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_sweep_keeps_what_is_held() {
        let mut queue = TimerQueue::new();
        queue.arm(at(1), 'a');
        let kept = queue.arm(at(2), 'b');
        queue.arm(at(3), 'c');
        queue.sweep(|_, stamp| stamp == kept);
        assert_eq!((queue.len(), queue.next_deadline()), (1, Some(at(2))));
    }
}
