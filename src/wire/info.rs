//! What the daemon says about itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The daemon in numbers. A reader takes what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SelfPortrait {
    /// Its version.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// Whole seconds since its start.
    pub uptime: u64,
    /// The configuration it reads.
    pub configuration: String,
    /// How many processes there are in each state.
    pub states: BTreeMap<String, usize>,
    /// All of them.
    pub processes: usize,
    /// Its own resident memory, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Its own processor time.
    pub cpu_ms: u64,
    /// How long it was at work at most before it listened again, of late.
    pub loop_lag_us: u64,
    /// The same, since its start.
    pub loop_lag_max_us: u64,
    /// Open control connections.
    pub connections: usize,
    /// Control connections closed for want of room or of progress.
    pub evicted_connections: u64,
    /// Events for somebody who was gone.
    pub stale_events: u64,
    /// Bytes of output that found no place in a log.
    pub dropped_bytes: u64,
}
