//! Why a process is as it is: the history that the daemon keeps of it.

use crate::harness::*;
use serde_json::{Value, json};

fn history(d: &Daemon, name: &str) -> (String, Vec<(String, String)>) {
    let reply = d.ask(json!({"command": "why", "name": name}));
    assert_eq!(reply["status"], "ok", "{reply}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let records = reply["history"].as_array().unwrap().iter();
    (text(&reply["message"]), records.map(|record| (text(&record["event"]), text(&record["text"]))).collect())
}

#[test]
fn why_it_was_given_up() {
    let d = Daemon::start("[program:bad]\ncommand = sh -c 'exit 3'\nautostart = no\nstartretries = 1\n");
    d.order("start", "bad");
    d.wait_state("bad", "FATAL");
    let (sum, records) = history(&d, "bad");
    assert!(
        sum.starts_with("bad is FATAL: 2 attempts in ") && sum.contains("; last: exited with code 3 after 0."),
        "{sum}"
    );
    let kinds: Vec<&str> = records.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["order", "started", "exited", "backoff", "started", "exited", "fatal"]);
    let own = nix::unistd::getuid();
    assert_eq!(records[0].1, format!("start, asked by uid {own} (pid {})", std::process::id()));
    let ran = d.ctl(&["why", "bad"]);
    assert_eq!((ran.code, ran.stdout.lines().next()), (0, Some(sum.as_str())));
    assert_eq!(ran.stdout.lines().count(), 11, "{}", ran.stdout);
    assert!(ran.stdout.ends_with("  stdout is kept nowhere\n  stderr is kept nowhere\n"), "{}", ran.stdout);
    let missing = d.ctl(&["why", "bda"]);
    assert_eq!((missing.code, missing.stderr.as_str()), (1, "Process not found\nDid you mean bad?\n"));
}

#[test]
fn why_it_is_down_and_why_it_never_came_up() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\n[program:lazy]\ncommand = {actor}\nautostart = no\n\
         [program:gone]\ncommand = {dir}/gone\nautostart = no\nstartretries = 0\n",
    );
    d.wait_state("a", "RUNNING");
    assert!(history(&d, "a").0.starts_with("a is RUNNING for "));
    assert_eq!(d.ctl(&["stop", "a", "lazy"]).code, 0);
    let (sum, records) = history(&d, "a");
    assert!(sum.starts_with("a is STOPPED: stop, asked by uid "), "{sum}");
    assert!(records.last().unwrap().1.starts_with("killed by SIGTERM after "), "{records:?}");
    let fresh = "[program:a]\ncommand = {actor}\nstartsecs = 0\nstopsignal = INT\n[program:lazy]\ncommand = {actor}\nautostart = no\n";
    d.order("start", "gone");
    assert!(history(&d, "gone").0.contains("ENOENT"), "{:?}", history(&d, "gone"));
    d.home.configure(fresh);
    assert_eq!(d.reload()["changed"], json!(["a"]));
    assert_eq!(history(&d, "a").1.last().unwrap().0, "reload");
}

/// It ran once, so no attempt has failed, and its health has nothing to do with it.
#[test]
fn what_cannot_be_started_any_more_is_not_called_ill() {
    let home = Home::new();
    let (command, plain) = (home.join("command"), home.write("plain", "no program"));
    std::os::unix::fs::symlink("/bin/sleep", &command).unwrap();
    let d = Daemon::start_in(home, "[program:a]\ncommand = {dir}/command 1000\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    std::fs::remove_file(&command).unwrap();
    std::os::unix::fs::symlink(plain, &command).unwrap();
    assert_eq!(d.order("restart", "a")["status"], "error");
    let (sum, records) = history(&d, "a");
    assert!(
        sum.starts_with("a is FATAL: it cannot be started as it is configured; last: could not be started: "),
        "{sum}"
    );
    let (kind, told) = records.last().unwrap();
    assert_eq!((kind.as_str(), told.as_str()), ("fatal", "given up: it cannot be started as it is configured"));
}

#[test]
fn a_history_is_bounded() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    for _ in 0..40 {
        d.done("stop", "a");
        d.done("start", "a");
    }
    assert_eq!(history(&d, "a").1.len(), 64);
}

