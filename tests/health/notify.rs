//! Readiness and watchdogs: what programs say of themselves, and who may say it.

use super::{checked, notifier, own_notifier, servers, verbose};
use crate::harness::{Daemon, Home, is_root, process, skip};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

/// A program that says what its arguments tell.
pub fn speaks(name: &str, arguments: &str, options: &str) -> String {
    let notifier = notifier().display().to_string();
    format!("[program:{name}]\ncommand = {notifier} {arguments}\nready = notify\n{options}\n")
}

pub fn mode(daemon: &Daemon) -> u32 {
    std::fs::metadata(daemon.home.join("s.sock.notify")).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_is_running_when_it_says_so() {
    let daemon =
        Daemon::start(&speaks("p", "sleep 300 send 'READY=1\\nSTATUS=Serving 3 clients'", "autostart = false"));
    assert_eq!(daemon.done("start", "p"), "Started p");
    let row = daemon.row("p");
    assert_eq!((row.state.as_str(), row.raw["status_text"].as_str()), ("RUNNING", Some("Serving 3 clients")));
    assert_eq!(mode(&daemon), 0o600);
}

#[test]
fn a_start_waits_for_the_word() {
    let home = Home::new();
    let go = home.join("go").display().to_string();
    let notifier = notifier().display().to_string();
    let config = format!(
        "[program:p]\ncommand = sh -c 'while ! test -e {go}; do sleep 0.05; done; exec {notifier} send READY=1'\n\
         ready = notify\nautostart = false\n"
    );
    let daemon = Daemon::start_in(home, &config);
    let mut client = daemon.begin(json!({"command": "start", "name": "p"}));
    daemon.wait_log("Spawned p");
    assert_eq!(daemon.state("p"), "STARTING");
    daemon.home.write("go", "");
    assert_eq!(client.receive().unwrap()["message"], "Started p");
    assert_eq!(daemon.state("p"), "RUNNING");
}

#[test]
fn no_word_in_time_is_a_failed_start() {
    let daemon =
        Daemon::start(&speaks("p", "send STATUS=busy", "ready_timeout = 0.5\nstartretries = 0\nautostart = false"));
    let reply = daemon.order("start", "p");
    assert_eq!(reply["message"], "p failed to start (state: FATAL)");
    assert_eq!(reply["reason"], "it was not ready in time");
    daemon.wait_log("p was not ready within 0.5s");
    assert!(daemon.row("p").raw.get("status_text").is_none());
}

#[test]
fn members_of_its_group_may_speak_for_it() {
    let daemon = Daemon::start(&speaks("p", "fork READY=1", ""));
    daemon.wait_state("p", "RUNNING");
    daemon.assert_well();
}

#[test]
fn a_child_that_left_the_group_may_not() {
    let daemon = Daemon::start(&speaks("p", "leave READY=1 leave STATUS=lies", "ready_timeout = 60"));
    daemon.wait_log("is no member of a program");
    assert_eq!(daemon.state("p"), "STARTING");
    assert!(daemon.row("p").raw.get("status_text").is_none());
}

#[test]
fn strangers_are_refused_and_told_of() {
    let daemon = Daemon::start(&speaks("p", "sleep 1000000", "ready_timeout = 60"));
    daemon.wait_log("Spawned p");
    let stranger = UnixDatagram::unbound().unwrap();
    let address = daemon.home.join("s.sock.notify");
    for text in ["READY=1", "STATUS=lies", "WATCHDOG=1"] {
        stranger.send_to(text.as_bytes(), &address).unwrap();
    }
    let line = daemon.wait_log("refused 1 notifications");
    let own = std::process::id();
    assert!(line.ends_with(&format!("process {own} is no member of a program that speaks")), "{line}");
    assert_eq!(daemon.state("p"), "STARTING");
    assert!(daemon.row("p").raw.get("status_text").is_none());
}

#[test]
fn empty_and_oversized_datagrams_harm_nobody() {
    let arguments = "empty large 4096 large 4097 large 60000 empty send READY=1 send STATUS=alive";
    let daemon = Daemon::start(&speaks("p", arguments, ""));
    daemon.wait("its status is shown", || (daemon.row("p").raw["status_text"] == "alive").then_some(()));
    daemon.wait_log("sent more than 4096 bytes");
    assert_eq!(daemon.state("p"), "RUNNING");
    daemon.assert_well();
}

#[test]
fn what_it_says_cannot_steer_a_terminal() {
    let daemon = Daemon::start(&speaks("p", "send 'READY=1\\nSTATUS=\u{1b}[2Jgone'", ""));
    daemon.wait_state("p", "RUNNING");
    assert_eq!(daemon.row("p").raw["status_text"], "\\x1b[2Jgone");
}

#[test]
fn the_other_words_stand_in_the_log() {
    let words = "READY=1\\nRELOADING=1\\nSTOPPING=1\\nMAINPID=1\\nERRNO=2\\nNONSENSE";
    let daemon = Daemon::start(&speaks("p", &format!("send '{words}'"), ""));
    daemon.wait_log("p is reloading");
    daemon.wait_log("p says that it is stopping");
    let pid = daemon.pid_of("p");
    daemon.wait_log(&format!("p (pid {pid}) named another main process, which is ignored"));
    assert_eq!(daemon.state("p"), "RUNNING");
}

#[test]
fn a_socket_that_was_removed_is_there_again_before_a_watchdog_bites() {
    let daemon = Daemon::start(&speaks("p", "send READY=1 every 100 WATCHDOG=1", "watchdog_sec = 20"));
    let pid = daemon.wait_state("p", "RUNNING").pid;
    let sockets = ["s.sock", "s.sock.notify"].map(|name| daemon.home.join(name));
    sockets.iter().for_each(|socket| std::fs::remove_file(socket).unwrap());
    if cfg!(feature = "portable") {
        daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    }
    daemon.wait("both are there again", || sockets.iter().all(|socket| socket.exists()).then_some(()));
    daemon.wait_log("s.sock.notify was removed; it is made anew");
    daemon.wait("it is fed", || (daemon.row("p").raw["healthy"] == true).then_some(()));
    assert_eq!(daemon.row("p").pid, pid, "{}", daemon.story());
}

#[test]
fn whoever_is_tied_to_a_socket_that_was_removed_is_still_heard() {
    let daemon = Daemon::start(&speaks("p", "send READY=1 tied 100 WATCHDOG=1", "watchdog_sec = 3"));
    let pid = daemon.wait_state("p", "RUNNING").pid;
    daemon.wait("it is tied and heard", || (daemon.row("p").raw["healthy"] == true).then_some(()));
    let sockets = ["s.sock", "s.sock.notify"].map(|name| daemon.home.join(name));
    sockets.iter().for_each(|socket| std::fs::remove_file(socket).unwrap());
    if cfg!(feature = "portable") {
        daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    }
    daemon.wait_log("s.sock.notify was removed; it is made anew");
    daemon.wait("both are there again", || sockets.iter().all(|socket| socket.exists()).then_some(()));
    let since = daemon.row("p").raw["uptime"].as_u64().unwrap();
    daemon.wait("its period is over", || (daemon.row("p").raw["uptime"].as_u64() >= Some(since + 5)).then_some(()));
    assert_eq!((daemon.row("p").pid, daemon.log_count("no WATCHDOG=1")), (pid, 0), "{}", daemon.story());
}

#[test]
fn words_without_end_do_not_fill_the_log() {
    let words = "send 'RELOADING=1\\nSTOPPING=1\\nMAINPID=1' ".repeat(100);
    let daemon = Daemon::start(&speaks("p", &format!("{words} send 'READY=1\\nSTATUS=done'"), ""));
    daemon.wait("its last word is shown", || (daemon.row("p").raw["status_text"] == "done").then_some(()));
    for word in ["is reloading", "says that it is stopping", "named another main process"] {
        let count = daemon.log_count(word);
        assert!((1..50).contains(&count), "{count} times {word:?}");
    }
}

#[test]
fn a_watchdog_that_is_fed_is_quiet() {
    let daemon = Daemon::start(&speaks("p", "send READY=1 every 100 WATCHDOG=1", "watchdog_sec = 1"));
    daemon.wait("it is healthy", || (daemon.row("p").raw["healthy"] == true).then_some(()));
    let pid = daemon.pid_of("p");
    assert_eq!(process::given(pid, "WATCHDOG_USEC"), "1000000");
    daemon.wait("two of its periods are over", || (daemon.row("p").raw["uptime"].as_u64() >= Some(3)).then_some(()));
    assert_eq!((daemon.pid_of("p"), daemon.log_count("no WATCHDOG=1")), (pid, 0));
}

#[test]
fn one_that_hangs_is_restarted() {
    let daemon = Daemon::start(&speaks("p", "send READY=1 send WATCHDOG=1", "watchdog_sec = 0.3\nstartsecs = 0"));
    daemon.wait_state("p", "RUNNING");
    let pid = daemon.pid_of("p");
    daemon.wait_log("p: no WATCHDOG=1 came in time");
    daemon.wait_log("p is unhealthy");
    daemon.wait_log("p: restarting because it is unhealthy (restart 1/3)");
    daemon.wait("it runs anew", || daemon.row("p").pid.filter(|&now| now != pid));
}

#[test]
fn a_program_of_another_user_reaches_the_socket() {
    if !is_root() {
        return skip("a_program_of_another_user_reaches_the_socket", "needs root");
    }
    let home = Home::new();
    let notifier = own_notifier(&home).display().to_string();
    let config = format!("[program:p]\ncommand = {notifier} send READY=1\nready = notify\nuser = nobody\n");
    let daemon = Daemon::start_in(home, &config);
    daemon.wait_state("p", "RUNNING");
    assert_eq!(mode(&daemon), 0o622);
}

#[test]
fn a_socket_that_was_removed_is_made_anew_for_the_next_start() {
    let daemon = Daemon::start(&speaks("p", "send READY=1", ""));
    daemon.wait_state("p", "RUNNING");
    std::fs::remove_file(daemon.home.join("s.sock.notify")).unwrap();
    assert_eq!(daemon.done("restart", "p"), "Restarted p");
    daemon.wait_log("the notification socket");
}

#[test]
fn the_socket_goes_with_the_daemon_and_a_dead_one_is_replaced() {
    let daemon = Daemon::start(&speaks("p", "send READY=1", ""));
    daemon.wait_state("p", "RUNNING");
    let home = daemon.murder();
    assert!(home.join("s.sock.notify").exists());
    let mut daemon = Daemon::launch(home);
    daemon.wait_state("p", "RUNNING");
    assert_eq!(daemon.terminate(), 0);
    assert!(!daemon.home.join("s.sock.notify").exists());
}

#[test]
fn what_is_in_the_way_is_told() {
    let home = Home::new();
    home.write("s.sock.notify", "somebody's");
    let daemon = Daemon::start_in(home, &speaks("p", "send READY=1", "startretries = 0"));
    daemon.wait_state("p", "FATAL");
    let reason = daemon.row("p").raw["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "the notification socket could not be made: a regular file is there, which is not replaced");
    assert_eq!(daemon.home.read("s.sock.notify"), "somebody's");
}

#[test]
fn programs_that_do_not_speak_get_no_address() {
    let daemon = Daemon::start("[program:p]\ncommand = {actor}\n");
    let pid = daemon.wait_state("p", "RUNNING").pid.unwrap();
    assert_eq!(process::variable(pid, "NOTIFY_SOCKET"), None);
    assert!(!daemon.home.join("s.sock.notify").exists());
}

#[test]
fn it_is_running_at_the_first_check_that_passes() {
    let home = Home::new();
    let options =
        "healthcheck_type = script\nhealthcheck_command = test -e {dir}/well\nready = healthcheck\nautostart = false";
    let config = checked("p", options);
    let daemon = Daemon::start_in(home, &config);
    let mut client = daemon.begin(json!({"command": "start", "name": "p"}));
    daemon.wait("it is asked twice", || (verbose(&daemon, "p")["health"]["checks"].as_u64() >= Some(2)).then_some(()));
    assert_eq!(daemon.state("p"), "STARTING");
    assert_eq!(verbose(&daemon, "p")["health"]["failures"], 0);
    daemon.home.write("well", "");
    assert_eq!(client.receive().unwrap()["message"], "Started p");
    assert_eq!(daemon.row("p").raw["healthy"], true);
    assert_eq!(daemon.log_count("health check failed"), 0);
}

#[test]
fn no_check_that_passes_in_time_is_a_failed_start() {
    let port = servers::closed_port();
    let options = format!(
        "healthcheck_type = tcp\nhealthcheck_port = {port}\nready = healthcheck\nready_timeout = 1.5\nautostart = false"
    );
    let daemon = Daemon::start(&checked("p", &options));
    let reply = daemon.order("start", "p");
    assert_eq!(
        (reply["message"].as_str(), reply["reason"].as_str()),
        (Some("p did not reach RUNNING (state: EXITED)"), Some("it was not ready in time"))
    );
}

#[test]
fn what_has_a_watchdog_is_healthy_with_its_first_ping() {
    let home = Home::new();
    let (go, notifier) = (home.join("go").display().to_string(), notifier().display().to_string());
    let command = format!("sh -c 'while ! test -e {go}; do sleep 0.05; done; exec {notifier} every 100 WATCHDOG=1'");
    let daemon =
        Daemon::start_in(home, &format!("[program:p]\ncommand = {command}\nstartsecs = 0\nwatchdog_sec = 3600\n"));
    daemon.wait_state("p", "RUNNING");
    let mut wait = daemon.begin(json!({"command": "wait", "conditions": ["p=healthy"], "timeout_ms": 3_600_000}));
    daemon.rows();
    daemon.home.write("go", "");
    let reply = wait.receive().unwrap();
    assert_eq!(reply["results"][0]["message"], "p is healthy", "{reply}");
}
