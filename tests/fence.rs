//! The fence around the engine: it compiles as a crate without std, so no clock, no file, no random map can get in unseen.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn engine() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine")
}

/// Compiles an engine folder into a crate that has `core` and `alloc` and nothing else.
fn compile_without_std(engine: &Path, home: &Path) -> Output {
    let root = home.join("fence.rs");
    let text = format!("#![no_std]\nextern crate alloc;\n#[path = {:?}]\npub mod engine;\n", engine.join("mod.rs"));
    std::fs::write(&root, text).expect("the root file can be written");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(rustc)
        .args(["--crate-type", "lib", "--edition", "2024", "--emit", "metadata", "--out-dir"])
        .args([home, &root])
        .output()
        .expect("rustc can be run")
}

/// A copy of the engine with a line more in one of its files.
fn with_line(line: &str, home: &Path) -> PathBuf {
    let copy = home.join("engine");
    copy_folder(&engine(), &copy);
    let file = copy.join("policy.rs");
    let text = std::fs::read_to_string(&file).expect("the copy can be read");
    let body = text.find("\nuse ").expect("the file imports something");
    std::fs::write(&file, format!("{}\n{line}{}", &text[..body], &text[body..])).expect("the copy can be written");
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the engine can be read") {
        let entry = entry.expect("the engine can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

#[test]
fn the_engine_needs_no_std() {
    let home = tempfile::tempdir().expect("a place to compile in");
    let output = compile_without_std(&engine(), home.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_fence_bites() {
    let harmless = "#[allow(unused_imports)] use core::num::NonZeroU8;";
    for (line, passes) in [
        (harmless, true),
        ("use std::time::Instant as Clock;", false),
        ("use std::collections::HashMap;", false),
        ("use std::fs::File;", false),
        ("extern crate std;\nuse libc::c_int;", false),
    ] {
        let home = tempfile::tempdir().expect("a place to compile in");
        let output = compile_without_std(&with_line(line, home.path()), home.path());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), passes, "{line}: {errors}");
        assert!(passes || errors.contains("E0432") || errors.contains("E0433"), "{line}: {errors}");
    }
}
