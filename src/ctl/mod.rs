//! `supervicectl`: asks the daemon one thing and tells the answer.
//!
//! What was done goes to stdout, what was not to stderr, and the exit code says which it was.

pub mod args;
mod asking;
mod candidates;
mod columns;
pub mod describe;
pub mod events;
pub mod help;
mod hints;
mod local;
mod nearest;
mod outcome;
mod page;
mod progress;
mod reloading;
pub mod render;
mod spelling;
pub mod story;
pub mod style;
pub mod tail;
pub mod top;

pub use outcome::ExitCode;

use crate::client::{Client, ClientError};
use crate::wire::{Answer, Request, Row, told};
use args::{Invocation, Order, UsageError, View};
use asking::ask;
use hints::hint;
use outcome::{Outcome, no_answer, print, refusal};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// A daemon that lives answers a wait at its deadline and tells what is still open; one that hangs is not waited for longer.
const WAIT_GRACE: Duration = Duration::from_secs(1);

/// Does what the arguments after the program's name say.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let json = spelling::wants_json(&arguments);
    let outcome = outcome(args::parse(arguments), json);
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

fn outcome(asked: Result<Invocation, UsageError>, json: bool) -> Outcome {
    let said = |text: String| Outcome::done(if json { told::text(&text) } else { text });
    let shown = |code: ExitCode| Outcome { code, ..Outcome::done(String::new()) };
    match asked {
        Ok(Invocation::Help) => said(help::all()),
        Ok(Invocation::HelpOn(command)) => explain(&command, json),
        Ok(Invocation::Version) if json => Outcome::done(told::version(OWN_VERSION)),
        Ok(Invocation::Version) => Outcome::done(own_version()),
        Ok(Invocation::Page) => said(page::page()),
        Ok(Invocation::Completion(shell)) => said(shell.script("supervicectl", local::ASK, "completion")),
        Ok(Invocation::Complete(words)) => Outcome::done(candidates::candidates(&words)),
        Ok(Invocation::Nothing) if json => Outcome::misused("no command is given"),
        Ok(Invocation::Nothing) => Outcome::usage(help::all()),
        Ok(Invocation::Order(order)) => perform(&order),
        Ok(Invocation::Watching(top)) => top.show(),
        Ok(Invocation::Reading(reading)) => shown(tail::show(&reading)),
        Ok(Invocation::Hearing(hearing)) => shown(events::show(&hearing)),
        Err(UsageError(why)) if json => Outcome::misused(&why),
        Err(UsageError(why)) => {
            Outcome::usage(format!("{}\nsupervicectl: error: {}\n", help::USAGE, crate::wire::text::shown(&why)))
        }
    }
}

fn explain(command: &str, json: bool) -> Outcome {
    match (help::about(command), json) {
        (Some(text), true) => Outcome::done(told::text(text)),
        (Some(text), false) => Outcome::done(text.to_owned()),
        (None, true) => Outcome::misused(&args::unknown_command(command).0),
        (None, false) => {
            let unknown = format!("unknown command: {}", crate::wire::text::shown(command));
            let near = nearest::nearest(command, help::commands());
            let hint = near.map_or_else(String::new, |name| format!("Did you mean {name}?\n"));
            Outcome::usage(format!("supervicectl: error: {unknown}\n{hint}"))
        }
    }
}

fn perform(order: &Order) -> Outcome {
    let is_wait = matches!(order.request, Request::Wait { .. });
    let client = Client::new(&order.socket, order.timeout);
    let client = if is_wait { client.with_grace(WAIT_GRACE) } else { client };
    let asked =
        if progress::is_wanted(order) { progress::ask(&client, &order.request) } else { ask(&client, &order.request) };
    let (answer, frame) = match asked {
        Ok(told) => told,
        Err(error) => return unanswered(order, &error),
    };
    let code = exit_code(order.view, &answer);
    if order.style.json {
        let object = told::line(&frame);
        let object = if order.view == View::Version { told::with_version(OWN_VERSION, &object) } else { object };
        return Outcome { code, ..Outcome::done(object) };
    }
    let mut outcome = Outcome { code, ..words(&client, order, &answer) };
    if order.style.quiet {
        outcome.stdout.clear();
        if matches!(order.view, View::Health | View::Check) && answer.is_ok() && code != ExitCode::Done {
            outcome.stderr = render::health(&answer.processes, is_well);
        }
    }
    outcome
}

/// Our own version is known also where nobody answers.
fn unanswered(order: &Order, error: &ClientError) -> Outcome {
    let told = no_answer(error, order.style);
    let hangs = matches!((&order.request, error), (Request::Wait { .. }, ClientError::TimedOut { .. }));
    let code = if hangs { ExitCode::TimedOut } else { told.code };
    let stdout = match order.view {
        View::Version if order.style.json => told::with_version(OWN_VERSION, &told.stdout),
        View::Version if !order.style.quiet => own_version(),
        _ => told.stdout,
    };
    Outcome { code, stdout, stderr: told.stderr }
}

