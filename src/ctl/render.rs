//! Answers as people read them: the status table, and the rest. Only text in, text out.

use super::columns::{fill, width};
use super::style::Mood;
use crate::wire::text::{self, shown};
use crate::wire::{Row, SelfPortrait};
use std::fmt::{self, Display, Write as _};

/// One column of the table: what stands in it, and how wide it is at least.
struct Column {
    title: &'static str,
    width: usize,
    cell: fn(&Row, &mut String),
    mood: fn(&Row) -> Mood,
}

const NAME: Column =
    Column { title: "NAME", width: 20, cell: |row, out| text::show(&row.name, out), mood: |_| Mood::Plain };
const STATE: Column = Column {
    title: "STATE",
    width: 10,
    cell: |row, out| text::show(&row.state, out),
    mood: |row| Mood::of_state(&row.state),
};
const PID: Column = Column {
    title: "PID",
    width: 10,
    cell: |row, out| put(row.pid.filter(|pid| *pid != 0), out),
    mood: |_| Mood::Plain,
};
const UPTIME: Column =
    Column { title: "UPTIME", width: 12, cell: |row, out| put(row.uptime.map(Clock), out), mood: |_| Mood::Plain };
const HEALTH: Column = Column {
    title: "HEALTH",
    width: 10,
    cell: |row, out| put(row.healthy.map(verdict), out),
    mood: |row| Mood::of_health(row.healthy),
};

/// The rule below the titles is this long without the optional columns and long names.
const RULE: usize = 40;

/// The table of a status, as wide as it must be. Thousands of rows are written into one text, cell by cell.
pub fn table(rows: &[Row], coloured: bool) -> String {
    let uptime = rows.iter().any(|row| row.uptime.is_some()).then_some(UPTIME);
    let health = rows.iter().any(|row| row.healthy.is_some()).then_some(HEALTH);
    let optional: Vec<Column> = uptime.into_iter().chain(health).collect();
    let mut rule = RULE + optional.iter().map(|column| column.width).sum::<usize>();
    let mut columns: Vec<Column> = [NAME, STATE, PID].into_iter().chain(optional).collect();
    let mut cell = String::new();
    for column in &mut columns {
        let widths = rows.iter().map(|row| {
            cell.clear();
            (column.cell)(row, &mut cell);
            width(&cell)
        });
        let widest = widths.max().unwrap_or(0);
        rule += widest.saturating_sub(column.width);
        column.width = column.width.max(widest);
    }
    let mut out = String::with_capacity((rule + columns.len() + 1) * (rows.len() + 2));
    line(&columns, &mut out, |column, out| {
        out.push_str(column.title);
        Mood::Plain
    });
    out.extend(std::iter::repeat_n('-', rule));
    out.push('\n');
    for row in rows {
        line(&columns, &mut out, |column, out| {
            (column.cell)(row, out);
            if coloured { (column.mood)(row) } else { Mood::Plain }
        });
    }
    out
}

/// Colours are put on when the widths are right.
fn line(columns: &[Column], out: &mut String, cell: impl Fn(&Column, &mut String) -> Mood) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let start = out.len();
        let mood = cell(column, out);
        fill(out, start, column.width);
        if mood != Mood::Plain {
            let painted = mood.paint(&out[start..]);
            out.replace_range(start.., &painted);
        }
    }
    out.push('\n');
}

/// One pid a line, in the order in which they were asked for; `-` for what does not live, because 0 means a group to kill.
pub fn pids(rows: &[Row]) -> String {
    rows.iter().map(|row| or_dash(row.pid) + "\n").collect()
}

/// The daemon in numbers, one a line.
pub fn info(info: &SelfPortrait) -> String {
    let states: Vec<String> = info.states.iter().map(|(state, count)| format!("{count} {}", shown(state))).collect();
    let processes =
        if states.is_empty() { "0".to_owned() } else { format!("{} ({})", info.processes, states.join(", ")) };
    let memory = info.rss_bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / 1048576.0));
    let lines = [
        ("version", shown(&info.version)),
        ("pid", info.pid.to_string()),
        ("uptime", clock(info.uptime)),
        ("configuration", shown(&info.configuration)),
        ("processes", processes),
        ("memory", memory),
        ("cpu", format!("{:.2} s", info.cpu_ms as f64 / 1000.0)),
        ("loop lag", format!("{} ({} at most)", lag(info.loop_lag_us), lag(info.loop_lag_max_us))),
        ("connections", format!("{} ({} evicted)", info.connections, info.evicted_connections)),
        ("dropped bytes", info.dropped_bytes.to_string()),
        ("stale events", info.stale_events.to_string()),
    ];
    lines.into_iter().map(|(title, value)| format!("{title:<15}{value}\n")).collect()
}

fn lag(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}

