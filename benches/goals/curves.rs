//! How each thing grows with the number of processes, from one to thousands: figures and two plots.

use super::asking;
use super::plot::{Line, Plot};
use super::programs::Programs;
use super::systems::{Kind, Logs, Running};
use super::table::median;
use std::time::Duration;

/// Five descriptors each with logs in files of their own: what a limit of 20,000 holds.
const WITH_LOGS: [usize; 6] = [1, 10, 100, 1000, 2000, 3900];
const WITHOUT: [usize; 7] = [1, 10, 100, 1000, 2000, 4000, 6000];

/// What was seen at one number of processes.
struct Point {
    count: usize,
    start_ms: f64,
    rss_mib: f64,
    restart_ms: f64,
    status_us: f64,
    stop_ms: f64,
}

/// Measures both curves; prints them as a table, and writes two plots into the folder.
pub fn draw(programs: &Programs, folder: &std::path::Path) -> String {
    let with = curve(programs, Logs::Files, &WITH_LOGS);
    let without = curve(programs, Logs::None, &WITHOUT);
    let line = |name: &'static str, points: &[Point], of: fn(&Point) -> f64| Line {
        name,
        points: points.iter().map(|point| (point.count as f64, of(point))).collect(),
    };
    let times =
        Plot { title: "Milliseconds, by number of processes (no logs, except where said)", is_logarithmic: true };
    let lines = [
        line("start", &without, |point| point.start_ms),
        line("start, with logs", &with, |point| point.start_ms),
        line("stop", &without, |point| point.stop_ms),
        line("restart of one", &without, |point| point.restart_ms),
        line("status of all", &without, |point| point.status_us / 1e3),
    ];
    write(&folder.join("times.svg"), &times.svg(&lines));
    let memory = Plot { title: "Resident memory of the daemon in MiB, by number of processes", is_logarithmic: false };
    let lines = [line("with logs", &with, |point| point.rss_mib), line("without", &without, |point| point.rss_mib)];
    write(&folder.join("memory.svg"), &memory.svg(&lines));
    format!("With both streams in files of their own:\n\n{}\nWithout logs:\n\n{}", table(&with), table(&without))
}

fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).expect("the folder of the benchmarks can be written");
}

fn curve(programs: &Programs, logs: Logs, counts: &[usize]) -> Vec<Point> {
    counts.iter().filter_map(|count| point(programs, logs, *count)).collect()
}

/// The middle of three starts; `None` where they did not come to be.
fn point(programs: &Programs, logs: Logs, count: usize) -> Option<Point> {
    eprintln!("curve: {count} processes, logs {logs:?}");
    let seen: Vec<Point> = (0..3).map(|_| once(programs, logs, count)).collect::<Option<_>>()?;
    let middle = |of: fn(&Point) -> f64| median(&seen.iter().map(of).collect::<Vec<_>>());
    Some(Point {
        count,
        start_ms: middle(|point| point.start_ms),
        rss_mib: middle(|point| point.rss_mib),
        restart_ms: middle(|point| point.restart_ms),
        status_us: middle(|point| point.status_us),
        stop_ms: middle(|point| point.stop_ms),
    })
}

fn once(programs: &Programs, logs: Logs, count: usize) -> Option<Point> {
    let mut running = Running::start(Kind::Supervice, count, logs, programs)?;
    let bytes = asking::settled(&running, count);
    std::thread::sleep(Duration::from_millis(500));
    let rss_mib = running.rss_mib();
    let status_us = asking::status(&running, bytes, 1, Duration::from_millis(200)).p50_us;
    let restarts: Vec<f64> = (0..9)
        .map(|_| {
            let took = asking::restart_ms(&running, &format!("p{}", count / 2));
            running.expect_births(1);
            took
        })
        .collect();
    let start_ms = running.started_ms;
    Some(Point { count, start_ms, rss_mib, restart_ms: median(&restarts), status_us, stop_ms: running.stop_ms() })
}

fn table(points: &[Point]) -> String {
    let mut text = "| N | start, ms | RSS, MiB | restart of one, ms | status of all, µs | stop, ms |\n".to_owned();
    text += "|--:|--:|--:|--:|--:|--:|\n";
    for point in points {
        let Point { count, start_ms, rss_mib, restart_ms, status_us, stop_ms } = point;
        text +=
            &format!("| {count} | {start_ms:.0} | {rss_mib:.1} | {restart_ms:.2} | {status_us:.0} | {stop_ms:.0} |\n");
    }
    text
}
