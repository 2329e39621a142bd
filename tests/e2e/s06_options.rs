//! Every option of the configuration does what it says.

use crate::harness::*;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What an actor reported with `--report {dir}/NAME`.
#[track_caller]
fn report(d: &Daemon, name: &str) -> Value {
    let text = d.wait_file(name);
    serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}

#[track_caller]
fn refused(text: &str, wanted: &str) {
    let home = Home::new();
    let ran = home.test_config(text);
    assert_eq!(ran.code, 2, "{text}: {ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.lines().any(|line| line.contains(wanted)), "{text}: no {wanted:?} in\n{said}");
}

#[track_caller]
fn accepted(text: &str) -> String {
    let home = Home::new();
    let ran = home.test_config(text);
    assert_eq!(ran.code, 0, "{text}: {ran:?}");
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn the_dialect_is_configparsers() {
    let d = Daemon::start(
        "; a comment\n\n[DEFAULT]\nstartsecs : 0\n[program:a]\nCOMMAND = {actor} --report {dir}/a\n   --\n\thello ; not a comment\n\
         # another\nAutoStart = YES\nenvironment = A=100%,B=%%s\n",
    );
    let report = report(&d, "a");
    let words: Vec<_> = report["argv"].as_array().unwrap().iter().skip(3).collect();
    assert_eq!(json!(words), json!(["--", "hello", ";", "not", "a", "comment"]), "{report}");
    assert_eq!((&report["env"]["A"], &report["env"]["B"]), (&json!("100%"), &json!("%%s")));
}

#[test]
fn a_byte_order_mark_and_crlf_are_no_obstacle() {
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    let text = fs::read_to_string(home.config_path()).unwrap();
    home.write("c.conf", format!("\u{feff}{}", text.replace('\n', "\r\n")));
    let d = Daemon::launch(home);
    d.wait_state("a", "RUNNING");
}

#[test]
fn what_the_dialect_refuses() {
    refused("[program:a]\ncommand = a\ncommand = b\n", "c.conf:6: [program:a] command: ");
    refused("[program:a]\ncommand = a\n[program:a]\ncommand = b\n", "c.conf:6: [program:a]");
    refused("[nonsense\n[program:a]\ncommand = a\n", "c.conf:4:");
    refused("[program:a]\nnonsense\ncommand = a\n", "c.conf:5:");
}

#[test]
fn the_daemons_files_go_where_they_are_said_to() {
    let home = Home::new();
    home.configure_raw(
        "[supervice]\nsocket = {dir}/s.sock\npidfile = {dir}/my.pidfile\nlogfile = {dir}/my.log\n\
         [program:a]\ncommand = {actor}\nstartsecs = 0\n",
    );
    let d = Daemon::launch(home);
    d.wait_state("a", "RUNNING");
    assert_eq!(d.home.read("my.pidfile").trim(), d.pid().to_string());
    assert!(d.home.read("my.log").contains("Started a"));
}

#[test]
fn no_pidfile_and_a_state_file_elsewhere() {
    let home = Home::new();
    home.configure_raw(
        "[supervice]\nsocket = {dir}/s.sock\npidfile = none\nstate_file = {dir}/children.json\n\
         [program:a]\ncommand = {actor}\nstartsecs = 0\n",
    );
    let d = Daemon::launch(home);
    d.wait_state("a", "RUNNING");
    let names: Vec<_> = fs::read_dir(d.home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("pid")), "{names:?}");
    refused("state_file = {dir}/no/such/file\n", "[supervice] state_file: ");
}

#[test]
fn loglevel_decides_which_lines_are_written() {
    for (level, lines) in [("debug", true), ("INFO", true), ("Warn", false), ("CRITICAL", false)] {
        let d = Daemon::start(&format!("loglevel = {level}\n[program:a]\ncommand = {{actor}}\nstartsecs = 0\n"));
        d.wait_state("a", "RUNNING");
        assert_eq!(d.log().contains("INFO"), lines, "{level}: {}", d.story());
    }
    refused("loglevel = LOUD\n", "c.conf:4: [supervice] loglevel: ");
}

#[test]
fn command_is_split_as_shlex_does_and_no_shell_runs_it() {
    let d = Daemon::start(
        r#"[program:a]
command = {actor} --report {dir}/a --say 'one two' --say "a \"b\" \n" --say $HOME --say a\ b --say ''"" --say #x --say x;y
startsecs = 0
"#,
    );
    let argv = report(&d, "a")["argv"].clone();
    let words: Vec<_> = argv.as_array().unwrap()[3..].iter().filter(|word| **word != "--say").collect();
    assert_eq!(json!(words), json!(["one two", "a \"b\" \\n", "$HOME", "a b", "", "#x", "x;y"]));
    refused("[program:a]\ncommand = 'open\n", "[program:a] command: ");
    refused("[program:a]\ncommand =\n", "[program:a] command: ");
    refused("[program:a]\nautostart = no\n", "[program:a] command: ");
}

#[test]
fn command_is_found_on_the_childs_path() {
    let home = Home::new();
    fs::create_dir(home.join("bin")).unwrap();
    home.copy_program(actor(), "bin/my-own-actor", 0o755);
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = my-own-actor --touch {dir}/t\nenvironment = PATH=\"{dir}/bin:/usr/bin:/bin\"\nstartsecs = 0\n\
         [program:b]\ncommand = my-own-actor\nautorestart = no\nstartsecs = 0\n",
    );
    d.wait_file("t");
    d.wait_state("b", "EXITED");
}

