//! A rotating file against a model of what it should have kept, on a file system that fails any call.
//!
//! Two acts: with faults, where nothing may be lost in silence; and after them, where all must heal within five seconds.

use crate::dice::Dice;
use crate::fake::{Call, FakeFlow, FakePlace, Fault, Plan};
use supervice::engine::time::{Duration, Instant};
use supervice::logs::rotating_file::{Limits, Passed, RotatingFile};
use supervice::logs::sink::Notice;

/// Within this time after the last fault everything works again.
const HEALED_AFTER: Duration = Duration::from_secs(5);

struct Model {
    place: FakePlace,
    sink: RotatingFile<FakePlace>,
    limits: Limits,
    now: Instant,
    /// All bytes that must be in files that are or were, in order.
    expected: Vec<u8>,
    dropped: u64,
    told: u64,
    line: u64,
}

impl Model {
    fn open(place: FakePlace, limits: Limits) -> Option<Model> {
        let sink = RotatingFile::open(place.clone(), limits).ok()?;
        let now = Instant::ZERO;
        Some(Model { place, sink, limits, now, expected: Vec::new(), dropped: 0, told: 0, line: 0 })
    }

    /// Numbered lines, so that every part of the stream is different.
    fn text(&mut self, lines: u64) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..lines {
            self.line += 1;
            text.extend_from_slice(format!("{}\n", self.line).as_bytes());
        }
        text
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let written = self.sink.write(bytes, self.now);
        assert_eq!(written.written + written.dropped, bytes.len(), "all bytes are accounted for");
        self.expected.extend_from_slice(&bytes[..written.written]);
        self.dropped += written.dropped as u64;
        self.check();
        written.dropped
    }

    /// As a stream is served: what can pass does, and what cannot is read and written.
    fn stream(&mut self, bytes: &[u8]) -> usize {
        let (mut rest, mut dropped) = (bytes.to_vec(), 0);
        for _ in 0..10_000 {
            if rest.is_empty() {
                return dropped;
            }
            let before = rest.clone();
            let mut flow = FakeFlow { place: self.place.clone(), bytes: &mut rest };
            let passed = self.sink.pass(&mut flow, 700, self.now);
            let moved = before.len() - rest.len();
            self.expected.extend_from_slice(&before[..moved]);
            match passed {
                Passed::Some(count) if count > 0 => assert_eq!(count, moved),
                Passed::Some(_) | Passed::Nothing | Passed::Refused => {
                    assert_eq!(moved, 0);
                    let length = rest.len().min(500);
                    dropped += self.write(&before[..length]);
                    rest.drain(..length);
                }
            }
            self.check();
        }
        panic!("bytes stay in the pipe for ever");
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        if self.sink.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.sink.on_deadline(self.now);
            while let Some(notice) = self.sink.take_notice(self.now) {
                self.hear(&notice);
            }
            assert!(self.sink.deadline().is_none_or(|deadline| deadline > self.now), "deadlines advance");
        }
        self.check();
    }

    fn hear(&mut self, notice: &Notice) {
        if let Notice::Failing { dropped_bytes, .. } | Notice::Recovered { dropped_bytes, .. } = notice {
            self.told += dropped_bytes;
        }
    }

    fn check(&mut self) {
        let live = *self.sink.file();
        if self.sink.rotation_failing().is_some() {
            self.place.0.files.borrow_mut().excused.push(live);
        }
        let files = self.place.0.files.borrow();
        assert_eq!(files.tape, self.expected, "what was written is what is said to be");
        assert_eq!(self.sink.dropped_bytes(), self.dropped);
        drop(files);
        self.check_kept();
    }

    fn check_kept(&self) {
        let kept = self.place.kept();
        let all: Vec<u8> = kept.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
        assert!(self.expected.ends_with(&all), "kept files are one contiguous tail");
        assert!(kept.iter().all(|(name, ..)| *name <= self.limits.backups), "no more backups than wanted");
        let files = self.place.0.files.borrow();
        for (name, inode, bytes) in &kept {
            let fits = self.limits.maxbytes == 0 || bytes.len() as u64 <= self.limits.maxbytes;
            assert!(fits || files.excused.contains(inode), ".{name} has {} bytes", bytes.len());
        }
    }

    /// After the faults: everything is written, every loss is told of, and the next rotation goes through.
    fn heal(&mut self) {
        self.place.set_plan(Plan::Never);
        self.pass(HEALED_AFTER);
        let text = self.text(3);
        assert_eq!(self.write(&text), 0, "it writes again");
        self.pass(Duration::from_secs(120));
        let text = self.text(3);
        assert_eq!(self.write(&text), 0);
        assert!(self.sink.failing().is_none() && self.sink.rotation_failing().is_none());
        assert!(self.place.kept().iter().any(|(name, ..)| *name == 0), "there is a live file");
        while let Some(notice) = self.sink.last_notice(self.now) {
            self.hear(&notice);
        }
        assert_eq!(self.told, self.dropped, "every loss was told of once");
    }
}

