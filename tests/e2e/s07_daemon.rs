//! The daemon's life: signals, shutdown, files, log, and odd places to live in.

use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

const ONE: &str = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n";

#[test]
fn term_and_int_stop_all_and_clean_up() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut d = Daemon::start(&format!("{ONE}[program:b]\ncommand = {{actor}}\nnumprocs = 3\n"));
        d.wait_state("a", "RUNNING");
        let pids: Vec<_> = d.rows().iter().filter_map(|row| row.pid).collect();
        assert_eq!(pids.len(), 4);
        d.signal(signal);
        assert_eq!(d.wait_exit(), 0, "{}", d.story());
        assert!(pids.iter().all(|&pid| !process::alive(pid)));
        assert!(!d.home.socket().exists() && !d.home.join("d.pid").exists());
    }
}

#[test]
fn row_18_a_shutdown_ends_within_its_time() {
    let mut d = Daemon::start(
        "shutdown_timeout = 2\n[program:deaf]\ncommand = {actor} --ignore TERM --fork-child deaf --touch {dir}/t\n\
         numprocs = 20\nstopwaitsecs = 600\nstartsecs = 0\n",
    );
    d.wait("all are deaf", || (d.home.pids("t").len() == 20).then_some(()));
    let groups: Vec<_> = d.rows().iter().filter_map(|row| row.pid).collect();
    let begun = Instant::now();
    d.signal(Signal::SIGTERM);
    d.wait_state("deaf:19", "STOPPING");
    d.signal(Signal::SIGHUP);
    assert_eq!(d.wait_exit(), 0, "{}", d.story());
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1900) && took < Duration::from_secs(60), "{took:?}");
    assert!(groups.iter().all(|&pgid| process::group(pgid).is_empty()));
}

#[test]
fn row_18_a_second_term_kills_now() {
    let mut d = Daemon::start(
        "shutdown_timeout = 600\n[program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/t\nnumprocs = 5\n\
         stopwaitsecs = 600\nstartsecs = 0\n",
    );
    d.wait("all are deaf", || (d.home.pids("t").len() == 5).then_some(()));
    d.signal(Signal::SIGTERM);
    d.wait_state("deaf:00", "STOPPING");
    let begun = Instant::now();
    d.signal(Signal::SIGTERM);
    assert_eq!(d.wait_exit(), 0, "{}", d.story());
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(d.home.pids("t").iter().all(|&pid| !process::alive(pid)));
}

#[test]
fn signals_that_mean_nothing_change_nothing() {
    let d = Daemon::start(ONE);
    let pid = d.wait_state("a", "RUNNING").pid;
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD, Signal::SIGUSR1, Signal::SIGCONT, Signal::SIGXFSZ] {
        for _ in 0..20 {
            d.signal(signal);
        }
        assert_eq!(d.row("a").pid, pid, "{signal}");
    }
    d.assert_well();
}

#[test]
fn a_reload_changes_the_shutdown_timeout() {
    let text = |seconds: u16| {
        format!(
            "shutdown_timeout = {seconds}\n[program:deaf]\ncommand = {{actor}} --ignore TERM --touch {{dir}}/t\n\
             stopwaitsecs = 600\nstartsecs = 0\n"
        )
    };
    let mut d = Daemon::start(&text(600));
    d.wait_file("t");
    d.home.configure(&text(1));
    let told = json!({"now": ["shutdown_timeout"], "next_start": []});
    assert_eq!(d.reload(), json!({"status": "ok", "added": [], "removed": [], "changed": [], "daemon": told}));
    let begun = Instant::now();
    assert_eq!(d.terminate(), 0);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_low_limit_of_descriptors_is_lived_with() {
    let home = Home::new();
    home.configure(ONE);
    let mut command = home.command("prlimit");
    command.arg("--nofile=40:40").arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    d.wait_state("a", "RUNNING");
    d.done("restart", "a");
    assert_eq!(d.terminate(), 0);
}

/// With the right to raise limits the daemon's children would have the higher one again.
fn without_right_to_limits(home: &Home) -> Command {
    if !is_root() {
        return home.command(supervice());
    }
    let mut command = home.command("setpriv");
    command.arg("--bounding-set=-sys_resource").arg(supervice());
    command
}

#[test]
fn a_limit_of_descriptors_that_was_lowered_meanwhile_is_handed_on() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    let command = without_right_to_limits(&home);
    let d = Daemon::launch_by(home, command);
    let (soft, _) = process::limit(d.wait_state("a", "RUNNING").pid.unwrap(), "Max open files");
    let mut prlimit = Command::new("prlimit");
    let ran = run(prlimit.args(["--pid", &d.pid().to_string(), "--nofile=256:500"]), DEADLINE);
    assert_eq!(ran.code, 0, "{ran:?}");
    d.order("restart", "a");
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    let soft = soft.parse::<u64>().unwrap().min(500).to_string();
    assert_eq!(process::limit(pid, "Max open files"), (soft, "500".to_owned()), "{}", d.story());
}

