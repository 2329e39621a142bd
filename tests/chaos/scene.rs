//! The programs, the daemon that keeps them, and the calm in which all must come right.

use crate::harness::*;
use crate::machine::{Cgroup, Mount};
use crate::oracle::Oracle;
use std::time::Duration;

/// Every instance tells by this variable which one it is, and so do all that it starts.
const NAME: &str = "environment = CHAOS=";

/// How long after a storm all has to be as it was.
const CALM: Duration = Duration::from_secs(60);

pub struct Scene {
    daemon: Option<Daemon>,
    pub seed: u64,
    /// A small disk for logs, where mounting is allowed.
    pub disk: Option<Mount>,
    /// Where the number of processes can be limited.
    pub room: Option<Cgroup>,
    pub lives: u32,
    /// Processes that a daemon told of and left alone.
    pub left_alone: u32,
    /// Descriptors at rest.
    descriptors: usize,
    /// Kilobytes at the first calm of this life.
    resident: Option<u64>,
}

/// Thirty instances: (program, how many, command, further options).
const PROGRAMS: [(&str, u32, &str, &str); 8] = [
    ("steady", 6, "{actor}", ""),
    (
        "writer",
        5,
        "sh -c 'while :; do head -c 600 /dev/zero | tr \"\\\\0\" x; echo; sleep 0.5; done'",
        "stdout_logfile = {dir}/disk/w%(process_num)s\nstdout_logfile_maxbytes = 20KB\nstdout_logfile_backups = 2",
    ),
    ("crasher", 4, "{actor} --exit 1 --after 700", ""),
    ("parent", 4, "{actor} --fork-child deaf", "stopwaitsecs = 1"),
    ("deaf", 3, "{actor} --ignore TERM", "stopwaitsecs = 0.5"),
    (
        "checked",
        3,
        "{actor}",
        "healthcheck_type = script\nhealthcheck_command = : a check\nhealthcheck_interval = 1\nhealthcheck_timeout = 5\n\
         healthcheck_retries = 5\nhealthcheck_start_period = 0",
    ),
    ("survivor", 3, "{actor}", "pdeathsig = false\nreconcile = kill\nstopwaitsecs = 2"),
    (
        "packed",
        2,
        "{actor} --lines 400",
        "stdout_logfile = {dir}/p%(process_num)s\nstdout_logfile_maxbytes = 4KB\nstdout_logfile_compress = true\n\
         stdout_logfile_backups = 2",
    ),
];

/// As [`PROGRAMS`]; the other one lacks a program and has another environment for the rest.
fn text(other: bool) -> String {
    let mut text = "shutdown_timeout = 10\n".to_owned();
    for (name, count, command, rest) in PROGRAMS {
        if other && name == "parent" {
            continue;
        }
        let more = if other { ",OTHER=1" } else { "" };
        text += &format!(
            "[program:{name}]\ncommand = {command}\nnumprocs = {count}\nstartsecs = 0\n{NAME}{name}:%(process_num)s{more}\n{rest}\n"
        );
    }
    text
}

impl Scene {
    pub fn new(seed: u64) -> Scene {
        let home = Home::alone();
        let disk = match Mount::tmpfs(&home.join("disk"), 1024) {
            Ok(disk) => Some(disk),
            Err(reason) => {
                skip("chaos: a full disk", &reason);
                None
            }
        };
        let room = match Cgroup::new("pids", "pids.max") {
            Ok(room) => Some(room),
            Err(reason) => {
                skip("chaos: no room for processes", &reason);
                None
            }
        };
        // A build beside a long run must not exchange it.
        home.copy_program(actor(), "actor", 0o755);
        home.configure(&text(false));
        let daemon = Daemon::launch(home);
        let mut scene =
            Scene { daemon: Some(daemon), seed, disk, room, lives: 1, left_alone: 0, descriptors: 0, resident: None };
        scene.enter_room();
        scene
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("there is one but for the moment in which it is exchanged")
    }

    pub fn configure(&self, other: bool) {
        self.daemon().home.configure(&text(other));
    }

    /// SIGKILL, and the next one.
    pub fn murder(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        self.replace(daemon.murder());
    }

