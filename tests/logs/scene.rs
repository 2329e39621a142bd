//! A fresh folder with a registry of sinks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use supervice::engine::time::{Duration, Instant};
use supervice::logs::sink::Notice;
use supervice::logs::sinks::{SinkId, Sinks};
use supervice::spec::{LogFormat, LogSpec, LogTarget};
use tempfile::TempDir;

pub fn spec(path: &Path, maxbytes: u64, backups: u32) -> LogSpec {
    LogSpec { target: LogTarget::File(path.to_owned()), maxbytes, backups, compress: false, format: LogFormat::Raw }
}

pub fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

/// Whether the test can play with users and mounts; says so where not.
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("{test}: skipped, needs root");
    }
    root
}

pub struct Scene {
    folder: TempDir,
    pub sinks: Sinks,
}

impl Scene {
    pub fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        // Other users have to get through it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Scene { folder, sinks: Sinks::new(0o022, None) }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self, name: &str, mode: u32) -> PathBuf {
        fs::create_dir(self.path(name)).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self.path(name)
    }

    pub fn open(&mut self, name: &str, maxbytes: u64, backups: u32) -> SinkId {
        let path = self.path(name);
        self.sinks.open(&spec(&path, maxbytes, backups), None).unwrap().unwrap()
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Returns how many bytes were dropped.
    pub fn write(&mut self, id: SinkId, text: &str, seconds: u64) -> usize {
        let written = self.sinks.write(id, text.as_bytes(), at(seconds));
        assert_eq!(written.written + written.dropped, text.len());
        written.dropped
    }

    pub fn notices(&mut self, seconds: u64) -> Vec<Notice> {
        let notices = self.sinks.on_deadline(at(seconds));
        assert!(self.sinks.deadline().is_none_or(|deadline| deadline > at(seconds)), "deadlines advance");
        notices.into_iter().map(|(_, notice)| notice).collect()
    }
}

/// Removes a file so that its room is free at once: a child of another test that is still on its way to its exec may hold
/// it open until then.
pub fn make_room(path: &Path) {
    fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    fs::remove_file(path).unwrap();
}

/// A mounted file system that goes away with the test.
pub struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    pub fn mount(at: &'a Path) -> Option<Small<'a>> {
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(at).output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: cannot mount a tmpfs");
        }
        mounted.then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let status = std::process::Command::new("umount").arg("-l").arg(self.0).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}
