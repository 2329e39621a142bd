//! Numbered lines at full speed, through rotations, the deaths of their writers, and the death of the daemon.

use crate::harness::*;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

/// Rotated each 256 KiB, and nothing is thrown away.
const WRITER: &str = "[program:a]\ncommand = {actor} --number {dir}/noted\nstartsecs = 0\nautostart = no\nautorestart = no\n\
    pdeathsig = no\nstdout_logfile = {dir}/out.log\nstderr_logfile = {dir}/err.log\n\
    stdout_logfile_maxbytes = 256KB\nstderr_logfile_maxbytes = 256KB\n\
    stdout_logfile_backups = 100000\nstderr_logfile_backups = 100000\n";

const STREAMS: [&str; 2] = ["out.log", "err.log"];

/// As the actor writes it.
fn line(run: usize, number: u64) -> String {
    format!("{}{number:08} {}\n", (b'A' + (run % 26) as u8) as char, "x".repeat((number * 31 % 150) as usize))
}

/// What the writer knows to have written in each run, by stream.
fn noted(home: &Home) -> Vec<[u64; 2]> {
    let bytes = fs::read(home.join("noted")).unwrap_or_default();
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(16).map(|run| [number(&run[..8]), number(&run[8..])]).collect()
}

/// A log with all its backups, the oldest first; none of them is above its limit.
#[track_caller]
fn whole(home: &Home, name: &str) -> Vec<u8> {
    let number = |file: &str| file.strip_prefix(name)?.strip_prefix('.')?.parse::<u32>().ok();
    let entries = fs::read_dir(home.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut backups: Vec<u32> = names.filter_map(|file| number(&file)).collect();
    backups.sort_unstable_by(|a, b| b.cmp(a));
    let files = backups.iter().map(|number| format!("{name}.{number}")).chain([name.to_owned()]);
    let mut all = Vec::new();
    for file in files {
        let bytes = fs::read(home.join(&file)).unwrap_or_default();
        assert!(bytes.len() <= 256 << 10, "{file} has {} bytes", bytes.len());
        all.extend(bytes);
    }
    all
}

/// Takes the lines of one run from the front; the last one may be cut. How many were whole, and what is behind them.
fn lines_of(run: usize, mut bytes: &[u8]) -> (u64, &[u8]) {
    for number in 1.. {
        let line = line(run, number);
        match bytes.strip_prefix(line.as_bytes()) {
            Some(rest) => bytes = rest,
            None => {
                let cut = bytes.iter().zip(line.as_bytes()).take_while(|(found, expected)| found == expected).count();
                return (number - 1, &bytes[cut..]);
            }
        }
    }
    unreachable!("numbers do not end")
}

/// Any number, another one in each run of the tests.
fn any(below: u64) -> u64 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    u64::from(nanos / 7).wrapping_mul(0x9E37_79B9_7F4A_7C15) % below
}

/// Waits until the present run has written so many lines on both streams together.
fn wait_for_lines(d: &Daemon, run: usize, lines: u64) {
    d.wait_within(DEADLINE * 6, "lines are written", || {
        noted(&d.home).get(run).filter(|counts| counts[0] + counts[1] >= lines).map(drop)
    });
}

/// All that was noted is there once and in order.
#[track_caller]
fn check(home: &Home, name: &str, of: usize) {
    let bytes = whole(home, name);
    let mut rest = bytes.as_slice();
    for (run, counts) in noted(home).iter().enumerate() {
        let (count, behind) = lines_of(run, rest);
        assert!(count >= counts[of], "{name}, run {run}: {count} lines of {}", counts[of]);
        rest = behind;
    }
    assert!(rest.is_empty(), "{name}: {} bytes that nobody wrote there", rest.len());
}

/// `STORM_MIB=50` for the long way.
#[test]
fn killed_writers_leave_every_line_that_they_wrote() {
    const RUNS: usize = 10;
    let mib: u64 = std::env::var("STORM_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(4);
    let per_run = mib * (1 << 20) / RUNS as u64 / 85;
    let d = Daemon::start(WRITER);
    for run in 0..RUNS {
        d.done("start", "a");
        let pid = d.pid_of("a");
        // Twice the average at the most, half of it at the least, so that the sum is about what is wanted.
        wait_for_lines(&d, run, per_run / 2 + any(per_run));
        process::kill(pid);
        d.wait_state("a", "EXITED");
    }
    for (of, name) in STREAMS.iter().enumerate() {
        let last = noted(&d.home)[RUNS - 1][of];
        let end = line(RUNS - 1, last);
        d.wait("the last line is there", || contains(&whole(&d.home, name), end.as_bytes()).then_some(()));
        check(&d.home, name, of);
    }
    let written: u64 = STREAMS.iter().map(|name| whole(&d.home, name).len() as u64).sum();
    assert!(written >= mib << 19, "{written} bytes");
    if mib > 4 {
        println!("{written} bytes of {RUNS} killed runs, {:?} lines", noted(&d.home));
    }
    assert_eq!(d.row("a").raw.get("dropped_bytes"), None);
    d.assert_well();
}

fn contains(bytes: &[u8], end: &[u8]) -> bool {
    bytes.windows(end.len()).rev().any(|window| window == end)
}

/// A reader of a stream of a process that lives, which reads nothing yet: the pipe outlives the daemon.
fn hold(pid: i32, descriptor: u32) -> File {
    let path = format!("/proc/{pid}/fd/{descriptor}");
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// What is left in a pipe. A process that counts as dead may have threads that are still on their way out.
fn drained(mut pipe: File) -> Vec<u8> {
    let mut rest = Vec::new();
    wait_until(DEADLINE, "the writers are gone", || pipe.read_to_end(&mut rest).is_ok());
    rest
}

/// `MURDERS=100` for the long way. What the daemon took and what is still in the pipe make up all that was written.
#[test]
fn a_killed_daemon_lost_nothing_that_it_had_taken() {
    if cfg!(feature = "portable") {
        return skip("a killed daemon", "without splice it has up to one buffer in its hands");
    }
    let murders: usize = std::env::var("MURDERS").ok().and_then(|count| count.parse().ok()).unwrap_or(8);
    let home = Home::new();
    home.configure(WRITER);
    let (mut d, mut before) = (Daemon::launch(home), [0, 0]);
    for run in 0..murders {
        d.done("start", "a");
        let pid = d.pid_of("a");
        let pipes = [hold(pid, 1), hold(pid, 2)];
        wait_for_lines(&d, run, 1 + any(20_000));
        let home = d.murder();
        assert!(process::alive(pid), "the child does not die with the daemon");
        process::kill(pid);
        process::wait_gone(pid);
        for (of, pipe) in pipes.into_iter().enumerate() {
            let all = whole(&home, STREAMS[of]);
            let taken = all.len() - before[of];
            let bytes = [&all[before[of]..], &drained(pipe)].concat();
            let (count, behind) = lines_of(run, &bytes);
            let story = format!("{}, run {run}, {taken} bytes taken", STREAMS[of]);
            assert!(behind.is_empty(), "{story}: after line {count} come {:?}", &behind[..behind.len().min(50)]);
            assert!(count >= noted(&home)[run][of], "{story}: {count} lines of {}", noted(&home)[run][of]);
            before[of] = all.len();
        }
        d = Daemon::launch(home);
    }
    let (lines, all): (u64, usize) = (noted(&d.home).iter().flatten().sum(), before.iter().sum());
    assert!(all > 0 && lines > 0);
    if murders > 8 {
        println!("{murders} murders, {lines} lines noted, {all} bytes were taken");
    }
    d.assert_well();
}
