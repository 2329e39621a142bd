//! The proof that the simulator bites: faults are planted in a copy of the engine, one at a time, and each has to be found.
//!
//! The copy is made by text from `src/engine`, so the product carries no trace of this. A fault whose place in the source
//! is gone fails the test: then it is to be planted anew. All faults are compiled into one program, and an atomic says which
//! of them is on; with none on, the copy has to tell the same stories as the engine.

use crate::faults::{FAULTS, Fault};
use crate::schedule;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the simulator is made of, apart from its tests.
const MODULES: [&str; 12] =
    ["book", "intent", "knobs", "os", "people", "rng", "schedule", "shell", "trace", "wishes", "witness", "world"];

/// In so many schedules each fault has to show.
const SCHEDULES: u64 = 10_000;

/// Stories that engine and copy have to tell alike.
const CONTROL: u64 = 100;

#[test]
fn each_planted_fault_is_found() {
    let home = tempfile::tempdir().expect("a place for the copy");
    let program = build(home.path());
    let stories: String = (0..CONTROL).map(|seed| format!("{:?}\n", story(seed))).collect();
    assert_eq!(run(&program, &["0", &CONTROL.to_string()]), stories, "with no fault on, the copy is the engine");
    let mut worst = (0, "");
    for (index, fault) in FAULTS.iter().enumerate() {
        let told = run(&program, &[&(index + 1).to_string(), &SCHEDULES.to_string()]);
        let found = told.strip_prefix("found ").and_then(|rest| rest.split_once(' '));
        let Some((seed, violation)) = found else { panic!("not found in {SCHEDULES} schedules: {}", fault.name) };
        println!("{:58} schedule {seed:>5}: {}", fault.name, violation.trim());
        worst = worst.max((seed.parse::<u64>().expect("a seed is a number"), fault.name));
    }
    println!("{} faults planted and found; the last one ({}) in schedule {}", FAULTS.len(), worst.1, worst.0);
}

fn story(seed: u64) -> Option<u64> {
    schedule::play(seed, false).ok().map(|tally| tally.hash)
}

/// Copies the engine with all faults in it, and compiles it together with the simulator.
fn build(home: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let engine = home.join("engine");
    copy(&root.join("src/engine"), &engine);
    for (index, fault) in FAULTS.iter().enumerate() {
        plant(&engine.join(fault.file), fault, index + 1);
    }
    let main = home.join("main.rs");
    std::fs::write(&main, main_text(root, &engine)).expect("the copy can be written");
    let program = home.join("sabotaged");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "--cap-lints", "allow", "-C", "opt-level=1", "-C", "debug-assertions=on", "-o"])
        .args([&program, &main])
        .output()
        .expect("rustc can be run");
    assert!(output.status.success(), "the copy does not compile: {}", String::from_utf8_lossy(&output.stderr));
    program
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the engine can be read") {
        let entry = entry.expect("the engine can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

/// Several faults may share a place: each is planted in what the ones before it left.
fn plant(file: &Path, fault: &Fault, number: usize) {
    let text = std::fs::read_to_string(file).expect("the copy can be read");
    assert!(text.contains(fault.is), "the place of a fault is gone from {}: {}", fault.file, fault.name);
    let planted = fault.becomes.replace("ON", &format!("crate::is_planted({number})"));
    std::fs::write(file, text.replacen(fault.is, &planted, 1)).expect("the copy can be written");
}

fn main_text(root: &Path, engine: &Path) -> String {
    let modules: String = MODULES
        .iter()
        .map(|name| format!("#[path = {:?}] mod {name};\n", root.join(format!("tests/sim/{name}.rs"))))
        .collect();
    format!(
        "extern crate alloc;\n\
         #[path = {:?}] pub mod engine;\n\
         {modules}\n\
         static PLANTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);\n\
         {MAIN}",
        engine.join("mod.rs")
    )
}

/// With no fault on: the hash of each story. With one on: the first schedule that finds it.
const MAIN: &str = r#"
fn is_planted(number: usize) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == number
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let (fault, schedules) = (numbers.next().expect("a fault"), numbers.next().expect("how many schedules"));
    PLANTED.store(fault as usize, std::sync::atomic::Ordering::Relaxed);
    std::panic::set_hook(Box::new(|_| {}));
    for seed in 0..schedules {
        let played = std::panic::catch_unwind(|| schedule::play(seed, false));
        match played {
            Ok(Ok(tally)) if fault == 0 => println!("{:?}", Some(tally.hash)),
            Ok(Ok(_)) => {}
            Ok(Err(violation)) => return println!("found {seed} {violation}"),
            Err(_) => return println!("found {seed} an assertion in the engine"),
        }
    }
}
"#;

fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the copy can be run");
    assert!(output.status.success(), "the copy fell over: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
