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

/// The moment after so much time.
pub fn after(time: std::time::Duration) -> Instant {
    monotonic() + time
}

/// How long it is until then; nothing if it is over.
pub fn until(moment: Instant) -> std::time::Duration {
    moment.since(monotonic())
}

/// Does nothing for so long.
pub fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}

/// Now, for people.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// When this machine was booted, as the wall clock tells it now. `None` where no clock counts from there.
#[cfg(target_os = "linux")]
pub fn booted() -> Option<SystemTime> {
    wall().checked_sub(since_boot()?)
}

/// How long ago this machine was booted, its sleep included; the kernel tells by it when a process started.
#[cfg(target_os = "linux")]
pub(super) fn since_boot() -> Option<std::time::Duration> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok().map(std::time::Duration::from)
}

/// How long ago this machine was booted. `None` where no clock counts from there.
#[cfg(not(target_os = "linux"))]
pub(super) fn since_boot() -> Option<std::time::Duration> {
    None
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

/// `2026-01-31T12:00:00.123456Z`, as RFC 3339 has it; a time before 1970 is told as its first moment.
pub fn rfc3339(at: SystemTime) -> String {
    const DAY: u64 = 86_400;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// Year, month and day of so many days after 1970 began: in a calendar that begins each year with March, the leap day is the
/// last one, and the rest is divisions.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // From March 1st of the year 0.
    let days = days.saturating_add(719_468);
    let (era, in_era) = (days / ERA, days % ERA);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
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
    fn times_of_lines_are_those_of_any_other_calendar() {
        let at = |seconds, micros| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400, 1), "2000-02-29T00:00:00.000001Z");
        assert_eq!(at(1_769_860_800, 123_456), "2026-01-31T12:00:00.123456Z");
        assert_eq!(at(4_107_542_399, 999_999), "2100-02-28T23:59:59.999999Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
        assert_eq!(at(253_402_300_799, 0), "9999-12-31T23:59:59.000000Z");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000000Z");
        let next = |days| civil(days + 1);
        for days in 0..150_000 {
            let (year, month, day) = civil(days);
            let same_month = next(days) == (year, month, day + 1) && day <= 30;
            let first = next(days).2 == 1 && day >= 28;
            assert!(same_month || first, "{:?} after {:?}", next(days), civil(days));
        }
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
