//! What every scenario stands on: a folder of its own, the real binaries, a client that owes the library nothing, and
//! a look at the kernel's side. Whatever a test started is gone when it ends, also when it fails.

mod client;
mod daemon;
mod dice;
mod home;
pub mod process;
mod run;
mod skip;
mod turn;
mod wait;

pub use client::{Client, frame};
pub use daemon::Daemon;
pub use dice::Dice;
pub use home::Home;
pub use run::{Ran, run};
pub use skip::{is_root, skip};
pub use wait::{DEADLINE, wait_for, wait_until};

use std::path::{Path, PathBuf};

/// The daemon; `SUPERVICE_BIN` points the whole suite at another one.
pub fn supervice() -> PathBuf {
    binary("SUPERVICE_BIN", env!("CARGO_BIN_EXE_supervice"))
}

/// The client program; `SUPERVICECTL_BIN` points the whole suite at another one.
pub fn supervicectl() -> PathBuf {
    binary("SUPERVICECTL_BIN", env!("CARGO_BIN_EXE_supervicectl"))
}

fn binary(variable: &str, built: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(built), PathBuf::from)
}

/// examples/actor.rs, as `cargo test` builds it beside the binaries.
pub fn actor() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_supervice")).with_file_name("examples").join("actor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/actor.rs");
    let age = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let fresh = age(&built).is_some_and(|built| age(&source).is_none_or(|source| source <= built));
    assert!(fresh, "{} is missing or old: `cargo build --example actor` makes it", built.display());
    built
}
