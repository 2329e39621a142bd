//! What can be ordered of several processes at once, and signals for them.

use super::request::Request;

/// What can be ordered of several processes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart {
        /// With SIGKILL.
        force: bool,
    },
}

impl Verb {
    /// The command for it.
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart { .. } => "restart",
        }
    }

    /// The request to do it to one.
    pub fn of_one(self, name: String) -> Request {
        match self {
            Verb::Start => Request::Start { name },
            Verb::Stop => Request::Stop { name },
            Verb::Restart { force } => Request::Restart { name, force },
        }
    }
}

/// What can be done to logs, of one process or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDeed {
    /// `rotate`.
    Rotate,
    /// `clearlog`.
    Clear,
}

impl LogDeed {
    /// The command for it.
    pub const fn name(self) -> &'static str {
        match self {
            LogDeed::Rotate => "rotate",
            LogDeed::Clear => "clearlog",
        }
    }

    /// The request to do it to the logs of one.
    pub fn of_one(self, name: String) -> Request {
        Request::TreatLogs { deed: self, name }
    }
}

/// A signal, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignalOrder {
    /// Its name or number.
    pub signal: String,
    /// Names, globs, `group:NAME` or `all`.
    pub names: Vec<String>,
    /// Not for the whole process group.
    pub leader: bool,
}
