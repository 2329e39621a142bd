//! Both ways: Python's clients drive our daemon, our client drives Python's daemon.
//!
//! The virtual environments are named by `INTEROP_PY_010` and `INTEROP_PY_042`, or stand in `target/interop`.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/mod.rs"]
mod harness;

use harness::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The python of a virtual environment with that version of supervice. A path that is given must be right.
fn python(version: &str) -> Option<PathBuf> {
    let short = version.replace('.', "");
    if let Some(given) = std::env::var_os(format!("INTEROP_PY_{short}")) {
        let given = PathBuf::from(given);
        assert!(given.exists(), "{} is not there", given.display());
        return Some(given);
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/interop/py{short}/bin/python"));
    if !usual.exists() {
        skip(&format!("interop with {version}"), &format!("no {}; .ci/run makes it", usual.display()));
        return None;
    }
    Some(usual)
}

const PROGRAMS: &str = "[program:a]\ncommand = {actor}\nstartsecs = 0\n\
    [program:b]\ncommand = {actor}\nstartsecs = 0\nautostart = false\nnumprocs = 2\n\
    [program:bad]\ncommand = {actor} --exit 3\nautostart = false\nstartretries = 0\n\
    [group:g]\nprograms = a, b\n";

/// One call of Python's `Controller`: what it returned and what it printed.
#[track_caller]
fn call(d: &Daemon, python: &Path, arguments: &[&str]) -> (bool, String) {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/controller.py");
    let ran = run(d.home.command(python).arg(driver).arg(d.home.socket()).args(arguments), DEADLINE);
    assert_eq!(ran.code, 0, "{ran:?}\n{}", d.story());
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    (answer["returned"].as_bool().unwrap(), answer["printed"].as_str().unwrap().to_owned())
}

#[track_caller]
fn controller_drives_our_daemon(version: &str) {
    let Some(python) = python(version) else { return };
    let d = Daemon::start(PROGRAMS);
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    let says = |arguments: &[&str], returned: bool, printed: &str| {
        let (really, said) = call(&d, &python, arguments);
        assert_eq!((really, said.trim_end()), (returned, printed), "{version} {arguments:?}\n{}", d.story());
    };
    let (returned, table) = call(&d, &python, &["status"]);
    assert!(returned, "{table}");
    let line = |name: &str| {
        let line = table.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{table}")).split_whitespace().skip(1).collect::<Vec<_>>()
    };
    assert_eq!(line("NAME")[..3], ["STATE", "PID", "UPTIME"]);
    assert_eq!(line("a")[..2], ["RUNNING", &pid.to_string()]);
    assert_eq!(line("b:01")[..2], ["STOPPED", "-"]);
    says(&["start_process", "b:00"], true, "Started b:00");
    says(&["start_process", "b:00"], true, "b:00 is already running");
    says(&["start_process", "nobody"], false, "Process not found");
    says(&["stop_process", "b:00"], true, "Stopped b:00");
    says(&["restart_process", "a"], true, "Restarted a");
    says(&["restart_process", "a", "force"], true, "Restarted a");
    says(&["stop_group", "g"], true, "Stopped group g");
    says(&["start_group", "g"], true, "Started group g");
    says(&["start_group", "nobody"], false, "Group not found");
    let (returned, said) = call(&d, &python, &["start_process", "bad"]);
    assert!(!returned && said.contains("bad") && said.contains("state: "), "{said}");
    says(&["reload"], true, "No changes detected");
    d.home.configure(&format!(
        "{}[program:new]\ncommand = {{actor}}\n",
        PROGRAMS.replace("[program:bad]", "[program:c]")
    ));
    says(&["reload"], true, "Added: c, new\nRemoved: bad");
    d.home.write("c.conf", "[supervice\n");
    let (returned, said) = call(&d, &python, &["reload"]);
    assert!(!returned && said.contains("c.conf:1"), "{said}");
    d.assert_well();
}

#[test]
fn the_controller_of_0_1_0_drives_our_daemon() {
    controller_drives_our_daemon("0.1.0");
}

#[test]
fn the_controller_of_0_4_2_drives_our_daemon() {
    controller_drives_our_daemon("0.4.2");
}

#[track_caller]
fn our_client_drives(version: &str) {
    let Some(python) = python(version) else { return };
    let home = Home::new();
    home.configure(PROGRAMS);
    let (socket, beside) = (home.socket(), Home::new());
    let command = home.command(python.with_file_name("supervice"));
    let mut d = Daemon::launch_by(home, command);
    d.wait_state("a", "RUNNING");
    let ctl = |arguments: &[&str]| {
        run(beside.command(supervicectl()).arg("-s").arg(&socket).args(arguments), DEADLINE + DEADLINE)
    };
    let says = |arguments: &[&str], code: i32, words: &str| {
        let ran = ctl(arguments);
        let said = if code == 0 { &ran.stdout } else { &ran.stderr };
        assert_eq!((ran.code, said.trim_end()), (code, words), "{version} {arguments:?}: {ran:?}");
    };
    let table = d.ctl(&["status"]);
    assert_eq!(table.code, 0, "{table:?}");
    let row: Vec<_> = table.stdout.lines().find(|line| line.starts_with("a ")).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["a", "RUNNING", &d.pid_of("a").to_string()]);
    says(&["start", "b:00"], 0, "Started b:00");
    says(&["start", "nobody"], 1, "Process not found");
    says(&["stop", "b:00"], 0, "Stopped b:00");
    says(&["restart", "a"], 0, "Restarted a");
    says(&["restart", "a", "--force"], 0, "Restarted a");
    says(&["startgroup", "g"], 0, "Started group g");
    says(&["stopgroup", "g"], 0, "Stopped group g");
    says(&["stopgroup", "nobody"], 1, "Group not found");
    says(&["start", "b:00", "b:01"], 0, "Started b:00\nStarted b:01");
    says(&["restart", "b:00", "b:01"], 0, "Restarted b:00\nRestarted b:01");
    let mixed = ctl(&["stop", "b:00", "nobody-at-all", "b:01"]);
    assert_eq!((mixed.code, mixed.stdout.as_str()), (1, "Stopped b:00\nStopped b:01\n"));
    assert_eq!(mixed.stderr, "Process not found: nobody-at-all\n");
    says(&["start", "b*"], 1, "This daemon knows plain names only, not b*");
    says(&["status", "b*"], 1, "This daemon knows plain names only, not b*");
    let some = ctl(&["status", "b:01", "a"]);
    let names: Vec<&str> = some.stdout.lines().skip(2).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((some.code, names), (0, vec!["b:01", "a"]));
    says(&["stop", "all"], 0, "Stopped a\nStopped b:00\nStopped b:01\nStopped bad");
    says(&["reload"], 0, "No changes detected");
    d.home.configure(&format!("{PROGRAMS}[program:new]\ncommand = {{actor}}\n"));
    says(&["reload"], 0, "Added: new");
    assert_eq!(d.terminate(), 0);
    says(&["status"], 1, "Supervice is not running (socket not found)");
}

