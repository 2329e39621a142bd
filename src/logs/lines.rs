//! Lines as they are wanted in a log: with the time, with the name, or as JSON. Bytes come in as they were read, and whole
//! lines go out, so that those of many programs can share one target.
//!
//! Only a line whose end has not come yet is kept, up to a bound; a longer one goes out in pieces that are marked.

use crate::spec::LogFormat;
use std::fmt::Write as _;

/// A longer line goes out in pieces of this many bytes.
pub const LINE_MAX: usize = 64 * 1024;

/// The lines of one stream.
#[derive(Debug)]
pub struct Lines {
    dress: Dress,
    name: String,
    stream: &'static str,
    /// The begin of a line.
    begun: Vec<u8>,
    /// A piece of this line went out already.
    in_pieces: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dress {
    Timestamp,
    Prefix,
    Json,
}

impl Lines {
    /// The lines of a stream of an instance; `None` where bytes go out as they come.
    pub fn new(format: LogFormat, name: &str, stream: &'static str) -> Option<Lines> {
        let dress = match format {
            LogFormat::Raw => return None,
            LogFormat::Timestamp => Dress::Timestamp,
            LogFormat::Prefix => Dress::Prefix,
            LogFormat::Json => Dress::Json,
        };
        Some(Lines { dress, name: name.to_owned(), stream, begun: Vec::new(), in_pieces: false })
    }

    /// Takes bytes, and appends the lines that are whole now to `out`.
    pub fn take(&mut self, bytes: &[u8], time: &str, out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.add(line, time, out);
            self.end_line(time, out);
            rest = after.get(1..).unwrap_or_default();
        }
        self.add(rest, time, out);
    }

    /// Nothing more comes: a line that was begun goes out, whole or not.
    pub fn finish(&mut self, time: &str, out: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            self.end_line(time, out);
        }
    }

    /// The begin of a line whose end did not come yet.
    pub fn begun(&self) -> &[u8] {
        &self.begun
    }

    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        self.begun.capacity()
    }

    fn add(&mut self, part: &[u8], time: &str, out: &mut Vec<u8>) {
        let mut rest = part;
        while self.begun.len() + rest.len() > LINE_MAX {
            let (fitting, beyond) = rest.split_at(LINE_MAX - self.begun.len());
            self.begun.extend_from_slice(fitting);
            let whole = match self.dress {
                Dress::Json => whole_characters(&self.begun),
                Dress::Timestamp | Dress::Prefix => self.begun.len(),
            };
            let carried = self.begun.split_off(whole);
            let piece = std::mem::replace(&mut self.begun, carried);
            self.put(&piece, true, time, out);
            self.in_pieces = true;
            rest = beyond;
        }
        self.begun.extend_from_slice(rest);
    }

    fn end_line(&mut self, time: &str, out: &mut Vec<u8>) {
        // The memory goes with the line: a quiet stream holds none.
        let line = std::mem::take(&mut self.begun);
        self.put(&line, false, time, out);
        self.in_pieces = false;
    }

    fn put(&self, line: &[u8], goes_on: bool, time: &str, out: &mut Vec<u8>) {
        match self.dress {
            Dress::Timestamp => {
                out.extend_from_slice(time.as_bytes());
                out.extend_from_slice(if self.in_pieces { b" + " } else { b" " });
                out.extend_from_slice(line);
            }
            Dress::Prefix => {
                out.extend_from_slice(self.name.as_bytes());
                out.extend_from_slice(if self.in_pieces { b" + " } else { b" | " });
                out.extend_from_slice(line);
            }
            Dress::Json => {
                let head = format!("{{\"time\":\"{time}\",\"name\":\"");
                out.extend_from_slice(head.as_bytes());
                put_escaped(self.name.as_bytes(), out);
                let middle = format!("\",\"stream\":\"{}\",\"line\":\"", self.stream);
                out.extend_from_slice(middle.as_bytes());
                put_escaped(line, out);
                out.extend_from_slice(if goes_on { b"\",\"partial\":true}" } else { b"\"}" });
            }
        }
        out.push(b'\n');
    }
}

/// How many bytes there are up to a character that is begun and not whole.
fn whole_characters(bytes: &[u8]) -> usize {
    match bytes.utf8_chunks().last() {
        Some(last) if is_begun(last.invalid()) => bytes.len() - last.invalid().len(),
        _ => bytes.len(),
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// As the inside of a JSON string; bytes that are no UTF-8 are shown as `\xff`.
fn put_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        put_text(chunk.valid(), out);
        for byte in chunk.invalid() {
            put_written(out, format_args!("\\\\x{byte:02x}"));
        }
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(text.as_bytes().get(plain..at).unwrap_or_default());
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            other => put_written(out, format_args!("\\u{other:04x}")),
        }
    }
    out.extend_from_slice(text.as_bytes().get(plain..).unwrap_or_default());
}

