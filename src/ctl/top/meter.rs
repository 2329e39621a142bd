//! From two looks at the machine to what was used between them.

use crate::sys::proc_table::{Snapshot, Usage};
use crate::wire::Row;
use crate::wire::picture::Shown;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What one process group used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Load {
    cpu: Duration,
    resident: u64,
}

/// What the look before saw.
#[derive(Debug, Default)]
pub(super) struct Meter {
    at: Option<Duration>,
    /// Processor time by number and start.
    cpu: HashMap<(i32, u64), Duration>,
    output: HashMap<String, u64>,
}

impl Meter {
    /// The process groups of these rows: each has the pid of its leader.
    pub(super) fn groups(rows: &[Row]) -> HashSet<i32> {
        rows.iter().filter_map(group).collect()
    }

    /// What each row uses, and what it used since the look before; of the first look there is no before.
    pub(super) fn measure(&mut self, rows: &[Row], seen: &Snapshot) -> Vec<Shown> {
        let between = self.at.map(|at| seen.at.saturating_sub(at)).filter(|time| !time.is_zero());
        let loads = self.loads(&seen.processes);
        let shown = rows.iter().map(|row| self.shown(row, &loads, between)).collect();
        self.at = Some(seen.at);
        self.cpu = seen.processes.iter().map(|usage| ((usage.pid, usage.start), usage.cpu)).collect();
        self.output = rows.iter().filter_map(|row| Some((row.name.clone(), row.output_bytes?))).collect();
        shown
    }

    /// Of who came since, all counts; of who went, nothing.
    fn loads(&self, processes: &[Usage]) -> HashMap<i32, Load> {
        let mut loads: HashMap<i32, Load> = HashMap::new();
        for usage in processes {
            let before = self.cpu.get(&(usage.pid, usage.start)).copied().unwrap_or_default();
            let load = loads.entry(usage.group).or_default();
            load.cpu += usage.cpu.saturating_sub(before);
            load.resident += usage.resident;
        }
        loads
    }

    fn shown(&self, row: &Row, loads: &HashMap<i32, Load>, between: Option<Duration>) -> Shown {
        let load = group(row).and_then(|group| loads.get(&group));
        let output = row.output_bytes.zip(self.output.get(&row.name)).map(|(now, before)| now.saturating_sub(*before));
        let a_second = |amount: f64| between.map(|time| amount / time.as_secs_f64());
        Shown {
            name: row.name.clone(),
            state: row.state.clone(),
            pid: row.pid,
            uptime: row.uptime,
            restarts: row.restarts,
            cpu_percent: load.and_then(|load| a_second(load.cpu.as_secs_f64() * 100.0)),
            rss_bytes: load.map(|load| load.resident),
            healthy: row.healthy,
            output_bytes_per_second: output.and_then(|bytes| a_second(bytes as f64)),
        }
    }
}

fn group(row: &Row) -> Option<i32> {
    row.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, pid: i64, output: u64) -> Row {
        Row { name: name.to_owned(), pid: Some(pid), output_bytes: Some(output), ..Row::default() }
    }

    fn usage(pid: i32, group: i32, start: u64, millis: u64) -> Usage {
        Usage { pid, group, start, cpu: Duration::from_millis(millis), resident: 1000 }
    }

    fn seen(seconds: u64, processes: Vec<Usage>) -> Snapshot {
        Snapshot { at: Duration::from_secs(seconds), processes }
    }

    #[test]
    fn groups_are_summed_and_rates_are_of_the_time_between() {
        let mut meter = Meter::default();
        let first = meter.measure(&[row("a", 5, 100)], &seen(10, vec![usage(5, 5, 1, 700), usage(6, 5, 2, 50)]));
        assert_eq!(
            (first[0].cpu_percent, first[0].output_bytes_per_second, first[0].rss_bytes),
            (None, None, Some(2000))
        );
        let next = seen(12, vec![usage(5, 5, 1, 1200), usage(6, 5, 2, 50), usage(7, 5, 3, 500)]);
        let second = meter.measure(&[row("a", 5, 500)], &next);
        assert_eq!(second[0].cpu_percent.map(f64::round), Some(50.0));
        assert_eq!((second[0].output_bytes_per_second, second[0].rss_bytes), (Some(200.0), Some(3000)));
    }

    #[test]
    fn a_number_that_was_given_away_again_is_somebody_else() {
        let mut meter = Meter::default();
        meter.measure(&[row("a", 5, 0)], &seen(0, vec![usage(5, 5, 1, 9000)]));
        let shown = meter.measure(&[row("a", 5, 0)], &seen(1, vec![usage(5, 5, 77, 100)]));
        assert_eq!(shown[0].cpu_percent.map(f64::round), Some(10.0));
    }

    #[test]
    fn who_vanished_uses_nothing_and_is_no_trouble() {
        let mut meter = Meter::default();
        let rows = [row("a", 5, 9), Row { name: "b".to_owned(), ..Row::default() }];
        meter.measure(&rows, &seen(0, vec![usage(5, 5, 1, 1)]));
        let shown = meter.measure(&rows, &seen(1, Vec::new()));
        assert_eq!((shown[0].cpu_percent, shown[0].rss_bytes, shown[1].rss_bytes), (None, None, None));
        assert_eq!(Meter::groups(&rows), HashSet::from([5]));
        let back = meter.measure(&[row("a", 5, 3)], &seen(2, Vec::new()));
        assert_eq!(back[0].output_bytes_per_second, Some(0.0), "a counter that began anew is no loss");
    }
}
