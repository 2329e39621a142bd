//! Logs read back: `tail`, `maintail`, following, and the orders that concern logs.

use crate::harness::Client;
use crate::harness::*;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

/// The bytes that a frame carries.
#[track_caller]
fn data(frame: &Value) -> Vec<u8> {
    let text = frame["data"].as_str().unwrap_or_else(|| panic!("no data in {frame}"));
    match frame["encoding"].as_str() {
        Some("utf-8") => text.as_bytes().to_vec(),
        Some("base64") => supervice::wire::base64::decode(text).unwrap(),
        _ => panic!("no encoding in {frame}"),
    }
}

#[track_caller]
fn tail(d: &Daemon, name: &str, more: Value) -> String {
    let mut request = json!({"command": "tail", "name": name});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = d.ask(request);
    assert_eq!(reply["status"], "ok", "{reply}\n{}", d.story());
    String::from_utf8(data(&reply)).unwrap()
}

/// Reads pieces until so many bytes are there, those that were missed counted.
#[track_caller]
fn collect(client: &mut Client, total: usize) -> (Vec<u8>, usize) {
    let (mut bytes, mut missed) = (Vec::new(), 0);
    while bytes.len() + missed < total {
        let frame = client
            .receive()
            .unwrap_or_else(|problem| panic!("{problem} after {} bytes and {missed} missed", bytes.len()));
        assert!(frame.get("status").is_none(), "{frame}");
        missed += frame["missed"].as_u64().unwrap_or(0) as usize;
        bytes.extend(data(&frame));
    }
    (bytes, missed)
}

const TALKER: &str = "[program:a]\ncommand = sh -c 'for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $n; done; echo bad >&2; exec sleep 1000'\n\
    stdout_logfile = {dir}/o\nstderr_logfile = {dir}/e\nstartsecs = 0\n";

#[test]
fn the_end_of_a_log() {
    let d = Daemon::start(TALKER);
    let is_said = || d.home.read("e").contains("bad") && d.home.read("o").contains("line 12\n");
    d.wait("all is said", || is_said().then_some(()));
    let all: String = (1..=12).map(|n| format!("line {n}\n")).collect();
    assert_eq!(tail(&d, "a", json!({})), all.split_inclusive('\n').skip(2).collect::<String>(), "ten lines");
    assert_eq!(tail(&d, "a", json!({"lines": 2})), "line 11\nline 12\n");
    assert_eq!(tail(&d, "a", json!({"lines": 1000, "stream": "stdout"})), all);
    assert_eq!(tail(&d, "a", json!({"bytes": 4})), " 12\n");
    assert_eq!(tail(&d, "a", json!({"stream": "stderr"})), "bad\n");
    let reply = d.ask(json!({"command": "tail", "name": "a", "lines": 1, "id": 7}));
    let expected = json!({"status": "ok", "stream": "stdout", "encoding": "utf-8", "data": "line 12\n", "id": 7});
    assert_eq!(reply, expected);
    d.done("rotate", "a");
    assert_eq!(tail(&d, "a", json!({"lines": 2})), "line 11\nline 12\n", "from the rotated file");
    d.done("stop", "a");
    assert_eq!(tail(&d, "a", json!({"lines": 1})), "line 12\n", "nobody has it open");
}

#[test]
fn what_cannot_be_read_back_says_why() {
    let d = Daemon::start(
        "[program:none]\ncommand = {actor}\nautostart = no\n\
         [program:out]\ncommand = {actor}\nautostart = no\nstdout_logfile = /dev/stdout\nredirect_stderr = yes\n\
         [program:new]\ncommand = {actor}\nautostart = no\nstdout_logfile = {dir}/never\n\
         [program:dev]\ncommand = {actor}\nautostart = no\nstdout_logfile = /dev/full\n",
    );
    assert_eq!(d.refused("tail", "nobody"), "Process not found");
    assert_eq!(d.refused("tail", "none"), "stdout of none is kept nowhere");
    assert!(d.refused("tail", "out").contains("the daemon's own stdout"));
    let reply = d.ask(json!({"command": "tail", "name": "out", "stream": "stderr"}));
    assert!(reply["message"].as_str().unwrap().contains("the daemon's own stdout"), "{reply}");
    assert_eq!(d.refused("tail", "dev"), "stdout of dev cannot be read");
    assert_eq!(tail(&d, "new", json!({})), "");
    for command in ["rotate", "clearlog"] {
        assert_eq!(d.refused(command, "nobody"), "Process not found");
        assert_eq!(d.refused(command, "none"), "none keeps no log files");
        d.done(command, "new");
    }
    assert!(!d.home.join("never").exists(), "asking makes no file");
    assert!(d.ask(json!({"command": "maintail"}))["message"].as_str().unwrap().contains("set logfile"));
    assert_eq!(d.ask(json!({"command": "tail", "name": "a", "stream": "x"}))["code"], "INVALID_REQUEST");
}

