//! The status reply, written by hand: it is asked for the most, and of thousands of rows at once. What it writes is to the
//! byte what serde would.

use super::frame::{self, MAX_FRAME};
use super::reply::{ProcessRow, Reply, RowDetail};
use super::request::Id;
use std::io;

/// Appends a status as one frame without keeping its rows, or the word that it would be too long for one.
pub fn encode_status<'a>(rows: impl Iterator<Item = ProcessRow<'a>>, id: Option<&Id>, out: &mut Vec<u8>) {
    let start = out.len();
    if framed(rows, id, out).is_err() {
        out.truncate(start);
        Reply::status(Vec::new()).shortened().encode_bounded(id, out);
    }
}

fn framed<'a>(rows: impl Iterator<Item = ProcessRow<'a>>, id: Option<&Id>, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let body = start + 4;
    out.extend_from_slice(br#"{"status":"ok","processes":["#);
    for (index, row) in rows.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_row(&row, out)?;
        if out.len() - body > MAX_FRAME {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
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

fn write_row(row: &ProcessRow<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"{\"name\":");
    if row.name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(row.name.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(&mut *out, &row.name)?;
    }
    out.extend_from_slice(b",\"state\":\"");
    out.extend_from_slice(row.state.as_bytes());
    out.extend_from_slice(b"\",\"pid\":");
    serde_json::to_writer(&mut *out, &row.pid)?;
    if let Some(uptime) = row.uptime {
        out.extend_from_slice(b",\"uptime\":");
        serde_json::to_writer(&mut *out, &uptime)?;
    }
    if let Some(healthy) = row.healthy {
        out.extend_from_slice(if healthy { b",\"healthy\":true" } else { b",\"healthy\":false" });
    }
    if row.detail != RowDetail::default() {
        // The keys of another object, in place of its brace a comma.
        let keys = out.len();
        serde_json::to_writer(&mut *out, &row.detail)?;
        out[keys] = b',';
        out.pop();
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reply::HealthDetail;

    #[test]
    fn a_row_is_written_as_serde_writes_it() {
        let health = Some(HealthDetail { last_message: Some("\"no\"".to_owned()), ..HealthDetail::default() });
        let details = [
            RowDetail::default(),
            RowDetail { leaving: Some(true), ..RowDetail::default() },
            RowDetail { reason: Some("exit \"1\"".to_owned()), attempts: Some(0), health, ..RowDetail::default() },
        ];
        let names = ["web", "web:00", "é{}", "\"", "a\\b", "\n", "\u{1}", "\u{7f}", ""];
        for (name, detail) in names.iter().flat_map(|name| details.iter().map(move |detail| (*name, detail))) {
            for (pid, uptime, healthy) in
                [(None, None, None), (Some(1), Some(0), Some(false)), (Some(i32::MAX), Some(u64::MAX), Some(true))]
            {
                let row =
                    ProcessRow { name: name.into(), state: "RUNNING", pid, uptime, healthy, detail: detail.clone() };
                let mut out = Vec::new();
                write_row(&row, &mut out).unwrap();
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
