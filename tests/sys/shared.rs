//! Children that share our memory until their exec, and those that begin with our descriptors. Where the build or the
//! kernel makes no such children, the same holds for forks.

use crate::probe;
use std::process::Command;

/// A probe under strace with these tamperings.
fn tampered(how: &[&str], words: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    for injection in how {
        strace.args(["-e", &format!("inject={injection}")]);
    }
    strace.arg(probe::path()).args(words);
    strace
}

#[test]
fn a_switch_of_user_leaves_the_daemons_memory_closed() {
    if probe::is_root() {
        assert_eq!(probe::said(probe::command(&["mixed", "100"])), "dumpable false, 100 ran\n");
    }
}

#[test]
fn a_child_that_hangs_in_its_exec_keeps_what_it_stands_on() {
    if !probe::has("strace") {
        return;
    }
    // All wait in exec, nobody asks for their verdicts any more, and others are made meanwhile.
    let command = tampered(&["execve:delay_enter=400000:when=1"], &["unheard", "40"]);
    assert_eq!(probe::said(command), "40 ran as told\n");
}

#[test]
fn a_child_that_is_killed_before_its_exec_dies_alone() {
    if !probe::has("strace") {
        return;
    }
    for (signal, number) in [("KILL", 9), ("SEGV", 11), ("ABRT", 6)] {
        let command = tampered(&[&format!("prctl:signal={signal}:when=1")], &["killed-early"]);
        let said = probe::said(command);
        assert!(said.contains(&format!("number: {number}")) && said.contains("Failed(SpawnError"), "{said}");
    }
}

#[test]
fn a_long_table_of_descriptors_is_not_seen_by_children() {
    assert_eq!(probe::said(probe::command(&["places", "200"])), "200 said 0 1 2, nothing is left over\n");
}

#[cfg(not(feature = "portable"))]
#[test]
fn a_child_that_dies_with_our_descriptors_gives_its_place_back() {
    if !probe::has("strace") {
        return;
    }
    // No copy can be had, or there is one and it dies with all that is in it. Not more children than there are places.
    for how in ["close_range:error=ENOMEM", "close_range:signal=KILL:when=2"] {
        let said = probe::said(tampered(&[how], &["places-lost", "15"]));
        assert_eq!(said, "15 failed, nothing is left over\n", "{how}");
    }
}

#[test]
fn on_valgrind_a_failed_exec_is_told() {
    if !probe::has("valgrind") {
        return;
    }
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=9", "--trace-children=no"]).arg(probe::path());
    command.args(["spawn", "-", "-", "/no/such/command"]);
    let said = probe::said(command);
    assert!(said.contains("verdict Exec 2 Ordinary") && said.contains("end Code(127)"), "{said}");
}