#[test]
fn row_38_bytes_that_are_no_text_come_back_as_they_are() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --bytes 100000\nstdout_logfile = {dir}/o\nstartsecs = 0\n\
         [program:b]\ncommand = printf 'a\\0b\\033[31m\\377\\r\\n'\nstdout_logfile = {dir}/p\nstartsecs = 0\nautorestart = no\n",
    );
    d.wait("all is written", || (d.home.read("o").len() >= 100_000 && d.home.read("p").len() > 6).then_some(()));
    let reply = d.ask(json!({"command": "tail", "name": "a", "bytes": 1_000_000}));
    assert_eq!(data(&reply), fs::read(d.home.join("o")).unwrap());
    let reply = d.ask(json!({"command": "tail", "name": "b"}));
    assert_eq!((reply["encoding"].as_str(), data(&reply)), (Some("base64"), b"a\0b\x1b[31m\xff\r\n".to_vec()));
}

#[test]
fn a_follower_outlives_restarts_and_rotations() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'n=0; while [ $n -lt 50 ]; do n=$((n+1)); echo $$ $n; done; exec sleep 1000'\n\
         stdout_logfile = {dir}/o\nstdout_logfile_maxbytes = 200\nstdout_logfile_backups = 9\nstartsecs = 0\nautostart = no\n",
    );
    let mut client = d.client();
    let first = client.ask(&json!({"command": "tail", "name": "a", "follow": true, "id": "f"})).unwrap();
    assert_eq!((first["data"].as_str(), first["id"].as_str()), (Some(""), Some("f")));
    let mut expected = String::new();
    for order in ["start", "restart", "restart"] {
        d.done(order, "a");
        let pid = d.pid_of("a");
        let lines: String = (1..=50).map(|n| format!("{pid} {n}\n")).collect();
        let (bytes, missed) = collect(&mut client, lines.len());
        assert_eq!((String::from_utf8(bytes).unwrap(), missed), (lines.clone(), 0));
        expected.push_str(&lines);
    }
    d.done("rotate", "a");
    // Another request ends it, and is answered.
    let reply = client.ask(&json!({"command": "status"})).unwrap();
    assert_eq!(reply["status"], "ok");
    d.done("restart", "a");
    assert_eq!(client.ask(&json!({"command": "tail", "name": "a", "lines": 0})).unwrap()["data"], "");
}

#[test]
fn a_follower_moves_with_its_log() {
    let conf = |path: &str| {
        format!(
            "[program:a]\ncommand = {{actor}} --say {path}\nstdout_logfile = {{dir}}/{path}\nstartsecs = 0\nautostart = no\n"
        )
    };
    let d = Daemon::start(&conf("old"));
    let mut client = d.client();
    client.ask(&json!({"command": "tail", "name": "a", "follow": true})).unwrap();
    d.done("start", "a");
    assert_eq!(collect(&mut client, 4).0, b"old\n");
    d.home.configure(&conf("new"));
    assert_eq!(d.reload()["changed"], json!(["a"]));
    d.done("restart", "a");
    assert_eq!(collect(&mut client, 4).0, b"new\n");
}

/// What it has not taken yet goes on, then it is at the new log; what there was no room for is counted.
#[test]
fn a_follower_that_is_behind_moves_with_its_log() {
    let conf = |habit: &str, path: &str| {
        format!(
            "[program:a]\ncommand = {{actor}} {habit}\nstdout_logfile = {{dir}}/{path}\nstartsecs = 0\nautostart = no\n"
        )
    };
    let d = Daemon::start(&conf("--bytes 8000000", "old"));
    let mut client = d.client();
    client.ask(&json!({"command": "tail", "name": "a", "follow": true})).unwrap();
    d.done("start", "a");
    let written = || fs::metadata(d.home.join("old")).is_ok_and(|facts| facts.len() == 8_000_000);
    d.wait("all is written", || written().then_some(()));
    d.home.configure(&conf("--say new", "new"));
    d.reload();
    d.done("restart", "a");
    d.wait("it speaks", || (d.home.read("new") == "new\n").then_some(()));
    let (bytes, missed) = collect(&mut client, 8_000_004);
    assert_eq!((bytes.len() + missed, bytes.ends_with(b"new\n")), (8_000_004, true), "{missed} missed");
}

