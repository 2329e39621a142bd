//! The blocking client: one request, one answer, and never longer than its deadline.
//!
//! Uses a connection for each request, because Python's daemon closes after its reply. Believes a socket in a folder
//! that others may write only if root or our own user listens on it.

mod feed;
mod trouble;

pub use feed::Feed;
pub use trouble::ClientError;

use crate::sys::connect::{self, Deadline};
use crate::wire::{Answer, Decoder, Progress, Request, encode_frame};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Talks to the daemon behind one socket.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
    deadline: Deadline,
}

impl Client {
    /// All its calls together are over once `timeout` is.
    pub fn new(socket: impl Into<PathBuf>, timeout: Duration) -> Client {
        Client { socket: socket.into(), timeout, deadline: Deadline::after(timeout) }
    }

    /// The same for an answer that the other side gives when the timeout is over: it has so much longer to arrive.
    pub fn with_grace(self, grace: Duration) -> Client {
        Client { deadline: Deadline::after(self.timeout + grace), ..self }
    }

    /// Asks, and waits for the answer.
    pub fn call(&self, request: &Request) -> Result<Answer, ClientError> {
        self.call_raw(request).map(|(answer, _)| answer)
    }

    /// The same, with the body of the reply as it came.
    pub fn call_raw(&self, request: &Request) -> Result<(Answer, Vec<u8>), ClientError> {
        self.call_with(&request.encode())
    }

    /// The same; only a daemon that reads all of the request sends an answer with `id`.
    pub fn call_marked(&self, request: &Request) -> Result<(Answer, Vec<u8>), ClientError> {
        self.call_with(&request.encode_marked())
    }

    fn call_with(&self, body: &[u8]) -> Result<(Answer, Vec<u8>), ClientError> {
        let mut stream = self.connect()?;
        self.vet(&stream)?;
        self.send(&mut stream, body)?;
        let frame = self.receive(&mut stream)?;
        let answer = Answer::decode(&frame).map_err(ClientError::Garbled)?;
        Ok((answer, frame))
    }

    /// The same, and meanwhile shows how far it has come.
    pub fn call_watched(
        &self,
        request: &Request,
        mut show: impl FnMut(Progress),
    ) -> Result<(Answer, Vec<u8>), ClientError> {
        let mut stream = self.connect()?;
        self.vet(&stream)?;
        self.send(&mut stream, &request.encode_watched())?;
        let mut decoder = Decoder::new();
        loop {
            let frame = self.receive_into(&mut stream, &mut decoder)?;
            if let Some(progress) = Progress::decode(&frame) {
                show(progress);
                continue;
            }
            let answer = Answer::decode(&frame).map_err(ClientError::Garbled)?;
            return Ok((answer, frame));
        }
    }

    /// Asks, waits for the answer, and keeps the connection for the frames that follow it.
    pub fn open(&self, request: &Request) -> Result<(Answer, Feed), ClientError> {
        let (answer, _, feed) = self.open_raw(request)?;
        Ok((answer, feed))
    }

    /// The same, with the body of the reply as it came.
    pub fn open_raw(&self, request: &Request) -> Result<(Answer, Vec<u8>, Feed), ClientError> {
        let mut stream = self.connect()?;
        self.vet(&stream)?;
        self.send(&mut stream, &request.encode())?;
        let mut decoder = Decoder::new();
        let frame = self.receive_into(&mut stream, &mut decoder)?;
        let answer = Answer::decode(&frame).map_err(ClientError::Garbled)?;
        stream.set_nonblocking(true).map_err(|error| self.failed("wait", error))?;
        Ok((answer, frame, Feed::new(stream, decoder, self.socket.clone())))
    }

    /// Where it looks for the daemon.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn connect(&self) -> Result<UnixStream, ClientError> {
        connect::connect(&self.socket, self.deadline).map_err(|error| {
            if let Some(found) = connect::instead_of_a_socket(&self.socket) {
                return ClientError::NotASocket { found, path: self.socket.clone() };
            }
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
                _ => self.failed("connect", error),
            }
        })
    }

    fn vet(&self, stream: &UnixStream) -> Result<(), ClientError> {
        let shared = connect::folder_is_shared(&self.socket).map_err(|e| self.failed("look at the socket", e))?;
        if !shared {
            return Ok(());
        }
        let uid = connect::peer_uid(stream).map_err(|e| self.failed("ask who listens", e))?;
        if uid == 0 || uid == connect::own_uid() {
            return Ok(());
        }
        Err(ClientError::Untrusted { uid, socket: self.socket.clone() })
    }

    fn send(&self, stream: &mut UnixStream, body: &[u8]) -> Result<(), ClientError> {
        let mut frame = Vec::new();
        encode_frame(body, &mut frame).map_err(ClientError::RequestTooLarge)?;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let left = self.left()?;
            let written = stream.set_write_timeout(Some(left)).and_then(|()| stream.write(rest));
            match written {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A daemon that refuses may close without reading; its reply can still wait for us.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(self.failed("send the request", error)),
            }
        }
        Ok(())
    }

    fn receive(&self, stream: &mut UnixStream) -> Result<Vec<u8>, ClientError> {
        self.receive_into(stream, &mut Decoder::new())
    }

    fn receive_into(&self, stream: &mut UnixStream, decoder: &mut Decoder) -> Result<Vec<u8>, ClientError> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(frame) = decoder.pull() {
                return frame.map_err(ClientError::TooLarge);
            }
            let left = self.left()?;
            let read = stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk));
            match read {
                Ok(0) => return Err(ClientError::HungUp),
                Ok(count) => decoder.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(ClientError::HungUp),
                Err(error) => return Err(self.failed("read the reply", error)),
            }
        }
    }

    fn left(&self) -> Result<Duration, ClientError> {
        self.deadline.left().map_err(|error| self.failed("wait", error))
    }

    fn failed(&self, tried: &'static str, error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                ClientError::TimedOut { timeout: self.timeout, socket: self.socket.clone() }
            }
            _ => ClientError::Io { tried, error },
        }
    }
}
