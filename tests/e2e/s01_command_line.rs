//! Command lines and exit codes of the daemon.

use crate::harness::*;
use serde_json::json;
use std::fs;
use std::time::Duration;

const ONE: &str = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n";

/// The names in a folder, sorted.
fn listing(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path()).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn version_and_help() {
    let home = Home::new();
    let version = home.run_daemon(&["--version"]);
    assert_eq!((version.code, version.stdout.trim()), (0, concat!("supervice ", env!("CARGO_PKG_VERSION"))));
    for flag in ["-h", "--help"] {
        let help = home.run_daemon(&[flag]);
        assert_eq!(help.code, 0, "{help:?}");
        for option in ["--configuration", "--nodaemon", "--logfile", "--loglevel", "--test", "--version"] {
            assert!(help.stdout.contains(option), "{option} is not in {help:?}");
        }
    }
}

#[test]
fn what_could_not_be_written_was_no_success() {
    let home = Home::new();
    home.configure(ONE);
    let asked: [&[&str]; 6] = [
        &["--help"],
        &["--version"],
        &["--help-config"],
        &["-t", "-c", "c.conf"],
        &["init", "-"],
        &["init", "new.conf"],
    ];
    for arguments in asked {
        let into = |path: &str| {
            let out = fs::OpenOptions::new().write(true).open(path).unwrap();
            home.command(supervice()).args(arguments).stdout(out).output().unwrap()
        };
        let full = into("/dev/full");
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {full:?}");
        assert!(String::from_utf8_lossy(&full.stderr).contains("writing to stdout failed: No space"), "{full:?}");
        let _ = fs::remove_file(home.join("new.conf"));
        assert_eq!(into("/dev/null").status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_left_early_is_no_failure() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = home.command(supervice()).arg("--help-config").stdout(writer).output().unwrap();
    assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(0), &b""[..]), "{ran:?}");
}

#[test]
fn warnings_are_told_from_errors_and_stand_beside_them() {
    let home = Home::new();
    let odd = "[program:a]\ncommand = sleep 1\nstopsignl = INT\n";
    let ran = home.test_config(odd);
    assert!(ran.code == 0 && ran.stderr.starts_with("c.conf:6: warning: [program:a] stopsignl: "), "{ran:?}");
    assert!(ran.stdout.ends_with(": 1 instance, no errors\n"), "{ran:?}");
    // The one is why the other is missing.
    home.configure(&odd.replace("command", "comand"));
    for arguments in [&["-t", "-c", "c.conf"][..], &["-n", "-c", "c.conf"], &["-c", "c.conf"]] {
        let ran = home.run_daemon(arguments);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!((ran.code, lines.len()), (2, 3), "{ran:?}");
        assert!(lines[0].starts_with("c.conf:4: [program:a] command: "), "{ran:?}");
        assert!(lines[1].starts_with("c.conf:5: warning: [program:a] comand: "), "{ran:?}");
        assert!(lines[2].starts_with("c.conf:6: warning: [program:a] stopsignl: "), "{ran:?}");
    }
    let d = Daemon::start(ONE);
    d.home.configure(&odd.replace("command", "comand"));
    let told = d.reload()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("c.conf:5: warning: [program:a] comand: "), "{told}");
}

#[test]
fn bad_usage_is_exit_2() {
    let home = Home::new();
    home.configure(ONE);
    for arguments in [&["--frobnicate"][..], &["-c"], &["-n", "-c", "c.conf", "extra"], &["-t", "-e", "LOUD"]] {
        let ran = home.run_daemon(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?} says nothing");
    }
    assert_eq!(listing(&home), ["c.conf"]);
}

#[test]
fn test_flag_accepts_and_touches_nothing() {
    let home = Home::new();
    let ran = home.test_config(ONE);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(listing(&home), ["c.conf"]);
}

