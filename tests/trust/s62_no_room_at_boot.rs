//! A daemon died, and the next one has no descriptor or no memory to look at what is left: it waits, and nobody is lost.

use crate::harness::*;
use crate::machine::*;
use crate::s20_crash::{records, wait_recorded};
use serde_json::json;
use std::time::Duration;

const ORPHAN: &str =
    "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\npdeathsig = false\nreconcile = kill\n";

const PUT_OFF: &str = "there is no room to look for what an earlier daemon left";

const GIVEN_UP: &str = "reconcile is given up";

/// Longer than it takes until it is given up.
const PATIENCE: Duration = Duration::from_secs(180);

/// A program outlived its daemon. Its pid.
fn orphaned(text: &str) -> (Home, i32) {
    let d = Daemon::start(text);
    d.wait_file("t");
    let old = d.pid_of("a");
    wait_recorded(&d.home, old);
    (d.murder(), old)
}

/// The next daemon, to which these calls on a path fail.
fn short_of(home: Home, path: &str, calls: &str, errno: &str) -> Daemon {
    let path = path.replace("{dir}", &home.path().display().to_string());
    let injection = format!("inject={calls}:error={errno}");
    launch_traced(home, &["-o", "/dev/null", "-P", &path, "-e", &injection])
}

const STATE_FILE: &str = ".d.state.json";

fn assert_waits(d: &Daemon, errno: &str) {
    let line = d.wait_log(PUT_OFF);
    assert!(line.contains("WARNING"), "{line}");
    let told = match errno {
        "EMFILE" => "Too many open files (os error",
        "ENFILE" => "Too many open files in system",
        _ => "Cannot allocate memory",
    };
    assert!(line.contains(told), "{line}");
    assert!(d.rows().iter().all(|row| row.state == "STARTING" && row.pid.is_none()), "{:?}", d.rows());
}

fn nobody_is_lost(path: &str, calls: &str, errno: &str) {
    if !can_inject() {
        return skip(&format!("{errno} at {path}"), "no strace with fault injection, or no ptrace");
    }
    let (home, old) = orphaned(ORPHAN);
    let before = home.read(STATE_FILE);
    let d = short_of(home, path, calls, errno);
    assert_waits(&d, errno);
    assert!(process::alive(old) && d.home.pids("t").len() == 1, "{}", d.story());
    assert_eq!(d.home.read(STATE_FILE), before, "{}", d.story());
    let_go(&d);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(old), "two copies side by side\n{}", d.story());
    let pid = d.pid_of("a");
    wait_recorded(&d.home, pid);
    assert_eq!(records(&d.home).len(), 1);
    assert_eq!((d.log_count(PUT_OFF), d.log_count("ERROR")), (1, 0), "{}", d.story());
    d.assert_well();
}

#[test]
fn no_descriptor_for_the_list_of_processes() {
    nobody_is_lost("/proc", "openat", "EMFILE");
}

#[test]
fn no_memory_for_the_list_of_processes() {
    nobody_is_lost("/proc", "getdents64", "ENOMEM");
}

#[test]
fn no_descriptor_for_the_state_file() {
    nobody_is_lost("{dir}/.d.state.json", "openat", "ENFILE");
}

#[test]
fn no_memory_for_the_state_file() {
    nobody_is_lost("{dir}/.d.state.json", "read", "ENOMEM");
}

#[test]
fn no_descriptor_for_the_boot_id() {
    nobody_is_lost("/proc/sys/kernel/random/boot_id", "openat", "EMFILE");
}

#[test]
fn no_memory_for_the_namespace() {
    nobody_is_lost("/proc/self/ns/pid", "?statx,?newfstatat,?stat", "ENOMEM");
}

#[test]
fn no_descriptor_for_ourselves() {
    nobody_is_lost("/proc/self/stat", "openat", "EMFILE");
}

