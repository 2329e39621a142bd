//! Requests, asked so that every daemon answers them: in pages where one reply does not hold it all.

use crate::client::{Client, ClientError};
use crate::wire::{Answer, Request, StatusQuery, told};

/// The first page of a status that is too large for one reply.
const PAGE: usize = 4096;

/// A status of more rows than this is not collected further.
const MAX_ROWS: usize = 1 << 20;

/// The answer, and its body for programs.
pub(super) fn ask(client: &Client, request: &Request) -> Result<(Answer, Vec<u8>), ClientError> {
    let (answer, frame) = client.call_raw(request)?;
    match request {
        Request::Status(query) if answer.is_too_large() => in_pages(client, query),
        _ => Ok((answer, frame)),
    }
}

/// A status that is above what one reply holds, page by page; pages that are still too large are halved.
fn in_pages(client: &Client, query: &StatusQuery) -> Result<(Answer, Vec<u8>), ClientError> {
    let mut whole = Answer { status: "ok".to_owned(), ..Answer::default() };
    let mut pages = Vec::new();
    let mut limit = PAGE;
    while whole.processes.len() < MAX_ROWS {
        let offset = query.offset.saturating_add(whole.processes.len());
        let page = Request::Status(StatusQuery { offset, limit: Some(limit), ..query.clone() });
        let (answer, frame) = client.call_raw(&page)?;
        if answer.is_too_large() && limit > 1 {
            limit /= 2;
        } else if !answer.is_ok() {
            return Ok((answer, frame));
        } else {
            let rows = answer.processes.len();
            whole.processes.extend(answer.processes);
            pages.push(frame);
            if rows < limit {
                break;
            }
        }
    }
    let joined = told::joined(&pages).ok_or_else(|| ClientError::Garbled("a page of a status is none".to_owned()))?;
    Ok((whole, joined))
}
