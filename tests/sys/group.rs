//! Process groups: what is left of one when its leader is gone.

use crate::arena::{Child, shell, wait_for};
use crate::probe;
use supervice::engine::message::{ExitStatus, Signal};
use supervice::sys::kill::{GroupState, KillError, group_only_zombies, group_state, signal_group, signal_process};

#[test]
fn a_member_that_is_deaf_to_term_keeps_its_group_until_it_is_killed() {
    let said = probe::said(probe::command(&["group"]));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("leader "), "{said}");
    assert_eq!(lines[1], "after TERM Members Some(false)");
    assert_eq!(lines[2], "after KILL Empty None Err(Gone)");
}

#[test]
fn a_signal_to_the_group_reaches_every_member() {
    let mut child = Child::with_output(&shell("sleep 1000 & sleep 1000 & echo up; wait"));
    assert_eq!(child.line_with("up"), "up\n");
    signal_group(child.pid(), child.fresh.pidfd.as_ref(), Signal::TERM).unwrap();
    assert_eq!(child.end(), ExitStatus::Signal { number: 15, core: false });
    // The members held the pipe: its end is theirs.
    assert_eq!(child.output(), "");
    let pidfd = child.fresh.pidfd.as_ref();
    // They are the business of whoever adopted them, and may stay zombies for a while.
    wait_for("an empty group", || match group_state(child.pid(), pidfd).unwrap() {
        GroupState::Empty => Some(()),
        GroupState::Members => group_only_zombies(child.pid()).unwrap().unwrap_or(true).then_some(()),
    });
}

#[test]
fn whoever_is_gone_is_told_as_gone() {
    let mut child = Child::spawn(&shell("exit 0"));
    child.end();
    let pidfd = child.fresh.pidfd.as_ref();
    assert_eq!(group_state(child.pid(), pidfd).unwrap(), GroupState::Empty);
    assert!(matches!(signal_process(child.pid(), pidfd, Signal::KILL), Err(KillError::Gone)));
    assert!(matches!(signal_group(child.pid(), pidfd, Signal::KILL), Err(KillError::Gone)));
    assert_eq!(group_only_zombies(child.pid()).unwrap(), None);
}

#[test]
fn a_dead_leader_that_nobody_reaped_is_a_group_of_zombies() {
    let child = Child::spawn(&shell("exit 0"));
    wait_for("a zombie", || (group_only_zombies(child.pid()).unwrap() == Some(true)).then_some(()));
}

#[test]
fn a_signal_that_does_not_exist_is_a_failure_and_not_a_death() {
    let child = Child::spawn(&shell("sleep 1000"));
    let sent = signal_process(child.pid(), child.fresh.pidfd.as_ref(), Signal(99));
    assert!(matches!(sent, Err(KillError::Failed(_))), "{sent:?}");
}