fn outputs(d: &Daemon, name: &str) -> Vec<Value> {
    let reply = d.ask(json!({"command": "why", "name": name}));
    let records = reply["history"].as_array().unwrap().iter();
    records.filter(|record| record["event"] == "exited").map(|record| record["output"].clone()).collect()
}

#[test]
fn an_unasked_death_comes_with_what_was_written_last() {
    let d = Daemon::start(
        "[program:bad]\ncommand = {actor} --bytes 9000 --complain first --complain \"address already in use\" --exit 3\n\
         autostart = no\nstartretries = 0\nstdout_logfile = {dir}/bad.out\nstderr_logfile = {dir}/bad.err\n",
    );
    d.home.write("bad.err", "of an earlier life\n");
    d.order("start", "bad");
    d.wait_state("bad", "FATAL");
    let (sum, _) = history(&d, "bad");
    assert!(sum.contains("unasked; stderr: \"address already in use\""), "{sum}");
    let [streams] = &outputs(&d, "bad")[..] else { panic!("{:?}", outputs(&d, "bad")) };
    let whole = d.home.read("bad.out");
    assert_eq!(whole.len(), 9000);
    let stdout = json!({"stream": "stdout", "encoding": "utf-8", "data": whole[9000 - 4096..]});
    let stderr = json!({"stream": "stderr", "encoding": "utf-8", "data": "first\naddress already in use\n"});
    assert_eq!(streams, &json!([stdout, stderr]));
    let ran = d.ctl(&["why", "bad"]);
    assert!(ran.stdout.ends_with("  stderr | first\n  stderr | address already in use\n"), "{}", ran.stdout);
}

#[test]
fn where_there_is_no_log_to_read_back_that_is_said() {
    let d = Daemon::start(
        "[DEFAULT]\nautostart = no\nstartretries = 0\n\
         [program:none]\ncommand = {actor} --say a --exit 3\nstdout_logfile = NONE\nstderr_logfile = /dev/stderr\n\
         [program:one]\ncommand = {actor} --say out --complain err --exit 3\nstdout_logfile = {dir}/one\nredirect_stderr = yes\n\
         [program:quiet]\ncommand = {actor} --exit 3\nstdout_logfile = {dir}/quiet\nstderr_logfile = {dir}/quiet.err\n\
         [program:shut]\ncommand = sh -c 'echo bye; exec >&- 2>&-; exit 3'\nstdout_logfile = {dir}/shut\n",
    );
    d.home.write("quiet", "of another life\n");
    for name in ["none", "one", "quiet", "shut"] {
        d.order("start", name);
        d.wait_state(name, "FATAL");
    }
    let note = |name: &str, stream: usize| outputs(&d, name)[0][stream]["note"].as_str().unwrap_or("").to_owned();
    let data = |name: &str, stream: usize| outputs(&d, name)[0][stream]["data"].as_str().unwrap_or("-").to_owned();
    assert_eq!(note("none", 0), "is kept nowhere");
    assert_eq!(note("none", 1), "goes to the daemon's own stdout or stderr, which cannot be read back");
    assert_eq!((data("one", 0).as_str(), note("one", 1).as_str()), ("out\nerr\n", "goes where stdout goes"));
    assert!(history(&d, "one").0.ends_with("; stdout: \"err\""), "{:?}", history(&d, "one"));
    assert_eq!((data("quiet", 0).as_str(), data("quiet", 1).as_str()), ("", ""));
    assert_eq!(data("shut", 0), "bye\n");
}

