//! What a good configuration turns into.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use supervice::config::parse;
use supervice::engine::message::Signal;
use supervice::engine::policy::{Autorestart, Consequence, HealthPolicy, Policy, Readiness};
use supervice::spec::{Config, DaemonSpec, LogFormat, LogLevel, LogSpec, LogTarget, ProbeTarget, Reconcile};

pub fn good(text: &str) -> Config {
    parse(text.as_bytes(), Path::new("/srv")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn an_empty_file_is_a_daemon_with_nothing_to_do() {
    let config = good("");
    let expected = DaemonSpec {
        logfile: None,
        loglevel: LogLevel::Info,
        pidfile: Some("supervice.pid".into()),
        socket: "/tmp/supervice.sock".into(),
        socket_mode: None,
        socket_group: None,
        socket_users: Vec::new(),
        shutdown_timeout: Duration::from_secs(30),
        log_maxbytes: 50 << 20,
        log_backups: 10,
        state_file: ".supervice.state.json".into(),
    };
    assert_eq!(config.daemon, expected);
    assert_eq!((config.instances.len(), config.groups.len(), config.warnings.len()), (0, 0, 0));
}

#[test]
fn the_daemons_options_are_read() {
    let config = good(
        "[supervice]\nlogfile=l\nloglevel=warn\npidfile=/r/p.pid\nsocket=s\nshutdown_timeout=2.5\nlog_maxbytes=1KB\nlog_backups=0\n",
    );
    let expected = DaemonSpec {
        logfile: Some("l".into()),
        loglevel: LogLevel::Warning,
        pidfile: Some("/r/p.pid".into()),
        socket: "s".into(),
        socket_mode: None,
        socket_group: None,
        socket_users: Vec::new(),
        shutdown_timeout: Duration::from_millis(2_500),
        log_maxbytes: 1_024,
        log_backups: 0,
        state_file: "/r/.p.state.json".into(),
    };
    assert_eq!(config.daemon, expected);
    for (option, expected) in [("pidfile = NONE", None), ("pidfile =", None), ("pidfile = a", Some(PathBuf::from("a")))]
    {
        assert_eq!(good(&format!("[supervice]\n{option}")).daemon.pidfile, expected, "{option}");
    }
    let levels = [
        ("debug", LogLevel::Debug),
        ("Info", LogLevel::Info),
        ("WARNING", LogLevel::Warning),
        ("error", LogLevel::Error),
        ("critical", LogLevel::Critical),
    ];
    for (word, level) in levels {
        assert_eq!(good(&format!("[supervice]\nloglevel={word}")).daemon.loglevel, level);
    }
    assert_eq!(good("[supervice]\nstate_file=x").daemon.state_file, Path::new("x"));
}

#[test]
fn a_program_has_its_defaults() {
    let config = good("[program:web]\ncommand = sleep '1 2'\n");
    let [web] = &config.instances[..] else { panic!("one instance") };
    assert_eq!((&*web.name, &*web.program, &*web.group), ("web", "web", "web"));
    assert_eq!(web.launch.argv, ["sleep", "1 2"]);
    let policy = Policy {
        autostart: true,
        autorestart: Autorestart::Always,
        exitcodes: BTreeSet::from([0]),
        start_secs: Duration::from_secs(1),
        readiness: Readiness::Lived,
        ready_timeout: Duration::from_secs(60),
        watchdog: None,
        start_retries: 3,
        stop_signal: Signal::TERM,
        stop_timeout: Duration::from_secs(10),
        allow_leftover: false,
        on_exit: Consequence::Nothing,
        on_fatal: Consequence::Nothing,
        health: None,
    };
    assert_eq!(*web.policy, policy);
    assert_eq!(
        web.stdout,
        LogSpec { target: LogTarget::Null, maxbytes: 50 << 20, backups: 10, compress: false, format: LogFormat::Raw }
    );
    assert_eq!(web.stderr, web.stdout);
    assert_eq!((web.probe.clone(), web.reconcile), (None, Reconcile::Auto));
    let launch = &web.launch;
    assert!(
        launch.pdeathsig
            && !launch.clean_env
            && !launch.no_new_privs
            && launch.env.is_empty()
            && launch.env_files.is_empty()
    );
    assert_eq!((&launch.directory, &launch.user, launch.umask), (&None, &None, None));
    assert_eq!(config.groups.len(), 1);
    assert_eq!((config.groups[0].name.as_str(), &config.groups[0].members[..]), ("web", &["web".to_owned()][..]));
}

#[test]
fn every_program_option_arrives() {
    let config = good(
        "[program:p]\ncommand=a\nautostart=off\nautorestart=Unexpected\nexitcodes=0,7\nstartsecs=0\nready=Notify\nready_timeout=5\nwatchdog_sec=2.5\nstartretries=0\nstopsignal=sigusr1\n\
         stopwaitsecs=0.25\nallow_leftover=1\non_exit=Shutdown\non_fatal=NOTHING\n\
         stdout_logfile=o\nstdout_logfile_maxbytes=0\nstdout_logfile_backups=1\nstdout_logfile_compress=YES\nredirect_stderr=yes\nlog_format=JSON\n\
         environment=A=1,B='2'\nenv_file=a.env, b.env\nclean_env=on\ndirectory=/d\nuser=nobody\numask=027\nno_new_privs=true\npdeathsig=no\n\
         reconcile=KILL\nhealthcheck_type=SCRIPT\nhealthcheck_command=exit 0\nhealthcheck_interval=1\nhealthcheck_timeout=2\n\
         healthcheck_retries=4\nhealthcheck_start_period=0\n",
    );
    let p = &config.instances[0];
    let health = HealthPolicy {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        retries: 4,
        start_period: Duration::ZERO,
    };
    let policy = Policy {
        autostart: false,
        autorestart: Autorestart::Unexpected,
        exitcodes: BTreeSet::from([0, 7]),
        start_secs: Duration::ZERO,
        readiness: Readiness::Notified,
        ready_timeout: Duration::from_secs(5),
        watchdog: Some(Duration::from_millis(2500)),
        start_retries: 0,
        stop_signal: supervice::config::signal::signal("USR1").unwrap(),
        stop_timeout: Duration::from_millis(250),
        allow_leftover: true,
        on_exit: Consequence::Shutdown,
        on_fatal: Consequence::Nothing,
        health: Some(health),
    };
    assert_eq!(*p.policy, policy);
    assert_eq!(
        p.stdout,
        LogSpec {
            target: LogTarget::File("o".into()),
            maxbytes: 0,
            backups: 1,
            compress: true,
            format: LogFormat::Json
        }
    );
    assert_eq!(p.stderr.target, LogTarget::SameAsStdout);
    let launch = &p.launch;
    assert_eq!(launch.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["A=1", "B=2"]);
    assert_eq!(launch.env_files, [PathBuf::from("a.env"), PathBuf::from("b.env")]);
    assert!(launch.clean_env && launch.no_new_privs && !launch.pdeathsig);
    assert_eq!(
        (launch.directory.as_deref(), launch.user.as_deref(), launch.umask),
        (Some(Path::new("/d")), Some("nobody"), Some(0o027))
    );
    assert_eq!(p.reconcile, Reconcile::Kill);
    assert_eq!(p.probe.as_deref(), Some(&ProbeTarget::Script { command: "exit 0".to_owned() }));
    assert_eq!(good("[program:p]\ncommand=a\nautorestart=0").instances[0].policy.autorestart, Autorestart::Never);
}

#[test]
fn each_instance_has_its_number() {
    let config = good(
        "[program:w]\nnumprocs=2\ncommand=a %(process_num)s %(x)s %%\nenvironment=N=%(process_num)s,M%(process_num)s=1\nstdout_logfile=%(process_num)s.log\n\
         stderr_logfile=e%(process_num)s\nhealthcheck_type=tcp\nhealthcheck_host=h%(process_num)s\nhealthcheck_port=80%(process_num)s\n",
    );
    let [first, second] = &config.instances[..] else { panic!("two instances") };
    assert_eq!((&*first.name, &*second.name), ("w:00", "w:01"));
    assert_eq!(second.launch.argv, ["a", "01", "%(x)s", "%%"]);
    assert_eq!(second.launch.env["N"], "01");
    assert!(second.launch.env.contains_key("M%(process_num)s"), "names are not expanded");
    assert_eq!(second.stdout.target, LogTarget::File("01.log".into()));
    assert_eq!(second.stderr.target, LogTarget::File("e01".into()));
    assert_eq!(first.probe.as_deref(), Some(&ProbeTarget::Tcp { host: "h00".to_owned(), port: 8_000 }));
    assert_eq!(second.probe.as_deref(), Some(&ProbeTarget::Tcp { host: "h01".to_owned(), port: 8_001 }));
    assert_eq!(config.groups[0].members, ["w:00", "w:01"]);
    assert_eq!(good("[program:w]\ncommand=%(process_num)s").instances[0].launch.argv, ["00"]);
    assert_eq!(good("[program:w]\ncommand=x\nnumprocs=101").instances[100].name.as_ref(), "w:100");
}

#[test]
fn log_targets_have_words() {
    for (word, target) in [
        ("/dev/stdout", LogTarget::DaemonStdout),
        ("/dev/fd/2", LogTarget::DaemonStderr),
        ("/dev/stderr", LogTarget::DaemonStderr),
        ("/proc/self/fd/1", LogTarget::DaemonStdout),
        ("/dev/null", LogTarget::Null),
        ("None", LogTarget::Null),
        ("/dev/full", LogTarget::File("/dev/full".into())),
    ] {
        assert_eq!(good(&format!("[program:p]\ncommand=a\nstderr_logfile={word}")).instances[0].stderr.target, target);
    }
}

#[test]
fn http_checks_come_from_a_url_or_from_parts() {
    let probe = |options: &str| {
        *good(&format!("[program:p]\ncommand=a\nhealthcheck_type=http\n{options}")).instances[0].probe.clone().unwrap()
    };
    let http = |host: &str, port, path: &str, statuses| ProbeTarget::Http {
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        statuses,
    };
    assert_eq!(probe("healthcheck_port=81"), http("127.0.0.1", 81, "/", vec![(200, 399)]));
    assert_eq!(
        probe(
            "healthcheck_port=80%(process_num)s\nhealthcheck_path=/h%(process_num)s\nhealthcheck_host=::1\nhealthcheck_status=204,3xx"
        ),
        http("::1", 8_000, "/h00", vec![(204, 204), (300, 399)])
    );
    assert_eq!(probe("healthcheck_url=http://x:8%(process_num)s/y"), http("x", 800, "/y", vec![(200, 399)]));
}

#[test]
fn groups_come_in_the_order_of_the_file() {
    let programs = "[group:late]\nprograms=c,\n  a\n[program:a]\ncommand=x\nnumprocs=2\n[program:b]\ncommand=x\n[program:c]\ncommand=x\n[group:none]\nprograms=\n";
    let config = good(programs);
    let groups: Vec<(&str, Vec<&str>)> = config
        .groups
        .iter()
        .map(|group| (group.name.as_str(), group.members.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(groups, [("late", vec!["a:00", "a:01", "c"]), ("b", vec!["b"])]);
    assert_eq!(
        config.instances.iter().map(|instance| &*instance.group).collect::<Vec<_>>(),
        ["late", "late", "b", "late"]
    );
    // The last word wins, and a group that nobody is left in is none.
    let config = good("[program:a]\ncommand=x\n[group:g]\nprograms=a\n[group:h]\nprograms=a\n");
    assert_eq!((config.groups.len(), config.groups[0].name.as_str()), (1, "h"));
    // A program in no group joins the group of its own name.
    let config = good("[program:a]\ncommand=x\n[program:b]\ncommand=x\n[group:a]\nprograms=b\n");
    assert_eq!((config.groups.len(), &config.groups[0].members[..]), (1, &["a".to_owned(), "b".to_owned()][..]));
}

#[test]
fn defaults_are_inherited_and_overruled() {
    let config = good(
        "[DEFAULT]\nstartsecs=7\nenvironment=A=1\n[program:a]\ncommand=x\n[program:b]\ncommand=x\nstartsecs=8\nenvironment=B=2\n",
    );
    let starts: Vec<u64> = config.instances.iter().map(|instance| instance.policy.start_secs.as_secs()).collect();
    assert_eq!(starts, [7, 8]);
    assert_eq!(config.instances[1].launch.env.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(
        (config.positions.line("program:a", "startsecs"), config.positions.line("program:b", "startsecs")),
        (2, 8)
    );
    assert_eq!(config.positions.line("program:b", "user"), 6);
}

/// What holds the number is read for each instance, and only that; the rest is as in the first.
#[test]
fn instances_differ_in_what_holds_their_number() {
    const PER_INSTANCE: [&str; 5] = ["command", "stdout_logfile", "stderr_logfile", "environment", "healthcheck_port"];
    for varying in PER_INSTANCE {
        let value = |option: &'static str| match (option, option == varying) {
            ("environment", true) => "A=%(process_num)s",
            ("environment", false) => "A=1",
            ("healthcheck_port", true) => "80%(process_num)s",
            ("healthcheck_port", false) => "8000",
            (_, true) => "x%(process_num)s",
            (_, false) => option,
        };
        let options: String = PER_INSTANCE.iter().map(|option| format!("{option}={}\n", value(option))).collect();
        let config = good(&format!("[program:w]\nnumprocs=3\nhealthcheck_type=tcp\n{options}"));
        let names: Vec<&str> = config.instances.iter().map(|instance| &*instance.name).collect();
        assert_eq!(names, ["w:00", "w:01", "w:02"]);
        let (first, last) = (&config.instances[0], &config.instances[2]);
        let differs = [
            first.launch.argv != last.launch.argv,
            first.stdout != last.stdout,
            first.stderr != last.stderr,
            first.launch.env != last.launch.env,
            first.probe != last.probe,
        ];
        assert_eq!(differs, PER_INSTANCE.map(|option| option == varying), "{varying}");
    }
}
