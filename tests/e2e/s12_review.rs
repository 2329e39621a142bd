//! What somebody found who tried every sentence of the contract by hand.

use crate::harness::{Client, Daemon, Home, frame, is_root, skip, supervice};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const STUBBORN: &str = "[program:stubborn]\ncommand = {actor} --ignore TERM --touch {dir}/deaf\nstopwaitsecs = 3\n";

/// A daemon with a reload under way that waits for a program that does not want to go.
fn reloading() -> (Daemon, Client) {
    let d = Daemon::start(&format!("{STUBBORN}[program:web]\ncommand = {{actor}}\n"));
    d.wait_all("RUNNING");
    d.wait_file("deaf");
    d.home.configure("[program:web]\ncommand = {actor}\n");
    let reload = d.begin(json!({"command": "reload"}));
    d.wait_state("stubborn", "STOPPING");
    (d, reload)
}

#[test]
fn a_queued_reload_is_answered_before_the_next_request_of_its_connection() {
    let (d, mut first) = reloading();
    let mut client = d.client();
    for (command, id) in [("reload", 1), ("status", 2), ("reload", 3), ("status", 4)] {
        client.send(&json!({"command": command, "id": id})).unwrap();
    }
    let ids: Vec<Value> = (0..4).map(|_| client.receive().unwrap()["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert_eq!(first.receive().unwrap()["removed"], json!(["stubborn"]));
}

#[test]
fn a_storm_of_reloads_neither_ends_the_daemon_nor_piles_up() {
    let (d, mut first) = reloading();
    for _ in 0..3000 {
        d.signal(Signal::SIGHUP);
        d.begin(json!({"command": "reload"}));
    }
    assert_eq!(first.receive().unwrap()["removed"], json!(["stubborn"]));
    let last = d.reload();
    assert_eq!(last["added"], json!([]), "{last}");
    assert!(d.log_count("Reloading") < 400, "{} reloads", d.log_count("Reloading"));
    d.assert_well();
}

#[test]
fn the_test_flag_tells_warnings_beside_errors() {
    let home = Home::new();
    let ran = home.test_config("[program:a]\ncommand = sleep 1\nnumproccs = 2\nautostart = ture\n");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("c.conf:7: [program:a] autostart: "), "{ran:?}");
    assert!(ran.stderr.contains("c.conf:6: warning: [program:a] numproccs: "), "{ran:?}");
}

#[test]
fn a_reload_does_not_complain_of_what_the_command_line_overrides() {
    let home = Home::new();
    home.configure("[program:web]\ncommand = {actor}\n");
    let mut command = home.command(supervice());
    command.args(["-l", "typed.log"]);
    let d = Daemon::launch_by(home, command);
    assert_eq!(d.reload()["changed"], json!([]));
    assert!(!d.log().contains("logfile changed"), "{}", d.log());
}

#[test]
fn a_lost_folder_of_the_socket_is_told_once_and_the_socket_comes_back() {
    let home = Home::new();
    let folder = home.join("run");
    fs::create_dir(&folder).unwrap();
    home.configure_raw("[supervice]\nsocket = {dir}/run/s\npidfile = {dir}/d.pid\n[program:web]\ncommand = {actor}\n");
    let command = home.command(supervice());
    let d = Daemon::spawn(home, command);
    d.wait_log("Started web");
    fs::rename(&folder, d.home.join("away")).unwrap();
    if cfg!(feature = "portable") {
        // Nobody watches folders there: the signal makes it look.
        d.signal(Signal::SIGUSR1);
    }
    d.wait_log("cannot be bound again");
    // One more try each second; by now there were some.
    let begun = Instant::now();
    d.wait("three seconds", || (begun.elapsed().as_secs() >= 3).then_some(()));
    fs::create_dir(&folder).unwrap();
    d.wait_log("bound again");
    assert_eq!(d.log_count("cannot be bound again"), 1, "{}", d.log());
}

#[test]
fn somebody_who_is_no_root_may_name_himself() {
    if !is_root() {
        return skip("user of its own", "only root can become somebody else for it");
    }
    // In the group that the user database has for him, and in another.
    for group in [65534, 0] {
        let home = Home::new();
        home.open_to_all();
        home.configure("[program:web]\ncommand = {actor}\nuser = nobody\nstartsecs = 0\nstdout_logfile = {dir}/o\n");
        nix::unistd::chown(home.path(), Some(65534.into()), Some(65534.into())).unwrap();
        nix::unistd::chown(&home.config_path(), Some(65534.into()), Some(65534.into())).unwrap();
        let daemon = home.copy_program(supervice(), "daemon", 0o755);
        let mut command = home.command("setpriv");
        command.args(["--reuid=65534", &format!("--regid={group}"), "--clear-groups"]).arg(&daemon);
        let d = Daemon::launch_by(home, command);
        d.wait_state("web", "RUNNING");
    }
}

#[test]
fn a_shortage_is_told_once_a_minute() {
    let home = Home::new();
    let programs = (0..20).map(|n| format!("[program:p{n}]\ncommand = {{actor}}\nstdout_logfile = {{dir}}/o{n}\n"));
    home.configure(&programs.collect::<String>());
    let mut command = home.command("prlimit");
    command.arg("--nofile=40:40").arg(supervice());
    let d = Daemon::launch_by(home, command);
    let name = d.wait("somebody finds no room", || {
        let line = d.log().lines().find(|line| line.contains("could not be started"))?.to_owned();
        line.split_whitespace().nth(3).map(str::to_owned)
    });
    let failures = || d.row(&name).raw["retry_in_ms"].as_u64();
    // Each time the wait begins anew, there was one more failure.
    let mut seen = failures();
    let mut rounds = 0;
    d.wait("it fails again and again", || {
        let now = failures();
        rounds += u32::from(now > seen);
        seen = now;
        (rounds >= 3).then_some(())
    });
    assert_eq!(d.log_count(&format!("{name} could not be started")), 1, "{}", d.log());
}

/// Context switches of the daemon, voluntary and not.
fn switches(d: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
    counts.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
}

#[test]
fn frames_that_came_in_two_parts_leave_nothing_to_wake_up_for() {
    let d = Daemon::start("[program:web]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("web", "RUNNING");
    let frame = frame(br#"{"command": "status"}"#);
    let mut client = d.client();
    let begun = Instant::now();
    // Each of them had ten seconds for its second part.
    while begun.elapsed() < Duration::from_secs(2) {
        client.send_bytes(&frame[..5]).unwrap();
        std::thread::yield_now();
        client.send_bytes(&frame[5..]).unwrap();
        client.receive().unwrap();
    }
    d.wait("what is due is past", || (begun.elapsed() > Duration::from_secs(9)).then_some(()));
    let before = switches(&d);
    d.wait("their deadlines are past", || (begun.elapsed() > Duration::from_secs(13)).then_some(()));
    assert!(switches(&d) - before < 10, "{} switches for nothing", switches(&d) - before);
}
