//! Rows of measurements, their medians and their ratios.

use std::collections::HashMap;

#[derive(Default)]
struct Row {
    ours: Vec<f64>,
    bare: Vec<f64>,
}

/// All rows in the order in which they were first seen.
pub struct Table {
    order: Vec<String>,
    rows: HashMap<String, Row>,
}

impl Table {
    pub fn new() -> Table {
        Table { order: Vec::new(), rows: HashMap::new() }
    }

    pub fn ours(&mut self, name: &str, value: f64) {
        self.row(name).ours.push(value);
    }

    pub fn bare(&mut self, name: &str, value: f64) {
        self.row(name).bare.push(value);
    }

    /// As Markdown to stdout, as JSON into the target folder.
    pub fn print(&self) {
        println!("| | supervice (min) | bare (min) | ratio of medians |\n|---|--:|--:|--:|");
        let mut json = Vec::new();
        for name in &self.order {
            let Row { ours, bare } = &self.rows[name];
            let ratio = if bare.is_empty() { "".to_owned() } else { format!("{:.2}", median(ours) / median(bare)) };
            println!("| {name} | {} | {} | {ratio} |", cell(ours), cell(bare));
            json.push(format!("  {{\"name\": {name:?}, \"supervice\": {ours:?}, \"bare\": {bare:?}}}"));
        }
        let text = format!("[\n{}\n]\n", json.join(",\n"));
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/target/goals.json"), text).expect("target can be written");
    }

    fn row(&mut self, name: &str) -> &mut Row {
        if !self.rows.contains_key(name) {
            self.order.push(name.to_owned());
        }
        self.rows.entry(name.to_owned()).or_default()
    }
}

fn cell(values: &[f64]) -> String {
    if values.is_empty() {
        return String::new();
    }
    format!("{:.2} ({:.2})", median(values), values.iter().copied().fold(f64::INFINITY, f64::min))
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
