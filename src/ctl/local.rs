//! What `supervicectl` does without a daemon: it tells of itself, and helps shells to complete a line.

use super::args::{Invocation, UsageError};
use crate::manual::shell::Shell;
use std::ffi::OsString;

/// What a completion begins its question with: `supervicectl --complete -- WORD...`.
pub(super) const ASK: &str = "--complete";

/// What a completion asks, as the scripts in the shells do.
pub(super) fn asked_by_a_shell(arguments: &[OsString]) -> Option<Vec<String>> {
    let (_, rest) = arguments.split_first().filter(|(first, _)| *first == ASK)?;
    let words = rest.iter().skip_while(|word| *word == "--");
    Some(words.map(|word| word.to_string_lossy().into_owned()).collect())
}

/// What is printed whatever else is on the line.
pub(super) fn text_of_ours(options: &mut pico_args::Arguments) -> Option<Invocation> {
    let texts = [
        (options.contains(["-h", "--help"]), Invocation::Help),
        (options.contains("--version"), Invocation::Version),
        (options.contains("--man"), Invocation::Page),
    ];
    texts.into_iter().find_map(|(wanted, text)| wanted.then_some(text))
}

/// `help`.
pub(super) fn help(operands: &[&str]) -> Invocation {
    operands.first().map_or(Invocation::Help, |command| Invocation::HelpOn((*command).to_owned()))
}

/// `completion`.
pub(super) fn completion(operands: &[&str]) -> Result<Invocation, UsageError> {
    match operands {
        [shell] => Shell::from_word(shell).map(Invocation::Completion).map_err(UsageError),
        _ => Err(UsageError("completion needs a shell: bash, zsh or fish".to_owned())),
    }
}
