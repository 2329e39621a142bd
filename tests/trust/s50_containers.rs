//! In a container: the daemon is process 1, its exit status is the program's, and much that is elsewhere is not there.

use crate::harness::*;
use nix::sys::signal::Signal;
use std::process::Command;

/// The code with which the daemon ends by itself.
#[track_caller]
fn code_of(text: &str) -> i32 {
    let home = Home::new();
    home.configure(text);
    let ran = home.run_daemon(&["-n", "-c", "c.conf"]);
    assert!(ran.stdout.contains("Shutdown complete"), "{ran:?}");
    ran.code
}

#[test]
fn on_exit_the_daemon_ends_as_the_program_did() {
    let program = |habit: &str, rest: &str| {
        format!(
            "[program:a]\ncommand = {{actor}} {habit}\nstartsecs = 0\non_exit = shutdown\n{rest}\n\
             [program:b]\ncommand = {{actor}}\nstartsecs = 0\n"
        )
    };
    let never = "autorestart = false";
    assert_eq!(code_of(&program("--exit 0 --after 100", never)), 0);
    assert_eq!(code_of(&program("--exit 7 --after 100", never)), 7);
    assert_eq!(code_of(&program("--exit 255", never)), 255);
    assert_eq!(code_of(&program("--die-of KILL --after 100", never)), 128 + 9);
    assert_eq!(code_of(&program("--exit 3 --after 100", "autorestart = unexpected\nexitcodes = 3")), 3);
    // A start that fails and is not tried again is an end, too.
    assert_eq!(
        code_of(&program("--exit 4", "autorestart = false\nstartsecs = 5").replacen("startsecs = 0\n", "", 1)),
        4
    );
}

#[test]
fn on_fatal_the_daemon_ends_with_the_last_failure() {
    let program = |command: &str, rest: &str| {
        format!(
            "[program:a]\ncommand = {command}\nstartretries = 0\non_fatal = shutdown\n{rest}\n\
             [program:b]\ncommand = {{actor}}\nstartsecs = 0\n"
        )
    };
    assert_eq!(code_of(&program("{actor} --exit 9", "startsecs = 5")), 9);
    assert_eq!(code_of(&program("{actor} --die-of TERM", "startsecs = 5")), 128 + 15);
    // It was given up: that is no success, whatever it said.
    assert_eq!(code_of(&program("{actor} --exit 0", "startsecs = 5")), 1);
    assert_eq!(code_of(&program("{dir}/nowhere", "")), 127);
    assert_eq!(code_of(&program("{dir}", "")), 126);
    assert_eq!(code_of(&program("{actor}", "ready = notify\nready_timeout = 0.2")), 1);
}

#[test]
fn an_end_that_was_ordered_or_is_followed_by_a_restart_is_no_end() {
    let mut d = Daemon::start(
        "[program:a]\ncommand = {actor} --exit 5 --after 300\nstartsecs = 0\nautorestart = unexpected\non_exit = shutdown\n\
         [program:b]\ncommand = {actor} --on-term-exit 6\nstartsecs = 0\nautorestart = false\non_exit = shutdown\non_fatal = shutdown\n",
    );
    let pid = d.wait_state("b", "RUNNING").pid.unwrap();
    d.done("restart", "b");
    d.done("stop", "b");
    assert!(!process::alive(pid));
    d.wait("a was started again", || (d.log_count("Spawned a ") > 2).then_some(()));
    d.done("stop", "a");
    d.done("start", "b");
    d.assert_well();
    assert_eq!(d.terminate(), 0, "a shutdown that was ordered ends with 0");
}

#[test]
fn on_exit_holds_at_once_after_a_reload() {
    let text = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\nautorestart = false\n";
    let mut d = Daemon::start(text);
    d.wait_file("t");
    let pid = d.pid_of("a");
    d.home.configure(&format!("{text}on_exit = shutdown\n"));
    d.reload();
    assert_eq!(d.pid_of("a"), pid);
    process::kill(pid);
    assert_eq!(d.wait_exit(), 137);
    assert_eq!(d.log_count("a is EXITED and has on_exit = shutdown (exit status 137)"), 1, "{}", d.story());
}