    /// SIGTERM, and the next one.
    pub fn exchange(&mut self) {
        let code = self.daemon.as_mut().map(Daemon::terminate);
        assert_eq!(code, Some(0), "{}", self.story());
        self.murder();
    }

    fn replace(&mut self, home: Home) {
        self.daemon = Some(Daemon::launch(home));
        self.end_those_left_alone();
        self.lives += 1;
        self.resident = None;
        self.enter_room();
    }

    /// Whoever was forked and not recorded when the daemon was killed, and whose leader is gone, is told of and left alone: that
    /// is the rule, and the rest is a person's to do.
    fn end_those_left_alone(&mut self) {
        let log = self.daemon().log();
        let life = log.rfind(" starting (pid ").map_or("", |at| &log[at..]);
        for line in life.lines().filter(|line| line.contains("are left alone")) {
            let words = line.rsplit(": pid").next().unwrap_or("").split(|c: char| !c.is_ascii_digit());
            for pid in words.filter_map(|word| word.parse().ok()).filter(|&pid| pid > 1) {
                if process::variable(pid, "CHAOS").is_some() {
                    self.left_alone += 1;
                    process::kill(pid);
                    process::wait_gone(pid);
                }
            }
        }
    }

    fn enter_room(&mut self) {
        if let Some(room) = &self.room {
            room.take(self.daemon().pid());
        }
    }

    /// It ended, and nobody asked for it.
    pub fn check_alive(&mut self) {
        let code = self.daemon.as_mut().and_then(Daemon::try_exit);
        assert_eq!(code, None, "the daemon ended by itself\n{}", self.story());
    }

    /// What a failure wants to show: the last of the log, and where the rest of it is.
    pub fn story(&self) -> String {
        let log = self.daemon().log();
        let kept = std::env::temp_dir().join(format!("chaos-{}.log", self.seed));
        let _ = std::fs::write(&kept, &log);
        println!("chaos: the whole log is in {}", kept.display());
        let lines: Vec<&str> = log.lines().collect();
        format!("seed {}\n{}", self.seed, lines[lines.len().saturating_sub(200)..].join("\n"))
    }

    /// Nothing is thrown any more: everybody runs, once, and nothing is left over.
    pub fn calm(&mut self, oracle: &mut Oracle) {
        self.configure(false);
        let reply = self.daemon().reload();
        assert_eq!(reply["status"], "ok", "{reply}\n{}", self.story());
        let ran = self.daemon().ctl(&["start", "all"]);
        let mut last = String::new();
        let well = wait_for(CALM, || {
            std::thread::sleep(Duration::from_millis(200));
            last = oracle.unrest(self);
            last.is_empty().then_some(())
        });
        assert!(well.is_some(), "no calm after the storm: {last}\nstart all: {ran:?}\n{}", self.story());
        oracle.forget();
        self.check_flat(oracle);
    }

    fn check_flat(&mut self, oracle: &mut Oracle) {
        let pid = self.daemon().pid();
        let count = || process::descriptors(pid).len();
        if self.descriptors == 0 {
            // Crashers come and go, and checks with them.
            self.descriptors =
                (0..40).map(|_| (count(), std::thread::sleep(Duration::from_millis(100))).0).max().unwrap_or(0);
        }
        let back = wait_for(CALM, || (count() <= self.descriptors).then_some(()));
        assert!(
            back.is_some(),
            "{} descriptors, {} before: {:?}\n{}",
            count(),
            self.descriptors,
            process::descriptors(pid),
            self.story()
        );
        let now = process::resident(pid);
        let first = *self.resident.get_or_insert(now);
        oracle.note_rest(count(), now, self.lives);
        assert!(now <= first + 6 * 1024, "{now} KiB, {first} at first\n{}", self.story());
    }

    /// The last order: all go, and nobody is left.
    pub fn end(mut self) {
        let code = self.daemon.as_mut().map(Daemon::terminate);
        assert_eq!(code, Some(0), "{}", self.story());
        let left = self.daemon().home.processes();
        assert!(left.is_empty(), "{left:?} outlive the daemon\n{}", self.story());
        self.daemon = None;
        self.disk = None;
    }
}
