//! Replies, as the daemon words them into frames.
//!
//! `status`, `message`, `processes`, `added`, `removed` and `changed` keep the shape that Python's clients read;
//! everything else is said in further keys. A reply is never longer than a frame.

use super::chunk::escapes;
use super::description::Description;
use super::frame::{self, MAX_FRAME};
use super::history::Happening;
use super::info::SelfPortrait;
use super::reload::{Changes, Effect, Reloaded};
use super::request::Id;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io;

/// What a reply has beside its text, the id included, is shorter.
const ENVELOPE_MAX: usize = 1024;

/// Messages in a reply that would be too long are cut to this; six times as much if every byte needs an escape.
const CUT_MESSAGE: usize = 64 << 10;

/// Why a request failed, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// A frame of no bytes.
    EmptyRequest,
    /// No JSON, or none that means one thing only.
    InvalidJson,
    /// No object, or a field of the wrong type.
    InvalidRequest,
    /// No command, or none that exists.
    UnknownCommand,
    /// A frame, or the reply to it, above 1 MiB.
    MessageTooLarge,
    /// No such process or group.
    NotFound,
    /// It was tried and did not succeed.
    Failed,
    /// What is waited for cannot come to be any more.
    Impossible,
    /// What is waited for did not come in time.
    TimedOut,
    /// A later request overtook it.
    Superseded,
    /// The daemon is going.
    ShuttingDown,
    /// Not for this user.
    Denied,
    /// A fault of the daemon.
    InternalError,
}

impl ErrorCode {
    /// Every code there is.
    pub const ALL: [ErrorCode; 13] = [
        ErrorCode::EmptyRequest,
        ErrorCode::InvalidJson,
        ErrorCode::InvalidRequest,
        ErrorCode::UnknownCommand,
        ErrorCode::MessageTooLarge,
        ErrorCode::NotFound,
        ErrorCode::Failed,
        ErrorCode::Impossible,
        ErrorCode::TimedOut,
        ErrorCode::Superseded,
        ErrorCode::ShuttingDown,
        ErrorCode::Denied,
        ErrorCode::InternalError,
    ];

    /// The word of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorCode::EmptyRequest => "EMPTY_REQUEST",
            ErrorCode::InvalidJson => "INVALID_JSON",
            ErrorCode::InvalidRequest => "INVALID_REQUEST",
            ErrorCode::UnknownCommand => "UNKNOWN_COMMAND",
            ErrorCode::MessageTooLarge => "MESSAGE_TOO_LARGE",
            ErrorCode::NotFound => "NOT_FOUND",
            ErrorCode::Failed => "FAILED",
            ErrorCode::Impossible => "IMPOSSIBLE",
            ErrorCode::TimedOut => "TIMED_OUT",
            ErrorCode::Superseded => "SUPERSEDED",
            ErrorCode::ShuttingDown => "SHUTTING_DOWN",
            ErrorCode::Denied => "DENIED",
            ErrorCode::InternalError => "INTERNAL_ERROR",
        }
    }
}

/// One process in a status reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessRow<'a> {
    /// The name of the instance.
    pub name: Cow<'a, str>,
    /// One of the eight words.
    pub state: &'static str,
    /// `None`: dead.
    pub pid: Option<i32>,
    /// Whole seconds since the spawn; live only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// The verdict of its health checks; live only, `None` until there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Said only where there is something to say, or on request.
    #[serde(flatten)]
    pub detail: Option<RowDetail<'a>>,
}

/// What a row says beyond what Python's clients read; keys that are `None` are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RowDetail<'a> {
    /// The group it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Cow<'a, str>>,
    /// The program it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Cow<'a, str>>,
    /// The last exit or exec error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Failed attempts in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Until the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// Nothing can kill it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unkillable: Option<bool>,
    /// A reload dropped it; it goes once it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaving: Option<bool>,
    /// Bytes of its output that found no place in its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// What it says it is doing, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_text: Option<Cow<'a, str>>,
    /// How often it was started again; on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// Bytes of its output that came in so far, in all its runs; on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Its health checks, where it has any; on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthDetail>,
}

