//! A wait for somebody's word: how long it is, and what becomes of it when nobody listened for a while.

use super::id::{InstanceId, Stamp};
use super::outbox::{Outbox, Waiter};
use super::time::{Duration, Instant};

/// A deadline by which somebody has to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    until: Stamp,
    at: Instant,
    was_renewed: bool,
}

impl Patience {
    /// From now on for so long.
    pub(super) fn new(wait: Duration, who: InstanceId, out: &mut Outbox) -> Patience {
        let at = out.now + wait;
        Patience { until: out.timers.arm(at, Waiter::Instance(who)), at, was_renewed: false }
    }

    /// Whether this is its deadline.
    pub(super) fn ends_with(self, stamp: Stamp) -> bool {
        self.until == stamp
    }

    /// Nobody listened until now. Where that may have taken too much of the time, all of it is given anew.
    pub(super) fn renew(&mut self, wait: Duration, who: InstanceId, out: &mut Outbox) {
        if deserves_renewal(self.at, wait, self.was_renewed, out.now) {
            *self = Patience { was_renewed: true, ..Patience::new(wait, who, out) };
        }
    }
}

/// Whoever has less than half of its time left may not have come through. Once: where nobody ever listens in time, one that
/// has nothing to say is found all the same.
pub(super) fn deserves_renewal(at: Instant, wait: Duration, was_renewed: bool, now: Instant) -> bool {
    !was_renewed && at.since(now) < wait / 2
}
