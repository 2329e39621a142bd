//! A reload in the hands of an operator: what it would do, what it did at once, and what it leaves for the next start.

use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const BEFORE: &str = "\
[program:live]\ncommand = {actor}\nstartsecs = 0\n\
[program:both]\ncommand = {actor}\nstartsecs = 0\n\
[program:next]\ncommand = {actor}\nstartsecs = 0\n\
[program:down]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n\
[program:same]\ncommand = {actor}\nstartsecs = 0\n\
[program:gone]\ncommand = {actor}\nstartsecs = 0\n";

const AFTER: &str = "\
[program:live]\ncommand = {actor}\nstartsecs = 0\nstopsignal = INT\nstartretries = 7\n\
[program:both]\ncommand = {actor}\nstartsecs = 0\nstopwaitsecs = 7\nenvironment = A=b\n\
[program:next]\ncommand = {actor} --ignore HUP\nstartsecs = 0\n\
[program:down]\ncommand = {actor} --ignore HUP\nstartsecs = 0\nautostart = no\n\
[program:same]\ncommand = {actor}\nstartsecs = 0\n\
[program:fresh]\ncommand = {actor}\nstartsecs = 0\n\
[group:pair]\nprograms = live, same\n";

fn begun() -> Daemon {
    let d = Daemon::start(BEFORE);
    for name in ["live", "both", "next", "same", "gone"] {
        d.wait_state(name, "RUNNING");
    }
    d
}

fn pids(d: &Daemon) -> Vec<(String, Option<i32>)> {
    d.rows().into_iter().map(|row| (row.name, row.pid)).collect()
}

#[test]
fn a_dry_run_tells_of_each_process_and_option_and_changes_nothing() {
    let d = begun();
    let ran = d.ctl(&["reload", "--dry-run"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "No changes detected\n"), "{ran:?}");
    let (before, log) = (pids(&d), d.log().lines().count());
    d.home.configure(AFTER);
    let ran = d.ctl(&["reload", "--dry-run"]);
    let expected = "fresh: added\ngone: removed\nlive: moved to another group\nsame: moved to another group\n\
                    both: stopwaitsecs applies now\nboth: environment applies at the next start\n\
                    down: command applies at the next start\n\
                    live: startretries applies now\nlive: stopsignal applies now\n\
                    next: command applies at the next start\n";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (10, expected, ""));
    assert_eq!(pids(&d), before);
    assert_eq!(d.log().lines().count(), log, "nothing happened that a log would tell of\n{}", d.log());
    let told = d.ctl(&["reload", "--dry-run", "--json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&told["dry_run"], &told["added"], &told["removed"]),
        (&json!(true), &json!(["fresh"]), &json!(["gone"]))
    );
    assert_eq!(told["effects"][2], json!({"name": "live", "now": ["startretries", "stopsignal"], "next_start": []}));
    assert_eq!(d.reload()["changed"], told["changed"], "it does what it said");
    assert_eq!(d.ctl(&["reload", "--dry-run"]).code, 0);
}

#[test]
fn a_dry_run_of_a_bad_file_lists_what_is_wrong() {
    let d = begun();
    d.home.write("c.conf", "[supervice]\nwhat\n");
    let ran = d.ctl(&["reload", "--dry-run"]);
    assert!(ran.code == 1 && ran.stdout.is_empty() && ran.stderr.contains("c.conf:2:"), "{ran:?}");
    assert_eq!(d.log_count("Reload refused"), 0);
}

#[test]
fn a_dry_run_tells_of_the_daemon_as_well() {
    let d = begun();
    let text =
        d.home.read("c.conf").replace("[supervice]\n", "[supervice]\nshutdown_timeout = 7\nstate_file = other\n");
    d.home.write("c.conf", &text);
    let ran = d.ctl(&["reload", "--dry-run"]);
    let expected = "[supervice]: shutdown_timeout applies now\n\
                    [supervice]: state_file applies when the daemon is started anew\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (10, expected), "{text}");
}

#[test]
fn a_reload_says_what_is_in_force_and_what_waits() {
    let d = begun();
    d.home.configure(AFTER);
    let reply = d.reload();
    assert_eq!(reply["changed"], json!(["both", "down", "live", "next"]));
    assert_eq!(reply["effects"][0], json!({"name": "both", "now": ["stopwaitsecs"], "next_start": ["environment"]}));
    assert_eq!(reply["effects"].as_array().unwrap().len(), 2, "of the others the list says it all: {reply}");
    assert_eq!(reply["regrouped"], json!(["live", "same"]));
    assert!(["dry_run", "results", "daemon"].iter().all(|key| reply.get(key).is_none()), "{reply}");
    assert_eq!(d.reload(), json!({"status": "ok", "added": [], "removed": [], "changed": []}));
    d.done("stop", "live");
    let reply = d.ask(json!({"command": "why", "name": "live"}));
    let records = reply["history"].to_string();
    assert!(records.contains("its configuration changed, asked by uid"), "{records}");
    assert!(records.contains("): startretries, stopsignal at once"), "{records}");
    assert!(records.contains("killed by SIGINT"), "the new signal ended the old run: {records}");
}