/// How the health checks of a process went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HealthDetail {
    /// Checks that came to a result, of all its runs.
    pub checks: u64,
    /// How many of the last ones failed in a row.
    pub failures: u32,
    /// What the last one said; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<String>,
    /// Since the last one came to its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_checked_ms_ago: Option<u64>,
    /// Until the next one; absent while one is under way, or none is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_in_ms: Option<u64>,
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Ok {
        /// For people.
        message: String,
    },
    /// It was not.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
        /// What went wrong underneath.
        reason: Option<String>,
    },
    /// What a reload did, or would do.
    Reload(Box<Reloaded>),
    /// The state of things.
    Status(Vec<ProcessRow<'static>>),
    /// The daemon in numbers.
    Info(Box<SelfPortrait>),
    /// What led a process to where it is.
    History {
        /// In one sentence.
        message: String,
        /// One after the other.
        history: Vec<Happening>,
    },
    /// How a process is configured.
    Description(Box<Description>),
    /// Every number there is, as Prometheus reads it.
    Metrics(String),
    /// What became of an order to several.
    Results {
        /// `None`: all is as ordered.
        code: Option<ErrorCode>,
        /// For people.
        message: String,
        /// Each of them.
        results: Vec<Told>,
    },
}

/// What became of one of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    name: String,
    status: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Told {
    /// It was done.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Told {
        Told { name: name.into(), status: "ok", message: message.into(), code: None, reason: None }
    }

    /// It was not.
    pub fn error(name: impl Into<String>, code: ErrorCode, message: impl Into<String>, reason: Option<String>) -> Told {
        Told { name: name.into(), status: "error", message: message.into(), code: Some(code.name()), reason }
    }

    /// Whether it was done.
    pub fn is_ok(&self) -> bool {
        self.code.is_none()
    }

    /// Whether nobody bears the name.
    pub fn is_unknown(&self) -> bool {
        self.code == Some(ErrorCode::NotFound.name())
    }

    /// Whom it is about.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The keys in the order in which they are written.
#[derive(Default, Serialize)]
struct Written<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<&'a [ProcessRow<'static>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<&'a [String]>,
    #[serde(skip_serializing_if = "<[Effect]>::is_empty")]
    effects: &'a [Effect],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    regrouped: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<&'a Effect>,
    #[serde(skip_serializing_if = "is_false")]
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'a [Told]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a SelfPortrait>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a [Happening]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Reply {
    /// It was done.
    pub fn ok(message: impl Into<String>) -> Reply {
        Reply::Ok { message: message.into() }
    }

    /// It was not.
    pub fn error(code: ErrorCode, message: impl Into<String>, reason: Option<String>) -> Reply {
        Reply::Error { code, message: message.into(), reason }
    }

    /// What a reload did.
    pub fn reload(added: Vec<String>, removed: Vec<String>, changed: Vec<String>) -> Reply {
        let changes = Changes { added, removed, changed, ..Changes::default() };
        Reply::Reload(Box::new(Reloaded { changes, ..Reloaded::default() }))
    }

    /// Whether a text fits into a reply.
    pub fn fits(text: &str) -> bool {
        text.len() + escapes(text.as_bytes()) + ENVELOPE_MAX <= MAX_FRAME
    }

    /// The state of things.
    pub fn status(rows: Vec<ProcessRow<'static>>) -> Reply {
        Reply::Status(rows)
    }

    /// Appends its JSON to `out`, without a frame and of whatever length.
    pub fn encode(&self, id: Option<&Id>, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &self.written(id)).expect("a reply always serialises into memory");
    }

    /// Appends it to `out` as one frame. One that would be too long is cut (messages) or told to be (lists).
    pub fn encode_bounded(&self, id: Option<&Id>, out: &mut Vec<u8>) {
        if framed(&self.written(id), out).is_err() {
            let short = self.shortened();
            if framed(&short.written(id), out).is_err() {
                // A reload is told by its lists alone, and then by the word that they are too long.
                framed(&short.shortened().written(id), out).expect("what was shortened twice fits into a frame");
            }
        }
    }

    fn written<'a>(&'a self, id: Option<&'a Id>) -> Written<'a> {
        let id = id.map(Id::raw);
        match self {
            Reply::Ok { message } => Written { status: "ok", message: Some(message.into()), id, ..Written::default() },
            Reply::Error { code, message, reason } => Written {
                status: "error",
                message: Some(message.into()),
                code: Some(code.name()),
                reason: reason.as_deref().map(Cow::from),
                id,
                ..Written::default()
            },
            Reply::Reload(reloaded) => Written { id, ..reloaded_keys(reloaded) },
            Reply::Status(rows) => Written { status: "ok", processes: Some(rows), id, ..Written::default() },
            Reply::History { message, history } => Written {
                status: "ok",
                message: Some(message.into()),
                history: Some(history),
                id,
                ..Written::default()
            },
            Reply::Description(description) => {
                Written { status: "ok", description: Some(description), id, ..Written::default() }
            }
            Reply::Metrics(text) => Written { status: "ok", metrics: Some(text), id, ..Written::default() },
            Reply::Info(info) => Written { status: "ok", info: Some(info), id, ..Written::default() },
            Reply::Results { code, message, results } => Written {
                status: if code.is_none() { "ok" } else { "error" },
                message: Some(message.into()),
                code: code.map(ErrorCode::name),
                results: Some(results),
                id,
                ..Written::default()
            },
        }
    }

    pub(super) fn shortened(&self) -> Reply {
        let too_large = |message: &str| Reply::error(ErrorCode::MessageTooLarge, message, None);
        match self {
            Reply::Ok { message } => Reply::ok(cut(message)),
            Reply::Error { code, message, reason } => Reply::error(*code, cut(message), reason.as_deref().map(cut)),
            Reply::Results { code: None, message, .. } => Reply::ok(cut(message)),
            Reply::Results { code: Some(code), message, .. } => Reply::error(*code, cut(message), None),
            Reply::History { message, .. } => Reply::ok(cut(message)),
            Reply::Info(_) | Reply::Description(_) | Reply::Metrics(_) => too_large("Reply above 1 MiB"),
            Reply::Reload(reloaded) => match reloaded.shortened() {
                Some(shorter) => Reply::Reload(Box::new(shorter)),
                None if reloaded.dry_run => too_large("There are changes, but the reply is above 1 MiB"),
                None => too_large("Reloaded, but the reply is above 1 MiB: ask for the status instead"),
            },
            Reply::Status(_) => {
                too_large("Reply above 1 MiB: ask for fewer processes with \"names\", or with \"offset\" and \"limit\"")
            }
        }
    }
}

