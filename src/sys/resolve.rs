//! Host names to addresses, off the daemon's thread: the system's resolver may think for half a minute.
//!
//! The threads do nothing but ask. They never make a process (a child's parent-death signal fires when the thread that
//! made it ends), and they are not waited for: at the end of the daemon they end with it.

use super::descriptor::{pipe, read_now, set_nonblocking};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Names that nobody answers about must not keep the others waiting; these do when there are so many of them.
const THREADS_MAX: usize = 4;
/// Of one name, so many addresses are handed out.
const ADDRESSES_MAX: usize = 16;

/// What became of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name.
    pub host: String,
    /// Its addresses, with port 0, never none; or why there are none, in words.
    pub addresses: Result<Vec<SocketAddr>, String>,
}

/// Asks the system's resolver; readable when there are answers.
#[derive(Debug)]
pub struct Resolver {
    shared: Arc<Shared>,
    bell: OwnedFd,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
}

#[derive(Debug)]
struct Desk {
    asked: VecDeque<String>,
    answers: Vec<Answer>,
    threads: usize,
    idle: usize,
    rope: std::fs::File,
}

impl Resolver {
    /// Without a thread yet: the first question brings the first one.
    ///
    /// # Errors
    /// What the kernel says when there is no room for a pipe.
    pub fn new() -> io::Result<Resolver> {
        let (bell, rope) = pipe()?;
        set_nonblocking(&bell)?;
        set_nonblocking(&rope)?;
        let desk = Desk { asked: VecDeque::new(), answers: Vec::new(), threads: 0, idle: 0, rope: rope.into() };
        Ok(Resolver { shared: Arc::new(Shared { desk: Mutex::new(desk), work: Condvar::new() }), bell })
    }

    /// Asks for a name. The caller asks again only once the answer has come.
    ///
    /// # Errors
    /// What the kernel says when there is no room for the first thread.
    pub fn ask(&self, host: &str) -> io::Result<()> {
        let mut desk = self.shared.lock();
        if desk.idle <= desk.asked.len() && desk.threads < THREADS_MAX {
            let shared = Arc::clone(&self.shared);
            match std::thread::Builder::new().name("names".to_owned()).spawn(move || shared.answer_for_ever()) {
                Ok(_) => desk.threads += 1,
                // Those that are there will come to it.
                Err(_) if desk.threads > 0 => {}
                Err(error) => return Err(error),
            }
        }
        desk.asked.push_back(host.to_owned());
        self.shared.work.notify_one();
        Ok(())
    }

    /// Takes what has been answered.
    ///
    /// # Errors
    /// What the kernel says of the pipe; the answers are lost to nobody and come with the next call.
    pub fn answers(&self) -> io::Result<Vec<Answer>> {
        while read_now(&self.bell, &mut [0; 64])?.is_some_and(|count| count > 0) {}
        Ok(std::mem::take(&mut self.shared.lock().answers))
    }
}

impl AsRawFd for Resolver {
    fn as_raw_fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_for_ever(&self) {
        loop {
            let host = self.next();
            let addresses = look_up(&host);
            let mut desk = self.lock();
            desk.answers.push(Answer { host, addresses });
            // A full pipe has rung already, and a reader that is gone waits for nothing.
            let _ = desk.rope.write(&[1]);
        }
    }

    fn next(&self) -> String {
        let mut desk = self.lock();
        loop {
            if let Some(host) = desk.asked.pop_front() {
                return host;
            }
            desk.idle += 1;
            desk = self.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
            desk.idle -= 1;
        }
    }
}

fn look_up(host: &str) -> Result<Vec<SocketAddr>, String> {
    match (host, 0).to_socket_addrs() {
        Ok(found) => {
            let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
            if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
        }
        Err(error) => {
            let text = error.to_string();
            let plain = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
            Err(plain.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn wait(resolver: &Resolver, count: usize) -> Vec<Answer> {
        let (started, mut answers) = (Instant::now(), Vec::new());
        while answers.len() < count {
            assert!(started.elapsed() < Duration::from_secs(60), "no answer: {answers:?}");
            answers.extend(resolver.answers().unwrap());
            std::thread::sleep(Duration::from_millis(1));
        }
        answers
    }

    #[test]
    fn a_name_has_addresses_and_a_wrong_one_a_reason() {
        let resolver = Resolver::new().unwrap();
        resolver.ask("localhost").unwrap();
        resolver.ask("no-such-host.invalid").unwrap();
        for answer in wait(&resolver, 2) {
            match answer.host.as_str() {
                "localhost" => assert!(answer.addresses.unwrap().iter().all(|address| address.ip().is_loopback())),
                _ => assert!(!answer.addresses.unwrap_err().is_empty()),
            }
        }
    }

    #[test]
    fn many_questions_make_few_threads() {
        let resolver = Resolver::new().unwrap();
        for _ in 0..100 {
            resolver.ask("127.0.0.1").unwrap();
        }
        assert_eq!(wait(&resolver, 100).len(), 100);
        assert!((1..=THREADS_MAX).contains(&resolver.shared.lock().threads));
    }

    #[test]
    fn the_bell_rings_when_there_is_an_answer() {
        let resolver = Resolver::new().unwrap();
        resolver.ask("127.0.0.1").unwrap();
        let fd = nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&resolver.bell), nix::poll::PollFlags::POLLIN);
        assert_eq!(nix::poll::poll(&mut [fd], 60_000_u16).unwrap(), 1);
        assert_eq!(resolver.answers().unwrap().len(), 1);
        assert!(resolver.answers().unwrap().is_empty());
    }
}
