//! The daemon dies by SIGKILL; the next one finds what is left, and nothing of others.

use crate::harness::*;
use crate::machine::*;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const WITH_GRANDCHILD: &str =
    "[program:a]\ncommand = {actor} --fork-child plain --child-pid {dir}/kids --touch {dir}/t\nstartsecs = 0\n";

/// Starts, waits for the program and its grandchild, and kills the daemon. The leader's pid and the grandchild's.
fn crashed(home: Home, text: &str) -> (Home, i32, i32) {
    let d = Daemon::start_in(home, text);
    d.wait_state("a", "RUNNING");
    d.wait_file("t");
    let (leader, kid) = (d.pid_of("a"), d.home.pids("kids").first().copied().unwrap_or(0));
    wait_recorded(&d.home, leader);
    (d.murder(), leader, kid)
}

/// The records in the state file.
pub fn records(home: &Home) -> Vec<Value> {
    let text = home.read(".d.state.json");
    let file: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    file["children"].as_array().cloned().unwrap_or_default()
}

#[track_caller]
pub fn wait_recorded(home: &Home, pid: i32) {
    wait_until(DEADLINE, &format!("{pid} is recorded"), || {
        records(home).iter().any(|record| record["pid"] == pid && record["start"].is_u64())
    });
}

#[test]
fn row_20_a_leftover_group_is_gone_before_the_first_spawn() {
    let home = Home::new();
    let mut decoy = Bystander::new(&home);
    let (home, leader, kid) = crashed(home, WITH_GRANDCHILD);
    wait_until(DEADLINE, "the leader died with its daemon", || !process::alive(leader));
    assert!(process::alive(kid), "inconclusive: the grandchild died by itself");
    let d = Daemon::launch(home);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(kid), "two generations side by side\n{}", d.story());
    let group = d.pid_of("a");
    let copies =
        d.home.processes().into_iter().filter(|&pid| process::stat(pid).is_some_and(|stat| stat.group == group));
    assert_eq!(copies.count(), 2, "the program and its grandchild, once each");
    let log = d.log();
    let place = |text: &str| log.lines().collect::<Vec<_>>().iter().rposition(|line| line.contains(text));
    assert!(place("stopping what an earlier daemon left behind") < place("Spawned a"), "{log}");
    decoy.assert_unharmed();
}

#[test]
fn row_20_many_deaf_orphans_go_side_by_side_while_the_socket_answers() {
    let text = "[program:a]\ncommand = {actor} --ignore TERM --touch {dir}/t\nnumprocs = 20\nstartsecs = 0\n\
        stopwaitsecs = 8\npdeathsig = false\nreconcile = kill\n";
    let d = Daemon::start_in(Home::new(), text);
    d.wait("all twenty are up", || (d.home.pids("t").len() == 20).then_some(()));
    let old = d.home.pids("t");
    wait_until(DEADLINE, "all are recorded", || records(&d.home).len() == 20);
    let home = d.murder();
    let begun = Instant::now();
    let d = Daemon::launch(home);
    assert!(begun.elapsed() < Duration::from_secs(8), "the socket answered after {:?} only", begun.elapsed());
    assert!(d.rows().iter().all(|row| row.state == "STARTING" && row.pid.is_none()), "{:?}", d.rows());
    d.wait_all("RUNNING");
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(80), "{took:?}");
    assert!(old.iter().all(|&pid| !process::alive(pid)));
    d.wait("the new ones are up", || (d.home.pids("t").len() == 40).then_some(()));
    assert_eq!(d.log_count("what an earlier daemon left did not stop in time: SIGKILL"), 20);
}

#[test]
fn row_20_a_polite_orphan_gets_its_own_stop_signal() {
    let text = "[program:a]\ncommand = {actor} --note-signals {dir}/signals --touch {dir}/t\nstartsecs = 0\n\
        stopsignal = QUIT\npdeathsig = false\nreconcile = kill\n";
    let (home, leader, _) = crashed(Home::new(), text);
    assert!(process::alive(leader), "inconclusive: it died with its daemon");
    let d = Daemon::launch(home);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(leader));
    assert!(d.home.read("signals").starts_with("SIGQUIT"), "{}", d.home.read("signals"));
}