#[test]
fn what_is_read_back_is_what_stands_in_the_log() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --say hello --exit 3\nautostart = no\nstartretries = 0\nlog_format = prefix\n\
         stdout_logfile = {dir}/a\n[program:b]\ncommand = sh -c 'printf half; exit 3'\nautostart = no\nstartretries = 0\n\
         log_format = json\nstdout_logfile = {dir}/b\n",
    );
    for name in ["a", "b"] {
        d.order("start", name);
        d.wait_state(name, "FATAL");
        let whole = d.home.read(name);
        assert_eq!(outputs(&d, name)[0][0]["data"], whole, "{name}");
        assert!(whole.contains(if name == "a" { "hello" } else { "half" }), "{whole}");
    }
}

#[test]
fn a_last_line_without_its_end_is_read_back_while_somebody_holds_the_pipe() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'setsid sh -c \"touch {dir}/held; exec sleep 20\" & until [ -e {dir}/held ]; do sleep 0.01; done; \
         echo begin >&2; printf \"fatal: no database\" >&2; exit 3'\n\
         autostart = no\nstartretries = 0\nlog_format = prefix\nstderr_logfile = {dir}/a\n",
    );
    d.order("start", "a");
    d.wait_state("a", "FATAL");
    let data = outputs(&d, "a")[0][1]["data"].as_str().unwrap().to_owned();
    assert!(data.contains("begin\n") && data.ends_with("fatal: no database"), "{data}");
    assert!(!d.home.read("a").contains("fatal"), "its end may still come");
}

#[test]
fn what_was_asked_for_is_not_recorded_and_what_hung_is() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --say hello --touch {dir}/t\nstartsecs = 0\nstdout_logfile = {dir}/a\n\
         [program:mute]\ncommand = {actor} --say waiting\nautostart = no\nready = notify\nready_timeout = 0.3\n\
         startretries = 0\nstdout_logfile = {dir}/mute\n",
    );
    d.wait_file("t");
    d.done("stop", "a");
    assert_eq!(outputs(&d, "a"), [Value::Null]);
    d.order("start", "mute");
    d.wait_state("mute", "FATAL");
    assert_eq!(outputs(&d, "mute")[0][0]["data"], "waiting\n");
    let (_, records) = history(&d, "mute");
    assert!(records.iter().all(|(kind, text)| kind != "exited" || !text.contains("unasked")), "{records:?}");
}

#[test]
fn a_history_outlives_the_daemon() {
    let config = "[program:bad]\ncommand = {actor} --complain \"no such table\" --exit 3\nautostart = no\nstartretries = 0\n\
                  stderr_logfile = {dir}/bad.err\n[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n";
    let mut d = Daemon::start(config);
    d.order("start", "bad");
    d.wait_state("bad", "FATAL");
    let before = history(&d, "bad").1;
    let output = outputs(&d, "bad");
    assert_eq!(d.terminate(), 0);
    let home = d.murder();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(home.join(".d.state.json.history")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7777, 0o600);

    let d = Daemon::launch(home);
    assert_eq!(history(&d, "bad").1[..before.len()], before);
    assert_eq!(outputs(&d, "bad"), output);
    let (sum, _) = history(&d, "bad");
    let fresh = "bad is STOPPED: nobody started it since the daemon began; before that: exited with code 3 after 0.";
    assert!(sum.starts_with(fresh) && sum.ends_with("; stderr: \"no such table\""), "{sum}");
    d.done("start", "a");
    d.order("start", "bad");
    d.wait_state("bad", "FATAL");
    let (_, records) = history(&d, "bad");
    let mark = &records[before.len()];
    assert_eq!((mark.0.as_str(), mark.1.clone()), ("daemon", format!("supervice was started anew (pid {})", d.pid())));

    let pid = d.pid_of("a");
    let home = d.murder();
    wait_until(DEADLINE, "the child is gone with its daemon", || !process::alive(pid));
    let d = Daemon::launch(home);
    assert!(history(&d, "a").1.iter().any(|(kind, _)| kind == "running"), "a killed daemon loses nothing");
    assert_eq!(history(&d, "bad").1, records);
}