fn exit_code(view: View, answer: &Answer) -> ExitCode {
    let well = answer.is_ok()
        && match view {
            View::Whole | View::Version | View::Foresight => true,
            View::Check | View::Health => answer.processes.iter().all(is_well),
            View::Pid => answer.processes.iter().all(|row| row.pid.is_some()),
        };
    match well {
        true if view == View::Foresight && reloading::changes_anything(answer) => ExitCode::Changes,
        true => ExitCode::Done,
        false => refusal(answer),
    }
}

/// A process that is not checked, or not yet, counts by its state.
fn is_well(row: &Row) -> bool {
    row.state == "RUNNING" && row.healthy != Some(false)
}

fn words(client: &Client, order: &Order, answer: &Answer) -> Outcome {
    if matches!(order.request, Request::Reload | Request::Update { .. }) {
        return reloading::outcome(client, answer);
    }
    if !answer.results.is_empty() {
        return each(client, answer);
    }
    if !answer.is_ok() {
        if order.view == View::Version {
            let complaint = format!("{}The daemon does not tell its version\n", complaint(answer));
            return Outcome { stdout: own_version(), ..Outcome::failed(complaint) };
        }
        let hint = hints::of_refusal(client, &order.request, answer);
        let known = if answer.processes.is_empty() { Outcome::done(String::new()) } else { content(order, answer) };
        return Outcome { stderr: complaint(answer) + &hint, ..known };
    }
    content(order, answer)
}

/// What was asked for, in words.
fn content(order: &Order, answer: &Answer) -> Outcome {
    Outcome::done(match (&order.request, order.view) {
        (Request::Status(_), View::Health) => render::health(&answer.processes, is_well),
        (Request::Status(_), View::Whole | View::Check | View::Version | View::Foresight) => {
            let coloured = order.style.colour.applies(io::stdout().is_terminal());
            render::table(&answer.processes, coloured)
        }
        (Request::Status(_), View::Pid) => render::pids(&answer.processes),
        (Request::Info, view) => return about(answer, view),
        (Request::DryReload, _) => reloading::foresight(answer),
        (Request::Describe { .. }, _) => describe::text(&answer.description.clone().unwrap_or_default()),
        // For programs: not a byte of it is changed.
        (Request::Metrics, _) => answer.metrics.clone().unwrap_or_default(),
        (Request::Why { .. }, _) => story::history(answer),
        _ => render::message(answer.message.as_deref().unwrap_or("Done")),
    })
}

const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

fn own_version() -> String {
    format!("supervicectl {OWN_VERSION}\n")
}

fn about(answer: &Answer, view: View) -> Outcome {
    let info = answer.info.clone().unwrap_or_default();
    match view {
        View::Pid => Outcome::done(format!("{}\n", info.pid)),
        View::Version => {
            let theirs = crate::wire::text::shown(&info.version);
            let mut outcome = Outcome::done(format!("{}supervice {theirs}\n", own_version()));
            if theirs != OWN_VERSION {
                outcome.stderr = format!("The daemon is of another version: {theirs}, and this is {OWN_VERSION}\n");
            }
            outcome
        }
        View::Whole | View::Check | View::Health | View::Foresight => Outcome::done(render::info(&info)),
    }
}

/// What became of each of several: who did as told on stdout, who did not on stderr.
fn each(client: &Client, answer: &Answer) -> Outcome {
    let mut outcome = Outcome::done(String::new());
    for verdict in &answer.results {
        let message = verdict.message.as_deref().unwrap_or(&verdict.name);
        if verdict.status == "ok" {
            outcome.stdout.push_str(&render::message(message));
            continue;
        }
        outcome.stderr.push_str(&render::message(message));
        if let Some(reason) = &verdict.reason {
            outcome.stderr.push_str(&render::message(&format!("reason: {reason}")));
        }
    }
    let unknown = answer.results.iter().filter(|verdict| verdict.code.as_deref() == Some("NOT_FOUND"));
    outcome.stderr.push_str(&hint(client, unknown.map(|verdict| verdict.name.as_str()).collect()));
    outcome
}

fn complaint(answer: &Answer) -> String {
    let code = answer.code.as_deref().unwrap_or("no reason given");
    let message = answer.message.clone().unwrap_or_else(|| format!("Failed ({code})"));
    match &answer.reason {
        Some(reason) => render::message(&message) + &render::message(&format!("reason: {reason}")),
        None => render::message(&message),
    }
}
