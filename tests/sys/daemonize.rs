//! Into the background: the first process speaks for the daemon.

use crate::arena::{is_alive, wait_for};
use crate::probe;
use std::process::Stdio;

#[test]
fn the_launcher_returns_when_the_daemon_is_ready_and_holds_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.pid");
    let mut command = probe::command(&["daemonize", "ready", path.to_str().unwrap()]);
    command.current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // Held by the final process, and stdio was let go: else `output` would still wait.
    let pid = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    assert!(is_alive(&pid));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "an early word\n");
    let facts = wait_for("facts", || {
        std::fs::read_to_string(path.with_extension("facts")).ok().filter(|text| !text.is_empty())
    });
    let [launcher, daemon, place] = facts.split(' ').collect::<Vec<_>>()[..] else { panic!("{facts}") };
    assert_ne!(launcher, pid);
    assert_eq!(daemon, pid);
    assert_eq!(place, format!("{:?}", folder.path().canonicalize().unwrap()));
    for descriptor in 0..=2 {
        let link = std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(link.to_str(), Some("/dev/null"));
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_ne!(fields[3], pid, "no leader of its session");
    assert_eq!(fields[4], "0", "no terminal");
    std::fs::write(path.with_extension("end"), "").unwrap();
    wait_for("the end of the daemon", || (!is_alive(&pid)).then_some(()));
    assert!(!path.exists());
}

#[test]
fn the_launcher_hands_on_words_and_code_of_a_daemon_that_fails() {
    let output = probe::command(&["daemonize", "fail", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(probe::text(&output), "the socket is taken\nby another\n");
}

#[test]
fn a_daemon_that_dies_before_its_word_is_a_failure() {
    let output = probe::command(&["daemonize", "die", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(probe::text(&output), "the daemon died before it was ready\n");
    assert_eq!(probe::command(&["die-unready"]).status().unwrap().code(), Some(1));
}

#[test]
fn closed_stdio_is_filled_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("links");
    probe::said(probe::command(&["stdio", path.to_str().unwrap()]));
    let null = "Ok(\"/dev/null\")";
    assert_eq!(std::fs::read_to_string(path).unwrap(), format!("[{null}, {null}, {null}]"));
}

#[test]
fn a_daemon_started_with_sigchld_ignored_comes_up_all_the_same() {
    if !probe::has("env") {
        return;
    }
    let mut command = std::process::Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(probe::path()).args(["daemonize", "fail", "/nowhere"]);
    assert_eq!(command.status().unwrap().code(), Some(42));
}
