//! A connection that is kept open: frames that come by themselves, and why no more of them do.

use super::{Client, ClientError};
use crate::sys::clock;
use crate::wire::{Answer, Decoder, Request};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A daemon that ends closes its connections before it removes its socket; it is given this to be gone.
const PARTING: Duration = Duration::from_secs(2);

/// From one look to the next whether it is gone.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection on which frames come without being asked for.
#[derive(Debug)]
pub struct Feed {
    stream: UnixStream,
    decoder: Decoder,
    socket: PathBuf,
}

impl Feed {
    /// What follows on this connection; `decoder` may hold some of it already.
    pub(super) fn new(stream: UnixStream, decoder: Decoder, socket: PathBuf) -> Feed {
        Feed { stream, decoder, socket }
    }

    /// The next frame, if it is there; without waiting.
    pub fn pull(&mut self) -> Result<Option<Answer>, ClientError> {
        Ok(self.pull_raw()?.map(|(answer, _)| answer))
    }

    /// The same, with its body as it came.
    pub fn pull_raw(&mut self) -> Result<Option<(Answer, Vec<u8>)>, ClientError> {
        loop {
            match self.decoder.pull() {
                Some(Ok(frame)) => {
                    let answer = Answer::decode_piece(&frame).map_err(ClientError::Garbled)?;
                    return Ok(Some((answer, frame)));
                }
                Some(Err(error)) => return Err(ClientError::TooLarge(error)),
                None => {}
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(parting(&self.socket)),
                Ok(count) => self.decoder.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(parting(&self.socket)),
                Err(error) => return Err(ClientError::Io { tried: "read what follows", error }),
            }
        }
    }

    /// Whether the next frame is here already, whole: nothing has to come for it, and nothing will wake whoever waits.
    pub fn holds_more(&self) -> bool {
        self.decoder.buffered() > 0 && !self.decoder.has_partial()
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Why a daemon sends no more, by what is there of it now.
fn parting(socket: &Path) -> ClientError {
    let client = Client::new(socket, PARTING);
    let mut heard = false;
    loop {
        match client.call(&Request::Info) {
            Ok(_) => return ClientError::Dropped,
            Err(ClientError::NotRunning) if socket.exists() => return ClientError::Died,
            Err(ClientError::NotRunning) => return ClientError::ShutDown,
            // Somebody takes connections and closes them: it has no place for us, or it is about to end.
            Err(ClientError::HungUp) => heard = true,
            Err(ClientError::Io { .. }) => {}
            Err(ClientError::TimedOut { .. }) if heard => return ClientError::Dropped,
            Err(ClientError::TimedOut { .. }) => return ClientError::Silent { waited: PARTING },
            Err(other) => return other,
        }
        clock::pause(PAUSE);
    }
}
