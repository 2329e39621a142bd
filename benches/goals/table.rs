//! Rows of measurements, their medians, their ratios, and whether they reach their goals.

use std::collections::HashMap;
use std::fmt::Write as _;

/// What a row is to reach.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// So much at most.
    AtMost(f64),
    /// So many times what it is compared with, at most.
    Times(f64),
    /// So many times what it is compared with, at least.
    AtLeastTimes(f64),
    /// Told, and not judged.
    None,
}

impl Goal {
    fn words(self) -> String {
        match self {
            Goal::AtMost(limit) => format!("≤ {limit}"),
            Goal::Times(limit) => format!("≤ {limit} ×"),
            Goal::AtLeastTimes(limit) => format!("≥ {limit} ×"),
            Goal::None => String::new(),
        }
    }

    fn is_met(self, ours: f64, ratio: f64) -> Option<bool> {
        match self {
            Goal::AtMost(limit) => Some(ours <= limit),
            Goal::Times(limit) => Some(ratio <= limit),
            Goal::AtLeastTimes(limit) => Some(ratio >= limit),
            Goal::None => None,
        }
    }
}

#[derive(Debug)]
struct Row {
    name: String,
    number: &'static str,
    goal: Goal,
    of: HashMap<&'static str, Vec<f64>>,
}

impl Row {
    fn median(&self, system: &str) -> Option<f64> {
        self.of.get(system).map(|values| median(values))
    }
}

/// All rows in the order in which they were first seen.
#[derive(Debug)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

impl Table {
    /// Ours is the first column, what it is compared with the second.
    pub fn new(columns: Vec<&'static str>) -> Table {
        Table { columns, rows: Vec::new() }
    }

    /// Declares a row; again and again is the same as once.
    pub fn row(&mut self, number: &'static str, name: impl Into<String>, goal: Goal) -> usize {
        let name = name.into();
        match self.rows.iter().position(|row| row.name == name) {
            Some(index) => index,
            None => {
                self.rows.push(Row { name, number, goal, of: HashMap::new() });
                self.rows.len() - 1
            }
        }
    }

    /// A measurement.
    pub fn put(&mut self, row: usize, system: &'static str, value: f64) {
        self.rows[row].of.entry(system).or_default().push(value);
    }

    /// As Markdown: medians, and behind them the least.
    pub fn markdown(&self) -> String {
        let mut text = format!("| | | {} | ratio | goal | |\n", self.columns.join(" | "));
        text += &format!("|---|---|{}--:|---|---|\n", "--:|".repeat(self.columns.len()));
        for row in &self.rows {
            write!(text, "| {} | {} |", row.number, row.name).expect("memory takes it");
            for column in &self.columns {
                write!(text, " {} |", row.of.get(column).map(|values| cell(values)).unwrap_or_default())
                    .expect("memory takes it");
            }
            let (ratio, met) = self.judge(row);
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let met = met.map_or("", |met| if met { "met" } else { "**missed**" });
            writeln!(text, " {ratio} | {} | {met} |", row.goal.words()).expect("memory takes it");
        }
        text
    }

    fn judge(&self, row: &Row) -> (Option<f64>, Option<bool>) {
        let ours = row.median(self.columns[0]);
        let beside = self.columns.get(1).and_then(|column| row.median(column));
        let ratio = ours.zip(beside).map(|(ours, beside)| ours / beside);
        let met = ours.and_then(|ours| match row.goal {
            Goal::AtMost(_) | Goal::None => row.goal.is_met(ours, f64::NAN),
            Goal::Times(_) | Goal::AtLeastTimes(_) => ratio.and_then(|ratio| row.goal.is_met(ours, ratio)),
        });
        (ratio, met)
    }

    /// As JSON, with every single measurement.
    pub fn json(&self) -> String {
        let row = |row: &Row| {
            let mut systems: Vec<_> = row.of.iter().collect();
            systems.sort_by_key(|(system, _)| *system);
            let systems: Vec<_> = systems.iter().map(|(system, values)| format!("{system:?}: {values:?}")).collect();
            let (ratio, met) = self.judge(row);
            let ratio = ratio.map_or_else(|| "null".to_owned(), |ratio| ratio.to_string());
            let met = met.map_or("null", |met| if met { "true" } else { "false" });
            format!(
                "  {{\"goal\": {:?}, \"what\": {:?}, \"ratio\": {ratio}, \"met\": {met}, {}}}",
                row.number,
                row.name,
                systems.join(", ")
            )
        };
        format!("[\n{}\n]\n", self.rows.iter().map(row).collect::<Vec<_>>().join(",\n"))
    }
}

fn cell(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    if values.len() == 1 { figure(least) } else { format!("{} ({})", figure(median(values)), figure(least)) }
}

/// Three figures are enough.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The value that so many of a hundred do not exceed.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((values.len() * percent / 100).min(last)).copied().unwrap_or(f64::NAN)
}
