//! Requests, asked so that every daemon answers them: in pages where one reply does not hold it all, and one by one where
//! it knows one name in a request only.

use super::args::is_plain;
use crate::client::{Client, ClientError};
use crate::wire::told::{self, ToldRow};
use crate::wire::{Answer, Request, StatusQuery, Verb, Verdict};
use std::collections::{HashMap, HashSet};

/// The first page of a status that is too large for one reply.
const PAGE: usize = 4096;

/// A status of more rows than this is not collected further.
const MAX_ROWS: usize = 1 << 20;

/// An answer, and its body for programs.
type Told = (Answer, Vec<u8>);

/// The answer, and its body for programs.
pub(super) fn ask(client: &Client, request: &Request) -> Result<Told, ClientError> {
    match request {
        Request::Status(query) => match &query.names {
            Some(names) => some(client, query, names),
            None => status(client, query),
        },
        _ => again(client, request, client.call_raw(request)?),
    }
}

fn status(client: &Client, query: &StatusQuery) -> Result<Told, ClientError> {
    let told = client.call_raw(&Request::Status(query.clone()))?;
    if told.0.is_too_large() { in_pages(client, query) } else { Ok(told) }
}

/// A status that is above what one reply holds, page by page; pages that are still too large are halved.
fn in_pages(client: &Client, query: &StatusQuery) -> Result<Told, ClientError> {
    let mut whole: Vec<ToldRow> = Vec::new();
    let mut limit = PAGE;
    while whole.len() < MAX_ROWS {
        let offset = query.offset.saturating_add(whole.len());
        let page = Request::Status(StatusQuery { offset, limit: Some(limit), ..query.clone() });
        let (answer, frame) = client.call_raw(&page)?;
        if answer.is_too_large() && limit > 1 {
            limit /= 2;
        } else if !answer.is_ok() {
            return Ok((answer, frame));
        } else {
            let rows = rows(&frame)?;
            let is_last = rows.len() < limit;
            whole.extend(rows);
            if is_last {
                break;
            }
        }
    }
    put_together(&whole, &[])
}

fn rows(frame: &[u8]) -> Result<Vec<ToldRow>, ClientError> {
    told::rows(frame).ok_or_else(|| ClientError::Garbled("the rows of a status are none".to_owned()))
}

fn put_together(rows: &[ToldRow], unknown: &[&str]) -> Result<Told, ClientError> {
    let frame = told::status(rows, unknown);
    Ok((Answer::decode(&frame).map_err(ClientError::Garbled)?, frame))
}

/// A status of some. Python's daemon tells of everybody, whoever was asked for.
fn some(client: &Client, query: &StatusQuery, names: &[String]) -> Result<Told, ClientError> {
    let request = Request::Status(query.clone());
    let pattern = names.iter().find(|name| !is_plain(name));
    let (answer, frame) = if pattern.is_some() { client.call_marked(&request)? } else { client.call_raw(&request)? };
    if answer.is_too_large() {
        return in_pages(client, query);
    }
    if answer.is_not_found() && names.len() > 1 {
        let (everybody, frame) = status(client, &StatusQuery { names: None, ..query.clone() })?;
        return if everybody.is_ok() { pick(client, query, names, rows(&frame)?) } else { Ok((everybody, frame)) };
    }
    match pattern {
        _ if !answer.is_ok() => Ok((answer, frame)),
        Some(_) if answer.id.is_none() && names == ["all"] => Ok((answer, frame)),
        Some(pattern) if answer.id.is_none() => Ok(knows_no_patterns(pattern)),
        // Without our own mark, which nobody asked for.
        Some(_) => put_together(&rows(&frame)?, &[]),
        None if are_exactly(&answer, names) => Ok((answer, frame)),
        None => pick(client, query, names, rows(&frame)?),
    }
}

fn are_exactly(answer: &Answer, names: &[String]) -> bool {
    let told: HashSet<&str> = answer.processes.iter().map(|row| row.name.as_str()).collect();
    told == names.iter().map(String::as_str).collect()
}

