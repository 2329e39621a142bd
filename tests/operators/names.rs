//! Several names, patterns, groups and all, and the name that was meant.

use crate::harness::*;
use serde_json::{Value, json};

const CROWD: &str = "\
[program:web]\ncommand = {actor}\nautostart = no\nstartsecs = 0\nnumprocs = 3\n\
[program:db]\ncommand = {actor}\nautostart = no\nstartsecs = 0\n\
[program:broken]\ncommand = sh -c 'exit 7'\nautostart = no\nstartretries = 0\n\
[group:jobs]\nprograms = db, broken\n";

fn states(d: &Daemon) -> Vec<(String, String)> {
    d.rows().into_iter().map(|row| (row.name, row.state)).collect()
}

fn running(d: &Daemon) -> Vec<String> {
    states(d).into_iter().filter(|(_, state)| state == "RUNNING").map(|(name, _)| name).collect()
}

#[test]
fn several_are_one_order_and_each_is_told() {
    let d = Daemon::start(CROWD);
    let started = d.ctl(&["start", "web:00", "db"]);
    assert_eq!((started.code, started.stderr.as_str()), (0, ""));
    assert_eq!(started.stdout, "Started web:00\nStarted db\n");
    assert_eq!(running(&d), ["web:00", "db"]);
    let again = d.ctl(&["start", "web:0?"]);
    assert_eq!(again.stdout, "web:00 is already running\nStarted web:01\nStarted web:02\n");
    let stopped = d.ctl(&["stop", "all"]);
    assert_eq!(stopped.stdout.lines().count(), 5, "{stopped:?}");
    assert!(running(&d).is_empty());
}

#[test]
fn a_pattern_a_group_and_a_name_that_overlap_mean_each_once() {
    let d = Daemon::start(CROWD);
    let reply = d.ask(json!({"command": "start", "names": ["web*", "web:01", "group:web", "db"]}));
    assert_eq!((&reply["status"], &reply["message"]), (&json!("ok"), &json!("Started 4 processes")));
    let told: Vec<&Value> = reply["results"].as_array().unwrap().iter().collect();
    assert_eq!(told[0], &json!({"name": "web:00", "status": "ok", "message": "Started web:00"}));
    let old = d.pid_of("web:02");
    assert_eq!(d.ctl(&["restart", "--force", "web:[!01]*", "web:02"]).code, 1, "web:[!01]* matches nobody");
    let new = d.pid_of("web:02");
    assert!(new != old && !process::alive(old));
    assert_eq!(running(&d), ["web:00", "web:01", "web:02", "db"]);
}

#[test]
fn who_fails_does_not_keep_the_others_back() {
    let d = Daemon::start(CROWD);
    let ran = d.ctl(&["start", "group:jobs", "nobody"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "Started db\n"));
    let expected = "broken failed to start (state: FATAL)\nreason: exited with code 7\nProcess not found: nobody\n";
    assert_eq!(ran.stderr, expected);
    let reply = d.ask(json!({"command": "start", "names": ["broken", "nobody"]}));
    assert_eq!(reply["message"], "Started 0 of 2, but failed for: broken, nobody");
    assert_eq!((&reply["code"], &reply["results"][1]["code"]), (&json!("FAILED"), &json!("NOT_FOUND")));
    let reply = d.ask(json!({"command": "stop", "names": ["x*", "y"]}));
    assert_eq!(reply["code"], "NOT_FOUND");
}

#[test]
fn one_plain_name_goes_as_ever_and_its_answer_has_no_further_key() {
    let d = Daemon::start(CROWD);
    assert_eq!(d.order("start", "db"), json!({"status": "ok", "message": "Started db"}));
    assert_eq!(d.ctl(&["stop", "db"]).stdout, "Stopped db\n");
    assert_eq!(d.refused("start", "web*"), "Process not found", "in \"name\" there are no patterns");
}

#[test]
fn status_of_some() {
    let d = Daemon::start(CROWD);
    let names = |arguments: &[&str]| -> Vec<String> {
        let ran = d.ctl(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.lines().skip(2).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["status", "web:*", "db"]), ["web:00", "web:01", "web:02", "db"]);
    assert_eq!(names(&["status", "group:jobs"]), ["db", "broken"]);
    assert_eq!(names(&["status", "all"]).len(), 5);
}

