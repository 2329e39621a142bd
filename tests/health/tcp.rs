//! TCP checks.

use super::{checked, first_message, message_of, servers, verbose};
use crate::harness::{Daemon, process};
use std::sync::atomic::Ordering;

fn tcp(port: u16) -> String {
    format!("healthcheck_type = tcp\nhealthcheck_port = {port}")
}

#[test]
fn an_accepted_connection_is_healthy_and_closed_again() {
    let (port, count) = servers::serve(drop);
    let daemon = Daemon::start(&checked("p", &tcp(port)));
    assert_eq!(message_of(&daemon, "p"), format!("TCP connection to 127.0.0.1:{port} succeeded"));
    assert_eq!(daemon.row("p").raw["healthy"], true);
    daemon.wait("it is asked again", || (count.load(Ordering::SeqCst) >= 3).then_some(()));
    let sockets = process::descriptors(daemon.pid()).values().filter(|what| what.starts_with("socket:")).count();
    // The listener, and the connection that asked just now.
    assert!(sockets <= 4, "{:?}", process::descriptors(daemon.pid()));
}

#[test]
fn a_closed_port_is_refused() {
    let port = servers::closed_port();
    let daemon = Daemon::start(&checked("p", &tcp(port)));
    let told = format!("TCP connection to 127.0.0.1:{port} refused");
    assert_eq!(message_of(&daemon, "p"), told);
    daemon.wait_log(&format!("WARNING  p: health check failed (1/1): {told}"));
    daemon.wait_state("p", "UNHEALTHY");
    assert_eq!(daemon.row("p").raw["healthy"], false);
}

#[test]
fn row_16_a_full_queue_is_a_timeout_and_leaks_nothing() {
    let full = servers::full();
    let options = format!("{}\nhealthcheck_timeout = 0.2\nnumprocs = 20", tcp(full.port));
    let daemon = Daemon::start(&checked("p", &options));
    let told = format!("TCP connection to 127.0.0.1:{} timed out after 0.2s", full.port);
    assert_eq!(message_of(&daemon, "p:07"), told);
    let open = || process::descriptors(daemon.pid()).values().filter(|what| what.starts_with("socket:")).count();
    daemon.wait("all were asked three times", || {
        let done = |place: usize| verbose(&daemon, &format!("p:{place:02}"))["health"]["checks"].as_u64() >= Some(3);
        (0..20).all(done).then_some(())
    });
    daemon.wait("no socket stays", || (open() <= 4).then_some(()));
}

#[test]
fn an_ipv6_address_is_asked() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        return crate::harness::skip("an_ipv6_address_is_asked", "there is no IPv6 here");
    };
    let port = listener.local_addr().unwrap().port();
    let told = first_message(&format!("{}\nhealthcheck_host = ::1", tcp(port)));
    assert_eq!(told, format!("TCP connection to [::1]:{port} succeeded"));
}

#[test]
fn each_instance_is_asked_at_its_own_port() {
    let (even, _) = servers::serve(drop);
    let options = format!("healthcheck_type = tcp\nhealthcheck_port = {even}\nnumprocs = 1");
    let odd = servers::closed_port();
    let daemon = Daemon::start(&(checked("a", &options) + &checked("b", &tcp(odd))));
    assert!(message_of(&daemon, "a").ends_with("succeeded"));
    assert!(message_of(&daemon, "b").ends_with("refused"));
    daemon.wait_state("b", "UNHEALTHY");
    assert_eq!(daemon.state("a"), "RUNNING");
}
