//! The real binaries with real processes: each scenario reads as a story and waits for facts, never for time.
//!
//! `row_NN` names a row of the failure table that the scenario holds.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod harness;

mod s01_command_line;
