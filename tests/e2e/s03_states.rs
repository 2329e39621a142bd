//! Every row of the state table, by real processes.

use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn stopped_exited_and_fatal_start_when_asked() {
    let d = Daemon::start(
        "[program:stopped]\ncommand = {actor}\nautostart = no\nstartsecs = 0\n\
         [program:exited]\ncommand = sh -c 'test -e {dir}/go || exit 0; exec {actor}'\nautorestart = no\nstartsecs = 0\n\
         [program:fatal]\ncommand = sh -c 'test -e {dir}/go && exec {actor}'\nstartretries = 0\nstartsecs = 1\n",
    );
    assert_eq!(d.state("stopped"), "STOPPED");
    d.wait_state("exited", "EXITED");
    d.wait_state("fatal", "FATAL");
    d.home.write("go", "");
    for name in ["stopped", "exited", "fatal"] {
        assert_eq!(d.done("start", name), format!("Started {name}"));
        assert_eq!(d.state(name), "RUNNING");
    }
}

#[test]
fn starting_becomes_running_after_startsecs() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 1.5\nautostart = no\n");
    let begun = Instant::now();
    let mut order = d.begin(json!({"command": "start", "name": "a"}));
    d.wait_state("a", "STARTING");
    assert!(d.row("a").pid.is_some());
    assert_eq!(order.receive().unwrap()["message"], "Started a");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1490), "{took:?}");
    assert_eq!(d.state("a"), "RUNNING");
}

#[test]
fn starting_becomes_running_at_once_without_startsecs() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    let starts = (0..5).map(|_| {
        let begun = Instant::now();
        assert_eq!(d.done("start", "a"), "Started a");
        let took = begun.elapsed();
        assert_eq!(d.state("a"), "RUNNING");
        d.done("stop", "a");
        took
    });
    // One of them meets a machine that is not busy; had it waited for the usual second, none would be below it.
    let least = starts.min().unwrap();
    assert!(least < Duration::from_millis(900), "{least:?}");
}

/// A program whose exec can never work: FATAL at the first attempt, `reason` told.
#[track_caller]
fn never_works(prepare: impl Fn(&Home), command: &str, reason: &str) {
    let home = Home::new();
    prepare(&home);
    let d = Daemon::start_in(home, &format!("[program:a]\ncommand = {command}\nautostart = no\nstartretries = 5\n"));
    let reply = d.order("start", "a");
    assert_eq!(reply["message"], "a failed to start (state: FATAL)", "{reply}\n{}", d.story());
    assert!(reply["reason"].as_str().unwrap_or("").contains(reason), "{reply}");
    let row = d.row("a");
    assert_eq!((row.state.as_str(), row.pid), ("FATAL", None));
    let line = d.wait_log(reason);
    assert!(line.contains("ERROR") || d.log_count("ERROR") > 0, "{}", d.story());
}

#[test]
fn row_08_not_executable_is_fatal_at_once() {
    never_works(|home| drop(home.write("plain", "text")), "{dir}/plain", "EACCES");
}

