//! Readiness and watchdog, as stories.

use crate::engine::message::{Cause, Input, ProbeResult, State};
use crate::engine::policy::{Autorestart, HealthPolicy, Policy, Readiness};
use crate::engine::rig::{BAD, OK, Rig, checked, notified, policy, seconds, watched};
use crate::engine::time::Duration;
use alloc::string::String;

fn awaited() -> Policy {
    Policy { readiness: Readiness::Checked, ..checked() }
}

/// Its first check is under way.
fn asked(policy: Policy) -> Rig {
    let mut rig = Rig::starting(policy);
    assert_eq!(rig.wait(Duration::from_millis(100)), ["probe 1.1"]);
    rig
}

#[test]
fn it_is_running_when_it_says_so_however_long_it_lived() {
    let mut rig = Rig::starting(notified());
    assert!(rig.wait(seconds(59)).is_empty());
    assert_eq!(rig.ready(), ["STARTING>RUNNING", "reply 1 Done"]);
    assert!(rig.ready().is_empty());
    assert!(rig.wait(seconds(600)).is_empty());
}

#[test]
fn a_word_before_the_exec_is_confirmed_is_no_word() {
    let mut rig = Rig::made(notified());
    assert!(rig.ready().is_empty());
    rig.exec_ok();
    assert_eq!(rig.state(), State::Starting);
}

#[test]
fn a_word_of_one_that_is_not_asked_changes_nothing() {
    let mut rig = Rig::starting(policy());
    assert!(rig.ready().is_empty());
    assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING", "reply 1 Done"]);
    let mut rig = Rig::stopping(notified_and_up());
    assert!(rig.ready().is_empty());
}

fn notified_and_up() -> Policy {
    Policy { start_secs: Duration::ZERO, ..policy() }
}

#[test]
fn a_word_of_an_earlier_run_finds_nobody() {
    let mut rig = Rig::starting(notified());
    let run = rig.run();
    rig.exited(BAD);
    rig.wait(Duration::from_millis(1100));
    rig.spawned();
    rig.exec_ok();
    assert!(rig.hear(Input::Ready { run }).is_empty());
    assert_eq!((rig.state(), rig.engine.stale_inputs()), (State::Starting, 1));
}

#[test]
fn no_word_in_time_is_a_failed_start() {
    let mut rig = Rig::starting(notified());
    assert_eq!(rig.wait(seconds(60)), ["ready timed out 1", "signal 1 TERM", "STARTING>STOPPING"]);
    assert_eq!(rig.exited(OK), ["exited 1 0 expected", "STOPPING>BACKOFF 1s", "reply 1 Failed BACKOFF"]);
    assert_eq!((rig.instance().last_cause(), rig.instance().attempts()), (Some(Cause::NotReady), 1));
}

#[test]
fn as_many_of_them_as_retries_and_one_are_fatal() {
    let mut rig = Rig::starting(Policy { start_retries: 0, ..notified() });
    rig.wait(seconds(60));
    assert_eq!(rig.exited(OK)[1..], ["STOPPING>FATAL", "reply 1 Failed FATAL"]);
    let mut rig = Rig::starting(Policy { autorestart: Autorestart::Never, ..notified() });
    rig.wait(seconds(60));
    assert_eq!(rig.exited(OK)[1..], ["STOPPING>EXITED", "reply 1 Failed EXITED"]);
}

#[test]
fn an_exit_before_its_word_is_a_failed_start() {
    let mut rig = Rig::starting(notified());
    assert_eq!(rig.exited(OK), ["exited 1 0 expected", "STARTING>BACKOFF 1s", "reply 1 Failed BACKOFF"]);
}

#[test]
fn a_stop_does_not_wait_for_readiness() {
    let mut rig = Rig::starting(notified());
    let told = ["reply 1 Superseded", "signal 1 TERM", "STARTING>STOPPING"];
    let mut stopped = rig.stop();
    stopped.sort();
    let mut expected = told.to_vec();
    expected.sort_unstable();
    assert_eq!(stopped, expected);
    let mut rig = asked(awaited());
    assert!(rig.stop().contains(&String::from("hush 1.1")));
}

