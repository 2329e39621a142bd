//! What a spawn costs, by maker and by the number of open descriptors: `cargo bench --bench spawn [-- CHILDREN]`.
//!
//! Each round makes the same children with each maker in turn. Printed are medians over the rounds, and ratios to `fork`.

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Instant;
use supervice::engine::message::Signal;
use supervice::spec::Launch;
use supervice::sys::spawn::{self, ErrorOutput, Fresh, Inherited, Output, Plan, VerdictRead};
use supervice::sys::{kill, limits, watch};

const ROUNDS: usize = 7;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    if let Some(maker) = words.next().filter(|word| ["fork", "shared", "places"].contains(&word.as_str())) {
        let numbers: Vec<usize> =
            words.map(|word| word.parse().expect("the arguments after a maker are numbers")).collect();
        return one(&maker, numbers[0], numbers[1]);
    }
    let own = std::env::current_exe().expect("a program knows its own path");
    println!("| open descriptors | maker | loop, µs a child | all verdicts, ms | parent CPU, ms | ratio of CPU |");
    println!("|--:|---|--:|--:|--:|--:|");
    for open in [0, 200, 1000, 3000, 10_000] {
        let mut found: BTreeMap<&str, Vec<[f64; 3]>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for maker in ["fork", "shared", "places"] {
                let output = Command::new(&own).args([maker, &open.to_string(), "300"]).output().expect("it runs");
                let text = String::from_utf8_lossy(&output.stdout);
                let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
                let numbers: [f64; 3] = numbers.try_into().unwrap_or_else(|_| panic!("{output:?}"));
                found.entry(maker).or_default().push(numbers);
            }
        }
        let middle = |maker: &str, column: usize| {
            let mut values: Vec<f64> = found[maker].iter().map(|row| row[column]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        for maker in ["fork", "shared", "places"] {
            let [call, all, cpu] = [0, 1, 2].map(|column| middle(maker, column));
            println!("| {open} | {maker} | {call:.1} | {all:.1} | {cpu:.1} | {:.2} |", cpu / middle("fork", 2));
        }
    }
}

/// Makes the children and waits for all verdicts.
fn one(maker: &str, open: usize, children: usize) {
    let inherited = Inherited::capture().expect("our own limits can be read");
    limits::raise_nofile().expect("limits can be raised as far as they go");
    match maker {
        "fork" => spawn::always_fork(),
        "places" => spawn::reserve_places().expect("there is /dev/null"),
        _ => {}
    }
    let held: Vec<File> = (0..open).map(|_| File::open("/dev/null").expect("there is /dev/null")).collect();
    let command = std::env::var("PAUSER").unwrap_or_else(|_| "/bin/sleep".to_owned());
    let launch = Launch {
        argv: vec![command, "1000".to_owned()],
        env: BTreeMap::new(),
        env_files: Vec::new(),
        clean_env: false,
        directory: None,
        user: None,
        umask: None,
        pdeathsig: true,
        no_new_privs: false,
    };
    let plan = Plan::prepare(&launch, &inherited, None).expect("the launch is plain");
    let mut poll = Poll::new().expect("there is room for an epoll");
    let (begin, cpu) = (Instant::now(), cpu());
    let mut made: Vec<Fresh> = Vec::with_capacity(children);
    for index in 0..children {
        let fresh = spawn::spawn(&plan, Output::Null, ErrorOutput::SameAsStdout, None).expect("there is room for it");
        let token = Token(index);
        let fd = fresh.verdict.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE).expect("a pipe can be watched");
        made.push(fresh);
    }
    let looped = begin.elapsed();
    let mut left = children;
    let mut events = Events::with_capacity(256);
    let mut proven = vec![false; children];
    while left > 0 {
        poll.poll(&mut events, None).expect("waiting works");
        for event in &events {
            let index = event.token().0;
            if proven[index] {
                continue;
            }
            match made[index].verdict.read().expect("a verdict can be read") {
                VerdictRead::Pending => {}
                VerdictRead::ExecOk => {
                    proven[index] = true;
                    left -= 1;
                }
                VerdictRead::Failed(error) => panic!("{error:?}"),
            }
        }
    }
    let (all, cpu) = (begin.elapsed(), self::cpu() - cpu);
    println!("{} {} {}", looped.as_secs_f64() * 1e6 / children as f64, all.as_secs_f64() * 1e3, cpu * 1e3);
    for fresh in &made {
        kill::signal_process(fresh.pid, fresh.pidfd.as_ref(), Signal::KILL).expect("it is our own child");
    }
    for fresh in &made {
        while watch::reap(fresh.pid, fresh.pidfd.as_ref()).expect("it is our own child") == watch::Reap::Dry {
            std::thread::yield_now();
        }
    }
    drop(held);
}

/// Seconds of this process, in user space and in the kernel.
fn cpu() -> f64 {
    let usage =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("we may ask about ourselves");
    [usage.user_time(), usage.system_time()].iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum()
}
