//! Answers for programs and for terminals, and the exit status that a probe looks at.

use crate::harness::*;
use serde_json::{Value, json};

const PAIR: &str = "\
[program:up]\ncommand = {actor}\nstartsecs = 0\nstdout_logfile = {dir}/up.log\n\
[program:down]\ncommand = {actor}\nautostart = no\nstartsecs = 0\n";

fn object(ran: &Ran) -> Value {
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, ""), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn json_is_the_answer_of_the_daemon_on_one_line() {
    let d = Daemon::start(PAIR);
    d.wait_state("up", "RUNNING");
    let told = object(&d.ctl(&["status", "--json"]));
    assert_eq!(told["processes"][0]["pid"], d.pid_of("up"));
    assert_eq!(told["processes"][1], json!({"name": "down", "state": "STOPPED", "pid": null}));
    assert_eq!(object(&d.ctl(&["--json", "start", "down"])), json!({"status": "ok", "message": "Started down"}));
    let both = object(&d.ctl(&["stop", "all", "--json"]));
    assert_eq!(both["results"].as_array().unwrap().len(), 2);
    let missing = d.ctl(&["start", "nobody", "--json"]);
    assert_eq!((missing.code, object(&missing)["code"].as_str()), (1, Some("NOT_FOUND")));
    assert_eq!(object(&d.ctl(&["reload", "--json"]))["added"], json!([]));
    let piece = object(&d.ctl(&["tail", "up", "--json"]));
    assert_eq!((&piece["name"], &piece["data"]), (&json!("up"), &json!("")));
}

#[test]
fn json_also_tells_that_nobody_answers() {
    let home = Home::new();
    let mut command = home.command(supervicectl());
    let ran = run(command.arg("-s").arg(home.socket()).args(["status", "--json"]), DEADLINE);
    assert_eq!((ran.code, object(&ran)["code"].as_str()), (1, Some("NOT_RUNNING")));
}

/// Every command that ends by itself, done and undone.
#[test]
fn json_is_one_object_whatever_is_asked() {
    let d = Daemon::start(PAIR);
    d.wait_state("up", "RUNNING");
    let told = |line: &str, code: i32| {
        let ran = d.ctl(&line.split(' ').chain(["--json"]).collect::<Vec<_>>());
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        let told = object(&ran);
        let expected = if matches!(code, 0 | 10) { "ok" } else { "error" };
        assert_eq!(told["status"], expected, "{line}: {told}");
        told
    };
    for line in ["status", "start up", "stop down", "restart up", "wait up=running", "signal CONT up", "why up"] {
        told(line, 0);
    }
    for line in ["describe up", "pid", "info", "metrics", "startgroup up", "stopgroup down"] {
        told(line, 0);
    }
    for line in ["reload", "reload --dry-run", "update", "clearlog up", "rotate up", "reopen", "pid up"] {
        told(line, 0);
    }
    for (line, words) in [
        ("help", "usage: "),
        ("help stop", "usage: "),
        ("--help", "usage: "),
        ("--man", ".TH "),
        ("completion bash", "complete"),
    ] {
        assert!(told(line, 0)["text"].as_str().unwrap().contains(words), "{line}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(told("--version", 0), json!({"status": "ok", "supervicectl": version}));
    let both = told("version", 0);
    assert_eq!((&both["supervicectl"], &both["info"]["version"]), (&json!(version), &json!(version)));
    for (line, why) in [
        ("explode", "unknown command: explode"),
        ("start", "start needs a name"),
        ("help restrat", "unknown command: restrat (did you mean restart?)"),
        ("--timeout x status", "--timeout: "),
        ("completion csh", "csh"),
        ("status --nonsense", "unknown option: --nonsense"),
    ] {
        let told = told(line, 2);
        assert!(told["code"] == "USAGE" && told["message"].as_str().unwrap().contains(why), "{line}: {told}");
    }
    assert_eq!(object(&d.ctl(&["--json"]))["code"], "USAGE");
    let told = told("tail nobody", 1);
    assert_eq!((&told["name"], &told["code"]), (&json!("nobody"), &json!("NOT_FOUND")));
    let after_dashes = d.ctl(&["start", "--", "--json"]);
    assert_eq!((after_dashes.code, after_dashes.stdout.as_str()), (1, ""));
}

#[test]
fn the_own_version_is_told_without_a_daemon() {
    let home = Home::new();
    let version = env!("CARGO_PKG_VERSION");
    let ctl = |arguments: &[&str]| run(home.command(supervicectl()).args(["-s", "none"]).args(arguments), DEADLINE);
    let ran = ctl(&["version"]);
    assert_eq!((ran.code, ran.stdout), (1, format!("supervicectl {version}\n")));
    assert_eq!(ran.stderr, "Supervice is not running (socket not found)\n");
    let told = object(&ctl(&["version", "--json"]));
    assert_eq!((&told["supervicectl"], &told["code"]), (&json!(version), &json!("NOT_RUNNING")));
}

#[test]
fn check_and_health_end_as_a_probe_wants_it() {
    let d = Daemon::start(PAIR);
    d.wait_state("up", "RUNNING");
    let ran = d.ctl(&["status", "--check"]);
    assert!(ran.code == 1 && ran.stdout.contains("down") && ran.stderr.is_empty(), "{ran:?}");
    assert_eq!(d.ctl(&["status", "--check", "up"]).code, 0);
    let ran = d.ctl(&["health"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "down is STOPPED\n"));
    let ran = d.ctl(&["health", "up"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 process is well\n"));
    assert_eq!(d.ctl(&["health", "--json"]).code, 1);
    let ran = d.ctl(&["-q", "health"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", "down is STOPPED\n"));
    d.done("start", "down");
    assert_eq!(d.ctl(&["health"]).stdout, "2 processes are well\n");
}

#[test]
fn quiet_keeps_what_went_wrong() {
    let d = Daemon::start(PAIR);
    d.wait_state("up", "RUNNING");
    let ran = d.ctl(&["-q", "stop", "up", "down"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let ran = d.ctl(&["start", "nobody-of-this-name", "--quiet"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "Process not found\n"));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let d = Daemon::start(PAIR);
    d.wait_state("up", "RUNNING");
    assert!(!d.ctl(&["status"]).stdout.contains('\x1b'));
    let painted = d.ctl(&["status", "--color=always"]).stdout;
    assert!(painted.contains("\x1b[32mRUNNING   \x1b[0m"), "{painted:?}");
    let on_terminal = |options: &str, no_colour: &str, kind: &str| {
        let line = format!("{} -s {} status {options}", supervicectl().display(), d.home.socket().display());
        let mut command = d.home.command("script");
        let ran =
            run(command.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", no_colour).env("TERM", kind), DEADLINE);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    if run(d.home.command("sh").args(["-c", "command -v script"]), DEADLINE).code != 0 {
        return skip("colour on a terminal", "no script(1) here");
    }
    assert!(on_terminal("", "", "xterm").contains("\x1b[32m"));
    assert!(!on_terminal("", "1", "xterm").contains('\x1b'));
    assert!(!on_terminal("--color=never", "", "xterm").contains('\x1b'));
    assert!(!on_terminal("", "", "dumb").contains('\x1b'));
    assert!(on_terminal("--color=always", "", "dumb").contains("\x1b[32m"));
}
