//! The failure table, files, clients and the host.

use crate::harness::*;
use serde_json::json;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

fn make_fifo(path: &std::path::Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

#[test]
fn row_31_a_fifo_as_a_log_holds_nobody_up() {
    let home = Home::new();
    make_fifo(&home.join("fifo"));
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor} --say x\nstdout_logfile = {dir}/fifo\nstartretries = 0\nautostart = no\n\
         [program:b]\ncommand = {actor}\nstartsecs = 0\n",
    );
    d.wait_state("b", "RUNNING");
    let begun = Instant::now();
    let reply = d.order("start", "a");
    assert_eq!(reply["status"], "error", "{reply}");
    assert!(reply["reason"].as_str().unwrap_or("").contains("fifo"), "{reply}");
    assert!(begun.elapsed() < Duration::from_secs(40));
    d.assert_well();
}

#[test]
fn row_31_a_fifo_where_the_daemons_files_belong() {
    for option in ["socket", "pidfile", "logfile", "state_file"] {
        let home = Home::new();
        make_fifo(&home.join("fifo"));
        let own = [("socket", "{dir}/s.sock"), ("pidfile", "{dir}/d.pid")];
        let others: String =
            own.iter().filter(|(name, _)| *name != option).map(|(name, path)| format!("{name} = {path}\n")).collect();
        home.configure_raw(&format!(
            "[supervice]\n{others}{option} = {{dir}}/fifo\n[program:a]\ncommand = {{actor}} --touch {{dir}}/t\nstartsecs = 0\n"
        ));
        let ran = run(
            home.command("timeout").args(["--signal=TERM", "5"]).arg(supervice()).args(["-n", "-c", "c.conf"]),
            DEADLINE,
        );
        // The state file is only a hint: without it the daemon lives (and is ended here, cleanly).
        let wanted: &[i32] = if option == "state_file" { &[0, 124, 1, 2] } else { &[1, 2] };
        assert!(wanted.contains(&ran.code), "{option}: {ran:?}");
        if option != "state_file" {
            assert!(ran.stderr.contains("fifo"), "{option}: {ran:?}");
            assert!(!home.join("t").exists(), "{option}: a child was forked");
        }
        assert!(ran.took < Duration::from_secs(8), "{option}: {ran:?}");
    }
}

#[test]
fn row_31_a_fifo_as_config_or_env_file() {
    let home = Home::new();
    make_fifo(&home.join("fifo"));
    let ran = home.run_daemon(&["-t", "-c", "fifo"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = home.test_config("[program:a]\ncommand = a\nenv_file = {dir}/fifo\n");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("[program:a] env_file: "), "{ran:?}");
}

#[test]
fn row_32_a_log_that_is_a_directory_or_has_none() {
    let home = Home::new();
    fs::create_dir(home.join("folder")).unwrap();
    fs::create_dir(home.join("logs")).unwrap();
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor}\nstdout_logfile = {dir}/folder\nautostart = no\nstartretries = 0\n\
         [program:b]\ncommand = {actor}\nstdout_logfile = {dir}/logs/b\nautostart = no\nstartretries = 0\n\
         [program:c]\ncommand = {actor}\nstartsecs = 0\n",
    );
    fs::remove_dir(d.home.join("logs")).unwrap();
    for (name, path) in [("a", "/folder"), ("b", "/logs/b")] {
        let reply = d.order("start", name);
        assert_eq!(reply["message"], format!("{name} failed to start (state: FATAL)"), "{reply}");
        assert!(reply["reason"].as_str().unwrap().contains(path), "{reply}");
        d.wait_log(path);
    }
    d.wait_state("c", "RUNNING");
    fs::create_dir(d.home.join("logs")).unwrap();
    assert_eq!(d.done("start", "b"), "Started b");
}

#[test]
fn a_link_where_a_log_belongs_is_followed_only_if_nobody_else_made_it() {
    if !is_root() {
        return skip("S12", "needs root");
    }
    let home = Home::new();
    home.open_to_all();
    fs::create_dir(home.join("theirs")).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    nix::unistd::chown(&home.join("theirs"), Some(nobody.uid), Some(nobody.gid)).unwrap();
    home.write("victim", "untouched");
    std::os::unix::fs::symlink(home.join("victim"), home.join("theirs/log")).unwrap();
    std::os::unix::fs::symlink(home.join("real"), home.join("current")).unwrap();
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor} --say x\nstdout_logfile = {dir}/theirs/log\nautostart = no\nstartretries = 0\nuser = nobody\n\
         [program:b]\ncommand = {actor} --say y\nstdout_logfile = {dir}/current\nstartsecs = 0\n",
    );
    assert_eq!(d.refused("start", "a"), "a failed to start (state: FATAL)");
    assert_eq!(d.home.read("victim"), "untouched");
    assert_eq!(d.wait_file("real"), "y\n");
}

