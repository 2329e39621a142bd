//! Why a process is as it is: the history that the daemon keeps of it.

use crate::harness::*;
use serde_json::{Value, json};

fn history(d: &Daemon, name: &str) -> (String, Vec<(String, String)>) {
    let reply = d.ask(json!({"command": "why", "name": name}));
    assert_eq!(reply["status"], "ok", "{reply}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let records = reply["history"].as_array().unwrap().iter();
    (text(&reply["message"]), records.map(|record| (text(&record["event"]), text(&record["text"]))).collect())
}

#[test]
fn why_it_was_given_up() {
    let d = Daemon::start("[program:bad]\ncommand = sh -c 'exit 3'\nautostart = no\nstartretries = 1\n");
    d.order("start", "bad");
    d.wait_state("bad", "FATAL");
    let (sum, records) = history(&d, "bad");
    assert!(
        sum.starts_with("bad is FATAL: 2 attempts in ") && sum.contains("; last: exited with code 3 after 0."),
        "{sum}"
    );
    let kinds: Vec<&str> = records.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["order", "started", "exited", "backoff", "started", "exited", "fatal"]);
    let own = nix::unistd::getuid();
    assert_eq!(records[0].1, format!("start, asked by uid {own} (pid {})", std::process::id()));
    let ran = d.ctl(&["why", "bad"]);
    assert_eq!((ran.code, ran.stdout.lines().next()), (0, Some(sum.as_str())));
    assert_eq!(ran.stdout.lines().count(), 8);
    let missing = d.ctl(&["why", "bda"]);
    assert_eq!((missing.code, missing.stderr.as_str()), (1, "Process not found\nDid you mean bad?\n"));
}

#[test]
fn why_it_is_down_and_why_it_never_came_up() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\n[program:lazy]\ncommand = {actor}\nautostart = no\n\
         [program:gone]\ncommand = {dir}/gone\nautostart = no\nstartretries = 0\n",
    );
    d.wait_state("a", "RUNNING");
    assert!(history(&d, "a").0.starts_with("a is RUNNING for "));
    assert_eq!(d.ctl(&["stop", "a", "lazy"]).code, 0);
    let (sum, records) = history(&d, "a");
    assert!(sum.starts_with("a is STOPPED: stop, asked by uid "), "{sum}");
    assert!(records.last().unwrap().1.starts_with("killed by SIGTERM after "), "{records:?}");
    let fresh = "[program:a]\ncommand = {actor}\nstartsecs = 0\nstopsignal = INT\n[program:lazy]\ncommand = {actor}\nautostart = no\n";
    d.order("start", "gone");
    assert!(history(&d, "gone").0.contains("ENOENT"), "{:?}", history(&d, "gone"));
    d.home.configure(fresh);
    assert_eq!(d.reload()["changed"], json!(["a"]));
    assert_eq!(history(&d, "a").1.last().unwrap().0, "reload");
}

#[test]
fn a_history_is_bounded() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    for _ in 0..40 {
        d.done("stop", "a");
        d.ask(json!({"command": "signal", "signal": "CONT", "names": ["a"]}));
    }
    assert_eq!(history(&d, "a").1.len(), 64);
}
