//! One look as lines of text: a head, then a row for each process. Only values in, text out.

use crate::ctl::columns::{cut, to_the_left, to_the_right, width};
use crate::ctl::render::{clock, or_dash, verdict};
use crate::ctl::style::Mood;
use crate::wire::picture::Shown;
use crate::wire::text::shown;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What the rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// As the configuration has them.
    #[default]
    Given,
    /// The busiest first.
    Cpu,
    /// The largest first.
    Memory,
    /// By the alphabet.
    Name,
}

/// Where it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Longer lines are cut.
    pub columns: usize,
    /// Rows that do not fit are counted.
    pub lines: usize,
    /// Whether states are coloured.
    pub coloured: bool,
    /// Whether somebody can press the keys that the head names.
    pub keys: bool,
}

/// One column: its title, its width, and where there is little room, to which side it is written.
struct Column {
    title: &'static str,
    width: usize,
    narrow: usize,
    right: bool,
    cell: fn(&Shown) -> String,
    mood: fn(&Shown) -> Mood,
}

const fn number(title: &'static str, width: usize, narrow: usize, cell: fn(&Shown) -> String) -> Column {
    Column { title, width, narrow, right: true, cell, mood: |_| Mood::Plain }
}

const COLUMNS: [Column; 9] = [
    Column { title: "NAME", width: 20, narrow: 4, right: false, cell: |row| shown(&row.name), mood: |_| Mood::Plain },
    Column {
        title: "STATE",
        width: 10,
        narrow: 9,
        right: false,
        cell: |row| shown(&row.state),
        mood: |row| Mood::of_state(&row.state),
    },
    number("PID", 8, 7, |row| or_dash(row.pid)),
    number("UPTIME", 10, 8, |row| or_dash(row.uptime.map(clock))),
    number("RESTARTS", 8, 8, |row| or_dash(row.restarts)),
    number("CPU%", 6, 5, |row| or_dash(row.cpu_percent.map(|percent| format!("{percent:.1}")))),
    number("RSS", 7, 5, |row| or_dash(row.rss_bytes.map(|bytes| size(bytes as f64)))),
    number("OUT/s", 7, 5, |row| or_dash(row.output_bytes_per_second.map(size))),
    Column {
        title: "HEALTH",
        width: 6,
        narrow: 6,
        right: false,
        cell: |row| or_dash(row.healthy.map(verdict)),
        mood: |row| Mood::of_health(row.healthy),
    },
];

/// The rows in this order.
pub(super) fn sort(rows: &mut [Shown], order: Order) {
    let descending = |a: Option<f64>, b: Option<f64>| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
    match order {
        Order::Given => {}
        Order::Cpu => rows.sort_by(|a, b| descending(a.cpu_percent, b.cpu_percent)),
        Order::Memory => rows.sort_by_key(|row| std::cmp::Reverse(row.rss_bytes)),
        Order::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
    }
}

/// The lines of one look, none longer than the frame is wide, and not more than it is high.
pub(super) fn draw(rows: &[Shown], frame: Frame) -> Vec<String> {
    let columns = columns(rows, frame.columns);
    let keys = if frame.keys { KEYS } else { "" };
    let mut lines: Vec<String> = [&*summary(rows), keys].map(|text| cut(text, frame.columns).to_owned()).into();
    lines.push(line(&columns, frame.columns, |column| (column.title.to_owned(), Mood::Plain)));
    let room = frame.lines.saturating_sub(lines.len());
    let shown = if rows.len() > room { room.saturating_sub(1) } else { rows.len() };
    for row in rows.iter().take(shown) {
        let mood = |column: &Column| if frame.coloured { (column.mood)(row) } else { Mood::Plain };
        lines.push(line(&columns, frame.columns, |column| ((column.cell)(row), mood(column))));
    }
    if shown < rows.len() {
        lines.push(cut(&format!("… {} more", rows.len() - shown), frame.columns).to_owned());
    }
    lines.truncate(frame.lines);
    lines
}

/// As wide as is usual, or narrow where that is too wide; a column that does not fit at all is left out.
fn columns(rows: &[Shown], room: usize) -> Vec<Column> {
    let names = rows.iter().map(|row| width(&shown(&row.name))).max().unwrap_or(0).min(room / 2);
    let mut columns = Vec::from(COLUMNS);
    columns[0].width = columns[0].width.max(names);
    let is_too_wide = columns.iter().map(|column| column.width + 1).sum::<usize>() > room + 1;
    if is_too_wide {
        columns[0].narrow = columns[0].narrow.max(names);
        for column in &mut columns[1..] {
            let widest = rows.iter().map(|row| width(&(column.cell)(row))).max().unwrap_or(0);
            column.narrow = column.narrow.max(widest);
        }
        columns.iter_mut().for_each(|column| column.width = column.narrow);
    }
    let mut used = 0;
    let fits = |column: &Column| {
        used += column.width + usize::from(used > 0);
        used <= room || used == column.width
    };
    columns.into_iter().take_while(fits).collect()
}

const KEYS: &str = "[q]uit   order: by [c]pu, [m]emory, [n]ame, as [g]iven";

fn summary(rows: &[Shown]) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *states.entry(&row.state).or_default() += 1;
    }
    let states: Vec<String> = states.iter().map(|(state, count)| format!("{count} {}", shown(state))).collect();
    let cpu: f64 = rows.iter().filter_map(|row| row.cpu_percent).fold(0.0, |sum, percent| sum + percent);
    let memory: u64 = rows.iter().filter_map(|row| row.rss_bytes).sum();
    let noun = if rows.len() == 1 { "process" } else { "processes" };
    let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
    format!("{} {noun}{states}, cpu {cpu:.1} %, memory {}", rows.len(), size(memory as f64))
}

