//! When something happened, as it is kept by the thousand: half as large as the system's own time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; what happened before, happened then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    pub(super) fn of(time: SystemTime) -> Moment {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// For the calendar.
    pub(super) fn time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0)).unwrap_or(UNIX_EPOCH)
    }

    /// How long that was after an earlier one; `None` if it was before.
    pub(super) fn since(self, earlier: Moment) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_time_to_the_millisecond() {
        let time = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        assert_eq!(Moment::of(time), Moment(1_700_000_000_123));
        assert_eq!(Moment::of(time).time(), UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        assert_eq!(Moment::of(UNIX_EPOCH - Duration::from_secs(1)), Moment(0));
        assert_eq!(Moment(u64::MAX).time(), UNIX_EPOCH + Duration::from_millis(u64::MAX));
    }

    #[test]
    fn between_two_moments_is_a_time_or_none() {
        assert_eq!(Moment(1500).since(Moment(500)), Some(Duration::from_secs(1)));
        assert_eq!(Moment(500).since(Moment(1500)), None);
    }
}
