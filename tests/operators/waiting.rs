//! Waiting without asking again, signals, and the daemon itself.

use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;

const MIXED: &str = "\
[program:slow]\ncommand = {actor}\nstartsecs = 2\nautostart = no\n\
[program:job]\ncommand = sh -c 'read line < {dir}/gate; exit 3'\nautostart = no\nautorestart = no\nstartsecs = 0\n\
[program:bad]\ncommand = sh -c 'exit 1'\nautostart = no\nstartretries = 0\n\
[program:idle]\ncommand = {actor}\nautostart = no\n";

fn gate(d: &Daemon) {
    let ran = run(d.home.command("mkfifo").arg("gate"), DEADLINE);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_wait_is_answered_when_the_last_condition_holds() {
    let d = Daemon::start(MIXED);
    gate(&d);
    d.done("start", "job");
    let start = d.begin(json!({"command": "start", "name": "slow"}));
    d.wait_state("slow", "STARTING");
    let mut wait =
        d.begin(json!({"command": "wait", "conditions": ["slow=running", "job=exited:3"], "timeout_ms": 60000}));
    wait.patience(Duration::from_millis(300));
    assert!(wait.receive().is_err(), "nothing holds yet");
    wait.patience(DEADLINE);
    d.home.write("gate", "go\n");
    let reply = wait.receive().unwrap();
    assert_eq!(reply["status"], "ok", "{reply}");
    let words: Vec<_> = reply["results"].as_array().unwrap().iter().map(|one| one["message"].clone()).collect();
    assert_eq!(words, [json!("job is exited:3"), json!("slow is running")]);
    assert_eq!(d.state("slow"), "RUNNING");
    drop(start);
    let ran = d.ctl(&["wait", "slow=running", "job=stopped"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "slow is running\njob is stopped\n"));
}

#[test]
fn what_is_impossible_is_told_at_once_with_3() {
    let d = Daemon::start(MIXED);
    gate(&d);
    let ran = d.ctl(&["wait", "idle=running"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, "idle cannot become running: it is STOPPED\n"));
    d.order("start", "bad");
    assert_eq!(d.ctl(&["wait", "bad=fatal"]).code, 0);
    let ran = d.ctl(&["wait", "bad=healthy"]);
    assert!(ran.code == 3 && ran.stderr.contains("no health checks") && ran.stderr.contains("code 1"), "{ran:?}");
    d.done("start", "job");
    let mut wait = d.begin(json!({"command": "wait", "conditions": ["job=exited:0"]}));
    d.ask(json!({"command": "status"}));
    d.home.write("gate", "go\n");
    let reply = wait.receive().unwrap();
    assert_eq!(
        (reply["code"].as_str(), reply["results"][0]["reason"].as_str()),
        (Some("IMPOSSIBLE"), Some("exited with code 3"))
    );
}

#[test]
fn what_does_not_come_is_told_at_the_timeout_with_4() {
    let d = Daemon::start(MIXED);
    d.done("start", "idle");
    let ran = d.ctl(&["--timeout", "0.3", "wait", "idle=stopped"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (4, "idle is RUNNING, not stopped\n"));
    assert!(ran.took >= Duration::from_millis(300), "{ran:?}");
    let ran = d.ctl(&["wait", "nobody=running", "--json"]);
    assert!(ran.code == 1 && ran.stdout.contains("NOT_FOUND"), "{ran:?}");
    assert_eq!(d.ctl(&["wait", "idle=up"]).code, 2);
}

#[test]
fn a_daemon_that_hangs_is_a_wait_that_timed_out() {
    let d = Daemon::start(MIXED);
    d.done("start", "idle");
    process::signal(d.pid(), Signal::SIGSTOP);
    d.wait("the daemon hangs", || process::stat(d.pid()).filter(|stat| stat.state == 'T'));
    let ran = d.ctl(&["--timeout", "1", "wait", "idle=stopped"]);
    let told = format!("No response from supervice within 1s (socket: {})\n", d.home.socket().display());
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr), (4, "", told));
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    let ran = d.ctl(&["--timeout", "0.1", "wait", "idle=stopped", "--json"]);
    assert!(ran.code == 4 && ran.stdout.contains("\"code\":\"NO_ANSWER\""), "{ran:?}");
    process::signal(d.pid(), Signal::SIGCONT);
    d.assert_well();
}

#[test]
fn a_wait_ends_with_its_process_and_with_the_daemon() {
    let mut d = Daemon::start(MIXED);
    d.done("start", "idle");
    let mut removed = d.begin(json!({"command": "wait", "conditions": ["idle=stopped"]}));
    let mut ill = d.begin(json!({"command": "wait", "conditions": ["idle=fatal"]}));
    drop(d.begin(json!({"command": "wait", "conditions": ["idle=exited:9"]})));
    d.home.configure("[program:other]\ncommand = {actor}\nstartsecs = 3600\n");
    assert_eq!(d.reload()["removed"].as_array().unwrap().len(), 4);
    assert_eq!(removed.receive().unwrap()["status"], "ok");
    assert_eq!(ill.receive().unwrap()["code"], "IMPOSSIBLE");
    let mut last = d.begin(json!({"command": "wait", "conditions": ["other=running"]}));
    let ran = d.ctl(&["shutdown"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "Shut down\n"));
    assert_eq!(last.receive().unwrap()["code"], "IMPOSSIBLE");
    assert_eq!(d.wait_exit(), 0);
}