#[test]
fn row_35_a_grandchild_keeps_the_pipe() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --fork-child holder --exit 0 --after 1100\nstdout_logfile = {dir}/o\nstartsecs = 0\n\
         stopwaitsecs = 1\n",
    );
    let first = d.wait_state("a", "RUNNING").pid.unwrap();
    process::wait_gone(first);
    let begun = Instant::now();
    d.wait_new_run("a", first);
    assert!(begun.elapsed() < Duration::from_secs(2), "the restart waited for the pipe");
    d.wait("the late word", || d.home.read("o").contains("late").then_some(()));
    d.done("stop", "a");
    d.wait("the pumps are freed at EOF", || {
        let open = process::descriptors(d.pid());
        open.values().all(|target| !target.ends_with("/o")).then_some(())
    });
}

#[test]
fn row_36_a_child_that_closes_its_output_costs_nothing() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --say x --close-stdout --touch {dir}/t\nstdout_logfile = {dir}/o\nstderr_logfile = {dir}/e\nstartsecs = 0\n",
    );
    d.wait_file("t");
    assert_eq!(d.wait_file("o"), "x\n");
    let before = process::stat(d.pid()).unwrap().ticks;
    assert!(wait_for(Duration::from_secs(3), || (!process::alive(d.pid())).then_some(())).is_none());
    let used = process::stat(d.pid()).unwrap().ticks - before;
    assert!(used <= 1, "{used} ticks in three seconds");
    assert_eq!(d.state("a"), "RUNNING");
}

#[test]
fn an_idle_daemon_does_nothing() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --say x\nstdout_logfile = {dir}/o\nnumprocs = 20\nstartsecs = 0\n",
    );
    d.wait_all("RUNNING");
    d.wait("all that is said is written", || (d.home.read("o").len() == 40).then_some(()));
    // In the first span the leaving of the last client may still be on its way.
    let woken: Vec<u64> = (0..3).map(|_| switches_in_two_seconds(d.pid())).collect();
    assert!(woken.contains(&0), "it woke {woken:?} times in spans of two seconds");
}

fn switches_in_two_seconds(pid: i32) -> u64 {
    let count = || process::status(pid, "voluntary_ctxt_switches").parse::<u64>().unwrap();
    let before = count();
    assert!(wait_for(Duration::from_secs(2), || (!process::alive(pid)).then_some(())).is_none());
    count() - before
}

fn set_descriptor_limit(pid: i32, limit: &str) {
    let ran = run(
        std::process::Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={limit}")]),
        DEADLINE,
    );
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn row_43_out_of_descriptors_and_back() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n[program:b]\ncommand = {actor}\nstartsecs = 0\n",
    );
    d.wait_state("b", "RUNNING");
    let (_, hard) = process::limit(d.pid(), "Max open files");
    let mut early = d.client();
    early.ask(&json!({"command": "status"})).unwrap();
    let open = process::descriptors(d.pid());
    let next = open.keys().next_back().unwrap() + 1;
    let gaps = next as usize - open.len();
    set_descriptor_limit(d.pid(), &format!("{next}:{hard}"));
    let mut queued: Vec<_> = (0..gaps + 20).map(|_| d.begin(json!({"command": "status"}))).collect();
    let before = process::stat(d.pid()).unwrap().ticks;
    let mut start = d.begin(json!({"command": "start", "name": "a"}));
    assert_eq!(early.ask(&json!({"command": "status"})).unwrap()["status"], "ok", "the old client is served");
    assert!(wait_for(Duration::from_secs(2), || (!process::alive(d.pid())).then_some(())).is_none());
    let used = process::stat(d.pid()).unwrap().ticks - before;
    assert!(used <= 20, "{used} ticks in two seconds");
    set_descriptor_limit(d.pid(), &format!("{hard}:{hard}"));
    let served = queued.iter_mut().filter_map(|client| client.receive().ok()).count();
    assert!(served >= queued.len() - 1, "{served} of {} queued clients were served", queued.len());
    // It was queued too; what it is told depends on when its spawn was tried, but never that it is over.
    let reply = start.receive().unwrap();
    assert_ne!(reply["message"], "a failed to start (state: FATAL)", "{reply}");
    d.wait("a runs", || (d.state("a") == "RUNNING").then_some(()));
    drop(queued);
    d.assert_well();
}