/// systemd and `docker stop` may signal the program and the daemon at once: that is one wish, not two.
#[test]
fn on_exit_and_one_sigterm_kill_nobody() {
    let mut d = Daemon::start(
        "shutdown_timeout = 300\n\
         [program:a]\ncommand = {actor} --touch {dir}/a\nstartsecs = 0\nautorestart = false\non_exit = shutdown\n\
         [program:b]\ncommand = {actor} --touch {dir}/b --ignore TERM\nstartsecs = 0\nstopwaitsecs = 300\n",
    );
    let (a, b) = (d.wait_file("a"), d.wait_file("b"));
    drop((a, b));
    let (a, b) = (d.pid_of("a"), d.pid_of("b"));
    process::kill(a);
    d.wait_log("a is EXITED and has on_exit = shutdown");
    d.signal(Signal::SIGTERM);
    d.wait_log("Received SIGTERM, shutting down already: the next one kills what is left");
    assert!(process::alive(b), "{}", d.story());
    d.signal(Signal::SIGTERM);
    d.wait_log("Received SIGTERM while shutting down: killing what is left");
    assert_eq!(d.wait_exit(), 137);
    assert!(!process::alive(b));
}

#[test]
fn on_exit_that_can_never_happen_is_warned_of() {
    let home = Home::new();
    let ran = home.test_config("[program:a]\ncommand = true\non_exit = shutdown\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("on_exit: has no effect with autorestart = true"), "{ran:?}");
}

/// `unshare` into a pid namespace of its own, with what `script` does there before the daemon takes its place.
fn namespace(home: &Home, script: &str) -> Command {
    let mut command = home.command("unshare");
    let line = format!("{script} exec \"$0\" \"$@\"");
    command.args(["-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", &line]);
    command
}

/// The daemon as process 1; `None` where that is not allowed.
fn as_first(what: &str, home: Home, script: &str) -> Option<Daemon> {
    let probe = run(namespace(&home, script).arg("true"), DEADLINE);
    if probe.code != 0 {
        skip(what, &format!("no such namespace: {}", probe.stderr.trim()));
        return None;
    }
    let mut command = namespace(&home, script);
    command.arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    let wrapper = d.pid();
    let pid = d.wait("the daemon is there", || process::children(wrapper).first().copied());
    assert_eq!(process::status(pid, "NSpid").split_whitespace().last(), Some("1"));
    d.set_pid(pid);
    Some(d)
}

const PROGRAM: &str = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n";

/// What must hold of a daemon in any container.
fn works(d: &mut Daemon) {
    let outside = |d: &Daemon| process::children(d.pid());
    d.wait_state("a", "RUNNING");
    d.wait_file("t");
    let old = outside(d)[0];
    process::kill(old);
    d.wait("it runs anew", || outside(d).first().filter(|&&pid| pid != old).map(drop));
    d.wait_state("a", "RUNNING");
    d.done("restart", "a");
    d.done("stop", "a");
    d.done("start", "a");
    assert_eq!(d.reload()["status"], "ok");
    d.assert_well();
    assert_eq!(d.terminate(), 0, "{}", d.story());
    assert_eq!(d.log_count("Shutdown complete"), 1);
}

#[test]
fn as_process_1_it_reaps_whatever_falls_to_it() {
    let home = Home::new();
    home.configure(
        "[program:a]\ncommand = sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sh -c \"sleep 0.2; echo x >> {dir}/gone\" &); done; \
         exec {actor}'\nstartsecs = 0\nautorestart = false\nallow_leftover = true\n",
    );
    let Some(mut d) = as_first("process 1, orphans", home, "") else { return };
    d.wait("all orphans are at their end", || (d.home.read("gone").lines().count() == 10).then_some(()));
    d.wait("one child and no zombie is left", || {
        (process::zombies(d.pid()).is_empty() && process::children(d.pid()).len() == 1).then_some(())
    });
    assert_eq!(d.log_count("WARNING") + d.log_count("ERROR"), 0, "{}", d.story());
    assert_eq!(d.terminate(), 0);
}

#[test]
fn as_process_1_it_ends_as_its_program_did_and_leaves_nobody() {
    let home = Home::new();
    home.configure(
        "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\nautorestart = false\non_exit = shutdown\n\
         [program:b]\ncommand = {actor} --note-signals {dir}/b --on-term-exit 0\nstartsecs = 0\nstopsignal = INT\n",
    );
    let Some(mut d) = as_first("process 1, exit code", home, "") else { return };
    d.wait_state("b", "RUNNING");
    d.wait_file("t");
    let pids = process::children(d.pid());
    assert_eq!(pids.len(), 2);
    let a =
        pids.iter().copied().find(|&pid| process::variable(pid, "SUPERVICE_RUN").is_some() && is_of(pid, "--touch"));
    process::signal(a.expect("one of them is a"), Signal::SIGKILL);
    assert_eq!(d.wait_exit(), 128 + 9, "{}", d.story());
    assert!(pids.iter().all(|&pid| !process::alive(pid)));
}

fn is_of(pid: i32, argument: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|text| text.split(|&byte| byte == 0).any(|word| word == argument.as_bytes()))
}

