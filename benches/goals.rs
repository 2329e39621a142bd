//! The daemon beside the limit of the machine, and beside its peers: `cargo bench --bench goals [-- ROUNDS [PART…]]`.
//!
//! The parts are `goals`, `peers` and `curves`; without any, all are measured. Each row is measured in turn for the daemon
//! and for a bare loop that does only the one thing, in the same run. Medians are printed as Markdown, the least in
//! brackets, and all measurements go into `target/goals.json` and `target/peers.json`. Read the ratios, not the times.

mod goals {
    pub mod asking;
    pub mod bare;
    pub mod curves;
    pub mod plot;
    pub mod programs;
    pub mod systems;
    pub mod table;
}

use goals::bare::Echo;
use goals::programs::Programs;
use goals::systems::{Kind, Logs, Running};
use goals::table::{Goal, Table, median};
use goals::{asking, bare, curves, programs};
use std::path::Path;
use std::time::Duration;

const OURS: &str = "supervice";
const BARE: &str = "bare";
/// As the children of a paced system have to live, to be started again at once.
const LIVED: Duration = Duration::from_millis(1200);
const ASKING: Duration = Duration::from_millis(400);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bare-keep", count, command @ ..] => bare::keep(number(count), command),
        ["bare-echo", path, bytes] => bare::echo(path, number(bytes)),
        ["pauser", fifo] => programs::pause(fifo),
        [] => measure(5, &["goals", "peers", "curves"]),
        [rounds] => measure(number(rounds), &["goals", "peers", "curves"]),
        [rounds, parts @ ..] => measure(number(rounds), parts),
    }
}

fn number(word: &str) -> usize {
    word.parse().expect("the argument is a number")
}