#[test]
fn row_08_garbage_is_fatal_at_once() {
    let garbage = |home: &Home| {
        let path = home.write("garbage", b"\x00\x01\x02garbage");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    never_works(garbage, "{dir}/garbage", "ENOEXEC");
}

#[test]
fn row_08_a_loop_of_links_is_fatal_at_once() {
    let links = |home: &Home| std::os::unix::fs::symlink(home.join("loop"), home.join("loop")).unwrap();
    never_works(links, "{dir}/loop", "ELOOP");
}

#[test]
fn row_08_a_missing_interpreter_is_fatal_at_once() {
    let script = |home: &Home| {
        let path = home.write("script", "#!/no/such/interpreter\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    never_works(script, "{dir}/script", "interpreter");
}

#[test]
fn row_08_too_many_arguments_are_fatal_at_once() {
    let argument = "x".repeat(200_000);
    never_works(|_| (), &format!("/bin/true {argument}"), "E2BIG");
}

#[test]
fn row_08_a_busy_file_is_tried_again_and_counts_nothing() {
    let home = Home::new();
    home.copy_program(actor(), "busy", 0o755);
    let hold = OpenOptions::new().write(true).open(home.join("busy")).unwrap();
    let d = Daemon::start_in(home, "[program:a]\ncommand = {dir}/busy\nstartretries = 0\nstartsecs = 0\n");
    d.wait_state("a", "BACKOFF");
    d.wait_log("ETXTBSY");
    // Several attempts, and with startretries = 0 each of them would have been the last.
    d.wait("it is tried again", || (d.log_count("Spawned a") >= 3 && d.state("a") == "BACKOFF").then_some(()));
    drop(hold);
    d.wait_state("a", "RUNNING");
}

/// An ordinary failure: attempts, then FATAL; EXITED where no restart is wanted.
#[track_caller]
fn fails_ordinarily(options: &str, reason: &str) {
    let d = Daemon::start(&format!(
        "[program:a]\n{options}\nstartretries = 1\nautostart = no\n\
         [program:once]\n{options}\nautorestart = false\nautostart = no\n"
    ));
    let reply = d.order("start", "a");
    assert_eq!(reply["message"], "a did not reach RUNNING (state: BACKOFF)", "{reply}\n{}", d.story());
    assert!(reply["reason"].as_str().unwrap_or("").contains(reason), "{reply}");
    d.wait_state("a", "FATAL");
    d.wait_log(reason);
    let reply = d.order("start", "once");
    assert_eq!(reply["message"], "once did not reach RUNNING (state: EXITED)", "{reply}\n{}", d.story());
    assert_eq!(d.state("once"), "EXITED");
}

#[test]
fn row_08_a_missing_command_uses_up_its_attempts() {
    fails_ordinarily("command = no-such-command-anywhere", "no-such-command-anywhere");
}

#[test]
fn row_08_a_vanished_directory_uses_up_its_attempts() {
    let home = Home::new();
    fs::create_dir(home.join("cwd")).unwrap();
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor}\ndirectory = {dir}/cwd\nautostart = no\nstartretries = 1\nstartsecs = 0\n",
    );
    d.done("start", "a");
    d.done("stop", "a");
    fs::remove_dir(d.home.join("cwd")).unwrap();
    let reply = d.order("start", "a");
    assert_eq!(reply["message"], "a did not reach RUNNING (state: BACKOFF)", "{reply}");
    let reason = reply["reason"].as_str().unwrap_or("");
    assert!(reason.contains("ENOENT") && reason.contains("cwd"), "{reply}");
    d.wait_state("a", "FATAL");
}

#[test]
fn exiting_too_soon_uses_up_its_attempts() {
    fails_ordinarily("command = sh -c 'exit 3'", "code 3");
}

#[test]
fn backoff_grows_by_a_second_and_ends_in_fatal() {
    let d =
        Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t --exit 1\nstartretries = 2\nautostart = no\n");
    let begun = Instant::now();
    assert_eq!(d.refused("start", "a"), "a did not reach RUNNING (state: BACKOFF)");
    d.wait_state("a", "FATAL");
    let took = begun.elapsed();
    // 1 s and 2 s, each up to a tenth longer.
    assert!(took > Duration::from_millis(2990), "{took:?}");
    assert_eq!(d.home.pids("t").len(), 3, "one attempt and two retries");
    assert!(d.log_count("ERROR") >= 1, "{}", d.story());
}

#[test]
fn backoff_ends_now_when_a_start_is_asked() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t --exit 1\nstartretries = 9\n");
    // The third BACKOFF lasts three seconds.
    d.wait("three attempts", || (d.home.pids("t").len() == 3 && d.state("a") == "BACKOFF").then_some(()));
    let begun = Instant::now();
    assert_eq!(d.refused("start", "a"), "a did not reach RUNNING (state: BACKOFF)");
    assert!(begun.elapsed() < Duration::from_millis(2900), "{:?}", begun.elapsed());
    assert_eq!(d.home.pids("t").len(), 4);
}

#[test]
fn backoff_ends_in_stopped_when_a_stop_is_asked() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t --exit 1\nstartretries = 9\n");
    d.wait_state("a", "BACKOFF");
    assert_eq!(d.done("stop", "a"), "Stopped a");
    let attempts = d.home.pids("t").len();
    assert_eq!(d.state("a"), "STOPPED");
    // Longer than the delay it was in.
    let later = wait_for(Duration::from_millis(2500), || (d.home.pids("t").len() > attempts).then_some(()));
    assert!(later.is_none() && d.state("a") == "STOPPED", "{}", d.story());
}

#[test]
fn a_run_of_a_second_restarts_at_once() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --exit 0 --after 1200\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    d.wait("the second run", || (d.log_count("Spawned a ") >= 2).then_some(()));
    assert!(!d.log().contains("BACKOFF"), "{}", d.story());
}

#[test]
fn a_shorter_run_waits_a_second() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --exit 0 --after 100\nstartsecs = 0\n");
    d.wait_state("a", "BACKOFF");
    d.wait("the third run", || (d.log_count("Spawned a ") >= 3).then_some(()));
    assert_ne!(d.state("a"), "FATAL");
}

#[test]
fn autorestart_decides_what_follows_an_exit() {
    let program = |name: &str, restart: &str, code: u8| {
        format!(
            "[program:{name}]\ncommand = {{actor}} --touch {{dir}}/{name} --exit {code} --after 50\n\
             autorestart = {restart}\nexitcodes = 0,7\nstartsecs = 0\n"
        )
    };
    let d = Daemon::start(
        &[
            program("never", "false", 1),
            program("listed", "unexpected", 7),
            program("unlisted", "unexpected", 8),
            program("always", "TRUE", 0),
            "[program:killed]\ncommand = {actor} --touch {dir}/killed --die-of KILL --after 50\nautorestart = unexpected\nstartsecs = 0\n"
                .to_owned(),
            "[program:noexec]\ncommand = {dir}/nothing\nautorestart = unexpected\n".to_owned(),
        ]
        .concat(),
    );
    for name in ["unlisted", "always", "killed"] {
        d.wait(&format!("{name} runs again"), || (d.home.pids(name).len() >= 2).then_some(()));
    }
    d.wait_state("noexec", "BACKOFF");
    for name in ["never", "listed"] {
        assert_eq!(d.wait_state(name, "EXITED").pid, None);
        assert_eq!(d.home.pids(name).len(), 1, "{name}");
    }
}