#[test]
fn a_signal_reaches_the_group_or_its_leader_only() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'trap \"echo leader >> {dir}/heard\" USR1; (trap \"echo member >> {dir}/heard\" USR1; \
         echo up >> {dir}/up; while :; do sleep 0.05; done) & echo up >> {dir}/up; while :; do sleep 0.05; done'\nstartsecs = 0\n\
         [program:down]\ncommand = {actor}\nautostart = no\n",
    );
    d.wait_state("a", "RUNNING");
    d.wait("both listen", || (d.home.read("up").lines().count() == 2).then_some(()));
    let heard = || {
        let mut lines: Vec<String> = d.home.read("heard").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let pid = d.pid_of("a");
    let ran = d.ctl(&["signal", "--leader", "USR1", "a"]);
    assert_eq!(ran.stdout, format!("Sent SIGUSR1 to a (pid {pid})\n"));
    d.wait("the leader hears", || (heard() == ["leader"]).then_some(()));
    assert_eq!(d.ctl(&["signal", "usr1", "a"]).code, 0);
    d.wait("both hear", || (heard() == ["leader", "leader", "member"]).then_some(()));
    let ran = d.ctl(&["signal", "HUP", "down", "nobody"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "down is not running\nProcess not found: nobody\n"));
    let ran = d.ctl(&["signal", "NOTHING", "a"]);
    assert!(ran.code == 2 && ran.stderr.contains("no signal of this system"), "{ran:?}");
}

#[test]
fn the_daemon_tells_of_itself() {
    let d = Daemon::start(MIXED);
    d.done("start", "idle");
    assert_eq!(d.ctl(&["pid"]).stdout, format!("{}\n", d.pid()));
    assert_eq!(d.ctl(&["pid", "idle"]).stdout, format!("{}\n", d.pid_of("idle")));
    let some = d.ctl(&["pid", "idle", "job"]);
    assert_eq!((some.code, some.stdout), (1, format!("{}\n-\n", d.pid_of("idle"))));
    let version = env!("CARGO_PKG_VERSION");
    let told = d.ctl(&["version"]);
    assert_eq!((told.stdout, told.stderr.as_str()), (format!("supervicectl {version}\nsupervice {version}\n"), ""));
    let info = d.ask(json!({"command": "info"}))["info"].clone();
    assert_eq!((&info["pid"], &info["processes"]), (&json!(d.pid()), &json!(4)));
    assert_eq!(info["states"], json!({"RUNNING": 1, "STOPPED": 3}));
    assert!(info["rss_bytes"].as_u64().is_none_or(|bytes| bytes > 100_000), "{info}");
    assert_eq!((&info["stale_events"], &info["dropped_bytes"]), (&json!(0), &json!(0)));
    for key in ["uptime", "cpu_ms", "connections", "evicted_connections", "loop_lag_us"] {
        assert!(info[key].is_u64(), "{key} in {info}");
    }
    let (lag, longest) = (info["loop_lag_us"].as_u64(), info["loop_lag_max_us"].as_u64());
    assert!(longest > Some(0) && lag <= longest, "{info}");
    let text = d.ctl(&["info"]).stdout;
    for title in ["uptime", "cpu", "memory", "loop lag", "dropped bytes", "stale events"] {
        assert!(text.lines().any(|line| line.starts_with(title)), "{title} in {text}");
    }
    assert!(text.contains("processes      4 (1 RUNNING, 3 STOPPED)\n"), "{text}");
}

#[test]
fn whoever_is_meant_twice_is_told_of_once() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nnumprocs = 3\n");
    d.wait_all("RUNNING");
    let names = |reply: &serde_json::Value| -> Vec<String> {
        let results = reply["results"].as_array().unwrap_or_else(|| panic!("{reply}"));
        results.iter().map(|one| one["message"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let conditions = ["a:02=running", "a*=running", "group:a=running", "a:0?=running", "a:01=running"];
    let reply = d.ask(json!({"command": "wait", "conditions": conditions}));
    assert_eq!(names(&reply), ["a:02 is running", "a:00 is running", "a:01 is running"]);
    let conditions = ["a:02=stopped", "a*=stopped", "a:02=exited", "a*=stopped", "a:02=running"];
    let mut wait = d.begin(json!({"command": "wait", "conditions": conditions, "timeout_ms": 3_600_000}));
    d.rows();
    d.done("stop", "a:00");
    d.done("stop", "a:02");
    d.done("stop", "a:01");
    let mut told = names(&wait.receive().unwrap());
    // Its exit and its being down may come in one instant.
    told[2..4].sort();
    let expected = ["a:02 is running", "a:00 is stopped", "a:02 is exited", "a:02 is stopped", "a:01 is stopped"];
    assert_eq!(told, expected);
    d.done("start", "a:00");
    // What is open stays in the order in which it was named.
    let reply = d.ask(json!({"command": "wait", "conditions": ["a:00=fatal", "a*=stopped"], "timeout_ms": 1}));
    let expected = ["a:01 is stopped", "a:02 is stopped", "a:00 is RUNNING, not fatal", "a:00 is RUNNING, not stopped"];
    assert_eq!((reply["code"].as_str(), names(&reply)), (Some("TIMED_OUT"), expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_reload_that_takes_the_health_checks_away_ends_the_wait_for_them() {
    let text = |options: &str| format!("[program:a]\ncommand = {{actor}}\nstartsecs = 0\n{options}");
    let d = Daemon::start(&text("healthcheck_type = tcp\nhealthcheck_port = 1\nhealthcheck_start_period = 3600\n"));
    d.wait_state("a", "RUNNING");
    let mut wait = d.begin(json!({"command": "wait", "conditions": ["a=healthy"]}));
    d.rows();
    d.home.configure(&text(""));
    d.reload();
    let reply = wait.receive().unwrap();
    assert_eq!(reply["results"][0]["message"], "a cannot become healthy: it has no health checks and no watchdog");
}
