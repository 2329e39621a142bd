//! What the fuzzers in fuzz/ found worth keeping, replayed without them. A finding becomes a file in fuzz/corpus/ for ever.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod oracles;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn every_corpus_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    assert!(root.is_dir(), "{} is missing: the corpora are part of the sources", root.display());
    for (target, oracle) in oracles::TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(root.join(target)).unwrap_or_else(|problem| panic!("{target}: {problem}")) {
            let path = entry.unwrap().path();
            let begun = Instant::now();
            let bytes = fs::read(&path).unwrap();
            let held = std::panic::catch_unwind(|| oracle(&bytes));
            assert!(held.is_ok(), "{} breaks its oracle", path.display());
            assert!(begun.elapsed() < Duration::from_secs(20), "{} took {:?}", path.display(), begun.elapsed());
            count += 1;
        }
        assert!(count >= 5, "{target} has {count} inputs");
    }
}

#[test]
fn each_corpus_and_each_fuzzer_has_its_oracle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap_or_else(|problem| panic!("{folder}: {problem}"));
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let mut targets: Vec<&str> = oracles::TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort();
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("dictionaries"), targets);
}
