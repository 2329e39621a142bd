//! The numbers, read as Prometheus reads them.

use crate::harness::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// A text that was read: each series with its value, and the kind of each family.
#[derive(Debug, Default)]
struct Read {
    values: BTreeMap<(String, Labels), f64>,
    kinds: BTreeMap<String, String>,
}

impl Read {
    fn of(text: &str) -> Read {
        assert!(text.ends_with('\n'), "the last line is whole");
        let mut read = Read::default();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && name.starts_with("supervice_"), "{line}");
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(name == family && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(read.kinds.insert(family.clone(), kind.to_owned()).is_none(), "{line} is there twice");
            } else {
                let (name, labels, value) = sample(line);
                let suffixes =
                    if read.kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
                assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{line} in {family}");
                assert!(read.values.insert((name, labels), value).is_none(), "{line} is there twice");
            }
        }
        read.check_histograms();
        read
    }

    fn check_histograms(&self) {
        for (name, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let bound = |labels: &Labels| labels["le"].parse::<f64>().unwrap();
            let mut buckets: Vec<(f64, f64)> = self
                .values
                .iter()
                .filter(|((series, _), _)| *series == format!("{name}_bucket"))
                .map(|((_, labels), count)| (bound(labels), *count))
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.len() == 19 && buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name}: {buckets:?}");
            assert_eq!(buckets[18], (f64::INFINITY, self.get(&format!("{name}_count"), &[])));
            assert!(self.get(&format!("{name}_sum"), &[]) >= 0.0);
        }
    }

    #[track_caller]
    fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in {self:#?}"))
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect();
        self.values.get(&(name.to_owned(), labels)).copied()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (text, after) = quoted(after);
            assert!(is_name(label) && labels.insert(label.to_owned(), text).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').unwrap();
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap_or_else(|problem| panic!("{line}: {problem}"));
    assert!(is_name(name), "{line}");
    (name.to_owned(), labels, value)
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return (out, &text[at + 1..]),
            '\\' => out.push(match signs.next().unwrap().1 {
                'n' => '\n',
                sign @ ('\\' | '"') => sign,
                other => panic!("an escape that is none: {other}"),
            }),
            sign => out.push(sign),
        }
    }
    panic!("no closing quote: {text}")
}

