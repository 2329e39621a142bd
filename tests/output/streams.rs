//! Bytes of every kind and speed, on their way from a pipe into a file.

use crate::harness::*;
use nix::sys::signal::Signal;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::Duration;

/// As the actor writes it with `--bytes`.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| b'a' + ((place / 7 + place) % 26) as u8).collect()
}

fn bytes(d: &Daemon, name: &str) -> Vec<u8> {
    fs::read(d.home.join(name)).unwrap_or_default()
}

/// A log and its backups in the order in which they were written.
fn whole(d: &Daemon, name: &str, backups: u32) -> Vec<u8> {
    let files = (1..=backups).rev().map(|number| format!("{name}.{number}")).chain([name.to_owned()]);
    files.flat_map(|file| bytes(d, &file)).collect()
}

/// Not `assert_eq`: a failure need not print megabytes.
#[track_caller]
fn assert_same(found: &[u8], expected: &[u8]) {
    let common = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    let (found, expected) = (found.len(), expected.len());
    assert!(common == found && common == expected, "alike for {common} bytes; {found} there, {expected} expected");
}

/// Another writer for a stream of a process.
fn writer(pid: i32, descriptor: u32) -> File {
    OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/{descriptor}")).unwrap()
}

#[test]
fn row_34_no_byte_is_lost_at_the_end() {
    let d = Daemon::start(
        "[program:leaves]\ncommand = {actor} --bytes 1048576 --exit 0\nstdout_logfile = {dir}/leaves\nautorestart = no\nstartsecs = 0\n\
         [program:dies]\ncommand = {actor} --bytes 1048576 --die-of KILL\nstdout_logfile = {dir}/dies\nautorestart = no\nstartsecs = 0\n\
         [program:stops]\ncommand = {actor} --bytes 3000000 --on-term-print 100000 --touch {dir}/t\nstdout_logfile = {dir}/stops\n\
         startsecs = 0\nstdout_logfile_maxbytes = 250KB\nstdout_logfile_backups = 50\n",
    );
    d.wait_file("t");
    d.done("stop", "stops");
    let last_words = [pattern(3_000_000), pattern(100_000)].concat();
    d.wait("the last words", || (whole(&d, "stops", 50).len() >= last_words.len()).then_some(()));
    assert_same(&whole(&d, "stops", 50), &last_words);
    for name in ["leaves", "dies"] {
        d.wait_state(name, "EXITED");
        d.wait("all is there", || (bytes(&d, name).len() >= 1 << 20).then_some(()));
        assert_same(&bytes(&d, name), &pattern(1 << 20));
    }
}

#[test]
fn row_34_a_shutdown_reads_the_pipes_until_they_are_empty() {
    let mut d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child leaver --bytes 500000 --on-term-print 100000 --touch {dir}/t\n\
         stdout_logfile = {dir}/o\nstartsecs = 0\n",
    );
    d.wait_file("t");
    assert_eq!(d.terminate(), 0);
    assert_same(&bytes(&d, "o"), &[pattern(500_000), pattern(100_000)].concat());
}

#[test]
fn row_37_a_flood_starves_nobody() {
    let d = Daemon::start(
        "[program:flood]\ncommand = yes\nnumprocs = 4\nstdout_logfile = {dir}/flood%(process_num)s\nstartsecs = 0\n\
         stdout_logfile_maxbytes = 1MB\nstdout_logfile_backups = 1\n\
         [program:quiet]\ncommand = sh -c 'n=0; while [ $n -lt 100 ]; do n=$((n+1)); echo $n; sleep 0.01; done; exec sleep 1000'\n\
         stdout_logfile = {dir}/quiet\nstartsecs = 0\n",
    );
    d.wait("the flood is on", || d.home.join("flood00.1").exists().then_some(()));
    let before = process::resident(d.pid());
    let expected: String = (1..=100).map(|n| format!("{n}\n")).collect();
    d.wait("the quiet one is heard", || (d.rows().len() == 5 && d.home.read("quiet") == expected).then_some(()));
    let after = process::resident(d.pid());
    assert!(after < before + 2048, "from {before} to {after} KiB");
    d.done("stopgroup", "flood");
    for number in 0..4 {
        for name in [format!("flood{number:02}"), format!("flood{number:02}.1")] {
            assert!(bytes(&d, &name).len() <= 1 << 20, "{name}");
        }
    }
    d.assert_well();
}

#[test]
fn row_38_megabytes_without_a_line_end() {
    const LENGTH: usize = 20_000_000;
    let d = Daemon::start(&format!(
        "[program:a]\ncommand = {{actor}} --bytes {LENGTH} --exit 0\nstdout_logfile = {{dir}}/o\nautorestart = no\nstartsecs = 0\n\
         stdout_logfile_maxbytes = 1MB\nstdout_logfile_backups = 30\n"
    ));
    d.wait_state("a", "EXITED");
    d.wait("all is there", || (whole(&d, "o", 30).len() >= LENGTH).then_some(()));
    assert_same(&whole(&d, "o", 30), &pattern(LENGTH));
    assert!((1..=30).all(|number| bytes(&d, &format!("o.{number}")).len() <= 1 << 20));
}

