//! What is thrown at daemon and programs, and how it is taken back.

use crate::harness::Dice;
use crate::harness::*;
use crate::scene::Scene;
use nix::sys::signal::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

const NAMES: [(&str, u64); 8] = [
    ("steady", 6),
    ("writer", 5),
    ("crasher", 4),
    ("parent", 4),
    ("deaf", 3),
    ("checked", 3),
    ("survivor", 3),
    ("packed", 2),
];

/// Something that lasts for a while.
enum Undo {
    Thaw(i32),
    Disk,
    Room,
    Descriptors,
}

pub struct Deeds {
    dice: Dice,
    undo: Vec<(Instant, Undo)>,
    /// Clients that wait for an answer, or never will.
    clients: Vec<Client>,
    count: BTreeMap<&'static str, u32>,
}

impl Deeds {
    pub fn new(dice: Dice) -> Deeds {
        Deeds { dice, undo: Vec::new(), clients: Vec::new(), count: BTreeMap::new() }
    }

    /// One thing, and a breath.
    pub fn one(&mut self, scene: &mut Scene) {
        self.undo_due(scene);
        let name = match self.dice.roll(1000) {
            0..300 => self.order(scene),
            300..480 => self.kill_program(scene),
            480..560 => self.freeze_program(scene),
            560..640 => self.reload(scene),
            640..700 => self.signal_daemon(scene),
            700..740 => self.freeze_daemon(scene),
            740..790 => self.take_descriptors(scene),
            790..840 => self.fill_disk(scene),
            840..890 => self.take_room(scene),
            890..900 => self.murder(scene),
            900..903 => self.exchange(scene),
            _ => self.leave(),
        };
        *self.count.entry(name).or_default() += 1;
        std::thread::sleep(Duration::from_millis(20 + self.dice.roll(130)));
    }

    pub fn told(&self) -> String {
        let words: Vec<String> = self.count.iter().map(|(what, count)| format!("{what} {count}")).collect();
        words.join(", ")
    }

    pub fn undo_all(&mut self, scene: &mut Scene) {
        for (_, undo) in std::mem::take(&mut self.undo) {
            take_back(&undo, scene);
        }
        self.clients.clear();
    }

    /// Takes back what keeps clients out.
    pub fn give_descriptors(&mut self, scene: &mut Scene) {
        let (due, later) =
            std::mem::take(&mut self.undo).into_iter().partition(|(_, undo)| matches!(undo, Undo::Descriptors));
        self.undo = later;
        let due: Vec<(Instant, Undo)> = due;
        due.iter().for_each(|(_, undo)| take_back(undo, scene));
    }