#[test]
fn row_20_the_policy_decides() {
    // (the option, whether the old copy dies, whether the log says something of it)
    let arms = [
        ("pdeathsig = false\nreconcile = auto", false, true),
        ("pdeathsig = false\nreconcile = warn", false, true),
        ("pdeathsig = false\nreconcile = off", false, false),
        ("pdeathsig = false\nreconcile = kill", true, true),
    ];
    for (options, dies, told) in arms {
        let text = format!("[program:a]\ncommand = {{actor}} --touch {{dir}}/t\nstartsecs = 0\n{options}\n");
        let (home, leader, _) = crashed(Home::new(), &text);
        let d = Daemon::launch(home);
        d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
        assert_eq!(!process::alive(leader), dies, "{options}\n{}", d.story());
        assert_eq!(d.log_count("earlier daemon") > 0, told, "{options}\n{}", d.story());
    }
}

#[test]
fn row_20_a_copy_that_was_left_is_told_of_each_time() {
    let text = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\npdeathsig = false\n";
    let (home, leader, _) = crashed(Home::new(), text);
    let mut d = Daemon::launch(home);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert_eq!(d.terminate(), 0);
    assert_eq!(records(&d.home).iter().map(|record| &record["pid"]).collect::<Vec<_>>(), [leader]);
    let home = d.murder();
    let d = Daemon::launch(home);
    d.wait("the third run", || (d.home.pids("t").len() == 3).then_some(()));
    assert!(process::alive(leader));
    assert_eq!(d.log_count("copy still runs beside the new one"), 2);
}

#[test]
fn row_20_an_orphan_that_nothing_can_kill_holds_up_its_own_program_alone() {
    let text = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 1\npdeathsig = false\n\
        reconcile = kill\n[program:b]\ncommand = {actor}\nstartsecs = 0\n";
    let freezer = match Cgroup::new("freezer", "freezer.state") {
        Ok(freezer) => freezer,
        Err(reason) => return skip("row 20, unkillable", &reason),
    };
    let (home, leader, _) = crashed(Home::new(), text);
    freezer.take(leader);
    freezer.freeze();
    let d = Daemon::launch(home);
    d.wait_state("b", "RUNNING");
    d.wait_state("a", "BACKOFF");
    let reason = d.row("a").raw["reason"].as_str().unwrap_or("").to_owned();
    assert!(reason.contains("cannot be killed"), "{reason}");
    assert_eq!(d.home.pids("t").len(), 1, "a second copy beside the first");
    freezer.thaw();
    d.wait_state("a", "RUNNING");
    assert!(!process::alive(leader));
    d.assert_well();
}

/// Its first thread ends, another one lives: the kernel shows it with the letter of the dead.
const WITHOUT_ITS_FIRST_THREAD: &str = "import ctypes, os, sys, threading, time
def live():
    while open('/proc/self/stat').read().rsplit(')', 1)[1].split()[0] != 'Z':
        time.sleep(0.01)
    with open(sys.argv[1], 'a') as noted:
        noted.write(str(os.getpid()) + chr(10))
    time.sleep(1000)
threading.Thread(target=live).start()
ctypes.CDLL(None).pthread_exit(None)
";

#[test]
fn row_20_who_lost_its_first_thread_is_alive_all_the_same() {
    let home = Home::new();
    home.write("threads.py", WITHOUT_ITS_FIRST_THREAD);
    let text =
        "[program:a]\ncommand = python3 {dir}/threads.py {dir}/t\nstartsecs = 0\npdeathsig = false\nreconcile = kill\n";
    let (home, leader, _) = crashed(home, text);
    let there = || fs::read_dir(format!("/proc/{leader}/task")).is_ok_and(|threads| threads.count() > 1);
    assert!(there(), "inconclusive: it died with its daemon");
    let d = Daemon::launch(home);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!there(), "two copies side by side\n{}", d.story());
    assert_eq!(d.log_count("stopping what an earlier daemon left behind"), 1, "{}", d.story());
}