#[test]
fn a_damaged_history_is_read_as_far_as_it_goes() {
    let home = Home::new();
    let line = |name: &str, text: &str| json!({"name": name, "unix_ms": 7, "event": "order", "text": text}).to_string();
    let whole = line("a", "start, asked by uid 4711");
    let mut bytes = format!("{}\n{{\"name\":\"a\"\n\n", line("stranger", "x")).into_bytes();
    bytes.extend((0..=255u8).cycle().take(5000));
    bytes.extend(format!("\n{whole}\n{}\n{}", "[".repeat(100_000), &whole[..40]).into_bytes());
    home.write(".d.state.json.history", &bytes);
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(home.join(".d.state.json.history"), permissions).unwrap();
    let d = Daemon::start_in(home, "[program:a]\ncommand = {actor}\nstartsecs = 0\nautostart = no\n");
    assert_eq!(history(&d, "a").0, "a is STOPPED: nobody started it since the daemon began");
    assert_eq!(history(&d, "a").1, [("order".to_owned(), "start, asked by uid 4711".to_owned())]);
    d.wait("the damage is told", || d.log().contains("lines of the history are damaged").then_some(()));
    d.done("start", "a");
    let home = d.murder();
    let d = Daemon::launch(home);
    assert!(history(&d, "a").1.iter().any(|(kind, _)| kind == "started"), "what was added after the tear is whole");
}

#[test]
fn a_history_that_cannot_be_kept_holds_nobody_up() {
    let home = Home::new();
    let victim = home.write("victim", "precious");
    std::os::unix::fs::symlink(&victim, home.join(".d.state.json.history")).unwrap();
    let d = Daemon::start_in(home, "[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    assert!(history(&d, "a").1.iter().any(|(kind, _)| kind == "running"));
    assert_eq!(d.home.read("victim"), "precious");
    assert_eq!(d.log().matches("cannot be written").count(), 1, "{}", d.log());
}

#[test]
fn the_last_words_are_read_where_they_were_written_whatever_a_reload_says_of_the_next_run() {
    let text = "[program:b]\ncommand = sh -c 'echo his own; exec >&- 2>&-; echo > {dir}/ready; exec sleep 1000'\n\
                startsecs = 0\nautorestart = no\nstdout_logfile = {dir}/old.log\n";
    let d = Daemon::start(text);
    d.wait_file("ready");
    d.wait("it is written", || (d.home.read("old.log") == "his own\n").then_some(()));
    d.home.write("new.log", "of another time\n");
    d.home.configure(&text.replace("old.log", "new.log"));
    assert_eq!(d.reload()["changed"], json!(["b"]));
    process::kill(d.pid_of("b"));
    d.wait_state("b", "EXITED");
    assert_eq!(outputs(&d, "b")[0][0]["data"], "his own\n");
}

#[test]
fn checks_that_fail_beyond_the_limit_are_counted_in_words() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor}\nstartsecs = 0\nhealthcheck_type = script\nhealthcheck_command = exit 1\n\
         healthcheck_interval = 1\nhealthcheck_start_period = 0\nhealthcheck_retries = 1\nautorestart = no\n",
    );
    let told = "health check failed 2 times in a row, limit 1: ";
    let is_told = || history(&d, "a").1.iter().any(|(_, text)| text.starts_with(told)).then_some(());
    d.wait("the second failure is told", is_told);
    let (_, records) = history(&d, "a");
    assert!(records.iter().any(|(_, text)| text.starts_with("health check failed (1/1): ")), "{records:?}");
    d.wait_log("a: health check failed (2/1): ");
}

#[test]
fn lost_output_is_part_of_the_story() {
    if !std::path::Path::new("/dev/full").exists() {
        return skip("loss of output", "no /dev/full here");
    }
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --lines 10 --touch {dir}/t\nstartsecs = 0\nstdout_logfile = /dev/full\n",
    );
    d.wait("the loss is told", || history(&d, "a").1.iter().any(|(kind, _)| kind == "loss").then_some(()));
}