#[test]
fn numprocs_and_process_num() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --report {dir}/a-%(process_num)s --say %(process_num)s\nnumprocs = 3\nstartsecs = 0\n\
         environment = N=%(process_num)s\nstdout_logfile = {dir}/out-%(process_num)s\n\
         stderr_logfile = {dir}/err-%(process_num)s\n\
         [program:one]\ncommand = {actor} --report {dir}/one-%(process_num)s\nstartsecs = 0\n",
    );
    let names: Vec<_> = d.rows().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["a:00", "a:01", "a:02", "one"]);
    for number in ["00", "01", "02"] {
        assert_eq!(report(&d, &format!("a-{number}"))["env"]["N"], number);
        assert_eq!(d.wait_file(&format!("out-{number}")), format!("{number}\n"));
        assert!(d.home.join(&format!("err-{number}")).exists());
    }
    report(&d, "one-00");
}

#[test]
fn autostart_is_a_boolean_and_nothing_else() {
    let programs: Vec<String> = ["true", "1", "yes", "on", "false", "0", "no", "OFF"]
        .iter()
        .map(|word| format!("[program:p-{word}]\ncommand = {{actor}}\nstartsecs = 0\nautostart = {word}\n"))
        .collect();
    let d = Daemon::start(&programs.concat());
    for word in ["true", "1", "yes", "on"] {
        d.wait_state(&format!("p-{word}"), "RUNNING");
    }
    for word in ["false", "0", "no", "OFF"] {
        assert_eq!(d.state(&format!("p-{word}")), "STOPPED");
    }
    refused("[program:a]\ncommand = a\nautostart = ture\n", "[program:a] autostart: ");
}

#[test]
fn stopsignal_takes_names_in_any_form() {
    let names = ["INT", "SIGUSR1", "usr1", "sighup", "Quit"];
    let programs: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "[program:{name}]\ncommand = {{actor}} --note-signals {{dir}}/{name} --touch {{dir}}/t\nstartsecs = 0\n\
                 stopsignal = {name}\nstopwaitsecs = 1\n"
            )
        })
        .collect();
    let d = Daemon::start(&programs.concat());
    d.wait("all are up", || (d.home.pids("t").len() == names.len()).then_some(()));
    for name in names {
        d.done("stop", name);
        let wanted = format!("SIG{}", name.to_ascii_uppercase().trim_start_matches("SIG"));
        assert_eq!(d.home.read(name).lines().next(), Some(wanted.as_str()), "stopsignal = {name}");
    }
    refused("[program:a]\ncommand = a\nstopsignal = BANG\n", "[program:a] stopsignal: ");
}

#[test]
fn child_output_goes_into_its_logs() {
    let d = Daemon::start(
        "[program:two]\ncommand = {actor} --say out --complain err\nstdout_logfile = {dir}/o\nstderr_logfile = {dir}/e\nstartsecs = 0\n\
         [program:one]\ncommand = {actor} --say out --complain err\nstdout_logfile = {dir}/both\nredirect_stderr = true\nstartsecs = 0\n\
         [program:none]\ncommand = {actor} --report {dir}/none\nstdout_logfile = NONE\nstartsecs = 0\n",
    );
    assert_eq!(d.wait_file("o"), "out\n");
    assert_eq!(d.wait_file("e"), "err\n");
    let both = d.wait("both lines", || Some(d.home.read("both")).filter(|text| text.lines().count() == 2));
    assert!(both.contains("out\n") && both.contains("err\n"));
    let mode = fs::metadata(d.home.join("o")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777 & !0o640, 0, "{mode:o}");
    assert_eq!(report(&d, "none")["fds"], json!({"0": "/dev/null", "1": "/dev/null", "2": "/dev/null"}));
}

