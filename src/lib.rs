//! supervice: a process supervisor for Unix.
//!
//! The map of the house. Each layer imports only from those below it; `docs/ARCHITECTURE.md` tells why.
//!
//! - [`daemon`], [`ctl`]: the two programs. Only `daemon` knows engine, reactor and system at once.
//! - [`reactor`], [`logs`], [`client`]: the event loop's sources, the files that output goes to, the blocking client.
//! - [`sys`]: system calls and every `unsafe`.
//! - [`config`], [`wire`], [`spec`]: text and bytes turned into types; no file, no socket.
//! - [`manual`]: what the two programs say of themselves: help as a table, man pages, completions.
//! - [`engine`]: decides. No I/O, no clock, no names: inputs and time in, effects and the next deadline out.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

extern crate alloc;

pub mod client;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod engine;
pub mod logs;
pub mod manual;
pub mod reactor;
pub mod spec;
pub mod sys;
pub mod wire;
