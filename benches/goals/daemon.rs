//! A daemon under measurement, asked over its socket.

use super::bare;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use supervice::wire::Answer;

pub struct Daemon {
    process: Child,
    stream: UnixStream,
    count: usize,
    _folder: tempfile::TempDir,
    /// From the start of the program to its first answer.
    pub answered_ms: f64,
    /// From the start of the program until all children run.
    pub started_ms: f64,
}

impl Daemon {
    pub fn start(count: usize) -> Daemon {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let at = |name: &str| folder.path().join(name);
        let mut text = format!("[supervice]\nsocket = {}\npidfile = {}\n", at("s").display(), at("p").display());
        for index in 0..count {
            let command = bare::sleeper().join(" ");
            let rest = "stdout_logfile = none\nstderr_logfile = none\nstartsecs = 0\n";
            write!(text, "[program:p{index}]\ncommand = {command}\n{rest}").expect("memory takes it");
        }
        std::fs::write(at("c"), text).expect("there is room for a file");
        let begin = Instant::now();
        let process = Command::new(program())
            .args(["-n", "-l"])
            .arg(at("log"))
            .arg("-c")
            .arg(at("c"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon is built");
        let mut stream = connect(&at("s"));
        request(&mut stream, br#"{"command":"status","limit":1}"#);
        let answered_ms = begin.elapsed().as_secs_f64() * 1e3;
        let mut daemon = Daemon { process, stream, count, _folder: folder, answered_ms, started_ms: 0.0 };
        daemon.wait_until_all_run(&BTreeSet::new());
        daemon.started_ms = begin.elapsed().as_secs_f64() * 1e3;
        daemon
    }

    /// Until as many run as there are, none of them one of `old`.
    fn wait_until_all_run(&mut self, old: &BTreeSet<i64>) {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let pids = self.pids();
            if pids.len() == self.count && pids.is_disjoint(old) {
                return;
            }
            assert!(Instant::now() < end, "{} of {} run", pids.len(), self.count);
            std::thread::sleep(Duration::from_millis(if self.count < 100 { 0 } else { 2 }));
        }
    }

    fn pids(&mut self) -> BTreeSet<i64> {
        let reply = request(&mut self.stream, br#"{"command":"status"}"#);
        let answer = Answer::decode(&reply).expect("it is an answer");
        answer.processes.iter().filter(|row| row.state == "RUNNING").filter_map(|row| row.pid).collect()
    }

    fn field(&self, file: &str, key: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("it lives");
        let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel tells it");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("it is a number")
    }

    pub fn cpu_ms(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.process.id())).expect("it lives");
        text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).expect("it is a number") / 1e6
    }

    pub fn rss_mib(&self) -> f64 {
        self.field("status", "VmRSS:") / 1024.0
    }

    /// The median of a whole status, and its length with the header.
    pub fn status_us(&mut self) -> (f64, usize) {
        let question = framed(br#"{"command":"status"}"#);
        let bytes = request(&mut self.stream, br#"{"command":"status"}"#).len() + 4;
        (bare::ask(&mut self.stream, &question, bytes), bytes)
    }

    /// How often it went to sleep in two seconds, once it is quiet.
    pub fn idle_wakeups(&self) -> f64 {
        let slept = || self.field("status", "voluntary_ctxt_switches:");
        std::thread::sleep(Duration::from_millis(1500));
        let before = slept();
        std::thread::sleep(Duration::from_secs(2));
        slept() - before
    }

    /// From the killing of so many that have lived for a second until as many others run.
    pub fn storm_ms(&mut self, count: usize) -> f64 {
        let old: BTreeSet<i64> = self.pids().into_iter().take(count).collect();
        let begin = Instant::now();
        for pid in &old {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(*pid).expect("pids are small"));
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
        }
        self.wait_until_all_run(&old);
        begin.elapsed().as_secs_f64() * 1e3
    }

    pub fn crash_ms(&mut self) -> f64 {
        std::thread::sleep(Duration::from_millis(1100));
        self.storm_ms(1)
    }

    pub fn restart_ms(&mut self) -> f64 {
        let begin = Instant::now();
        request(&mut self.stream, br#"{"command":"restart","name":"p0"}"#);
        begin.elapsed().as_secs_f64() * 1e3
    }

    /// From SIGTERM to its end.
    pub fn stop_ms(&mut self) -> f64 {
        let begin = Instant::now();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).expect("pids are small"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it lives");
        self.process.wait().expect("it is our own");
        begin.elapsed().as_secs_f64() * 1e3
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone already where it was stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    std::env::var_os("SUPERVICE").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_supervice")), PathBuf::from)
}

fn connect(path: &std::path::Path) -> UnixStream {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a request is short");
    [&length.to_be_bytes(), body].concat()
}

fn request(stream: &mut UnixStream, body: &[u8]) -> Vec<u8> {
    stream.write_all(&framed(body)).expect("it listens");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("it answers");
    let mut reply = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut reply).expect("it answers");
    reply
}