#[test]
fn the_history_says_who_asked_for_the_reload_also_when_he_left_or_is_a_signal() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    let changed = |seconds: u32| {
        d.home.configure(&format!("[program:a]\ncommand = {{actor}}\nstartsecs = 0\nstopwaitsecs = {seconds}\n"));
    };
    let records = || d.ask(json!({"command": "why", "name": "a"}))["history"].to_string();
    let (uid, pid) = (nix::unistd::geteuid(), std::process::id());
    changed(5);
    drop(d.begin(json!({"command": "reload"})));
    let expected = format!("its configuration changed, asked by uid {uid} (pid {pid}): stopwaitsecs at once");
    d.wait("the reload is told of", || records().contains(&expected).then_some(()));
    changed(6);
    d.signal(nix::sys::signal::Signal::SIGHUP);
    let expected = "its configuration changed, asked by SIGHUP: stopwaitsecs at once";
    d.wait("the reload is told of", || records().contains(expected).then_some(()));
    assert_eq!((d.log_count(&format!("asked by uid {uid}")), d.log_count("asked by SIGHUP")), (1, 1), "{}", d.log());
}

#[test]
fn a_reload_tells_of_the_daemon_and_of_groups_where_nothing_else_changed() {
    let d = begun();
    let none = json!([]);
    let before = d.home.read("c.conf");
    d.home.write("c.conf", before.replace("[supervice]\n", "[supervice]\nshutdown_timeout = 7\nstate_file = other\n"));
    let expected = json!({"status": "ok", "added": none, "removed": none, "changed": none,
        "daemon": {"now": ["shutdown_timeout"], "next_start": ["state_file"]}});
    assert_eq!(d.reload(), expected);
    d.home.write("c.conf", before.replace("[supervice]\n", "[supervice]\nshutdown_timeout = 8\n"));
    let ran = d.ctl(&["reload"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[supervice]: shutdown_timeout applied\n"), "{ran:?}");
    d.home.write("c.conf", before.clone() + "[group:pair]\nprograms = live, same\n");
    let ran = d.ctl(&["reload"]);
    let expected = "Moved to another group: live, same\n[supervice]: shutdown_timeout applied\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, expected), "{ran:?}");
    assert_eq!(d.ctl(&["reload"]).stdout, "No changes detected\n");
}

#[test]
fn a_process_that_lives_heeds_what_decides_about_its_end() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\n[program:b]\ncommand = {actor}\nstartsecs = 0\nautorestart = unexpected\n",
    );
    d.wait_all("RUNNING");
    d.home.configure(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\nautorestart = no\n\
         [program:b]\ncommand = {actor}\nstartsecs = 0\nautorestart = no\nexitcodes = 0\n",
    );
    let reply = d.reload();
    assert_eq!(reply["effects"][0], json!({"name": "a", "now": ["autorestart"], "next_start": []}));
    for name in ["a", "b"] {
        process::kill(d.pid_of(name));
        d.wait_state(name, "EXITED");
    }
}

#[test]
fn an_update_restarts_what_changed_and_lives_and_nothing_else() {
    let d = begun();
    let before = pids(&d);
    let old = |name: &str| before.iter().find(|(other, _)| other == name).unwrap().1;
    d.home.configure(AFTER);
    let ran = d.ctl(&["update"]);
    let expected = "Added: fresh\nRemoved: gone\nChanged (restart to apply): both, down, next\nChanged (applied): live\n\
                    Moved to another group: live, same\nboth: stopwaitsecs applied, environment at the next start\n\
                    Restarted both\nRestarted next\n";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, expected, ""));
    for name in ["both", "next"] {
        assert_ne!(d.row(name).pid, old(name), "{name} runs anew");
    }
    for name in ["live", "same", "down"] {
        assert_eq!(d.row(name).pid, old(name), "{name} is left alone");
    }
    assert_eq!(process::given(d.pid_of("both"), "A"), "b");
    let again = d.ctl(&["reload", "--restart", "--json"]);
    let told: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&told["results"], &told["message"]), (&json!([]), &json!("Nothing had to be restarted")));
    assert!(d.ask(json!({"command": "why", "name": "next"}))["history"].to_string().contains("update, asked by uid"));
}

#[test]
fn an_update_of_some_takes_on_all_and_restarts_only_these() {
    let d = begun();
    let (both, next) = (d.pid_of("both"), d.pid_of("next"));
    d.home.configure(AFTER);
    let ran = d.ctl(&["update", "n*", "nobody"]);
    assert!(ran.code == 1 && ran.stdout.ends_with("\nRestarted next\n"), "{ran:?}");
    assert_eq!(ran.stderr, "Restarted 1 of 2, but failed for: nobody\nProcess not found: nobody\n");
    assert_eq!(d.pid_of("both"), both);
    assert_ne!(d.pid_of("next"), next);
    d.wait_state("fresh", "RUNNING");
}