#[test]
fn who_is_unknown_does_not_hide_the_others() {
    let d = Daemon::start(CROWD);
    d.done("start", "db");
    let told = |line: &str| {
        let ran = d.ctl(&line.split(' ').collect::<Vec<_>>());
        let names = ran.stdout.lines().map(|line| line.split(' ').next().unwrap().to_owned());
        (ran.code, names.collect::<Vec<_>>().join(" "), ran.stderr)
    };
    let near = |text: &str| format!("Process not found: {text}");
    let expected = (1, "NAME ---------------------------------------------------- db web:00 web:02".to_owned());
    let (code, names, stderr) = told("status db bd web:0[02] db web:02 nothing*");
    assert_eq!(((code, names), stderr), (expected, near("bd, nothing*\nDid you mean db?\n")));
    let pid = d.pid_of("db").to_string();
    assert_eq!(told("pid bd db"), (1, pid, near("bd\nDid you mean db?\n")));
    assert_eq!(told("health db nobody-at-all"), (1, "1".to_owned(), near("nobody-at-all\n")));
    assert_eq!(told("-q status --check db nobody-at-all"), (1, String::new(), near("nobody-at-all\n")));
    assert_eq!(told("status nobody-at-all nothing-else"), (1, String::new(), near("nobody-at-all, nothing-else\n")));
    let told = d.ctl(&["status", "db", "nobody-at-all", "--json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&told["code"], &told["unknown"]), (&json!("NOT_FOUND"), &json!(["nobody-at-all"])));
    assert_eq!((&told["processes"][0]["name"], &told["processes"][1]), (&json!("db"), &Value::Null));
    let one = d.ctl(&["status", "bd"]);
    let expected = "Process not found\nreason: nobody is called bd\nDid you mean db?\n";
    assert_eq!((one.code, one.stderr.as_str()), (1, expected));
}

#[test]
fn the_name_that_was_meant_is_the_second_line() {
    let d = Daemon::start(CROWD);
    for (asked, meant) in [("brokne", "broken"), ("web", "web:*"), ("web:03", "web:00"), ("DB", "db")] {
        let expected = format!("Process not found\nDid you mean {meant}?\n");
        assert_eq!(d.ctl(&["start", asked]).stderr, expected);
    }
    assert_eq!(d.ctl(&["start", "something-else"]).stderr, "Process not found\n");
}

#[test]
fn the_name_that_was_meant_is_told_whatever_is_asked() {
    let d = Daemon::start(CROWD);
    for (line, meant) in [
        ("startgroup jbos", "jobs"),
        ("stopgroup job", "jobs"),
        ("start group:jbos", "group:jobs"),
        ("stop jobs", "group:jobs"),
        ("status group:jbos", "group:jobs"),
        ("tail bd", "db"),
        ("tail -f bd", "db"),
        ("tail group:jbos", "group:jobs"),
        ("clearlog bd", "db"),
        ("rotate wbe", "web:*"),
        ("signal HUP bd", "db"),
        ("wait bd=running", "db"),
        ("wait group:jbos=running", "group:jobs"),
        ("pid bd", "db"),
        ("health bd", "db"),
        ("why bd", "db"),
        ("describe bd", "db"),
        ("top bd", "db"),
        ("update bd", "db"),
        ("restart bd wbe:00", "db, web:00"),
    ] {
        let ran = d.ctl(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
        assert_eq!(ran.stderr.lines().last(), Some(format!("Did you mean {meant}?").as_str()), "{line}: {ran:?}");
    }
    let several = d.ctl(&["tail", "bd", "nobody-at-all"]);
    let told = "Process not found: bd\nDid you mean db?\nProcess not found: nobody-at-all\n";
    assert_eq!((several.code, several.stderr.as_str()), (1, told));
}

#[test]
fn patterns_in_one_request_are_bounded() {
    let d = Daemon::start(CROWD);
    let names = |count: usize| vec!["*b"; count];
    assert_eq!(d.ask(json!({"command": "status", "names": names(64)}))["processes"][0]["name"], "db");
    let reply = d.ask(json!({"command": "stop", "names": names(65)}));
    assert_eq!((&reply["code"], &reply["status"]), (&json!("INVALID_REQUEST"), &json!("error")));
    // Each byte of a pattern is held against each name.
    let long = |bytes: usize| format!("{}*b", "*".repeat(bytes - 2));
    assert_eq!(d.ask(json!({"command": "status", "names": [long(1024)]}))["processes"][0]["name"], "db");
    for request in [
        json!({"command": "status", "names": [long(1025)]}),
        json!({"command": "stop", "names": [long(1025)]}),
        json!({"command": "wait", "conditions": [format!("{}=stopped", long(1025))]}),
    ] {
        let reply = d.ask(request);
        assert_eq!(reply["code"], "INVALID_REQUEST", "{reply}");
        assert!(reply["message"].as_str().unwrap().contains("at most 1024 bytes"), "{reply}");
    }
}

#[test]
fn help_explains_a_command() {
    let home = Home::new();
    let ctl = |arguments: &[&str]| run(home.command(supervicectl()).args(arguments), DEADLINE);
    let ran = ctl(&["help", "restart"]);
    assert!(ran.code == 0 && ran.stdout.contains("examples:") && ran.stdout.contains("--force"), "{ran:?}");
    assert_eq!(ctl(&["help"]).stdout, ctl(&["--help"]).stdout);
    let ran = ctl(&["help", "restrat"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Did you mean restart?"), "{ran:?}");
}

#[test]
fn an_order_that_is_overtaken_tells_of_unknown_names_as_well() {
    let d = Daemon::start("[program:web]\ncommand = {actor}\nstartsecs = 3600\nautostart = no\n");
    let mut start = d.begin(json!({"command": "start", "names": ["web", "nosuch"]}));
    d.wait_state("web", "STARTING");
    d.done("stop", "web");
    let reply = start.receive().unwrap();
    let told = |number: usize| (reply["results"][number]["name"].as_str(), reply["results"][number]["code"].as_str());
    assert_eq!(told(0), (Some("web"), Some("SUPERSEDED")), "{reply}");
    assert_eq!(told(1), (Some("nosuch"), Some("NOT_FOUND")), "{reply}");
}
