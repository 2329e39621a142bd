//! What the parts cost by themselves: `cargo bench --bench micro [-- ROUNDS]`. Medians of the rounds, in nanoseconds.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant as Clock;
use supervice::config;
use supervice::engine::Engine;
use supervice::engine::message::{Command, Effect, ExitStatus, Input, Plan};
use supervice::engine::policy::Policy;
use supervice::engine::time::{Duration, Instant};
use supervice::engine::timer::TimerQueue;
use supervice::wire::{Decoder, ProcessRow, decode, encode_frame, encode_status};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let rounds = words.first().map_or(25, |word| word.parse().expect("the argument is a number"));
    println!("| | ns |\n|---|--:|");
    let row = |name: &str, times: usize, work: &mut dyn FnMut()| {
        println!("| {name} | {:.0} |", median(rounds, times, work));
    };
    let text = configuration(1000);
    row("a configuration is parsed, for each of 1000 programs", 1000, &mut || {
        black_box(config::parse(black_box(text.as_bytes()), Path::new("/"))).expect("it has no errors");
    });
    let frames = frames(1000);
    row("a frame is taken out of a stream and read", 1000, &mut || {
        let mut decoder = Decoder::new();
        for piece in frames.chunks(4096) {
            decoder.push(piece);
            while let Some(frame) = decoder.pull() {
                black_box(decode(&frame.expect("it is short"))).expect("it is a request");
            }
        }
    });
    let names: Vec<String> = (0..1000).map(|index| format!("program:{index:03}")).collect();
    let mut reply = Vec::new();
    row("a row of a status is written, of 1000", 1000, &mut || {
        reply.clear();
        encode_status(names.iter().map(|name| running(name)), None, &mut reply);
        black_box(&reply);
    });
    let mut lives = Lives::begin(1000);
    row("the engine hears of a death, and starts anew, with 1000 instances", 1000, &mut || lives.die());
    row("a deadline is armed and comes, among 1000", 1000, &mut || {
        let mut timers = TimerQueue::new();
        (0..1000).for_each(|index| _ = timers.arm(Instant::from_millis(index * 7919 % 1009), index));
        while let Some(due) = timers.pop_due(Instant::from_millis(2000)) {
            black_box(due);
        }
    });
}

fn median(rounds: usize, times: usize, work: &mut dyn FnMut()) -> f64 {
    let mut took: Vec<f64> = (0..rounds)
        .map(|_| {
            let begin = Clock::now();
            work();
            begin.elapsed().as_secs_f64() * 1e9 / times as f64
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn configuration(count: usize) -> String {
    let program = |index| {
        format!(
            "[program:p{index}]\ncommand = /bin/sleep {index}\nstdout_logfile = none\nstartsecs = 0\nautorestart = true\n\n"
        )
    };
    (0..count).map(program).collect()
}

fn frames(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..count {
        let body = format!(r#"{{"command":"restart","name":"p{index}","id":{index}}}"#);
        encode_frame(body.as_bytes(), &mut bytes).expect("it is short");
    }
    bytes
}

fn running(name: &str) -> ProcessRow<'_> {
    ProcessRow {
        name: name.into(),
        state: "RUNNING",
        pid: Some(123_456),
        uptime: Some(86_400),
        healthy: None,
        detail: None,
    }
}

/// Instances that die one after the other and are started again.
struct Lives {
    engine: Engine,
    now: Instant,
    runs: Vec<supervice::engine::id::RunId>,
}

impl Lives {
    fn begin(count: usize) -> Lives {
        let mut engine = Engine::new(Instant::ZERO, 1);
        let policy = policy();
        let added = (0..count).map(|_| engine.add(policy.clone())).collect();
        let mut lives = Lives { engine, now: Instant::ZERO, runs: Vec::new() };
        let ticket = supervice::engine::id::Ticket(1);
        let command = Command::Reload(Plan { added, ..Plan::default() });
        lives.hear(Input::Command { ticket, command });
        lives
    }

    fn hear(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        while let Some(effect) = self.engine.poll_effect() {
            if let Effect::Spawn { run, .. } = effect {
                self.runs.push(run);
                self.engine.handle(self.now, Input::Spawned { run, pid: 7 });
                self.engine.handle(self.now, Input::ExecOk { run });
            }
        }
    }

    fn die(&mut self) {
        self.now = self.now + Duration::from_secs(2);
        self.engine.handle_timeout(self.now);
        for run in std::mem::take(&mut self.runs) {
            self.hear(Input::Exited { run, status: ExitStatus::Code(1), leftovers: false });
        }
    }
}

fn policy() -> Policy {
    let config =
        config::parse(b"[program:p]\ncommand = /bin/true\nstartsecs = 0\nautorestart = true\n", Path::new("/"));
    config.expect("it has no errors").instances.remove(0).policy.as_ref().clone()
}