#[test]
fn a_follower_that_does_not_read_misses_bytes_and_is_told() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --bytes 30000000\nautostart = no\nstartsecs = 0\n\
         stdout_logfile = {dir}/o\nstdout_logfile_maxbytes = 1MB\nstdout_logfile_backups = 2\n",
    );
    let mut slow: Vec<Client> = (0..20).map(|_| d.client()).collect();
    for client in &mut slow {
        client.ask(&json!({"command": "tail", "name": "a", "follow": true})).unwrap();
    }
    let before = process::status(d.pid(), "VmRSS").trim_end_matches(" kB").trim().parse::<usize>().unwrap();
    d.done("start", "a");
    d.wait("all is written", || {
        let size = |name: &str| fs::metadata(d.home.join(name)).map_or(0, |facts| facts.len());
        (size("o") > 0 && size("o.2") > 0 && d.row("a").raw.get("dropped_bytes").is_none()).then_some(())
    });
    for client in &mut slow {
        let (bytes, missed) = collect(client, 30_000_000);
        assert_eq!(bytes.len() + missed, 30_000_000);
    }
    let after = process::status(d.pid(), "VmRSS").trim_end_matches(" kB").trim().parse::<usize>().unwrap();
    assert!(after < before + 20 * 1024, "from {before} to {after} kB");
    d.assert_well();
}

#[test]
fn followers_leave_nothing_behind() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstdout_logfile = {dir}/o\nautostart = no\n");
    d.client().ask(&json!({"command": "status"})).unwrap();
    let open = || process::descriptors(d.pid()).len();
    d.wait("quiet", || (open() == process::descriptors(d.pid()).len()).then_some(()));
    let before = open();
    for _ in 0..50 {
        d.client().ask(&json!({"command": "tail", "name": "a", "follow": true})).unwrap();
    }
    d.wait("all descriptors are back", || (open() <= before).then_some(()));
}