fn put_written(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let mut written = String::new();
    let result = written.write_fmt(text);
    debug_assert!(result.is_ok(), "a String takes everything");
    out.extend_from_slice(written.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: LogFormat) -> Lines {
        Lines::new(format, "web:00", "stderr").unwrap()
    }

    fn dressed(format: LogFormat, parts: &[&[u8]]) -> String {
        let (mut lines, mut out) = (lines(format), Vec::new());
        for part in parts {
            lines.take(part, "T", &mut out);
        }
        lines.finish("T", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_format_has_its_shape() {
        assert!(Lines::new(LogFormat::Raw, "a", "stdout").is_none());
        let text: &[&[u8]] = &[b"one\n\ntwo"];
        assert_eq!(dressed(LogFormat::Timestamp, text), "T one\nT \nT two\n");
        assert_eq!(dressed(LogFormat::Prefix, text), "web:00 | one\nweb:00 | \nweb:00 | two\n");
        let head = r#"{"time":"T","name":"web:00","stream":"stderr","line":"#;
        let expected = format!("{head}\"one\"}}\n{head}\"\"}}\n{head}\"two\"}}\n");
        assert_eq!(dressed(LogFormat::Json, text), expected);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let text: Vec<u8> = (0..300).flat_map(|n| format!("{n}é\u{1f600}\"\\\x01\n").into_bytes()).collect();
        for format in [LogFormat::Timestamp, LogFormat::Prefix, LogFormat::Json] {
            let whole = dressed(format, &[&text]);
            for size in [1, 2, 3, 7, 64, 1000] {
                assert_eq!(dressed(format, &text.chunks(size).collect::<Vec<_>>()), whole, "{size}");
            }
        }
    }

    #[test]
    fn a_long_line_goes_out_in_marked_pieces() {
        let long = [vec![b'x'; 2 * LINE_MAX + 5], b"\nshort\n".to_vec()].concat();
        for size in [100, 4096, 200_000] {
            let out = dressed(LogFormat::Prefix, &long.chunks(size).collect::<Vec<_>>());
            let expected: Vec<(&str, usize)> =
                vec![("web:00 | ", LINE_MAX), ("web:00 + ", LINE_MAX), ("web:00 + ", 5), ("web:00 | ", 5)];
            let found: Vec<(&str, usize)> = out.lines().map(|line| (&line[..9], line.len() - 9)).collect();
            assert_eq!(found, expected);
        }
        let json = dressed(LogFormat::Json, &[&long]);
        let partial: Vec<bool> = json.lines().map(|line| line.ends_with(r#","partial":true}"#)).collect();
        assert_eq!(partial, [true, true, false, false]);
        let exact = [vec![b'x'; LINE_MAX], b"\n".to_vec()].concat();
        assert_eq!(dressed(LogFormat::Prefix, &[&exact]).lines().count(), 1);
    }

    #[test]
    fn pieces_of_json_cut_no_character() {
        let long = "€".repeat(LINE_MAX);
        let out = dressed(LogFormat::Json, &[long.as_bytes()]);
        assert!(!out.contains("\\x"), "a character is cut");
        assert_eq!(out.matches('€').count(), LINE_MAX);
    }

    #[test]
    fn json_is_json_whatever_the_bytes() {
        let bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
        let out = dressed(LogFormat::Json, &[&bytes, b"\xe2\x82\n\xff\xfe\n"]);
        for line in out.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["stream"], "stderr");
        }
        assert!(out.contains(r#"\\xe2\\x82""#) && out.contains(r#""line":"\\xff\\xfe""#), "{out}");
        assert!(out.contains(r"\u0000\u0001") && out.contains(r#"\"#), "{out}");
    }

    #[test]
    fn a_quiet_stream_holds_nothing() {
        let (mut lines, mut out) = (lines(LogFormat::Prefix), Vec::new());
        lines.take(b"begun", "T", &mut out);
        assert!(lines.kept() > 0 && out.is_empty());
        lines.take(b" and done\n", "T", &mut out);
        assert_eq!(lines.kept(), 0);
        lines.take(&vec![b'x'; 10 * LINE_MAX], "T", &mut out);
        assert!(lines.kept() <= 2 * LINE_MAX, "{}", lines.kept());
    }
}
