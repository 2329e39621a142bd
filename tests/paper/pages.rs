//! The man pages: complete, and without a warning from whoever renders them.

use crate::harness::*;
use crate::{is_there, ours};
use std::path::PathBuf;
use std::process::Command;

/// Each page with its name, as the programs print them.
fn pages() -> Vec<(&'static str, String)> {
    let (daemon, client) = (supervice(), supervicectl());
    let asked: [(&str, PathBuf, &[&str]); 3] = [
        ("supervice.8", daemon.clone(), &["--man", "supervice.8"]),
        ("supervice.conf.5", daemon, &["--man", "supervice.conf.5"]),
        ("supervicectl.1", client, &["--man"]),
    ];
    let print = |(name, program, arguments): (&'static str, PathBuf, &[&str])| {
        let ran = ours(&program, arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        (name, ran.stdout)
    };
    asked.into_iter().map(print).collect()
}

/// Renders every page by a command that names the file last; what it complains of.
#[track_caller]
fn complaints(program: &str, arguments: &[&str]) -> String {
    let home = Home::new();
    let mut told = String::new();
    for (name, text) in pages() {
        let path = home.write(name, text);
        let ran = run(Command::new(program).args(arguments).arg(&path).env("LC_ALL", "C.UTF-8"), DEADLINE);
        let complaint = if program == "mandoc" { ran.stdout } else { ran.stderr };
        if ran.code != 0 || !complaint.is_empty() {
            told.push_str(&format!("{name}: {} {complaint}\n", ran.code));
        }
    }
    told
}

#[test]
fn they_render_without_a_warning() {
    let renderers: [(&str, &[&str]); 3] = [
        ("man", &["--warnings", "-P", "cat", "-l"]),
        ("mandoc", &["-Tlint", "-Wstyle"]),
        ("groff", &["-ww", "-z", "-k", "-man", "-Tutf8"]),
    ];
    for (program, arguments) in renderers {
        if is_there(program) {
            assert_eq!(complaints(program, arguments), "", "{program}");
        } else {
            skip("the man pages by one more renderer", &format!("there is no {program} here"));
        }
    }
}

#[test]
fn a_page_that_nobody_wrote_is_wrong_usage() {
    let ran = ours(&supervice(), &["--man", "ls.1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("supervice.8 or supervice.conf.5"), "{ran:?}");
}
