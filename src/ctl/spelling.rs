//! How options are spelled, and values read out of them.

use super::args::UsageError;
use super::help;
use crate::sys::socket::LONGEST_PATH;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// Thirty years; far from what a clock cannot hold.
const MAX_TIMEOUT: f64 = 1e9;

/// Whether to answer for programs, also where the rest of the line cannot be read.
pub(super) fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// What follows `--` is no option, whatever it looks like.
pub(super) fn split_at_dashes(mut arguments: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let Some(dashes) = arguments.iter().position(|argument| argument == "--") else { return (arguments, Vec::new()) };
    let free = arguments.split_off(dashes + 1);
    arguments.truncate(dashes);
    (arguments, free)
}

/// Options with a value, as they look when it is joined to them.
const JOINED: [(&str, &str); 9] = [
    ("--since=", "--since"),
    ("--color=", "--color"),
    ("--socket=", "--socket"),
    ("--timeout=", "--timeout"),
    ("--lines=", "--lines"),
    ("-s=", "-s"),
    ("-s", "-s"),
    ("-n=", "-n"),
    ("-n", "-n"),
];

/// `--socket=X`, `-s=X` and `-sX` as `--socket X`.
pub(super) fn apart(argument: OsString) -> Vec<OsString> {
    for (joined, option) in JOINED {
        match argument.as_bytes().strip_prefix(joined.as_bytes()) {
            Some(value) if !value.is_empty() || joined.ends_with('=') => {
                return vec![option.into(), OsString::from_vec(value.to_vec())];
            }
            _ => {}
        }
    }
    vec![argument]
}

/// Of an option given more than once the last one counts.
pub(super) fn last(
    options: &mut pico_args::Arguments,
    keys: impl Into<pico_args::Keys> + Copy,
) -> Result<Option<OsString>, UsageError> {
    let mut value = None;
    while let Some(next) = options.opt_value_from_os_str(keys, |text| Ok::<_, UsageError>(text.to_owned()))? {
        value = Some(next);
    }
    Ok(value)
}

pub(super) fn seconds(text: OsString) -> Result<Duration, UsageError> {
    let text = word(text)?;
    let wrong = || UsageError(format!("--timeout: {text:?} is not a number of seconds above 0"));
    let seconds: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !(seconds > 0.0 && seconds <= MAX_TIMEOUT) {
        return Err(wrong());
    }
    // What is above zero stays above zero.
    Ok(Duration::from_secs_f64(seconds).max(Duration::from_nanos(1)))
}

pub(super) fn count(option: &str, text: OsString) -> Result<u64, UsageError> {
    let text = word(text)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let count = if digits { text.parse().ok() } else { None };
    count.ok_or_else(|| UsageError(format!("{option}: {text:?} is not a whole number from 0 on")))
}

pub(super) fn known(argument: OsString) -> Result<OsString, UsageError> {
    if argument.len() > 1 && argument.as_bytes().starts_with(b"-") {
        let text = argument.to_string_lossy();
        let near = help::nearest_option(&text).map(|option| format!(" (did you mean {option}?)"));
        return Err(UsageError(format!("unknown option: {text}{}", near.unwrap_or_default())));
    }
    Ok(argument)
}

pub(super) fn word(argument: OsString) -> Result<String, UsageError> {
    argument.into_string().map_err(|raw| UsageError(format!("not UTF-8: {}", raw.to_string_lossy())))
}

pub(super) fn socket(text: OsString) -> Result<PathBuf, UsageError> {
    match text.len() {
        0 => Err(UsageError("--socket: the path is empty".to_owned())),
        length if length > LONGEST_PATH => {
            Err(UsageError(format!("--socket: a path of {length} bytes, and a socket has room for {LONGEST_PATH}")))
        }
        _ => Ok(text.into()),
    }
}
