//! Host names: looked up beside the loop, never in it.

use super::{checked, message_of, servers, verbose};
use crate::harness::{Daemon, Home, is_root, skip, supervice};
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_name_is_asked_at_all_its_addresses() {
    // A listener on IPv4 alone; `localhost` may name both.
    let (_listener, port) = servers::listener();
    let options = format!("healthcheck_type = tcp\nhealthcheck_host = localhost\nhealthcheck_port = {port}");
    let told = message_of(&Daemon::start(&checked("p", &options)), "p");
    assert!(told.starts_with(&format!("TCP connection to localhost:{port} succeeded")), "{told}");
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let options = "healthcheck_type = tcp\nhealthcheck_host = no-such-host.invalid\nhealthcheck_port = 80";
    let told = message_of(&Daemon::start(&checked("p", options)), "p");
    let start = "TCP connection to no-such-host.invalid:80 ";
    // A machine without a name server finds out only when the time is over.
    let known = [format!("{start}failed: host name not resolved: "), format!("{start}timed out after 5s (looking up")];
    assert!(known.iter().any(|known| told.starts_with(known)), "{told}");
}

/// The daemon in a world whose name server takes questions and never answers.
fn start_without_names(home: Home, config: &str) -> Option<Daemon> {
    let server = UdpSocket::bind("127.0.0.1:53").ok()?;
    home.configure(config);
    let resolv = home.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n");
    let mut command: Command = home.command("unshare");
    let script = format!("mount --bind {} /etc/resolv.conf && exec \"$0\" \"$@\"", resolv.display());
    command.args(["-m", "sh", "-c", &script]).arg(supervice());
    let daemon = Daemon::launch_by(home, command);
    // Held until the end: a closed port would be an answer.
    std::mem::forget(server);
    Some(daemon)
}

#[test]
fn a_name_server_that_is_silent_stalls_nobody() {
    const TEST: &str = "a_name_server_that_is_silent_stalls_nobody";
    if !is_root() {
        return skip(TEST, "needs root for a mount of its own");
    }
    let probe = Command::new("unshare").args(["-m", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip(TEST, "unshare -m does not work here");
    }
    let (port, _) = servers::serve(drop);
    let ask = |host: &str| {
        format!("healthcheck_type = tcp\nhealthcheck_host = {host}\nhealthcheck_port = {port}\nhealthcheck_timeout = 2")
    };
    let config: String = (0..6).map(|n| checked(&format!("n{n}"), &ask(&format!("n{n}.example.com")))).collect();
    let config = config + &checked("near", &ask("127.0.0.1"));
    let Some(mut daemon) = start_without_names(Home::alone(), &config) else {
        return skip(TEST, "port 53 is taken");
    };
    let told = format!("TCP connection to n0.example.com:{port} timed out after 2s (looking up the host name)");
    let mut slowest = Duration::ZERO;
    daemon.wait("the time of a look-up is over", || {
        let begun = Instant::now();
        let message = verbose(&daemon, "n0")["health"]["last_message"].as_str().map(str::to_owned);
        slowest = slowest.max(begun.elapsed());
        message.filter(|message| *message == told)
    });
    assert!(slowest < Duration::from_secs(3), "status took {slowest:?}");
    assert_eq!(daemon.row("near").raw["healthy"], true);
    let begun = Instant::now();
    assert_eq!(daemon.terminate(), 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "the end took {:?}", begun.elapsed());
}
