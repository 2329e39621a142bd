//! Requests as a client writes them: keys in the order of Python's client, and only those that say something.

use super::request::{Request, TailQuery, Verb};
use serde::Serialize;

/// A request as Python's client words it: further keys only where they say something.
#[derive(Serialize, Default)]
struct Spoken<'a> {
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    force: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<&'a [String]>,
    #[serde(skip_serializing_if = "is_default")]
    offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "is_default")]
    verbose: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    follow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a str>,
    #[serde(skip_serializing_if = "is_default")]
    leader: bool,
    #[serde(skip_serializing_if = "is_default")]
    progress: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Request {
    /// The word for it on the wire.
    pub const fn command(&self) -> &'static str {
        match self {
            Request::Status(_) => "status",
            Request::Start { .. } => "start",
            Request::Stop { .. } => "stop",
            Request::Restart { .. } => "restart",
            Request::Many { verb, .. } => verb.name(),
            Request::StartGroup { .. } => "startgroup",
            Request::StopGroup { .. } => "stopgroup",
            Request::Reload => "reload",
            Request::DryReload => "dryreload",
            Request::Update { .. } => "update",
            Request::Reopen => "reopen",
            Request::TreatLogs { deed, .. } | Request::TreatManyLogs { deed, .. } => deed.name(),
            Request::Tail { .. } => "tail",
            Request::MainTail(_) => "maintail",
            Request::Wait { .. } => "wait",
            Request::Signal(_) => "signal",
            Request::Why { .. } => "why",
            Request::Describe { .. } => "describe",
            Request::Events(_) => "events",
            Request::Metrics => "metrics",
            Request::Info => "info",
            Request::Shutdown => "shutdown",
        }
    }

    /// The body of its frame.
    pub fn encode(&self) -> Vec<u8> {
        self.spoken(Spoken::default())
    }

    /// The same, with the wish to be told how far it has come.
    pub fn encode_watched(&self) -> Vec<u8> {
        self.spoken(Spoken { progress: true, ..Spoken::default() })
    }

    /// The same, with a mark that a daemon sends back which knows more than the words of Python's.
    pub fn encode_marked(&self) -> Vec<u8> {
        self.spoken(Spoken { id: Some(1), ..Spoken::default() })
    }

    fn spoken<'a>(&'a self, extra: Spoken<'a>) -> Vec<u8> {
        let plain = Spoken { command: self.command(), ..extra };
        let spoken = match self {
            Request::Status(query) => Spoken {
                names: query.names.as_deref(),
                offset: query.offset,
                limit: query.limit,
                verbose: query.verbose,
                ..plain
            },
            Request::Restart { name, force } => Spoken { name: Some(name), force: Some(*force), ..plain },
            Request::Many { verb, names } => {
                let force = if let Verb::Restart { force } = verb { Some(*force) } else { None };
                Spoken { names: Some(names), force, ..plain }
            }
            Request::Start { name }
            | Request::Stop { name }
            | Request::StartGroup { name }
            | Request::StopGroup { name }
            | Request::TreatLogs { name, .. }
            | Request::Describe { name }
            | Request::Why { name } => Spoken { name: Some(name), ..plain },
            Request::Reload
            | Request::DryReload
            | Request::Reopen
            | Request::Metrics
            | Request::Info
            | Request::Shutdown => plain,
            Request::Events(query) => Spoken { since: query.since, follow: query.follow, ..plain },
            Request::Update { names } => Spoken { names: names.as_deref(), ..plain },
            Request::Wait { conditions, timeout_ms } => {
                let conditions = conditions.iter().map(ToString::to_string).collect();
                Spoken { conditions: Some(conditions), timeout_ms: *timeout_ms, ..plain }
            }
            Request::TreatManyLogs { names, .. } => Spoken { names: Some(names), ..plain },
            Request::Signal(order) => {
                Spoken { names: Some(&order.names), signal: Some(&order.signal), leader: order.leader, ..plain }
            }
            Request::Tail { name, stream, query } => {
                let TailQuery { bytes, lines, follow } = *query;
                Spoken { name: Some(name), stream: Some(stream.name()), bytes, lines, follow, ..plain }
            }
            Request::MainTail(TailQuery { bytes, lines, follow }) => {
                Spoken { bytes: *bytes, lines: *lines, follow: *follow, ..plain }
            }
        };
        serde_json::to_vec(&spoken).expect("strings, numbers and booleans always serialise into memory")
    }
}
