//! What happened to all processes: kept for a while, followed by anybody, and honest about what is missing.

use crate::harness::Client;
use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

const PAIR: &str = "\
[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n\
[program:b]\ncommand = {actor} --exit 3\nautostart = no\nstartretries = 0\n[group:g]\nprograms = b\n";

fn told(d: &Daemon, request: Value) -> (Vec<Value>, Value) {
    let reply = d.ask(request);
    assert_eq!(reply["status"], "ok", "{reply}");
    (reply["events"].as_array().unwrap().clone(), reply)
}

/// The next frame of a follower: its events, after checking that only those it tells of are missing.
fn follow(client: &mut Client, last: &mut u64) -> Vec<Value> {
    let piece = client.receive().unwrap_or_else(|problem| panic!("{problem}"));
    let events = piece["events"].as_array().unwrap_or_else(|| panic!("{piece}")).clone();
    *last += piece["missed"].as_u64().unwrap_or(0);
    for event in &events {
        *last += 1;
        assert_eq!(event["number"], *last, "{event}");
    }
    assert_eq!(piece["last"], *last);
    events
}

#[test]
fn each_event_has_its_number_and_says_what_it_is() {
    let d = Daemon::start(PAIR);
    d.done("start", "a");
    d.order("start", "b");
    d.wait_state("b", "FATAL");
    d.done("stop", "a");
    let (events, reply) = told(&d, json!({"command": "events", "id": 7}));
    assert_eq!((&reply["id"], &reply["last"]), (&json!(7), &json!(events.len())));
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["number"], index + 1);
    }
    let of = |name: &str| events.iter().filter(|event| event["processname"] == name).cloned().collect::<Vec<_>>();
    let kinds: Vec<Value> = of("a").iter().map(|event| event["event"].clone()).collect();
    let states = ["STARTING", "RUNNING", "STOPPING", "STOPPED"].map(|state| format!("PROCESS_STATE_{state}"));
    assert_eq!(kinds, [states[0].as_str(), "PROCESS_SPAWNED", &states[1], &states[2], &states[3]]);
    let fatal = of("b").pop().unwrap();
    assert_eq!((&fatal["event"], &fatal["groupname"]), (&json!("PROCESS_STATE_FATAL"), &json!("g")));
    assert_eq!((&fatal["from_state"], &fatal["message"]), (&json!("STARTING"), &json!("exited with code 3")));
    assert!(of("a")[1]["pid"].is_i64() && of("a")[1].get("from_state").is_none());

    let (later, _) = told(&d, json!({"command": "events", "since": 3}));
    assert_eq!(later, events[3..]);
    let (none, _) = told(&d, json!({"command": "events", "since": events.len()}));
    assert!(none.is_empty());
    let (all, reply) = told(&d, json!({"command": "events", "since": events.len() + 1}));
    assert_eq!((all, &reply["restarted"]), (events, &json!(true)));
    assert_eq!(d.ask(json!({"command": "events", "since": -1}))["code"], "INVALID_REQUEST");
}

#[test]
fn health_checks_are_events_too() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --listen unix:{dir}/s\nstartsecs = 0\nautorestart = no\nhealthcheck_type = script\n\
         healthcheck_command = echo went; test -e {dir}/well\nhealthcheck_interval = 1\nhealthcheck_start_period = 0\n",
    );
    let found = |kind: &str| {
        let (events, _) = told(&d, json!({"command": "events"}));
        events.into_iter().find(|event| event["event"] == kind)
    };
    let failed = d.wait("a check failed", || found("HEALTHCHECK_FAILED"));
    assert_eq!((&failed["failures"], &failed["pid"]), (&json!(1), &json!(d.pid_of("a"))));
    d.home.write("well", "");
    let passed = d.wait("a check passed", || found("HEALTHCHECK_PASSED"));
    assert!(passed["message"].is_string(), "{passed}");
}