/// Who is not well, or that all are.
pub fn health(rows: &[Row], is_well: fn(&Row) -> bool) -> String {
    let ill: Vec<&Row> = rows.iter().filter(|row| !is_well(row)).collect();
    if ill.is_empty() {
        let (noun, verb) = if rows.len() == 1 { ("process", "is") } else { ("processes", "are") };
        return format!("{} {noun} {verb} well\n", rows.len());
    }
    let line = |row: &&Row| {
        let failing = if row.healthy == Some(false) { ", its health check fails" } else { "" };
        format!("{} is {}{failing}\n", shown(&row.name), shown(&row.state))
    };
    ill.iter().map(line).collect()
}

pub(super) fn or_dash(value: Option<impl Display>) -> String {
    let mut text = String::new();
    put(value, &mut text);
    text
}

fn put(value: Option<impl Display>, out: &mut String) {
    match value {
        // Memory takes whatever is written.
        Some(value) => _ = write!(out, "{value}"),
        None => out.push('-'),
    }
}

pub(super) fn verdict(healthy: bool) -> &'static str {
    if healthy { "OK" } else { "FAIL" }
}

/// `H:MM:SS`, below an hour `M:SS`.
pub(super) fn clock(seconds: u64) -> String {
    Clock(seconds).to_string()
}

/// Seconds, as a clock shows them.
struct Clock(u64);

impl Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        match hours {
            0 => write!(f, "{minutes}:{seconds:02}"),
            _ => write!(f, "{hours}:{minutes:02}:{seconds:02}"),
        }
    }
}

/// A message of the daemon: its line breaks and tabs are kept, everything else that could steer a terminal is not.
pub fn message(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(shown).collect::<Vec<_>>().join("\t") + "\n";
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: &str, pid: Option<i64>, uptime: Option<u64>, healthy: Option<bool>) -> Row {
        Row { name: name.to_owned(), state: state.to_owned(), pid, uptime, healthy, ..Row::default() }
    }

    #[test]
    fn the_full_table() {
        let rows = [
            row("webapp", "RUNNING", Some(12345), Some(5025), Some(true)),
            row("worker:00", "STOPPED", None, None, None),
            row("sick", "UNHEALTHY", Some(7), Some(59), Some(false)),
        ];
        let expected = "\
NAME                 STATE      PID        UPTIME       HEALTH    
--------------------------------------------------------------
webapp               RUNNING    12345      1:23:45      OK        
worker:00            STOPPED    -          -            -         
sick                 UNHEALTHY  7          0:59         FAIL      
";
        assert_eq!(table(&rows, false), expected);
        let plain =
            |text: &str| ["\x1b[31m", "\x1b[32m", "\x1b[0m"].iter().fold(text.to_owned(), |t, c| t.replace(c, ""));
        let painted = table(&rows, true);
        assert_eq!(plain(&painted), expected);
        assert!(painted.contains("\x1b[32mRUNNING   \x1b[0m") && painted.contains("\x1b[31mFAIL      \x1b[0m"));
    }

    #[test]
    fn columns_come_and_widths_grow_as_needed() {
        let bare = "NAME                 STATE      PID       \n----------------------------------------\n";
        assert_eq!(table(&[], false), bare);
        let long = "a-name-of-thirty-characters:00";
        let lines = table(&[row(long, "STOPPED", None, None, None)], false);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[0], format!("NAME{} STATE      PID       ", " ".repeat(26)));
        assert_eq!(lines[1].len(), 50);
        assert_eq!(lines[2], format!("{long} STOPPED    -         "));
    }

    #[test]
    fn wide_signs_and_marks_keep_the_columns_straight() {
        let names = [
            "\u{65e5}\u{672c}\u{8a9e}",
            "cafe\u{301}",
            "web",
            "\u{65e5}\u{672c}\u{8a9e}\u{30b5}\u{30fc}\u{30d0}\u{65e5}\u{672c}\u{8a9e}\u{30b5}\u{30fc}\u{30d0}",
        ];
        let rows = names.map(|name| row(name, "STOPPED", None, None, None));
        let table = table(&rows, false);
        let at = |line: &str, word: &str| width(&line[..line.find(word).unwrap()]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(at(lines[0], "STATE"), 25, "{table}");
        assert!(lines[2..].iter().all(|line| at(line, "STOPPED") == 25), "{table}");
        assert_eq!(lines[1].len(), 44);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = table(&[row("a\x1b[31m\nRUNNING", "STOPPED", None, None, None)], false);
        assert!(text.contains("a\\x1b[31m\\nRUNNING") && text.lines().count() == 3, "{text}");
        assert_eq!(message("one\n\ttwo\x07\n"), "one\n\ttwo\\x07\n");
    }

    #[test]
    fn uptimes() {
        for (seconds, text) in [(0, "0:00"), (59, "0:59"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00")] {
            assert_eq!(clock(seconds), text);
        }
        assert_eq!(clock(123 * 3600 + 62), "123:01:02");
        assert!(clock(u64::MAX).ends_with(":15"));
    }
}
