//! The failure table, processes: what a supervisor meets when its children and the kernel do not behave.

use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[test]
fn row_01_two_hundred_die_at_once() {
    let d = Daemon::start_in(Home::alone(), "[program:a]\ncommand = {actor}\nnumprocs = 200\nstartsecs = 0\n");
    d.wait_all("RUNNING");
    let old: BTreeSet<_> = d.rows().iter().filter_map(|row| row.pid).collect();
    assert_eq!(old.len(), 200);
    old.iter().for_each(|&pid| process::kill(pid));
    d.wait_within(Duration::from_secs(10), "all run anew", || {
        let rows = d.rows();
        rows.iter().all(|row| row.state == "RUNNING" && row.pid.is_some_and(|pid| !old.contains(&pid))).then_some(())
    });
    let log = d.log();
    let killed = log.lines().filter(|line| line.ends_with(" killed by SIGKILL"));
    let exits = killed.filter(|line| !line.contains("Backoff")).count();
    assert_eq!(exits, 200, "every exit is seen once");
    d.assert_well();
    assert_eq!(process::children(d.pid()).len(), 200);
}

#[test]
fn row_02_grandchildren_that_nobody_waits_for() {
    let d = Daemon::start_in(
        Home::alone(),
        "[program:a]\ncommand = sh -c '(sleep 2 &); (setsid sleep 2 &); exec {actor}'\nnumprocs = 50\nstartsecs = 0\n",
    );
    d.wait_all("RUNNING");
    d.wait("the orphans come to the daemon", || (process::children(d.pid()).len() == 150).then_some(()));
    d.wait("only the fifty are left", || (process::children(d.pid()).len() == 50).then_some(()));
    d.assert_well();
}

#[test]
fn row_03_stop_waits_for_the_whole_group() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child deaf --child-pid {dir}/kid --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 1\n",
    );
    d.wait_file("t");
    let kid = d.home.pids("kid")[0];
    // The grandchild is deaf once its mask says so.
    d.wait("the grandchild is deaf", || process::status(kid, "SigBlk").ends_with("4000").then_some(()));
    let group = d.pid_of("a");
    let begun = Instant::now();
    assert_eq!(d.done("stop", "a"), "Stopped a");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(990), "{took:?}");
    assert!(process::group(group).is_empty(), "Stopped, but {:?} live", process::group(group));
}

#[test]
fn row_03_restart_and_respawn_wait_for_the_whole_group() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child deaf --child-pid {dir}/kids --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 1\n",
    );
    d.wait_file("t");
    let leader = d.pid_of("a");
    process::kill(leader);
    d.wait("the second run", || (d.home.pids("kids").len() == 2).then_some(()));
    assert!(!process::alive(d.home.pids("kids")[0]), "the first run's grandchild lives beside the second run");
    assert_eq!(d.done("restart", "a"), "Restarted a");
    d.wait("the third run", || (d.home.pids("kids").len() == 3).then_some(()));
    assert!(!process::alive(d.home.pids("kids")[1]));
}

/// A cgroup-v1 freezer: a process in it is in state D, and SIGKILL has no effect until it thaws.
struct Freezer {
    folder: PathBuf,
}

impl Freezer {
    fn new() -> Result<Freezer, String> {
        let folder = PathBuf::from(format!("/sys/fs/cgroup/freezer/supervice-e2e-{}", std::process::id()));
        if fs::create_dir(&folder).is_ok() && folder.join("freezer.state").exists() {
            return Ok(Freezer { folder });
        }
        let _ = fs::remove_dir(folder);
        Err("no writable cgroup-v1 freezer".to_owned())
    }

    fn freeze(&self, pid: i32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(self.folder.join("freezer.state"), "FROZEN").unwrap();
        let frozen = || fs::read_to_string(self.folder.join("freezer.state")).is_ok_and(|text| text.trim() == "FROZEN");
        wait_until(DEADLINE, "it is frozen", frozen);
    }

    fn thaw(&self) {
        let _ = fs::write(self.folder.join("freezer.state"), "THAWED");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        wait_for(Duration::from_secs(5), || fs::remove_dir(&self.folder).ok());
    }
}