#[test]
fn it_is_running_at_the_first_check_that_passes() {
    let mut rig = Rig::made(awaited());
    assert!(rig.exec_ok().is_empty());
    assert_eq!(rig.wait(Duration::from_millis(100)), ["probe 1.1"]);
    assert_eq!(rig.answer(1, ProbeResult::Fail), ["not ready 1.1"]);
    assert_eq!(rig.wait(seconds(1)), ["probe 1.2"]);
    assert_eq!(rig.wait(seconds(3)), ["hush 1.2", "not ready 1.2, no answer", "probe 1.3"]);
    assert_eq!(rig.answer(3, ProbeResult::Pass), ["passed 1.3 after 0", "STARTING>RUNNING", "reply 1 Done"]);
    assert_eq!(rig.instance().healthy(), Some(true));
    assert!(rig.wait(Duration::from_millis(4999)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1)), ["probe 1.4"]);
    assert_eq!(rig.answer(4, ProbeResult::Fail), ["failed 1.4 1/2"]);
}

#[test]
fn no_check_that_passes_in_time_is_a_failed_start() {
    let mut rig = asked(Policy { ready_timeout: seconds(2), ..awaited() });
    rig.answer(1, ProbeResult::Fail);
    let told = rig.wait(seconds(2));
    assert_eq!(told, ["probe 1.2", "hush 1.2", "ready timed out 1", "signal 1 TERM", "STARTING>STOPPING"]);
    assert!(rig.answer(2, ProbeResult::Pass).is_empty());
    assert_eq!(rig.exited(OK)[1], "STOPPING>BACKOFF 1s");
}

#[test]
fn a_check_of_a_start_ends_with_it() {
    let mut rig = asked(awaited());
    assert_eq!(rig.exited(OK)[0], "hush 1.1");
}

#[test]
fn one_that_died_with_its_verdict_is_not_asked() {
    let mut rig = Rig::starting(awaited());
    assert_eq!(rig.exited(OK), ["exited 1 0 expected", "STARTING>BACKOFF 1s", "reply 1 Failed BACKOFF"]);
}

#[test]
fn a_question_of_a_start_is_never_taken_for_a_later_one() {
    let mut rig = asked(awaited());
    rig.change(policy());
    rig.change(checked());
    assert_eq!(rig.wait(seconds(11)), ["probe 1.2"]);
    assert!(rig.answer(1, ProbeResult::Fail).is_empty());
}

#[test]
fn a_start_that_waits_for_checks_that_a_reload_took_away_is_done() {
    let mut rig = asked(awaited());
    let told = rig.change(policy());
    assert!(told.contains(&String::from("hush 1.1")) && told.contains(&String::from("STARTING>RUNNING")), "{told:?}");
    assert!(rig.wait(seconds(100)).is_empty());
}

#[test]
fn a_reload_does_not_put_the_first_look_off() {
    let mut rig = Rig::starting(awaited());
    let health = HealthPolicy { interval: seconds(9), timeout: seconds(1), retries: 1, start_period: seconds(50) };
    rig.change(Policy { health: Some(health), ..awaited() });
    assert_eq!(rig.wait(Duration::from_millis(100)), ["probe 1.1"]);
}

#[test]
fn one_that_is_heard_of_is_left_alone() {
    let mut rig = Rig::running(watched());
    assert_eq!(rig.instance().healthy(), None);
    for _ in 0..20 {
        assert!(rig.wait(seconds(2)).is_empty());
        assert!(rig.ping().is_empty());
    }
    assert_eq!(rig.instance().healthy(), Some(true));
}

#[test]
fn pings_arm_no_deadlines() {
    let mut rig = Rig::running(watched());
    for _ in 0..1000 {
        rig.ping();
    }
    assert!(rig.wait(Duration::from_millis(2999)).is_empty());
    assert_eq!(rig.wait(seconds(1))[0], "watchdog missed 1");
}

#[test]
fn one_that_is_silent_is_restarted_as_one_that_is_unhealthy() {
    let mut rig = Rig::running(watched());
    let told =
        ["watchdog missed 1", "RUNNING>UNHEALTHY", "health restart 1 1/3", "signal 1 TERM", "UNHEALTHY>STOPPING"];
    assert_eq!(rig.wait(seconds(3)), told);
    assert_eq!(rig.exited(OK)[1..], ["STOPPING>BACKOFF 1s"]);
    assert_eq!(rig.instance().last_cause(), Some(Cause::Hung));
}

