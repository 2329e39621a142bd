//! The daemon beside the limit of the machine: `cargo bench --bench goals [-- ROUNDS]`.
//!
//! Each row is measured in turn for the daemon and for a bare loop that does only the one thing, in the same run. Printed
//! are medians over the rounds as a Markdown table, and as JSON in `target/goals.json`. Read the ratios, not the times.

mod goals {
    pub mod bare;
    pub mod daemon;
    pub mod table;
}

use goals::{bare, daemon, table};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bare-start", count] => bare::start(number(count)),
        ["bare-storm", count] => bare::storm(number(count)),
        ["bare-stop", count] => bare::stop(number(count)),
        ["bare-restart", count] => bare::restart(number(count)),
        ["bare-echo", path] => bare::echo(path),
        ["sleep"] => bare::sleep(),
        [] => compare(5),
        [rounds] => compare(number(rounds)),
        _ => panic!("unknown arguments {words:?}"),
    }
}

fn number(word: &str) -> usize {
    word.parse().expect("the argument is a number")
}

fn compare(rounds: usize) {
    let mut table = table::Table::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for count in [10, 100, 1000] {
            let start = format!("start N={count}, ms");
            table.bare(&start, bare::run("bare-start", count));
            let mut running = daemon::Daemon::start(count);
            table.ours(&start, running.started_ms);
            table.ours(&format!("daemon CPU until all {count} live, ms"), running.cpu_ms());
            table.ours(&format!("RSS N={count}, MiB"), running.rss_mib());
            let status = format!("status p50 N={count}, µs");
            let (ours, bytes) = running.status_us();
            table.ours(&status, ours);
            table.bare(&status, bare::echo_us(bytes));
            if count == 1000 {
                table.ours("idle N=1000, system calls in 2 s", running.idle_wakeups());
                let storm = "storm of 500 killed, ms";
                table.ours(storm, running.storm_ms(500));
                table.bare(storm, bare::run("bare-storm", 500));
            }
            let stop = format!("stop N={count}, ms");
            table.ours(&stop, running.stop_ms());
            table.bare(&stop, bare::run("bare-stop", count));
        }
        let mut one = daemon::Daemon::start(1);
        table.ours("cold start to the first answer, ms", one.answered_ms);
        table.ours("restart on request, raw, ms", one.restart_ms());
        table.ours("restart after a crash, ms", one.crash_ms());
        table.bare("restart after a crash, ms", bare::run("bare-restart", 1));
        one.stop_ms();
    }
    table.print();
}
