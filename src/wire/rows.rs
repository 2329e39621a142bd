//! The status reply, written by hand: it is asked for the most, and of thousands of rows at once. What it writes is to the
//! byte what serde would.

use super::frame::{self, MAX_FRAME};
use super::reply::{ProcessRow, Reply, RowDetail};
use super::request::Id;
use std::io;

/// Appends a status as one frame without keeping its rows, or the word that it would be too long for one; whether it is a
/// status.
pub fn encode_status<'a>(rows: impl Iterator<Item = ProcessRow<'a>>, id: Option<&Id>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let fits = framed(rows, id, out).is_ok();
    if !fits {
        out.truncate(start);
        Reply::status(Vec::new()).shortened().encode_bounded(id, out);
    }
    fits
}

fn framed<'a>(rows: impl Iterator<Item = ProcessRow<'a>>, id: Option<&Id>, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let body = start + 4;
    out.extend_from_slice(br#"{"status":"ok","processes":["#);
    let mut piece = Piece::new();
    for (index, row) in rows.enumerate() {
        if index > 0 {
            piece.put(b",");
        }
        write_row(&row, &mut piece, out)?;
        if out.len() - body > MAX_FRAME {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    piece.go_to(out);
    out.push(b']');
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.raw().get().as_bytes());
    }
    out.push(b'}');
    let header = frame::header(out.len() - body).map_err(io::Error::other)?;
    out[start..body].copy_from_slice(&header);
    Ok(())
}

/// Rows are put together in a piece of the stack and go out many at once.
fn write_row(row: &ProcessRow<'_>, line: &mut Piece, out: &mut Vec<u8>) -> io::Result<()> {
    line.make_room(out);
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if row.name.len() <= SHORT && row.name.bytes().all(is_plain) {
        line.put(b"{\"name\":\"");
        line.put_short(row.name.as_bytes());
        line.put(b"\"");
    } else {
        line.put(b"{\"name\":");
        line.go_to(out);
        serde_json::to_writer(&mut *out, &row.name)?;
    }
    line.put(b",\"state\":\"");
    line.put_short(row.state.as_bytes());
    line.put(b"\",\"pid\":");
    match row.pid {
        Some(pid) => line.put_number(pid.unsigned_abs().into(), pid < 0),
        None => line.put(b"null"),
    }
    if let Some(uptime) = row.uptime {
        line.put(b",\"uptime\":");
        line.put_number(uptime, false);
    }
    if let Some(healthy) = row.healthy {
        line.put(if healthy { b",\"healthy\":true" } else { b",\"healthy\":false" });
    }
    if let Some(detail) = row.detail.as_ref().filter(|detail| **detail != RowDetail::default()) {
        line.go_to(out);
        // The keys of another object, in place of its brace a comma.
        let keys = out.len();
        serde_json::to_writer(&mut *out, detail)?;
        out[keys] = b',';
        out.pop();
    }
    line.put(b"}");
    Ok(())
}

/// Names up to this length are put into the line as they are.
const SHORT: usize = 96;
/// All keys of a row, the longest state, and both numbers at their longest, and the comma before it.
const ROOM: usize = SHORT + 128;
/// Rows on their way out.
const PIECE: usize = 4096;

/// Rows on their way.
struct Piece {
    bytes: [u8; PIECE],
    length: usize,
}

impl Piece {
    fn new() -> Piece {
        Piece { bytes: [0; PIECE], length: 0 }
    }

    #[inline]
    fn make_room(&mut self, out: &mut Vec<u8>) {
        if self.length + ROOM > PIECE {
            self.go_to(out);
        }
    }

    #[inline]
    fn put(&mut self, text: &[u8]) {
        let end = self.length + text.len();
        self.bytes[self.length..end].copy_from_slice(text);
        self.length = end;
    }

    /// The same without a call for what is mostly a few bytes long: two copies of one size overlap.
    #[inline]
    fn put_short(&mut self, text: &[u8]) {
        let place = &mut self.bytes[self.length..self.length + text.len()];
        match text.len() {
            8..=16 => ends::<8>(text, place),
            4..=7 => ends::<4>(text, place),
            _ => place.copy_from_slice(text),
        }
        self.length += text.len();
    }

    #[inline]
    fn put_number(&mut self, number: u64, is_negative: bool) {
        if is_negative {
            self.put(b"-");
        }
        let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
        let end = self.length + digits;
        let mut rest = number;
        for digit in self.bytes[self.length..end].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.length = end;
    }

    fn go_to(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.length]);
        self.length = 0;
    }
}

/// Copies the first `N` bytes and the last.
#[inline]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    let last = from.len() - N;
    to[..N].copy_from_slice(&from[..N]);
    to[last..].copy_from_slice(&from[last..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reply::HealthDetail;

    #[test]
    fn a_row_is_written_as_serde_writes_it() {
        let health = Some(HealthDetail { last_message: Some("\"no\"".to_owned()), ..HealthDetail::default() });
        let details = [
            None,
            Some(RowDetail::default()),
            Some(RowDetail { leaving: Some(true), ..RowDetail::default() }),
            Some(RowDetail {
                reason: Some("exit \"1\"".to_owned()),
                attempts: Some(0),
                health,
                ..RowDetail::default()
            }),
        ];
        let (longest, longer) = ("x".repeat(SHORT), "x".repeat(SHORT + 1));
        let names = ["web", "web:00", "é{}", "\"", "a\\b", "\n", "\u{1}", "\u{7f}", "", &longest, &longer];
        for (name, detail) in names.iter().flat_map(|name| details.iter().map(move |detail| (*name, detail))) {
            for (pid, uptime, healthy) in [
                (None, None, None),
                (Some(1), Some(0), Some(false)),
                (Some(i32::MIN), Some(u64::MAX), Some(false)),
                (Some(i32::MAX), Some(10), Some(true)),
                (Some(0), Some(99), None),
            ] {
                let row =
                    ProcessRow { name: name.into(), state: "UNHEALTHY", pid, uptime, healthy, detail: detail.clone() };
                let (mut out, mut piece) = (Vec::new(), Piece::new());
                write_row(&row, &mut piece, &mut out).unwrap();
                piece.go_to(&mut out);
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&row).unwrap());
            }
        }
    }

    #[test]
    fn the_id_comes_back_with_the_rows() {
        let envelope = crate::wire::decode(br#"{"id":"x\u0041","command":"status"}"#).unwrap();
        let (mut passing, mut whole) = (b"before".to_vec(), b"before".to_vec());
        encode_status(std::iter::empty(), envelope.id.as_ref(), &mut passing);
        Reply::status(Vec::new()).encode_bounded(envelope.id.as_ref(), &mut whole);
        assert_eq!(passing, whole);
    }
}
