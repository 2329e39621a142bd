//! What this process itself uses of the machine.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::io;
use std::time::Duration;

/// Processor time so far, in user and in system mode.
pub fn own_cpu() -> io::Result<Duration> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(duration(used.user_time()) + duration(used.system_time()))
}

fn duration(time: TimeVal) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0));
    seconds + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
}

/// Resident memory in bytes; `None` without /proc.
pub fn own_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        assert!(own_cpu().is_ok());
        if cfg!(target_os = "linux") {
            assert!(own_resident().is_some_and(|bytes| bytes > 4096));
        }
    }
}