#[test]
fn row_04_a_child_that_nothing_can_kill() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t\nstopwaitsecs = 1\nstartsecs = 0\n");
    // Made after the daemon, so that it thaws before the processes are ended.
    let freezer = match Freezer::new() {
        Ok(freezer) => freezer,
        Err(reason) => return skip("row 4", &reason),
    };
    d.wait_file("t");
    let pid = d.pid_of("a");
    freezer.freeze(pid);
    let begun = Instant::now();
    let reply = d.order("stop", "a");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(reply["message"], "a did not stop (state: STOPPING)", "{reply}");
    assert_eq!(d.row("a").pid, Some(pid));
    assert_eq!(d.refused("start", "a"), "a did not stop (state: STOPPING)");
    freezer.thaw();
    d.wait_state("a", "STOPPED");
    let started = wait_for(Duration::from_secs(2), || (d.home.pids("t").len() > 1).then_some(()));
    assert!(started.is_none(), "the refused start fired later\n{}", d.story());
}

#[test]
fn row_06_an_exec_that_hangs() {
    let home = Home::new();
    let slow = home.copy_program("/bin/sleep", "slow", 0o755);
    home.configure("[program:slow]\ncommand = {dir}/slow 1000\nautostart = no\nstartsecs = 0\n[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    let mut command = home.command("strace");
    let delay = ["-e", "trace=execve", "-e", "inject=execve:delay_enter=6000000"];
    command.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(&slow).args(delay);
    let mut probe = home.command("strace");
    let probe = probe.args(["-f", "-qq", "-o", "/dev/null", "-P", "/x"]).args(delay).arg("true");
    if probe.output().map_or(true, |output| !output.status.success()) {
        return skip("row 6", "no strace with fault injection, or no ptrace");
    }
    command.arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    d.set_pid(d.home.read("d.pid").trim().parse().unwrap());
    let mut start = d.begin(json!({"command": "start", "name": "slow"}));
    d.wait_state("slow", "STARTING");
    let begun = Instant::now();
    d.rows();
    assert!(begun.elapsed() < Duration::from_millis(5500), "status took {:?}", begun.elapsed());
    assert_eq!(d.done("start", "a"), "Started a");
    assert_eq!(d.state("slow"), "STARTING");
    // The tracer keeps the killed child from being reaped until its delay is over, so the stop may say so.
    let reply = d.order("stop", "slow");
    assert!(
        ["Stopped slow", "slow did not stop (state: STOPPING)"].iter().any(|said| reply["message"] == *said),
        "{reply}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "the stop waited for the exec");
    d.wait_state("slow", "STOPPED");
    assert_eq!(start.receive().unwrap()["code"], "SUPERSEDED");
    d.wait("no child is left", || (process::children(d.pid()).len() == 1).then_some(()));
}

#[test]
fn row_07_start_and_stop_without_pause() {
    let d = Daemon::start_in(
        Home::alone(),
        "[program:a]\ncommand = /bin/sleep 100\nnumprocs = 4\nautostart = no\nstartsecs = 0\n",
    );
    let before = process::descriptors(d.pid()).len();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let d = &d;
            scope.spawn(move || {
                let mut client = d.client();
                let name = format!("a:{number:02}");
                for _ in 0..250 {
                    for (command, words) in [("start", "Started"), ("stop", "Stopped")] {
                        let reply = client.ask(&json!({"command": command, "name": name})).unwrap();
                        assert_eq!(reply["message"], format!("{words} {name}"), "{reply}");
                    }
                }
                for _ in 0..50 {
                    let reply = client.ask(&json!({"command": "restart", "name": name})).unwrap();
                    assert_eq!(reply["status"], "ok", "{reply}");
                }
                client.ask(&json!({"command": "stop", "name": name})).unwrap();
            });
        }
    });
    assert!(d.rows().iter().all(|row| row.state == "STOPPED" && row.pid.is_none()));
    d.assert_well();
    assert!(process::children(d.pid()).is_empty());
    d.wait("the descriptors are given back", || (process::descriptors(d.pid()).len() <= before).then_some(()));
}

