//! HTTP checks.

use super::{checked, first_message, message_of, servers, verbose};
use crate::harness::{Daemon, process};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

fn http(port: u16) -> String {
    format!("healthcheck_type = http\nhealthcheck_url = http://127.0.0.1:{port}/up\nhealthcheck_timeout = 1")
}

fn told_of(port: u16) -> String {
    let told = first_message(&http(port));
    let subject = format!("HTTP GET http://127.0.0.1:{port}/up ");
    told.strip_prefix(&subject).unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn a_status_from_200_to_399_is_healthy() {
    assert_eq!(told_of(servers::answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), "answered 200");
    assert_eq!(told_of(servers::answers("HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")), "answered 302");
}

#[test]
fn any_other_is_not() {
    let told = told_of(servers::answers("HTTP/1.1 500 Internal Server Error\r\n\r\n"));
    assert_eq!(told, "answered 500 (200-399 is healthy)");
    let told = told_of(servers::answers("HTTP/1.1 404 Not Found\r\n\r\n"));
    assert_eq!(told, "answered 404 (200-399 is healthy)");
}

#[test]
fn the_statuses_can_be_narrowed() {
    let port = servers::answers("HTTP/1.1 302 Found\r\n\r\n");
    let told = first_message(&format!("{}\nhealthcheck_status = 200,204-206", http(port)));
    assert!(told.ends_with("answered 302 (200,204-206 is healthy)"), "{told}");
}

#[test]
fn the_request_is_one_that_servers_know() {
    let (tell, heard) = mpsc::channel();
    let (port, _) = servers::serve(move |mut stream| {
        let _ = tell.send(servers::request(&mut stream));
    });
    let daemon = Daemon::start(&checked(
        "p",
        &format!("healthcheck_type = http\nhealthcheck_port = {port}\nhealthcheck_path = /a?b=%20"),
    ));
    let request = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    let mut lines = request.lines();
    assert_eq!(lines.next(), Some("GET /a?b=%20 HTTP/1.1"));
    assert_eq!(lines.next(), Some(format!("Host: 127.0.0.1:{port}").as_str()));
    assert!(
        request.contains("\r\nConnection: close\r\n") && request.contains("\r\nUser-Agent: supervice/"),
        "{request}"
    );
    drop(daemon);
}

#[test]
fn who_refuses_or_resets_is_told_apart() {
    assert_eq!(told_of(servers::closed_port()), "refused");
    assert_eq!(told_of(servers::resetting()), "reset the connection");
    assert_eq!(
        told_of(servers::serve(|mut stream| drop(servers::request(&mut stream))).0),
        "closed the connection without an answer"
    );
}

#[test]
fn who_says_nothing_is_a_timeout() {
    assert_eq!(told_of(servers::silent()), "timed out after 1s (connected, but no complete answer came)");
}

#[test]
fn who_drips_is_a_timeout() {
    let port = servers::dripping(Duration::from_millis(100));
    assert_eq!(told_of(port), "timed out after 1s (connected, but no complete answer came)");
}

#[test]
fn who_speaks_no_http_is_told() {
    assert_eq!(told_of(servers::answers("220 mail.test ESMTP\r\n")), "sent no HTTP answer: invalid HTTP version");
}

#[test]
fn a_gigabyte_costs_one_buffer() {
    let (port, sent) = servers::gigabyte();
    let daemon = Daemon::start(&checked("p", &http(port)));
    let before = process::resident(daemon.pid());
    assert!(message_of(&daemon, "p").ends_with("answered 200"));
    daemon.wait("it is asked three times", || {
        (verbose(&daemon, "p")["health"]["checks"].as_u64() >= Some(3)).then_some(())
    });
    // What was sent lies in the buffers of the kernel, and the server found nobody to take the rest.
    assert!(sent.load(Ordering::SeqCst) < 64 << 20, "{} bytes were taken", sent.load(Ordering::SeqCst));
    assert!(process::resident(daemon.pid()) < before + 1024, "{before} KiB before");
}

#[test]
fn endless_headers_are_cut_off() {
    let (port, _) = servers::serve(|mut stream| {
        use std::io::Write;
        servers::request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(told_of(port), "sent more than 16384 bytes of headers");
}
