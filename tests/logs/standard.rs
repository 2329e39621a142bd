//! The daemon's own stdout: never waited for, never switched to non-blocking, bounded when its reader is slow.

use crate::scene::at;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use supervice::engine::time::{Duration, Instant};
use supervice::logs::loss::Cause;
use supervice::logs::sink::Notice;
use supervice::logs::standard::{BACKLOG_MAX, Outlet, StandardStream};
use supervice::sys::standard::Standard;

fn pipe() -> (std::fs::File, OwnedFd) {
    let (read, write) = nix::unistd::pipe().unwrap();
    (read.into(), write)
}

fn stream(fd: BorrowedFd<'_>) -> StandardStream<Standard> {
    StandardStream::new("/dev/stdout", Standard::over(fd).unwrap())
}

fn is_blocking(fd: impl AsFd) -> bool {
    let flags = OFlag::from_bits_truncate(fcntl(fd.as_fd(), FcntlArg::F_GETFL).unwrap());
    !flags.contains(OFlag::O_NONBLOCK)
}

/// Reads as much as there is.
fn drain(reader: &mut std::fs::File) -> Vec<u8> {
    fcntl(reader.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_slow_reader_costs_bounded_memory_and_counted_drops() {
    let (mut reader, writer) = pipe();
    let mut stream = stream(writer.as_fd());
    let mut sent = Vec::new();
    let mut dropped = 0;
    for number in 0..40_000_u64 {
        let line = format!("line {number}\n");
        let written = stream.write(line.as_bytes(), at(0));
        sent.extend_from_slice(&line.as_bytes()[..written.written]);
        dropped += written.dropped as u64;
    }
    assert!(dropped > 0 && sent.len() <= 65536 + BACKLOG_MAX);
    assert!(is_blocking(&writer), "the inherited description stays as it was");
    let notice = stream.take_notice(at(0));
    assert!(matches!(notice, Some(Notice::Failing { cause: Cause::SlowReader, .. })), "{notice:?}");
    let mut got = drain(&mut reader);
    assert!(stream.deadline().is_some_and(|deadline| deadline <= at(1)), "looked again within a second");
    stream.on_deadline(at(1));
    let notice = stream.take_notice(at(1));
    assert!(matches!(notice, Some(Notice::Recovered { outage_bytes, .. }) if outage_bytes == dropped), "{notice:?}");
    got.extend(drain(&mut reader));
    assert_eq!(got, sent, "in order, and nothing but what was said to be dropped is missing");
    assert_eq!((stream.deadline(), stream.dropped_bytes()), (None, dropped));
}

#[test]
fn a_reader_that_is_gone_is_survived() {
    let (reader, writer) = pipe();
    let mut stream = stream(writer.as_fd());
    drop(reader);
    let written = stream.write(b"lost\n", at(0));
    assert_eq!((written.written, written.dropped), (0, 5));
    let notice = stream.take_notice(at(0));
    let Some(Notice::Failing { cause, dropped_bytes: 5, .. }) = notice else { panic!("{notice:?}") };
    assert_eq!(cause.to_string(), "EPIPE (Broken pipe)");
}

#[test]
fn a_pipe_without_a_description_of_our_own_is_asked_first() {
    // Without a reader the pipe cannot be opened once more, so this one is asked.
    let (reader, writer) = pipe();
    drop(reader);
    let mut standard = Standard::over(writer.as_fd()).unwrap();
    assert_eq!(standard.write(b"lost\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(is_blocking(&writer));
}

#[test]
fn a_redirected_file_shares_its_offset() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"from before\n").unwrap();
    let mut stream = stream(file.as_fd());
    assert_eq!(stream.write(b"ours\n", at(0)).dropped, 0);
    file.write_all(b"from others\n").unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from before\nours\nfrom others\n");
}

#[test]
fn a_socket_is_written_without_waiting() {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut stream = stream(ours.as_fd());
    let mut kept = 0;
    for _ in 0..200 {
        kept += stream.write(&[b'x'; 4096], at(0)).written;
    }
    assert!(stream.dropped_bytes() > 0 && is_blocking(&ours));
    theirs.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    for second in 1..200 {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(read @ 1..) = theirs.read(&mut buffer) {
            got.extend_from_slice(&buffer[..read]);
        }
        stream.on_deadline(at(second));
    }
    assert_eq!(got.len(), kept);
}

#[test]
fn a_terminal_that_stands_still_holds_nobody_up() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut stream = stream(terminal.slave.as_fd());
    for _ in 0..100 {
        let _counted = stream.write(&[b'x'; 4096], at(0));
    }
    assert!(stream.dropped_bytes() > 0);
    assert!(is_blocking(&terminal.slave));
}

type Answer = Result<usize, io::ErrorKind>;

/// What an outlet will say, one after the other; then it takes all.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<(VecDeque<Answer>, Vec<u8>)>>);

impl Script {
    fn says(&self, answers: &[Answer]) {
        self.0.borrow_mut().0.extend(answers);
    }

    fn got(&self) -> String {
        String::from_utf8(self.0.borrow().1.clone()).unwrap()
    }
}

impl Outlet for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut script = self.0.borrow_mut();
        let taken = script.0.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
        script.1.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
}

