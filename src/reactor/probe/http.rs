//! What is asked over HTTP, and the head of the answer. The body is not read.

use super::{Fault, Progress, broken};
use std::io::{ErrorKind, Read};

/// The longest head of an answer, interim ones included.
const HEAD_MAX: usize = 16 * 1024;
/// More headers than this are taken for an attack.
const HEADERS_MAX: usize = 128;
/// Bytes asked for at one time.
const CHUNK: usize = 4096;

/// A GET, and the statuses that are healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    request: Vec<u8>,
    statuses: Vec<(u16, u16)>,
}

impl Question {
    /// For `path`, which begins with `/` and has no blanks, at `host`, a name or an address.
    pub fn new(host: &str, port: u16, path: &str, statuses: Vec<(u16, u16)>) -> Question {
        let host = authority(host, port);
        let agent = concat!("supervice/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        Question { request: request.into_bytes(), statuses }
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    pub(super) fn judge(&self, status: u16) -> Progress {
        if self.statuses.iter().any(|&(first, last)| (first..=last).contains(&status)) {
            return Progress::Passed(Some(status));
        }
        let range =
            |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
        let healthy: Vec<String> = self.statuses.iter().map(range).collect();
        Progress::Failed(Fault::Answer(format!("answered {status} ({} is healthy)", healthy.join(","))))
    }
}

/// `host:port`, without the port that goes without saying; an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == 80 { host } else { format!("{host}:{port}") }
}

/// The head of an answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    head: Vec<u8>,
}

impl Hearing {
    /// Reads what is there; the status once the head is complete.
    pub(super) fn read(&mut self, stream: &mut impl Read) -> Result<Option<u16>, Fault> {
        loop {
            let known = self.head.len();
            let room = CHUNK.min(HEAD_MAX - known);
            if room == 0 {
                return Err(Fault::Answer(format!("sent more than {HEAD_MAX} bytes of headers")));
            }
            self.head.resize(known + room, 0);
            let read = stream.read(&mut self.head[known..]);
            self.head.truncate(known + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(Fault::Answer(ended_early(self.head.is_empty()).to_owned())),
                Ok(_) => {
                    if let Some(status) = self.parse()? {
                        return Ok(Some(status));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    /// Interim answers (1xx) only announce the one that counts.
    fn parse(&self) -> Result<Option<u16>, Fault> {
        let mut rest = &self.head[..];
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut answer = httparse::Response::new(&mut headers);
            match answer.parse(rest) {
                Ok(httparse::Status::Partial) => return Ok(None),
                Ok(httparse::Status::Complete(length)) => match answer.code {
                    Some(code) if !(100..200).contains(&code) => return Ok(Some(code)),
                    _ => rest = &rest[length..],
                },
                Err(httparse::Error::TooManyHeaders) => return Err(Fault::Answer("sent too many headers".to_owned())),
                Err(error) => return Err(Fault::Answer(format!("sent no HTTP answer: {error}"))),
            }
        }
    }
}

fn ended_early(nothing: bool) -> &'static str {
    if nothing {
        "closed the connection without an answer"
    } else {
        "closed the connection before its answer was complete"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_request_is_written_as_in_an_address() {
        assert_eq!(authority("localhost", 8080), "localhost:8080");
        assert_eq!(authority("127.0.0.1", 80), "127.0.0.1");
        assert_eq!(authority("::1", 8080), "[::1]:8080");
    }

    #[test]
    fn an_answer_may_come_byte_by_byte() {
        let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nServer: x\r\n\r\n";
        for cut in 1..answer.len() {
            let mut hearing = Hearing { head: answer[..cut].to_vec() };
            assert_eq!(hearing.parse().unwrap(), None, "{cut}");
            hearing.head = answer.to_vec();
            assert_eq!(hearing.parse().unwrap(), Some(302));
        }
    }

    #[test]
    fn narrowed_statuses_are_told_in_full() {
        let question = Question::new("h", 80, "/", vec![(200, 200), (204, 206)]);
        assert!(matches!(question.judge(205), Progress::Passed(Some(205))));
        let Progress::Failed(fault) = question.judge(301) else { panic!("301 is not among them") };
        assert_eq!(fault.to_string(), "answered 301 (200,204-206 is healthy)");
    }
}
