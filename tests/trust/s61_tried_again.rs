//! Calls that must not fail for good: what the kernel refuses now is asked for again, and nobody is lost over it.

use crate::harness::*;
use crate::machine::{Tracer, can_inject};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

/// strace on the daemon, with every signal that it sends refused for that reason.
fn refuse_signals(d: &Daemon, errno: &str) -> Tracer {
    let trace = d.home.join("trace").display().to_string();
    // By number it would only be tried where there is no pidfd.
    let injection = format!("inject=kill,pidfd_send_signal:error={errno}");
    Tracer::attach(d, &["-o", &trace, "-e", "trace=kill,pidfd_send_signal", "-e", &injection])
}

/// Waits until so many SIGKILL were refused.
fn wait_refused(d: &Daemon, count: usize) {
    let refused = || d.home.read("trace").lines().filter(|line| line.contains("SIGKILL")).count();
    d.wait("SIGKILL goes out again", || (refused() >= count).then_some(()));
}

const DEAF: &str = "[program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 1\n";
const LEAVER: &str = "[program:leaver]\ncommand = {actor} --fork-child deaf --child-pid {dir}/left --touch {dir}/u\n\
    startsecs = 0\nstopwaitsecs = 4\n";

fn a_refused_kill_goes_out_again(errno: &str) {
    if !can_inject() {
        return skip("a refused SIGKILL", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start(&format!("{DEAF}{LEAVER}[program:kept]\ncommand = {{actor}}\nstartsecs = 0\n"));
    ["t", "u", "left"].into_iter().for_each(|name| drop(d.wait_file(name)));
    let (kept, deaf, left) = (d.pid_of("kept"), d.pid_of("deaf"), d.home.pids("left")[0]);
    // Its leader is gone and its group lives on: there is nobody whose end could be heard of.
    process::kill(d.pid_of("leaver"));
    d.wait_state("leaver", "STOPPING");
    let tracer = refuse_signals(&d, errno);
    d.home.configure("[program:kept]\ncommand = {actor}\nstartsecs = 0\n");
    d.begin(json!({"command": "reload"}));
    d.wait_log("SIGKILL");
    wait_refused(&d, 8);
    assert!(process::alive(deaf) && process::alive(left));
    tracer.detach();
    d.wait("what was removed is gone", || (d.rows().len() == 1).then_some(()));
    assert!(!process::alive(deaf) && !process::alive(left), "{}", d.story());
    for name in ["deaf", "leaver"] {
        assert_eq!(d.log_count(&format!("{name}: signal 9 to ")), 1, "told once\n{}", d.story());
        assert_eq!(d.log_count(&format!("{name}: SIGKILL to ")), 1, "and when it is over\n{}", d.story());
    }
    assert_eq!(d.pid_of("kept"), kept);
    d.assert_well();
}

#[test]
fn a_kill_that_is_not_permitted_goes_out_again() {
    a_refused_kill_goes_out_again("EPERM");
}

#[test]
fn a_kill_without_memory_goes_out_again() {
    a_refused_kill_goes_out_again("ENOMEM");
}

#[test]
fn a_refused_kill_of_a_health_check_goes_out_again() {
    if !can_inject() {
        return skip("a refused SIGKILL of a health check", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\nhealthcheck_type = script\n\
         healthcheck_command = echo $$ >> {dir}/checks; exec sleep 1000\nhealthcheck_interval = 1\n\
         healthcheck_timeout = 2\nhealthcheck_retries = 1000\nhealthcheck_start_period = 0\n",
    );
    let check = d.wait("a check runs", || d.home.pids("checks").first().copied());
    let tracer = refuse_signals(&d, "EPERM");
    d.wait_log(&format!("SIGKILL to health check {check} failed"));
    wait_refused(&d, 6);
    assert!(process::alive(check));
    tracer.detach();
    d.wait_log(&format!("SIGKILL to health check {check} could be sent at last"));
    process::wait_gone(check);
    assert_eq!(d.log_count(&format!("SIGKILL to health check {check} failed")), 1, "{}", d.story());
    d.wait("the next check runs", || d.home.pids("checks").iter().any(|&next| next != check).then_some(()));
    d.assert_well();
}

/// One start, with one of the reads that it takes refused: `true` if it was that of the exec verdict.
fn a_verdict_is_read_again(d: &Daemon, errno: &str, nth: u32) -> bool {
    let before = d.log_count("reading an exec verdict failed");
    let trace = d.home.join("reads").display().to_string();
    let injection = format!("inject=read:error={errno}:when={nth}");
    let tracer = Tracer::attach(d, &["-o", &trace, "-e", "trace=read", "-e", &injection]);
    let begun = Instant::now();
    d.done("start", "a");
    let took = begun.elapsed();
    tracer.detach();
    // It would be given up after a minute.
    assert!(took < Duration::from_secs(45), "{errno} in read {nth}: {took:?}\n{}", d.story());
    d.wait_state("a", "RUNNING");
    let pid = d.pid_of("a");
    assert!(process::alive(pid));
    d.done("stop", "a");
    process::wait_gone(pid);
    d.log_count("reading an exec verdict failed") > before
}

#[test]
fn an_exec_verdict_that_could_not_be_read_is_read_again() {
    if !can_inject() {
        return skip("an exec verdict that cannot be read", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = false\n");
    for errno in ["EINTR", "EAGAIN", "EIO"] {
        // Which of the reads it is depends on what else is read meanwhile, and is another one the next time.
        let mut reads = (1..=12).cycle().take(if errno == "EIO" { 120 } else { 4 });
        let told = reads.any(|nth| a_verdict_is_read_again(&d, errno, nth));
        assert_eq!(told, errno == "EIO", "{errno}: told: {told}\n{}", d.story());
    }
    d.assert_well();
}

#[test]
fn a_notification_that_could_not_be_read_is_read_again() {
    if !can_inject() {
        return skip("a notification that cannot be read", "no strace with fault injection, or no ptrace");
    }
    let notifier = actor().with_file_name("notifier").display().to_string();
    let d = Daemon::start(&format!(
        "[program:a]\ncommand = {notifier} send READY=1\nready = notify\nready_timeout = 600\nautostart = false\n"
    ));
    let injection = "inject=recvmsg:error=ENOMEM:when=1";
    let tracer = Tracer::attach(&d, &["-o", "/dev/null", "-e", "trace=recvmsg", "-e", injection]);
    let starting = d.begin(json!({"command": "start", "name": "a"}));
    d.wait_log("reading the notification socket failed");
    d.wait_state("a", "RUNNING");
    tracer.detach();
    drop(starting);
    d.assert_well();
}

#[test]
fn an_orphan_that_may_not_be_killed_is_told_of_once_and_goes_when_it_may() {
    if !can_inject() {
        return skip("a refused SIGKILL to an orphan", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 8\n\
         pdeathsig = false\nreconcile = kill\n",
    );
    d.wait_file("t");
    let old = d.pid_of("a");
    d.wait("it is recorded", || d.home.read(".d.state.json").contains(&format!(":{old},")).then_some(()));
    let d = Daemon::launch(d.murder());
    let tracer = refuse_signals(&d, "EPERM");
    wait_refused(&d, 8);
    assert!(process::alive(old), "{}", d.story());
    tracer.detach();
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(old));
    assert_eq!(d.log_count("a: signal 9 to process "), 1, "{}", d.story());
    d.assert_well();
}

#[test]
fn a_socket_that_was_bound_again_and_heard_by_nobody_is_listened_to_again() {
    if !can_inject() {
        return skip("a socket that cannot be listened to", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    let injection = "inject=epoll_ctl:error=ENOSPC";
    let tracer = Tracer::attach(&d, &["-o", "/dev/null", "-e", "trace=epoll_ctl", "-e", injection]);
    fs::remove_file(d.home.socket()).unwrap();
    if cfg!(feature = "portable") {
        // Nobody watches folders there: the signal makes it look.
        d.signal(Signal::SIGUSR1);
    }
    d.wait_log("No space left on device");
    // One more try each second; by now there were some.
    let begun = Instant::now();
    d.wait("three seconds", || (begun.elapsed().as_secs() >= 3).then_some(()));
    tracer.detach();
    d.wait_log("; bound again");
    d.wait("it answers", || Client::connect(&d.home.socket()).ok()?.ask(&json!({"command": "status"})).ok());
    assert_eq!(d.log_count("No space left on device"), 1, "{}", d.story());
    d.assert_well();
}

#[test]
fn a_dead_child_that_cannot_be_reaped_makes_nobody_wait_and_is_reaped_when_it_can() {
    if !can_inject() {
        return skip("a child that cannot be reaped", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nautorestart = false\n");
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    // Every other call asks who is dead; the one in between is to reap it.
    let first = if cfg!(feature = "portable") { 2 } else { 1 };
    let injection = format!("inject=waitid:error=EPERM:when={first}+2");
    let tracer = Tracer::attach(&d, &["-o", "/dev/null", "-e", "trace=waitid", "-e", &injection]);
    process::kill(pid);
    d.wait_log("reaping process");
    // One more try each second; by now there were some.
    let begun = Instant::now();
    d.wait("three seconds", || (begun.elapsed().as_secs() >= 3).then_some(()));
    assert_eq!(d.state("a"), "RUNNING");
    assert!(d.log_count("reaping process") <= 5, "{}", d.story());
    tracer.detach();
    d.wait_state("a", "EXITED");
    d.assert_well();
}

/// With a long table of descriptors children are made in a few places, and a spawn waits for one. It does not wait for ever
/// for children that never get as far as to leave theirs.
#[cfg(not(feature = "portable"))]
#[test]
fn children_that_get_nowhere_hold_up_no_others() {
    if !can_inject() {
        return skip("children that hang at their birth", "no strace with fault injection, or no ptrace");
    }
    // At the first of all, if not before, the daemon itself asks whether the kernel has the call.
    let first = "[program:first]\ncommand = {actor}\nstartsecs = 0\n";
    let rest = "[program:p]\ncommand = {actor}\nnumprocs = 200\nstartsecs = 0\nautostart = false\n";
    let d = Daemon::start(&format!("{first}{rest}"));
    d.wait_state("first", "RUNNING");
    let trace = d.home.join("trace").display().to_string();
    let injection = "inject=close_range:delay_enter=1000000000:when=1";
    let tracer = Tracer::attach(&d, &["-f", "-o", &trace, "-e", "trace=close_range", "-e", injection]);
    d.begin(json!({"command": "startgroup", "name": "p"}));
    d.wait("all are made", || d.rows().iter().all(|row| row.pid.is_some()).then_some(()));
    let waiting = d.rows().iter().filter(|row| row.state == "STARTING").count();
    assert_eq!(waiting, 200, "none of them gets as far as its program\n{}", d.story());
    tracer.detach();
    d.wait("all run", || d.rows().iter().all(|row| row.state == "RUNNING").then_some(()));
    d.assert_well();
}