/// Each of them writes all of it by one call, and is let go on in the middle of it again and again.
#[test]
fn large_writes_of_many_are_read_to_their_end() {
    const LENGTH: usize = 8_000_000;
    let d = Daemon::start(&format!(
        "[program:a]\ncommand = {{actor}} --bytes {LENGTH} --touch {{dir}}/t\nnumprocs = 8\nstartsecs = 0\n\
         stdout_logfile = {{dir}}/o%(process_num)s\nstdout_logfile_maxbytes = 1MB\nstdout_logfile_backups = 9\n"
    ));
    d.wait_within(3 * DEADLINE, "nobody waits for the pipe", || (d.home.pids("t").len() == 8).then_some(()));
    for number in 0..8 {
        let name = format!("o{number:02}");
        d.wait("all is there", || (whole(&d, &name, 9).len() >= LENGTH).then_some(()));
        assert_same(&whole(&d, &name, 9), &pattern(LENGTH));
    }
}

#[test]
fn row_39_two_programs_in_one_file() {
    let program = |name: &str| {
        format!(
            "[program:{name}]\ncommand = sh -c 'yes {name}{name}{name} | head -n 100000; exec {{actor}}'\nstartsecs = 0\n\
             stdout_logfile = {{dir}}/o\nstdout_logfile_maxbytes = 200KB\nstdout_logfile_backups = 20\n"
        )
    };
    let d = Daemon::start(&["a", "b"].map(program).concat());
    let line = d.wait_log("/o` is written by `a` and by `b`");
    assert!(line.contains(" WARNING "), "{line}");
    d.wait("all is there", || (whole(&d, "o", 20).len() >= 800_000).then_some(()));
    let all = whole(&d, "o", 20);
    let count = |letter| all.iter().filter(|byte| **byte == letter).count();
    assert_eq!((all.len(), count(b'a'), count(b'b'), count(b'\n')), (800_000, 300_000, 300_000, 200_000));
    assert!((1..=20).all(|number| bytes(&d, &format!("o.{number}")).len() <= 200 << 10), "one writer rotates for both");
}

/// Bursts around every size at which a serving might stop: each is written though nothing follows it.
#[test]
fn what_was_read_in_part_is_read_on_without_another_event() {
    let d = Daemon::start(
        "[program:raw]\ncommand = {actor}\nstdout_logfile = {dir}/raw\nstartsecs = 0\n\
         [program:lines]\ncommand = {actor}\nstdout_logfile = {dir}/lines\nstartsecs = 0\nlog_format = timestamp\n",
    );
    d.wait_all("RUNNING");
    let lines = |name: &str| bytes(&d, name).iter().filter(|byte| **byte == b'\n').count();
    for name in ["raw", "lines"] {
        let mut pipe = writer(d.pid_of(name), 1);
        let mut written = 0;
        for size in
            [1, 4096, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 200_000, 1 << 20, (1 << 20) + 1, 3_000_000]
        {
            for pieces in [1, 7] {
                let line = [vec![b'x'; size / pieces], b"\n".to_vec()].concat();
                for _ in 0..pieces {
                    pipe.write_all(&line).unwrap();
                    // Pieces of long lines are lines too.
                    written += if name == "raw" { 1 } else { (line.len() - 1).div_ceil(64 << 10).max(1) };
                }
                d.wait("nothing is left in the pipe", || (lines(name) >= written).then_some(()));
            }
        }
        assert_eq!(lines(name), written, "{name}");
    }
}

#[test]
fn a_quiet_stream_costs_no_buffer() {
    const STREAMS: usize = 100;
    let d = Daemon::start(&format!(
        "[program:p]\ncommand = {{actor}}\nnumprocs = {STREAMS}\nstartsecs = 0\nlog_format = json\nstdout_logfile = {{dir}}/o%(process_num)s\n"
    ));
    d.wait_all("RUNNING");
    let before = process::resident(d.pid());
    let line = [vec![b'x'; 60 << 10], b"\n".to_vec()].concat();
    for row in d.rows() {
        // The begin of a line has to be kept until its end comes.
        let mut pipe = writer(row.pid.unwrap(), 1);
        pipe.write_all(&line[..50_000]).unwrap();
        pipe.write_all(&line[50_000..]).unwrap();
    }
    d.wait("all are written", || {
        let size = |number: usize| fs::metadata(d.home.join(&format!("o{number:02}"))).map_or(0, |facts| facts.len());
        (0..STREAMS).all(|number| size(number) as usize > line.len()).then_some(())
    });
    let after = process::resident(d.pid());
    assert!(after < before + 2048, "from {before} to {after} KiB for {STREAMS} streams that were busy once");
    d.assert_well();
}

#[test]
fn a_pipe_is_left_as_it_was_given() {
    // The daemon's end is non-blocking, the program's is not: it would see errors that it does not know.
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstdout_logfile = {dir}/o\nstartsecs = 0\n");
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    let flags = fs::read_to_string(format!("/proc/{pid}/fdinfo/1")).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_eq!(i32::from_str_radix(flags, 8).unwrap() & libc::O_NONBLOCK, 0, "{flags}");
}

/// What a person cannot see from outside: a pipe that is full while the daemon stands still is no loss either.
#[test]
fn a_daemon_that_stood_still_loses_nothing() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --bytes 2000000 --touch {dir}/t\nstdout_logfile = {dir}/o\nstartsecs = 0\nautostart = no\n",
    );
    let mut order = d.begin(serde_json::json!({"command": "start", "name": "a"}));
    d.wait("some bytes", || (!bytes(&d, "o").is_empty()).then_some(()));
    d.signal(Signal::SIGSTOP);
    assert!(wait_for(Duration::from_millis(300), || None::<()>).is_none());
    d.signal(Signal::SIGCONT);
    assert_eq!(order.receive().unwrap()["status"], "ok");
    d.wait_file("t");
    d.wait("all is there", || (bytes(&d, "o").len() >= 2_000_000).then_some(()));
    assert_same(&bytes(&d, "o"), &pattern(2_000_000));
}