#[test]
fn the_daemons_own_log_is_followed() {
    let home = Home::new();
    let d = Daemon::start_in(home, "logfile = {dir}/own.log\n[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    let pid = d.pid_of("a");
    let reply = d.ask(json!({"command": "maintail", "lines": 100}));
    assert!(reply["data"].as_str().unwrap().contains(&format!("Started a (pid {pid})")), "{reply}");
    let mut client = d.client();
    client.ask(&json!({"command": "maintail", "follow": true, "lines": 0})).unwrap();
    d.done("restart", "a");
    let pid = d.pid_of("a");
    let mut seen = String::new();
    while !seen.contains(&format!("Started a (pid {pid})")) {
        let frame = client.receive().unwrap();
        assert_eq!(frame["stream"], "log");
        seen.push_str(frame["data"].as_str().unwrap());
    }
    // With every line of the debug level in it, following must not feed itself.
    let before = process::stat(d.pid()).unwrap().ticks;
    assert!(wait_for(Duration::from_secs(1), || (!process::alive(d.pid())).then_some(())).is_none());
    assert!(process::stat(d.pid()).unwrap().ticks - before <= 2);
}

#[test]
fn the_client_shows_logs() {
    let d = Daemon::start(
        "logfile = {dir}/own.log\n\
         [program:a]\ncommand = {actor} --say one --complain two\nstdout_logfile = {dir}/o\nstderr_logfile = {dir}/e\nstartsecs = 0\n\
         [program:long]\ncommand = {actor} --say three\nstdout_logfile = {dir}/p\nstartsecs = 0\n",
    );
    d.wait_file("o");
    d.wait_file("e");
    d.wait_file("p");
    assert_eq!(d.ctl(&["tail", "a"]).stdout, "one\n");
    assert_eq!(d.ctl(&["tail", "a", "stderr"]).stdout, "two\n");
    assert_eq!(d.ctl(&["tail", "a", "long"]).stdout, "a    | one\nlong | three\n");
    let some = d.ctl(&["tail", "nobody", "a"]);
    assert_eq!(
        (some.code, some.stdout.as_str(), some.stderr.as_str()),
        (1, "a      | one\n", "Process not found: nobody\n")
    );
    assert!(d.ctl(&["maintail", "-n", "1000"]).stdout.contains("Spawned long"));
    assert_eq!(d.ctl(&["rotate", "a"]).stdout, "Rotated the logs of a\n");
    assert_eq!((d.home.read("o"), d.home.read("o.1")), (String::new(), "one\n".into()));
    assert_eq!(d.ctl(&["tail", "a"]).stdout, "one\n");
    assert_eq!(d.ctl(&["clearlog", "long"]).stdout, "Cleared the logs of long\n");
    assert_eq!(d.home.read("p"), "");
    fs::rename(d.home.join("p"), d.home.join("moved")).unwrap();
    assert_eq!(d.ctl(&["reopen"]).stdout, "Reopened log files\n");
    assert!(d.home.join("p").exists());
}

#[test]
fn the_client_treats_several_at_once() {
    let d = Daemon::start(
        "[program:w]\ncommand = {actor} --say hello\nnumprocs = 2\nstdout_logfile = {dir}/w%(process_num)s\nstartsecs = 0\n\
         [program:other]\ncommand = {actor} --say hello\nstdout_logfile = {dir}/other\nstartsecs = 0\n\
         [program:mute]\ncommand = {actor}\nstartsecs = 0\n",
    );
    for name in ["w00", "w01", "other"] {
        d.wait_file(name);
    }
    let ran = d.ctl(&["rotate", "w:*"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "Rotated the logs of w:00\nRotated the logs of w:01\n"));
    let rotated = ["w00", "w01", "other"].map(|name| d.home.join(&format!("{name}.1")).exists());
    assert_eq!(rotated, [true, true, false]);
    let ran = d.ctl(&["rotate", "all"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 4), "{ran:?}");
    assert!(ran.stdout.ends_with("mute keeps no log files\n"), "{ran:?}");
    assert_eq!(d.home.read("other.1"), "hello\n");
    assert!(!d.home.join("w00.2").exists(), "an empty log is not rotated");
    d.home.write("w00", "more\n");
    let ran = d.ctl(&["clearlog", "group:w", "nobody"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 2), "{ran:?}");
    assert_eq!((d.home.read("w00"), ran.stderr.as_str()), (String::new(), "Process not found: nobody\n"));
    let ran = d.ctl(&["clearlog", "mute"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "mute keeps no log files\n"), "asked for itself it is a failure");
    let reply = d.ask(json!({"command": "rotate", "names": ["x*"]}));
    assert_eq!((reply["code"].as_str(), reply["results"][0]["code"].as_str()), (Some("NOT_FOUND"), Some("NOT_FOUND")));
    let ran = d.ctl(&["tail", "group:w", "oth*", "w:01"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "w:00  | hello\nw:01  | hello\nother | hello\n"), "each once");
    let ran = d.ctl(&["tail", "x*", "other"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "other | hello\n"), "{ran:?}");
    assert_eq!(d.ctl(&["tail", "o*"]).stdout, "other | hello\n");
}

#[test]
fn the_client_follows_until_it_is_interrupted() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --say one\nstdout_logfile = {dir}/o\nstartsecs = 0\nautostart = no\n\
         [program:b]\ncommand = {actor} --say two\nstdout_logfile = {dir}/p\nstartsecs = 0\nautostart = no\n",
    );
    // A suite that runs in the background may have been given an ignored SIGINT.
    let mut command = d.home.command("env");
    command.arg("--default-signal=INT").arg(supervicectl());
    command.arg("-s").arg(d.home.socket()).args(["tail", "-f", "a", "b"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut read = |text: &str| {
        let mut bytes = vec![0; text.len()];
        out.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    };
    d.wait("both are followed", || (d.home.join("o").exists() && d.home.join("p").exists()).then_some(()));
    d.done("start", "a");
    read("a | one\n");
    d.done("start", "b");
    read("b | two\n");
    d.done("restart", "a");
    read("a | one\n");
    process::signal(child.id() as i32, Signal::SIGINT);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(Signal::SIGINT as i32));
    d.assert_well();
}

#[test]
fn a_follower_sees_the_last_words_of_a_shutdown() {
    let mut d = Daemon::start(
        "[program:a]\ncommand = {actor} --on-term-print 5000 --touch {dir}/t\nstdout_logfile = {dir}/o\nstartsecs = 0\n",
    );
    d.wait_file("t");
    let mut client = d.client();
    client.ask(&json!({"command": "tail", "name": "a", "follow": true})).unwrap();
    d.signal(Signal::SIGTERM);
    let (bytes, missed) = collect(&mut client, 5000);
    assert_eq!((bytes, missed), (fs::read(d.home.join("o")).unwrap(), 0));
    assert_eq!(d.wait_exit(), 0);
}

