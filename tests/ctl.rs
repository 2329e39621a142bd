//! The real `supervicectl` against a pretended daemon: what it sends, what it prints where, how it ends, and that it
//! never waits longer than it was told to.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use supervice::wire::{Decoder, encode_frame};
use tempfile::TempDir;

/// Far longer than anything here takes; only a fault reaches it.
const PATIENCE: &str = "30";

/// A socket on which each connection is served by a closure, one after the other.
struct Daemon {
    folder: TempDir,
    frames: Receiver<Vec<u8>>,
}

impl Daemon {
    fn serving(mut serve: impl FnMut(UnixStream, Vec<u8>) + Send + 'static) -> Daemon {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("sock")).unwrap();
        let (sender, frames) = channel();
        // Ends with the test's process: a listener has nothing to clean up.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(frame) = read_frame(&mut stream) else { continue };
                let _ = sender.send(frame.clone());
                serve(stream, frame);
            }
        });
        Daemon { folder, frames }
    }

    fn answering(mut answer: impl FnMut(&Value) -> Value + Send + 'static) -> Daemon {
        Daemon::serving(move |mut stream, frame| {
            let reply = answer(&serde_json::from_slice(&frame).unwrap());
            stream.write_all(&framed(reply.to_string().as_bytes())).unwrap();
        })
    }

    fn replying(reply: Value) -> Daemon {
        Daemon::answering(move |_| reply.clone())
    }

    /// Sends these bytes and closes, or keeps the connection until the client goes.
    fn sending(bytes: &[u8], close: bool) -> Daemon {
        let bytes = bytes.to_vec();
        Daemon::serving(move |mut stream, _| {
            let _ = stream.write_all(&bytes);
            if !close {
                let _ = stream.read(&mut [0]);
            }
        })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    fn run(&self, line: &str) -> Ended {
        ctl(&self.socket(), line)
    }
}

fn read_frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        decoder.push(&chunk[..count]);
        if let Some(frame) = decoder.pull() {
            return frame.ok();
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(body, &mut frame).unwrap();
    frame
}

/// How a run of `supervicectl` ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn new(code: i32, stdout: &str, stderr: &str) -> Ended {
        Ended { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supervicectl"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn bare(arguments: &[&str]) -> Ended {
    command(arguments).output().unwrap().into()
}

fn ctl(socket: &Path, line: &str) -> Ended {
    let mut arguments = vec!["-s", socket.to_str().unwrap(), "--timeout", PATIENCE];
    arguments.extend(line.split_whitespace());
    bare(&arguments)
}

