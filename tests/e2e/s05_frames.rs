//! The protocol itself: frames, codes, limits, and connections of every kind.

use crate::harness::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ONE: &str = "[program:a]\ncommand = {actor}\nstartsecs = 0\n";
const MEBIBYTE: usize = 1 << 20;

#[track_caller]
fn one() -> Daemon {
    let d = Daemon::start(ONE);
    d.wait_state("a", "RUNNING");
    d
}

/// The code of the reply to one frame.
#[track_caller]
fn code(d: &Daemon, body: &[u8]) -> String {
    let mut client = d.client();
    client.send_bytes(&frame(body)).unwrap();
    let reply = client.receive().unwrap_or_else(|problem| panic!("{problem}\n{}", d.story()));
    assert_eq!(reply["status"], "error", "{reply}");
    assert!(reply["message"].as_str().is_some_and(|message| !message.is_empty()), "{reply}");
    reply["code"].as_str().unwrap_or("").to_owned()
}

#[test]
fn row_44_bodies_that_are_refused() {
    let d = one();
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let just_too_deep =
        [b"{\"command\":\"status\",\"x\":".as_slice(), &b"[".repeat(64), &b"]".repeat(64), b"}"].concat();
    let bad_json: [&[u8]; 14] = [
        b"{",
        b"\xff\xfe",
        b"\xef\xbb\xbf{\"command\":\"status\"}",
        b"{\"command\":\"status\",\"command\":\"stop\"}",
        b"{\"command\":\"status\",\"comm\\u0061nd\":\"stop\"}",
        b"{\"command\":\"status\",\"x\":{\"a\":1,\"a\":2}}",
        b"{\"command\":\"status\",\"x\":NaN}",
        b"{\"command\":\"status\",\"x\":\"\\ud800\"}",
        b"{\"command\":\"status\",\"x\":\"\xff\"}",
        b"{\"command\":\"status\"} {}",
        b"\x00",
        &deep,
        &just_too_deep,
        b"nul",
    ];
    for body in bad_json {
        assert_eq!(code(&d, body), "INVALID_JSON", "{:?}", String::from_utf8_lossy(&body[..body.len().min(60)]));
    }
    let digits = b"9".repeat(MEBIBYTE - 10);
    assert!(["INVALID_JSON", "INVALID_REQUEST"].contains(&code(&d, &digits).as_str()));
    let bad_requests: [&[u8]; 12] = [
        b"[]",
        b"1",
        b"\"status\"",
        b"null",
        b"{\"command\":\"start\",\"name\":{}}",
        b"{\"command\":\"start\",\"name\":1}",
        b"{\"command\":\"restart\",\"name\":\"a\",\"force\":\"yes\"}",
        b"{\"command\":\"restart\",\"name\":\"a\",\"force\":1}",
        b"{\"command\":\"status\",\"names\":\"a\"}",
        b"{\"command\":\"status\",\"names\":[1]}",
        b"{\"command\":\"status\",\"id\":{}}",
        b"{\"command\":\"status\",\"id\":[1]}",
    ];
    for body in bad_requests {
        assert_eq!(code(&d, body), "INVALID_REQUEST", "{}", String::from_utf8_lossy(body));
    }
    for body in
        [&b"{}"[..], b"{\"command\":\"explode\"}", b"{\"command\":[]}", b"{\"command\":null}", b"{\"command\":\"\"}"]
    {
        assert_eq!(code(&d, body), "UNKNOWN_COMMAND", "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(code(&d, b""), "EMPTY_REQUEST");
    assert_eq!(d.state("a"), "RUNNING", "a request with two commands did something");
    d.assert_well();
}

#[test]
fn row_44_frames_that_are_too_large() {
    let d = one();
    for length in [MEBIBYTE as u32 + 1, u32::MAX] {
        let mut client = d.client();
        client.send_bytes(&length.to_be_bytes()).unwrap();
        let reply = client.receive().unwrap();
        assert_eq!(reply["code"], "MESSAGE_TOO_LARGE", "{reply}");
        assert!(client.is_closed());
    }
    let mut largest = b"{\"command\":\"status\"}".to_vec();
    largest.resize(MEBIBYTE, b' ');
    let mut client = d.client();
    client.send_bytes(&frame(&largest)).unwrap();
    assert_eq!(client.receive().unwrap()["status"], "ok", "exactly one mebibyte is allowed");
    d.assert_well();
}

#[test]
fn row_44_frames_cut_anywhere() {
    let d = one();
    let whole = frame(br#"{"command":"stop","name":"a"}"#);
    for length in 0..whole.len() {
        d.client().send_bytes(&whole[..length]).unwrap();
    }
    assert_eq!(d.state("a"), "RUNNING", "half a request was obeyed");
    let mut client = d.client();
    for byte in frame(br#"{"command":"status"}"#) {
        client.send_bytes(&[byte]).unwrap();
    }
    assert_eq!(client.receive().unwrap()["status"], "ok", "one byte at a time is a request too");
    d.assert_well();
}

#[test]
fn many_requests_on_one_connection() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n");
    d.wait_file("t");
    let mut client = d.client();
    for id in 0..200 {
        let reply = client.ask(&json!({"command": "status", "id": id})).unwrap();
        assert_eq!((&reply["status"], &reply["id"]), (&json!("ok"), &json!(id)));
    }
    // All at once: answered one after the other, each by its own reply.
    let orders = [("stop", "Stopped a"), ("start", "Started a"), ("restart", "Restarted a"), ("stop", "Stopped a")];
    let burst: Vec<u8> = orders
        .iter()
        .flat_map(|(command, words)| {
            frame(json!({"command": command, "name": "a", "id": words}).to_string().as_bytes())
        })
        .collect();
    client.send_bytes(&burst).unwrap();
    for (_, words) in orders {
        let reply = client.receive().unwrap();
        assert_eq!((&reply["message"], &reply["id"]), (&json!(words), &json!(words)), "{reply}");
    }
    assert_eq!(d.state("a"), "STOPPED");
}

#[test]
fn an_error_does_not_end_a_connection() {
    let d = one();
    let mut client = d.client();
    for body in [&b""[..], b"{", b"[]", b"{}", b"{\"command\":\"start\"}"] {
        client.send_bytes(&frame(body)).unwrap();
        assert_eq!(client.receive().unwrap()["status"], "error");
    }
    assert_eq!(client.ask(&json!({"command": "status"})).unwrap()["status"], "ok");
}

#[test]
fn ids_come_back_as_they_were() {
    let d = one();
    for id in [json!(7), json!("seven"), json!(18_446_744_073_709_551_615_u64), json!(-1)] {
        for request in [json!({"command": "status", "id": id}), json!({"command": "nonsense", "id": id})] {
            assert_eq!(d.ask(request)["id"], id);
        }
    }
    assert!(d.ask(json!({"command": "status"})).get("id").is_none());
    assert_eq!(d.ask(json!({"command": "status", "colour": "red"}))["status"], "ok", "unknown fields are ignored");
}

#[test]
fn a_half_closed_connection_still_gets_its_reply() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 1\nautostart = no\n");
    let mut client = d.begin(json!({"command": "start", "name": "a"}));
    client.close_writing();
    assert_eq!(client.receive().unwrap()["message"], "Started a");
    assert!(client.is_closed());
}

#[test]
fn row_42_an_unfinished_frame_is_closed_after_ten_seconds() {
    let d = one();
    let mut half = d.client();
    let mut idle = d.client();
    half.send_bytes(&[0, 0]).unwrap();
    let begun = Instant::now();
    half.patience(Duration::from_secs(60));
    assert!(half.is_closed() || half.receive().is_err(), "it is still open");
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(9), "{took:?}");
    assert_eq!(idle.ask(&json!({"command": "status"})).unwrap()["status"], "ok", "silence alone is no offence");
}