/// A program that says this, and where to, and says it again at USR1.
fn talker(words: &str, options: &str) -> String {
    format!(
        "[program:a]\ncommand = sh -c 'trap \"echo {words}\" USR1; echo {words}; echo up >> {{dir}}/up; while :; do sleep 0.05; done'\n\
         startsecs = 0\n{options}\n"
    )
}

#[test]
fn after_a_reload_the_log_of_a_run_is_the_one_it_writes() {
    let d = Daemon::start(&talker("old", "stdout_logfile = {dir}/old.log"));
    d.wait_file("up");
    d.wait_file("old.log");
    d.home.configure(&talker("new", "stdout_logfile = {dir}/new.log"));
    assert_eq!(d.reload()["changed"], json!(["a"]));
    assert_eq!(tail(&d, "a", json!({})), "old\n");
    let mut client = d.client();
    assert_eq!(client.ask(&json!({"command": "tail", "name": "a", "follow": true})).unwrap()["data"], "old\n");
    assert_eq!(d.done("rotate", "a"), "Rotated the logs of a");
    assert_eq!((d.home.read("old.log"), d.home.read("old.log.1")), (String::new(), "old\n".to_owned()));
    assert_eq!(d.ctl(&["signal", "USR1", "a"]).code, 0);
    assert_eq!(collect(&mut client, 4).0, b"old\n");
    assert_eq!(d.ctl(&["clearlog", "a*"]).stdout, "Cleared the logs of a\n");
    assert_eq!((d.home.read("old.log"), d.home.read("old.log.1")), (String::new(), "old\n".to_owned()));
    assert!(!d.home.join("new.log").exists(), "nobody writes there yet");
    d.done("restart", "a");
    assert_eq!(collect(&mut client, 4).0, b"new\n", "whoever follows moves with the next run");
    assert_eq!(tail(&d, "a", json!({})), "new\n");
    d.home.configure(&talker("newer", "stdout_logfile = {dir}/newer.log"));
    d.reload();
    d.done("stop", "a");
    assert_eq!(tail(&d, "a", json!({})), "", "of what is down, the log of the next start");
}

#[test]
fn after_a_reload_a_rotation_keeps_as_many_files_as_it_says() {
    // It closes its output: nobody has the log open any more.
    let silent = |backups: u32| {
        format!(
            "[program:a]\ncommand = sh -c 'echo 1; exec >&- 2>&-; echo up >> {{dir}}/up; while :; do sleep 0.05; done'\n\
             startsecs = 0\nstdout_logfile = {{dir}}/o\nstdout_logfile_backups = {backups}\n"
        )
    };
    let d = Daemon::start(&silent(1));
    d.wait_file("up");
    d.wait_file("o");
    d.home.configure(&silent(3));
    assert_eq!(d.reload()["effects"][0]["now"], json!(["stdout_logfile_backups"]));
    for number in 1..=4 {
        d.done("rotate", "a");
        d.home.write("o", format!("{}\n", number + 1));
    }
    assert_eq!(["o.1", "o.2", "o.3", "o.4"].map(|name| d.home.read(name)), ["4\n", "3\n", "2\n", ""]);
}

#[test]
fn a_follower_of_stderr_finds_it_where_it_goes_after_a_reload() {
    let complains = |options: &str| {
        format!(
            "[program:a]\ncommand = {{actor}} --complain bad\nstartsecs = 0\nautostart = no\nstdout_logfile = {{dir}}/o\n{options}\n"
        )
    };
    let (apart, joined) = (complains("stderr_logfile = {dir}/e"), complains("redirect_stderr = yes"));
    let d = Daemon::start(&apart);
    let mut client = d.client();
    client.ask(&json!({"command": "tail", "name": "a", "stream": "stderr", "follow": true})).unwrap();
    for text in [&apart, &joined, &apart] {
        d.home.configure(text);
        d.reload();
        d.done("restart", "a");
        assert_eq!(collect(&mut client, 4).0, b"bad\n", "{text}");
    }
    assert_eq!((d.home.read("e").as_str(), d.home.read("o").as_str()), ("bad\nbad\n", "bad\n"));
}