#[test]
fn each_command_is_one_frame_as_python_words_it() {
    let daemon = Daemon::replying(json!({"status": "ok", "message": "Fine"}));
    for (line, frame) in [
        ("status", r#"{"command":"status"}"#),
        ("start web:00", r#"{"command":"start","name":"web:00"}"#),
        ("stop é\"\\", r#"{"command":"stop","name":"é\"\\"}"#),
        ("restart web", r#"{"command":"restart","name":"web","force":false}"#),
        ("restart web --force", r#"{"command":"restart","name":"web","force":true}"#),
        ("startgroup all", r#"{"command":"startgroup","name":"all"}"#),
        ("stopgroup all", r#"{"command":"stopgroup","name":"all"}"#),
        ("reload", r#"{"command":"reload"}"#),
    ] {
        assert_eq!(daemon.run(line).code, Some(0), "{line}");
        assert_eq!(String::from_utf8(daemon.frames.recv().unwrap()).unwrap(), frame);
    }
    assert!(daemon.frames.try_recv().is_err(), "one request each");
}

#[test]
fn what_was_done_goes_to_stdout() {
    let daemon = Daemon::replying(json!({"status": "ok", "message": "Started \u{1b}[31mweb"}));
    assert_eq!(daemon.run("start web"), Ended::new(0, "Started \\x1b[31mweb\n", ""));
    let silent = Daemon::replying(json!({"status": "ok"}));
    assert_eq!(silent.run("stop web"), Ended::new(0, "Done\n", ""));
    let lists = json!({"status": "ok", "added": ["a", "b"], "removed": ["c"], "changed": ["d"]});
    let text = "Added: a, b\nRemoved: c\nChanged (restart to apply): d\n";
    assert_eq!(Daemon::replying(lists).run("reload"), Ended::new(0, text, ""));
    let none = json!({"status": "ok", "added": [], "removed": [], "changed": []});
    assert_eq!(Daemon::replying(none).run("reload"), Ended::new(0, "No changes detected\n", ""));
}

#[test]
fn what_failed_goes_to_stderr_with_its_reason() {
    let reply = |message: &str| json!({"status": "error", "message": message});
    for line in ["status", "start a", "stop a", "restart a", "startgroup a", "stopgroup a", "reload"] {
        assert_eq!(Daemon::replying(reply("No\u{7}")).run(line), Ended::new(1, "", "No\\x07\n"), "{line}");
    }
    assert_eq!(Daemon::replying(reply("x.conf:1: a\nx.conf:2: b")).run("reload").stderr, "x.conf:1: a\nx.conf:2: b\n");
    let mut reasoned = reply("web did not reach RUNNING (state: BACKOFF)");
    reasoned["reason"] = json!("exited with code 3");
    let stderr = "web did not reach RUNNING (state: BACKOFF)\nreason: exited with code 3\n";
    assert_eq!(Daemon::replying(reasoned).run("start web"), Ended::new(1, "", stderr));
    let speechless = json!({"status": "error", "code": "DENIED"});
    assert_eq!(Daemon::replying(speechless).run("start web"), Ended::new(1, "", "Failed (DENIED)\n"));
}

#[test]
fn usage() {
    let nothing = bare(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(2), ""));
    assert!(nothing.stderr.starts_with("usage: supervicectl ") && nothing.stderr.contains("startgroup GROUP"));
    assert_eq!(bare(&["--help"]), Ended::new(0, &nothing.stderr, ""));
    assert_eq!(bare(&["status", "-h"]), Ended::new(0, &nothing.stderr, ""));
    assert_eq!(bare(&["--version"]), Ended::new(0, &format!("supervicectl {}\n", env!("CARGO_PKG_VERSION")), ""));
    for wrong in
        [&["explode"][..], &["start"], &["startgroup", "a", "b"], &["--timeout", "0", "status"], &["-x", "status"]]
    {
        let ended = bare(wrong);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("usage: ") && lines[1].starts_with("supervicectl: error: "));
    }
}

#[test]
fn a_daemon_that_is_not_there() {
    let not_running = Ended::new(1, "", "Supervice is not running (socket not found)\n");
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    drop(UnixListener::bind(path("stale")).unwrap());
    for name in ["missing", "stale", "no/folder"] {
        for line in ["status", "start web", "reload"] {
            assert_eq!(ctl(&path(name), line), not_running, "{name} {line}");
        }
    }
}

#[test]
fn a_path_that_is_no_socket_is_called_what_it_is() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, found) in [("file", "a file"), ("folder", "a folder"), ("pipe", "a named pipe")] {
        for line in ["status", "start web", "reload"] {
            let stderr = format!("{} is {found}, not a socket\n", path(name).display());
            assert_eq!(ctl(&path(name), line), Ended::new(1, "", &stderr));
        }
    }
    let told: Value = serde_json::from_str(&ctl(&path("file"), "status --json").stdout).unwrap();
    assert_eq!(told["code"], "NOT_A_SOCKET");
}

#[test]
fn what_no_daemon_could_do_is_wrong_usage() {
    for socket in [String::new(), format!("/{}", "x".repeat(200))] {
        let ended = bare(&["-s", &socket, "status"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
        assert!(ended.stderr.contains("supervicectl: error: --socket: "), "{ended:?}");
    }
    let refusing = Daemon::replying(json!({"status": "error", "message": "more than 64", "code": "INVALID_REQUEST"}));
    for line in ["signal NOTHING web", "status *", "tail web", "events", "top x*", "signal NOTHING web --json"] {
        assert_eq!(refusing.run(line).code, Some(2), "{line}");
    }
}

#[test]
fn a_request_that_is_too_large_is_called_so() {
    let daemon = Daemon::replying(json!({"status": "ok"}));
    let name = "x".repeat(100_000);
    let mut arguments = vec!["-s", daemon.folder.path().to_str().unwrap(), "stop"];
    let socket = daemon.socket();
    arguments[1] = socket.to_str().unwrap();
    arguments.extend([name.as_str(); 11]);
    let ended = bare(&arguments);
    let told = "The request is too large: 1100";
    assert!(ended.code == Some(2) && ended.stderr.starts_with(told) && ended.stdout.is_empty(), "{ended:?}");
    arguments.push("--json");
    let ended: Value = serde_json::from_str(&bare(&arguments).stdout).unwrap();
    assert_eq!(ended["code"], "MESSAGE_TOO_LARGE");
}

#[test]
fn what_is_no_reply_is_an_error_and_no_wait() {
    let ended = "The connection was closed before the reply was complete\n";
    let whole = framed(br#"{"status":"ok","message":"Fine"}"#);
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (vec![], ended),
        (whole[..3].to_vec(), ended),
        (whole[..4].to_vec(), ended),
        (whole[..whole.len() - 1].to_vec(), ended),
        (framed(b""), "Not a reply of supervice: EOF while parsing a value at line 1 column 0\n"),
        (framed(b"[[[["), "Not a reply of supervice: "),
        (framed(b"\xff\xfe"), "Not a reply of supervice: "),
        (framed(b"{}"), "Not a reply of supervice: no status in it, but \"\"\n"),
        (framed(br#"{"status":"\u001b[2J"}"#), "Not a reply of supervice: no status in it, but "),
        (framed(br#"{"status":"ok","processes":"all"}"#), "Not a reply of supervice: invalid type"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "Message too large: 1213486160 bytes (max 1048576)\n"),
        ([0, 16, 0, 1].to_vec(), "Message too large: 1048577 bytes (max 1048576)\n"),
    ];
    for (bytes, stderr) in rows {
        // The last two need no end of the connection to be seen through.
        let close = !stderr.starts_with("Message");
        let outcome = Daemon::sending(&bytes, close).run("status");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(outcome.stderr.starts_with(stderr), "{bytes:?}: {}", outcome.stderr);
        assert!(outcome.stderr.ends_with('\n') && !outcome.stderr.contains('\x1b'));
    }
}

/// Runs with a short timeout; it must be kept from both sides.
fn times_out(socket: &Path) {
    let start = Instant::now();
    let ended = bare(&["-s", socket.to_str().unwrap(), "status", "--timeout", "0.4"]);
    let waited = start.elapsed();
    let stderr = format!("No response from supervice within 0.4s (socket: {})\n", socket.display());
    assert_eq!(ended, Ended::new(1, "", &stderr));
    assert!(waited >= Duration::from_millis(400) && waited < Duration::from_secs(10), "{waited:?}");
}

#[test]
fn the_timeout_holds_against_a_silent_daemon() {
    let whole = framed(br#"{"status":"ok","message":"Fine"}"#);
    times_out(&Daemon::sending(&[], false).socket());
    times_out(&Daemon::sending(&whole[..whole.len() - 1], false).socket());
}

#[test]
fn the_timeout_is_for_the_whole_call_not_for_each_byte() {
    let daemon = Daemon::serving(|mut stream, _| {
        let _ = stream.write_all(&[0, 0, 255, 255]);
        for _ in 0..500 {
            let _ = stream.write_all(b" ");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    times_out(&daemon.socket());
}

#[test]
fn the_timeout_holds_against_a_daemon_that_accepts_nobody() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let backlog = nix::sys::socket::Backlog::new(0).unwrap();
    nix::sys::socket::listen(&listener, backlog).unwrap();
    let mut queued = Vec::new();
    // Until the backlog is full; it holds one more than it says.
    let full = loop {
        let deadline = supervice::sys::connect::Deadline::after(Duration::from_millis(50));
        match supervice::sys::connect::connect(&path, deadline) {
            Ok(stream) => queued.push(stream),
            Err(error) => break error,
        }
        assert!(queued.len() < 10);
    };
    assert_eq!(full.kind(), std::io::ErrorKind::TimedOut);
    times_out(&path);
}

#[test]
fn a_daemon_that_answers_without_reading_is_heard() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&framed(br#"{"status":"error","message":"Go away","code":"DENIED"}"#)).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 4096]);
    });
    assert_eq!(ctl(&path, "start web"), Ended::new(1, "", "Go away\n"));
}

#[test]
fn a_status_above_one_reply_is_fetched_in_pages() {
    let names: Vec<String> = (0..10_000).map(|n| format!("worker:{n:04}")).collect();
    let all = names.clone();
    let daemon = Daemon::answering(move |request| {
        let number = |field: &str| request[field].as_u64().map(|n| n as usize);
        let offset = number("offset").unwrap_or(0);
        match number("limit") {
            Some(limit) if limit <= 1500 => {
                let page = all.iter().skip(offset).take(limit);
                let rows = page.map(|name| json!({"name": name, "state": "STOPPED", "pid": null}));
                json!({"status": "ok", "processes": rows.collect::<Vec<_>>()})
            }
            _ => json!({"status": "error", "code": "MESSAGE_TOO_LARGE", "message": "too large"}),
        }
    });
    let ended = daemon.run("status");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let shown: Vec<&str> = ended.stdout.lines().skip(2).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(shown, names);
}

#[test]
fn a_status_that_is_too_large_in_any_size_is_an_error() {
    let reply = json!({"status": "error", "code": "MESSAGE_TOO_LARGE", "message": "too large"});
    assert_eq!(Daemon::replying(reply).run("status"), Ended::new(1, "", "too large\n"));
}

/// As Python's daemon: one name in a request, and a status of everybody.
fn pythons() -> Daemon {
    Daemon::answering(|request| {
        let row = |name: &str| json!({"name": name, "state": "RUNNING", "pid": 7});
        match (request["command"].as_str().unwrap(), request["name"].as_str()) {
            ("status", _) => json!({"status": "ok", "processes": [row("a"), row("b"), row("web:00")]}),
            ("start" | "stop" | "restart", Some(name @ ("a" | "b" | "web:00"))) => {
                json!({"status": "ok", "message": format!("Did it to {name}")})
            }
            ("start", Some("broken" | "w")) => json!({"status": "error", "message": "Spawn failed"}),
            ("start" | "stop" | "restart", _) => json!({"status": "error", "message": "Process not found"}),
            (other, _) => {
                json!({"status": "error", "code": "UNKNOWN_COMMAND", "message": format!("Unknown command: {other}")})
            }
        }
    })
}

#[test]
fn a_daemon_of_python_gets_several_names_one_by_one() {
    let daemon = pythons();
    assert_eq!(daemon.run("start a b"), Ended::new(0, "Did it to a\nDid it to b\n", ""));
    assert_eq!(
        daemon.run("stop a nobody b"),
        Ended::new(1, "Did it to a\nDid it to b\n", "Process not found: nobody\n")
    );
    assert_eq!(daemon.run("start a broken"), Ended::new(1, "Did it to a\n", "broken: Spawn failed\n"));
    assert_eq!(daemon.run("start a w").stderr, "w: Spawn failed\n", "a name is a word of its own");
    assert_eq!(daemon.run("restart --force a a"), Ended::new(0, "Did it to a\n", ""));
    assert_eq!(daemon.run("stop all"), Ended::new(0, "Did it to a\nDid it to b\nDid it to web:00\n", ""));
    let told: Value = serde_json::from_str(&daemon.run("start a x --json").stdout).unwrap();
    let fine = json!({"name": "a", "status": "ok", "message": "Did it to a"});
    let unknown = json!({"name": "x", "status": "error", "message": "Process not found: x", "code": "NOT_FOUND"});
    assert_eq!(told, json!({"status": "error", "code": "FAILED", "results": [fine, unknown]}));
    assert_eq!(daemon.run("pid all"), Ended::new(0, "7\n7\n7\n", ""));
    let table = daemon.run("status b a");
    let names: Vec<&str> = table.stdout.lines().skip(2).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((table.code, names), (Some(0), vec!["b", "a"]));
    let told: Value = serde_json::from_str(&daemon.run("status a --json").stdout).unwrap();
    assert_eq!(told["processes"].as_array().unwrap().len(), 1);
    assert_eq!(daemon.run("status x").stderr, "Process not found\n");
    let partly = daemon.run("pid x a");
    assert_eq!(partly, Ended::new(1, "7\n", "Process not found: x\n"));
}

#[test]
fn a_daemon_of_python_is_not_said_to_have_done_what_it_does_not_know() {
    let daemon = pythons();
    for line in
        ["start web*", "stop a group:g", "restart web:0?", "status web*", "health group:g", "pid a web*", "tail w*"]
    {
        let pattern = line.split(' ').find(|word| word.contains(['*', '?', ':'])).unwrap();
        let stderr = format!("This daemon knows plain names only, not {pattern}\n");
        let ended = daemon.run(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{line}");
        assert!(ended.stderr.ends_with(&stderr), "{line}: {ended:?}");
    }
    assert!(daemon.run("status web* --json").stdout.contains("UNSUPPORTED"));
    for line in ["update", "wait a=running", "signal HUP a b", "tail a", "rotate a b", "why a", "shutdown", "info"] {
        let ended = daemon.run(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{line}");
        assert!(ended.stderr.starts_with("Unknown command: "), "{line}: {ended:?}");
    }
}

#[test]
fn who_fails_a_health_check_is_not_well() {
    let row = |name: &str, healthy: Value| json!({"name": name, "state": "RUNNING", "pid": 7, "healthy": healthy});
    let mixed = Daemon::replying(json!({"status": "ok", "processes": [row("a", json!(true)), row("b", json!(false))]}));
    assert_eq!(mixed.run("health"), Ended::new(1, "b is RUNNING, its health check fails\n", ""));
    assert_eq!(mixed.run("status --check").code, Some(1));
    assert_eq!(mixed.run("status").code, Some(0));
    let fine = Daemon::replying(json!({"status": "ok", "processes": [row("a", json!(true)), row("b", Value::Null)]}));
    assert_eq!(fine.run("health"), Ended::new(0, "2 processes are well\n", ""));
}

#[test]
fn the_pages_of_a_status_are_one_object() {
    let daemon = Daemon::answering(|request| match request["limit"].as_u64() {
        Some(limit) => {
            let offset = request["offset"].as_u64().unwrap_or(0);
            let page = (offset..(offset + limit).min(5000)).map(|n| json!({"name": n.to_string(), "further": n}));
            json!({"status": "ok", "processes": page.collect::<Vec<_>>()})
        }
        None => json!({"status": "error", "code": "MESSAGE_TOO_LARGE", "message": "too large"}),
    });
    let told: Value = serde_json::from_str(&daemon.run("status --json").stdout).unwrap();
    assert_eq!(told["processes"].as_array().unwrap().len(), 5000);
    assert_eq!(told["processes"][4999]["further"], 4999);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let rows: Vec<Value> =
        (0..9000).map(|n| json!({"name": format!("p{n}"), "state": "STOPPED", "pid": null})).collect();
    let daemon = Daemon::replying(json!({"status": "ok", "processes": rows}));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut ctl = command(&["-s", daemon.socket().to_str().unwrap(), "status"]);
    let child = ctl.stdout(OwnedFd::from(writer)).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(Ended::from(child.wait_with_output().unwrap()), Ended::new(0, "", ""));
}

#[test]
fn pieces_that_come_together_are_shown_together() {
    let pieces = [json!({"status": "ok", "data": "one\n"}), json!({"data": "two\n"}), json!({"data": "three\n"})];
    let daemon = Daemon::sending(&pieces.map(|piece| framed(piece.to_string().as_bytes())).concat(), false);
    let mut ctl = command(&["-s", daemon.socket().to_str().unwrap(), "tail", "-f", "web"]);
    let mut child = ctl.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let (sender, shown) = channel();
    std::thread::spawn(move || {
        let mut text = [0; 14];
        out.read_exact(&mut text).unwrap();
        sender.send(text)
    });
    let text = shown.recv_timeout(Duration::from_secs(30));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(text.as_ref().map(|text| &text[..]), Ok(&b"one\ntwo\nthree\n"[..]));
}

#[test]
fn who_follows_for_a_reader_that_has_gone_ends() {
    let event = json!({"number": 1, "at": "now", "event": "PROCESS_SPAWNED", "processname": "web"});
    let answer = json!({"status": "ok", "data": "line\n", "last": 1, "events": [event]});
    let daemon = Daemon::sending(&framed(answer.to_string().as_bytes()), false);
    for line in ["tail -f web", "maintail -f", "events -f"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut ctl = command(&["-s", daemon.socket().to_str().unwrap()]);
        let mut child = ctl.args(line.split(' ')).stdout(OwnedFd::from(writer)).spawn().unwrap();
        // Our own copy of the end that is written to.
        drop(ctl);
        reader.read_exact(&mut [0]).unwrap();
        drop(reader);
        let end = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{line}");
    }
}

#[test]
fn a_full_disk_below_stdout_is_a_failure() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full here");
        return;
    }
    let daemon = Daemon::answering(|request| match request["command"].as_str() {
        Some("tail" | "maintail") => json!({"status": "ok", "data": "line\n"}),
        Some("events") => json!({"status": "error", "message": "No"}),
        _ => {
            let rows = json!([{"name": "a", "state": "STOPPED", "pid": null}]);
            let info = json!({"version": env!("CARGO_PKG_VERSION")});
            json!({"status": "ok", "message": "m", "processes": rows, "info": info, "metrics": "m\n"})
        }
    });
    let lines = "--help;--version;--man;help stop;completion bash;status;status --json;start a;start --json;tail a;maintail;\
                 events --json;metrics;info;pid;version;health;top;top --json;why a";
    for line in lines.split(';') {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut ctl = command(&["-s", daemon.socket().to_str().unwrap()]);
        let child = ctl.args(line.split(' ')).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended, Ended::new(1, "", "Cannot write: No space left on device (os error 28)\n"), "{line}");
    }
}

/// What Python supervice 0.4.2 prints for a status, in few words.
const PYTHON: &str = r#"
import json, sys
def clock(s):
    if s is None: return "-"
    h, r = divmod(s, 3600); m, s = divmod(r, 60)
    return "%d:%02d:%02d" % (h, m, s) if h > 0 else "%d:%02d" % (m, s)
for line in sys.stdin:
    rows = json.loads(line)
    has_health = any("healthy" in p for p in rows); has_uptime = any("uptime" in p for p in rows)
    header = f"{'NAME':<20} {'STATE':<10} {'PID':<10}"; rule = 40
    if has_uptime: header += f" {'UPTIME':<12}"; rule += 12
    if has_health: header += f" {'HEALTH':<10}"; rule += 10
    print(header); print("-" * rule)
    for p in rows:
        pid = p.get("pid") or "-"
        line = f"{p['name']:<20} {p['state']:<10} {pid:<10}"
        if has_uptime: line += f" {clock(p.get('uptime')):<12}"
        if has_health:
            h = p.get("healthy")
            line += f" {'-' if h is None else 'OK' if h else 'FAIL':<10}"
        print(line)
"#;

fn python(rows: &Value) -> Option<String> {
    let mut python = Command::new("python3");
    let mut child = python.args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(rows.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_table_is_pythons_to_the_byte_where_names_are_not_long() {
    let down = json!({"name": "worker:00", "state": "STOPPED", "pid": null});
    let up = json!({"name": "webapp", "state": "RUNNING", "pid": 12345, "uptime": 5025});
    let well = json!({"name": "a", "state": "RUNNING", "pid": 4194304, "uptime": 0, "healthy": true});
    let ill = json!({"name": "exactly-twenty-chars", "state": "UNHEALTHY", "pid": 2, "uptime": 3600, "healthy": false});
    let checked = json!({"name": "é ü", "state": "FATAL", "pid": null, "healthy": false, "reason": "x", "attempts": 4});
    for rows in [json!([]), json!([down]), json!([down, up]), json!([up, well, ill, down]), json!([checked, down])] {
        let Some(expected) = python(&rows) else {
            println!("skipped: no python3 here");
            return;
        };
        let daemon = Daemon::replying(json!({"status": "ok", "processes": rows}));
        assert_eq!(daemon.run("status"), Ended::new(0, &expected, ""));
    }
}

/// A daemon that listens as another user and says that all is well.
const STRANGER: &str = r#"
import os, socket, struct, sys
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); s.listen()
print("listening", flush=True)
while True:
    c, _ = s.accept()
    n = c.recv(4)
    if len(n) == 4:
        c.recv(struct.unpack(">I", n)[0])
        body = b'{"status":"ok","message":"believed"}'
        c.sendall(struct.pack(">I", len(body)) + body)
    else:
        print("no request", flush=True)
    c.close()
"#;

/// Where `folder` has these rights, asks a daemon of user nobody in it. `None` where that cannot be set up.
fn ask_a_stranger(mode: u32) -> Option<(PathBuf, Ended)> {
    use std::os::unix::fs::{PermissionsExt, chown};
    let root = TempDir::new().unwrap();
    let folder = root.path().join("run");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(&folder, Some(65534), Some(65534)).ok()?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    let socket = folder.join("sock");
    let mut python = Command::new("python3");
    python.args(["-c", STRANGER, socket.to_str().unwrap()]).stdout(Stdio::piped());
    let mut child = python.spawn().ok()?;
    let mut ready = [0; 10];
    let listens = child.stdout.as_mut().unwrap().read_exact(&mut ready).is_ok();
    let ended = listens.then(|| ctl(&socket, "start web"));
    child.kill().unwrap();
    child.wait().unwrap();
    Some((socket, ended?))
}

#[test]
fn a_stranger_in_a_folder_that_others_may_write_is_not_believed() {
    for mode in [0o1777, 0o777, 0o775] {
        let Some((socket, ended)) = ask_a_stranger(mode) else {
            println!("skipped: needs root and python3");
            return;
        };
        let stderr = format!("Not trusted: uid 65534 listens on {}, which lies in", socket.display());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.starts_with(&stderr), "{}", ended.stderr);
    }
    // In a folder of its own it is the daemon that was asked for.
    let (_, ended) = ask_a_stranger(0o755).unwrap();
    assert_eq!(ended, Ended::new(0, "believed\n", ""));
}

#[test]
fn version_warns_when_the_sides_differ() {
    let own = env!("CARGO_PKG_VERSION");
    let told = |version: &str| Daemon::replying(json!({"status": "ok", "info": {"version": version}})).run("version");
    let same = told(own);
    assert_eq!(
        (same.code, same.stdout, same.stderr),
        (Some(0), format!("supervicectl {own}\nsupervice {own}\n"), String::new())
    );
    let other = told("9.9");
    assert_eq!((other.code, other.stdout), (Some(0), format!("supervicectl {own}\nsupervice 9.9\n")));
    assert_eq!(other.stderr, format!("The daemon is of another version: 9.9, and this is {own}\n"));
    let old =
        Daemon::replying(json!({"status": "error", "message": "Unknown command: info", "code": "UNKNOWN_COMMAND"}));
    let old = old.run("version");
    assert_eq!((old.code, old.stdout), (Some(1), format!("supervicectl {own}\n")));
    assert!(old.stderr.ends_with("The daemon does not tell its version\n"), "{}", old.stderr);
}