#[test]
fn it_dies_with_whoever_asked_for_that_also_after_it_opened_a_users_log() {
    if !is_root() {
        return skip("a daemon that dies with its parent", "only root opens logs as somebody else");
    }
    let home = Home::new();
    home.open_to_all();
    let logs = home.join("logs");
    fs::create_dir(&logs).unwrap();
    nix::unistd::chown(&logs, Some(65534.into()), Some(65534.into())).unwrap();
    home.configure("[program:a]\ncommand = {actor}\nuser = nobody\nstartsecs = 0\nstdout_logfile = {dir}/logs/a\n");
    let mut command = home.command("sh");
    command.args(["-c", "setpriv --pdeathsig TERM \"$0\" \"$@\" & wait"]).arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    let parent = d.pid();
    d.set_pid(d.home.read("d.pid").trim().parse().unwrap());
    d.wait_state("a", "RUNNING");
    assert_eq!(fs::metadata(logs.join("a")).unwrap().uid(), 65534);
    process::kill(parent);
    d.wait_log("Received SIGTERM");
    process::wait_gone(d.pid());
}

#[test]
fn many_programs_start_under_a_low_limit_that_can_be_raised() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor}\nstartsecs = 0\nnumprocs = 120\n");
    let mut command = home.command("prlimit");
    command.arg("--nofile=100:1000").arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    d.wait("all run", || (d.rows().iter().filter(|row| row.state == "RUNNING").count() == 120).then_some(()));
    assert_eq!(d.terminate(), 0);
}

#[test]
fn hup_reloads() {
    let d = Daemon::start(ONE);
    d.wait_state("a", "RUNNING");
    d.home.configure(&format!("{ONE}[program:b]\ncommand = {{actor}}\nstartsecs = 0\n"));
    d.signal(Signal::SIGHUP);
    d.wait("b is there", || d.rows().iter().any(|row| row.name == "b" && row.state == "RUNNING").then_some(()));
    d.home.configure("[program:b]\ncommand = {actor}\nnumprocs = x\n");
    d.signal(Signal::SIGHUP);
    d.wait_log("numprocs");
    assert_eq!(d.rows().len(), 2, "a bad file changed something");
}

#[test]
fn usr2_reopens_the_log_files() {
    let d = Daemon::start(
        "logfile = {dir}/own.log\n[program:a]\ncommand = sh -c 'while :; do echo tick; sleep 0.05; done'\n\
         stdout_logfile = {dir}/o\nstartsecs = 0\n",
    );
    d.wait_file("o");
    for name in ["o", "own.log"] {
        fs::rename(d.home.join(name), d.home.join(&format!("{name}.old"))).unwrap();
    }
    d.signal(Signal::SIGUSR2);
    d.wait_file("o");
    d.done("restart", "a");
    d.wait("the daemon's own log is anew", || d.home.read("own.log").contains("Spawned a").then_some(()));
}

