//! Loops that do only the one thing. Each runs in a process of its own and prints what it took.

use super::table::median;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, execv, fork, pause, pipe, setsid};
use std::ffi::CString;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::Instant;

/// Runs one of the loops below and hands out the number that it prints.
pub fn run(what: &str, count: usize) -> f64 {
    let output = Command::new(own_path()).args([what, &count.to_string()]).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{what}: {output:?}"))
}

/// The program that all children run: small and static where there is a compiler, else this one.
pub fn sleeper() -> Vec<String> {
    match std::env::var("PAUSER") {
        Ok(path) => vec![path],
        Err(_) => vec![own_path(), "sleep".to_owned()],
    }
}

fn own_path() -> String {
    std::env::current_exe().expect("a program knows its own path").display().to_string()
}

pub fn sleep() {
    loop {
        pause();
    }
}

fn child() -> Pid {
    let words: Vec<CString> = sleeper().into_iter().map(|word| CString::new(word).expect("no NUL in it")).collect();
    // SAFETY: one thread; the child makes system calls and execs.
    match unsafe { fork() }.expect("there is room for a process") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = setsid();
            let _ = SigSet::empty().thread_set_mask();
            let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("it is there");
            let _ = (dup2_stdin(&null), dup2_stdout(&null));
            let _ = execv(&words[0], &words);
            std::process::abort()
        }
    }
}

/// Children, until each has begun its program: the pipe of all of them ends then.
fn children(count: usize) -> Vec<Pid> {
    let (read, write) = pipe().expect("there is room for a pipe");
    for fd in [&read, &write] {
        let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(fd, flags).expect("it is open");
    }
    let made = (0..count).map(|_| child()).collect();
    drop(write);
    let _ = std::fs::File::from(read).read(&mut [0]);
    made
}

fn end(children: &[Pid]) {
    children.iter().for_each(|pid| kill(*pid, Signal::SIGKILL).expect("it is our own"));
    reap(children);
}

fn reap(children: &[Pid]) {
    for pid in children {
        waitpid(*pid, None).expect("it is our own");
    }
}

fn say(begin: Instant) {
    println!("{}", begin.elapsed().as_secs_f64() * 1e3);
}

pub fn start(count: usize) {
    let begin = Instant::now();
    let made = children(count);
    say(begin);
    end(&made);
}

pub fn stop(count: usize) {
    let made = children(count);
    let begin = Instant::now();
    made.iter().for_each(|pid| kill(*pid, Signal::SIGTERM).expect("it is our own"));
    reap(&made);
    say(begin);
}

pub fn storm(count: usize) {
    let made = children(count);
    let begin = Instant::now();
    end(&made);
    let made = children(count);
    say(begin);
    end(&made);
}

pub fn restart(count: usize) {
    storm(count);
}

/// Answers each request of 27 bytes with as many bytes as the first one says.
pub fn echo(path: &str) {
    let listener = UnixListener::bind(path).expect("the path is free");
    let (mut stream, _) = listener.accept().expect("somebody comes");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("it says how much");
    let reply = vec![b'x'; u32::from_be_bytes(length) as usize];
    let mut request = [0; 64];
    while stream.read(&mut request).is_ok_and(|count| count > 0) {
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}

/// How long a reply of so many bytes takes, at the median.
pub fn echo_us(bytes: usize) -> f64 {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("s");
    let mut server = Command::new(own_path()).arg("bare-echo").arg(&path).spawn().expect("it runs");
    let mut stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(_) => std::thread::yield_now(),
        }
    };
    stream.write_all(&u32::try_from(bytes).expect("a frame is short").to_be_bytes()).expect("it listens");
    let middle = ask(&mut stream, &[b'q'; 27], bytes);
    drop(stream);
    server.wait().expect("it is our own");
    middle
}

/// Asks again and again; the median in microseconds.
pub fn ask(stream: &mut UnixStream, request: &[u8], bytes: usize) -> f64 {
    let mut reply = vec![0; bytes];
    let mut took = Vec::new();
    for _ in 0..300 {
        let begin = Instant::now();
        stream.write_all(request).expect("it listens");
        stream.read_exact(&mut reply).expect("it answers");
        took.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    median(&took)
}
