//! Questions to our daemon over its socket.

use super::bare::{self, Asked, connect};
use super::programs::Programs;
use super::systems::{Running, ms, supervice};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use supervice::wire::Answer;

const STATUS: &[u8] = br#"{"command":"status"}"#;

/// One answer, without its header.
pub fn request(stream: &mut UnixStream, body: &[u8]) -> Vec<u8> {
    stream.write_all(&framed(body)).expect("it listens");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("it answers");
    let mut reply = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut reply).expect("it answers");
    reply
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a request is short");
    [&length.to_be_bytes(), body].concat()
}

/// Waits until the daemon says that so many run, and with which length in bytes; the header counts.
pub fn settled(running: &Running, count: usize) -> usize {
    let mut stream = connect(&running.socket());
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = request(&mut stream, STATUS);
        let answer = Answer::decode(&reply).expect("it is an answer");
        if answer.processes.iter().filter(|row| row.state == "RUNNING").count() == count {
            return reply.len() + 4;
        }
        assert!(Instant::now() < end, "all of {count} run");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A whole status again and again, from so many clients at once.
pub fn status(running: &Running, bytes: usize, clients: usize, time: Duration) -> Asked {
    bare::ask(&running.socket(), &framed(STATUS), bytes, clients, time)
}

/// An order over the socket, until it is done.
pub fn restart_ms(running: &Running, name: &str) -> f64 {
    let mut stream = connect(&running.socket());
    let body = format!(r#"{{"command":"restart","name":"{name}"}}"#);
    let begin = Instant::now();
    let reply = request(&mut stream, body.as_bytes());
    assert!(reply.starts_with(br#"{"status":"ok""#), "{}", String::from_utf8_lossy(&reply));
    ms(begin)
}

/// The same with the client program.
pub fn restart_by_client_ms(running: &Running, name: &str) -> f64 {
    let socket = running.socket().display().to_string();
    program_ms(&client(), &["-s", &socket, "restart", name])
}

/// A status by our client program, and by the one in C.
pub fn status_by_client_ms(running: &Running) -> f64 {
    let socket = running.socket().display().to_string();
    program_ms(&client(), &["-s", &socket, "status"])
}

pub fn status_in_c_ms(running: &Running, programs: &Programs) -> Option<f64> {
    Some(program_ms(&programs.client()?, &[&running.socket().display().to_string()]))
}

fn program_ms(program: &Path, words: &[&str]) -> f64 {
    let begin = Instant::now();
    let status = Command::new(program).args(words).stdout(Stdio::null()).status().expect("it is there");
    assert!(status.success(), "{program:?} {words:?}: {status}");
    ms(begin)
}

fn client() -> PathBuf {
    supervice().with_file_name("supervicectl")
}

/// Both programs together, as they are built: stripped.
pub fn size_mib() -> f64 {
    let size = |path: PathBuf| std::fs::metadata(path).expect("it is built").len() as f64;
    (size(supervice()) + size(client())) / (1 << 20) as f64
}

/// From the start of the program to its first answer.
pub fn cold_start_ms() -> f64 {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let at = |name: &str| folder.path().join(name);
    let text = format!("[supervice]\nsocket = {}\npidfile = {}\n", at("s").display(), at("p").display());
    std::fs::write(at("c"), text).expect("there is room for a file");
    let begin = Instant::now();
    let mut process = Command::new(supervice())
        .args(["-n", "-l"])
        .arg(at("log"))
        .arg("-c")
        .arg(at("c"))
        .current_dir(folder.path())
        .spawn()
        .expect("it is built");
    request(&mut connect(&at("s")), STATUS);
    let took = ms(begin);
    request(&mut connect(&at("s")), br#"{"command":"shutdown"}"#);
    process.wait().expect("it is our own");
    took
}