#[test]
fn a_shutdown_in_the_middle_keeps_the_orphans_recorded() {
    let text = "[program:a]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 20\n\
        pdeathsig = false\nreconcile = kill\n";
    let (home, leader, _) = crashed(Home::new(), text);
    let mut d = Daemon::launch(home);
    assert_eq!(d.terminate(), 0);
    assert!(process::alive(leader), "inconclusive");
    assert_eq!(records(&d.home).iter().map(|record| &record["pid"]).collect::<Vec<_>>(), [leader]);
    assert_eq!(d.home.pids("t").len(), 1, "nothing is started while an orphan is asked to stop");
}

/// It left its program's group by `setsid`, and its run was over and recorded no more.
#[test]
fn row_20_who_left_a_run_that_was_over_is_left_alone() {
    let text = "[program:a]\ncommand = sh -c 'setsid {actor} --touch {dir}/t & while ! [ -s {dir}/t ]; do sleep 0.1; done'\n\
        autorestart = false\nstartsecs = 0\n[program:b]\ncommand = {actor}\nstartsecs = 0\nautostart = false\n";
    let d = Daemon::start_in(Home::new(), text);
    d.wait_file("t");
    let left = d.home.pids("t")[0];
    d.wait_state("a", "EXITED");
    d.done("start", "b");
    wait_recorded(&d.home, d.pid_of("b"));
    let d = Daemon::launch(d.murder());
    d.wait_state("a", "EXITED");
    assert!(process::alive(left), "{}", d.story());
    assert_eq!(d.log_count("are left alone"), 1, "{}", d.story());
}

#[test]
fn row_22_death_between_fork_and_record() {
    if !can_inject() {
        return skip("row 22", "no strace with fault injection, or no ptrace");
    }
    let text = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\npdeathsig = false\nreconcile = kill\n\
        [program:b]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\nnumprocs = 3\npdeathsig = false\nreconcile = kill\n";
    // The first rename is before any child, the second after the first children.
    for (kill_at, orphans) in [(1, 0), (2, 4)] {
        let home = Home::new();
        home.configure(text);
        let mut command = home.command("strace");
        let inject = format!("inject=rename,renameat,renameat2:signal=KILL:when={kill_at}");
        command.args(["-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2", "-e", &inject]);
        command.arg(supervice());
        let mut d = Daemon::spawn(home, command);
        assert_eq!(d.wait_exit(), 137, "{}", d.story());
        // Nothing but their markers tells of them: the file lists nobody.
        assert_eq!(records(&d.home).len(), 0);
        let old = wait_for(DEADLINE, || Some(d.home.pids("t")).filter(|pids| pids.len() == orphans));
        let old = old.unwrap_or_else(|| panic!("{kill_at}: {:?} came up", d.home.pids("t")));
        let d = Daemon::launch(d.murder());
        d.wait_all("RUNNING");
        d.wait("the new ones are up", || (d.home.pids("t").len() == orphans + 4).then_some(()));
        assert!(old.iter().all(|&pid| !process::alive(pid)), "killed at rename {kill_at}\n{}", d.story());
        assert_eq!(process::children(d.pid()).len(), 4);
    }
}

