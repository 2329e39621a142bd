//! The files that output goes to, on real file systems and on a pretended one that fails at any step.
#![allow(missing_docs, clippy::unwrap_used)]

mod daemon_log;
#[allow(dead_code, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/dice.rs"]
mod dice;
mod fake;
mod files;
mod follow;
mod model;
mod passing;
mod pressing;
mod safety;
mod scene;
mod standard;
