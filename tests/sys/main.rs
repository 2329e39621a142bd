//! The kernel layer against the real kernel: real children, real locks, real sockets.

#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod arena;
mod daemonize;
mod failures;
mod group;
mod lock;
mod old_kernel;
mod order;
mod probe;
mod shared;
mod signals;
mod socket;
mod spawn;
mod user;
mod watch;