fn measure(rounds: usize, parts: &[&str]) {
    let programs = Programs::make();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{rounds} rounds, load at the beginning {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    let keep = |name: &str, table: &Table| {
        println!("\n{}", table.markdown());
        std::fs::write(root.join("target").join(name), table.json()).expect("target can be written");
    };
    if parts.contains(&"goals") {
        keep("goals.json", &beside_the_limit(rounds, &programs));
    }
    if parts.contains(&"peers") {
        keep("peers.json", &beside_the_peers(rounds, &programs));
    }
    if parts.contains(&"curves") {
        println!("\n{}", curves::draw(&programs, &root.join("benches")));
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load at the end {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
}

// ---- Beside the limit of the machine --------------------------------------------------------------------------------

fn beside_the_limit(rounds: usize, programs: &Programs) -> Table {
    let mut table = Table::new(vec![OURS, BARE]);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        let thousand = one_round(&mut table, programs);
        five_thousand(&mut table, programs, thousand);
        let row = table.row("G16", "cold start to the first answer, ms", Goal::AtMost(4.0));
        let took: Vec<f64> = (0..5).map(|_| asking::cold_start_ms()).collect();
        table.put(row, OURS, median(&took));
        let row = table.row("G17", "both programs, MiB", Goal::AtMost(2.0));
        table.put(row, OURS, asking::size_mib());
    }
    table
}

/// What a start and its RSS were at a thousand.
fn one_round(table: &mut Table, programs: &Programs) -> (f64, f64) {
    let mut thousand = (f64::NAN, f64::NAN);
    for count in [1, 10, 100, 1000] {
        for kind in [Kind::Bare, Kind::Supervice] {
            let mut running = Running::start(kind, count, Logs::None, programs).expect("it starts");
            let goal = if count == 1000 { Goal::Times(1.0) } else { Goal::None };
            let row = table.row(if count == 1000 { "G1" } else { "" }, format!("start N={count}, ms"), goal);
            table.put(row, kind.name(), running.started_ms);
            std::thread::sleep(Duration::from_millis(200));
            if count == 1000 {
                let row = table.row("G2", "CPU of a start N=1000, 0.2 s after it, ms", Goal::Times(2.0));
                table.put(row, kind.name(), running.cpu_ms());
            }
            if kind == Kind::Supervice {
                ask_ours(table, &mut running, count, programs);
            }
            if kind == Kind::Supervice && count == 1000 {
                thousand = (running.started_ms, running.rss_mib());
            }
            hurt(table, &mut running, kind, count);
            let goal = if count == 1000 { Goal::Times(2.0) } else { Goal::None };
            let row = table.row(if count == 1000 { "G12" } else { "" }, format!("stop N={count}, ms"), goal);
            table.put(row, kind.name(), running.stop_ms());
        }
    }
    thousand
}

/// Crashes: one after the other, and many at once.
fn hurt(table: &mut Table, running: &mut Running, kind: Kind, count: usize) {
    if count == 10 {
        std::thread::sleep(LIVED);
        let took: Vec<f64> = (0..count).filter_map(|_| crash(running)).collect();
        let row = table.row("G6", "restart after a crash, p50 of 10, ms", Goal::Times(1.2));
        table.put(row, kind.name(), median(&took));
        let row = table.row("G6", "restart after a crash, least of 10, ms", Goal::Times(1.1));
        table.put(row, kind.name(), took.into_iter().fold(f64::INFINITY, f64::min));
    }
    if count == 1000 {
        std::thread::sleep(LIVED);
        let row = table.row("G8", "storm: 500 of 1000 killed at once, ms", Goal::Times(1.2));
        table.put(row, kind.name(), running.storm_ms(500).expect("all come again"));
    }
}

/// The one with the lowest pid, which has lived the longest unless numbers began again.
fn crash(running: &mut Running) -> Option<f64> {
    std::thread::sleep(Duration::from_millis(3));
    running.storm_ms(1)
}

fn ask_ours(table: &mut Table, running: &mut Running, count: usize, programs: &Programs) {
    let bytes = asking::settled(running, count);
    let (goal, four_goal, cpu_goal) = match count {
        1 => (Goal::Times(1.5), Goal::AtLeastTimes(0.6), Goal::AtMost(30.0)),
        100 => (Goal::Times(2.0), Goal::AtLeastTimes(0.5), Goal::AtMost(45.0)),
        1000 => (Goal::Times(3.5), Goal::AtLeastTimes(0.3), Goal::AtMost(120.0)),
        _ => {
            let row = table.row("G4", "RSS N=10, MiB", Goal::AtMost(3.0));
            table.put(row, OURS, running.rss_mib());
            return;
        }
    };
    let echo = Echo::start(bytes);
    let question = [b'q'; 24];
    let row = table.row("G9", format!("status p50 N={count}, µs"), goal);
    let tail = table.row("", format!("status p99 N={count}, µs"), Goal::None);
    let ours = asking::status(running, bytes, 1, ASKING);
    let theirs = bare::ask(&echo.socket(), &question, bytes, 1, ASKING);
    for (name, asked) in [(OURS, &ours), (BARE, &theirs)] {
        table.put(row, name, asked.p50_us);
        table.put(tail, name, asked.p99_us);
    }
    let echo = Echo::start(bytes);
    let row = table.row("G10", format!("status by 4 clients N={count}, a second"), four_goal);
    let before = running.cpu_ms();
    let asked = asking::status(running, bytes, 4, ASKING);
    let cpu_us = (running.cpu_ms() - before) * 1e3 / asked.count as f64;
    table.put(row, OURS, asked.per_second);
    table.put(row, BARE, bare::ask(&echo.socket(), &question, bytes, 4, ASKING).per_second);
    let row = table.row("G10", format!("CPU of a status N={count}, µs"), cpu_goal);
    table.put(row, OURS, cpu_us);
    if count != 100 {
        ask_by_program(table, running, count, programs);
    }
    if count == 1000 {
        let (cpu, slept) = running.idle();
        let row = table.row("G5", "idle N=1000, wake-ups in 2 s", Goal::AtMost(0.0));
        table.put(row, OURS, slept);
        let row = table.row("G5", "idle N=1000, CPU ms in 2 s", Goal::AtMost(0.0));
        table.put(row, OURS, cpu);
        let row = table.row("G4", "RSS N=1000, MiB", Goal::AtMost(5.0));
        table.put(row, OURS, running.rss_mib());
    }
}

/// The client program, beside a small one in C; and restarts on request.
fn ask_by_program(table: &mut Table, running: &mut Running, count: usize, programs: &Programs) {
    let limit = if count == 1 { 1.5 } else { 2.0 };
    let row = table.row("G11", format!("supervicectl status N={count}, ms"), Goal::Times(limit));
    for _ in 0..7 {
        table.put(row, OURS, asking::status_by_client_ms(running));
        if let Some(took) = asking::status_in_c_ms(running, programs) {
            table.put(row, BARE, took);
        }
    }
    if count == 1 {
        let raw = table.row("G7", "restart on request, raw, ms", Goal::AtMost(2.0));
        let client = table.row("G7", "restart on request, supervicectl, ms", Goal::AtMost(5.0));
        for _ in 0..5 {
            table.put(raw, OURS, asking::restart_ms(running, "p0"));
            table.put(client, OURS, asking::restart_by_client_ms(running, "p0"));
            running.expect_births(2);
        }
    }
}

fn five_thousand(table: &mut Table, programs: &Programs, (thousand_ms, thousand_mib): (f64, f64)) {
    let Some(running) = Running::start(Kind::Supervice, 5000, Logs::None, programs) else {
        return eprintln!("5000 do not start here");
    };
    asking::settled(&running, 5000);
    std::thread::sleep(Duration::from_secs(1));
    let row = table.row("G3", "start N=5000, ms; beside it its own N=1000", Goal::Times(5.5));
    table.put(row, OURS, running.started_ms);
    table.put(row, BARE, thousand_ms);
    let row = table.row("G4", "RSS of each child above 1000, KiB", Goal::AtMost(2.0));
    table.put(row, OURS, (running.rss_mib() - thousand_mib) * 1024.0 / 4000.0);
    running.stop_ms();
}

// ---- Beside the peers -----------------------------------------------------------------------------------------------

fn beside_the_peers(rounds: usize, programs: &Programs) -> Table {
    let peers: Vec<Kind> = Kind::PEERS.into_iter().filter(|peer| programs.are_compiled() && peer.is_here()).collect();
    for missing in Kind::PEERS.iter().filter(|peer| !peers.contains(peer)) {
        eprintln!("{} is not installed (benches/install-peers.sh) and left out", missing.name());
    }
    let all: Vec<Kind> = [Kind::Supervice, Kind::Bare].into_iter().chain(peers).collect();
    let mut table = Table::new(all.iter().map(|kind| kind.name()).collect());
    for round in 0..rounds {
        for count in [200, 1000] {
            for kind in all.iter().filter(|kind| count == 200 || !kind.is_slow()) {
                eprintln!("round {} of {rounds}: {} N={count}", round + 1, kind.name());
                one_system(&mut table, *kind, count, programs);
            }
        }
    }
    table
}

fn one_system(table: &mut Table, kind: Kind, count: usize, programs: &Programs) {
    let Some(mut running) = Running::start(kind, count, Logs::None, programs) else {
        return eprintln!("{} does not start {count}", kind.name());
    };
    let mut put = |what: &str, value: f64| {
        let row = table.row("", format!("{what} N={count}"), Goal::None);
        table.put(row, kind.name(), value);
    };
    put("start, ms,", running.started_ms);
    std::thread::sleep(LIVED);
    put("CPU of a start, 1.2 s after it, ms,", running.cpu_ms());
    put("RSS, MiB,", running.rss_mib());
    match running.storm_ms(1) {
        Some(took) => put("restart after a crash, ms,", took),
        None => eprintln!("{} starts nobody again", kind.name()),
    }
    put("stop, ms,", running.stop_ms());
}
