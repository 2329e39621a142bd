//! What happened to a process, one record after the other.

use serde::{Deserialize, Serialize};

/// One record. A reader takes what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Happening {
    /// When, in the local time of the daemon.
    pub at: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Of which kind, for programs.
    pub event: String,
    /// For people.
    pub text: String,
}