#[test]
fn a_log_is_appended_to() {
    let home = Home::new();
    home.write("o", "before\n");
    let d =
        Daemon::start_in(home, "[program:a]\ncommand = {actor} --say after\nstdout_logfile = {dir}/o\nstartsecs = 0\n");
    d.wait("the new line", || (d.home.read("o") == "before\nafter\n").then_some(()));
}

#[test]
fn everything_written_before_death_is_in_the_log() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --lines 100000 --exit 0\nstdout_logfile = {dir}/o\nautorestart = no\nstartsecs = 0\n\
         [program:b]\ncommand = {actor} --bytes 1048576 --die-of KILL\nstdout_logfile = {dir}/b\nautorestart = no\nstartsecs = 0\n\
         [program:c]\ncommand = {actor} --on-term-print 100000 --touch {dir}/t\nstdout_logfile = {dir}/c\nstartsecs = 0\n",
    );
    d.wait_file("t");
    d.done("stop", "c");
    d.wait_state("a", "EXITED");
    d.wait_state("b", "EXITED");
    for (name, size) in [("o", 1_400_000), ("b", 1_048_576), ("c", 100_000)] {
        d.wait(&format!("{name} has {size} bytes, not {}", d.home.read(name).len()), || {
            (fs::metadata(d.home.join(name)).ok()?.len() == size).then_some(())
        });
    }
    let text = d.home.read("o");
    assert!(text.lines().enumerate().all(|(number, line)| line == format!("line {number:08}")));
}

#[test]
fn environment_and_env_file() {
    let home = Home::new();
    home.write("one.env", "# comment\n\nA = file\nB=\"two words\"\nC='it''s'\nD=x\\n#y\n");
    home.write("two.env", "B=later\n");
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor} --report {dir}/a\nenv_file = {dir}/one.env, {dir}/two.env\n\
         environment = A=own,E=\"a,b\",F='x=y', G = \nstartsecs = 0\n",
    );
    let env = report(&d, "a")["env"].clone();
    for (key, value) in [("A", "own"), ("B", "later"), ("D", "x\\n#y"), ("E", "a,b"), ("F", "x=y"), ("G", "")] {
        assert_eq!(env[key], value, "{key} in {env}");
    }
    assert!(env["PATH"].is_string(), "the daemon's own environment is there too");
    refused("[program:a]\ncommand = a\nenvironment = A=1,B\n", "[program:a] environment: ");
    refused("[program:a]\ncommand = a\nenv_file = {dir}/none.env\n", "[program:a] env_file: ");
}

#[test]
fn a_malformed_env_file_is_told_with_its_line() {
    let home = Home::new();
    home.write("bad.env", "A=1\n\nnonsense\n");
    let ran = home.test_config("[program:a]\ncommand = a\nenv_file = {dir}/bad.env\n");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("bad.env:3"), "{ran:?}");
}

#[test]
fn directory_and_umask() {
    let home = Home::new();
    fs::create_dir(home.join("cwd")).unwrap();
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor} --report {dir}/a\ndirectory = {dir}/cwd\numask = 027\nstartsecs = 0\n\
         [program:b]\ncommand = {actor} --report {dir}/b\nstartsecs = 0\n",
    );
    let a = report(&d, "a");
    assert_eq!(a["cwd"], d.home.join("cwd").display().to_string());
    assert_eq!(a["Umask"], "0027");
    assert_eq!(report(&d, "b")["cwd"], d.home.path().display().to_string());
    assert_eq!(process::status(d.pid(), "Umask"), "0077");
    refused("[program:a]\ncommand = a\ndirectory = /no/such\n", "[program:a] directory: ");
    refused("[program:a]\ncommand = a\numask = 999\n", "[program:a] umask: ");
}