fn reloaded_keys(reloaded: &Reloaded) -> Written<'_> {
    let Reloaded { changes, dry_run, code, message, results } = reloaded;
    Written {
        status: if code.is_none() { "ok" } else { "error" },
        message: message.as_deref().map(Cow::from),
        code: code.map(ErrorCode::name),
        added: Some(&changes.added),
        removed: Some(&changes.removed),
        changed: Some(&changes.changed),
        effects: &changes.effects,
        regrouped: &changes.regrouped,
        daemon: Some(&changes.daemon).filter(|effect| !effect.is_empty()),
        dry_run: *dry_run,
        results: results.as_deref(),
        ..Written::default()
    }
}

/// The first [`CUT_MESSAGE`] bytes or a few less.
fn cut(text: &str) -> String {
    if text.len() <= CUT_MESSAGE {
        return text.to_owned();
    }
    let end = (0..=CUT_MESSAGE).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{} … (cut)", &text[..end])
}

/// Appends one frame, or nothing when its body would be too long.
pub(super) fn framed(written: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let body = start + 4;
    let result = serde_json::to_writer(Bounded { out, end: body + MAX_FRAME }, written).map_err(io::Error::from);
    match result.and_then(|()| frame::header(out.len() - body).map_err(io::Error::other)) {
        Ok(header) => out[start..body].copy_from_slice(&header),
        Err(error) => {
            out.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

/// Writes to memory up to a length, so that a reply nobody can be sent is not written to its end.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len() + bytes.len() > self.end {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Answer, Decoder, decode, encode_status};

    fn json(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.encode(None, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn row(name: &str) -> ProcessRow<'static> {
        let name = name.to_owned().into();
        ProcessRow { name, state: "STOPPED", pid: None, uptime: None, healthy: None, detail: None }
    }

    /// The one frame of a reply, as its client reads it.
    fn bounded(reply: &Reply, id: Option<&Id>) -> (usize, Answer) {
        let mut out = b"before".to_vec();
        reply.encode_bounded(id, &mut out);
        let mut decoder = Decoder::new();
        decoder.push(out.strip_prefix(b"before").unwrap());
        let frame = decoder.pull().unwrap().unwrap();
        assert_eq!(decoder.buffered(), 0);
        (frame.len(), Answer::decode(&frame).unwrap())
    }

    #[test]
    fn each_kind_has_its_shape() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (reply, text) in [
            (Reply::ok("Started web"), r#"{"status":"ok","message":"Started web"}"#),
            (
                Reply::error(ErrorCode::NotFound, "Process not found", None),
                r#"{"status":"error","message":"Process not found","code":"NOT_FOUND"}"#,
            ),
            (
                Reply::error(ErrorCode::Failed, "web did not", Some("exit code 1".to_owned())),
                r#"{"status":"error","message":"web did not","code":"FAILED","reason":"exit code 1"}"#,
            ),
            (
                Reply::reload(names("a b"), vec![], names("c")),
                r#"{"status":"ok","added":["a","b"],"removed":[],"changed":["c"]}"#,
            ),
            (Reply::status(vec![]), r#"{"status":"ok","processes":[]}"#),
            (
                Reply::status(vec![row("web")]),
                r#"{"status":"ok","processes":[{"name":"web","state":"STOPPED","pid":null}]}"#,
            ),
        ] {
            assert_eq!(json(&reply), text);
        }
    }

    #[test]
    fn a_row_says_what_there_is_to_say() {
        let mut row = row("web");
        (row.state, row.pid, row.uptime, row.healthy) = ("RUNNING", Some(12), Some(0), Some(false));
        let reason = Some("exit \"1\"".to_owned());
        row.detail = Some(RowDetail { attempts: Some(2), reason, ..RowDetail::default() });
        let text = r#"{"name":"web","state":"RUNNING","pid":12,"uptime":0,"healthy":false,"reason":"exit \"1\"","attempts":2}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), text);
    }

    #[test]
    fn health_is_told_in_an_object_of_its_own() {
        let mut row = row("web");
        let with = |health| Some(RowDetail { health: Some(health), ..RowDetail::default() });
        row.detail = with(HealthDetail { next_in_ms: Some(5), ..HealthDetail::default() });
        let text = r#"{"name":"web","state":"STOPPED","pid":null,"health":{"checks":0,"failures":0,"next_in_ms":5}}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), text);
        let (last_message, last_checked_ms_ago) = (Some("refused".to_owned()), Some(7));
        row.detail = with(HealthDetail { checks: 2, failures: 1, last_message, last_checked_ms_ago, next_in_ms: None });
        let text = r#""health":{"checks":2,"failures":1,"last_message":"refused","last_checked_ms_ago":7}}"#;
        assert!(serde_json::to_string(&row).unwrap().ends_with(text));
    }

    #[test]
    fn the_id_comes_back() {
        let envelope = decode(br#"{"id":"x\u0041","command":"reload"}"#).unwrap();
        let mut out = Vec::new();
        Reply::ok("").encode(envelope.id.as_ref(), &mut out);
        assert_eq!(out, br#"{"status":"ok","message":"","id":"x\u0041"}"#);
        let rejection = decode(br#"{"id":5,"command":"x"}"#).unwrap_err();
        out.clear();
        rejection.reply().encode(rejection.id.as_ref(), &mut out);
        assert_eq!(out, br#"{"status":"error","message":"Unknown command: x","code":"UNKNOWN_COMMAND","id":5}"#);
    }

    #[test]
    fn a_status_above_a_frame_names_the_way_out() {
        let rows = |count| Reply::status((0..count).map(|n| row(&format!("program:{n:05}"))).collect());
        let (length, answer) = bounded(&rows(10_000), None);
        assert!(length < MAX_FRAME && answer.is_ok() && answer.processes.len() == 10_000);
        let (_, answer) = bounded(&rows(30_000), None);
        assert!(answer.is_too_large());
        let message = answer.message.unwrap();
        assert!(["\"names\"", "\"offset\"", "\"limit\""].iter().all(|field| message.contains(field)), "{message}");
    }

    #[test]
    fn rows_written_in_passing_are_those_of_a_whole_reply() {
        for count in [0, 1, 3, 200_000] {
            let rows: Vec<_> = (0..count).map(|index| row(&format!("p{index}"))).collect();
            let (mut passing, mut whole) = (Vec::new(), Vec::new());
            assert_eq!(encode_status(rows.iter().cloned(), None, &mut passing), count < 200_000);
            Reply::status(rows).encode_bounded(None, &mut whole);
            assert_eq!(passing, whole, "{count}");
        }
    }

    #[test]
    fn the_bound_is_exact() {
        let frame = |length| bounded(&Reply::ok("x".repeat(length)), None);
        let overhead = frame(0).0;
        assert_eq!(frame(MAX_FRAME - overhead).0, MAX_FRAME);
        let (length, answer) = frame(MAX_FRAME - overhead + 1);
        assert!(length < CUT_MESSAGE + 100 && answer.message.unwrap().ends_with("… (cut)"));
    }

    #[test]
    fn long_texts_are_cut_whatever_they_are_made_of() {
        for text in ["\x01".repeat(1 << 20), "é".repeat(1 << 20), "x".repeat(1 << 21)] {
            let reply = Reply::error(ErrorCode::Failed, text.clone(), Some(text));
            let (_, answer) = bounded(&reply, None);
            assert_eq!(answer.code.as_deref(), Some("FAILED"));
            assert!(answer.reason.unwrap().ends_with("(cut)"));
        }
        let many = vec!["name".repeat(10); 30_000];
        assert!(bounded(&Reply::reload(many, vec![], vec![]), None).1.is_too_large());
    }

    #[test]
    fn codes_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
