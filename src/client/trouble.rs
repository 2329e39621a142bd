//! Why there is no answer, in words for people.

use crate::wire::{MAX_FRAME, TooLarge};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there.
    NotRunning,
    /// Nobody can listen there.
    NotASocket {
        /// What it is: `a file`.
        found: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Somebody else listens there.
    Untrusted {
        /// Whose process it is.
        uid: u32,
        /// Where.
        socket: PathBuf,
    },
    /// The deadline passed first.
    TimedOut {
        /// What it was.
        timeout: Duration,
        /// Where.
        socket: PathBuf,
    },
    /// The connection ended before the answer did.
    HungUp,
    /// What was followed is over: the daemon was shut down.
    ShutDown,
    /// What was followed is over: the daemon died, and left its socket behind.
    Died,
    /// What was followed is over, and a daemon is there.
    Dropped,
    /// What was followed is over, and whoever is there says nothing.
    Silent {
        /// For how long it was asked.
        waited: Duration,
    },
    /// What came is no answer.
    Garbled(String),
    /// The answer is above what a frame holds.
    TooLarge(TooLarge),
    /// The request is.
    RequestTooLarge(TooLarge),
    /// Anything else between us.
    Io {
        /// What was tried.
        tried: &'static str,
        /// What happened.
        error: io::Error,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NotRunning => f.write_str("Supervice is not running (socket not found)"),
            ClientError::NotASocket { found, path } => write!(f, "{} is {found}, not a socket", path.display()),
            ClientError::Untrusted { uid, socket } => write!(
                f,
                "Not trusted: uid {uid} listens on {}, which lies in a folder that others may write (expected is a \
                 daemon of root or of your own user)",
                socket.display()
            ),
            ClientError::TimedOut { timeout, socket } => {
                let seconds = timeout.as_secs_f64();
                write!(f, "No response from supervice within {seconds}s (socket: {})", socket.display())
            }
            ClientError::HungUp => f.write_str("The connection was closed before the reply was complete"),
            ClientError::ShutDown => f.write_str("Supervice was shut down"),
            ClientError::Died => f.write_str("Supervice has died: its socket is there, and nobody listens on it"),
            ClientError::Dropped => f.write_str(
                "Supervice closed the connection and is there: it was started anew, or too many others are connected",
            ),
            ClientError::Silent { waited } => {
                let seconds = waited.as_secs_f64();
                write!(f, "Supervice closed the connection, is there and does not answer: nothing within {seconds}s")
            }
            ClientError::Garbled(why) => write!(f, "Not a reply of supervice: {why}"),
            ClientError::TooLarge(error) => error.fmt(f),
            ClientError::RequestTooLarge(TooLarge { length }) => {
                write!(f, "The request is too large: {length} bytes, and {MAX_FRAME} is the most")
            }
            ClientError::Io { tried, error } => write!(f, "Cannot {tried}: {error}"),
        }
    }
}

impl std::error::Error for ClientError {}
