//! How the program ends: an exit code that scripts know, and what is printed where.

use super::render;
use super::style::Style;
use crate::client::ClientError;
use crate::wire::{Answer, told};
use std::io::{self, Write};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// What was asked is done.
    Done = 0,
    /// It is not, or there is no daemon.
    Failed = 1,
    /// What was asked makes no sense.
    Usage = 2,
    /// What is waited for cannot come to be any more.
    Impossible = 3,
    /// What is waited for did not come in time.
    TimedOut = 4,
    /// A reload would change something.
    Changes = 10,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code as u8)
    }
}

/// What there is to print, and how it ends.
pub(super) struct Outcome {
    pub code: ExitCode,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub(super) fn done(stdout: String) -> Outcome {
        Outcome { code: ExitCode::Done, stdout, stderr: String::new() }
    }

    pub(super) fn failed(stderr: String) -> Outcome {
        Outcome { code: ExitCode::Failed, stdout: String::new(), stderr }
    }

    pub(super) fn usage(stderr: String) -> Outcome {
        Outcome { code: ExitCode::Usage, stdout: String::new(), stderr }
    }

    /// Wrong usage, for programs.
    pub(super) fn misused(why: &str) -> Outcome {
        Outcome { code: ExitCode::Usage, ..Outcome::done(told::failure("USAGE", why)) }
    }
}

/// A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// How it ends when the daemon says no.
pub(super) fn refusal(answer: &Answer) -> ExitCode {
    match answer.code.as_deref() {
        Some("IMPOSSIBLE") => ExitCode::Impossible,
        Some("TIMED_OUT") => ExitCode::TimedOut,
        // No process could make it right: it is worded wrong.
        Some("INVALID_REQUEST") => ExitCode::Usage,
        _ => ExitCode::Failed,
    }
}

/// What there is to say when nobody answers.
pub(super) fn no_answer(error: &ClientError, style: Style) -> Outcome {
    let text = error.to_string();
    let exit = if matches!(error, ClientError::RequestTooLarge(_)) { ExitCode::Usage } else { ExitCode::Failed };
    if !style.json {
        return Outcome { code: exit, ..Outcome::failed(render::message(&text)) };
    }
    Outcome { code: exit, stdout: told::failure(word_for(error), &text), stderr: String::new() }
}

/// The code of it, for programs.
pub(super) fn word_for(error: &ClientError) -> &'static str {
    match error {
        ClientError::NotRunning => "NOT_RUNNING",
        ClientError::NotASocket { .. } => "NOT_A_SOCKET",
        ClientError::RequestTooLarge(_) => "MESSAGE_TOO_LARGE",
        ClientError::Untrusted { .. } => "UNTRUSTED",
        ClientError::TimedOut { .. } | ClientError::Silent { .. } => "NO_ANSWER",
        ClientError::ShutDown | ClientError::Died => "ENDED",
        ClientError::HungUp
        | ClientError::Dropped
        | ClientError::Garbled(_)
        | ClientError::TooLarge(_)
        | ClientError::Io { .. } => "BROKEN",
    }
}