#[test]
fn row_43_a_spawn_without_descriptors_backs_off() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\nstartretries = 0\nstdout_logfile = {dir}/o\n",
    );
    let (_, hard) = process::limit(d.pid(), "Max open files");
    let (mut client, mut watcher) = (d.client(), d.client());
    let status = json!({"command": "status"});
    client.ask(&status).unwrap();
    watcher.ask(&status).unwrap();
    let next = process::descriptors(d.pid()).keys().next_back().unwrap() + 1;
    set_descriptor_limit(d.pid(), &format!("{next}:{hard}"));
    client.send(&json!({"command": "start", "name": "a"})).unwrap();
    let given_up = wait_for(Duration::from_millis(1500), || {
        let reply = watcher.ask(&status).unwrap();
        Some(reply).filter(|reply| ["FATAL", "RUNNING"].iter().any(|state| reply["processes"][0]["state"] == *state))
    });
    assert!(given_up.is_none(), "{given_up:?}");
    set_descriptor_limit(d.pid(), &format!("{hard}:{hard}"));
    let reply = client.receive().unwrap();
    assert_ne!(reply["message"], "a failed to start (state: FATAL)", "{reply}");
    d.wait_state("a", "RUNNING");
}

#[test]
fn row_63_locale_and_bytes_that_are_no_text() {
    let home = Home::new();
    home.configure(
        "[program:a]\ncommand = {actor} --report {dir}/r\nAUTOSTART = TRUE\nstartsecs = 0\nstopsignal = int\n",
    );
    let mut command = home.command(supervice());
    command.env("LC_ALL", "tr_TR.UTF-8").env("X", std::ffi::OsString::from_vec(b"a\xffb".to_vec()));
    let mut d = Daemon::launch_by(home, command);
    let report = d.wait_file("r");
    assert!(report.contains(r#""X":"a\u00ffb""#), "{report}");
    assert_eq!(d.terminate(), 0);
}

#[test]
fn row_63_a_folder_that_is_no_text() {
    let home = Home::new();
    let folder = home.path().join(std::ffi::OsString::from_vec(b"od\xffd".to_vec()));
    fs::create_dir(&folder).unwrap();
    let text =
        "[supervice]\nsocket = s.sock\npidfile = d.pid\n[program:a]\ncommand = {actor} --touch t\nstartsecs = 0\n";
    fs::write(folder.join("c.conf"), home.fill(text)).unwrap();
    for locale in ["C", "C.UTF-8"] {
        let mut command = home.command(supervice());
        command.env("LC_ALL", locale).current_dir(&folder).args(["-n", "-c", "c.conf"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        wait_until(DEADLINE, "the child runs there", || folder.join("t").exists());
        process::signal(child.id() as i32, nix::sys::signal::Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        fs::remove_file(folder.join("t")).unwrap();
    }
}

#[test]
fn relative_paths_mean_the_folder_the_user_stood_in() {
    let home = Home::new();
    fs::create_dir(home.join("etc")).unwrap();
    home.write(
        "etc/c.conf",
        home.fill("[supervice]\nsocket = s.sock\npidfile = d.pid\nlogfile = own.log\n[program:a]\ncommand = {actor} --say x\nstdout_logfile = o\nstartsecs = 0\n"),
    );
    let ran = home.run_daemon(&["-c", "etc/c.conf"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    wait_until(DEADLINE, "the output", || home.read("o") == "x\n");
    assert!(home.socket().exists() && home.join("own.log").exists());
}

#[test]
fn row_33_logs_moved_and_removed_by_others() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'while :; do echo tick; sleep 0.02; done'\nstdout_logfile = {dir}/o\nstartsecs = 0\n",
    );
    d.wait_file("o");
    fs::rename(d.home.join("o"), d.home.join("old")).unwrap();
    d.signal(nix::sys::signal::Signal::SIGUSR2);
    d.wait_file("o");
    let old = d.home.read("old").len();
    fs::remove_file(d.home.join("o")).unwrap();
    d.signal(nix::sys::signal::Signal::SIGUSR2);
    d.wait_file("o");
    fs::File::options().write(true).open(d.home.join("o")).unwrap().set_len(0).unwrap();
    d.wait("it goes on", || (d.home.read("o").lines().filter(|line| line.ends_with("tick")).count() > 3).then_some(()));
    assert!(d.home.read("old").len() <= old + 10 && d.home.read("old").lines().all(|line| line == "tick"));
    d.assert_well();
}