#[test]
fn followers_hear_the_same_and_a_request_ends_it() {
    let d = Daemon::start(PAIR);
    d.done("start", "a");
    let mut all = d.begin(json!({"command": "events", "since": 0, "follow": true, "id": "x"}));
    let mut new = d.begin(json!({"command": "events", "follow": true}));
    let (mut at_all, mut at_new) = (0, 3);
    assert_eq!(follow(&mut all, &mut at_all).len(), 3);
    assert!(follow(&mut new, &mut at_new).is_empty());
    d.done("stop", "a");
    while at_all < 5 {
        follow(&mut all, &mut at_all);
    }
    while at_new < 5 {
        follow(&mut new, &mut at_new);
    }
    assert_eq!(new.ask(&json!({"command": "info"})).unwrap()["status"], "ok");
    d.done("start", "a");
    assert_eq!(new.ask(&json!({"command": "info"})).unwrap()["status"], "ok", "nothing is followed any more");
}

#[test]
fn whoever_does_not_keep_up_is_told_how_much_is_missing() {
    let d = Daemon::start("[program:gone]\ncommand = {dir}/gone\nautostart = no\nstartretries = 0\nnumprocs = 64\n");
    let mut slow = d.begin(json!({"command": "events", "since": 0, "follow": true}));
    let mut orders = 0;
    let newest = || d.ask(json!({"command": "events", "since": 0}))["last"].as_u64().unwrap();
    let kept = |since: u64| d.ask(json!({"command": "events", "since": since}));
    while kept(0)["missed"].as_u64().unwrap_or(0) < 4096 {
        d.ask(json!({"command": "start", "names": ["all"]}));
        orders += 1;
        assert!(orders < 500, "{}", newest());
    }
    let mut end = 0;
    while let Some(piece) = Some(kept(end)).filter(|piece| piece["last"].as_u64() > Some(end)) {
        end = piece["last"].as_u64().unwrap();
    }
    let (mut last, mut told) = (0, 0);
    while last < end {
        told += follow(&mut slow, &mut last).len() as u64;
    }
    assert!(last == end && told < end, "{told} of {end}");
    d.assert_well();
}

#[test]
fn on_a_pipe_they_are_lines() {
    let d = Daemon::start(PAIR);
    d.done("start", "a");
    let ran = d.ctl(&["events"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, lines.len(), ran.stdout.contains('\x1b')), (0, 3, false), "{ran:?}");
    assert!(lines[2].contains("  3  a  RUNNING from STARTING (pid "), "{ran:?}");
    let ran = d.ctl(&["events", "--since", "2", "--json"]);
    let event: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &event["number"], &event["event"]), (0, &json!(3), &json!("PROCESS_STATE_RUNNING")));
    let ran = d.ctl(&["events", "--since", "99"]);
    assert!(ran.code == 0 && ran.stderr.contains("started anew") && ran.stdout.lines().count() == 3, "{ran:?}");
    assert_eq!(d.ctl(&["events", "a"]).code, 2);
    assert!(d.ctl(&["help", "events"]).stdout.contains("examples:"));
    let home = Home::new();
    let mut command = home.command(supervicectl());
    let ran = run(command.arg("-s").arg(home.socket()).args(["events", "--json"]), DEADLINE);
    assert!(ran.code == 1 && ran.stdout.contains("NOT_RUNNING"), "{ran:?}");
}

#[test]
fn followed_from_the_shell_until_the_daemon_ends() {
    let mut d = Daemon::start(PAIR);
    let mut command = d.home.command(supervicectl());
    command.arg("-s").arg(d.home.socket()).args(["events", "-f", "--json", "--since", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    d.done("start", "a");
    for number in 1..=3 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["number"], number);
    }
    assert_eq!(d.terminate(), 0);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("PROCESS_STATE_STOPPED")), "{rest:?}");
    let last: Value = serde_json::from_str(rest.last().unwrap()).unwrap();
    assert_eq!(last, json!({"status": "error", "message": "Supervice was shut down", "code": "ENDED"}));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// Begins to follow, and returns when this was shown.
