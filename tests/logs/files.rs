//! Real files: appending, rotating, failing, healing.

use std::fs;
use std::path::Path;
use supervice::engine::time::{Duration, Instant};
use supervice::logs::sink::Notice;
use supervice::logs::sinks::{SinkId, Sinks};
use supervice::spec::{LogSpec, LogTarget};
use tempfile::TempDir;

fn spec(path: &Path, maxbytes: u64, backups: u32) -> LogSpec {
    LogSpec { target: LogTarget::File(path.to_owned()), maxbytes, backups }
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

struct Scene {
    folder: TempDir,
    sinks: Sinks,
}

impl Scene {
    fn new() -> Scene {
        Scene { folder: tempfile::tempdir().unwrap(), sinks: Sinks::new(0o022) }
    }

    fn open(&mut self, name: &str, maxbytes: u64, backups: u32) -> SinkId {
        let path = self.folder.path().join(name);
        self.sinks.open(&spec(&path, maxbytes, backups), None).unwrap().unwrap()
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.folder.path().join(name)).unwrap()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write(&mut self, id: SinkId, text: &str, seconds: u64) -> usize {
        let written = self.sinks.write(id, text.as_bytes(), at(seconds));
        assert_eq!(written.written + written.dropped, text.len());
        written.dropped
    }
}

#[test]
fn appends_to_what_is_there() {
    let mut scene = Scene::new();
    fs::write(scene.folder.path().join("a.log"), "old\n").unwrap();
    let id = scene.open("a.log", 0, 0);
    assert_eq!(scene.write(id, "new\n", 0), 0);
    assert_eq!(scene.read("a.log"), "old\nnew\n");
}

#[test]
fn rotates_with_the_newest_at_one() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 8, 2);
    for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
        scene.write(id, line, 0);
    }
    assert_eq!(scene.names(), ["a.log", "a.log.1", "a.log.2"]);
    assert_eq!((scene.read("a.log.2"), scene.read("a.log.1")), ("four\n".into(), "five\n".into()));
    assert_eq!(scene.read("a.log"), "six\n");
}

#[test]
fn full_device_is_counted_and_told() {
    let mut scene = Scene::new();
    let id = scene.sinks.open(&spec(Path::new("/dev/full"), 100, 1), None).unwrap().unwrap();
    assert_eq!(scene.write(id, "lost\n", 0), 5);
    assert_eq!(scene.write(id, "lost\n", 1), 5);
    let notices = scene.sinks.on_deadline(at(1));
    let [(_, Notice::Failing { cause, dropped_bytes: 10, outage_bytes: 10, .. })] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert_eq!(cause.to_string(), "ENOSPC (No space left on device)");
}
