//! Which sources wait to be served. The kernel tells of an edge once; from then on this list remembers it.

use super::source::SourceId;
use std::collections::VecDeque;

/// Sources that are ready, each at most once: the sources hold the flag that says they are in here.
#[derive(Debug, Default)]
pub struct ReadyList {
    queue: VecDeque<SourceId>,
}

impl ReadyList {
    /// Puts a source at the end, unless its flag says it is in the list.
    pub fn push(&mut self, id: SourceId, queued: &mut bool) {
        if !*queued {
            *queued = true;
            self.queue.push_back(id);
        }
    }

    /// Takes the next source; the caller clears its flag.
    pub fn pop(&mut self) -> Option<SourceId> {
        self.queue.pop_front()
    }

    /// How many wait: one round serves so many, and those that come back wait for the next.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
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