#[test]
fn user_switches_everything() {
    if !is_root() {
        return skip("user", "needs root");
    }
    let home = Home::new();
    home.open_to_all();
    fs::create_dir(home.join("theirs")).unwrap();
    fs::set_permissions(home.join("theirs"), fs::Permissions::from_mode(0o777)).unwrap();
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor} --report {dir}/theirs/a --say hello\nuser = nobody\nstartsecs = 0\nstdout_logfile = {dir}/o\n\
         [program:b]\ncommand = {actor} --report {dir}/theirs/b\nuser = nobody\nenvironment = HOME=/own\nstartsecs = 0\n",
    );
    let a = report(&d, "theirs/a");
    let [uid, gid] =
        ["Uid", "Gid"].map(|key| a[key].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let four = |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join(" ");
    assert_eq!((uid, gid), (four(nobody.uid.as_raw()), four(nobody.gid.as_raw())));
    assert_eq!(a["Groups"], nobody.gid.as_raw().to_string());
    assert_eq!(a["CapEff"], "0000000000000000");
    for (key, value) in [("USER", "nobody"), ("LOGNAME", "nobody")] {
        assert_eq!(a["env"][key], value);
    }
    assert_eq!(a["env"]["HOME"], nobody.dir.display().to_string());
    assert_eq!(a["env"]["SHELL"], nobody.shell.display().to_string());
    assert_eq!(report(&d, "theirs/b")["env"]["HOME"], "/own");
    assert_eq!(d.wait_file("o"), "hello\n");
    refused("[program:a]\ncommand = a\nuser = 0day\n", "[program:a] user: ");
    refused("[program:a]\ncommand = a\nuser = 4242424\n", "[program:a] user: ");
    refused("[program:a]\ncommand = a\nuser =\n", "[program:a] user: ");
}

#[test]
fn groups_are_lists_by_comma_or_line() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nautostart = no\n[program:b]\ncommand = {actor}\nautostart = no\n\
         [program:c]\ncommand = {actor}\nautostart = no\n[group:g]\nprograms = a,\n  b\n  c\n",
    );
    assert_eq!(d.done("stopgroup", "g"), "Stopped group g");
    assert_eq!(d.refused("stopgroup", "a"), "Group not found");
    refused("[program:a]\ncommand = a\n[group:g]\nprograms = a, x\n", "[group:g] programs: ");
    refused("[group:g]\n", "[group:g] programs: ");
    let said = accepted("[program:a]\ncommand = a\n[group:g]\nprograms = a\n[group:h]\nprograms = a\n");
    assert!(said.contains("[group:h]") || said.contains("[group:g]"), "a program in two groups is warned of: {said}");
}

#[test]
fn health_options_are_read_and_checked() {
    accepted(
        "[program:t]\ncommand = a\nhealthcheck_type = TCP\nhealthcheck_port = 80%(process_num)s\nnumprocs = 2\nhealthcheck_host = ::1\n\
         [program:s]\ncommand = a\nhealthcheck_type = script\nhealthcheck_command = exit 0\nhealthcheck_interval = 1\n\
         healthcheck_timeout = 0.5\nhealthcheck_retries = 1\nhealthcheck_start_period = 0\n\
         [program:n]\ncommand = a\nhealthcheck_type = none\n",
    );
    let with = |options: &str| format!("[program:a]\ncommand = a\n{options}\n");
    refused(&with("healthcheck_type = tcp"), "[program:a] healthcheck_port: ");
    refused(&with("healthcheck_type = tcp\nhealthcheck_port = 70000"), "[program:a] healthcheck_port: ");
    refused(&with("healthcheck_type = script"), "[program:a] healthcheck_command: ");
    refused(&with("healthcheck_type = ping"), "[program:a] healthcheck_type: ");
    let script = "healthcheck_type = script\nhealthcheck_command = a\n";
    refused(&with(&format!("{script}healthcheck_interval = 0")), "[program:a] healthcheck_interval: ");
}

