//! Whom somebody may have meant, where nobody is called so.

use super::asking::ask;
use super::{nearest::nearest, render};
use crate::client::Client;
use crate::wire::{Answer, Request, Row, StatusQuery};

/// What an answer says nobody is called: the names of the request, unless it tells which of them.
fn unknown<'a>(request: &'a Request, answer: &'a Answer) -> Vec<&'a str> {
    match request {
        Request::Start { name }
        | Request::Stop { name }
        | Request::Restart { name, .. }
        | Request::TreatLogs { name, .. }
        | Request::Tail { name, .. }
        | Request::Describe { name }
        | Request::Why { name } => vec![name],
        Request::Status(StatusQuery { names: Some(names), .. }) => {
            let unknown = if answer.unknown.is_empty() { names } else { &answer.unknown };
            unknown.iter().map(String::as_str).collect()
        }
        _ => Vec::new(),
    }
}

/// What may have been meant by a request that was refused.
pub(super) fn of_refusal(client: &Client, request: &Request, answer: &Answer) -> String {
    match request {
        Request::StartGroup { name } | Request::StopGroup { name } if answer.is_group_not_found() => {
            group_hint(client, name)
        }
        _ if answer.is_not_found() => hint(client, unknown(request, answer)),
        _ => String::new(),
    }
}

/// For names that nobody bears: the nearest that somebody does. Without an answer there is none.
pub(super) fn hint(client: &Client, unknown: Vec<&str>) -> String {
    if unknown.is_empty() {
        return String::new();
    }
    let rows = everybody(client);
    let unknown = unknown.into_iter().filter(|name| rows.iter().all(|row| row.name != **name));
    told(unknown.filter_map(|name| meant(name, &rows)).collect())
}

/// The same for a group.
fn group_hint(client: &Client, unknown: &str) -> String {
    let rows = everybody(client);
    told(nearest(unknown, groups(&rows)).into_iter().collect())
}

fn everybody(client: &Client) -> Vec<Row> {
    let query = StatusQuery { verbose: true, ..StatusQuery::default() };
    ask(client, &Request::Status(query)).map(|(known, _)| known.processes).unwrap_or_default()
}

fn groups(rows: &[Row]) -> impl Iterator<Item = &str> {
    rows.iter().filter_map(|row| row.group.as_deref())
}

fn meant(unknown: &str, rows: &[Row]) -> Option<String> {
    if let Some(group) = unknown.strip_prefix("group:") {
        return nearest(group, groups(rows)).map(|group| format!("group:{group}"));
    }
    let near = nearest(unknown, rows.iter().map(|row| row.name.as_str()));
    near.or_else(|| groups(rows).any(|group| group == unknown).then(|| format!("group:{unknown}")))
}

fn told(near: Vec<String>) -> String {
    if near.is_empty() { String::new() } else { render::message(&format!("Did you mean {}?", near.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_meant_by_their_prefix_or_where_no_process_is_near() {
        let row =
            |name: &str, group: &str| Row { name: name.to_owned(), group: Some(group.to_owned()), ..Row::default() };
        let rows = [row("web:00", "web"), row("db", "stores"), row("cache", "stores")];
        for (unknown, expected) in [
            ("group:sotres", Some("group:stores")),
            ("group:nothing", None),
            ("stores", Some("group:stores")),
            ("web", Some("web:*")),
            ("wbe", Some("web:*")),
            ("cahce", Some("cache")),
        ] {
            assert_eq!(meant(unknown, &rows).as_deref(), expected, "{unknown}");
        }
    }
}
