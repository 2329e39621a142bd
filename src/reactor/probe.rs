//! A question over the network under way: a connect to one address after the other, and where HTTP is asked, a request
//! and the head of its answer. It says what it found; what that means for the program is the engine's business.

mod http;

pub use http::Question;

use super::Reactor;
use super::source::SourceId;
use http::Hearing;
use mio::Interest;
use mio::net::TcpStream;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;

/// What came of a question so far.
#[derive(Debug)]
pub enum Progress {
    /// Not known yet.
    Pending,
    /// Healthy; the status of the answer where one was asked for.
    Passed(Option<u16>),
    /// Not healthy, and why.
    Failed(Fault),
}

/// Why a question found nobody healthy.
#[derive(Debug)]
pub enum Fault {
    /// Nobody listens there.
    Refused,
    /// No way leads there.
    Unreachable(io::Error),
    /// The network gave up, or this address had its share of the time.
    TimedOut,
    /// The connection failed otherwise.
    Connect(io::Error),
    /// No descriptor or memory to ask with: says nothing of the program.
    NoRoom(io::Error),
    /// Connected, but then the answer was wrong; in words.
    Answer(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused => f.write_str("refused"),
            Fault::Unreachable(error) => write!(f, "failed: unreachable: {error}"),
            Fault::TimedOut => f.write_str("timed out"),
            Fault::Connect(error) => write!(f, "failed: {error}"),
            Fault::NoRoom(error) => write!(f, "could not be tried: {error}"),
            Fault::Answer(words) => f.write_str(words),
        }
    }
}

/// One question. Its stream is registered from one `serve` to the next; `close` before it is dropped.
#[derive(Debug)]
pub struct Caller {
    addresses: Vec<SocketAddr>,
    tried: usize,
    question: Option<Question>,
    call: Option<Call>,
}

#[derive(Debug)]
struct Call {
    stream: TcpStream,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Asking { sent: usize },
    Hearing(Hearing),
}

impl Caller {
    /// A question for the first of `addresses` that accepts a connection; without `question` that is the answer.
    pub fn new(addresses: Vec<SocketAddr>, question: Option<Question>) -> Caller {
        Caller { addresses, tried: 0, question, call: None }
    }

    /// How many addresses there are to try.
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there are addresses left to try.
    pub fn has_next(&self) -> bool {
        self.tried < self.addresses.len()
    }

    /// Whether somebody accepted.
    pub fn is_connected(&self) -> bool {
        self.call.as_ref().is_some_and(|call| !matches!(call.stage, Stage::Connecting))
    }

    /// The address tried now, or the last one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.get(self.tried.saturating_sub(1)).copied()
    }

    /// Turns to the first address, or from one that did not answer to the next. `fault` stands if there is none left.
    pub fn try_next(&mut self, mut fault: Fault, reactor: &Reactor, id: SourceId) -> Progress {
        self.close(reactor);
        while let Some(&address) = self.addresses.get(self.tried) {
            self.tried += 1;
            match self.connect(address, reactor, id) {
                Ok(progress) => return progress,
                Err(Fault::NoRoom(error)) => {
                    self.tried -= 1;
                    return Progress::Failed(Fault::NoRoom(error));
                }
                Err(other) => fault = other,
            }
        }
        Progress::Failed(fault)
    }

    /// Goes on as far as it can without waiting.
    pub fn serve(&mut self, reactor: &Reactor, id: SourceId) -> Progress {
        let Some(call) = &mut self.call else { return Progress::Pending };
        if matches!(call.stage, Stage::Connecting) {
            match connected(&call.stream) {
                Ok(false) => return Progress::Pending,
                Ok(true) => call.stage = Stage::Asking { sent: 0 },
                Err(fault) => return self.try_next(fault, reactor, id),
            }
        }
        let Some(question) = &self.question else { return Progress::Passed(None) };
        if let Stage::Asking { sent } = &mut call.stage {
            match send(&mut call.stream, question.request(), sent) {
                Ok(false) => return Progress::Pending,
                Ok(true) => call.stage = Stage::Hearing(Hearing::default()),
                Err(error) => return Progress::Failed(broken(&error)),
            }
        }
        let Stage::Hearing(hearing) = &mut call.stage else { return Progress::Pending };
        match hearing.read(&mut call.stream) {
            Ok(None) => Progress::Pending,
            Ok(Some(status)) => question.judge(status),
            Err(fault) => Progress::Failed(fault),
        }
    }

    /// A connection on the same host is through at once, and who only wants that needs no event.
    fn connect(&mut self, address: SocketAddr, reactor: &Reactor, id: SourceId) -> Result<Progress, Fault> {
        let mut stream = TcpStream::connect(address).map_err(connect_fault)?;
        let through = connected(&stream)?;
        if through && self.question.is_none() {
            return Ok(Progress::Passed(None));
        }
        let reads = self.question.is_some();
        let interest = if reads { Interest::READABLE | Interest::WRITABLE } else { Interest::WRITABLE };
        reactor.register(&mut stream, id, interest).map_err(Fault::NoRoom)?;
        self.call = Some(Call { stream, stage: Stage::Connecting });
        Ok(Progress::Pending)
    }

    /// Hangs up.
    pub fn close(&mut self, reactor: &Reactor) {
        if let Some(mut call) = self.call.take() {
            reactor.deregister(&mut call.stream);
        }
    }
}

