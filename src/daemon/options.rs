//! The daemon's command line: what was typed, checked.

use crate::spec::LogLevel;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What `supervice -h` prints.
pub const HELP: &str = "\
Usage: supervice [-c FILE] [-n] [-l LOGFILE] [-e LEVEL] [-t] [--version] [-h]

Supervises the programs of an INI file; `supervicectl` talks to it.

  -c, --configuration FILE  the configuration (default: supervisord.conf in the working directory)
  -n, --nodaemon            stay in the foreground; the log goes to stdout, and to `logfile` where that is set
  -l, --logfile FILE        the daemon's log, in place of the configuration's
  -e, --loglevel LEVEL      DEBUG, INFO, WARNING, ERROR or CRITICAL, in place of the configuration's
  -t, --test                check the configuration, print every error and warning, touch nothing
      --version             print the version
  -h, --help                print this

Exit codes: 0 clean shutdown, 1 could not start or run, 2 bad usage or bad configuration.
";

/// The command line, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-c`.
    pub configuration: PathBuf,
    /// `-n`.
    pub nodaemon: bool,
    /// `-l`.
    pub logfile: Option<PathBuf>,
    /// `-e`.
    pub loglevel: Option<LogLevel>,
    /// `-t`.
    pub test: bool,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Run, or check the configuration.
    Run(Options),
    /// `-h`.
    Help,
    /// `--version`.
    Version,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// One line for a person: what is wrong and what would be right.
pub fn parse(arguments: Vec<OsString>) -> Result<Asked, String> {
    let mut args = pico_args::Arguments::from_vec(arguments.into_iter().flat_map(split_value).collect());
    if args.contains(["-h", "--help"]) {
        return Ok(Asked::Help);
    }
    if args.contains("--version") {
        return Ok(Asked::Version);
    }
    let options = Options {
        configuration: path(&mut args, ["-c", "--configuration"])?.unwrap_or_else(|| "supervisord.conf".into()),
        nodaemon: args.contains(["-n", "--nodaemon"]),
        logfile: path(&mut args, ["-l", "--logfile"])?,
        loglevel: args.opt_value_from_fn(["-e", "--loglevel"], level).map_err(|error| error.to_string())?,
        test: args.contains(["-t", "--test"]),
    };
    match args.finish().first() {
        Some(extra) => Err(format!("unexpected argument '{}' (supervice takes options only)", extra.to_string_lossy())),
        None => Ok(Asked::Run(options)),
    }
}

/// `--logfile=x` and `-lx` mean `--logfile x`, and `-ntlx` means `-n -t -l x`; a path need not be UTF-8, so this is done on
/// bytes.
fn split_value(argument: OsString) -> Vec<OsString> {
    let bytes = argument.as_bytes();
    if let [b'-', flag @ (b'n' | b't' | b'h'), rest @ ..] = bytes
        && !rest.is_empty()
    {
        let (first, rest) = (OsStr::from_bytes(&[b'-', *flag]).to_owned(), [b"-", rest].concat());
        return std::iter::once(first).chain(split_value(OsStr::from_bytes(&rest).to_owned())).collect();
    }
    let at = match bytes {
        [b'-', b'-', ..] => bytes.iter().position(|&byte| byte == b'='),
        [b'-', b'c' | b'l' | b'e', _, ..] => Some(2),
        _ => None,
    };
    let Some(at) = at else { return vec![argument] };
    let value = if bytes[at] == b'=' { at + 1 } else { at };
    vec![OsStr::from_bytes(&bytes[..at]).to_owned(), OsStr::from_bytes(&bytes[value..]).to_owned()]
}

fn path(args: &mut pico_args::Arguments, names: [&'static str; 2]) -> Result<Option<PathBuf>, String> {
    args.opt_value_from_os_str(names, |text| Ok::<_, std::convert::Infallible>(PathBuf::from(text)))
        .map_err(|error| error.to_string())
}

fn level(word: &str) -> Result<LogLevel, String> {
    LogLevel::from_word(word)
        .ok_or_else(|| format!("'{word}' is no level (DEBUG, INFO, WARNING, ERROR or CRITICAL would be right)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Asked, String> {
        parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn defaults() {
        let Ok(Asked::Run(options)) = parsed(&[]) else { panic!("no arguments are fine") };
        assert_eq!(options.configuration, PathBuf::from("supervisord.conf"));
        assert!(!options.nodaemon && !options.test && options.logfile.is_none() && options.loglevel.is_none());
    }

    #[test]
    fn every_flag_short_and_long() {
        let short = parsed(&["-c", "a", "-n", "-l", "b", "-e", "debug", "-t"]);
        let long = parsed(&["--configuration", "a", "--nodaemon", "--logfile=b", "--loglevel", "DEBUG", "--test"]);
        assert_eq!(short, long);
        assert_eq!(short, parsed(&["-ca", "-n", "-l=b", "-eDEBUG", "-t"]));
        assert_eq!(short, parsed(&["-ntca", "-lb", "-edebug"]));
        assert!(matches!(short, Ok(Asked::Run(options)) if options.loglevel == Some(LogLevel::Debug)));
    }

    #[test]
    fn help_and_version_win() {
        assert_eq!(parsed(&["-c", "a", "-h"]), Ok(Asked::Help));
        assert_eq!(parsed(&["--version", "nonsense"]), Ok(Asked::Version));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parsed(&["start"]).is_err_and(|text| text.contains("'start'")));
        assert!(parsed(&["-e", "LOUD"]).is_err_and(|text| text.contains("LOUD")));
        assert!(parsed(&["-c"]).is_err());
        assert!(parsed(&["--frobnicate"]).is_err_and(|text| text.contains("--frobnicate")));
    }
}
