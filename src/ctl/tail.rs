//! Logs on the screen: the end of one, raw as it is, or of several, line by line with the name before each.

use super::args::{Reading, is_plain};
use super::asking::ask;
use super::columns::{to_the_left, width};
use super::hints::hint;
use super::outcome::{ExitCode, refusal, word_for};
use super::{complaint, render};
use crate::client::{Client, ClientError, Feed};
use crate::sys::connect;
use crate::wire::text::shown;
use crate::wire::{Answer, Request, StatusQuery, told};
use std::collections::HashSet;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::os::fd::AsFd;

/// A longer line is shown in parts.
const LINE_MAX: usize = 64 * 1024;

/// Colours that are readable on dark and on light.
const COLOURS: [&str; 6] = ["\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[31m"];
const PLAIN: &str = "\x1b[0m";

/// One log and what there is to say before its lines.
struct Shown {
    name: String,
    feed: Option<Feed>,
    /// `None`: it is the only one, and raw.
    prefix: Option<String>,
    /// One object for each piece.
    json: bool,
    /// The begin of a line whose end has not come.
    line: Vec<u8>,
}

/// Shows what is asked for, until it is shown, or until Ctrl-C.
pub fn show(reading: &Reading) -> ExitCode {
    let client = Client::new(&reading.socket, reading.timeout);
    let (logs, failed) = meant(&client, reading);
    match Screen::new(reading, logs).run(&client, failed) {
        Ok(code) => code,
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Done,
        Err(error) => {
            complain(&format!("Cannot write: {error}"));
            ExitCode::Failed
        }
    }
}

/// Why nothing, or nothing more, is shown of a log.
struct Failure {
    code: ExitCode,
    /// For people.
    text: String,
    /// For programs.
    object: String,
}

impl Failure {
    /// Of several it is said which one it is.
    fn refused(client: &Client, name: &str, answer: &Answer, several: bool) -> Failure {
        let text = match answer.is_not_found() && several {
            true => format!("Process not found: {}\n", shown(name)),
            false => complaint(answer),
        };
        let hint = if answer.is_not_found() { hint(client, vec![name]) } else { String::new() };
        let (word, message) = (answer.code.as_deref().unwrap_or("FAILED"), answer.message.as_deref());
        let object = told::failed_piece(name, word, message.unwrap_or("Failed"), answer.reason.as_deref());
        Failure { code: refusal(answer), text: text + &hint, object }
    }

    fn unanswered(name: &str, error: &ClientError) -> Failure {
        let message = error.to_string();
        let object = told::failed_piece(name, word_for(error), &message, None);
        Failure { code: ExitCode::Failed, text: render::message(&message), object }
    }
}

/// A log, and how to ask for it.
type Log = (String, Request);

