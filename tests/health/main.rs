//! Health checks, readiness and watchdogs with real servers, real scripts and the real daemon: each test waits for what the
//! daemon says or does, never for time.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "the scenarios next door use the rest")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod servers;

mod examples;
mod http;
mod names;
mod notify;
mod scripts;
mod spared;
mod tcp;
mod verdicts;

use harness::{Daemon, Home};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `checked` gives where the test does not.
const USUAL: [(&str, &str); 7] = [
    ("command", "{actor}"),
    ("startsecs", "0"),
    ("autorestart", "false"),
    ("healthcheck_interval", "1"),
    ("healthcheck_start_period", "0"),
    ("healthcheck_timeout", "5"),
    ("healthcheck_retries", "1"),
];

/// A program that sleeps, asked every second from its start on, sick after one failure, and left as it is then; and with these
/// options.
fn checked(name: &str, options: &str) -> String {
    let given = |key: &str| options.lines().any(|line| line.split(" = ").next() == Some(key));
    let usual = USUAL.iter().filter(|(key, _)| !given(key)).map(|(key, value)| format!("{key} = {value}\n"));
    format!("[program:{name}]\n{}{options}\n", usual.collect::<String>())
}

/// The row of a verbose status.
fn verbose(daemon: &Daemon, name: &str) -> Value {
    let reply = daemon.ask(json!({"command": "status", "verbose": true, "names": [name]}));
    reply["processes"][0].clone()
}

/// What its first check said.
fn first_message(options: &str) -> String {
    let daemon = Daemon::start(&checked("p", options));
    message_of(&daemon, "p")
}

fn message_of(daemon: &Daemon, name: &str) -> String {
    daemon.wait("a check is done", || verbose(daemon, name)["health"]["last_message"].as_str().map(str::to_owned))
}

/// examples/notifier.rs, as `cargo test` builds it beside the binaries.
fn notifier() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_supervice")).with_file_name("examples").join("notifier");
    assert!(built.exists(), "{} is missing: `cargo build --example notifier` makes it", built.display());
    built
}

/// A copy of the notifier in the folder, which programs of other users can reach.
fn own_notifier(home: &Home) -> PathBuf {
    home.open_to_all();
    home.copy_program(notifier(), "notifier", 0o755)
}