#[test]
fn lines_worth_reading() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --on-term-exit 3 --touch {dir}/t\nstartsecs = 0\n\
         [program:crash]\ncommand = sh -c 'sleep 0.1; kill -SEGV $$'\nautorestart = no\nstartsecs = 0\n\
         [program:bad]\ncommand = {dir}/nothing\nstartretries = 0\n",
    );
    d.wait_file("t");
    let pid = d.pid_of("a");
    let line = d.wait_log(&format!("Spawned a (pid {pid}): "));
    assert!(line.contains(" INFO     Spawned a") && line.contains("actor --on-term-exit 3"), "{line}");
    let bytes = line.as_bytes();
    assert!(bytes[4] == b'-' && bytes[10] == b' ' && bytes[13] == b':' && bytes[19] == b' ', "{line}");
    assert!(d.wait_log(&format!("Started a (pid {pid})")).contains(" INFO     "));
    d.done("stop", "a");
    d.wait_log("a exited with code 3");
    d.wait_log("crash killed by SIGSEGV");
    d.wait("ERROR lines of bad", || {
        (d.log().lines().any(|line| line.contains(" ERROR    ") && line.contains("bad"))).then_some(())
    });
}

#[test]
fn config_warnings_are_logged() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nstopsignl = INT\n");
    let line = d.wait_log("stopsignl");
    assert!(line.contains(" WARNING  ") && line.contains("stopsignal"), "{line}");
}

#[test]
fn the_daemons_log_rotates() {
    let d = Daemon::start(
        "logfile = {dir}/own.log\nlog_maxbytes = 2KB\nlog_backups = 2\n[program:a]\ncommand = {actor}\nstartsecs = 0\n",
    );
    for _ in 0..60 {
        d.done("restart", "a");
    }
    for name in ["own.log.1", "own.log.2"] {
        let size = fs::metadata(d.home.join(name)).unwrap_or_else(|_| panic!("no {name}")).len();
        assert!(size > 500 && size <= 2048, "{name} has {size}");
    }
    assert!(!d.home.join("own.log.3").exists());
    assert!(d.home.read("own.log").len() <= 2048);
}

#[test]
fn row_48_a_lost_socket_is_bound_again() {
    let d = Daemon::start(ONE);
    let pid = d.wait_state("a", "RUNNING").pid;
    fs::remove_file(d.home.socket()).unwrap();
    if cfg!(feature = "portable") {
        d.signal(Signal::SIGUSR1);
    }
    d.wait_within(Duration::from_secs(5), "the socket is back", || d.home.socket().exists().then_some(()));
    d.wait("it answers", || Client::connect(&d.home.socket()).ok()?.ask(&json!({"command": "status"})).ok());
    assert_eq!(d.row("a").pid, pid);
    assert_eq!(fs::metadata(d.home.socket()).unwrap().mode() & 0o777, 0o600);
    d.wait_log("socket");
}

#[test]
fn row_52_a_lost_pidfile_is_a_warning() {
    let d = Daemon::start(ONE);
    d.wait_state("a", "RUNNING");
    fs::remove_file(d.home.join("d.pid")).unwrap();
    let second = d.home.run_daemon(&["-n", "-c", "c.conf"]);
    assert_eq!(second.code, 1, "the live socket still refuses a third daemon: {second:?}");
    assert_eq!(d.home.pids("t").len(), 1);
    d.assert_well();
}

#[test]
fn a_foreign_pidfile_and_socket_are_left_alone_at_the_end() {
    let mut d = Daemon::start(ONE);
    d.wait_state("a", "RUNNING");
    fs::remove_file(d.home.join("d.pid")).unwrap();
    d.home.write("d.pid", "somebody else's");
    assert_eq!(d.terminate(), 0);
    assert_eq!(d.home.read("d.pid"), "somebody else's");
}

#[test]
fn children_of_no_one_are_reaped() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c '(setsid sleep 2 &); (sleep 2 &); exec {actor} --touch {dir}/t'\nstartsecs = 0\n",
    );
    d.wait_file("t");
    for (what, count) in [("the orphans come to the daemon", 3), ("they end and are reaped", 1)] {
        d.wait(what, || (process::children(d.pid()).len() == count).then_some(()));
    }
    d.assert_well();
}