#[test]
fn stop_signals_the_group_and_wakes_it() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --note-signals {dir}/heard --touch {dir}/t\nstopsignal = SIGint\nstartsecs = 0\n",
    );
    d.wait_file("t");
    let pid = d.pid_of("a");
    process::signal(pid, Signal::SIGSTOP);
    d.wait("it is stopped", || (process::stat(pid)?.state == 'T').then_some(()));
    assert_eq!(d.done("stop", "a"), "Stopped a");
    let heard = d.home.read("heard");
    assert!(heard.contains("SIGINT") && !heard.contains("SIGTERM"), "{heard}");
    d.wait_log("a exited with code 0");
}

#[test]
fn row_05_a_frozen_child_stops() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t\nstopwaitsecs = 50\nstartsecs = 0\n");
    d.wait_file("t");
    let pid = d.pid_of("a");
    process::signal(pid, Signal::SIGSTOP);
    d.wait("it is stopped", || (process::stat(pid)?.state == 'T').then_some(()));
    let begun = Instant::now();
    d.done("stop", "a");
    assert!(begun.elapsed() < Duration::from_secs(40), "CONT lets TERM in: {:?}", begun.elapsed());
}

#[test]
fn stopping_kills_after_stopwaitsecs() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstopwaitsecs = 1\nstartsecs = 0\n",
    );
    d.wait_file("t");
    let pid = d.pid_of("a");
    let begun = Instant::now();
    let mut order = d.begin(json!({"command": "stop", "name": "a"}));
    assert_eq!(d.wait_state("a", "STOPPING").pid, Some(pid));
    assert_eq!(order.receive().unwrap()["message"], "Stopped a");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(990), "{took:?}");
    assert_eq!(d.state("a"), "STOPPED");
    assert!(!process::alive(pid));
    d.wait_log("a killed by SIGKILL");
}

#[test]
fn starting_can_be_stopped() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 100\n");
    let mut start = d.begin(json!({"command": "start", "name": "a"}));
    d.wait_state("a", "STARTING");
    assert_eq!(d.done("stop", "a"), "Stopped a");
    let reply = start.receive().unwrap();
    assert_eq!((&reply["status"], &reply["code"]), (&json!("error"), &json!("SUPERSEDED")), "{reply}");
    assert_eq!(d.row("a").pid, None);
}

#[test]
fn stop_of_exited_and_fatal_gives_stopped() {
    let d = Daemon::start(
        "[program:exited]\ncommand = {actor} --exit 0\nautorestart = no\nstartsecs = 0\n\
         [program:fatal]\ncommand = {actor} --exit 1\nstartretries = 0\n",
    );
    d.wait_state("exited", "EXITED");
    d.wait_state("fatal", "FATAL");
    for name in ["exited", "fatal"] {
        assert_eq!(d.done("stop", name), format!("Stopped {name}"));
        assert_eq!(d.state(name), "STOPPED");
        assert_eq!(d.done("stop", name), format!("Stopped {name}"), "also when it was down");
    }
}

#[test]
fn a_start_overtakes_a_stop() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --on-term-delay 700 --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 20\n",
    );
    d.wait_file("t");
    let old = d.pid_of("a");
    let mut stop = d.begin(json!({"command": "stop", "name": "a"}));
    d.wait_state("a", "STOPPING");
    let mut start = d.begin(json!({"command": "start", "name": "a"}));
    assert_eq!(stop.receive().unwrap()["code"], "SUPERSEDED");
    assert_eq!(start.receive().unwrap()["message"], "Started a");
    let new = d.pid_of("a");
    assert!(new != old && !process::alive(old));
}

#[test]
fn leftovers_are_cleared_before_the_next_run() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child deaf --child-pid {dir}/kids --exit 1 --after 1100\n\
         startsecs = 0\nstopwaitsecs = 1\n",
    );
    d.wait_state("a", "STOPPING");
    let old = d.home.pids("kids")[0];
    d.wait("the second run", || (d.home.pids("kids").len() == 2).then_some(()));
    assert!(!process::alive(old), "two generations run together\n{}", d.story());
}

#[test]
fn leftovers_stay_where_they_are_allowed() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child plain --child-pid {dir}/kids --exit 1 --after 1100\n\
         startsecs = 0\nallow_leftover = true\n",
    );
    d.wait("the second run", || (d.home.pids("kids").len() >= 2).then_some(()));
    assert!(process::alive(d.home.pids("kids")[0]));
}

#[test]
fn uptime_counts_from_the_spawn_and_ends_with_the_run() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 1\n");
    let row = d.wait_state("a", "RUNNING");
    assert!(row.raw["uptime"].as_u64().unwrap() >= 1, "{row:?}");
    d.done("stop", "a");
    let row = d.row("a");
    assert!(row.raw["uptime"].is_null() && row.raw["pid"].is_null(), "{row:?}");
}