/// Its leader is gone, and only its environment tells whose it is.
#[test]
fn no_descriptor_for_an_environment() {
    if !can_inject() {
        return skip("no descriptor for an environment", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child plain --child-pid {dir}/kids --touch {dir}/t\nstartsecs = 0\n\
         pdeathsig = false\nreconcile = kill\n",
    );
    d.wait_file("t");
    let (leader, kid) = (d.pid_of("a"), d.home.pids("kids")[0]);
    wait_recorded(&d.home, leader);
    let home = d.murder();
    process::kill(leader);
    if wait_for(DEADLINE, || process::stat(leader).is_none().then_some(())).is_none() {
        return skip("no descriptor for an environment", "nobody reaps orphans here");
    }
    let d = short_of(home, &format!("/proc/{kid}/environ"), "openat", "EMFILE");
    assert_waits(&d, "EMFILE");
    assert!(process::alive(kid) && d.home.pids("t").len() == 1, "{}", d.story());
    let_go(&d);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(kid), "two generations side by side\n{}", d.story());
    assert_eq!(d.log_count("left alone"), 0, "what could not be seen was taken for a verdict\n{}", d.story());
}

/// Python's records have no marker, so nothing but the process itself tells whose it is.
#[cfg(not(feature = "portable"))]
#[test]
fn no_descriptor_for_a_process() {
    if !can_inject() {
        return skip("no descriptor for a process", "no strace with fault injection, or no ptrace");
    }
    let home = Home::new();
    let orphan = Bystander::new(&home);
    let (pid, start) = (orphan.pid(), start_ticks(orphan.pid()));
    let file = json!({"version": 1, "children": [{"name": "a", "pid": pid, "pgid": pid,
        "token": format!("starttime:{start} pgid:{pid}"), "pdeathsig": true, "reconcile": "auto"}]});
    home.write(".d.state.json", file.to_string());
    home.configure(ORPHAN);
    let d = launch_traced(home, &["-o", "/dev/null", "-e", "trace=pidfd_open", "-e", "inject=pidfd_open:error=EMFILE"]);
    assert_waits(&d, "EMFILE");
    assert!(process::alive(pid) && !d.home.join("t").exists(), "{}", d.story());
    let_go(&d);
    d.wait_file("t");
    assert!(!process::alive(pid), "{}", d.story());
    assert_eq!(d.log_count("left alone"), 0, "{}", d.story());
}

/// It is asked to stop as soon as it can be made sure of, and not only killed at the end.
#[cfg(not(feature = "portable"))]
#[test]
fn no_descriptor_to_ask_an_orphan_with() {
    if !can_inject() {
        return skip("no descriptor to ask an orphan with", "no strace with fault injection, or no ptrace");
    }
    let text = "[program:a]\ncommand = {actor} --note-signals {dir}/signals --touch {dir}/t\nstartsecs = 0\n\
        stopwaitsecs = 60\npdeathsig = false\nreconcile = kill\n";
    let (home, old) = orphaned(text);
    // The first is the look, and those from the second on are to signal it.
    let injection = "inject=pidfd_open:error=EMFILE:when=2+";
    let d = launch_traced(home, &["-o", "/dev/null", "-e", "trace=pidfd_open", "-e", injection]);
    let line = d.wait_log(&format!("a: process {old} is not asked to stop yet"));
    assert!(line.contains("Too many open files"), "{line}");
    assert!(process::alive(old) && d.home.pids("t").len() == 1, "{}", d.story());
    let_go(&d);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(old) && d.home.read("signals").starts_with("SIGTERM"), "{}", d.story());
    assert_eq!(d.log_count("SIGKILL"), 0, "{}", d.story());
}

/// Nobody can be lost where nobody is known of.
#[test]
fn a_first_start_waits_for_no_room() {
    if !can_inject() {
        return skip("no room at the first start", "no strace with fault injection, or no ptrace");
    }
    let home = Home::new();
    home.configure(ORPHAN);
    let d = short_of(home, "/proc", "openat", "EMFILE");
    d.wait_file("t");
    assert_eq!((d.log_count(PUT_OFF), d.log_count("reconcile is off")), (0, 1), "{}", d.story());
}

#[test]
fn a_shutdown_that_comes_first_leaves_the_records_as_they_are() {
    if !can_inject() {
        return skip("a shutdown before the judgement", "no strace with fault injection, or no ptrace");
    }
    let (home, old) = orphaned(ORPHAN);
    let before = home.read(STATE_FILE);
    let mut d = short_of(home, "/proc", "openat", "EMFILE");
    assert_waits(&d, "EMFILE");
    assert_eq!(d.terminate(), 0, "{}", d.story());
    assert!(process::alive(old));
    assert_eq!(d.home.read(STATE_FILE), before);
    let d = Daemon::launch(d.murder());
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(old), "{}", d.story());
}

