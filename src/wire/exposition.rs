//! Numbers in the text format that Prometheus reads, version 0.0.4.

use std::fmt::{Display, Write};

/// Upper bounds of the buckets of every histogram, in seconds.
pub const BUCKETS: [f64; 18] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often something took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// By bucket, not added up; the last is above all bounds.
    counts: [u64; BUCKETS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// Counts one more.
    pub fn observe(&mut self, seconds: f64) {
        self.counts[BUCKETS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
}

/// A text being written, family by family.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.header(name, kind, help);
    }

    /// Adds a number to the family that was begun last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push_str(if index == 0 { "{" } else { "," });
            self.0.push_str(label);
            self.0.push_str("=\"");
            text.chars().for_each(|c| push_escaped(c, &mut self.0));
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}").expect("writing into memory does not fail");
    }

    /// A family of one number.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A whole family.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.header(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut reached = 0;
        for (bound, count) in BUCKETS.iter().zip(histogram.counts) {
            reached += count;
            self.sample(&bucket, &[("le", &bound.to_string())], reached);
        }
        let count = histogram.count();
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], histogram.sum);
        self.sample(&format!("{name}_count"), &[], count);
    }

    fn header(&mut self, name: &str, kind: &str, help: &str) {
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect("writing into memory does not fail");
    }
}

fn push_escaped(c: char, out: &mut String) {
    match c {
        '\\' => out.push_str("\\\\"),
        '"' => out.push_str("\\\""),
        '\n' => out.push_str("\\n"),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_header_and_labels_are_escaped() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "How many.");
        text.sample("a_total", &[("name", "we\"b\\\né"), ("group", "")], 7);
        text.single("b", Kind::Gauge, "How much.", 0.5);
        let expected = "\
# HELP a_total How many.
# TYPE a_total counter
a_total{name=\"we\\\"b\\\\\\né\",group=\"\"} 7
# HELP b How much.
# TYPE b gauge
b 0.5
";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn buckets_count_all_up_to_their_bound() {
        let mut histogram = Histogram::default();
        for seconds in [0.0, 0.0001, 0.00011, 60.0, 61.0] {
            histogram.observe(seconds);
        }
        let mut text = Exposition::default();
        text.histogram("t", "Time.", &histogram);
        let text = text.into_text();
        for line in [
            "t_bucket{le=\"0.0001\"} 2",
            "t_bucket{le=\"0.00025\"} 3",
            "t_bucket{le=\"30\"} 3",
            "t_bucket{le=\"60\"} 4",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
        assert!(text.contains("t_bucket{le=\"+Inf\"} 5\n") && text.ends_with("t_count 5\n"), "{text}");
        assert!(BUCKETS.is_sorted());
    }
}
