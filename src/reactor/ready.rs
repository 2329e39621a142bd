//! Which sources wait to be served. The kernel tells of an edge once; from then on this list remembers it.

use super::source::{Kind, SourceId};
use std::collections::VecDeque;

/// Sources that are ready, each at most once: the sources hold the flag that says they are in here. Those that carry bytes of
/// children stand in a line of their own, so that they hold up nobody who asks.
#[derive(Debug, Default)]
pub struct ReadyList {
    control: VecDeque<SourceId>,
    bytes: VecDeque<SourceId>,
}

impl ReadyList {
    /// Puts a source at the end of its line, unless its flag says it is in the list.
    pub fn push(&mut self, id: SourceId, queued: &mut bool) {
        if !*queued {
            *queued = true;
            match id.kind {
                Kind::Output => self.bytes.push_back(id),
                _ => self.control.push_back(id),
            }
        }
    }

    /// Takes the next of those who ask; the caller clears its flag.
    pub fn pop_control(&mut self) -> Option<SourceId> {
        self.control.pop_front()
    }

    /// Takes the next of those with bytes; the caller clears its flag.
    pub fn pop_bytes(&mut self) -> Option<SourceId> {
        self.bytes.pop_front()
    }

    /// How many of each wait: one round serves so many at most, and those that come back wait for the next.
    pub fn waiting(&self) -> (usize, usize) {
        (self.control.len(), self.bytes.len())
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.bytes.is_empty()
    }
}

/// Why a source stopped being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The kernel has nothing more: wait for its next edge.
    Dry,
    /// The budget is spent: back to the end of the list.
    More,
    /// It is at its end and can be dropped.
    Closed,
}