#[test]
fn as_process_1_it_forwards_nothing() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor} --note-signals {dir}/heard --touch {dir}/t\nstartsecs = 0\n");
    let Some(mut d) = as_first("process 1, signals", home, "") else { return };
    d.wait_file("t");
    for signal in [Signal::SIGPIPE, Signal::SIGWINCH, Signal::SIGURG, Signal::SIGALRM, Signal::SIGQUIT, Signal::SIGTTOU]
    {
        d.signal(signal);
    }
    d.signal(Signal::SIGHUP);
    d.wait_log("Reload complete");
    assert_eq!(d.home.read("heard"), "");
    assert_eq!(d.terminate(), 0, "{}", d.story());
    assert_eq!(d.home.read("heard").trim(), "SIGTERM");
}

#[test]
fn with_a_root_that_cannot_be_written_it_needs_one_folder() {
    let home = Home::new();
    home.configure(PROGRAM);
    let dir = home.path().display().to_string();
    let script = format!(
        "mount --bind {dir} {dir} && mount -o remount,bind,ro / && ! touch /tmp/written 2>/dev/null && cd {dir} &&"
    );
    let Some(mut d) = as_first("a read-only root", home, &script) else { return };
    works(&mut d);
}

#[test]
fn where_nothing_can_be_written_it_says_what_it_misses() {
    let home = Home::new();
    home.configure(PROGRAM);
    let dir = home.path().display().to_string();
    let script = format!("mount --bind -o ro {dir} {dir} && mount -o remount,bind,ro {dir} && cd {dir} &&");
    if run(namespace(&home, &script).arg("true"), DEADLINE).code != 0 {
        return skip("nothing can be written", "no mount namespace");
    }
    let ran = run(namespace(&home, &script).arg(supervice()).args(["-n", "-c", "c.conf"]), DEADLINE);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("socket: the folder") && ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert!(!home.join("t").exists());
}

#[test]
fn as_process_1_without_proc() {
    let home = Home::new();
    home.configure(PROGRAM);
    let script = "mount -t tmpfs -o ro none /proc &&";
    let Some(mut d) = as_first("process 1 without /proc", home, script) else { return };
    works(&mut d);
    assert_eq!(d.log_count("WARNING  reconcile is off"), 1, "{}", d.story());
}

#[test]
fn as_process_1_without_a_terminal_or_any_descriptor() {
    let home = Home::new();
    home.configure(&format!("logfile = {{dir}}/log\n{PROGRAM}"));
    let Some(mut d) = as_first("process 1 without descriptors", home, "setsid true; exec 0<&- 1>&- 2>&-;") else {
        return;
    };
    d.wait_state("a", "RUNNING");
    d.wait_file("t");
    d.done("restart", "a");
    d.assert_well();
    assert_eq!(d.terminate(), 0);
    assert!(d.home.read("log").contains("Shutdown complete"));
}
