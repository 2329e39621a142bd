//! Events on the screen: those that the daemon keeps, and those that come, each on a line.

use super::args::Hearing;
use super::outcome::{ExitCode, no_answer, print, refusal};
use super::style::Mood;
use super::{complaint, render};
use crate::client::{Client, ClientError, Feed};
use crate::sys::connect;
use crate::wire::text::shown;
use crate::wire::{Answer, EventQuery, Occurrence, Request, told};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::os::fd::AsFd;

/// Shows what is asked for, until it is shown, or until Ctrl-C.
pub fn show(hearing: &Hearing) -> ExitCode {
    let out = io::stdout().lock();
    let coloured = hearing.style.colour.applies(out.is_terminal());
    match (Screen { out, json: hearing.style.json, coloured }).run(hearing) {
        Ok(()) => ExitCode::Done,
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Done,
        Err(Trouble::Output(error)) => fail(&format!("Cannot write: {error}\n"), ExitCode::Failed),
        Err(Trouble::Refused(answer, _)) if !hearing.style.json => fail(&complaint(&answer), refusal(&answer)),
        Err(Trouble::Refused(answer, frame)) => tell(&told::line(&frame), refusal(&answer)),
        Err(Trouble::NoAnswer(error)) => {
            let outcome = no_answer(&error, hearing.style);
            if outcome.stdout.is_empty() {
                fail(&outcome.stderr, outcome.code)
            } else {
                tell(&outcome.stdout, outcome.code)
            }
        }
    }
}

enum Trouble {
    Output(io::Error),
    NoAnswer(ClientError),
    Refused(Box<Answer>, Vec<u8>),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Output(error)
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        Trouble::NoAnswer(error)
    }
}

struct Screen {
    out: StdoutLock<'static>,
    json: bool,
    coloured: bool,
}

impl Screen {
    fn run(&mut self, hearing: &Hearing) -> Result<(), Trouble> {
        let client = Client::new(&hearing.socket, hearing.timeout);
        let mut query = hearing.query;
        loop {
            // What is kept may take several answers; to a follower the rest is sent by itself.
            let (answer, frame, feed) = client.open_raw(&Request::Events(query))?;
            if !answer.is_ok() {
                return Err(Trouble::Refused(Box::new(answer), frame));
            }
            if answer.restarted {
                complain("The daemon was started anew since then: its events are counted from 1 again");
            }
            self.print(&answer, &frame)?;
            if query.follow {
                return self.follow(feed);
            }
            if !answer.truncated {
                return Ok(());
            }
            query = EventQuery { since: Some(answer.last), ..query };
        }
    }

    fn follow(&mut self, mut feed: Feed) -> Result<(), Trouble> {
        loop {
            while let Some((answer, frame)) = feed.pull_raw()? {
                if answer.status == "error" {
                    return Err(Trouble::Refused(Box::new(answer), frame));
                }
                self.print(&answer, &frame)?;
            }
            connect::wait_readable(&[feed.as_fd()], self.out.as_fd())?;
        }
    }

    fn print(&mut self, answer: &Answer, frame: &[u8]) -> Result<(), Trouble> {
        if self.json {
            let lines = told::events(frame).ok_or_else(|| ClientError::Garbled("its events are none".to_owned()))?;
            self.out.write_all(lines.as_bytes())?;
        } else {
            if answer.missed > 0 {
                writeln!(self.out, "-- {} events were missed --", answer.missed)?;
            }
            for event in &answer.events {
                self.out.write_all(line(event, self.coloured).as_bytes())?;
            }
        }
        Ok(self.out.flush()?)
    }
}

/// `2026-01-31 12:00:00  17  web  BACKOFF (from STARTING): exited with code 1`.
fn line(event: &Occurrence, coloured: bool) -> String {
    let state = event.event.strip_prefix("PROCESS_STATE_");
    let what = shown(state.unwrap_or(&event.event));
    let mood = match (state, event.event.as_str()) {
        (Some(state), _) => Mood::of_state(state),
        (None, "HEALTHCHECK_FAILED") => Mood::Bad,
        (None, _) => Mood::Plain,
    };
    let what = if coloured { mood.paint(&what) } else { what };
    let from = event.from_state.as_ref().map_or_else(String::new, |from| format!(" from {}", shown(from)));
    let pid = event.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let failures = event.failures.map_or_else(String::new, |failures| format!(" ({failures} in a row)"));
    let message = event.message.as_ref().map_or_else(String::new, |message| format!(": {}", shown(message)));
    let name = shown(&event.processname);
    format!("{}  {}  {name}  {what}{from}{pid}{failures}{message}\n", shown(&event.at), event.number)
}

fn fail(text: &str, code: ExitCode) -> ExitCode {
    complain(text.trim_end());
    code
}

fn tell(text: &str, code: ExitCode) -> ExitCode {
    match print(&mut io::stdout().lock(), text) {
        Ok(()) => code,
        Err(error) => fail(&format!("Cannot write: {error}\n"), ExitCode::Failed),
    }
}

/// Where stderr is gone nobody is left to be told.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", render::message(text).trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Occurrence {
        Occurrence {
            number: 17,
            at: "2026-01-31 12:00:00".to_owned(),
            event: name.to_owned(),
            processname: "we\x1bb".to_owned(),
            ..Occurrence::default()
        }
    }

    #[test]
    fn an_event_is_one_line_that_steers_nothing() {
        let spawned = Occurrence { pid: Some(5), ..event("PROCESS_SPAWNED") };
        assert_eq!(line(&spawned, true), "2026-01-31 12:00:00  17  we\\x1bb  PROCESS_SPAWNED (pid 5)\n");
        let from_state = Some("STARTING".to_owned());
        let state = Occurrence { from_state, message: Some("a\nb".to_owned()), ..event("PROCESS_STATE_FATAL") };
        assert_eq!(line(&state, false), "2026-01-31 12:00:00  17  we\\x1bb  FATAL from STARTING: a\\nb\n");
        assert!(line(&state, true).contains("\x1b[31mFATAL\x1b[0m"));
        let failed = Occurrence { failures: Some(2), ..event("HEALTHCHECK_FAILED") };
        assert!(line(&failed, false).ends_with("HEALTHCHECK_FAILED (2 in a row)\n"));
    }
}