fn knows_no_patterns(pattern: &str) -> Told {
    let why = format!("This daemon knows plain names only, not {pattern}");
    let frame = told::failure("UNSUPPORTED", &why).into_bytes();
    let answer = Answer { status: "error".to_owned(), message: Some(why), ..Answer::default() };
    (Answer { code: Some("UNSUPPORTED".to_owned()), ..answer }, frame)
}

/// Who is there of those that were named, each once, and the names that nobody bears. Names are looked for among
/// everybody, patterns are asked for one by one.
fn pick(client: &Client, query: &StatusQuery, names: &[String], everybody: Vec<ToldRow>) -> Result<Told, ClientError> {
    let mut by_name: HashMap<String, ToldRow> = everybody.into_iter().map(|row| (row.name.clone(), row)).collect();
    let (mut found, mut unknown, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for name in names.iter().filter(|name| seen.insert(name.as_str())) {
        if is_plain(name) && by_name.contains_key(name) {
            found.extend(by_name.remove(name));
        } else if is_plain(name) {
            // Whom a pattern found before is told of already.
            let told = found.iter().any(|row: &ToldRow| row.name == *name);
            unknown.extend((!told).then_some(name.as_str()));
        } else {
            let one = StatusQuery { names: Some(vec![name.clone()]), ..query.clone() };
            let (answer, frame) = some(client, &one, std::slice::from_ref(name))?;
            match answer.is_ok() {
                true => found.extend(rows(&frame)?.into_iter().filter_map(|row| by_name.remove(&row.name))),
                false if answer.is_not_found() => unknown.push(name),
                false => return Ok((answer, frame)),
            }
        }
    }
    put_together(&found, &unknown)
}

/// An order to several, once more one by one, if the daemon did not see their names: then it missed the one `name`.
pub(super) fn again(client: &Client, request: &Request, told: Told) -> Result<Told, ClientError> {
    let Request::Many { verb, names } = request else { return Ok(told) };
    let (answer, _) = &told;
    let has_seen = answer.is_ok() || answer.code.is_some() || !answer.results.is_empty() || !answer.is_not_found();
    if has_seen {
        return Ok(told);
    }
    match names.iter().find(|name| !is_plain(name) && *name != "all") {
        Some(pattern) => Ok(knows_no_patterns(pattern)),
        None => one_by_one(client, *verb, &each_named(client, names)?),
    }
}

fn each_named(client: &Client, names: &[String]) -> Result<Vec<String>, ClientError> {
    if names.iter().all(|name| name != "all") {
        return Ok(names.to_vec());
    }
    let (answer, _) = status(client, &StatusQuery::default())?;
    Ok(answer.processes.into_iter().map(|row| row.name).collect())
}

fn one_by_one(client: &Client, verb: Verb, names: &[String]) -> Result<Told, ClientError> {
    let mut results: Vec<Verdict> = Vec::new();
    let mut seen = HashSet::new();
    for name in names.iter().filter(|name| seen.insert(name.as_str())) {
        match client.call(&verb.of_one(name.clone())) {
            Ok(answer) => results.push(verdict(name, answer)),
            // Nothing is done yet.
            Err(error) if results.is_empty() => return Err(error),
            Err(error) => results.push(failed(name, error.to_string())),
        }
    }
    let frame = told::several(&results);
    Ok((Answer::decode(&frame).map_err(ClientError::Garbled)?, frame))
}

fn verdict(name: &str, answer: Answer) -> Verdict {
    let unknown = answer.is_not_found();
    // Python's 0.1.0 says `Spawn failed`, and not of whom.
    let names_it =
        |text: &str| text.split_whitespace().any(|word| word.trim_matches(['\'', '"', ',', '.', ':']) == name);
    let named = |text: String| if names_it(&text) { text } else { format!("{name}: {text}") };
    let message = if unknown { Some(format!("Process not found: {name}")) } else { answer.message.map(named) };
    let code = if unknown { Some("NOT_FOUND".to_owned()) } else { answer.code };
    Verdict { name: name.to_owned(), status: answer.status, message, code, reason: answer.reason }
}

fn failed(name: &str, why: String) -> Verdict {
    let message = Some(format!("{name}: {why}"));
    Verdict { name: name.to_owned(), status: "error".to_owned(), message, ..Verdict::default() }
}
