//! The seven commands over the socket: what settles when, and in which words.

use crate::harness::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn codes(reply: &Value) -> (&str, &str) {
    (reply["status"].as_str().unwrap_or(""), reply["code"].as_str().unwrap_or(""))
}

#[test]
fn status_is_in_config_order_with_the_agreed_fields() {
    let d = Daemon::start(
        "[program:zebra]\ncommand = {actor}\nstartsecs = 0\n[program:ant]\ncommand = {actor}\nautostart = no\nnumprocs = 2\n",
    );
    d.wait_state("zebra", "RUNNING");
    let rows = d.rows();
    let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["zebra", "ant:00", "ant:01"]);
    let keys = |raw: &Value| raw.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&rows[0].raw), ["name", "pid", "state", "uptime"]);
    assert_eq!(keys(&rows[1].raw), ["name", "pid", "state"]);
    assert!(rows[0].raw["uptime"].is_u64() && rows[1].raw["pid"].is_null());
}

#[test]
fn status_can_be_narrowed() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nautostart = no\nnumprocs = 10\n");
    let names = |request: Value| -> Vec<String> {
        let reply = d.ask(request);
        let rows = reply["processes"].as_array().unwrap_or_else(|| panic!("{reply}"));
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(json!({"command": "status", "names": ["a:07", "a:02"]})).len(), 2);
    assert_eq!(names(json!({"command": "status", "offset": 8})), ["a:08", "a:09"]);
    assert_eq!(names(json!({"command": "status", "offset": 2, "limit": 2})), ["a:02", "a:03"]);
    assert_eq!(names(json!({"command": "status", "verbose": true})).len(), 10);
    assert!(names(json!({"command": "status", "offset": 10})).is_empty());
}

#[test]
fn a_status_that_is_sent_again_is_never_an_old_one() {
    let text = |last: &str| {
        format!(
            "[program:a]\ncommand = {{actor}}\nstartsecs = 0\n[program:{last}]\ncommand = {{actor}}\nautostart = no\n"
        )
    };
    let d = Daemon::start(&text("b"));
    d.wait_state("a", "RUNNING");
    let whole = || d.ask(json!({"command": "status"}))["processes"].clone();
    // A page is written anew each time.
    let page = || d.ask(json!({"command": "status", "limit": 9}))["processes"].clone();
    let field = |rows: Value, key: &str| rows[0][key].clone();
    for _ in 0..3 {
        let before = field(whole(), "pid");
        d.done("stop", "a");
        assert_eq!((field(whole(), "state"), field(whole(), "pid")), (json!("STOPPED"), Value::Null));
        d.done("start", "a");
        assert_eq!(field(whole(), "state"), "RUNNING");
        assert_ne!(field(whole(), "pid"), before);
    }
    for seconds in 1..=2 {
        d.wait("time passes", || (field(whole(), "uptime").as_u64()? >= seconds).then_some(()));
        d.wait("both agree", || (whole() == page()).then_some(()));
    }
    d.home.configure(&text("c"));
    assert_eq!(d.reload()["status"], "ok");
    let names = |rows: Value| rows.as_array().unwrap().iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(whole()), ["a", "c"]);
}

#[test]
fn start_waits_along_and_says_when_it_runs_already() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 1\nautostart = no\n");
    let mut orders: Vec<_> = (0..3).map(|_| d.begin(json!({"command": "start", "name": "a"}))).collect();
    for order in &mut orders {
        assert_eq!(order.receive().unwrap(), json!({"status": "ok", "message": "Started a"}));
    }
    assert_eq!(d.done("start", "a"), "a is already running");
}

#[test]
fn start_is_answered_at_the_first_failed_attempt() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'exit 9'\nautostart = no\n[program:gone]\ncommand = {dir}/gone\nautostart = no\n",
    );
    let reply = d.order("start", "a");
    assert_eq!(codes(&reply), ("error", "FAILED"), "{reply}");
    assert_eq!(reply["message"], "a did not reach RUNNING (state: BACKOFF)");
    assert!(reply["reason"].as_str().unwrap().contains("code 9"), "{reply}");
    let reply = d.order("start", "gone");
    assert!(reply["reason"].as_str().unwrap().contains("gone"), "{reply}");
    assert!(reply["reason"].as_str().unwrap().contains("ENOENT"), "{reply}");
}

#[test]
fn restart_settles_like_start_and_takes_the_new_config() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/old\nstartsecs = 0\n");
    d.wait_file("old");
    let old = d.pid_of("a");
    d.home.configure("[program:a]\ncommand = {actor} --touch {dir}/new\nstartsecs = 0\n");
    assert_eq!(d.reload()["changed"], json!(["a"]));
    assert_eq!(d.pid_of("a"), old, "a change waits for the next start");
    assert_eq!(d.done("restart", "a"), "Restarted a");
    assert!(!process::alive(old));
    assert_ne!(d.pid_of("a"), old);
    d.wait_file("new");
    d.done("stop", "a");
    assert_eq!(d.done("restart", "a"), "Restarted a", "also when it was down");
}

