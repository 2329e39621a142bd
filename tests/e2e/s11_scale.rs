//! Many processes, many clients: the end state is the true one.

use crate::harness::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn a_thousand_processes_start_are_listed_and_stop() {
    let d = Daemon::start_in(
        Home::alone(),
        "[program:a]\ncommand = /bin/sleep 1000\nnumprocs = 1000\nstartsecs = 0\nautostart = no\n",
    );
    let before = process::descriptors(d.pid()).len();
    let begun = Instant::now();
    assert_eq!(d.done("startgroup", "a"), "Started group a");
    let started = begun.elapsed();
    let rows = d.rows();
    let pids: BTreeSet<_> = rows.iter().filter_map(|row| row.pid).collect();
    assert_eq!((rows.len(), pids.len()), (1000, 1000));
    assert!(rows.iter().all(|row| row.state == "RUNNING"));
    assert!(pids.iter().all(|&pid| process::alive(pid)));
    let table = d.ctl(&["status"]);
    assert_eq!(table.stdout.lines().count(), 1002);
    let begun = Instant::now();
    assert_eq!(d.done("stopgroup", "a"), "Stopped group a");
    let stopped = begun.elapsed();
    assert!(started < Duration::from_secs(50) && stopped < Duration::from_secs(50), "{started:?} {stopped:?}");
    assert!(pids.iter().all(|&pid| !process::alive(pid)));
    d.assert_well();
    assert!(process::children(d.pid()).is_empty());
    d.wait("the descriptors are given back", || (process::descriptors(d.pid()).len() <= before).then_some(()));
}

#[test]
fn row_47_a_hundred_clients_with_random_commands() {
    let d = Daemon::start_in(
        Home::alone(),
        "[program:a]\ncommand = {actor}\nnumprocs = 10\nstartsecs = 0\n\
         [program:b]\ncommand = {actor} --exit 0 --after 300\nnumprocs = 5\nstartsecs = 0\n\
         [program:c]\ncommand = {actor} --ignore TERM\nnumprocs = 5\nstartsecs = 0\nstopwaitsecs = 0.2\n\
         [group:all]\nprograms = a, b, c\n",
    );
    d.wait("the first are up", || (d.state("a:00") == "RUNNING").then_some(()));
    let before = process::descriptors(d.pid()).len();
    let end = Instant::now() + Duration::from_secs(6);
    std::thread::scope(|scope| {
        for seed in 1..=100 {
            let d = &d;
            scope.spawn(move || storm(d, seed, end));
        }
    });
    settle(&d);
    assert_true(&d);
    assert_eq!(d.done("stopgroup", "all"), "Stopped group all");
    assert_true(&d);
    assert!(process::children(d.pid()).is_empty());
    d.assert_well();
    // Each running one held its pidfd and pipes before; now there are none.
    d.wait("the descriptors are given back", || (process::descriptors(d.pid()).len() <= before).then_some(()));
}

/// One client: orders at random until the end, each answered by something that is allowed.
fn storm(d: &Daemon, seed: u64, end: Instant) {
    let mut dice = Dice::new(seed);
    let mut client = d.client();
    while Instant::now() < end {
        let program = ["a", "b", "c"][dice.roll(3) as usize];
        let name = format!("{program}:{:02}", dice.roll(if program == "a" { 10 } else { 5 }));
        let request = match dice.roll(10) {
            0..=2 => json!({"command": "start", "name": name}),
            3..=5 => json!({"command": "stop", "name": name}),
            6 | 7 => json!({"command": "restart", "name": name, "force": dice.one_in(2)}),
            8 => json!({"command": "status"}),
            _ => json!({"command": "reload"}),
        };
        let reply = client.ask(&request).unwrap_or_else(|problem| panic!("{request}: {problem}\n{}", d.story()));
        let allowed = reply["status"] == "ok" || reply["code"] == "SUPERSEDED" || exited_early(&request, &reply);
        assert!(allowed, "{request}: {reply}");
        if dice.one_in(20) {
            drop(d.begin(request));
            client = d.client();
        }
    }
}

/// `b` is a short-lived program: a start of it may truly fail.
fn exited_early(request: &Value, reply: &Value) -> bool {
    request["name"].as_str().is_some_and(|name| name.starts_with("b:")) && reply["code"] == "FAILED"
}

/// Waits until nothing is on its way any more, except the programs that end by themselves.
fn settle(d: &Daemon) {
    d.wait("nothing is starting or stopping", || {
        let rows = d.rows();
        let moving = rows.iter().filter(|row| !row.name.starts_with("b:"));
        moving.map(|row| row.state.as_str()).all(|state| state == "RUNNING" || state == "STOPPED").then_some(())
    });
}

/// One live pid for each RUNNING, none for the rest, and no child that nobody knows.
#[track_caller]
fn assert_true(d: &Daemon) {
    for row in d.rows().iter().filter(|row| !row.name.starts_with("b:")) {
        match row.state.as_str() {
            "RUNNING" => assert!(row.pid.is_some_and(process::alive), "{row:?}"),
            _ => assert_eq!(row.pid, None, "{row:?}"),
        }
    }
    d.wait("every child is listed", || {
        let listed: BTreeSet<_> = d.rows().iter().filter_map(|row| row.pid).collect();
        let real: BTreeSet<_> = process::children(d.pid()).into_iter().collect();
        (listed == real).then_some(())
    });
}

#[test]
fn a_flood_of_requests_leaks_nothing() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    let mut client = d.client();
    for _ in 0..2_000 {
        client.ask(&json!({"command": "status"})).unwrap();
    }
    let before = process::resident(d.pid());
    for _ in 0..20_000 {
        client.ask(&json!({"command": "status"})).unwrap();
    }
    let grown = process::resident(d.pid()).saturating_sub(before);
    assert!(grown <= 2048, "{grown} KiB more");
}
