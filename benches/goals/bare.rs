//! Loops that do only the one thing, each in a process of its own.

use super::programs::own_path;
use super::table::percentile;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, execv, fork, setsid};
use std::ffi::CString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

extern "C" fn note_end(_: nix::libc::c_int) {
    ASKED_TO_END.store(true, Ordering::Relaxed);
}

/// Forks and execs so many, forks another for each that dies, and at SIGTERM ends and reaps them all.
pub fn keep(count: usize, words: &[&str]) {
    let action = SigAction::new(SigHandler::Handler(note_end), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only stores to an atomic.
    unsafe { sigaction(Signal::SIGTERM, &action) }.expect("SIGTERM can be handled");
    let words: Vec<CString> = words.iter().map(|word| CString::new(*word).expect("no NUL in it")).collect();
    let mut children: Vec<Pid> = (0..count).map(|_| child(&words)).collect();
    while !ASKED_TO_END.load(Ordering::Relaxed) {
        let Ok(status) = waitpid(None, None) else { continue };
        let dead = status.pid().expect("only ends are waited for");
        let born = child(&words);
        children.retain(|pid| *pid != dead);
        children.push(born);
    }
    for pid in &children {
        kill(*pid, Signal::SIGTERM).expect("it is our own");
    }
    for pid in &children {
        waitpid(*pid, None).expect("it is our own");
    }
}

fn child(words: &[CString]) -> Pid {
    // SAFETY: one thread; the child makes system calls and execs.
    match unsafe { fork() }.expect("there is room for a process") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = setsid();
            let _ = SigSet::empty().thread_set_mask();
            let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("it is there");
            let _ = (dup2_stdin(&null), dup2_stdout(&null));
            let _ = execv(&words[0], words);
            std::process::abort()
        }
    }
}

/// Answers each request of its clients with so many bytes, until the first of them goes.
pub fn echo(path: &str, bytes: usize) {
    let listener = UnixListener::bind(path).expect("the path is free");
    let mut clients: Vec<UnixStream> = Vec::new();
    let reply = vec![b'x'; bytes];
    let mut request = [0; 64];
    loop {
        let mut watched = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        watched.extend(clients.iter().map(|client| PollFd::new(client.as_fd(), PollFlags::POLLIN)));
        poll(&mut watched, PollTimeout::NONE).expect("all are open");
        let ready: Vec<bool> = watched.iter().map(|one| one.any() == Some(true)).collect();
        for client in clients.iter_mut().zip(&ready[1..]).filter(|(_, ready)| **ready).map(|(client, _)| client) {
            let is_asked = client.read(&mut request).is_ok_and(|count| count > 0);
            if !is_asked || client.write_all(&reply).is_err() {
                return;
            }
        }
        if ready[0] {
            clients.push(listener.accept().expect("somebody comes").0);
        }
    }
}

/// An echo that is asked as a daemon is.
pub struct Echo {
    process: std::process::Child,
    folder: tempfile::TempDir,
}

impl Echo {
    pub fn start(bytes: usize) -> Echo {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let process = Command::new(own_path())
            .arg("bare-echo")
            .arg(folder.path().join("s"))
            .arg(bytes.to_string())
            .spawn()
            .expect("it runs");
        Echo { process, folder }
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("s")
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It has ended already where a client went.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What asking again and again showed.
pub struct Asked {
    pub p50_us: f64,
    pub p99_us: f64,
    pub per_second: f64,
    pub count: usize,
}

/// Asks a server from so many connections at once, each as fast as it is answered.
pub fn ask(socket: &Path, request: &[u8], bytes: usize, clients: usize, time: Duration) -> Asked {
    let streams: Vec<UnixStream> = (0..clients).map(|_| connect(socket)).collect();
    let begin = Instant::now();
    let took: Vec<f64> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            streams.iter().map(|stream| scope.spawn(|| ask_one(stream, request, bytes, time))).collect();
        asking.into_iter().flat_map(|one| one.join().expect("it asks to the end")).collect()
    });
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    Asked { p50_us: percentile(&took, 50), p99_us: percentile(&took, 99), per_second, count: took.len() }
}

fn ask_one(mut stream: &UnixStream, request: &[u8], bytes: usize, time: Duration) -> Vec<f64> {
    let mut reply = vec![0; bytes];
    let mut took = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let begin = Instant::now();
        stream.write_all(request).expect("it listens");
        stream.read_exact(&mut reply).expect("it answers");
        took.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    took
}

/// Connects, as soon as there is somebody.
pub fn connect(path: &Path) -> UnixStream {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}
