//! Signals to a daemon, however it was started.

use crate::probe;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

struct Ear {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Ear {
    fn start(mut command: Command) -> Ear {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        Ear { child, lines }
    }

    fn send(&self, name: &str) {
        let target = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &target]).status().unwrap().success());
    }

    fn hear(&mut self, name: &str, arrival: &str) {
        self.send(name);
        assert_eq!(self.lines.next().unwrap().unwrap(), arrival);
    }
}

fn hears_everything(command: Command) {
    let mut ear = Ear::start(command);
    ear.hear("HUP", "Hangup");
    ear.hear("USR1", "User1");
    ear.hear("USR2", "User2");
    ear.hear("CHLD", "Child");
    // These would end a process that does not care.
    ear.send("PIPE");
    ear.send("XFSZ");
    ear.hear("HUP", "Hangup");
    ear.hear("TERM", "Terminate(Signal(15))");
    assert!(ear.child.wait().unwrap().success());
}

#[test]
fn each_signal_arrives_as_what_it_asks() {
    hears_everything(probe::command(&["signals"]));
    let mut ear = Ear::start(probe::command(&["signals"]));
    ear.hear("INT", "Terminate(Signal(2))");
    assert!(ear.child.wait().unwrap().success());
}

#[test]
fn a_poisoned_mask_and_ignored_signals_change_nothing() {
    if !probe::has("env") {
        return;
    }
    let mut command = Command::new("env");
    command.args(["--block-signal", "--ignore-signal=HUP,INT,TERM,CHLD,USR1,USR2"]);
    command.arg(probe::path()).arg("signals");
    hears_everything(command);
}