#[test]
fn test_flag_lists_every_problem() {
    let home = Home::new();
    let ran = home.test_config(
        "shutdown_timeout = soon\n[program:a]\ncommand = sleep 1\nautostart = ture\nstopsignal = BANG\n\
         [program:b]\n[group:g]\nprograms = a, nobody\n",
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let wanted = [
        "c.conf:4: [supervice] shutdown_timeout: ",
        "c.conf:7: [program:a] autostart: ",
        "c.conf:8: [program:a] stopsignal: ",
        "[program:b] command: ",
        "c.conf:11: [group:g] programs: ",
    ];
    for start in wanted {
        assert!(said.lines().any(|line| line.contains(start)), "no {start:?} in\n{said}");
    }
}

#[test]
fn test_flag_warns_with_the_nearest_name() {
    let home = Home::new();
    let ran = home.test_config("[program:a]\ncommand = sleep 1\nstopsignl = INT\n[progam:b]\ncommand = sleep 1\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.lines().any(|line| line.contains("c.conf:6:") && line.contains("stopsignal")), "{said}");
    assert!(said.lines().any(|line| line.contains("c.conf:7:") && line.contains("program:")), "{said}");
}

#[test]
fn a_bad_config_is_exit_2_before_anything_is_touched() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor} --touch {dir}/t\nnumprocs = many\nstartsecs = x\n");
    for arguments in [&["-n", "-c", "c.conf"][..], &["-c", "c.conf"]] {
        let ran = home.run_daemon(arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        for option in ["numprocs", "startsecs"] {
            assert!(ran.stderr.contains(option), "{option} is missing: {ran:?}");
        }
    }
    assert_eq!(listing(&home), ["c.conf"]);
}

#[test]
fn a_missing_config_is_exit_2() {
    let home = Home::new();
    for arguments in [&["-n"][..], &["-t", "-c", "nowhere.conf"]] {
        let ran = home.run_daemon(arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(".conf"), "{ran:?}");
    }
}

#[test]
fn the_default_config_is_supervisord_conf_here() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = sleep 1\nautostart = ture\n");
    fs::rename(home.config_path(), home.join("supervisord.conf")).unwrap();
    let ran = home.run_daemon(&["-t"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("supervisord.conf:6: [program:a] autostart"), "{ran:?}");
}

#[test]
fn flags_override_logfile_and_loglevel() {
    let home = Home::new();
    home.configure(&format!("logfile = {{dir}}/from-config\nloglevel = DEBUG\n{ONE}"));
    let mut command = home.command(supervice());
    command.args(["-l", "from-flag", "-e", "error"]);
    let mut d = Daemon::launch_by(home, command);
    d.wait_state("a", "RUNNING");
    assert_eq!(d.terminate(), 0);
    assert!(d.home.join("from-flag").exists() && !d.home.join("from-config").exists());
    assert!(!format!("{}{}", d.log(), d.home.read("from-flag")).contains("INFO"), "{}", d.story());
}

#[test]
fn the_foreground_logs_to_stdout_and_to_the_logfile() {
    let mut d = Daemon::start(&format!("logfile = {{dir}}/own.log\n{ONE}"));
    d.wait_log("Started a (pid ");
    assert_eq!(d.terminate(), 0);
    assert!(d.home.read("own.log").contains("Started a (pid "), "{}", d.story());
}

#[test]
fn daemon_mode_returns_when_the_socket_answers() {
    let home = Home::new();
    home.configure(&format!("logfile = {{dir}}/out\n{ONE}"));
    let ran = home.run_daemon(&["-c", "c.conf"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // At once, at the first try.
    let reply = Client::connect(&home.socket()).unwrap().ask(&json!({"command": "status"})).unwrap();
    assert_eq!(reply["status"], "ok");
    let pid: i32 = home.read("d.pid").trim().parse().unwrap();
    let stat = process::stat(pid).unwrap();
    assert!(stat.session != nix::unistd::getsid(None).unwrap().as_raw() && stat.session != pid, "{stat:?}");
    let open = process::descriptors(pid);
    for number in 0..=2 {
        assert_eq!(open[&number], "/dev/null", "{open:?}");
    }
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), home.path());
    process::signal(pid, nix::sys::signal::Signal::SIGTERM);
    process::wait_gone(pid);
    assert!(!home.join("d.pid").exists() && !home.socket().exists());
}

#[test]
fn daemon_mode_hands_on_its_error() {
    let home = Home::new();
    home.configure(&format!("logfile = {{dir}}/no-such-folder/log\n{ONE}"));
    let ran = home.run_daemon(&["-c", "c.conf"]);
    assert!(ran.code == 1 || ran.code == 2, "{ran:?}");
    assert!(ran.stderr.contains("no-such-folder"), "{ran:?}");
    wait_until(DEADLINE, "nothing is left running", || home.processes().is_empty());
}

#[test]
fn without_a_logfile_a_daemon_logs_to_supervice_log_here() {
    let home = Home::new();
    home.configure(ONE);
    let ran = home.run_daemon(&["-c", "c.conf"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    wait_until(DEADLINE, "the log tells of a", || home.read("supervice.log").contains("Started a (pid "));
}

/// What a second daemon must leave as it is.
fn traces(home: &Home) -> Vec<(String, u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let names = listing(home).into_iter().filter(|name| !matches!(name.as_str(), "out" | "err"));
    let trace = |name: String| {
        let path = home.join(&name);
        (name, fs::metadata(&path).unwrap().ino(), fs::read(&path).unwrap_or_default())
    };
    names.map(trace).collect()
}

#[test]
fn row_49_a_second_daemon_harms_nothing() {
    let d = Daemon::start(ONE);
    let pid = d.wait_state("a", "RUNNING").pid;
    d.wait_file("t");
    // Its state file is at rest only once the child is recorded.
    d.wait("the child is recorded", || {
        d.home.read(".d.state.json").contains(&format!("\"pid\":{},", pid?)).then_some(())
    });
    let same = fs::read_to_string(d.home.config_path()).unwrap();
    d.home.write("no-lock.conf", same.replace(&d.home.join("d.pid").display().to_string(), "none"));
    d.home.write("other-lock.conf", same.replace("d.pid", "other.pid"));
    d.home.write("other-socket.conf", same.replace("s.sock", "other.sock"));
    let record = format!("\"pid\":{},", pid.expect("it runs"));
    d.wait("the child is recorded", || d.home.read(".d.state.json").contains(&record).then_some(()));
    let before = traces(&d.home);
    for config in ["c.conf", "no-lock.conf", "other-lock.conf", "other-socket.conf"] {
        for foreground in [true, false] {
            let flags = if foreground { &["-n", "-l", "second.log", "-c", config][..] } else { &["-c", config] };
            let ran = d.home.run_daemon(flags);
            assert_eq!(ran.code, 1, "{config}: {ran:?}");
            assert!(ran.took < Duration::from_secs(30), "{config} took {:?}", ran.took);
            assert!(!ran.stderr.is_empty(), "{config}: {ran:?}");
        }
    }
    for own in ["second.log", "supervice.log", "other.pid"] {
        let _ = fs::remove_file(d.home.join(own));
    }
    assert_eq!(traces(&d.home), before);
    assert_eq!(d.row("a").pid, pid);
    assert_eq!(d.home.pids("t").len(), 1, "a second child was forked");
}

#[test]
fn a_stale_socket_and_pidfile_are_no_obstacle() {
    let d = Daemon::start(ONE);
    let old = d.wait_state("a", "RUNNING").pid.unwrap();
    let home = d.murder();
    assert!(home.socket().exists() && home.join("d.pid").exists());
    process::wait_gone(old);
    let d = Daemon::launch(home);
    assert_eq!(d.home.read("d.pid").trim(), d.pid().to_string());
    assert_ne!(d.wait_state("a", "RUNNING").pid, Some(old));
}

#[test]
fn a_file_at_the_socket_path_is_not_replaced() {
    let home = Home::new();
    home.configure(ONE);
    home.write("s.sock", "precious");
    let ran = home.run_daemon(&["-n", "-c", "c.conf"]);
    assert!(ran.code == 1 || ran.code == 2, "{ran:?}");
    assert_eq!(home.read("s.sock"), "precious");
    assert!(!home.join("t").exists() && !home.join("d.pid").exists());
}

#[test]
fn row_51_socket_paths_that_cannot_be() {
    let home = Home::new();
    let long = home.join(&"x".repeat(120)).display().to_string();
    let missing = home.join("no/such/s.sock").display().to_string();
    for (path, hint) in [(long, "10"), (missing, "no/such")] {
        home.configure_raw(&format!("[supervice]\nsocket = {path}\npidfile = none\n{ONE}"));
        let ran = home.run_daemon(&["-n", "-c", "c.conf"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("[supervice] socket: ") && ran.stderr.contains(hint), "{ran:?}");
    }
    assert!(!home.join("t").exists());
}

#[test]
fn a_config_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    if !is_root() {
        return skip("config permissions", "needs root");
    }
    let path = home.configure(ONE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let ran = home.run_daemon(&["-n", "-c", "c.conf"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("c.conf") && ran.stderr.contains("666"), "{ran:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(home.run_daemon(&["-n", "-c", "c.conf"]).code, 2);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(home.run_daemon(&["-t", "-c", "c.conf"]).code, 0);
}
