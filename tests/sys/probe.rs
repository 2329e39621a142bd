//! Runs `examples/sysprobe`: what needs a process of its own.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The example, built beside this test; cargo builds it with all targets, else it is built now.
pub fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(|deps| deps.parent()).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "sysprobe", "--target-dir"]).arg(folder.parent().unwrap());
        cargo.args(cfg!(feature = "portable").then_some(["--features", "portable"]).iter().flatten());
        cargo.args((!cfg!(debug_assertions)).then_some("--release"));
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        folder.join("examples/sysprobe")
    })
}

/// A probe in this role.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(words);
    command
}

/// What it said, once it ended well.
pub fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    text(&output)
}

/// What it printed.
pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Whether this program is there; says so if a test has to do without.
pub fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: {program} is missing");
    }
    there
}

/// Whether we may do everything; says so if a test has to do without.
pub fn is_root() -> bool {
    let root = supervice::sys::user::is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}
