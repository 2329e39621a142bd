//! Programs that do what they should are left alone, whatever happens to the daemon meanwhile: a reload, a standstill, a socket
//! that somebody removed.

use super::notify::{mode, speaks};
use super::{notifier, own_notifier};
use crate::harness::{Daemon, Home, is_root, skip};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;

const FEEDS: &str = "send READY=1 every 100 WATCHDOG=1";

/// The running daemon takes on another configuration.
#[track_caller]
fn take_on(daemon: &Daemon, config: &str) {
    daemon.home.configure(config);
    let reply = daemon.reload();
    assert_eq!(reply["status"], "ok", "{reply}\n{}", daemon.story());
}

/// Waits until `name` has been there for so many seconds more.
#[track_caller]
fn outlive(daemon: &Daemon, name: &str, seconds: u64) {
    let uptime = || daemon.row(name).raw["uptime"].as_u64();
    let since = uptime().unwrap_or_default();
    daemon.wait("some more time is over", || (uptime() >= Some(since + seconds)).then_some(()));
}

#[test]
fn a_reload_without_watchdog_does_not_make_it_deaf_to_one_that_runs() {
    let daemon = Daemon::start(&speaks("p", FEEDS, "watchdog_sec = 3"));
    let pid = daemon.wait_state("p", "RUNNING").pid;
    take_on(&daemon, &format!("[program:p]\ncommand = {} {FEEDS}\n", notifier().display()));
    outlive(&daemon, "p", 5);
    assert_eq!((daemon.row("p").pid, daemon.log_count("refused")), (pid, 0), "{}", daemon.story());
}

#[test]
fn a_reload_without_readiness_does_not_make_it_deaf_to_one_that_starts() {
    let home = Home::new();
    let go = home.join("go").display().to_string();
    let command = format!(
        "command = sh -c 'while ! test -e {go}; do sleep 0.05; done; exec {} send READY=1'",
        notifier().display()
    );
    let program = format!("[program:p]\n{command}\nautostart = false\nstartretries = 0\nready_timeout = 20\n");
    let daemon = Daemon::start_in(home, &format!("{program}ready = notify\n"));
    let mut client = daemon.begin(json!({"command": "start", "name": "p"}));
    daemon.wait_log("Spawned p");
    take_on(&daemon, &program);
    daemon.home.write("go", "");
    assert_eq!(client.receive().unwrap()["message"], "Started p", "{}", daemon.story());
}

#[test]
fn the_socket_stays_open_for_as_long_as_another_user_speaks() {
    if !is_root() {
        return skip("the_socket_stays_open_for_as_long_as_another_user_speaks", "needs root");
    }
    let home = Home::new();
    let notifier = own_notifier(&home).display().to_string();
    let config = |user: &str| {
        let program =
            |name| format!("[program:{name}]\ncommand = {notifier} {FEEDS}\nready = notify\nwatchdog_sec = 20\n");
        format!("{}{user}{}", program("a"), program("b"))
    };
    let daemon = Daemon::start_in(home, &config("user = nobody\n"));
    daemon.wait_all("RUNNING");
    take_on(&daemon, &config(""));
    assert_eq!(daemon.done("restart", "b"), "Restarted b");
    assert_eq!(mode(&daemon), 0o622, "{}", daemon.story());
    assert_eq!(daemon.done("restart", "a"), "Restarted a");
    assert_eq!(mode(&daemon), 0o600, "{}", daemon.story());
}

