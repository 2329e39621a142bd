//! Replies as a client reads them. Tolerant: the daemon may be older, newer, or Python's.

use super::base64;
use super::description::Description;
use super::history::Happening;
use super::info::SelfPortrait;
use super::occurrence::Occurrence;
use super::reload::Effect;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// A reply: what is not in it is empty, what is not known is ignored.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// `ok` or `error`.
    pub status: String,
    /// The mark of the request: whoever sends it back reads all of what was asked.
    pub id: Option<IgnoredAny>,
    /// For people.
    pub message: Option<String>,
    /// For programs.
    pub code: Option<String>,
    /// What went wrong underneath.
    pub reason: Option<String>,
    /// Names in the request that nobody bears.
    pub unknown: Vec<String>,
    /// The rows of a status.
    pub processes: Vec<Row>,
    /// New by a reload.
    pub added: Vec<String>,
    /// Gone by a reload.
    pub removed: Vec<String>,
    /// Other by a reload.
    pub changed: Vec<String>,
    /// What is other about each of `changed`.
    pub effects: Vec<Effect>,
    /// In another group by a reload.
    pub regrouped: Vec<String>,
    /// What is other about the daemon itself.
    pub daemon: Effect,
    /// What became of each, where several were meant.
    pub results: Vec<Verdict>,
    /// What happened to a process.
    pub history: Vec<Happening>,
    /// How a process is configured.
    pub description: Option<Description>,
    /// Every number there is, as Prometheus reads it.
    pub metrics: Option<String>,
    /// What happened to all processes.
    pub events: Vec<Occurrence>,
    /// The number of the last event; the next are those since it.
    pub last: u64,
    /// Events are counted from 1 again.
    pub restarted: bool,
    /// The daemon in numbers.
    pub info: Option<SelfPortrait>,
    /// `stdout`, `stderr` or `log`: what a piece of a log is of.
    pub stream: Option<String>,
    /// How `data` is to be read.
    pub encoding: Option<String>,
    /// A piece of a log.
    pub data: Option<String>,
    /// Bytes, or events, that were lost before it.
    pub missed: u64,
    /// More was asked for than fits into a frame.
    pub truncated: bool,
}

/// One process in a status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// `None`: dead.
    pub pid: Option<i64>,
    /// Seconds.
    pub uptime: Option<u64>,
    /// `None`: not checked, or no verdict yet.
    pub healthy: Option<bool>,
    /// How often it was started again.
    pub restarts: Option<u64>,
    /// Bytes of its output so far.
    pub output_bytes: Option<u64>,
    /// `None`: not asked for, or a daemon that does not tell.
    pub group: Option<String>,
}

/// What became of one of several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Verdict {
    /// Whom it is about.
    pub name: String,
    /// `ok` or `error`.
    pub status: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What went wrong underneath.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Answer {
    /// Reads the body of a reply's frame.
    pub fn decode(frame: &[u8]) -> Result<Answer, String> {
        let answer: Answer = serde_json::from_slice(frame).map_err(|error| error.to_string())?;
        match answer.status.as_str() {
            "ok" | "error" => Ok(answer),
            other => Err(format!("no status in it, but {other:?}")),
        }
    }

    /// Reads a frame that follows an answer: a piece of a log, events, or the error that ends it.
    pub fn decode_piece(frame: &[u8]) -> Result<Answer, String> {
        let answer: Answer = serde_json::from_slice(frame).map_err(|error| error.to_string())?;
        let says_nothing = answer.status.is_empty() && answer.data.is_none() && answer.last == 0;
        if says_nothing { Err("no data in it".to_owned()) } else { Ok(answer) }
    }

    /// The piece of a log that is in it, as it was written there.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let data = self.data.as_deref().unwrap_or_default();
        match self.encoding.as_deref() {
            Some("utf-8") | None => Ok(data.as_bytes().to_vec()),
            Some("base64") => base64::decode(data).ok_or_else(|| "its base64 is none".to_owned()),
            Some(other) => Err(format!("data in an encoding that nobody knows: {other:?}")),
        }
    }

    /// It was done.
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }

    /// Nobody bears that name.
    pub fn is_not_found(&self) -> bool {
        // Python's daemon has no code for it.
        self.code.as_deref() == Some("NOT_FOUND") || self.message.as_deref() == Some("Process not found")
    }

    /// No group bears that name.
    pub fn is_group_not_found(&self) -> bool {
        self.message.as_deref() == Some("Group not found")
    }

    /// The reply would have been longer than a frame: ask for less at a time.
    pub fn is_too_large(&self) -> bool {
        self.code.as_deref() == Some("MESSAGE_TOO_LARGE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_and_newer_daemons_say_is_read() {
        let old = r#"{"status": "ok", "processes": [{"name": "a", "state": "STOPPED", "pid": null}]}"#;
        let answer = Answer::decode(old.as_bytes()).unwrap();
        assert!(answer.is_ok() && answer.processes[0].uptime.is_none() && answer.processes[0].healthy.is_none());
        let new = r#"{"status":"error","message":"x","code":"BRAND_NEW","later":{"deep":[1]},"added":[]}"#;
        let answer = Answer::decode(new.as_bytes()).unwrap();
        assert!(!answer.is_ok() && !answer.is_too_large());
        assert_eq!(answer.code.as_deref(), Some("BRAND_NEW"));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for text in ["", "{}", "[]", "hello", r#"{"status":"maybe"}"#, r#"{"status":"ok","processes":[7]}"#, "[[[["] {
            assert!(Answer::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