    fn undo_due(&mut self, scene: &mut Scene) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.undo).into_iter().partition(|(at, _)| *at <= now);
        self.undo = later;
        let due: Vec<(Instant, Undo)> = due;
        due.iter().for_each(|(_, undo)| take_back(undo, scene));
    }

    fn later(&mut self, undo: Undo) {
        let wait = Duration::from_millis(300 + self.dice.roll(2500));
        self.undo.push((Instant::now() + wait, undo));
    }

    fn name(&mut self) -> String {
        let (name, count) = NAMES[self.dice.roll(NAMES.len() as u64) as usize];
        format!("{name}:{:02}", self.dice.roll(count))
    }

    fn order(&mut self, scene: &Scene) -> &'static str {
        let name = self.name();
        let request = match self.dice.roll(12) {
            0 | 1 => json!({"command": "stop", "name": name}),
            2..=5 => json!({"command": "start", "name": name}),
            6 | 7 => json!({"command": "restart", "name": name}),
            8 => json!({"command": "restart", "name": name, "force": true}),
            9 => json!({"command": "status"}),
            10 => json!({"command": "tail", "name": "writer:00", "follow": true}),
            _ => json!({"command": "nonsense", "name": name}),
        };
        let Ok(mut client) = Client::connect(&scene.daemon().home.socket()) else { return "orders refused" };
        if client.send(&request).is_ok() {
            self.clients.push(client);
        }
        if self.clients.len() > 20 {
            let gone = self.dice.roll(20) as usize;
            self.clients.swap_remove(gone);
        }
        "orders"
    }

    fn leave(&mut self) -> &'static str {
        if let Some(client) = self.clients.pop() {
            client.patience(Duration::from_millis(5));
            drop(client);
        }
        "clients that left"
    }

    fn somebody(&mut self, scene: &Scene) -> Option<i32> {
        let daemon = scene.daemon().pid();
        let others: Vec<i32> = scene.daemon().home.processes().into_iter().filter(|&pid| pid != daemon).collect();
        pick(&mut self.dice, &others).copied()
    }

    fn kill_program(&mut self, scene: &Scene) -> &'static str {
        let signal = if self.dice.one_in(3) { Signal::SIGSEGV } else { Signal::SIGKILL };
        if let Some(pid) = self.somebody(scene) {
            process::signal(pid, signal);
        }
        "programs killed"
    }

    fn freeze_program(&mut self, scene: &Scene) -> &'static str {
        if let Some(pid) = self.somebody(scene) {
            process::signal(pid, Signal::SIGSTOP);
            self.later(Undo::Thaw(pid));
        }
        "programs stopped"
    }

    fn reload(&mut self, scene: &Scene) -> &'static str {
        scene.configure(self.dice.one_in(2));
        if self.dice.one_in(3) {
            scene.daemon().signal(Signal::SIGHUP);
        } else if let Ok(mut client) = Client::connect(&scene.daemon().home.socket())
            && client.send(&json!({"command": "reload"})).is_ok()
        {
            self.clients.push(client);
        }
        "reloads"
    }

    fn signal_daemon(&mut self, scene: &Scene) -> &'static str {
        let signals = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGCHLD, Signal::SIGPIPE];
        if let Some(&signal) = pick(&mut self.dice, &signals) {
            scene.daemon().signal(signal);
        }
        "signals to the daemon"
    }

    fn freeze_daemon(&mut self, scene: &Scene) -> &'static str {
        scene.daemon().signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(50 + self.dice.roll(1500)));
        scene.daemon().signal(Signal::SIGCONT);
        "daemon stopped"
    }

    fn take_descriptors(&mut self, scene: &Scene) -> &'static str {
        let room = process::descriptors(scene.daemon().pid()).len() as u64 + self.dice.roll(4);
        limit_descriptors(scene, room);
        self.later(Undo::Descriptors);
        "without descriptors"
    }

    fn fill_disk(&mut self, scene: &Scene) -> &'static str {
        if scene.disk.is_none() {
            return "full disks (skipped)";
        }
        // It is to fail when nothing is left.
        let _ = std::fs::write(scene.daemon().home.join("disk/filler"), vec![0; 2 << 20]);
        self.later(Undo::Disk);
        "full disks"
    }

    fn take_room(&mut self, scene: &Scene) -> &'static str {
        let Some(room) = &scene.room else { return "no room for processes (skipped)" };
        room.set("pids.max", "1");
        self.later(Undo::Room);
        "no room for processes"
    }

    fn murder(&mut self, scene: &mut Scene) -> &'static str {
        self.before_another(scene);
        scene.murder();
        "daemons killed"
    }

    fn exchange(&mut self, scene: &mut Scene) -> &'static str {
        self.before_another(scene);
        scene.exchange();
        "daemons exchanged"
    }

    /// A start is not what is tried; its clients go with the daemon.
    fn before_another(&mut self, scene: &mut Scene) {
        self.undo_all(scene);
    }
}

fn limit_descriptors(scene: &Scene, soft: u64) {
    let pid = scene.daemon().pid().to_string();
    // Where it is not allowed, nothing is thrown, and the rest of the storm goes on.
    let _ = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:")]).output();
}

fn take_back(undo: &Undo, scene: &mut Scene) {
    match undo {
        Undo::Thaw(pid) => process::signal(*pid, Signal::SIGCONT),
        Undo::Disk => drop(std::fs::remove_file(scene.daemon().home.join("disk/filler"))),
        Undo::Room => {
            if let Some(room) = &scene.room {
                room.set("pids.max", "max");
            }
        }
        Undo::Descriptors => {
            let (_, hard) = process::limit(scene.daemon().pid(), "Max open files");
            limit_descriptors(scene, hard.parse().unwrap_or(4096));
        }
    }
}

fn pick<'a, T>(dice: &mut Dice, among: &'a [T]) -> Option<&'a T> {
    among.get(dice.roll(among.len() as u64) as usize)
}