#[test]
fn row_07_stops_between_fork_and_exec() {
    let d = Daemon::start("[program:a]\ncommand = /bin/sleep 100\nnumprocs = 10\nautostart = no\n");
    for _ in 0..30 {
        let start = d.begin(json!({"command": "startgroup", "name": "a"}));
        assert_eq!(d.done("stopgroup", "a"), "Stopped group a");
        drop(start);
    }
    assert!(d.rows().iter().all(|row| row.state == "STOPPED"), "{:?}", d.rows());
    d.wait("no child is left", || process::children(d.pid()).is_empty().then_some(()));
    d.assert_well();
}

#[test]
fn row_08_a_thousand_failures_leak_nothing() {
    let d = Daemon::start(
        "[program:a]\ncommand = {dir}/nothing\nautostart = no\nautorestart = false\nstdout_logfile = {dir}/o\n",
    );
    let before = process::descriptors(d.pid()).len();
    let given_back = || (process::descriptors(d.pid()).len() <= before).then_some(());
    for _ in 0..10 {
        d.refused("start", "a");
        d.wait("the descriptors of one failure are given back", given_back);
    }
    let mut client = d.client();
    for _ in 0..1000 {
        assert_eq!(client.ask(&json!({"command": "start", "name": "a"})).unwrap()["status"], "error");
    }
    drop(client);
    d.wait("the descriptors are given back", given_back);
    d.assert_well();
}

#[test]
fn row_09_every_exit_code_is_reported_as_it_is() {
    let d = Daemon::start_in(
        Home::alone(),
        "[program:a]\ncommand = sh -c 'read code < {dir}/code; exit $code'\nautorestart = no\nstartsecs = 100\nautostart = no\n",
    );
    let mut client = d.client();
    for code in 0..=255 {
        d.home.write("code", format!("{code}\n"));
        let reply = client.ask(&json!({"command": "start", "name": "a"})).unwrap();
        assert_eq!(reply["message"], "a did not reach RUNNING (state: EXITED)", "code {code}: {reply}");
        let reason = reply["reason"].as_str().unwrap();
        assert!(
            reason.split(|sign: char| !sign.is_ascii_digit()).any(|word| word == code.to_string()),
            "{code}: {reason}"
        );
        d.wait_log(&format!("a exited with code {code}"));
    }
}

#[test]
fn row_09_every_signal_is_reported_as_it_is() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'read number < {dir}/number; ulimit -c 0; kill -$number $$; sleep 100'\n\
         autorestart = no\nstartsecs = 100\nautostart = no\n",
    );
    // Those that do not end a process by default are left out, and 32 and 33, which libc keeps for itself.
    let ends = |number: &i32| ![17, 18, 19, 20, 21, 22, 23, 28, 32, 33].contains(number);
    for number in (1..=64).filter(ends) {
        d.home.write("number", format!("{number}\n"));
        let reply = d.order("start", "a");
        assert_eq!(reply["message"], "a did not reach RUNNING (state: EXITED)", "signal {number}: {reply}");
        let name = Signal::try_from(number).map_or_else(|_| real_time(number), |signal| signal.as_str().to_owned());
        assert!(reply["reason"].as_str().unwrap().contains(&name), "signal {number}: {reply}");
    }
}

/// The first real-time signal that libc leaves to programs is 34.
fn real_time(number: i32) -> String {
    if number == 34 { "SIGRTMIN".to_owned() } else { format!("SIGRTMIN+{}", number - 34) }
}

#[test]
fn row_12_a_crash_loop_ends() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t --exit 1\nstartretries = 2\n");
    d.wait_state("a", "FATAL");
    assert_eq!(d.home.pids("t").len(), 3);
    assert!(d.log().lines().count() <= 20, "{}", d.story());
}

#[test]
fn row_12_runs_are_at_least_a_second_apart() {
    let begun = Instant::now();
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --touch {dir}/t --exit 1 --after 20\nstartsecs = 0\nstartretries = 1\n",
    );
    d.wait("five runs", || (d.home.pids("t").len() >= 5).then_some(()));
    assert!(begun.elapsed() > Duration::from_millis(3800), "{:?}", begun.elapsed());
    assert_ne!(d.state("a"), "FATAL", "a run that had reached RUNNING is no failed attempt");
}

