//! Into the background, with a line back: the first process ends only when the daemon says how its start went.
//!
//! To be called before there is any thread, lock or socket.

use super::descriptor::{check, pipe};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one the user started.
    Launcher(Launcher),
    /// The one that stays.
    Daemon(Readiness),
}

/// The user's own process, waiting for the daemon's word.
#[derive(Debug)]
pub struct Launcher {
    word: File,
}

/// The daemon's word to the user's process, to be given once. Dropping it counts as dying.
#[derive(Debug)]
pub struct Readiness {
    word: File,
}

/// Longer than any message a person reads.
const LONGEST_MESSAGE: u64 = 64 * 1024;

/// Splits off a daemon: in a session of its own, not its leader, so that it can never get a terminal. Working directory,
/// umask and, until it is ready, stdio stay.
pub fn daemonize() -> io::Result<Side> {
    let (read, write) = pipe()?;
    // SAFETY: there are no threads yet, so the child may do whatever we may.
    let first = check(unsafe { libc::fork() })?;
    if first != 0 {
        drop(write);
        reap(first)?;
        return Ok(Side::Launcher(Launcher { word: File::from(read) }));
    }
    drop(read);
    let word = Readiness { word: File::from(write) };
    match second_fork() {
        Ok(true) => Ok(Side::Daemon(word)),
        Ok(false) => {
            // The line to the launcher must end with the daemon, not with this process.
            // SAFETY: ends the process without running anything of it.
            unsafe { libc::_exit(0) }
        }
        Err(error) => {
            let told = word.fail(1, &format!("going into the background: {error}"));
            // SAFETY: as above.
            unsafe { libc::_exit(if told.is_ok() { 0 } else { 1 }) }
        }
    }
}

/// Whether this is the daemon.
fn second_fork() -> io::Result<bool> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::setsid() })?;
    // SAFETY: there are no threads yet, so the child may do whatever we may.
    Ok(check(unsafe { libc::fork() })? == 0)
}

fn reap(pid: libc::pid_t) -> io::Result<()> {
    loop {
        // SAFETY: a null status is not written.
        match check(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Started with SIGCHLD ignored: the kernel reaped it.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
            other => return other.map(drop),
        }
    }
}

impl Launcher {
    /// Waits for the daemon's word: the exit code for the user and, unless it is 0, a message.
    pub fn wait(self) -> (i32, String) {
        let mut bytes = Vec::new();
        if let Err(error) = self.word.take(LONGEST_MESSAGE).read_to_end(&mut bytes) {
            return (1, format!("the daemon's word could not be read: {error}"));
        }
        match bytes.split_first_chunk::<4>() {
            Some((code, message)) => (i32::from_ne_bytes(*code), String::from_utf8_lossy(message).into_owned()),
            None => (1, "the daemon died before it was ready".to_owned()),
        }
    }
}

impl Readiness {
    /// Lets the launcher end with 0. From here on stdio is /dev/null.
    pub fn ready(self) -> io::Result<()> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        for place in 0..=2 {
            // SAFETY: takes no pointer; whoever printed to the old descriptor now prints to /dev/null.
            check(unsafe { libc::dup2(null.as_raw_fd(), place) })?;
        }
        self.tell(0, "")
    }

    /// Hands on why there is no daemon, and the exit code for it.
    pub fn fail(self, code: i32, message: &str) -> io::Result<()> {
        self.tell(code, message)
    }

    fn tell(mut self, code: i32, message: &str) -> io::Result<()> {
        let mut bytes = code.to_ne_bytes().to_vec();
        bytes.extend_from_slice(message.as_bytes());
        match self.word.write_all(&bytes) {
            // Nobody listens any more, so nobody misses it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}
