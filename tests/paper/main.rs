//! What people are handed beside the programs: a first configuration, man pages, completions, a package; and what a service
//! manager hears.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/mod.rs"]
mod harness;

mod docs;
mod guide;
mod packaging;
mod pages;
mod shells;
mod starter;
mod superior;

use harness::{DEADLINE, Ran, run};
use std::path::Path;
use std::process::Command;

/// Whether a program can be run here at all.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists())
}

/// Runs one of ours.
#[track_caller]
fn ours(program: &Path, arguments: &[&str]) -> Ran {
    run(Command::new(program).args(arguments), DEADLINE)
}
