//! Answers as JSON for other programs: what the daemon said, as it said it, on one line that cannot steer a terminal.

use super::answer::{Answer, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt::Write;

/// The body of a reply on a line of its own.
pub fn line(frame: &[u8]) -> String {
    let text = String::from_utf8_lossy(frame);
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.trim().chars() {
        match c {
            // Between tokens; inside of a string there is none.
            '\n' | '\r' | '\t' => out.push(' '),
            c if u32::from(c) < 0x10000 && !super::text::is_plain(c) => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing into memory does not fail")
            }
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    processes: Vec<&'a RawValue>,
}

/// A row of a status with every key that it came with.
#[derive(Debug, Clone)]
pub struct ToldRow {
    /// Whom it is of.
    pub name: String,
    raw: Box<RawValue>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unknown: &'a [&'a str],
    processes: Vec<&'a RawValue>,
}

/// The rows of a status, or of a page of one; `None` if it is none.
pub fn rows(frame: &[u8]) -> Option<Vec<ToldRow>> {
    let page: Page<'_> = serde_json::from_slice(frame).ok()?;
    let row = |raw: &&RawValue| {
        let named: Named = serde_json::from_str(raw.get()).ok()?;
        Some(ToldRow { name: named.name, raw: (*raw).to_owned() })
    };
    page.processes.iter().map(row).collect()
}

const NOT_FOUND: Option<&str> = Some("NOT_FOUND");

/// A status of these rows, and of names that nobody bears.
pub fn status(rows: &[ToldRow], unknown: &[&str]) -> Vec<u8> {
    let processes = rows.iter().map(|row| &*row.raw).collect();
    let plain = Whole { status: "ok", message: None, code: None, unknown, processes };
    let message = || Some(format!("Process not found: {}", unknown.join(", ")));
    let whole = match (unknown, rows) {
        ([], _) => plain,
        ([_], []) => Whole { status: "error", message: Some("Process not found".to_owned()), code: NOT_FOUND, ..plain },
        _ => Whole { status: "error", message: message(), code: NOT_FOUND, ..plain },
    };
    serde_json::to_vec(&whole).expect("strings and JSON always serialise into memory")
}

#[derive(Serialize)]
struct Several<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    results: &'a [Verdict],
}

/// What became of each of several who were asked one by one.
pub fn several(results: &[Verdict]) -> Vec<u8> {
    let all = results.iter().all(|verdict| verdict.status == "ok");
    let (status, code) = if all { ("ok", None) } else { ("error", Some("FAILED")) };
    serde_json::to_vec(&Several { status, code, results }).expect("strings always serialise into memory")
}

#[derive(Deserialize)]
struct Happened<'a> {
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
    #[serde(default)]
    missed: u64,
}

#[derive(Serialize)]
struct Gap {
    missed: u64,
}

/// The events of a piece, one a line, after the number of those that were missed; `None` if it is none.
pub fn events(frame: &[u8]) -> Option<String> {
    let happened: Happened<'_> = serde_json::from_slice(frame).ok()?;
    let gap = (happened.missed > 0).then(|| written(&Gap { missed: happened.missed }));
    let lines = happened.events.iter().map(|event| line(event.get().as_bytes()));
    Some(gap.into_iter().chain(lines).collect())
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'static str,
    message: &'a str,
    code: &'static str,
}

#[derive(Serialize)]
struct Text<'a> {
    status: &'static str,
    text: &'a str,
}

/// What is told without a daemon: a help, a page, a script.
pub fn text(text: &str) -> String {
    written(&Text { status: "ok", text })
}

#[derive(Serialize)]
struct Version<'a> {
    status: &'static str,
    supervicectl: &'a str,
}

/// Which version of the client this is.
pub fn version(own: &str) -> String {
    written(&Version { status: "ok", supervicectl: own })
}

/// The same beside what a daemon said of itself: `object` is one, and not empty.
pub fn with_version(own: &str, object: &str) -> String {
    object.replacen('{', &format!("{{\"supervicectl\":\"{own}\","), 1)
}

#[derive(Serialize)]
struct FailedPiece<'a> {
    name: &'a str,
    status: &'static str,
    message: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Why nothing, or nothing more, is shown of a log.
pub fn failed_piece(name: &str, code: &str, message: &str, reason: Option<&str>) -> String {
    written(&FailedPiece { name, status: "error", message, code, reason })
}

/// A failure that no daemon told.
pub fn failure(code: &'static str, message: &str) -> String {
    written(&Failure { status: "error", message, code })
}

#[derive(Serialize)]
struct Piece<'a> {
    name: &'a str,
    stream: Option<&'a str>,
    encoding: Option<&'a str>,
    data: &'a str,
    missed: u64,
    truncated: bool,
}

/// A piece of a log, with the name of whom it is of.
pub fn piece(name: &str, answer: &Answer) -> String {
    written(&Piece {
        name,
        stream: answer.stream.as_deref(),
        encoding: answer.encoding.as_deref(),
        data: answer.data.as_deref().unwrap_or_default(),
        missed: answer.missed,
        truncated: answer.truncated,
    })
}

pub(super) fn written(value: &impl Serialize) -> String {
    line(&serde_json::to_vec(value).expect("strings, numbers and booleans always serialise into memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_the_same_json() {
        let frame = "{ \"a\":\n\"\u{9b}\u{202e}é\u{7f}\\n\" }";
        let told = line(frame.as_bytes());
        assert_eq!(told, "{ \"a\": \"\\u009b\\u202eé\\u007f\\n\" }\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&told), read(frame));
    }

    #[test]
    fn events_are_told_one_a_line_with_every_key() {
        let told = events(br#"{"events":[{"number":3,"new":[1]},{"number":4}],"last":4,"missed":2}"#).unwrap();
        assert_eq!(told, "{\"missed\":2}\n{\"number\":3,\"new\":[1]}\n{\"number\":4}\n");
        assert_eq!(events(b"[]x"), None);
    }

    #[test]
    fn rows_are_put_together_with_every_key() {
        let pages = [&br#"{"status":"ok","processes":[{"name":"a","new":1}]}"#[..], br#"{"processes":[{"b":2}]}"#];
        let rows: Vec<ToldRow> = pages.iter().flat_map(|page| super::rows(page).unwrap()).collect();
        assert_eq!((rows[0].name.as_str(), rows[1].name.as_str()), ("a", ""));
        assert_eq!(status(&rows, &[]), br#"{"status":"ok","processes":[{"name":"a","new":1},{"b":2}]}"#);
        let partly = r#"{"status":"error","message":"Process not found: x, y","code":"NOT_FOUND","unknown":["x","y"],"processes":[{"b":2}]}"#;
        assert_eq!(String::from_utf8(status(&rows[1..], &["x", "y"])).unwrap(), partly);
        assert!(super::rows(b"[]x").is_none());
    }
}
