//! A client that sends everything wrong, for ever, from three hundred connections, beside one that behaves.

use crate::harness::*;
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Something wrong; now and then the beginning of something right.
fn nonsense(dice: &mut Dice) -> Vec<u8> {
    let bodies: [&[u8]; 12] = [
        b"",
        b"{}",
        b"[[[[[[[[",
        b"{\"command\":[]}",
        b"{\"command\":\"status\",\"command\":\"shutdown\"}",
        b"{\"command\":\"status\",\"names\":7}",
        b"{\"command\":NaN}",
        b"\xff\xfe{}",
        b"{\"command\":\"\\ud800\"}",
        b"{\"command\":\"start\",\"name\":\"\\u001b[2J\"}",
        b"{\"command\":\"status\",\"id\":{\"a\":1}}",
        b"\xef\xbb\xbf{\"command\":\"status\"}",
    ];
    let body = bodies[dice.roll(bodies.len() as u64) as usize];
    match dice.roll(6) {
        0 => (0..dice.roll(2_000)).map(|_| dice.roll(256) as u8).collect(),
        1 => [&u32::MAX.to_be_bytes(), body].concat(),
        2 => [&1_048_576u32.to_be_bytes(), body].concat(),
        3 => frame(&vec![b'['; dice.roll(100_000) as usize]),
        4 => frame(body)[..body.len() / 2 + 2].to_vec(),
        _ => frame(body).repeat(1 + dice.roll(20) as usize),
    }
}

fn pester(socket: &Path, seed: u64, stop: &AtomicBool, sent: &AtomicUsize) {
    let mut dice = Dice::new(seed);
    let mut open: Vec<UnixStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        while open.len() < 75 {
            let Ok(stream) = UnixStream::connect(socket) else { break };
            let _ = stream.set_nonblocking(true);
            open.push(stream);
        }
        let at = dice.roll(open.len().max(1) as u64) as usize;
        let Some(stream) = open.get_mut(at) else { continue };
        let mut gone =
            stream.write(&nonsense(&mut dice)).is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock);
        // Now and then it reads a part of what it is told.
        gone |= dice.one_in(3) && matches!(stream.read(&mut [0; 512]), Ok(0));
        sent.fetch_add(1, Ordering::Relaxed);
        // Thousands a second, not as many as two cores can make: it is the daemon that is tried.
        std::thread::sleep(Duration::from_millis(1));
        if gone || dice.one_in(50) {
            open.swap_remove(at);
        }
    }
}

#[test]
fn three_hundred_hostile_connections_beside_a_good_one() {
    let d = Daemon::start_in(Home::new(), "[program:a]\ncommand = {actor}\nstartsecs = 0\n");
    let pid = d.wait_state("a", "RUNNING").pid;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let before = process::resident(d.pid());
    let pests: Vec<_> = (0..4)
        .map(|seed| {
            let (socket, stop, sent): (PathBuf, _, _) = (d.home.socket(), Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || pester(&socket, seed, &stop, &sent))
        })
        .collect();
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(6) || (took.len() <= 20 && begun.elapsed() < DEADLINE) {
        // One connection for each question: an idle one may have to make room.
        let asked = Instant::now();
        let reply = d.client().ask(&json!({"command": "status"}));
        if let Ok(reply) = reply {
            assert_eq!(reply["processes"][0]["state"], "RUNNING");
            took.push(asked.elapsed());
        }
    }
    stop.store(true, Ordering::Relaxed);
    pests.into_iter().for_each(|pest| pest.join().unwrap());
    took.sort();
    let (count, sent) = (took.len(), sent.load(Ordering::Relaxed));
    assert!(sent > 1_000 && count > 20, "{sent} nuisances, {count} answers");
    let late = took[count * 95 / 100];
    assert!(late < Duration::from_secs(10), "status took {late:?} at p95 of {count}, beside {sent} nuisances");
    let grown = process::resident(d.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    assert_eq!(d.row("a").pid, pid);
    d.assert_well();
}
