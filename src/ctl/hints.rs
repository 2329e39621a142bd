//! Whom somebody may have meant, where nobody is called so.

use super::asking::ask;
use super::{nearest, render};
use crate::client::Client;
use crate::wire::{Request, StatusQuery};

/// The processes that a request names.
pub(super) fn asked(request: &Request) -> Vec<&str> {
    match request {
        Request::Start { name }
        | Request::Stop { name }
        | Request::Restart { name, .. }
        | Request::TreatLogs { name, .. }
        | Request::Describe { name }
        | Request::Why { name } => vec![name],
        Request::Status(StatusQuery { names: Some(names), .. }) => names.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// For names that nobody bears: the nearest that somebody does. Without an answer there is none.
pub(super) fn hint(client: &Client, unknown: Vec<&str>) -> String {
    if unknown.is_empty() {
        return String::new();
    }
    let Ok((known, _)) = ask(client, &Request::Status(StatusQuery::default())) else { return String::new() };
    let names = || known.processes.iter().map(|row| row.name.as_str());
    let unknown = unknown.into_iter().filter(|name| names().all(|known| known != *name));
    let near: Vec<String> = unknown.filter_map(|name| nearest::nearest(name, names())).collect();
    if near.is_empty() { String::new() } else { render::message(&format!("Did you mean {}?", near.join(", "))) }
}