#[test]
fn without_autorestart_it_is_unhealthy_until_it_is_heard_of() {
    let mut rig = Rig::running(Policy { autorestart: Autorestart::Never, ..watched() });
    assert_eq!(rig.wait(seconds(30)), ["watchdog missed 1", "RUNNING>UNHEALTHY"]);
    assert_eq!(rig.instance().healthy(), Some(false));
    assert_eq!(rig.ping(), ["UNHEALTHY>RUNNING"]);
    assert_eq!(rig.wait(seconds(3)), ["watchdog missed 1", "RUNNING>UNHEALTHY"]);
}

#[test]
fn a_check_that_passes_does_not_make_up_for_silence() {
    let policy = Policy { watchdog: Some(seconds(3)), autorestart: Autorestart::Never, ..checked() };
    let mut rig = Rig::running(policy);
    rig.wait(seconds(11));
    assert_eq!(rig.answer(1, ProbeResult::Pass), ["passed 1.1 after 0"]);
    assert_eq!(rig.state(), State::Unhealthy);
    assert_eq!(rig.ping(), ["UNHEALTHY>RUNNING"]);
}

#[test]
fn silence_counts_from_running() {
    let mut rig = Rig::starting(Policy { readiness: Readiness::Notified, ..watched() });
    assert!(rig.wait(seconds(50)).is_empty());
    assert!(rig.ping().is_empty());
    rig.ready();
    assert!(rig.wait(Duration::from_millis(2999)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1))[0], "watchdog missed 1");
}

#[test]
fn silence_while_nobody_listened_is_not_held_against_it() {
    let mut rig = Rig::running(watched());
    rig.now = rig.now + seconds(10);
    assert!(rig.away().is_empty());
    assert!(rig.wait(Duration::from_millis(2999)).is_empty());
    rig.ping();
    assert!(rig.wait(Duration::from_millis(2999)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1))[0], "watchdog missed 1");
}

#[test]
fn one_that_hangs_is_found_although_nobody_ever_listens_in_time() {
    let mut rig = Rig::running(watched());
    let told = (0..4).flat_map(|_| {
        rig.now = rig.now + seconds(2);
        let mut told = rig.away();
        told.extend(rig.wait(Duration::ZERO));
        told
    });
    assert_eq!(told.collect::<Vec<_>>()[0], "watchdog missed 1");
}

#[test]
fn whoever_has_most_of_its_time_left_is_given_no_more() {
    let mut rig = Rig::running(watched());
    rig.wait(seconds(1));
    rig.away();
    assert_eq!(rig.wait(seconds(2))[0], "watchdog missed 1");
}

#[test]
fn a_start_is_given_its_time_once_more_when_nobody_listened() {
    let mut rig = Rig::starting(notified());
    rig.now = rig.now + seconds(61);
    assert!(rig.away().is_empty());
    assert!(rig.wait(seconds(59)).is_empty());
    assert!(rig.away().is_empty());
    assert_eq!(rig.wait(seconds(1))[0], "ready timed out 1");
    let mut rig = asked(awaited());
    rig.now = rig.now + seconds(61);
    assert!(rig.away().is_empty());
    assert_eq!(rig.answer(1, ProbeResult::Pass)[1], "STARTING>RUNNING");
}

#[test]
fn a_check_is_given_its_time_once_more_when_nobody_listened() {
    let mut rig = Rig::running(checked());
    assert_eq!(rig.wait(seconds(11)), ["probe 1.1"]);
    rig.now = rig.now + seconds(60);
    assert!(rig.away().is_empty());
    assert!(rig.wait(Duration::from_millis(1999)).is_empty());
    assert!(rig.away().is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1)), ["hush 1.1", "failed 1.1 1/2, no answer"]);
    rig.wait(seconds(5));
    rig.now = rig.now + seconds(60);
    rig.away();
    assert_eq!(rig.answer(2, ProbeResult::Pass), ["passed 1.2 after 1"]);
}

#[test]
fn a_ping_is_no_check_that_passes_where_there_are_checks() {
    let mut rig = Rig::running(Policy { watchdog: Some(seconds(60)), start_retries: 1, ..checked() });
    assert_eq!(rig.sicken()[2], "health restart 1 1/1");
    rig.exited(OK);
    rig.wait(Duration::from_millis(1100));
    rig.spawned();
    rig.exec_ok();
    rig.wait(seconds(1));
    assert!(rig.ping().is_empty());
    assert_eq!(rig.instance().healthy(), None);
    assert_eq!(rig.sicken(), ["failed 2.2 2/2", "RUNNING>UNHEALTHY", "signal 2 TERM", "UNHEALTHY>STOPPING"]);
}
