//! Deaths: every way to end is told exactly.

use crate::arena::{Child, launch, shell, wait_for};
use crate::probe;
use supervice::engine::message::ExitStatus;
use supervice::sys::watch::{Reap, open_pidfd, reap};

#[test]
fn every_exit_code_is_told_exactly() {
    let mut children: Vec<Child> = (0..=255).map(|code| Child::spawn(&shell(&format!("exit {code}")))).collect();
    for (code, child) in children.iter_mut().enumerate() {
        assert_eq!(child.verdict(), Ok(()), "{code}");
        assert_eq!(child.end(), ExitStatus::Code(u8::try_from(code).unwrap()));
    }
}

#[test]
fn every_deadly_signal_is_told_exactly() {
    let harmless = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    let stopping = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    // 32 and 33 are libc's own, and as deadly as the others.
    for signal in (1..=64).filter(|signal| !harmless.contains(signal) && !stopping.contains(signal)) {
        let folder = tempfile::tempdir().unwrap();
        let mut sleeper = launch(&["sleep", "1000"]);
        // Where a core dump would land.
        sleeper.directory = Some(folder.path().into());
        let mut child = Child::spawn(&sleeper);
        assert_eq!(child.verdict(), Ok(()), "{signal}");
        child.signal(signal);
        match child.end() {
            ExitStatus::Signal { number, .. } => assert_eq!(i32::from(number), signal),
            other => panic!("{signal}: {other:?}"),
        }
    }
}

#[test]
fn a_stopped_child_is_alive_and_a_reaped_one_is_nobodys() {
    let mut child = Child::spawn(&launch(&["sleep", "1000"]));
    assert_eq!(child.verdict(), Ok(()));
    let pidfd = child.fresh.pidfd.as_ref();
    assert_eq!(reap(child.pid(), pidfd).unwrap(), Reap::Dry);
    child.signal(libc::SIGSTOP);
    wait_for("a stop", || crate::arena::status(child.pid(), "State").starts_with('T').then_some(()));
    assert_eq!(reap(child.pid(), pidfd).unwrap(), Reap::Dry);
    child.signal(libc::SIGKILL);
    assert_eq!(child.end(), ExitStatus::Signal { number: 9, core: false });
    assert_eq!(reap(child.pid(), child.fresh.pidfd.as_ref()).unwrap(), Reap::Unknown);
    assert_eq!(reap(child.pid(), None).unwrap(), Reap::Unknown);
    assert_eq!(reap(1, None).unwrap(), Reap::Unknown);
}

#[test]
fn a_pidfd_is_there_exactly_where_the_build_says_so() {
    let child = Child::spawn(&launch(&["sleep", "1000"]));
    let own = cfg!(all(target_os = "linux", not(feature = "portable")));
    assert_eq!(child.fresh.pidfd.is_some(), own);
    assert_eq!(open_pidfd(child.pid()).is_ok(), own);
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[test]
fn a_pidfd_wakes_whoever_waits_for_the_end() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut child = Child::spawn(&shell("exit 9"));
    let pidfd = child.fresh.pidfd.take().unwrap();
    let mut entry = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut entry, PollTimeout::from(20_000_u16)).unwrap(), 1);
    assert_eq!(reap(child.pid(), Some(&pidfd)).unwrap(), Reap::Ended(ExitStatus::Code(9)));
    child.ended = Some(ExitStatus::Code(9));
}

#[test]
fn orphans_fall_to_a_subreaper_and_are_swept_with_what_is_known() {
    assert_eq!(probe::said(probe::command(&["subreaper"])), "true true true Unknown None\n");
}
