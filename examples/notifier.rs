//! Speaks the protocol of sd_notify(3) with nothing but the standard library, as its arguments tell it:
//!
//! `notifier send READY=1 sleep 500 every 200 WATCHDOG=1`
//!
//! `send TEXT` sends one datagram (`\n` in it is a line break) · `sleep MS` waits · `every MS TEXT` sends until the end ·
//! `fork TEXT` lets a child send it · `leave TEXT` lets a child send it that is in no group of ours · `empty` and
//! `large BYTES` send what nobody should · `tied MS TEXT` sends until the end over one socket that it connects at first ·
//! `exit CODE` ends. At the end of its arguments it waits to be ended.

use std::env;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::thread::sleep;
use std::time::Duration;

fn send(bytes: &[u8]) {
    // Whoever starts us without a supervisor has no address to speak to.
    let Some(address) = env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(bytes, &address));
    if let Err(error) = sent {
        eprintln!("notifier: {}: {error}", address.to_string_lossy());
    }
}

fn say(text: &str) {
    send(text.replace("\\n", "\n").as_bytes());
}

/// A sender that connects once, as many libraries do: it never looks again what is at the address.
fn tied(pause: Duration, text: &str) {
    let Some(address) = env::var_os("NOTIFY_SOCKET") else { return };
    let tied = UnixDatagram::unbound().and_then(|socket| socket.connect(&address).map(|()| socket));
    let Ok(socket) = tied else { exit(1) };
    while socket.send(text.as_bytes()).is_ok() {
        sleep(pause);
    }
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap_or(0))
}

/// Ourselves once more, to say one thing and live on: whoever ends at once is nobody's member when it is heard.
fn child(text: &str, group: Option<i32>) {
    let Ok(own) = env::current_exe() else { return };
    let mut command = Command::new(own);
    command.args(["send", text]);
    if let Some(group) = group {
        command.process_group(group);
    }
    if let Err(error) = command.spawn() {
        eprintln!("notifier: {error}");
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(verb) = words.next() {
        let mut word = || words.next().unwrap_or("");
        match verb {
            "send" => say(word()),
            "sleep" => sleep(millis(word())),
            "every" => {
                let (pause, text) = (millis(word()), word());
                loop {
                    say(text);
                    sleep(pause);
                }
            }
            "tied" => tied(millis(word()), word()),
            "fork" => child(word(), None),
            "leave" => child(word(), Some(0)),
            "empty" => send(b""),
            "large" => send(&vec![b'x'; word().parse().unwrap_or(0)]),
            "exit" => exit(word().parse().unwrap_or(1)),
            other => {
                eprintln!("notifier: {other}?");
                exit(64);
            }
        }
    }
    loop {
        sleep(Duration::from_secs(3600));
    }
}
