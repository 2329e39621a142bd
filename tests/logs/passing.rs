//! Bytes from real pipes into real files without being looked at. Where the system cannot do that, they are read and written,
//! and all of this holds as well.

use crate::scene::{Scene, Small, is_root, make_room};
use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use supervice::engine::time::Instant;
use supervice::logs::rotating_file::Passed;
use supervice::logs::sinks::SinkId;
use supervice::sys::pipe::{Pipe, Spyglass};

struct Stream {
    read: PipeReader,
    write: PipeWriter,
    spyglass: Spyglass,
    /// Bytes in the pipe.
    filled: usize,
    /// Bytes that passed.
    passed: usize,
}

impl Stream {
    fn new() -> Stream {
        let (read, write) = std::io::pipe().unwrap();
        Stream { read, write, spyglass: Spyglass::default(), filled: 0, passed: 0 }
    }

    fn fill(&mut self, bytes: &[u8]) {
        assert!(self.filled + bytes.len() <= 60_000, "it would wait");
        self.write.write_all(bytes).unwrap();
        self.filled += bytes.len();
    }

    /// Empties the pipe as the daemon does; how many bytes were dropped.
    fn serve(&mut self, scene: &mut Scene, id: SinkId, now: Instant) -> usize {
        let mut dropped = 0;
        for _ in 0..1000 {
            if self.filled == 0 {
                return dropped;
            }
            let pipe = Pipe::new(self.read.as_fd(), &mut self.spyglass);
            let passed = pipe.map_or(Passed::Refused, |mut pipe| scene.sinks.pass(id, &mut pipe, 20_000, now));
            match passed {
                Passed::Some(count) if count > 0 => {
                    self.filled -= count;
                    self.passed += count;
                }
                Passed::Nothing => panic!("{} bytes wait", self.filled),
                Passed::Some(_) | Passed::Refused => {
                    let mut buffer = [0; 4096];
                    let count = self.read.read(&mut buffer).unwrap();
                    self.filled -= count;
                    dropped += scene.sinks.write(id, &buffer[..count], now).dropped;
                }
            }
        }
        panic!("the pipe is never empty");
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn numbered_lines_pass_through_rotations() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 50_000, 100);
    let mut stream = Stream::new();
    let lines: Vec<String> = (0..100_000).map(|n| format!("line {n}\n")).collect();
    for part in lines.chunks(2111) {
        stream.fill(part.concat().as_bytes());
        assert_eq!(stream.serve(&mut scene, id, at(1)), 0);
    }
    let mut names = scene.names();
    names.sort_by_key(|name| {
        std::cmp::Reverse(name.rsplit('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0))
    });
    let files: Vec<String> = names.iter().map(|name| scene.read(name)).collect();
    assert_eq!(files.concat(), lines.concat());
    for file in &files[..files.len() - 1] {
        assert!(file.ends_with('\n') && (46_000..=50_000).contains(&file.len()), "{}", file.len());
    }
    if cfg!(all(target_os = "linux", not(feature = "portable"))) {
        assert_eq!(stream.passed, lines.concat().len(), "not one byte was read");
    }
}

#[test]
fn a_full_disk_takes_nothing_that_it_does_not_keep() {
    if !is_root("a_full_disk_takes_nothing_that_it_does_not_keep") {
        return;
    }
    let mut scene = Scene::new();
    let folder = scene.folder("small", 0o755);
    let Some(_mounted) = Small::mount(&folder) else { return };
    fs::write(folder.join("ballast"), vec![0; 20_000]).unwrap();
    let id = scene.open("small/a.log", 0, 0);
    let (mut stream, mut dropped, mut n) = (Stream::new(), 0, 0);
    let mut lines = |count: usize| -> String {
        let text = (n..n + count).map(|n| format!("line {n:05}\n")).collect();
        n += count;
        text
    };
    let mut sent = String::new();
    for _ in 0..20 {
        let text = lines(1000);
        stream.fill(text.as_bytes());
        sent.push_str(&text);
        dropped += stream.serve(&mut scene, id, at(1));
    }
    let kept = scene.read("small/a.log");
    assert!(sent.starts_with(&kept), "what is kept is what came first");
    assert_eq!((kept.len() + dropped, dropped > 0), (sent.len(), true), "and the rest is counted");
    make_room(&folder.join("ballast"));
    stream.fill(b"back\n");
    assert_eq!(stream.serve(&mut scene, id, at(4_000)), 0);
    assert!(scene.read("small/a.log").ends_with("back\n"));
}

#[test]
fn devices_are_written_to_and_never_passed_to() {
    let mut scene = Scene::new();
    let id = scene.sinks.open(&crate::scene::spec(std::path::Path::new("/dev/full"), 0, 0), None).unwrap().unwrap();
    let mut stream = Stream::new();
    stream.fill(b"nowhere to go\n");
    assert_eq!(stream.serve(&mut scene, id, at(1)), 14);
    assert_eq!(stream.passed, 0);
}

#[test]
fn a_file_truncated_by_others_leaves_no_hole() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 0);
    let mut stream = Stream::new();
    for round in 0..5 {
        stream.fill(format!("round {round}\n").as_bytes());
        assert_eq!(stream.serve(&mut scene, id, at(round)), 0);
        assert_eq!(scene.read("a.log"), format!("round {round}\n"));
        fs::File::options().write(true).open(scene.path("a.log")).unwrap().set_len(0).unwrap();
    }
}

#[test]
fn what_others_append_is_not_written_over() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 0);
    let mut stream = Stream::new();
    stream.fill(b"one\n");
    stream.serve(&mut scene, id, at(1));
    fs::File::options().append(true).open(scene.path("a.log")).unwrap().write_all(b"theirs\n").unwrap();
    stream.fill(b"two\n");
    stream.serve(&mut scene, id, at(2));
    assert_eq!(scene.read("a.log"), "one\ntheirs\ntwo\n");
}

#[test]
fn a_log_started_over_by_us_has_no_hole() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 8, 0);
    let mut stream = Stream::new();
    for text in ["one\n", "two\n", "three\n", "four\n"] {
        stream.fill(text.as_bytes());
        stream.serve(&mut scene, id, at(1));
    }
    assert_eq!(scene.read("a.log"), "four\n");
    scene.sinks.file_mut(id).unwrap().clear().unwrap();
    stream.fill(b"five\n");
    stream.serve(&mut scene, id, at(1));
    assert_eq!(scene.read("a.log"), "five\n");
}