/// Whether the connect is through. A spurious event leaves it where it was.
fn connected(stream: &TcpStream) -> Result<bool, Fault> {
    match stream.peer_addr() {
        // A connect to a free local port may by chance be given that very port, and then it meets itself.
        Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => Err(Fault::Refused),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => {
            stream.take_error().map_err(Fault::Connect)?.map_or(Ok(false), |error| Err(connect_fault(error)))
        }
        Err(error) => Err(connect_fault(error)),
    }
}

fn send(stream: &mut TcpStream, request: &[u8], sent: &mut usize) -> io::Result<bool> {
    while *sent < request.len() {
        match stream.write(&request[*sent..]) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn connect_fault(error: io::Error) -> Fault {
    match error.kind() {
        ErrorKind::ConnectionRefused => Fault::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Fault::Unreachable(error)
        }
        ErrorKind::TimedOut => Fault::TimedOut,
        ErrorKind::OutOfMemory => Fault::NoRoom(error),
        _ if crate::sys::limits::is_shortage(&error) => Fault::NoRoom(error),
        _ => Fault::Connect(error),
    }
}

/// The other end let go of an accepted connection.
fn broken(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Fault::Answer("reset the connection".to_owned()),
        _ => Fault::Answer(format!("failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::Key;
    use crate::engine::time::{Duration, Instant};
    use crate::reactor::source::Kind;
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener};

    const ID: SourceId = SourceId { kind: Kind::Probe, key: Key { slot: 3, generation: 1 } };

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address at which nobody listens.
    fn closed() -> SocketAddr {
        listener().1
    }

    fn ask(addresses: Vec<SocketAddr>, question: Option<Question>) -> Progress {
        let mut reactor = Reactor::new().unwrap();
        let mut caller = Caller::new(addresses, question);
        let mut progress = caller.try_next(Fault::Refused, &reactor, ID);
        let started = std::time::Instant::now();
        while matches!(progress, Progress::Pending) {
            assert!(started.elapsed() < Duration::from_secs(20), "no answer");
            reactor.wait(Instant::ZERO, Some(Instant::from_millis(100))).unwrap();
            if reactor.marks().count() > 0 {
                progress = caller.serve(&reactor, ID);
            }
        }
        caller.close(&reactor);
        progress
    }

    fn words(progress: Progress) -> String {
        match progress {
            Progress::Pending => "pending".to_owned(),
            Progress::Passed(None) => "passed".to_owned(),
            Progress::Passed(Some(status)) => format!("passed {status}"),
            Progress::Failed(fault) => fault.to_string(),
        }
    }

    /// Serves one connection by sending `answer` once the request is there, then lets go of it.
    fn answering(answer: Vec<u8>) -> SocketAddr {
        let (listener, address) = listener();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /up?x=1 HTTP/1.1\r\nHost: web.test:8080\r\n"), "{request:?}");
            // The asker may hang up as soon as it has seen enough.
            let _ = stream.write_all(&answer);
        });
        address
    }

    fn question() -> Question {
        Question::new("web.test", 8080, "/up?x=1", vec![(200, 399)])
    }

    fn http(answer: impl Into<Vec<u8>>) -> String {
        words(ask(vec![answering(answer.into())], Some(question())))
    }

    #[test]
    fn an_accepted_connection_passes() {
        let (_listener, address) = listener();
        assert_eq!(words(ask(vec![address], None)), "passed");
    }

    #[test]
    fn a_port_without_a_listener_is_refused() {
        assert_eq!(words(ask(vec![closed()], None)), "refused");
    }

    #[test]
    fn every_address_is_tried_in_turn() {
        let (_listener, address) = listener();
        assert_eq!(words(ask(vec![closed(), closed(), address], None)), "passed");
        assert_eq!(words(ask(vec![closed(), closed()], None)), "refused");
    }

    #[test]
    fn no_way_is_told_apart() {
        // 255.255.255.255 is nobody's to connect to.
        let nowhere = SocketAddr::from(([255, 255, 255, 255], 9));
        let told = words(ask(vec![nowhere], None));
        assert!(told.starts_with("failed: "), "{told}");
    }

    #[test]
    fn an_http_status_decides() {
        assert_eq!(http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "passed 200");
        assert_eq!(http("HTTP/1.0 301 Moved\r\nLocation: /\r\n\r\n"), "passed 301");
        assert_eq!(http("HTTP/1.1 500 Oops\r\n\r\n"), "answered 500 (200-399 is healthy)");
        assert_eq!(http("HTTP/1.1 404 Not Found\r\n\r\nbody"), "answered 404 (200-399 is healthy)");
    }

    #[test]
    fn an_interim_answer_is_not_the_answer() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        assert_eq!(http(format!("{interim}{interim}HTTP/1.1 204 No Content\r\n\r\n")), "passed 204");
    }

    #[test]
    fn what_is_no_http_is_told() {
        assert_eq!(http("SSH-2.0-OpenSSH_9.7\r\n"), "sent no HTTP answer: invalid HTTP version");
        assert_eq!(http("HTTP/1.1 20"), "closed the connection before its answer was complete");
        assert_eq!(http(""), "closed the connection without an answer");
        assert_eq!(http("HTTP/1.1 99999 Big\r\n\r\n"), "sent no HTTP answer: invalid response status");
    }

    #[test]
    fn an_endless_head_costs_one_bounded_buffer() {
        let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"X-Filler: yes\r\n".repeat(100_000);
        assert_eq!(http(endless), "sent too many headers");
        let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
        assert_eq!(http(long), "sent more than 16384 bytes of headers");
    }

    #[test]
    fn a_body_is_not_waited_for() {
        assert_eq!(http("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx"), "passed 200");
    }
}