#[test]
fn row_22_a_child_that_there_was_no_room_to_look_at_is_recorded_when_there_is() {
    if !can_inject() {
        return skip("row 22 without descriptors", "no strace with fault injection, or no ptrace");
    }
    let text = "[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = false\n";
    let d = Daemon::start(text);
    let calls = "open,openat,openat2";
    let fault = format!("inject={calls}:error=ENFILE");
    let tracer = Tracer::attach(&d, &["-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &fault]);
    d.done("start", "a");
    d.wait_log("after a crash our children would be unknown");
    tracer.detach();
    wait_recorded(&d.home, d.pid_of("a"));
    d.assert_well();
}

/// `a` would not go, and there is no room to make sure of it; that `b` is gone is known all the same.
#[test]
fn row_20_want_for_one_orphan_says_nothing_of_another() {
    if cfg!(feature = "portable") || !can_inject() {
        return skip("row 20, one of two", "no pidfds, no strace with fault injection, or no ptrace");
    }
    let of = |name: &str| {
        format!(
            "[program:{name}]\ncommand = {{actor}} --ignore TERM --touch {{dir}}/{name}\nstartsecs = 0\npdeathsig = false\n\
             reconcile = kill\nstopwaitsecs = 4\n"
        )
    };
    let text = of("a") + &of("b");
    let d = Daemon::start_in(Home::new(), &text);
    d.wait_file("a");
    d.wait_file("b");
    let (a, b) = (d.pid_of("a"), d.pid_of("b"));
    wait_recorded(&d.home, a);
    wait_recorded(&d.home, b);
    let d = Daemon::launch(d.murder());
    let fault = "inject=pidfd_open:error=ENFILE";
    let tracer = Tracer::attach(&d, &["-o", "/dev/null", "-e", "trace=pidfd_open", "-e", fault]);
    process::kill(b);
    d.wait_log("a: what an earlier daemon left did not stop in time");
    assert_eq!(d.log_count("b: what an earlier daemon left did not stop in time"), 0, "{}", d.story());
    tracer.detach();
    d.wait_all("RUNNING");
    assert!(!process::alive(a), "{}", d.story());
    d.assert_well();
}

#[test]
fn row_60_a_daemon_that_segfaults_is_like_one_that_is_killed() {
    let d = Daemon::start(WITH_GRANDCHILD);
    d.wait_file("t");
    let (leader, kid) = (d.pid_of("a"), d.home.pids("kids")[0]);
    wait_recorded(&d.home, leader);
    let mut d = d;
    // Rust's own handler takes the first one for a fault that will come again, and steps aside.
    let code = wait_for(DEADLINE, || {
        d.signal(Signal::SIGSEGV);
        d.try_exit()
    });
    assert_eq!(code, Some(128 + Signal::SIGSEGV as i32));
    let d = Daemon::launch(d.murder());
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(leader) && !process::alive(kid));
}

#[test]
fn the_marker_names_the_life_and_is_inherited() {
    let d = Daemon::start(WITH_GRANDCHILD);
    d.wait_file("t");
    let file: Value = serde_json::from_str(&d.home.read(".d.state.json")).unwrap();
    let life = file["life"].as_str().unwrap().to_owned();
    let kid = d.home.pids("kids")[0];
    let marker = process::given(d.pid_of("a"), "SUPERVICE_RUN");
    assert!(marker.starts_with(&format!("{life}.")), "{marker} {life}");
    // Its parent knows of it a moment before the kernel shows the environment of what it executes.
    assert_eq!(process::given(kid, "SUPERVICE_RUN"), marker);
    let old = d.pid_of("a");
    d.done("restart", "a");
    assert_ne!(d.pid_of("a"), old);
    assert_ne!(process::given(d.pid_of("a"), "SUPERVICE_RUN"), marker, "each run has its own");
}

/// Where there is no descriptor to look at /proc with, an orphan is not taken for gone.
#[test]
fn row_20_want_of_descriptors_hides_no_orphan() {
    let text = "[program:a]\ncommand = {actor} --touch {dir}/t --ignore TERM\nstartsecs = 0\nstopwaitsecs = 3\n\
        pdeathsig = false\nreconcile = kill\n";
    let home = Home::new();
    home.configure(text);
    let d = Daemon::launch(home);
    d.wait_file("t");
    let old = d.pid_of("a");
    wait_recorded(&d.home, old);
    let d = Daemon::launch(d.murder());
    let pid = d.pid().to_string();
    let limit =
        |soft: &str| run(d.home.command("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:")]), DEADLINE);
    // The least of many: each look of the daemon has one open for a moment.
    let room = (0..200).map(|_| process::descriptors(d.pid()).len()).min().unwrap_or(0);
    if limit(&room.to_string()).code != 0 {
        return skip("row 20 without descriptors", "no prlimit");
    }
    let story = d.wait_log("looking for the processes of an earlier daemon failed");
    assert!(story.contains("ERROR"), "{story}");
    assert!(process::alive(old) && d.home.pids("t").len() == 1, "{}", d.story());
    assert_eq!(limit("1024").code, 0);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    assert!(!process::alive(old), "{}", d.story());
    d.assert_well();
}