fn run(seed: u64) {
    let mut random = Dice::new(seed);
    let small = Limits { maxbytes: 1 + random.roll(60), backups: random.roll(5) as u32 };
    let big = Limits { maxbytes: 4000 + random.roll(6000), backups: random.roll(3) as u32 };
    let limits = if random.one_in(4) { big } else { small };
    let often = 2 + random.roll(60);
    let place = FakePlace::new(Plan::Never);
    let mut model = Model::open(place.clone(), limits).unwrap();
    place.set_plan(Plan::Randomly(random.clone(), often));
    for _ in 0..60 {
        match random.roll(12) {
            0 => model.pass(Duration::from_millis(random.roll(6000))),
            1 => drop(model.sink.reopen()),
            2 => model.pass(Duration::from_secs(random.roll(100))),
            3..8 => {
                let lines = if random.one_in(8) { 2000 } else { random.roll(12) };
                let text = model.text(lines);
                model.stream(&text);
            }
            _ => {
                let lines = if random.one_in(8) { 600 } else { random.roll(12) };
                let text = model.text(lines);
                let half = text.len() / 2;
                model.write(&text[..half]);
                model.write(&text[half..]);
            }
        }
    }
    model.heal();
}

#[test]
fn random_faults_lose_nothing_in_silence() {
    let seeds = std::env::var("LOGS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(600);
    let only: Option<u64> = std::env::var("LOGS_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(1..=seeds, |seed| seed..=seed) {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "LOGS_SEED={seed}");
    }
}

/// The same story each time: writes, rotations, a reopening. Returns the number of calls.
fn story(place: &FakePlace, limits: Limits) -> u64 {
    let Some(mut model) = Model::open(place.clone(), limits) else { return place.calls() };
    for round in 0..24 {
        let text = model.text(round % 7);
        if round % 3 == 0 {
            model.stream(&text)
        } else {
            model.write(&text)
        };
        model.pass(Duration::from_millis(700));
        if round == 12 {
            drop(model.sink.reopen());
        }
    }
    let calls = place.calls();
    model.heal();
    calls
}

#[test]
fn any_single_call_may_fail() {
    for backups in [0, 1, 3] {
        let limits = Limits { maxbytes: 16, backups };
        let calls = story(&FakePlace::new(Plan::Never), limits);
        assert!(calls > 60, "the story goes through rotations: {calls}");
        for number in 1..=calls {
            for fault in [Fault::Refused, Fault::DoneButDenied] {
                story(&FakePlace::new(Plan::Nth(number, fault)), limits);
            }
        }
    }
}

#[test]
fn all_calls_may_fail_from_any_moment_on() {
    for backups in [0, 1, 3] {
        let limits = Limits { maxbytes: 16, backups };
        let calls = story(&FakePlace::new(Plan::Never), limits);
        for number in 1..=calls {
            story(&FakePlace::new(Plan::From(number)), limits);
        }
    }
}

#[test]
fn a_failed_step_is_the_one_that_is_tried_again() {
    let place = FakePlace::new(Plan::Never);
    let mut model = Model::open(place.clone(), Limits { maxbytes: 4, backups: 2 }).unwrap();
    for _ in 0..3 {
        model.write(b"abc\n");
    }
    let create = place.calls() + 9;
    place.set_plan(Plan::Nth(create, Fault::Refused));
    let before = place.0.files.borrow().trace.len();
    model.write(b"def\n");
    let seen = place.0.files.borrow().trace[before..].to_vec();
    use Call::{Create, Enter, Facts, Look, Shift, Write};
    assert_eq!(seen, [Facts, Enter, Facts, Look, Look, Look, Shift, Shift, Create, Write]);
    assert!(model.sink.rotation_failing().is_some());
    let before = place.0.files.borrow().trace.len();
    model.pass(HEALED_AFTER);
    assert_eq!(place.0.files.borrow().trace[before..], [Enter, Facts, Look, Create]);
    assert!(model.sink.rotation_failing().is_none());
}

#[test]
fn a_failing_file_is_not_asked_for_each_write() {
    let place = FakePlace::new(Plan::Never);
    let mut model = Model::open(place.clone(), Limits { maxbytes: 0, backups: 0 }).unwrap();
    place.set_plan(Plan::From(0));
    model.write(b"first\n");
    let calls = place.calls();
    for _ in 0..100 {
        assert_eq!(model.write(b"lost\n"), 5);
    }
    assert_eq!(place.calls(), calls, "dropped without a system call");
    model.heal();
}

#[test]
fn a_stuck_rotation_is_not_tried_for_each_write() {
    let place = FakePlace::new(Plan::Never);
    let mut model = Model::open(place.clone(), Limits { maxbytes: 4, backups: 1 }).unwrap();
    model.write(b"abc\n");
    place.set_plan(Plan::Nth(place.calls() + 2, Fault::Refused));
    model.write(b"def\n");
    assert!(model.sink.rotation_failing().is_some());
    for _ in 0..100 {
        let before = place.calls();
        assert_eq!(model.write(b"ghi\n"), 0);
        assert_eq!(place.calls(), before + 1, "only the write");
    }
    model.heal();
}

#[test]
fn what_passes_is_cut_at_line_ends_as_what_is_written() {
    let lines: Vec<String> = (0..4000).map(|n| format!("a line of some length, with the number {n}\n")).collect();
    let place = FakePlace::new(Plan::Never);
    let mut model = Model::open(place.clone(), Limits { maxbytes: 20_000, backups: 100 }).unwrap();
    for part in lines.chunks(333) {
        assert_eq!(model.stream(part.concat().as_bytes()), 0);
    }
    let kept = place.kept();
    assert!(kept.len() > 8);
    for (name, _, bytes) in &kept {
        assert!(bytes.ends_with(b"\n"), ".{name} ends in the middle of a line");
        assert!(*name == 0 || bytes.len() > 20_000 - 4096, ".{name} has only {} bytes", bytes.len());
    }
    let writes = place.0.files.borrow().trace.iter().filter(|call| **call == Call::Write).count();
    assert_eq!(writes, 0, "nothing was read");
}

#[test]
fn a_line_that_fits_nowhere_near_the_limit_waits_for_the_next_file() {
    let place = FakePlace::new(Plan::Never);
    let mut model = Model::open(place.clone(), Limits { maxbytes: 100, backups: 9 }).unwrap();
    model.stream(format!("{}\n", "x".repeat(79)).as_bytes());
    model.stream(format!("{}\n", "y".repeat(59)).as_bytes());
    let sizes: Vec<usize> = place.kept().iter().map(|(.., bytes)| bytes.len()).collect();
    assert_eq!(sizes, [80, 60]);
    model.stream(&[b'z'; 250]);
    let sizes: Vec<usize> = place.kept().iter().map(|(.., bytes)| bytes.len()).collect();
    assert_eq!(sizes, [80, 60, 100, 100, 50]);
}

#[test]
fn a_file_that_others_touch_is_appended_to() {
    for (others, expected) in
        [("", "new\n"), ("theirs\n and longer than ours\n", "theirs\n and longer than ours\nnew\n")]
    {
        let place = FakePlace::new(Plan::Never);
        let mut sink = RotatingFile::open(place.clone(), Limits { maxbytes: 0, backups: 0 }).unwrap();
        let mut bytes = b"one\n".to_vec();
        let mut flow = FakeFlow { place: place.clone(), bytes: &mut bytes };
        assert_eq!(sink.pass(&mut flow, 100, Instant::ZERO), Passed::Some(4));
        place.0.files.borrow_mut().inodes[0] = others.as_bytes().to_vec();
        bytes.extend_from_slice(b"new\n");
        let mut flow = FakeFlow { place: place.clone(), bytes: &mut bytes };
        assert_eq!(sink.pass(&mut flow, 100, Instant::ZERO), Passed::Refused, "{others:?}");
        assert!(place.0.files.borrow().blind.is_empty(), "it is appended to");
        assert_eq!(sink.write(b"new\n", Instant::ZERO).dropped, 0);
        assert_eq!(place.kept()[0].2, expected.as_bytes());
        let mut flow = FakeFlow { place, bytes: &mut bytes };
        assert_eq!(sink.pass(&mut flow, 100, Instant::ZERO), Passed::Refused, "and stays so");
    }
}

/// EPERM and ENOSYS are what filters of system calls answer, EOPNOTSUPP and EINVAL what file systems do.
#[test]
fn where_a_pipe_may_not_be_moved_from_it_is_read_and_written() {
    for errno in [1, 38, 95, 22] {
        let place = FakePlace::new(Plan::Never);
        place.0.files.borrow_mut().forbids_moves = Some(errno);
        let mut sink = RotatingFile::open(place.clone(), Limits { maxbytes: 0, backups: 0 }).unwrap();
        let mut bytes = b"one\n".to_vec();
        let mut flow = FakeFlow { place: place.clone(), bytes: &mut bytes };
        assert_eq!(sink.pass(&mut flow, 100, Instant::ZERO), Passed::Refused, "{errno}");
        assert_eq!(sink.write(b"one\n", Instant::ZERO).dropped, 0, "{errno}");
        assert_eq!((place.kept()[0].2.as_slice(), sink.failing()), (b"one\n".as_slice(), None), "{errno}");
    }
}

#[test]
fn records_are_never_cut() {
    let place = FakePlace::new(Plan::Never);
    let mut file = RotatingFile::open(place.clone(), Limits { maxbytes: 10, backups: 2 }).unwrap();
    for record in ["aaa\n", "bbb\n", "ccc\n", "a record of its own length\n", "ddd\n"] {
        assert_eq!(file.write_record(record.as_bytes(), Instant::ZERO).dropped, 0);
    }
    let kept: Vec<String> = place.kept().into_iter().map(|(.., bytes)| String::from_utf8(bytes).unwrap()).collect();
    assert_eq!(kept, ["ccc\n", "a record of its own length\n", "ddd\n"]);
    let writes = place.0.files.borrow().trace.iter().filter(|call| **call == Call::Write).count();
    assert_eq!(writes, 5, "one write each");
}
