//! The files that output goes to: opened safely, rotated by size, and never in the way of a child when they fail.
//!
//! Bytes come in, and what became of them goes out. Reading them from children is the reactor's; the wording of notices the daemon's.

pub mod daemon_log;
pub mod follow;
pub mod lines;
pub mod loss;
pub mod place;
pub mod rotating_file;
pub mod rotation;
pub mod shared;
pub mod sink;
pub mod sinks;
pub mod standard;