#[test]
fn what_does_not_fit_waits_its_turn() {
    let script = Script::default();
    let mut stream = StandardStream::new("/dev/stdout", script.clone());
    script.says(&[Ok(2), Err(io::ErrorKind::WouldBlock), Err(io::ErrorKind::WouldBlock)]);
    assert_eq!(stream.write(b"one\n", at(0)).dropped, 0);
    assert_eq!(stream.write(b"two\n", at(0)).dropped, 0);
    assert_eq!(script.got(), "on");
    stream.on_deadline(at(1));
    assert_eq!((script.got().as_str(), stream.deadline()), ("one\ntwo\n", None));
}

#[test]
fn looks_at_a_full_pipe_grow_rare() {
    let script = Script::default();
    let mut stream = StandardStream::new("/dev/stdout", script.clone());
    script.says(&[Err(io::ErrorKind::WouldBlock); 12]);
    let _kept = stream.write(b"x", Instant::ZERO);
    let mut now = Instant::ZERO;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let deadline = stream.deadline().unwrap();
        pauses.push(deadline.since(now).as_millis());
        now = deadline;
        stream.on_deadline(now);
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
}

#[test]
fn a_backlog_lost_by_an_error_is_counted() {
    let script = Script::default();
    let mut stream = StandardStream::new("/dev/stdout", script.clone());
    script.says(&[Err(io::ErrorKind::WouldBlock), Ok(1), Err(io::ErrorKind::BrokenPipe)]);
    assert_eq!(stream.write(b"abc", at(0)).written, 3);
    stream.on_deadline(at(1));
    assert_eq!((script.got().as_str(), stream.dropped_bytes()), ("a", 2));
    assert_eq!(stream.write(b"def", at(1)).dropped, 3, "not asked again at once");
    assert_eq!(stream.write(b"ghi", at(1) + Duration::from_secs(5)).written, 3);
    let notice = stream.last_notice(at(9));
    assert!(matches!(notice, Some(Notice::Recovered { dropped_bytes: 5, .. })), "{notice:?}");
}

#[test]
fn closing_tries_once_more_and_counts_the_rest() {
    let script = Script::default();
    let mut stream = StandardStream::new("/dev/stdout", script.clone());
    script.says(&[Err(io::ErrorKind::WouldBlock), Ok(1), Err(io::ErrorKind::WouldBlock)]);
    let _kept = stream.write(b"abc", at(0));
    let notice = stream.last_notice(at(0));
    assert!(matches!(notice, Some(Notice::Failing { dropped_bytes: 2, .. })), "{notice:?}");
    assert_eq!(script.got(), "a");
}

#[test]
fn what_is_dropped_tears_no_line() {
    let (mut reader, writer) = pipe();
    let mut stream = stream(writer.as_fd());
    let (mut got, mut dropped) = (Vec::new(), 0);
    for number in 0..3000_u64 {
        let lines = format!("{number} {}\n{number} second\n", "x".repeat(number as usize % 9000));
        dropped += stream.write(lines.as_bytes(), at(number)).dropped;
        if number % 50 == 0 {
            got.extend(drain(&mut reader));
        }
    }
    for second in 3000..3010 {
        stream.on_deadline(at(second));
        got.extend(drain(&mut reader));
    }
    assert!(dropped > 0);
    for line in String::from_utf8(got).unwrap().lines() {
        let (number, rest) = line.split_once(' ').unwrap();
        let whole = "x".repeat(number.parse::<usize>().unwrap() % 9000);
        assert!(rest == whole || rest == "second", "torn: {} bytes of line {number}", rest.len());
    }
}
