//! A client that shares no code with the library: frames by hand, so that a mistake on both sides cannot cancel out.

use super::wait::DEADLINE;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// One connection.
pub struct Client {
    stream: UnixStream,
}

/// A frame around `body`.
pub fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a test body is small");
    [&length.to_be_bytes(), body].concat()
}

impl Client {
    pub fn connect(socket: &Path) -> io::Result<Client> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Client { stream })
    }

    pub fn patience(&self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).expect("a timeout is not zero");
    }

    /// Raw bytes, well-formed or not.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn send(&mut self, request: &Value) -> io::Result<()> {
        self.send_bytes(&frame(request.to_string().as_bytes()))
    }

    /// The next reply; `UnexpectedEof` when the daemon closed the connection.
    pub fn receive(&mut self) -> io::Result<Value> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let mut body = vec![0; u32::from_be_bytes(header) as usize];
        self.stream.read_exact(&mut body)?;
        serde_json::from_slice(&body).map_err(io::Error::other)
    }

    pub fn ask(&mut self, request: &Value) -> io::Result<Value> {
        self.send(request)?;
        self.receive()
    }

    /// Whether the daemon closes the connection (or resets it) within the patience.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(problem) => problem.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    pub fn close_writing(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}