#[test]
fn commands_that_come_first_are_obeyed_afterwards() {
    if !can_inject() {
        return skip("commands before the judgement", "no strace with fault injection, or no ptrace");
    }
    let (home, old) = orphaned(ORPHAN);
    let d = short_of(home, "/proc", "openat", "EMFILE");
    assert_waits(&d, "EMFILE");
    d.home.configure(&format!(
        "{ORPHAN}[program:b]\ncommand = {{actor}}\nstartsecs = 0\nautostart = false\n\
         [program:c]\ncommand = {{actor}} --touch {{dir}}/t\nstartsecs = 0\n"
    ));
    let mut reload = d.begin(json!({"command": "reload"}));
    d.wait("the reload is heard", || (d.rows().len() == 3).then_some(()));
    let mut stop = d.begin(json!({"command": "stop", "name": "c"}));
    assert_eq!(stop.receive().unwrap()["status"], "ok");
    let mut start = d.begin(json!({"command": "start", "name": "b"}));
    d.wait_state("b", "STARTING");
    assert!(process::alive(old) && d.home.pids("t").len() == 1, "{}", d.story());
    let_go(&d);
    for reply in [reload.receive(), start.receive()] {
        assert_eq!(reply.unwrap()["status"], "ok", "{}", d.story());
    }
    d.wait_state("b", "RUNNING");
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(old));
    assert_eq!(d.state("c"), "STOPPED");
    d.assert_well();
}

#[test]
fn a_writer_that_could_not_be_looked_at_keeps_its_file() {
    if !can_inject() {
        return skip("a writer that cannot be looked at", "no strace with fault injection, or no ptrace");
    }
    let first = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    let pid = first.pid_of("a");
    wait_recorded(&first.home, pid);
    let before = first.home.read(STATE_FILE);
    let home = Home::new();
    home.configure(&format!("state_file = {}\n{ORPHAN}", first.home.join(STATE_FILE).display()));
    let mut d = short_of(home, &format!("/proc/{}/stat", first.pid()), "openat", "EMFILE");
    assert_waits(&d, "EMFILE");
    let_go(&d);
    assert_eq!(d.wait_exit(), 1, "{}", d.story());
    assert_eq!(d.log_count(&format!("is in use by the supervice with pid {}", first.pid())), 1, "{}", d.story());
    assert!(!d.home.join("t").exists() && !d.home.socket().exists(), "{}", d.story());
    assert_eq!(first.home.read(STATE_FILE), before);
    first.assert_well();
}

/// Reconcile is given up, and the programs start beside the orphan.
fn given_up(path: &str) -> (Daemon, i32) {
    let (home, old) = orphaned(ORPHAN);
    let d = short_of(home, path, "openat", "EMFILE");
    assert_waits(&d, "EMFILE");
    d.wait_within(PATIENCE, "it starts all the same", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(process::alive(old), "{}", d.story());
    let line = d.wait_log(GIVEN_UP);
    assert!(line.contains("ERROR"), "{line}");
    assert_eq!((d.log_count(PUT_OFF), d.log_count(GIVEN_UP)), (1, 1), "{}", d.story());
    (d, old)
}

/// The next daemon finds the old run and the one beside it.
fn assert_both_are_stopped(d: Daemon, old: i32) {
    let new = d.pid_of("a");
    wait_recorded(&d.home, new);
    wait_recorded(&d.home, old);
    let d = Daemon::launch(d.murder());
    d.wait("the third run", || (d.home.pids("t").len() == 3).then_some(()));
    assert!(!process::alive(old) && !process::alive(new), "{}", d.story());
    wait_until(DEADLINE, "the third run alone is recorded", || records(&d.home).len() == 1);
}

#[test]
fn what_could_not_be_judged_in_time_is_left_to_the_next_start() {
    if !can_inject() {
        return skip("reconcile that is given up", "no strace with fault injection, or no ptrace");
    }
    let (d, old) = given_up("/proc");
    assert_both_are_stopped(d, old);
}

#[test]
fn a_file_that_could_not_be_read_in_time_is_not_written_before_it_is() {
    if !can_inject() {
        return skip("a state file that cannot be read in time", "no strace with fault injection, or no ptrace");
    }
    let (d, old) = given_up("{dir}/.d.state.json");
    d.wait_log("state.json cannot be written");
    assert_eq!(records(&d.home).len(), 1, "{}", d.story());
    assert_eq!(records(&d.home)[0]["pid"], old);
    let_go(&d);
    d.wait_log("state.json is written again");
    assert_both_are_stopped(d, old);
}