fn metrics(d: &Daemon) -> Read {
    let ran = d.ctl(&["metrics"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    Read::of(&ran.stdout)
}

#[test]
fn what_happened_is_counted_and_timed() {
    let d = Daemon::start(
        "[DEFAULT]\nautostart = no\nstartretries = 0\n[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n\
         [program:bad]\ncommand = {actor} --exit 3\n[program:gone]\ncommand = {dir}/gone\n\
         [program:lives]\ncommand = {actor} --after 1100 --exit 0\nstartsecs = 0\n[group:g]\nprograms = a\n",
    );
    let before = metrics(&d);
    assert_eq!(before.get("supervice_spawns_total", &[]), 0.0);
    assert_eq!(before.get("supervice_processes", &[("state", "STOPPED")]), 4.0);
    d.done("start", "a");
    d.wait_file("t");
    for name in ["bad", "gone"] {
        d.order("start", name);
        d.wait_state(name, "FATAL");
    }
    let told = metrics(&d);
    let of_a = [("name", "a"), ("group", "g")];
    assert_eq!(told.get("supervice_process_up", &of_a), 1.0);
    assert_eq!(told.get("supervice_process_starts_total", &of_a), 1.0);
    assert!(told.get("supervice_process_start_time_seconds", &of_a) > 1.6e9);
    assert_eq!(told.find("supervice_process_start_time_seconds", &[("name", "bad"), ("group", "bad")]), None);
    assert_eq!(told.get("supervice_process_unasked_exits_total", &[("name", "bad"), ("group", "bad")]), 1.0);
    assert_eq!(told.get("supervice_exits_total", &[("asked", "no")]), 1.0);
    assert_eq!(told.get("supervice_spawn_failures_total", &[]), 1.0);
    assert_eq!(told.get("supervice_given_up_total", &[]), 2.0);
    assert_eq!(told.get("supervice_processes", &[("state", "FATAL")]), 2.0);
    assert_eq!(told.get("supervice_exec_seconds_count", &[]), 2.0);
    assert_eq!(told.get("supervice_start_seconds_count", &[]), 1.0);
    assert_eq!(told.get("supervice_process_series_omitted", &[]), 0.0);
    assert!(told.get("supervice_turn_seconds_count", &[]) > 0.0 && told.get("supervice_requests_total", &[]) > 3.0);
    assert_eq!(told.get("supervice_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);

    d.done("stop", "a");
    d.done("start", "lives");
    let told = d.wait("a death was answered", || {
        Some(metrics(&d)).filter(|told| told.get("supervice_reaction_seconds_count", &[]) >= 1.0)
    });
    assert_eq!(told.get("supervice_stop_seconds_count", &[]), 1.0);
    assert_eq!(told.get("supervice_exits_total", &[("asked", "yes")]), 1.0);
    let counters = told.kinds.iter().filter(|(name, kind)| *kind == "counter" && !name.ends_with("_total"));
    assert_eq!(counters.count(), 0);
    for (series, value) in &before.values {
        let only_grows = before.kinds.get(&series.0).is_none_or(|kind| kind == "counter");
        assert!(!only_grows || told.values.get(series).is_some_and(|now| now >= value), "{series:?}");
    }
}

#[test]
fn a_start_that_was_ordered_is_no_reaction() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --exit 0\nautorestart = no\nstartsecs = 0\nautostart = no\n");
    for _ in 0..3 {
        d.order("start", "a");
        d.wait_state("a", "EXITED");
    }
    let told = metrics(&d);
    assert_eq!(told.get("supervice_exits_total", &[("asked", "no")]), 3.0);
    assert_eq!(told.get("supervice_reaction_seconds_count", &[]), 0.0);
}

#[test]
fn names_are_escaped_and_many_have_no_series() {
    let odd = r#"o"d\d é"#;
    let text = format!("[program:{odd}]\ncommand = {{actor}}\nautostart = no\n");
    let d = Daemon::start(&text);
    assert_eq!(metrics(&d).get("supervice_process_up", &[("name", odd), ("group", odd)]), 0.0);
    d.home.configure(&format!("{text}[program:many]\ncommand = {{actor}}\nautostart = no\nnumprocs = 999\n"));
    d.reload();
    let told = metrics(&d);
    let names: BTreeSet<&String> = told.values.keys().filter_map(|(_, labels)| labels.get("name")).collect();
    assert_eq!((names.len(), told.get("supervice_process_series_omitted", &[])), (1000, 0.0));
    assert!(told.values.len() <= 6200, "{}", told.values.len());
    d.home.configure(&format!("{text}[program:many]\ncommand = {{actor}}\nautostart = no\nnumprocs = 1000\n"));
    d.reload();
    let told = metrics(&d);
    assert_eq!(told.get("supervice_process_series_omitted", &[]), 1.0);
    assert_eq!(told.get("supervice_processes", &[("state", "STOPPED")]), 1001.0);
    assert!(told.values.keys().all(|(_, labels)| !labels.contains_key("name")));
    let long = format!("[program:{}]\ncommand = {{actor}}\nautostart = no\nnumprocs = 900\n", "\"".repeat(240));
    d.home.configure(&long);
    d.reload();
    assert_eq!(metrics(&d).get("supervice_process_series_omitted", &[]), 1.0);
}

#[test]
fn in_json_and_with_wrong_words() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nautostart = no\n");
    let ran = d.ctl(&["metrics", "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.stdout.lines().count(), 1);
    Read::of(told["metrics"].as_str().unwrap());
    assert_eq!(d.ask(json!({"command": "metrics", "id": 1}))["id"], 1);
    assert_eq!(d.ctl(&["metrics", "a"]).code, 2);
    assert!(d.ctl(&["help", "metrics"]).stdout.contains("examples:"));
}
