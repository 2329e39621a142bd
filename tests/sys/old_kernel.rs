//! What newer kernels added may be missing: the same deeds then go the older way.

use crate::probe;
use std::process::Command;

/// A probe for which these calls fail as on a kernel that does not know them.
fn without(calls: &[&str], words: &[&str]) -> String {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    for call in calls {
        strace.args(["-e", &format!("inject={call}")]);
    }
    strace.arg(probe::path()).args(words);
    probe::said(strace)
}

#[test]
fn without_close_range_descriptors_are_closed_one_by_one() {
    if !probe::has("strace") {
        return;
    }
    let script = "for n in $(seq 0 40); do test ! -e /proc/$$/fd/$n || echo open $n; done";
    let said = without(&["close_range:error=ENOSYS"], &["spawn", "-", "-", "sh", "-c", script]);
    let open: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("open ")).collect();
    assert_eq!(open, ["0", "1", "2"], "{said}");
}

#[cfg(not(feature = "portable"))]
#[test]
fn without_a_clone_that_gives_a_pidfd_a_fork_does() {
    if !probe::has("strace") {
        return;
    }
    for error in ["ENOSYS", "EINVAL"] {
        // The first shares memory, the second is a fork with a pidfd, the third is libc's fork.
        for calls in ["when=1", "when=1..2"] {
            let said = without(&[&format!("clone:error={error}:{calls}")], &["spawn", "-", "-", "echo", "ran"]);
            assert!(said.contains("ran") && said.contains("end Code(0)"), "{said}");
        }
    }
}

/// Kernels before 5.2 pass over the wish for a pidfd: where one should be told, there is what was there before.
#[cfg(not(feature = "portable"))]
#[test]
fn without_a_pidfd_from_clone_a_child_is_made_all_the_same() {
    if !probe::has("strace") {
        return;
    }
    let untold = "clone:poke_exit=@arg3=ffffffff";
    for calls in [&[untold][..], &[untold, "pidfd_open:error=ENOSYS"]] {
        let said = without(calls, &["spawn", "-", "-", "sh", "-c", "exit 4"]);
        assert!(said.contains("verdict ok\nend Code(4)"), "{calls:?}: {said}");
        // With a switch of user it is a fork.
        if probe::is_root() {
            let said = without(calls, &["spawn", "nobody", "-", "sh", "-c", "exit 4"]);
            assert!(said.contains("verdict ok\nend Code(4)"), "{calls:?}: {said}");
        }
    }
}

#[cfg(not(feature = "portable"))]
#[test]
fn without_pidfds_children_are_reaped_by_number() {
    if !probe::has("strace") {
        return;
    }
    let calls = ["clone:error=ENOSYS:when=1..2", "pidfd_open:error=ENOSYS"];
    let said = without(&calls, &["spawn", "-", "-", "sh", "-c", "exit 4"]);
    assert!(said.contains("end Code(4)"), "{said}");
}

#[test]
fn without_groups_behind_pidfds_they_are_reached_by_number() {
    if !probe::has("strace") {
        return;
    }
    let said = without(&["pidfd_send_signal:error=EINVAL"], &["group"]);
    assert!(said.ends_with("after TERM Members Some(false)\nafter KILL Empty None Err(Gone)\n"), "{said}");
}

/// As container engines had it before they knew the call.
#[test]
fn where_a_filter_refuses_signals_behind_pidfds_they_go_by_number() {
    if !probe::has("strace") {
        return;
    }
    for error in ["EPERM", "EACCES", "ENOSYS"] {
        let refused = format!("pidfd_send_signal:error={error}");
        let said = without(&[&refused], &["group"]);
        assert!(said.ends_with("after TERM Members Some(false)\nafter KILL Empty None Err(Gone)\n"), "{error}: {said}");
        for calls in [&[refused.as_str()][..], &[&refused, &format!("pidfd_open:error={error}")]] {
            let said = without(calls, &["process"]);
            assert_eq!(said, "Signal { number: 15, core: false } Signal { number: 9, core: false }\n", "{calls:?}");
        }
    }
}

#[test]
fn where_a_filter_refuses_close_range_no_child_begins_with_our_descriptors() {
    if !probe::has("strace") {
        return;
    }
    for error in ["EPERM", "EACCES", "ENOSYS"] {
        let said = without(&[&format!("close_range:error={error}")], &["places", "3"]);
        assert_eq!(said, "3 said 0 1 2, nothing is left over\n", "{error}");
    }
}

#[test]
fn without_proc_children_start_all_the_same() {
    if !probe::is_root() || !probe::has("unshare") {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" spawn - - echo ran"]).arg(probe::path());
    let said = probe::said(command);
    assert!(said.contains("ran") && said.contains("end Code(0)"), "{said}");
}
