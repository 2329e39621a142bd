//! What a child is born with, whatever the daemon was started in (row 54).

use crate::harness::*;
use serde_json::Value;
use std::collections::BTreeMap;

#[track_caller]
fn report(d: &Daemon, name: &str) -> Value {
    let text = d.wait_file(name);
    serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}

/// A shell that poisons what it can, then becomes the daemon.
fn poisoned(home: &Home, poison: &str) -> std::process::Command {
    let mut command = home.command("bash");
    command.args(["-c", &format!("{poison}\nexec {} -n -c c.conf", supervice().display())]);
    command
}

const TWO: &str = "[program:a]\ncommand = {actor} --report {dir}/open/a\nstartsecs = 0\n\
    [program:b]\ncommand = {actor} --report {dir}/open/b\nstartsecs = 0\nuser = nobody\n";

/// A home whose folder `open` anybody may write.
fn open_home() -> Home {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.open_to_all();
    std::fs::create_dir(home.join("open")).unwrap();
    std::fs::set_permissions(home.join("open"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    home
}

#[track_caller]
fn assert_clean(child: &Value) {
    let pid = &child["pid"];
    assert_eq!((&child["pgid"], &child["sid"]), (pid, pid), "a session and group of its own");
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        let mask = u64::from_str_radix(child[field].as_str().unwrap(), 16).unwrap();
        // Rust's runtime ignores SIGPIPE and catches SIGSEGV and SIGBUS in the actor itself. 32 and 33 belong to libc,
        // which ignores them in what it spawns (this test's daemon) and lets nobody change that by portable means.
        let libcs = if cfg!(feature = "portable") { 0b11 << 31 } else { 0 };
        let own = match field {
            "SigIgn" => 1 << 12 | libcs,
            "SigCgt" => 1 << 10 | 1 << 6,
            _ => 0,
        };
        assert_eq!(mask & !own, 0, "{field} of {child}");
    }
    assert_eq!(child["tty_errno"], libc::ENXIO, "it has a terminal");
    let numbers: Vec<_> = child["fds"].as_object().unwrap().keys().collect();
    assert_eq!(numbers, ["0", "1", "2"]);
    assert_eq!(child["fds"]["0"], "/dev/null");
}

#[test]
fn row_54_a_poisoned_start_environment() {
    if !is_root() {
        return skip("row 54", "needs root");
    }
    let home = open_home();
    home.configure(&format!("{TWO}[program:c]\ncommand = /bin/sleep 1000\nstartsecs = 0\n"));
    let mut command = poisoned(
        &home,
        "trap '' CHLD HUP PIPE USR2; umask 000; ulimit -Sn 777\n\
         for n in 5 6 7 8 9 11 12 20; do eval \"exec $n</etc/passwd\"; done",
    );
    let poison = ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"];
    let more = ["JOURNAL_STREAM", "INVOCATION_ID", "MAINPID", "MANAGERPID", "SUPERVICE_RUN"];
    for key in poison.iter().chain(&more) {
        command.env(key, "poison");
    }
    command.env("KEPT", "kept");
    let mut d = Daemon::launch_by(home, command);
    let [a, b] = ["open/a", "open/b"].map(|name| report(&d, name));
    for child in [&a, &b] {
        assert_clean(child);
        assert_eq!(child["Umask"], "0000", "the one the daemon was started with");
        let limits = child["limits"].as_str().unwrap();
        let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert!(open_files.split_whitespace().nth(3) == Some("777"), "{open_files}");
        let env: BTreeMap<String, Value> = serde_json::from_value(child["env"].clone()).unwrap();
        for key in poison.iter().chain(&more) {
            assert_ne!(env.get(*key).and_then(Value::as_str), Some("poison"), "{key} reached a child");
        }
        assert_eq!(env["KEPT"], "kept");
    }
    assert_eq!(b["CapEff"], "0000000000000000");
    // The actor's runtime ignores SIGPIPE by itself; a plain program shows that it was not told to.
    let plain = d.wait_state("c", "RUNNING").pid.unwrap();
    d.wait("it is exec'd", || process::descriptors(plain).len().eq(&3).then_some(()));
    for field in ["SigIgn", "SigBlk", "SigCgt"] {
        let mask = u64::from_str_radix(&process::status(plain, field), 16).unwrap();
        let libcs = if cfg!(feature = "portable") { 0b11 << 31 } else { 0 };
        assert_eq!(mask & !libcs, 0, "{field}");
    }
    let (soft, hard) = process::limit(d.pid(), "Max open files");
    assert_eq!(soft, hard, "the daemon raises its own");
    assert_eq!(process::status(d.pid(), "Umask"), "0077");
    for name in ["d.pid", "s.sock", ".d.state.json"] {
        use std::os::unix::fs::PermissionsExt;
        let Ok(found) = std::fs::metadata(d.home.join(name)) else { continue };
        assert_eq!(found.permissions().mode() & 0o077, 0, "{name}");
    }
    let begun = std::time::Instant::now();
    d.done("stop", "a");
    assert!(begun.elapsed().as_secs() < 3);
    assert_eq!(d.terminate(), 0);
}

#[test]
fn row_54_signals_blocked_at_the_start() {
    let home = open_home();
    home.configure("[program:a]\ncommand = {actor} --report {dir}/open/a\nstartsecs = 0\n");
    let mut command = home.command(home.join("actor"));
    // The actor blocks TERM, INT and CHLD, and then becomes what it is told to be.
    command.arg("--become").arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    assert_clean(&report(&d, "open/a"));
    d.done("restart", "a");
    let begun = std::time::Instant::now();
    d.done("stop", "a");
    assert!(begun.elapsed().as_secs() < 3, "the stop signal did not arrive");
    assert_eq!(d.terminate(), 0, "TERM was blocked and stayed so");
}

#[test]
fn row_54_a_folder_that_is_gone() {
    let home = open_home();
    std::fs::create_dir(home.join("gone")).unwrap();
    home.configure("[program:a]\ncommand = {actor} --report {dir}/open/a\nstartsecs = 0\n");
    let mut command = home.command("bash");
    let line = format!("cd {0} && rmdir {0} && exec {1} \"$@\"", home.join("gone").display(), supervice().display());
    command.args(["-c", &line, "-"]);
    let mut d = Daemon::launch_by(home, command);
    report(&d, "open/a");
    assert_eq!(d.terminate(), 0);
}

#[test]
fn row_54_no_secret_in_the_log() {
    let d =
        Daemon::start("loglevel = DEBUG\n[program:a]\ncommand = {actor}\nenvironment = TOKEN=hunter2\nstartsecs = 0\n");
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    assert_eq!(process::given(pid, "TOKEN"), "hunter2");
    d.reload();
    assert!(!d.log().contains("hunter2"), "{}", d.story());
}

#[test]
fn row_54_marks_in_the_environment_are_the_daemons() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    let pid = d.wait_state("a", "RUNNING").pid.unwrap();
    let foreign: Vec<_> = process::environment(pid)
        .into_iter()
        .map(|entry| String::from_utf8_lossy(&entry).into_owned())
        .filter(|entry| {
            let key = entry.split('=').next().unwrap();
            std::env::var_os(key).is_none() && key != "E2E_MARK" && !key.starts_with("SUPERVICE_")
        })
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
