//! What another configuration changes is told by the names of its options: each by its own, and none is forgotten.

use crate::specs::good;
use supervice::config::differences;
use supervice::config::options::{OptionRow, Section, of};

const TCP: &str = "healthcheck_type = tcp\nhealthcheck_port = 1\n";
const HTTP: &str = "healthcheck_type = http\nhealthcheck_port = 1\n";
const SCRIPT: &str = "healthcheck_type = script\nhealthcheck_command = a\n";

/// For each option what stands in the file beside it, and a value that is not its default.
#[rustfmt::skip]
const PROGRAM: &[(&str, &str, &str)] = &[
    ("command", "", "other"),
    ("autostart", "", "no"),
    ("autorestart", "", "unexpected"),
    ("exitcodes", "autorestart = unexpected\n", "0,2"),
    ("startsecs", "", "7"),
    ("ready", TCP, "healthcheck"),
    ("ready_timeout", "", "7"),
    ("watchdog_sec", "", "7"),
    ("startretries", "", "7"),
    ("stopsignal", "", "INT"),
    ("stopwaitsecs", "", "7"),
    ("allow_leftover", "", "yes"),
    ("on_exit", "", "shutdown"),
    ("on_fatal", "", "shutdown"),
    ("stdout_logfile", "", "/tmp/x"),
    ("stdout_logfile_maxbytes", "", "7"),
    ("stdout_logfile_backups", "", "7"),
    ("stdout_logfile_compress", "", "yes"),
    ("stderr_logfile", "", "/tmp/x"),
    ("stderr_logfile_maxbytes", "", "7"),
    ("stderr_logfile_backups", "", "7"),
    ("stderr_logfile_compress", "", "yes"),
    ("log_format", "", "json"),
    ("redirect_stderr", "", "yes"),
    ("environment", "", "A=b"),
    ("env_file", "", "/tmp/x"),
    ("clean_env", "", "yes"),
    ("directory", "", "/tmp"),
    ("user", "", "nobody"),
    ("umask", "", "077"),
    ("no_new_privs", "", "yes"),
    ("pdeathsig", "", "no"),
    ("reconcile", "", "off"),
    ("healthcheck_type", "healthcheck_port = 1\n", "tcp"),
    ("healthcheck_interval", TCP, "7"),
    ("healthcheck_timeout", TCP, "7"),
    ("healthcheck_retries", TCP, "7"),
    ("healthcheck_start_period", TCP, "7"),
    ("healthcheck_host", TCP, "localhost"),
    ("healthcheck_port", "healthcheck_type = http\nhealthcheck_url = http://a:7/\n", "8"),
    ("healthcheck_command", "", "b"),
    ("healthcheck_path", HTTP, "/x"),
    ("healthcheck_status", HTTP, "204"),
];

fn names(options: Vec<&'static OptionRow>) -> Vec<&'static str> {
    options.into_iter().map(|option| option.name).collect()
}

fn between(old: &str, new: &str) -> Vec<&'static str> {
    let spec = |text: &str| good(&format!("[program:x]\n{text}")).instances.remove(0);
    let (old, new) = (spec(old), spec(new));
    let told = names(differences::of_instance(&old, &new));
    assert_eq!(told.is_empty(), old == new, "{old:?} {new:?}");
    told
}

#[test]
fn each_option_of_a_program_is_told_by_its_name() {
    for &(option, beside, value) in PROGRAM {
        let told = match option {
            "command" => between("command = a\n", "command = other\n"),
            "healthcheck_command" => {
                between(&format!("command = a\n{SCRIPT}"), &format!("command = a\n{}", SCRIPT.replace("= a", "= b")))
            }
            "healthcheck_port" => {
                between(&format!("command = a\n{TCP}"), &format!("command = a\n{TCP}").replace("= 1", "= 8"))
            }
            _ => between(&format!("command = a\n{beside}"), &format!("command = a\n{beside}{option} = {value}\n")),
        };
        assert_eq!(told, [option]);
    }
    let known = |name: &str| PROGRAM.iter().any(|(option, ..)| *option == name);
    // These two show in other ways: as processes that come and go, and as what they stand for.
    let others = ["numprocs", "healthcheck_url"];
    for option in of(Section::Program).filter(|option| !others.contains(&option.name)) {
        assert!(known(option.name), "{} is not held against its difference", option.name);
    }
}

#[test]
fn a_url_is_told_as_what_it_stands_for() {
    let http = |url: &str| format!("command = a\nhealthcheck_type = http\nhealthcheck_url = {url}\n");
    let told = between(&http("http://a:1/x"), &http("http://b:2/y"));
    assert_eq!(told, ["healthcheck_host", "healthcheck_port", "healthcheck_path"]);
}

#[test]
fn where_nothing_differs_nothing_is_told() {
    let text = format!("command = a\nenvironment = A=b\nredirect_stderr = yes\n{HTTP}");
    assert!(between(&text, &text).is_empty());
}

#[test]
fn each_option_of_the_daemon_is_told_by_its_name() {
    let values = [
        ("logfile", "/tmp/x"),
        ("loglevel", "DEBUG"),
        ("log_maxbytes", "7"),
        ("log_backups", "7"),
        ("pidfile", "none"),
        ("socket", "/tmp/x"),
        ("socket_mode", "660"),
        ("socket_group", "users"),
        ("socket_users", "root"),
        ("shutdown_timeout", "7"),
        ("state_file", "/tmp/x"),
    ];
    for (option, value) in values {
        // What a pidfile is called and who may connect decide about the defaults of others.
        let beside = "[supervice]\nsocket_mode = 600\nstate_file = /tmp/y\n";
        let beside = if matches!(option, "socket_mode" | "state_file") { "[supervice]\n" } else { beside };
        let told = differences::of_daemon(&good(beside).daemon, &good(&format!("{beside}{option} = {value}\n")).daemon);
        assert_eq!(names(told), [option]);
    }
    assert_eq!(values.len(), of(Section::Supervice).count());
}
