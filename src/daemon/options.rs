//! The daemon's command line: what was typed, checked.

use crate::manual::complete::{self, Completion};
use crate::manual::shell::Shell;
use crate::manual::table::Program;
use crate::spec::LogLevel;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a completion begins its question with.
const ASK: &str = "--complete";

/// What `supervice -h` prints.
pub const HELP: &str = "\
Usage: supervice [-c FILE] [-n] [-l LOGFILE] [-e LEVEL] [-t] [--version] [-h]
       supervice init [FILE]

Supervises the programs of an INI file; `supervicectl` talks to it.

  init [FILE]               write a configuration to begin with (supervisord.conf), never over a file; - prints it

  -c, --configuration FILE  the configuration (default: supervisord.conf in the working directory)
  -n, --nodaemon            stay in the foreground; the log goes to stdout, and to `logfile` where that is set
  -l, --logfile FILE        the daemon's log, in place of the configuration's
  -e, --loglevel LEVEL      DEBUG, INFO, WARNING, ERROR or CRITICAL, in place of the configuration's
  -t, --test                check the configuration, print every error and warning, touch nothing
      --help-config         list every option of the configuration
      --man PAGE            print a man page: supervice.8 or supervice.conf.5
      --completion SHELL    print the completion for bash, zsh or fish
      --version             print the version
  -h, --help                print this

Exit codes: 0 clean shutdown, 1 could not start or run, 2 bad usage or bad configuration.
";

/// Without `-c`, and without a FILE for `init`.
const DEFAULT_CONFIGURATION: &str = "supervisord.conf";

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
    /// `--help-config`.
    HelpConfig,
    /// `init`.
    Init(PathBuf),
    /// `--man`.
    Page(Page),
    /// `--completion`.
    Completion(Shell),
    /// What a completion asks: the words so far.
    Complete(Vec<OsString>),
}

/// A man page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// supervice.8
    Daemon,
    /// supervice.conf.5
    Configuration,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// One line for a person: what is wrong and what would be right.
pub fn parse(arguments: Vec<OsString>) -> Result<Asked, String> {
    match arguments.split_first() {
        Some((first, rest)) if first == ASK => {
            let words = rest.iter().skip_while(|word| *word == "--");
            return Ok(Asked::Complete(words.cloned().collect()));
        }
        Some((first, rest)) if first == "init" => return init(rest),
        _ => {}
    }
    let mut args = pico_args::Arguments::from_vec(arguments.into_iter().flat_map(split_value).collect());
    if args.contains(["-h", "--help"]) {
        return Ok(Asked::Help);
    }
    if args.contains("--version") {
        return Ok(Asked::Version);
    }
    if args.contains("--help-config") {
        return Ok(Asked::HelpConfig);
    }
    if let Some(page) = args.opt_value_from_fn("--man", page).map_err(|error| error.to_string())? {
        return Ok(Asked::Page(page));
    }
    if let Some(shell) = args.opt_value_from_fn("--completion", Shell::from_word).map_err(|error| error.to_string())? {
        return Ok(Asked::Completion(shell));
    }
    let options = Options {
        configuration: path(&mut args, ["-c", "--configuration"])?.unwrap_or_else(|| DEFAULT_CONFIGURATION.into()),
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

/// The completion for a shell, which asks what [`completion`] answers.
pub fn script(shell: Shell) -> String {
    shell.script("supervice", ASK, "--completion")
}

/// What may come next on a command line.
pub fn completion(words: &[OsString]) -> Completion {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    complete::complete(&Program::read(HELP, |_| None), &words, &Vec::new)
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

fn init(rest: &[OsString]) -> Result<Asked, String> {
    match rest {
        [] => Ok(Asked::Init(DEFAULT_CONFIGURATION.into())),
        [option, ..] if option == "-h" || option == "--help" => Ok(Asked::Help),
        [file] if file == "-" || !file.as_bytes().starts_with(b"-") => Ok(Asked::Init(file.into())),
        [option] => Err(format!("init knows no option '{}'", option.to_string_lossy())),
        [_, extra, ..] => Err(format!("unexpected argument '{}' (init takes one file)", extra.to_string_lossy())),
    }
}

fn page(word: &str) -> Result<Page, String> {
    match word {
        "supervice.8" => Ok(Page::Daemon),
        "supervice.conf.5" => Ok(Page::Configuration),
        other => Err(format!("'{other}' is no page (supervice.8 or supervice.conf.5 would be right)")),
    }
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
    fn init_takes_one_file() {
        assert_eq!(parsed(&["init"]), Ok(Asked::Init("supervisord.conf".into())));
        assert_eq!(parsed(&["init", "/x/a.conf"]), Ok(Asked::Init("/x/a.conf".into())));
        assert_eq!(parsed(&["init", "-"]), Ok(Asked::Init("-".into())));
        assert_eq!(parsed(&["init", "--help"]), Ok(Asked::Help));
        assert!(parsed(&["init", "a", "b"]).is_err_and(|text| text.contains("'b'")));
        assert!(parsed(&["init", "--force"]).is_err_and(|text| text.contains("--force")));
        assert!(parsed(&["-n", "init"]).is_err());
    }

    #[test]
    fn papers_are_asked_for_by_name() {
        assert_eq!(parsed(&["--help-config"]), Ok(Asked::HelpConfig));
        assert_eq!(parsed(&["--man", "supervice.conf.5"]), Ok(Asked::Page(Page::Configuration)));
        assert_eq!(parsed(&["--completion=zsh"]), Ok(Asked::Completion(Shell::Zsh)));
        for wrong in [&["--man"][..], &["--man", "ls.1"], &["--completion", "csh"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        let next = |words: &[&str]| completion(&words.iter().map(OsString::from).collect::<Vec<_>>()).render();
        assert!(next(&[""]).starts_with("words\ninit\t"), "{}", next(&[""]));
        assert!(next(&["--no"]).starts_with("words\n--nodaemon\t"));
        assert_eq!((next(&["-c", ""]), next(&["init", ""])), ("files\n".to_owned(), "files\n".to_owned()));
        assert_eq!(next(&["-e", "W"]), "words\nWARNING\t\n");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parsed(&["start"]).is_err_and(|text| text.contains("'start'")));
        assert!(parsed(&["-e", "LOUD"]).is_err_and(|text| text.contains("LOUD")));
        assert!(parsed(&["-c"]).is_err());
        assert!(parsed(&["--frobnicate"]).is_err_and(|text| text.contains("--frobnicate")));
    }
}
