//! What `top` shows, as JSON for other programs: one object for each look.

use super::told;
use serde::Serialize;

/// One process as `top` shows it. What is not known is null.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// `None`: dead.
    pub pid: Option<i64>,
    /// Seconds.
    pub uptime: Option<u64>,
    /// How often it was started again.
    pub restarts: Option<u64>,
    /// Processor time of its process group, in percent of one processor, since the look before.
    pub cpu_percent: Option<f64>,
    /// Resident memory of its process group.
    pub rss_bytes: Option<u64>,
    /// The verdict of its health checks.
    pub healthy: Option<bool>,
    /// Bytes of its output a second, since the look before.
    pub output_bytes_per_second: Option<f64>,
}

#[derive(Serialize)]
struct Picture<'a> {
    processes: &'a [Shown],
}

/// One look on a line of its own.
pub fn line(processes: &[Shown]) -> String {
    told::written(&Picture { processes })
}