/// `unshare` into a pid namespace, where the daemon is PID 1.
#[test]
fn it_can_be_pid_1() {
    let home = Home::new();
    let probe = run(home.command("unshare").args(["-p", "-f", "--mount-proc", "true"]), DEADLINE);
    if probe.code != 0 {
        return skip("PID 1", "unshare -p -f --mount-proc is not permitted here");
    }
    home.configure(
        "[program:a]\ncommand = sh -c '(sleep 0.2 &); (setsid sleep 0.2 &); exec {actor} --touch {dir}/t'\nstartsecs = 0\nnumprocs = 20\n",
    );
    let mut command = home.command("unshare");
    command.args(["-p", "-f", "--mount-proc"]).arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    let inner = *process::children(d.pid()).first().expect("unshare forked the daemon");
    assert!(process::status(inner, "NSpid").ends_with("\t1"), "{}", process::status(inner, "NSpid"));
    d.set_pid(inner);
    d.wait_all("RUNNING");
    d.wait("orphans are reaped", || (process::children(inner).len() == 20).then_some(()));
    d.done("restart", "a:07");
    d.assert_well();
    d.signal(Signal::SIGTERM);
    assert_eq!(d.wait_exit(), 0, "{}", d.story());
}

#[test]
fn row_40_a_broken_stdout_does_not_kill_it() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n");
    let mut command = home.command("sh");
    let line = format!("exec 3>&1; {{ {} -n -c c.conf; echo $? >&3; }} | head -n 1", supervice().display());
    command.args(["-c", &line]);
    // The shell's own arguments come after; `-n -c FILE` of `spawn` are its positional parameters.
    let mut d = Daemon::launch_by(home, command);
    d.wait_file("t");
    for _ in 0..5 {
        d.done("restart", "a");
    }
    let pid: i32 = d.home.read("d.pid").trim().parse().unwrap();
    process::signal(pid, Signal::SIGTERM);
    d.wait_exit();
    assert!(d.log().lines().any(|line| line == "0"), "its exit code\n{}", d.story());
}

#[test]
fn row_40_started_without_descriptors() {
    let home = Home::new();
    home.configure("logfile = {dir}/own.log\n[program:a]\ncommand = {actor} --say hello --complain oh --report {dir}/r\nstartsecs = 0\nstdout_logfile = {dir}/o\n");
    let mut command = home.command("sh");
    command.args(["-c", &format!("exec {} -n -c c.conf 0<&- 1>&- 2>&-", supervice().display())]);
    let mut d = Daemon::launch_by(home, command);
    assert_eq!(d.wait_file("o"), "hello\n");
    let open = process::descriptors(d.pid());
    for number in 0..=2 {
        assert_eq!(open.get(&number).map(String::as_str), Some("/dev/null"), "{open:?}");
    }
    let report = d.wait_file("r");
    assert!(report.contains("\"2\":\"/dev/null\""), "{report}");
    assert_eq!(d.terminate(), 0);
    assert!(d.home.read("own.log").contains("Started a"));
}

#[test]
fn row_40_a_full_disk_under_its_log() {
    let home = Home::new();
    let d = Daemon::start_in(home, "logfile = /dev/full\n[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    for _ in 0..5 {
        d.done("restart", "a");
    }
    d.assert_well();
}

#[test]
fn row_41_logs_to_stdout_and_stderr() {
    let mut d = Daemon::start(
        "[program:a]\ncommand = {actor} --say to-out --complain to-err\nstartsecs = 0\nstdout_logfile = /dev/stdout\n\
         stderr_logfile = /dev/stderr\n[program:b]\ncommand = {actor} --say nowhere\nstartsecs = 0\nstdout_logfile = /dev/null\n",
    );
    d.wait("the line on stdout", || d.log().contains("to-out").then_some(()));
    d.wait("the line on stderr", || d.home.read("err").contains("to-err").then_some(()));
    assert_eq!(d.terminate(), 0);
    assert!(d.log().lines().all(|line| line != "nowhere"), "{}", d.story());
}
