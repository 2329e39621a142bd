//! The clocks: the monotonic one that deadlines live on, the wall clock for people. Nobody else reads a clock.

use crate::engine::time::Instant;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, for deadlines: no step of the wall clock moves it, and it stands still while the machine sleeps.
pub fn monotonic() -> Instant {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the kernel writes one timespec into memory that is one; zeroed is a valid timespec too.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr());
        now.assume_init()
    };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Now, for people.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// When this machine was booted, as the wall clock tells it now. `None` where no clock counts from there.
#[cfg(target_os = "linux")]
pub fn booted() -> Option<SystemTime> {
    let up = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
    wall().checked_sub(std::time::Duration::from(up))
}

/// When this machine was booted, as the wall clock tells it now. `None` where no clock counts from there.
#[cfg(not(target_os = "linux"))]
pub fn booted() -> Option<SystemTime> {
    None
}

/// `2026-01-31 12:00:00` in local time; `@SECONDS` for a time no calendar of this machine reaches.
pub fn local_timestamp(at: SystemTime) -> String {
    let seconds = epoch_seconds(at);
    match local_parts(seconds) {
        Some(parts) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            i64::from(parts.tm_year) + 1900,
            parts.tm_mon + 1,
            parts.tm_mday,
            parts.tm_hour,
            parts.tm_min,
            parts.tm_sec
        ),
        None => format!("@{seconds}"),
    }
}

fn epoch_seconds(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let gap = before.duration();
            let whole = i64::try_from(gap.as_secs()).unwrap_or(i64::MAX);
            // Rounded down, as after the epoch.
            -whole - i64::from(gap.subsec_nanos() > 0 && whole < i64::MAX)
        }
    }
}

fn local_parts(seconds: i64) -> Option<libc::tm> {
    #[allow(deprecated)] // musl is to get a wider one; the name stays.
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; the result is looked at only if the call says that it wrote one.
    let written = unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) };
    if written.is_null() {
        return None;
    }
    // SAFETY: localtime_r returned the pointer, so every field is written.
    Some(unsafe { parts.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn monotonic_time_does_not_run_backwards() {
        let first = monotonic();
        let second = monotonic();
        assert!(second >= first && first > Instant::ZERO);
    }

    #[test]
    fn timestamps_have_the_shape_of_the_log_in_every_century() {
        let year = Duration::from_secs(31_556_952);
        for years in [0, 56, 136, 400] {
            let text = local_timestamp(UNIX_EPOCH + year * years + Duration::from_secs(86_400));
            assert_eq!(text.len(), 19, "{text}");
            assert_eq!(&text[..4], (1970 + years).to_string());
        }
        let old = local_timestamp(UNIX_EPOCH - year * 69 + Duration::from_secs(86_400 * 30));
        assert_eq!(&old[..4], "1901");
    }

    #[test]
    fn before_the_epoch_a_fraction_rounds_down() {
        assert_eq!(epoch_seconds(UNIX_EPOCH - Duration::from_millis(500)), -1);
        assert_eq!(epoch_seconds(UNIX_EPOCH - Duration::from_secs(1)), -1);
    }

    #[test]
    fn a_time_beyond_any_calendar_is_told_in_seconds() {
        assert_eq!(local_timestamp(UNIX_EPOCH + Duration::from_secs(i64::MAX as u64)), format!("@{}", i64::MAX));
    }
}