/// Colours are put on when the widths are right; what does not fit is cut before.
fn line(columns: &[Column], room: usize, cell: impl Fn(&Column) -> (String, Mood)) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for column in columns {
        let (text, mood) = cell(column);
        let padded = match column.right {
            true => to_the_right(&text, column.width),
            false => to_the_left(cut(&text, column.width), column.width),
        };
        let gap = usize::from(used > 0);
        let padded = cut(&padded, room.saturating_sub(used + gap));
        if padded.is_empty() {
            break;
        }
        used += gap + width(padded);
        out.push_str(if gap > 0 { " " } else { "" });
        out.push_str(&mood.paint(padded));
    }
    out
}

/// `512`, `1.5K`, `12M`: three digits or four, and a letter.
fn size(bytes: f64) -> String {
    let mut amount = bytes;
    for unit in ["", "K", "M", "G", "T"] {
        if amount < 1000.0 || unit == "T" {
            let digits = usize::from(!unit.is_empty() && amount < 99.95);
            return format!("{amount:.digits$}{unit}");
        }
        amount /= 1024.0;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { columns: 120, lines: 24, coloured: false, keys: false };

    fn row(name: &str, cpu: Option<f64>, rss: Option<u64>) -> Shown {
        Shown {
            name: name.to_owned(),
            state: "RUNNING".to_owned(),
            cpu_percent: cpu,
            rss_bytes: rss,
            ..Shown::default()
        }
    }

    #[test]
    fn a_whole_picture() {
        let web = Shown {
            pid: Some(123),
            uptime: Some(3725),
            restarts: Some(2),
            healthy: Some(true),
            output_bytes_per_second: Some(2048.0),
            ..row("web", Some(12.34), Some(5 << 20))
        };
        let down =
            Shown { name: "down".to_owned(), state: "STOPPED".to_owned(), restarts: Some(0), ..Shown::default() };
        let expected = "\
2 processes (1 RUNNING, 1 STOPPED), cpu 12.3 %, memory 5.0M

NAME                 STATE           PID     UPTIME RESTARTS   CPU%     RSS   OUT/s HEALTH
web                  RUNNING         123    1:02:05        2   12.3    5.0M    2.0K OK    
down                 STOPPED           -          -        0      -       -       - -     ";
        assert_eq!(draw(&[web, down], FRAME).join("\n"), expected);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        let rows: Vec<Shown> = (0..50).map(|number| row(&format!("a-long-name:{number:030}"), None, None)).collect();
        for (columns, lines) in [(80, 24), (10, 5), (1, 1), (500, 4), (30, 3), (0, 0)] {
            for coloured in [false, true] {
                let drawn = draw(&rows, Frame { columns, lines, coloured, keys: true });
                let plain = |line: &String| {
                    ["\x1b[32m", "\x1b[0m"].iter().fold(line.clone(), |text, code| text.replace(code, ""))
                };
                assert!(drawn.len() <= lines, "{columns} x {lines}: {drawn:?}");
                assert!(
                    drawn.iter().all(|line| plain(line).chars().count() <= columns),
                    "{columns} x {lines}: {drawn:?}"
                );
            }
        }
        assert_eq!(draw(&rows, Frame { lines: 24, ..FRAME }).last().unwrap(), "… 30 more");
        assert_eq!(draw(&rows[..21], Frame { lines: 24, ..FRAME }).len(), 24);
    }

    #[test]
    fn where_there_is_little_room_columns_are_narrow_or_left_out_whole() {
        let rows = [row("web:00", Some(12.0), Some(5 << 20)), row("日本", None, None)];
        let head = |columns: usize| draw(&rows, Frame { columns, ..FRAME })[2].trim_end().to_owned();
        let titles = |columns: usize| head(columns).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let all: Vec<&str> = COLUMNS.iter().map(|column| column.title).collect();
        assert_eq!((head(90).len(), head(80).len(), head(67).len()), (90, 67, 67));
        assert_eq!((titles(90), titles(67)), (all.iter().map(ToString::to_string).collect(), titles(80)));
        for columns in 20..67 {
            let shown = titles(columns);
            assert!(
                shown.len() < all.len() && shown.iter().zip(&all).all(|(shown, title)| shown == title),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn wide_names_are_cut_by_cells_and_keep_the_columns_straight() {
        let rows = [row(&"\u{65e5}".repeat(30), None, None), row("web", None, None)];
        for columns in [80, 31, 20, 3] {
            let drawn = draw(&rows, Frame { columns, ..FRAME });
            assert!(drawn.iter().all(|line| width(line) <= columns), "{columns}: {drawn:?}");
            let at = |line: &str| line.find("RUNNING").map(|at| width(&line[..at]));
            assert_eq!(at(&drawn[3]), at(&drawn[4]), "{columns}: {drawn:?}");
        }
    }

    #[test]
    fn the_busiest_the_largest_or_the_first_comes_first() {
        let given = [row("c", Some(1.0), None), row("a", None, Some(9)), row("b", Some(50.0), Some(7))];
        let sorted = |order| {
            let mut rows = given.clone();
            sort(&mut rows, order);
            rows.iter().map(|row| row.name.clone()).collect::<String>()
        };
        assert_eq!([Order::Given, Order::Cpu, Order::Memory, Order::Name].map(sorted), ["cab", "bca", "abc", "abc"]);
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0.0, "0"), (999.0, "999"), (1000.0, "1.0K"), (1536.0, "1.5K"), (102_400.0, "100K")] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!([size(1e9), size(1e15), size(1e30).len().to_string()], ["954M", "909T", "19"]);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let drawn = draw(&[row("a\x1b[31m", None, None)], FRAME);
        assert!(drawn[3].starts_with("a\\x1b[31m "), "{drawn:?}");
    }
}
