//! Waiting for conditions, with a deadline and a sentence for its end.

use std::time::{Duration, Instant};

/// How long a condition may take on a busy machine before it counts as missed.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Looks every few milliseconds until `look` finds something; `None` at the deadline.
pub fn wait_for<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(7));
    }
}

/// Waits until `condition` holds and fails with `what` if it does not in time.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let held = wait_for(deadline, || condition().then_some(()));
    assert!(held.is_some(), "not within {deadline:?}: {what}");
}