#[test]
fn row_42_one_connection_more_closes_the_one_idle_longest() {
    let d = one();
    let status = json!({"command": "status"});
    let mut clients: Vec<Client> = (0..256).map(|_| d.client()).collect();
    // Everyone is known to be accepted; the second was idle longest once the first has spoken again.
    for client in &mut clients {
        client.ask(&status).unwrap();
    }
    clients[0].ask(&status).unwrap();
    let mut fresh = d.client();
    assert_eq!(fresh.ask(&status).unwrap()["status"], "ok");
    assert!(clients[1].is_closed());
    assert_eq!(clients[0].ask(&status).unwrap()["status"], "ok");
    assert_eq!(clients[255].ask(&status).unwrap()["status"], "ok");
}

#[test]
fn row_42_a_thousand_slow_clients() {
    let d = one();
    let mut slow = Vec::new();
    for number in 0..1000 {
        let mut client = d.client();
        match number % 3 {
            0 => {}
            1 => drop(client.send_bytes(&[0, 0])),
            _ => drop(client.send_bytes(&frame(br#"{"command":"status"}"#)[..9])),
        }
        slow.push(client);
        if number % 100 == 99 {
            let begun = Instant::now();
            assert_eq!(d.state("a"), "RUNNING");
            assert!(begun.elapsed() < Duration::from_secs(20), "status took {:?}", begun.elapsed());
        }
    }
    let open = process::descriptors(d.pid()).len();
    assert!(open < 320, "{open} descriptors");
    drop(slow);
    let base = d.wait("the descriptors are given back", || {
        Some(process::descriptors(d.pid()).len()).filter(|&count| count < 40)
    });
    assert!(base < 40);
    d.assert_well();
}

#[test]
fn row_42_more_clients_than_descriptors() {
    let home = Home::new();
    home.configure(ONE);
    let mut command = home.command("prlimit");
    command.arg("--nofile=64:64").arg(supervice());
    let d = Daemon::launch_by(home, command);
    let silent: Vec<_> = (0..150).map(|_| d.client()).collect();
    for _ in 0..3 {
        let begun = Instant::now();
        d.rows();
        assert!(begun.elapsed() < Duration::from_secs(20), "status took {:?}", begun.elapsed());
    }
    drop(silent);
    d.assert_well();
}

#[test]
fn a_reply_that_would_be_too_large_names_the_way_out() {
    let name = "x".repeat(200);
    let d = Daemon::start(&format!("[program:{name}]\ncommand = {{actor}}\nautostart = no\nnumprocs = 5000\n"));
    let reply = d.ask(json!({"command": "status"}));
    assert_eq!(reply["code"], "MESSAGE_TOO_LARGE", "{}", &reply.to_string()[..200]);
    let message = reply["message"].as_str().unwrap();
    assert!(["names", "offset", "limit"].iter().all(|word| message.contains(word)), "{message}");
    let page = d.ask(json!({"command": "status", "offset": 4990, "limit": 100}));
    assert_eq!(page["processes"].as_array().unwrap().len(), 10);
    let table = d.ctl(&["status"]);
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert_eq!(table.stdout.lines().count(), 5002, "supervicectl pages");
}

#[test]
fn row_46_clients_that_vanish() {
    let d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n");
    d.wait_file("t");
    let before = d.home.pids("t").len();
    for _ in 0..100 {
        drop(d.begin(json!({"command": "restart", "name": "a"})));
    }
    // One that is served after all of them.
    assert_eq!(d.order("restart", "a")["message"], "Restarted a");
    d.wait("a run since", || (d.home.pids("t").len() > before).then_some(()));
    d.assert_well();
    d.wait("the descriptors are given back", || (process::descriptors(d.pid()).len() < 40).then_some(()));
}

#[test]
fn the_socket_is_private_from_its_first_moment() {
    use std::os::unix::fs::PermissionsExt;
    let d = one();
    let mode = std::fs::metadata(d.home.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(std::fs::metadata(d.home.join("d.pid")).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn another_user_is_denied() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return skip("DENIED", "needs root to be somebody else");
    }
    let home = Home::new();
    home.open_to_all();
    let d = Daemon::start_in(home, ONE);
    d.wait_state("a", "RUNNING");
    std::fs::set_permissions(d.home.socket(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let mut stranger = d.home.command("setpriv");
    stranger.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(d.home.join("actor"));
    let ran = run(stranger.arg("--ask").arg(d.home.socket()), DEADLINE);
    let reply: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}\n{}", d.story()));
    assert_eq!(reply["code"], "DENIED", "{reply}");
    assert_eq!(d.state("a"), "RUNNING");
    d.wait_log("65534");
}
