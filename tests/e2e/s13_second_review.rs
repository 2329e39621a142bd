//! What somebody found who tried by hand what moves while something else is under way.

use crate::harness::{Client, Daemon, Home, Ran, run, supervicectl};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;

const DEAF: &str =
    "[program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/t\nstartsecs = 0\nstopwaitsecs = 500\n";
const WEB: &str = "[program:web]\ncommand = {actor}\nstartsecs = 0\n";

#[test]
fn whoever_comes_during_a_shutdown_gets_an_answer_or_finds_nobody() {
    for _ in 0..15 {
        let mut d = Daemon::start(WEB);
        d.wait_state("web", "RUNNING");
        d.signal(Signal::SIGTERM);
        // From the first look to the last there is a socket that answers, or none.
        while let Ok(mut client) = Client::connect(&d.home.socket()) {
            if let Err(problem) = client.ask(&json!({"command": "status"})) {
                panic!("{problem}\n{}", d.story());
            }
        }
        assert_eq!(d.wait_exit(), 0, "{}", d.story());
    }
}

#[test]
fn a_removed_program_that_does_not_go_can_be_seen_and_signalled() {
    let d = Daemon::start(&format!("{DEAF}{WEB}"));
    d.wait_file("t");
    let pid = d.pid_of("deaf").to_string();
    d.home.configure(WEB);
    let mut reload = d.begin(json!({"command": "reload"}));
    d.wait_state("deaf", "STOPPING");
    for (arguments, expected) in [
        (&["status", "deaf"][..], "STOPPING"),
        (&["status", "d*"], "STOPPING"),
        (&["pid", "deaf"], pid.as_str()),
        (&["why", "deaf"], "deaf is STOPPING"),
    ] {
        let ran = d.ctl(arguments);
        assert!(ran.code == 0 && ran.stdout.contains(expected), "{arguments:?}: {ran:?}");
    }
    assert_eq!(d.ctl(&["start", "deaf"]).stderr, "Process not found\n", "it does not come back");
    assert_eq!(d.ctl(&["signal", "KILL", "deaf"]).code, 0);
    assert_eq!(reload.receive().unwrap()["removed"], json!(["deaf"]));
    assert_eq!(d.ctl(&["status", "deaf"]).code, 1);
    d.assert_well();
}

#[test]
fn a_shorter_time_to_stop_reaches_a_stop_under_way() {
    let d = Daemon::start(DEAF);
    d.wait_file("t");
    let mut stop = d.begin(json!({"command": "stop", "name": "deaf"}));
    d.wait_state("deaf", "STOPPING");
    d.home.configure(&DEAF.replace("stopwaitsecs = 500", "stopwaitsecs = 0.2"));
    assert_eq!(d.reload()["changed"], json!(["deaf"]));
    assert_eq!(stop.receive().unwrap()["message"], "Stopped deaf");
}

#[test]
fn an_update_restarts_what_an_earlier_reload_left_waiting() {
    let d = Daemon::start(&format!("{WEB}{}", WEB.replace("web", "other")));
    d.wait_all("RUNNING");
    let [web, other] = ["web", "other"].map(|name| d.pid_of(name));
    d.home.configure(&format!("{WEB}umask = 027\n{}", WEB.replace("web", "other")));
    assert_eq!(d.reload()["changed"], json!(["web"]));
    assert_eq!(d.ctl(&["update", "other"]).code, 0);
    assert_eq!((d.pid_of("web"), d.pid_of("other")), (web, other));
    let ran = d.ctl(&["update"]);
    assert!(ran.code == 0 && ran.stdout.contains("Restarted web"), "{ran:?}");
    assert_ne!(d.pid_of("web"), web);
    let again = d.pid_of("web");
    assert_eq!(d.ctl(&["update"]).code, 0);
    assert_eq!((d.pid_of("web"), d.pid_of("other")), (again, other), "once is enough");
}

#[test]
fn a_signal_that_went_nowhere_is_not_in_the_history() {
    let d = Daemon::start("[program:bad]\ncommand = {actor} --exit 1\nstartretries = 0\n");
    d.wait_state("bad", "FATAL");
    assert_eq!(d.ctl(&["signal", "HUP", "bad"]).code, 1);
    let story = d.ctl(&["why", "bad"]).stdout;
    assert!(!story.contains("SIGHUP") && story.contains("given up after 1 failed attempt\n"), "{story}");
}

#[test]
fn what_is_ill_is_told_quietly_as_well() {
    let d = Daemon::start(&format!("{WEB}{}autostart = no\n", WEB.replace("web", "idle")));
    d.wait_state("web", "RUNNING");
    for arguments in [&["-q", "health"][..], &["-q", "status", "--check"]] {
        let ran = d.ctl(arguments);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", "idle is STOPPED\n"), "{arguments:?}");
    }
}

/// A server that knows no `names`, as Python's, and tells of everybody.
fn asked_of_an_old_daemon(arguments: &[&str]) -> Ran {
    use std::io::{Read, Write};
    let home = Home::new();
    let listener = std::os::unix::net::UnixListener::bind(home.socket()).unwrap();
    let server = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), [0; 4]);
            if stream.read_exact(&mut head).is_err() {
                return;
            }
            let mut body = vec![0; u32::from_be_bytes(head) as usize];
            stream.read_exact(&mut body).unwrap();
            let row = |name: &str, pid: u32| json!({"name": name, "state": "RUNNING", "pid": pid, "uptime": 1, "healthy": true});
            let reply = json!({"status": "ok", "processes": [row("web", 11), row("other", 12)]}).to_string();
            let length = u32::try_from(reply.len()).unwrap();
            stream.write_all(&[&length.to_be_bytes(), reply.as_bytes()].concat()).unwrap();
        }
    });
    let mut command = home.command(supervicectl());
    let ran = run(command.arg("-s").arg(home.socket()).args(arguments), Duration::from_secs(60));
    drop(std::os::unix::net::UnixStream::connect(home.socket()).unwrap());
    server.join().unwrap();
    ran
}

#[test]
fn only_those_are_shown_who_were_asked_for_whatever_the_daemon_tells() {
    let ran = asked_of_an_old_daemon(&["pid", "other"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "12\n"), "{ran:?}");
    let ran = asked_of_an_old_daemon(&["status", "nobody"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", "Process not found\n"));
}