#[test]
fn words_of_choice_and_sizes() {
    accepted(
        "log_maxbytes = 1KB\nlog_backups = 0\n[program:a]\ncommand = a\nstdout_logfile_maxbytes = 5MB\n\
         stderr_logfile_maxbytes = 1gb\nstdout_logfile_backups = 3\nstderr_logfile_backups = 0\nreconcile = KILL\n\
         pdeathsig = off\nautorestart = Unexpected\nexitcodes = 0, 2\n",
    );
    let with = |options: &str| format!("[program:a]\ncommand = a\n{options}\n");
    for (option, value) in [
        ("reconcile", "maybe"),
        ("pdeathsig", "perhaps"),
        ("autorestart", "sometimes"),
        ("exitcodes", "256"),
        ("stdout_logfile_maxbytes", "5 apples"),
        ("numprocs", "0"),
        ("redirect_stderr", "2"),
        ("stdout_logfile", "/no/such/folder/log"),
    ] {
        refused(&with(&format!("{option} = {value}")), &format!("[program:a] {option}: "));
    }
}

#[test]
fn row_57_odd_numbers() {
    let options = [
        "numprocs",
        "startsecs",
        "startretries",
        "stopwaitsecs",
        "stdout_logfile_maxbytes",
        "stderr_logfile_backups",
        "healthcheck_interval",
        "healthcheck_retries",
        "exitcodes",
        "umask",
    ];
    let odd = ["-1", "18446744073709551615", "99999999999999999999", "1e30", "1_000", "٣", "", "0x10", "nan", "inf"];
    let home = Home::new();
    for option in options {
        for value in odd {
            let ran = home.test_config(&format!("[program:a]\ncommand = a\n{option} = {value}\n"));
            assert_eq!(ran.code, 2, "{option} = {value}: {ran:?}");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(&format!("[program:a] {option}: ")), "{option} = {value}: {said}");
        }
    }
    for option in ["shutdown_timeout", "log_maxbytes", "log_backups"] {
        for value in odd {
            let ran = home.test_config(&format!("{option} = {value}\n"));
            assert_eq!(ran.code, 2, "{option} = {value}: {ran:?}");
        }
    }
    for option in ["startsecs", "stopwaitsecs", "startretries"] {
        let ran = home.test_config(&format!("[program:a]\ncommand = a\n{option} =  5 \n"));
        assert_eq!(ran.code, 0, "{option}: {ran:?}");
    }
}

#[test]
fn two_streams_on_one_file_are_warned_of() {
    let said = accepted(
        "[program:a]\ncommand = a\nstdout_logfile = {dir}/o\n[program:b]\ncommand = a\nstderr_logfile = {dir}/o\n",
    );
    assert!(said.contains("/o"), "{said}");
}

#[test]
fn empty_means_not_given_where_that_makes_sense() {
    let said = accepted(
        "logfile =\n[program:a]\ncommand = a\nstdout_logfile =\nstderr_logfile =\nenvironment =\nenv_file =\n\
         directory =\nhealthcheck_port =\nhealthcheck_host =\n",
    );
    for option in ["logfile", "stdout_logfile", "environment", "directory", "healthcheck_port"] {
        assert!(said.contains(&format!("] {option}: ")), "{option} is not warned of: {said}");
    }
    for option in ["autostart", "startsecs", "stopsignal", "numprocs", "user", "umask"] {
        refused(&format!("[program:a]\ncommand = a\n{option} =\n"), &format!("[program:a] {option}: "));
    }
}

#[test]
fn a_setuid_command_with_pdeathsig_is_warned_of() {
    let home = Home::new();
    home.copy_program("/bin/true", "suid", 0o4755);
    let ran = home.test_config("[program:a]\ncommand = {dir}/suid\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("setuid"), "{ran:?}");
    let ran = home.test_config("[program:a]\ncommand = {dir}/suid\npdeathsig = no\n");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("setuid"), "{ran:?}");
}

#[test]
fn a_command_on_the_path_that_others_may_write_is_refused() {
    if !is_root() {
        return skip("S26", "needs root");
    }
    let home = Home::new();
    fs::create_dir(home.join("bin")).unwrap();
    home.copy_program("/bin/sleep", "bin/planted", 0o777);
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = planted 1000\nenvironment = PATH={dir}/bin\nautostart = no\nstartsecs = 0\nstartretries = 0\n",
    );
    let reply = d.order("start", "a");
    assert_eq!(reply["status"], "error", "{reply}");
    assert!(reply["reason"].as_str().unwrap().contains("bin/planted"), "{reply}");
}

#[test]
fn names_that_cannot_be() {
    refused("[program:]\ncommand = a\n", "[program:]");
    refused("[program:a\x1b]\ncommand = a\n", "c.conf:4:");
    refused("[program:a]\ncommand = a\nnumprocs = 2\n[program:a:01]\ncommand = a\n", "a:01");
}
