//! `supervicectl`: asks the daemon one thing and tells the answer.
//!
//! What was done goes to stdout, what was not to stderr, and the exit code says which it was.

pub mod args;
pub mod render;
pub mod tail;

use crate::client::{Client, ClientError};
use crate::wire::{Answer, Request, StatusQuery};
use args::{Invocation, Order, UsageError};
use std::ffi::OsString;
use std::io::{self, Write};

/// The first page of a status that is too large for one reply.
const PAGE: usize = 4096;

/// A status of more rows than this is not collected further.
const MAX_ROWS: usize = 1 << 20;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// What was asked is done.
    Done = 0,
    /// It is not, or there is no daemon.
    Failed = 1,
    /// What was asked makes no sense.
    Usage = 2,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code as u8)
    }
}

/// What there is to print, and how it ends.
struct Outcome {
    code: ExitCode,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn done(stdout: String) -> Outcome {
        Outcome { code: ExitCode::Done, stdout, stderr: String::new() }
    }

    fn failed(stderr: String) -> Outcome {
        Outcome { code: ExitCode::Failed, stdout: String::new(), stderr }
    }

    fn usage(stderr: String) -> Outcome {
        Outcome { code: ExitCode::Usage, stdout: String::new(), stderr }
    }
}

/// Does what the arguments after the program's name say.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let outcome = outcome(args::parse(arguments));
    let told = print(&mut io::stdout().lock(), &outcome.stdout);
    // Where stderr is gone as well nobody is left to be told.
    let complained = print(&mut io::stderr().lock(), &outcome.stderr);
    match told.and(complained) {
        Ok(()) => outcome.code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Cannot write: {error}");
            ExitCode::Failed
        }
    }
}

/// A reader that has seen enough (`| head`) is no failure.
fn print(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn outcome(asked: Result<Invocation, UsageError>) -> Outcome {
    match asked {
        Ok(Invocation::Help) => Outcome::done(help()),
        Ok(Invocation::Version) => Outcome::done(format!("supervicectl {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Invocation::Nothing) => Outcome::usage(help()),
        Ok(Invocation::Order(order)) => perform(&order),
        Ok(Invocation::Reading(reading)) => {
            Outcome { code: tail::show(&reading), stdout: String::new(), stderr: String::new() }
        }
        Err(error) => {
            Outcome::usage(format!("{}\nsupervicectl: error: {}\n", args::USAGE, crate::wire::text::shown(&error.0)))
        }
    }
}

fn help() -> String {
    format!("{}\n{}", args::USAGE, args::HELP)
}

fn perform(order: &Order) -> Outcome {
    let client = Client::new(&order.socket, order.timeout);
    match ask(&client, &order.request) {
        Err(error) => Outcome::failed(render::message(&error.to_string())),
        Ok(answer) if !answer.is_ok() => Outcome::failed(complaint(&answer)),
        Ok(answer) => Outcome::done(match order.request {
            Request::Status(_) => render::table(&answer.processes),
            Request::Reload => render::reload(&answer),
            Request::Start { .. }
            | Request::Stop { .. }
            | Request::Restart { .. }
            | Request::StartGroup { .. }
            | Request::StopGroup { .. }
            | Request::Reopen
            | Request::Rotate { .. }
            | Request::ClearLog { .. }
            | Request::Tail { .. }
            | Request::MainTail(_) => render::message(answer.message.as_deref().unwrap_or("Done")),
        }),
    }
}

fn complaint(answer: &Answer) -> String {
    let code = answer.code.as_deref().unwrap_or("no reason given");
    let message = answer.message.clone().unwrap_or_else(|| format!("Failed ({code})"));
    match &answer.reason {
        Some(reason) => render::message(&message) + &render::message(&format!("reason: {reason}")),
        None => render::message(&message),
    }
}

fn ask(client: &Client, request: &Request) -> Result<Answer, ClientError> {
    let answer = client.call(request)?;
    match request {
        Request::Status(query) if answer.is_too_large() => in_pages(client, query),
        _ => Ok(answer),
    }
}

/// A status that is above what one reply holds, page by page; pages that are still too large are halved.
fn in_pages(client: &Client, query: &StatusQuery) -> Result<Answer, ClientError> {
    let mut whole = Answer { status: "ok".to_owned(), ..Answer::default() };
    let mut limit = PAGE;
    while whole.processes.len() < MAX_ROWS {
        let offset = query.offset.saturating_add(whole.processes.len());
        let page = Request::Status(StatusQuery { offset, limit: Some(limit), ..query.clone() });
        let answer = client.call(&page)?;
        if answer.is_too_large() && limit > 1 {
            limit /= 2;
        } else if !answer.is_ok() {
            return Ok(answer);
        } else {
            let rows = answer.processes.len();
            whole.processes.extend(answer.processes);
            if rows < limit {
                break;
            }
        }
    }
    Ok(whole)
}
