//! `supervicectl`: commands, words, tables and exit codes.

use crate::harness::*;
use std::os::unix::net::UnixListener;
use std::time::Duration;

fn ctl(home: &Home, arguments: &[&str]) -> Ran {
    run(home.command(supervicectl()).args(arguments), DEADLINE + DEADLINE)
}

#[test]
fn usage_version_and_help() {
    let home = Home::new();
    for arguments in
        [&[][..], &["frobnicate"], &["start"], &["status", "--force"], &["--timeout", "x", "status"], &["-s"]]
    {
        let ran = ctl(&home, arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    let version = ctl(&home, &["--version"]);
    assert_eq!((version.code, version.stdout.trim()), (0, concat!("supervicectl ", env!("CARGO_PKG_VERSION"))));
    let help = ctl(&home, &["-h"]);
    assert_eq!(help.code, 0);
    for word in ["status", "start", "stop", "restart", "startgroup", "stopgroup", "reload", "--timeout", "--force"] {
        assert!(help.stdout.contains(word), "{word} is not in {help:?}");
    }
    assert!(ctl(&home, &[]).stderr.contains("startgroup"), "help goes to stderr without a command");
}

#[test]
fn no_daemon_is_exit_1() {
    let home = Home::new();
    let socket = home.socket().display().to_string();
    for command in [&["status"][..], &["start", "a"], &["reload"]] {
        let ran = ctl(&home, &[&["-s", &socket], command].concat());
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_eq!(ran.stderr.trim(), "Supervice is not running (socket not found)");
    }
}

#[test]
fn no_call_hangs_past_its_timeout() {
    let home = Home::new();
    let _silent = UnixListener::bind(home.socket()).unwrap();
    let ran = ctl(&home, &["-s", &home.socket().display().to_string(), "--timeout", "0.5", "status"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!ran.stderr.is_empty());
    assert!(ran.took > Duration::from_millis(450) && ran.took < Duration::from_secs(40), "{ran:?}");
}

#[test]
fn all_seven_commands_as_the_daemon_words_them() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n[group:g]\nprograms = a\n");
    let ok = |arguments: &[&str], words: &str| {
        let ran = d.ctl(arguments);
        assert_eq!((ran.code, ran.stdout.trim(), ran.stderr.as_str()), (0, words, ""), "{arguments:?}\n{}", d.story());
    };
    ok(&["start", "a"], "Started a");
    ok(&["start", "a"], "a is already running");
    ok(&["restart", "a"], "Restarted a");
    ok(&["restart", "a", "--force"], "Restarted a");
    ok(&["restart", "--force", "a"], "Restarted a");
    ok(&["stop", "a"], "Stopped a");
    ok(&["startgroup", "g"], "Started group g");
    ok(&["stopgroup", "g"], "Stopped group g");
    ok(&["reload"], "No changes detected");
    let missing = d.ctl(&["start", "nobody"]);
    assert_eq!((missing.code, missing.stdout.as_str(), missing.stderr.trim()), (1, "", "Process not found"));
    let missing = d.ctl(&["stopgroup", "nobody"]);
    assert_eq!((missing.code, missing.stderr.trim()), (1, "Group not found"));
}

#[test]
fn the_status_table() {
    let d = Daemon::start(
        "[program:webapp]\ncommand = {actor}\nstartsecs = 0\n\
         [program:worker-with-quite-a-long-name]\ncommand = {actor}\nautostart = no\nnumprocs = 2\n",
    );
    let pid = d.wait_state("webapp", "RUNNING").pid.unwrap().to_string();
    let ran = d.ctl(&["status"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATE", "PID", "UPTIME"]);
    assert!(lines[1].len() == 1 && lines[1][0].chars().all(|sign| sign == '-'), "{ran:?}");
    assert_eq!(lines[2][..3], ["webapp", "RUNNING", &pid]);
    assert!(lines[2][3].starts_with("0:"), "{ran:?}");
    assert_eq!(lines[3], ["worker-with-quite-a-long-name:00", "STOPPED", "-", "-"]);
    let columns: Vec<_> = ran.stdout.lines().filter_map(|line| line.find("STATE").or(line.find("STOPPED"))).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "the widths grow with names\n{}", ran.stdout);
    d.done("stop", "webapp");
    let head = d.ctl(&["status"]).stdout;
    assert!(!head.contains("UPTIME"), "nobody has an uptime\n{head}");
}

#[test]
fn reload_tells_what_changed() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\n[program:b]\ncommand = {actor}\n");
    d.home.configure("[program:b]\ncommand = {actor} --ignore HUP\n[program:c]\ncommand = {actor}\n");
    let ran = d.ctl(&["reload"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout, "Added: c\nRemoved: a\nChanged (restart to apply): b\n");
    d.home.write("c.conf", "[supervice]\nwhat\n");
    let ran = d.ctl(&["reload"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("c.conf:2:"), "{ran:?}");
}

#[test]
fn a_daemon_of_somebody_else_is_not_believed() {
    if !is_root() {
        return skip("S28 server check", "needs root");
    }
    let home = Home::new();
    home.open_to_all();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let mut impostor = home.command("setpriv");
    impostor.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(home.join("actor"));
    let socket = home.socket().display().to_string();
    let mut child = impostor.args(["--listen", &format!("unix:{socket}")]).spawn().unwrap();
    wait_until(DEADLINE, "the impostor listens", || home.socket().exists());
    let ran = ctl(&home, &["-s", &socket, "--timeout", "30", "status"]);
    home.end_processes();
    child.wait().unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.took < Duration::from_secs(25), "it was asked all the same: {ran:?}");
}
