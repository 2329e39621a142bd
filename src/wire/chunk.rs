//! A piece of a log in a frame: as text where it is text, in base64 where it is not, and never longer than a frame.

use super::reply::framed;
use super::request::Id;
use super::{base64, frame::MAX_FRAME};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The most bytes that one piece carries.
pub const MAX_CHUNK: usize = MAX_FRAME / 2;

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// The answer to a request, and not a piece that follows it.
    pub is_answer: bool,
    /// Of which stream: `stdout`, `stderr`, or `log` for the daemon's own.
    pub stream: &'static str,
    /// At most [`MAX_CHUNK`] of them.
    pub bytes: Vec<u8>,
    /// So many before these were lost for this reader.
    pub missed: u64,
    /// More was asked for than fits.
    pub truncated: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    stream: &'static str,
    encoding: &'static str,
    data: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
}

impl Chunk {
    /// Appends it to `out` as one frame.
    pub fn encode_framed(&self, id: Option<&Id>, out: &mut Vec<u8>) {
        let (encoding, data) = text_of(&self.bytes);
        let written = Written {
            status: self.is_answer.then_some("ok"),
            stream: self.stream,
            encoding,
            data,
            missed: (self.missed > 0).then_some(self.missed),
            truncated: self.truncated.then_some(true),
            id: id.map(Id::raw),
        };
        framed(&written, out).expect("a chunk of half a frame fits into a frame");
    }
}

/// As text, unless it is none, or base64 is clearly shorter than its escapes.
pub(super) fn text_of(bytes: &[u8]) -> (&'static str, Cow<'_, str>) {
    match std::str::from_utf8(bytes) {
        Ok(text) if escapes(bytes) <= bytes.len() / 2 => ("utf-8", Cow::Borrowed(text)),
        Ok(_) | Err(_) => ("base64", Cow::Owned(base64::encode(bytes))),
    }
}

/// Bytes that a JSON string needs beyond the text itself.
pub(super) fn escapes(bytes: &[u8]) -> usize {
    let extra = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..32 => 5,
        _ => 0,
    };
    bytes.iter().map(extra).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Answer, Decoder};

    fn chunk(bytes: &[u8]) -> Chunk {
        Chunk { stream: "stdout", bytes: bytes.to_vec(), ..Chunk::default() }
    }

    fn frame_of(chunk: &Chunk) -> Vec<u8> {
        let mut out = Vec::new();
        chunk.encode_framed(None, &mut out);
        let mut decoder = Decoder::new();
        decoder.push(&out);
        decoder.pull().unwrap().unwrap()
    }

    #[test]
    fn each_kind_has_its_shape() {
        let text = |chunk: &Chunk| String::from_utf8(frame_of(chunk)).unwrap();
        assert_eq!(text(&chunk(b"a\n")), r#"{"stream":"stdout","encoding":"utf-8","data":"a\n"}"#);
        let answer = Chunk { is_answer: true, truncated: true, ..chunk(b"\xff") };
        let expected = r#"{"status":"ok","stream":"stdout","encoding":"base64","data":"/w==","truncated":true}"#;
        assert_eq!(text(&answer), expected);
        let late = Chunk { missed: 7, ..chunk(b"") };
        assert_eq!(text(&late), r#"{"stream":"stdout","encoding":"utf-8","data":"","missed":7}"#);
    }

    #[test]
    fn bytes_come_back_whatever_they_are() {
        let many = |pattern: &[u8]| pattern.iter().copied().cycle().take(MAX_CHUNK).collect::<Vec<u8>>();
        for bytes in [many(b"x"), many(b"\n"), many(b"\0"), many(b"\xff\xfe"), many("é\u{7f}\"".as_bytes()), vec![]] {
            let answer = Answer::decode_piece(&frame_of(&chunk(&bytes))).unwrap();
            assert_eq!(answer.bytes().unwrap(), bytes);
        }
    }
}