#[test]
fn restart_by_force_kills_first() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 60\n",
    );
    d.wait_file("t");
    let begun = Instant::now();
    let reply = d.ask(json!({"command": "restart", "name": "a", "force": true}));
    assert_eq!(reply["message"], "Restarted a", "{reply}");
    assert!(begun.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_failed_restart_says_so() {
    let d = Daemon::start("[program:a]\ncommand = sh -c 'test ! -e {dir}/bad && exec {actor}'\n");
    d.wait_state("a", "RUNNING");
    d.home.write("bad", "");
    assert_eq!(d.refused("restart", "a"), "a did not reach RUNNING (state: BACKOFF)");
}

#[test]
fn groups_go_all_at_once() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nautostart = no\nstartsecs = 3\nnumprocs = 3\n\
         [program:b]\ncommand = {actor}\nautostart = no\nstartsecs = 3\n[group:g]\nprograms = a, b\n",
    );
    let begun = Instant::now();
    assert_eq!(d.done("startgroup", "g"), "Started group g");
    assert!(begun.elapsed() < Duration::from_secs(12), "one after the other: {:?}", begun.elapsed());
    d.wait_all("RUNNING");
    assert_eq!(d.done("startgroup", "g"), "Started group g", "also when it was up");
    assert_eq!(d.done("stopgroup", "g"), "Stopped group g");
    d.wait_all("STOPPED");
}

#[test]
fn groups_name_the_members_that_failed() {
    let d = Daemon::start(
        "[program:good]\ncommand = {actor}\nautostart = no\nstartsecs = 0\n\
         [program:bad]\ncommand = sh -c 'exit 1'\nautostart = no\n\
         [program:worse]\ncommand = {dir}/nothing\nautostart = no\n[group:g]\nprograms = bad, good, worse\n",
    );
    let reply = d.order("startgroup", "g");
    assert_eq!(codes(&reply), ("error", "FAILED"), "{reply}");
    assert_eq!(reply["message"], "Started group g, but failed for: bad, worse");
    assert_eq!(d.state("good"), "RUNNING");
    assert_eq!(d.done("stopgroup", "g"), "Stopped group g");
}

#[test]
fn a_program_in_no_group_is_a_group_of_its_own() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nautostart = no\nstartsecs = 0\nnumprocs = 2\n");
    assert_eq!(d.done("startgroup", "a"), "Started group a");
    d.wait_all("RUNNING");
    assert_eq!(d.refused("start", "a"), "Process not found");
    assert_eq!(d.done("stop", "a:01"), "Stopped a:01");
}

#[test]
fn unknown_missing_and_empty_names() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\n");
    for command in ["start", "stop", "restart"] {
        for request in [
            json!({"command": command, "name": "x"}),
            json!({"command": command}),
            json!({"command": command, "name": ""}),
        ] {
            let reply = d.ask(request);
            assert_eq!(codes(&reply), ("error", "NOT_FOUND"), "{reply}");
            assert_eq!(reply["message"], "Process not found");
        }
    }
    for command in ["startgroup", "stopgroup"] {
        for request in [json!({"command": command, "name": "x"}), json!({"command": command})] {
            let reply = d.ask(request);
            assert_eq!(codes(&reply), ("error", "NOT_FOUND"), "{reply}");
            assert_eq!(reply["message"], "Group not found");
        }
    }
}

#[test]
fn reload_adds_removes_and_changes() {
    let d = Daemon::start(
        "[program:keep]\ncommand = {actor}\nstartsecs = 0\n[program:drop]\ncommand = {actor}\nstartsecs = 0\n\
         [program:alter]\ncommand = {actor}\nstartsecs = 0\n",
    );
    d.wait_all("RUNNING");
    let [keep, drop, alter] = ["keep", "drop", "alter"].map(|name| d.pid_of(name));
    d.home.configure(
        "[program:keep]\ncommand = {actor}\nstartsecs = 0\n[program:alter]\ncommand = {actor} --ignore HUP\nstartsecs = 0\n\
         [program:zwei]\ncommand = {actor}\nnumprocs = 2\nstartsecs = 0\n[program:idle]\ncommand = {actor}\nautostart = no\n\
         [group:all]\nprograms = alter\n",
    );
    let reply = d.reload();
    let expected = json!({
        "status": "ok", "added": ["idle", "zwei:00", "zwei:01"], "removed": ["drop"], "changed": ["alter"], "regrouped": ["alter"],
    });
    assert_eq!(reply, expected);
    assert!(!process::alive(drop), "answered when the removed are down");
    assert_eq!((d.pid_of("keep"), d.pid_of("alter")), (keep, alter));
    d.wait_state("zwei:01", "RUNNING");
    assert_eq!(d.state("idle"), "STOPPED");
    assert_eq!(d.refused("start", "drop"), "Process not found");
    assert_eq!(d.done("stopgroup", "all"), "Stopped group all", "groups follow the file");
}

