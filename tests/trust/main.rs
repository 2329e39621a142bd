//! What a supervisor must survive: its own crash, a machine that is out of everything, hostile neighbours.
//!
//! `row_NN` names a row of the failure table that the scenario holds; tests/e2e holds the others.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod machine;

mod s20_crash;
mod s21_decoys;
mod s22_state_file;
mod s30_processes;
mod s31_files;
mod s40_access;
mod s41_hostile;
mod s50_containers;
mod s60_nth_failure;
mod s61_tried_again;
mod s62_no_room_at_boot;