#[test]
fn a_daemon_that_stood_still_blames_nobody() {
    const PERIOD: u64 = 4;
    let command = format!("command = {} send READY=1 every 300 WATCHDOG=1", notifier().display());
    let daemon = Daemon::start(&format!("[program:p]\n{command}\nnumprocs = 60\nwatchdog_sec = {PERIOD}\n"));
    daemon.wait("all are heard of", || daemon.rows().iter().all(|row| row.raw["healthy"] == true).then_some(()));
    let pids = || daemon.rows().iter().map(|row| row.pid).collect::<Vec<_>>();
    let before = pids();
    daemon.signal(Signal::SIGSTOP);
    // Time itself is what has to be over: the period of each of them, and what it takes to wake.
    std::thread::sleep(Duration::from_secs(PERIOD + 2));
    daemon.signal(Signal::SIGCONT);
    outlive(&daemon, &daemon.rows()[0].name, PERIOD + 2);
    assert_eq!((pids(), daemon.log_count("no WATCHDOG=1")), (before, 0), "{}", daemon.story());
}

#[test]
fn a_daemon_that_stood_still_still_finds_one_that_hangs() {
    let daemon = Daemon::start(&speaks("p", "send READY=1 send WATCHDOG=1", "watchdog_sec = 2\nautorestart = false"));
    daemon.wait("it is heard of", || (daemon.row("p").raw["healthy"] == true).then_some(()));
    daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(4));
    daemon.signal(Signal::SIGCONT);
    daemon.wait_log("p: no WATCHDOG=1 came in time");
    daemon.wait_state("p", "UNHEALTHY");
}

#[test]
fn a_removed_notification_socket_alone_is_there_again_before_a_watchdog_bites() {
    let daemon = Daemon::start(&speaks("p", FEEDS, "watchdog_sec = 20"));
    let pid = daemon.wait_state("p", "RUNNING").pid;
    let socket = daemon.home.join("s.sock.notify");
    // Once more: the one that was made anew is watched as well.
    for times in 1..=2 {
        std::fs::remove_file(&socket).unwrap();
        if cfg!(feature = "portable") {
            daemon.signal(Signal::SIGUSR1);
        }
        daemon.wait("it is there again", || socket.exists().then_some(()));
        daemon.wait("that is told", || (daemon.log_count("s.sock.notify was removed") == times).then_some(()));
    }
    daemon.wait("it is fed", || (daemon.row("p").raw["healthy"] == true).then_some(()));
    assert_eq!(daemon.row("p").pid, pid, "{}", daemon.story());
}

#[test]
fn a_program_that_feeds_its_watchdog_and_fails_its_checks_is_given_up() {
    let options = "watchdog_sec = 20\nhealthcheck_type = script\nhealthcheck_command = false\nhealthcheck_interval = 1\n\
        healthcheck_start_period = 0\nhealthcheck_retries = 1\nstartretries = 1";
    let daemon = Daemon::start(&speaks("p", FEEDS, options));
    daemon.wait_state("p", "FATAL");
    assert_eq!(daemon.log_count("p: restarting because it is unhealthy"), 1, "{}", daemon.story());
}

#[test]
fn what_a_start_was_not_in_time_for_is_told_as_it_was_begun_with() {
    let program = |timeout| speaks("p", "send STATUS=busy", &format!("startretries = 0\nready_timeout = {timeout}"));
    let daemon = Daemon::start(&program(2));
    daemon.wait_log("Spawned p");
    take_on(&daemon, &program(30));
    daemon.wait_log("p was not ready within 2s");
}

#[test]
fn one_whose_process_is_made_after_a_reload_is_taken_as_it_is_made() {
    let old = "[program:old]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 4\n\
        pdeathsig = false\nreconcile = kill\n";
    let program = "[program:p]\ncommand = {actor}\nready_timeout = 1\n";
    let daemon = Daemon::start(old);
    daemon.wait_file("t");
    daemon.wait("it is recorded", || daemon.home.read(".d.state.json").contains("old").then_some(()));
    let home = daemon.murder();
    home.configure(&format!("{old}{program}ready = notify\n"));
    let daemon = Daemon::launch(home);
    assert_eq!(daemon.row("p").pid, None, "{}", daemon.story());
    take_on(&daemon, &format!("{old}{program}"));
    daemon.wait_state("p", "RUNNING");
    assert_eq!(daemon.log_count("was not ready"), 0, "{}", daemon.story());
}
