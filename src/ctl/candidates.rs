//! What a completion is told: the table of commands, and whom the daemon knows at this moment. Silent where nobody answers.

use super::args::{self, Invocation};
use super::asking::ask;
use super::help;
use crate::client::Client;
use crate::manual::complete::{Known, complete};
use crate::wire::{Request, StatusQuery};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Nobody waits longer for a key.
const PATIENCE: Duration = Duration::from_secs(1);

/// The candidates for the last of these words, as the scripts in the shells read them.
pub(super) fn candidates(words: &[String]) -> String {
    let live = || known(&socket(words));
    complete(&help::program(), words, &live).render()
}

fn known(socket: &std::path::Path) -> Vec<Known> {
    let client = Client::new(socket, PATIENCE);
    let everyone = Request::Status(StatusQuery { verbose: true, ..StatusQuery::default() });
    let Ok((answer, _)) = ask(&client, &everyone) else { return Vec::new() };
    let rows = answer.processes.into_iter();
    rows.map(|row| Known { name: row.name, state: row.state, group: row.group.unwrap_or_default() }).collect()
}

/// The daemon that the line so far is about.
fn socket(words: &[String]) -> PathBuf {
    let before = words.split_last().map_or(&[][..], |(_, before)| before);
    let mut options: Vec<OsString> = Vec::new();
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "-s" | "--socket") {
            options.extend(words.next().map(|path| format!("--socket={}", at_home(path)).into()));
        } else if word.starts_with("--socket=") || (word.starts_with("-s") && word.len() > 2) {
            options.push(word.into());
        }
    }
    options.push("status".into());
    match args::parse(options) {
        Ok(Invocation::Order(order)) => order.socket,
        _ => args::default_socket(),
    }
}

/// The shell has not put the home folder in place of a `~` yet.
fn at_home(path: &str) -> String {
    match (path.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> PathBuf {
        socket(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_socket_is_the_one_on_the_line() {
        assert_eq!(of("-s /a stop w"), PathBuf::from("/a"));
        assert_eq!(of("stop --socket=/b w"), PathBuf::from("/b"));
        assert_eq!(of("-s/c stop -s /d w"), PathBuf::from("/d"));
        assert_eq!(of("stop w"), args::default_socket());
        assert_eq!(of("stop -s /half"), args::default_socket());
    }
}
