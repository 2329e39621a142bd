//! Long work tells how far it has come: to a program that asks for it, and to a person at a terminal.

use crate::harness::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Some go at once, some only by SIGKILL.
const CROWD: &str = "\
[program:quick]\ncommand = {actor}\nnumprocs = 6\nstartsecs = 0\n\
[program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/deaf-%(process_num)s\nnumprocs = 3\nstartsecs = 0\nstopwaitsecs = 2\n";

fn crowd() -> Daemon {
    let d = Daemon::start(CROWD);
    d.wait_all("RUNNING");
    (0..3).for_each(|number| drop(d.wait_file(&format!("deaf-{number:02}"))));
    d
}

/// Every frame until the answer, and the answer.
fn frames(d: &Daemon, request: Value) -> (Vec<Value>, Value) {
    let mut client = d.begin(request);
    let mut told = Vec::new();
    loop {
        let frame = client.receive().unwrap();
        if frame.get("status").is_some() {
            return (told, frame);
        }
        told.push(frame);
    }
}

#[test]
fn who_asks_is_told_how_many_are_left_until_the_answer() {
    let d = crowd();
    let (told, answer) = frames(&d, json!({"command": "stop", "names": ["all"], "progress": true, "id": 7}));
    assert_eq!((&answer["status"], &answer["id"]), (&json!("ok"), &json!(7)), "{answer}");
    assert!(!told.is_empty(), "the deaf take two seconds");
    let left: Vec<u64> = told.iter().map(|frame| frame["progress"]["left"].as_u64().unwrap()).collect();
    assert!(told.iter().all(|frame| frame["progress"]["of"] == 9 && frame["id"] == 7), "{told:?}");
    assert!(left.windows(2).all(|pair| pair[0] > pair[1]) && left.iter().all(|left| *left >= 1), "{left:?}");
    d.assert_well();
}

#[test]
fn who_does_not_ask_is_told_once() {
    let d = crowd();
    let (told, answer) = frames(&d, json!({"command": "stop", "names": ["deaf*"]}));
    assert_eq!((told.len(), &answer["status"]), (0, &json!("ok")));
    let reply = d.ask(json!({"command": "stop", "names": ["all"], "progress": 7}));
    assert_eq!(reply["code"], "INVALID_REQUEST");
}

#[test]
fn what_is_done_at_once_is_told_once() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nnumprocs = 2\nautostart = no\n");
    let (told, answer) = frames(&d, json!({"command": "stop", "names": ["all"], "progress": true}));
    assert_eq!((told.len(), &answer["status"]), (0, &json!("ok")));
    let (told, answer) = frames(&d, json!({"command": "wait", "conditions": ["a:00=stopped"], "progress": true}));
    assert_eq!((told.len(), &answer["status"]), (0, &json!("ok")));
}

/// Who waits for a moment of which nobody knows how far it is keeps the daemon asleep all the same.
#[test]
fn a_wait_that_is_watched_wakes_nobody() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_all("RUNNING");
    let mut client = d.begin(json!({"command": "wait", "conditions": ["a=stopped"], "progress": true}));
    let switches = || process::status(d.pid(), "voluntary_ctxt_switches").parse::<u64>().unwrap();
    // An alarm each tenth of a second, or more often, shows in each of these spans; one of them may hold something else.
    let quiet = || {
        let before = switches();
        assert!(wait_for(Duration::from_millis(500), || (!process::alive(d.pid())).then_some(())).is_none());
        (switches() == before).then_some(())
    };
    d.wait("half a second without a wake-up", quiet);
    d.done("stop", "a");
    assert_eq!(client.receive().unwrap()["status"], "ok");
}

#[test]
fn an_update_and_a_shutdown_tell_as_well() {
    let d = crowd();
    d.home.configure(&CROWD.replace("{dir}/deaf-", "{dir}/anew-"));
    let (told, answer) = frames(&d, json!({"command": "update", "progress": true}));
    assert_eq!((&answer["status"], answer["results"].as_array().unwrap().len()), (&json!("ok"), 3), "{answer}");
    assert_eq!(told[0]["progress"]["of"], 3, "{told:?}");
    (0..3).for_each(|number| drop(d.wait_file(&format!("anew-{number:02}"))));
    let (told, answer) = frames(&d, json!({"command": "shutdown", "progress": true}));
    assert_eq!(answer["status"], "ok");
    assert!(!told.is_empty());
}

#[test]
fn a_terminal_shows_it_and_a_pipe_does_not() {
    if run(Home::new().command("sh").args(["-c", "command -v script"]), DEADLINE).code != 0 {
        return skip("progress on a terminal", "no script(1) here");
    }
    let on = |d: &Daemon, options: &str, kind: &str| {
        let line = format!("{} -s {} {options}", supervicectl().display(), d.home.socket().display());
        let ran = run(d.home.command("script").args(["-qec", &line, "/dev/null"]).env("TERM", kind), DEADLINE);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    let on_terminal = |d: &Daemon, options: &str| on(d, options, "xterm");
    let d = crowd();
    let screen = on_terminal(&d, "stop all");
    let shown = screen.find("Stopping: ").unwrap_or_else(|| panic!("{screen:?}"));
    assert!(
        screen[shown..].contains(" of 9 left\r\x1b[KStopped ") || screen[shown..].contains("\r\x1b[KStopped quick:00"),
        "{screen:?}"
    );
    let d = crowd();
    assert!(!on(&d, "stop all", "dumb").contains("Stopping: "));
    let d = crowd();
    // The message of a timeout stands on a line that was wiped; the code is not this one's to tell.
    let screen = on_terminal(&d, "--timeout 1 stop all; true");
    let last = screen.rfind(" left").unwrap_or_else(|| panic!("{screen:?}"));
    assert!(screen[last..].starts_with(" left\r\x1b[KNo response from supervice within 1s"), "{screen:?}");
    for options in
        ["-q stop all", "--json stop all", "stop all | cat", "stop all 2>&1 >/dev/null | cat", "stop all 2>{dir}/told"]
    {
        let options = &options.replace("{dir}", &d.home.path().display().to_string());
        let d = crowd();
        let screen = on_terminal(&d, options);
        assert!(!screen.contains("Stopping: "), "{screen:?}");
    }
    let d = crowd();
    let ran = d.ctl(&["stop", "all"]);
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (9, ""));
}