#[test]
fn our_client_drives_the_daemon_of_0_4_2() {
    our_client_drives("0.4.2");
}

/// Every option that Python's 0.1.0 documents, each with a value of its own; the same text for both.
const DOCUMENTED: &str = "[supervice]\nlogfile={dir}/supervice.log\nloglevel=INFO\npidfile={dir}/d.pid\nsocket={dir}/s.sock\n\
    shutdown_timeout=30\n\
    [program:web]\ncommand={actor} --report {dir}/%(process_num)s.json\nnumprocs=2\nautostart=true\nautorestart=true\nstartsecs=1\n\
    startretries=3\nstopsignal=TERM\nstopwaitsecs=10\nstdout_logfile={dir}/web_%(process_num)s.out\n\
    stderr_logfile={dir}/web.err\nstdout_logfile_maxbytes=52428800\nstdout_logfile_backups=10\nstderr_logfile_maxbytes=1000000\n\
    stderr_logfile_backups=10\nenvironment=KEY=\"value\",OTHER='x y'\ndirectory={dir}\nhealthcheck_type=none\n\
    [program:checked]\ncommand={actor}\nhealthcheck_type=script\nhealthcheck_command=exit 0\nhealthcheck_interval=30\n\
    healthcheck_timeout=10\nhealthcheck_retries=3\nhealthcheck_start_period=10\n\
    [program:port]\ncommand={actor}\nautostart=false\nhealthcheck_type=tcp\nhealthcheck_port=8080\nhealthcheck_host=127.0.0.1\n\
    [group:all]\nprograms=web,checked\n";

#[test]
fn a_config_with_every_documented_option_runs_under_both() {
    let Some(python) = python("0.4.2") else { return };
    for program in [supervice(), python.with_file_name("supervice")] {
        let home = Home::new();
        home.configure_raw(DOCUMENTED);
        let command = home.command(&program);
        let mut d = Daemon::launch_by(home, command);
        for name in ["web:00", "web:01", "checked"] {
            d.wait_state(name, "RUNNING");
        }
        assert_eq!(d.state("port"), "STOPPED");
        let report: Value = serde_json::from_str(&d.wait_file("01.json")).unwrap();
        assert_eq!((&report["env"]["KEY"], &report["env"]["OTHER"]), (&json!("value"), &json!("x y")));
        assert_eq!(d.done("stopgroup", "all"), "Stopped group all");
        assert_eq!(d.terminate(), 0);
    }
}