#[test]
fn an_update_brings_up_what_was_given_up() {
    let d = Daemon::start("[program:a]\ncommand = sh -c 'exit 7'\nautostart = no\nstartretries = 0\n");
    d.order("start", "a");
    d.wait_state("a", "FATAL");
    d.home.configure("[program:a]\ncommand = sh -c 'exit 8'\nautostart = no\nstartretries = 0\n");
    let ran = d.ctl(&["update"]);
    assert!(
        ran.code == 1 && ran.stderr.contains("a failed to start (state: FATAL)\nreason: exited with code 8\n"),
        "{ran:?}"
    );
    d.home.configure("[program:a]\ncommand = {actor}\nautostart = no\nstartretries = 0\nstartsecs = 0\n");
    assert_eq!(d.ctl(&["update"]).code, 0);
    assert_eq!(d.state("a"), "RUNNING");
}

#[test]
fn an_update_to_a_bad_file_changes_and_restarts_nothing() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    let before = pids(&d);
    d.home.write("c.conf", "nonsense\n");
    let reply = d.ask(json!({"command": "update"}));
    assert_eq!((&reply["code"], reply.get("added")), (&json!("FAILED"), None), "nothing changed at all: {reply}");
    assert_eq!(pids(&d), before);
}

#[test]
fn what_excludes_each_other_is_wrong_usage() {
    let home = Home::new();
    for arguments in [&["reload", "--dry-run", "--restart"][..], &["update", "--dry-run"], &["reload", "web"]] {
        let ran = run(home.command(supervicectl()).args(arguments), DEADLINE);
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

const STUBBORN: &str =
    "[program:slow]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 3600\n";

/// A reload is under way, and stays so until the process is killed whose pid comes with it.
fn held(d: &Daemon, text: &str) -> (Client, i32) {
    d.wait_file("t");
    let slow = d.pid_of("slow");
    d.home.configure(text);
    let reload = d.begin(json!({"command": "reload"}));
    d.wait_state("slow", "STOPPING");
    (reload, slow)
}

#[test]
fn a_dry_run_does_away_with_no_reload_that_waits() {
    let one = "[program:a]\ncommand = {actor}\nstartsecs = 0\n";
    let d = Daemon::start(&format!("{one}{STUBBORN}"));
    let (mut first, slow) = held(&d, one);
    d.home.configure(&format!("{one}[program:late]\ncommand = {{actor}}\nstartsecs = 0\n"));
    d.signal(Signal::SIGHUP);
    // One turn later it is heard.
    d.rows();
    let mut dry = d.begin(json!({"command": "dryreload"}));
    d.rows();
    process::kill(slow);
    assert_eq!(first.receive().unwrap()["removed"], json!(["slow"]));
    let told = dry.receive().unwrap();
    assert_eq!((&told["dry_run"], &told["added"]), (&json!(true), &json!([])), "it was done before: {told}");
    d.wait_state("late", "RUNNING");
}

#[test]
fn an_update_that_nobody_waits_for_restarts_what_it_was_to_restart() {
    let one = |words: &str| format!("[program:a]\ncommand = {{actor}} --say {words}\nstartsecs = 0\n");
    let d = Daemon::start(&format!("{}{STUBBORN}", one("old")));
    d.wait_state("a", "RUNNING");
    let old = d.pid_of("a");
    let (mut first, slow) = held(&d, &one("new"));
    drop(d.begin(json!({"command": "update"})));
    d.wait("it has left", || (d.ask(json!({"command": "info"}))["info"]["connections"] == 2).then_some(()));
    let mut later = d.begin(json!({"command": "reload"}));
    d.rows();
    process::kill(slow);
    assert_eq!(first.receive().unwrap()["changed"], json!(["a"]));
    assert_eq!(later.receive().unwrap()["status"], "ok");
    d.wait_new_run("a", old);
}

#[test]
fn the_queue_of_reloads_is_bounded_and_a_signal_always_finds_a_place() {
    let one = "[program:a]\ncommand = {actor}\nstartsecs = 0\n";
    let d = Daemon::start(&format!("{one}{STUBBORN}"));
    let (mut first, slow) = held(&d, one);
    for number in 0..300 {
        drop(d.begin(json!({"command": "update", "names": [format!("nobody{number}")]})));
    }
    let reply = d.ask(json!({"command": "update", "names": ["another"]}));
    assert_eq!(reply["code"], "FAILED", "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("wait already"), "{reply}");
    d.home.configure(&format!("{one}[program:late]\ncommand = {{actor}}\nstartsecs = 0\n"));
    d.signal(Signal::SIGHUP);
    process::kill(slow);
    assert_eq!(first.receive().unwrap()["removed"], json!(["slow"]));
    d.wait_state("late", "RUNNING");
    d.wait("all are over", || (d.reload()["status"] == "ok").then_some(()));
    d.assert_well();
}