fn following(d: &Daemon, arguments: &[&str], shown: &str) -> Child {
    let mut command = d.home.command(supervicectl());
    command.arg("-s").arg(d.home.socket()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap_or_else(|| panic!("{arguments:?} ended")).unwrap().contains(shown) {}
    // Read to its end, so that nobody is held up.
    std::thread::spawn(move || lines.count());
    child
}

fn ended(child: Child) -> (Option<i32>, String) {
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

const LOGGED: &str = "\
[program:a]\ncommand = {actor} --say one\nstartsecs = 0\nstdout_logfile = {dir}/a\n\
[program:b]\ncommand = {actor} --say two\nstartsecs = 0\nstdout_logfile = {dir}/b\n";

#[test]
fn whoever_follows_is_told_how_the_daemon_ended() {
    for (arguments, shown) in [
        (&["events", "-f", "--since", "0"][..], "RUNNING"),
        (&["tail", "-f", "a", "b"], "two"),
        (&["tail", "-f", "a"], "one"),
    ] {
        let begun = || {
            let d = Daemon::start(LOGGED);
            d.wait("both have spoken", || (d.wait_file("a") + &d.wait_file("b") == "one\ntwo\n").then_some(()));
            d
        };
        let mut d = begun();
        let child = following(&d, arguments, shown);
        assert_eq!(d.terminate(), 0);
        assert_eq!(ended(child), (Some(1), "Supervice was shut down\n".to_owned()), "{arguments:?}");
        let d = begun();
        let child = following(&d, arguments, shown);
        let _home = d.murder();
        let told = "Supervice has died: its socket is there, and nobody listens on it\n";
        assert_eq!(ended(child), (Some(1), told.to_owned()), "{arguments:?}");
    }
}

/// So many others follow that the first who did has no place any more.
fn take_all_places(d: &Daemon) -> Vec<Client> {
    let other = |_| {
        let mut other = d.client();
        // Whoever looks whether the daemon is there needs a place as well, and may take the last one's at any moment.
        let _ = other.send(&json!({"command": "events", "follow": true})).and_then(|()| other.receive());
        other
    };
    (0..256).map(other).collect()
}

#[test]
fn whoever_is_closed_out_is_told_that_the_daemon_is_there() {
    let d = Daemon::start(LOGGED);
    d.wait_all("RUNNING");
    let child = following(&d, &["events", "-f", "--since", "0"], "RUNNING");
    let others = take_all_places(&d);
    let (code, told) = ended(child);
    assert!(code == Some(1) && told.starts_with("Supervice closed the connection and is there"), "{told}");
    drop(others);
    d.assert_well();
}

#[test]
fn whoever_is_closed_out_is_told_that_the_daemon_does_not_answer() {
    let d = Daemon::start(LOGGED);
    d.wait_all("RUNNING");
    let child = following(&d, &["events", "-f", "--since", "0"], "RUNNING");
    // It sees that it was closed out when the daemon is in no state to say why.
    process::signal(child.id() as i32, Signal::SIGSTOP);
    let others = take_all_places(&d);
    d.signal(Signal::SIGSTOP);
    process::signal(child.id() as i32, Signal::SIGCONT);
    let told = "Supervice closed the connection, is there and does not answer: nothing within 2s\n";
    assert_eq!(ended(child), (Some(1), told.to_owned()));
    d.signal(Signal::SIGCONT);
    drop(others);
    d.assert_well();
}

#[test]
fn on_a_terminal_they_are_coloured() {
    let d = Daemon::start(PAIR);
    d.done("start", "a");
    if run(d.home.command("sh").args(["-c", "command -v script"]), DEADLINE).code != 0 {
        return skip("colour on a terminal", "no script(1) here");
    }
    let line = format!("{} -s {} events", supervicectl().display(), d.home.socket().display());
    let ran = run(d.home.command("script").args(["-qec", &line, "/dev/null"]).env("NO_COLOR", ""), DEADLINE);
    assert!(ran.code == 0 && ran.stdout.contains("\x1b[32mRUNNING\x1b[0m"), "{ran:?}");
}
