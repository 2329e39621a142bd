//! What process groups use of the machine, in one look at /proc: as much as is asked for, and nothing of who vanishes
//! meanwhile.

use super::clock;
use crate::engine::message::Pid;
use crate::engine::time::Instant;
use nix::unistd::{SysconfVar, sysconf};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Its number.
    pub pid: Pid,
    /// Its process group.
    pub group: Pid,
    /// Clock ticks from the boot to its start: with the number, who it is.
    pub start: u64,
    /// Processor time so far, in user and in system mode.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
}

/// Some processes at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When, on a clock that only runs forward.
    pub at: Duration,
    /// Who.
    pub processes: Vec<Usage>,
}

impl Snapshot {
    /// Nobody, at this moment.
    pub fn empty() -> Snapshot {
        Snapshot { at: clock::monotonic().since(Instant::ZERO), processes: Vec::new() }
    }
}

/// Units of the kernel.
#[derive(Debug, Clone, Copy)]
struct Units {
    ticks: u64,
    page: u64,
}

impl Units {
    fn of_kernel() -> Units {
        let value = |variable| sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok());
        Units {
            ticks: value(SysconfVar::CLK_TCK).unwrap_or(100).max(1),
            page: value(SysconfVar::PAGE_SIZE).unwrap_or(4096),
        }
    }

    fn time(self, ticks: u64) -> Duration {
        Duration::from_nanos((ticks.saturating_mul(1_000_000_000)) / self.ticks)
    }
}

/// All members of these process groups. The kernel has no list of them, so everybody is looked at once.
pub fn snapshot(groups: &HashSet<Pid>) -> io::Result<Snapshot> {
    let units = Units::of_kernel();
    let at = clock::monotonic().since(Instant::ZERO);
    let (mut processes, mut buffer) = (Vec::new(), [0; 1024]);
    if groups.is_empty() {
        return Ok(Snapshot { at, processes });
    }
    for entry in std::fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<Pid>().ok()) else { continue };
        // Who is gone by now uses nothing.
        let Ok(count) = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut buffer)) else {
            continue;
        };
        processes.extend(parse(pid, &buffer[..count], units).filter(|usage| groups.contains(&usage.group)));
    }
    Ok(Snapshot { at, processes })
}

/// Reads the text of /proc/PID/stat. The command in it may hold anything, so it ends at the last `)`.
fn parse(pid: Pid, text: &[u8], units: Units) -> Option<Usage> {
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let group = fields.nth(2)?.parse().ok()?;
    let mut number = |skip: usize| fields.nth(skip)?.parse::<u64>().ok();
    let (user, system) = (number(8)?, number(0)?);
    let (start, pages) = (number(6)?, number(1)?);
    let cpu = units.time(user.saturating_add(system));
    Some(Usage { pid, group, start, cpu, resident: pages.saturating_mul(units.page) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units { ticks: 100, page: 4096 };

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let text = b"7 (a) R 9 (b)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 12345 1000000 300 18446744073709551615 1";
        let expected = Usage { pid: 7, group: 42, start: 12345, cpu: Duration::from_secs(2), resident: 300 * 4096 };
        assert_eq!(parse(7, text, UNITS), Some(expected));
        for end in 0..text.len() - 30 {
            let _ = parse(7, &text[..end], UNITS);
        }
        assert_eq!(parse(7, b"", UNITS), None);
        assert_eq!(parse(7, b"7 (a) S 1 x", UNITS), None);
    }

    #[test]
    fn this_process_is_found_in_its_group_and_nobody_elses() {
        if !std::path::Path::new("/proc/self/stat").exists() {
            return;
        }
        let own = nix::unistd::getpgrp().as_raw();
        let seen = snapshot(&HashSet::from([own])).unwrap();
        let pid = nix::unistd::getpid().as_raw();
        assert!(seen.processes.iter().any(|usage| usage.pid == pid && usage.resident > 0), "{seen:?}");
        assert!(seen.processes.iter().all(|usage| usage.group == own));
        assert!(snapshot(&HashSet::new()).unwrap().processes.is_empty());
    }
}