#[test]
fn row_26_reload_of_an_unchanged_or_bad_file_changes_nothing() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\n[program:b]\ncommand = {actor}\nautostart = no\n",
    );
    let pid = d.wait_state("a", "RUNNING").pid;
    assert_eq!(d.reload(), json!({"status": "ok", "added": [], "removed": [], "changed": []}));
    d.home.configure("[program:c]\ncommand = {actor}\nnumprocs = x\n[program:d]\nstopsignal = NO\ncommand = {actor}\n");
    let reply = d.reload();
    assert_eq!(codes(&reply), ("error", "FAILED"), "{reply}");
    let message = reply["message"].as_str().unwrap();
    assert!(message.lines().any(|line| line.contains("c.conf:6: [program:c] numprocs: ")), "{message}");
    assert!(message.lines().any(|line| line.contains("c.conf:8: [program:d] stopsignal: ")), "{message}");
    let rows = d.rows();
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(rows[0].pid, pid);
    std::fs::remove_file(d.home.config_path()).unwrap();
    assert_eq!(d.reload()["status"], "error");
    d.assert_well();
}

#[test]
fn row_27_reload_waits_for_a_stubborn_program_and_nobody_else_does() {
    let d = Daemon::start(
        "[program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstopwaitsecs = 5\nstartsecs = 0\n\
         [program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n",
    );
    d.wait_file("t");
    let deaf = d.pid_of("deaf");
    d.home.configure("[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    let mut first = d.begin(json!({"command": "reload"}));
    d.wait_state("deaf", "STOPPING");
    let mut second = d.begin(json!({"command": "reload"}));
    let begun = Instant::now();
    assert_eq!(d.done("start", "a"), "Started a");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(first.receive().unwrap()["removed"], json!(["deaf"]));
    assert!(!process::alive(deaf));
    let reply = second.receive().unwrap();
    assert_eq!(reply["removed"], json!([]), "reloads queue: {reply}");
}

#[test]
fn reload_applies_stop_settings_at_once() {
    let text = |wait: u8, signal: &str| {
        format!(
            "[program:a]\ncommand = {{actor}} --ignore TERM --touch {{dir}}/t\nstartsecs = 0\n\
             stopwaitsecs = {wait}\nstopsignal = {signal}\n"
        )
    };
    let d = Daemon::start(&text(60, "TERM"));
    d.wait_file("t");
    d.home.configure(&text(60, "INT"));
    assert_eq!(d.reload()["changed"], json!(["a"]));
    let begun = Instant::now();
    d.done("stop", "a");
    assert!(begun.elapsed() < Duration::from_secs(50), "the new signal is not used: {:?}", begun.elapsed());
}

#[test]
fn reload_of_the_daemon_section() {
    let d = Daemon::start("loglevel = WARNING\n[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    d.home.configure_raw(
        "[supervice]\nsocket = {dir}/elsewhere.sock\npidfile = {dir}/d.pid\nloglevel = INFO\n\
         [program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n",
    );
    assert_eq!(d.reload()["status"], "ok");
    let line = d.wait_log("socket");
    assert!(line.contains("WARNING"), "{line}");
    d.done("start", "a");
    d.wait_log("Started a (pid ");
    assert!(!d.home.join("elsewhere.sock").exists());
}

#[test]
fn the_last_word_wins() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --on-term-delay 600 --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 20\n",
    );
    d.wait_file("t");
    let order = |command: &str| d.begin(json!({"command": command, "name": "a"}));
    let mut first = order("stop");
    d.wait_state("a", "STOPPING");
    let mut same = order("stop");
    let mut restart = order("restart");
    assert_eq!(first.receive().unwrap()["code"], "SUPERSEDED");
    assert_eq!(same.receive().unwrap()["code"], "SUPERSEDED");
    let mut joined = order("restart");
    assert_eq!(restart.receive().unwrap()["message"], "Restarted a");
    assert_eq!(joined.receive().unwrap()["message"], "Restarted a", "a restart joins one that is still stopping");
    assert_eq!(d.state("a"), "RUNNING");
}

#[test]
fn stops_join() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --on-term-delay 500 --touch {dir}/t\nstartsecs = 0\n");
    d.wait_file("t");
    let mut orders: Vec<_> = (0..4).map(|_| d.begin(json!({"command": "stop", "name": "a"}))).collect();
    for order in &mut orders {
        assert_eq!(order.receive().unwrap()["message"], "Stopped a");
    }
}

#[test]
fn a_shutdown_answers_whoever_waits() {
    let mut d = Daemon::start(
        "[program:slow]\ncommand = {actor}\nstartsecs = 100\n\
         [program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 2\n",
    );
    d.wait_file("t");
    let mut start = d.begin(json!({"command": "start", "name": "slow"}));
    d.wait_state("slow", "STARTING");
    let mut late = d.client();
    d.signal(nix::sys::signal::Signal::SIGTERM);
    let reply = start.receive().unwrap();
    assert_eq!(codes(&reply), ("error", "SHUTTING_DOWN"), "{reply}");
    let reply = late.ask(&json!({"command": "start", "name": "slow"})).unwrap();
    assert_eq!(codes(&reply), ("error", "SHUTTING_DOWN"), "{reply}");
    assert_eq!(d.wait_exit(), 0);
}
