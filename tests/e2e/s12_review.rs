//! What somebody found who tried every sentence of the contract by hand.

use crate::harness::{Client, Daemon};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const STUBBORN: &str = "[program:stubborn]\ncommand = {actor} --ignore TERM\nstopwaitsecs = 3\n";

/// A daemon with a reload under way that waits for a program that does not want to go.
fn reloading() -> (Daemon, Client) {
    let d = Daemon::start(&format!("{STUBBORN}[program:web]\ncommand = {{actor}}\n"));
    d.wait_all("RUNNING");
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
