//! What happened to a process, one record after the other, and what it wrote last.

use super::base64;
use super::chunk::text_of;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
    /// What a process that died unasked had written last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<LastWords>,
}

/// The end of one stream, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastWords {
    /// `stdout` or `stderr`.
    pub stream: String,
    /// How `data` is to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Why there are no bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl LastWords {
    /// The bytes a stream ended with.
    pub fn bytes_of(stream: &str, bytes: &[u8]) -> LastWords {
        let (encoding, data) = text_of(bytes);
        LastWords {
            stream: stream.to_owned(),
            encoding: Some(encoding.to_owned()),
            data: Some(data.into_owned()),
            note: None,
        }
    }

    /// A stream of which nothing is kept.
    pub fn none_of(stream: &str, note: &str) -> LastWords {
        LastWords { stream: stream.to_owned(), note: Some(note.to_owned()), ..LastWords::default() }
    }

    /// The bytes; `None` where there are none, or in an encoding nobody knows.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let data = self.data.as_deref()?;
        match self.encoding.as_deref() {
            Some("utf-8") | None => Some(data.as_bytes().to_vec()),
            Some("base64") => base64::decode(data),
            Some(_) => None,
        }
    }
}

/// One record as it stands on the disk, on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry<'a> {
    /// Of whom.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Of which kind.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// For people.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// What it had written last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<LastWords>,
}

impl<'a> Entry<'a> {
    /// Appends it as a line.
    pub fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("strings and numbers always serialise into memory");
        out.push(b'\n');
    }

    /// Reads a line. `None`: it was torn, or is somebody else's.
    pub fn read(line: &'a [u8]) -> Option<Entry<'a>> {
        let entry: Entry<'a> = serde_json::from_slice(line).ok()?;
        (!entry.name.is_empty() && !entry.event.is_empty() && entry.event.len() <= KIND_MAX).then_some(entry)
    }
}

/// Words for a kind of record are short.
const KIND_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_a_torn_one_does_not() {
        let output = vec![LastWords::bytes_of("stdout", b"\xff\n"), LastWords::none_of("stderr", "is kept nowhere")];
        let entry = Entry { name: "a\n\"b".into(), unix_ms: 7, event: "exited".into(), text: "é".into(), output };
        let mut line = Vec::new();
        entry.write(&mut line);
        let body = line.strip_suffix(b"\n").unwrap();
        assert!(!body.contains(&b'\n'));
        assert_eq!(Entry::read(body), Some(entry));
        for cut in 0..body.len() {
            assert_eq!(Entry::read(&body[..cut]), None, "{cut}");
        }
        for other in ["", "{}", "[]", r#"{"name":"a"}"#, r#"{"name":7,"event":"x"}"#] {
            assert_eq!(Entry::read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn last_words_are_bytes_again() {
        for bytes in [&b"text\n"[..], b"\xff\x00", b""] {
            assert_eq!(LastWords::bytes_of("stdout", bytes).bytes().as_deref(), Some(bytes));
        }
        assert_eq!(LastWords::none_of("stdout", "x").bytes(), None);
    }
}
