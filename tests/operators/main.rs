//! What an operator asks at three in the morning: the real client and the real daemon with real programs.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/mod.rs"]
mod harness;

mod describe;
mod events;
mod metrics;
mod names;
mod output;
mod progress;
mod reloading;
mod story;
mod top;
mod waiting;