/// Patterns stand for the processes that there are now; each is shown once.
fn meant(client: &Client, reading: &Reading) -> (Vec<Log>, Vec<Failure>) {
    let (mut all, mut failed, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (name, request) in &reading.logs {
        match request {
            Request::Tail { stream, query, .. } if !is_plain(name) => {
                match bearers(client, name, reading.logs.len() > 1) {
                    Ok(names) => all.extend(names.into_iter().filter(|name| seen.insert(name.clone())).map(|name| {
                        let request = Request::Tail { name: name.clone(), stream: *stream, query: *query };
                        (name, request)
                    })),
                    Err(failure) => failed.push(failure),
                }
            }
            _ if seen.insert(name.clone()) => all.push((name.clone(), request.clone())),
            _ => {}
        }
    }
    (all, failed)
}

/// Whom a pattern matches, or why nobody knows.
fn bearers(client: &Client, pattern: &str, several: bool) -> Result<Vec<String>, Failure> {
    let query = StatusQuery { names: Some(vec![pattern.to_owned()]), ..StatusQuery::default() };
    match ask(client, &Request::Status(query)) {
        Ok((answer, _)) if answer.is_ok() => Ok(answer.processes.into_iter().map(|row| row.name).collect()),
        Ok((answer, _)) => Err(Failure::refused(client, pattern, &answer, several)),
        Err(error) => Err(Failure::unanswered(pattern, &error)),
    }
}

struct Screen {
    out: StdoutLock<'static>,
    logs: Vec<Shown>,
    requests: Vec<Request>,
    follow: bool,
    json: bool,
    code: ExitCode,
    /// What ends all logs at once is said once.
    said: String,
}

impl Screen {
    fn new(reading: &Reading, logs: Vec<Log>) -> Screen {
        let out = io::stdout().lock();
        let (json, coloured) = (reading.style.json, reading.style.colour.applies(out.is_terminal()));
        let (names, requests): (Vec<String>, _) = logs.into_iter().map(|(name, ask)| (shown(&name), ask)).unzip();
        let width = names.iter().map(|name| width(name)).max().unwrap_or(0);
        // Who gave several names or a pattern expects names, also where there is only one log.
        let several = names.len() > 1 || reading.logs.len() > 1 || reading.logs.iter().any(|(name, _)| !is_plain(name));
        let logs = names.into_iter().enumerate().map(|(number, name)| {
            let prefix = several.then(|| prefix(&name, width, number, coloured));
            Shown { name, feed: None, prefix, json, line: Vec::new() }
        });
        let (logs, follow) = (logs.collect(), reading.follow);
        Screen { logs, requests, out, follow, json, code: ExitCode::Done, said: String::new() }
    }

    fn run(&mut self, client: &Client, failed: Vec<Failure>) -> io::Result<ExitCode> {
        self.tell(failed)?;
        let mut failed = Vec::new();
        for (log, request) in self.logs.iter_mut().zip(&self.requests) {
            match client.open(request) {
                Ok((answer, feed)) if answer.is_ok() => {
                    log.print(&answer, &mut self.out)?;
                    log.feed = Some(feed).filter(|_| self.follow);
                }
                Ok((answer, _)) => failed.push(Failure::refused(client, &log.name, &answer, log.prefix.is_some())),
                Err(error) => failed.push(Failure::unanswered(&log.name, &error)),
            }
        }
        self.tell(failed)?;
        while self.logs.iter().any(|log| log.feed.is_some()) {
            self.wait_and_print()?;
        }
        for log in &mut self.logs {
            log.finish(&mut self.out)?;
        }
        self.out.flush()?;
        Ok(self.code)
    }

    fn wait_and_print(&mut self) -> io::Result<()> {
        let open: Vec<&Feed> = self.logs.iter().filter_map(|log| log.feed.as_ref()).collect();
        // What came in one read with the piece before wakes nobody.
        if !open.iter().any(|feed| feed.holds_more()) {
            connect::wait_readable(&open.iter().map(|feed| feed.as_fd()).collect::<Vec<_>>(), self.out.as_fd())?;
        }
        let mut failed = Vec::new();
        for log in &mut self.logs {
            match log.feed.as_mut().map(Feed::pull) {
                None | Some(Ok(None)) => {}
                Some(Ok(Some(answer))) => log.print(&answer, &mut self.out)?,
                Some(Err(error)) => {
                    log.feed = None;
                    let mut failure = Failure::unanswered(&log.name, &error);
                    // The others go on, so it is said of which one.
                    if log.prefix.is_some() && matches!(error, ClientError::Dropped) {
                        failure.text.insert_str(0, &format!("{}: ", log.name));
                    }
                    failed.push(failure);
                }
            }
        }
        self.tell(failed)
    }

    /// Programs are told on stdout, where everything else is told to them.
    fn tell(&mut self, failed: Vec<Failure>) -> io::Result<()> {
        for Failure { code, text, object } in failed {
            self.code = code;
            if self.json {
                self.out.write_all(object.as_bytes())?;
            } else if self.said != text {
                self.out.flush()?;
                complain(text.trim_end());
                self.said = text;
            }
        }
        self.out.flush()
    }
}

impl Shown {
    fn print(&mut self, answer: &Answer, out: &mut impl Write) -> io::Result<()> {
        if self.json {
            return out.write_all(told::piece(&self.name, answer).as_bytes());
        }
        if answer.missed > 0 {
            complain(&format!("{}: {} bytes were missed", self.name, answer.missed));
        }
        if answer.truncated {
            complain(&format!("{}: more was asked for than is shown at once", self.name));
        }
        let bytes = match answer.bytes() {
            Ok(bytes) => bytes,
            Err(why) => {
                complain(&format!("{}: not shown: {why}", self.name));
                return Ok(());
            }
        };
        let Some(prefix) = &self.prefix else { return out.write_all(&bytes) };
        self.line.extend_from_slice(&bytes);
        let mut rest = self.line.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n').or(rest.get(LINE_MAX).map(|_| LINE_MAX - 1)) {
            let (line, after) = rest.split_at(end + 1);
            print_line(prefix, line, out)?;
            rest = after;
        }
        self.line = rest.to_vec();
        Ok(())
    }

    fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        match &self.prefix {
            Some(prefix) if !self.line.is_empty() => print_line(prefix, &std::mem::take(&mut self.line), out),
            _ => Ok(()),
        }
    }
}

fn print_line(prefix: &str, line: &[u8], out: &mut impl Write) -> io::Result<()> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    out.write_all(prefix.as_bytes())?;
    out.write_all(body)?;
    out.write_all(b"\n")
}

fn prefix(name: &str, width: usize, number: usize, coloured: bool) -> String {
    let text = format!("{} | ", to_the_left(name, width));
    match COLOURS.get(number % COLOURS.len()) {
        Some(colour) if coloured => format!("{colour}{text}{PLAIN}"),
        _ => text,
    }
}

/// Where stderr is gone nobody is left to be told.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(prefix: Option<&str>) -> Shown {
        Shown { name: "a".to_owned(), feed: None, prefix: prefix.map(str::to_owned), json: false, line: Vec::new() }
    }

    fn piece(text: &str) -> Answer {
        Answer { data: Some(text.to_owned()), ..Answer::default() }
    }

    #[test]
    fn one_log_is_raw() {
        let (mut log, mut out) = (log(None), Vec::new());
        for text in ["\x1b[31mre", "d\n", "no end"] {
            log.print(&piece(text), &mut out).unwrap();
        }
        log.finish(&mut out).unwrap();
        assert_eq!(out, b"\x1b[31mred\nno end");
    }

    #[test]
    fn lines_of_several_are_whole() {
        let (mut log, mut out) = (log(Some("a | ")), Vec::new());
        for text in ["on", "e\n\ntw", "o"] {
            log.print(&piece(text), &mut out).unwrap();
        }
        assert_eq!(out, b"a | one\na | \n");
        log.finish(&mut out).unwrap();
        assert_eq!(out, b"a | one\na | \na | two\n");
    }

    #[test]
    fn a_line_without_end_is_shown_in_parts() {
        let (mut log, mut out) = (log(Some("> ")), Vec::new());
        log.print(&piece(&"x".repeat(2 * LINE_MAX + 1)), &mut out).unwrap();
        assert!(log.line.len() <= LINE_MAX);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2);
    }

    #[test]
    fn prefixes_are_of_one_width_and_coloured_where_that_is_wanted() {
        assert_eq!(prefix("a", 3, 0, false), "a   | ");
        assert_eq!(prefix("\u{65e5}", 3, 0, false), "\u{65e5}  | ");
        assert_eq!(prefix("abc", 3, 7, true), "\x1b[33mabc | \x1b[0m");
    }
}
