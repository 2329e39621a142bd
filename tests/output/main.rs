//! What children write, from their pipes into files and back to people: the real daemon with real programs.
//!
//! `row_NN` names a row of the failure table that the scenario holds.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/mod.rs"]
mod harness;

#[allow(dead_code, reason = "written for the tests of trust, borrowed here")]
#[path = "../trust/machine.rs"]
mod machine;

mod compress;
mod failing;
mod formats;
mod numbered;
mod reading;
mod streams;