/// SIGKILL for the daemon: what becomes of a silent child with these options?
#[track_caller]
fn child_of_a_murdered_daemon(home: Home, options: &str) -> (Home, i32) {
    let d = Daemon::start_in(home, &format!("[program:a]\ncommand = {{actor}}\nstartsecs = 0\n{options}\n"));
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    assert!(process::alive(pid));
    (d.murder(), pid)
}

#[test]
fn row_19_children_die_with_the_daemon() {
    let (_home, pid) = child_of_a_murdered_daemon(Home::new(), "");
    wait_until(Duration::from_secs(2), "the child is dead", || !process::alive(pid));
    // The control: without pdeathsig it lives, so it was pdeathsig that killed the other.
    let (_home, pid) = child_of_a_murdered_daemon(Home::new(), "pdeathsig = false");
    let died = wait_for(Duration::from_secs(2), || (!process::alive(pid)).then_some(()));
    assert!(died.is_none(), "inconclusive: the control died too");
}

#[test]
fn row_19_children_of_another_user_die_too() {
    if !is_root() {
        return skip("row 19 A2", "needs root");
    }
    let home = Home::new();
    home.open_to_all();
    let (_home, pid) = child_of_a_murdered_daemon(home, "user = nobody");
    wait_until(Duration::from_secs(2), "the child is dead", || !process::alive(pid));
}

#[test]
fn row_19_and_the_daemon_starts_again_at_once() {
    let (home, pid) = child_of_a_murdered_daemon(Home::new(), "numprocs = 1");
    let d = Daemon::launch(home);
    assert_ne!(d.wait_state("a", "RUNNING").pid, Some(pid));
    wait_until(Duration::from_secs(1), "the child of the dead daemon is dead", || !process::alive(pid));
}

#[test]
fn row_28_reload_in_every_state() {
    let text = |number: usize| {
        format!(
            "[program:a]\ncommand = {{actor}} --touch {{dir}}/a --ignore USR1 -- {number}\nstartsecs = 0.2\nstopwaitsecs = 1\n\
             [program:b]\ncommand = {{actor}} --exit 1 --after 30 -- {number}\nstartsecs = 0.1\nstartretries = 1000\n\
             [program:c{}]\ncommand = {{actor}} --ignore TERM\nstartsecs = 0\nstopwaitsecs = 0.2\n",
            number % 3
        )
    };
    let d = Daemon::start(&text(0));
    let deadline = Instant::now() + Duration::from_secs(8);
    let mut number = 0;
    while Instant::now() < deadline {
        number += 1;
        d.home.configure(&text(number));
        let reload = d.begin(json!({"command": "reload"}));
        let others: Vec<_> =
            ["restart", "stop", "start"].map(|command| d.begin(json!({"command": command, "name": "a"}))).into();
        for mut waiting in others.into_iter().chain([reload]) {
            let reply = waiting.receive().unwrap();
            assert!(reply["status"] == "ok" || reply["code"] == "SUPERSEDED" || reply["code"] == "FAILED", "{reply}");
        }
        let rows = d.rows();
        assert_eq!(rows.len(), 3, "{rows:?}");
    }
    assert!(number > 20, "only {number} reloads");
    d.wait("one live leader each", || {
        let live = rows_alive(&d);
        (process::children(d.pid()).len() == live).then_some(())
    });
    d.assert_well();
}

fn rows_alive(d: &Daemon) -> usize {
    d.rows().iter().filter(|row| row.pid.is_some_and(process::alive)).count()
}

#[test]
fn row_26_reload_of_a_thousand_programs_is_quick() {
    let programs =
        |count: usize| format!("[program:a]\ncommand = /bin/sleep 1000\nautostart = no\nnumprocs = {count}\n");
    let d = Daemon::start(&programs(1));
    d.home.configure(&programs(1000));
    let begun = Instant::now();
    let reply = d.reload();
    assert_eq!(reply["added"].as_array().unwrap().len(), 1000, "{}", d.story());
    assert_eq!(reply["removed"], json!(["a"]));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(d.reload()["changed"], json!([]));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(d.rows().len(), 1000);
}
