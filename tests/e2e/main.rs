//! The real binaries with real processes: each scenario reads as a story and waits for facts, never for time.
//!
//! `row_NN` names a row of the failure table that the scenario holds.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod harness;

mod s01_command_line;
mod s02_client_program;
mod s03_states;
mod s04_commands;
mod s05_frames;
mod s06_options;
mod s07_daemon;
mod s08_processes;
mod s09_io;
mod s10_environment;
mod s11_scale;
mod s12_clock;
mod s12_review;
mod s13_second_review;
