//! The command line of `supervicectl`, typed: what is wrong with it is said here, and nothing further in checks again.

use super::help;
use super::local;
use super::nearest::nearest;
use super::reloading::Reloading;
use super::spelling::{apart, count, known, last, seconds, socket, split_at_dashes, word};
use super::style::{Colour, Style};
use super::top::Top;
use crate::manual::shell::Shell;
use crate::wire::{Condition, EventQuery, LogDeed, Request, SignalOrder, StatusQuery, Stream, TailQuery, Verb};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/tmp/supervice.sock";

/// Where the daemon of the whole machine listens, as packages configure it.
const SYSTEM_SOCKET: &str = "/run/supervice/supervice.sock";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `--help`.
    Help,
    /// `help COMMAND`.
    HelpOn(String),
    /// `--version`.
    Version,
    /// `--man`.
    Page,
    /// `completion SHELL`.
    Completion(Shell),
    /// What a completion asks: the words so far.
    Complete(Vec<String>),
    /// No command was given.
    Nothing,
    /// A request to a daemon.
    Order(Order),
    /// Logs to show.
    Reading(Reading),
    /// What processes use, to show it.
    Watching(Top),
    /// Events to show.
    Hearing(Hearing),
}

/// Events to show.
#[derive(Debug, PartialEq, Eq)]
pub struct Hearing {
    /// The socket of the daemon.
    pub socket: PathBuf,
    /// For what is kept.
    pub timeout: Duration,
    /// Which events.
    pub query: EventQuery,
    /// How to tell them.
    pub style: Style,
}

/// Logs to show, each by a request of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// The socket of the daemon.
    pub socket: PathBuf,
    /// For the first answers.
    pub timeout: Duration,
    /// How people call each log, and how to ask for it.
    pub logs: Vec<(String, Request)>,
    /// Not only what is there already.
    pub follow: bool,
    /// How to tell it.
    pub style: Style,
}

/// A request, and to whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// The socket of the daemon.
    pub socket: PathBuf,
    /// For all of it.
    pub timeout: Duration,
    /// What to ask.
    pub request: Request,
    /// What of the answer is wanted.
    pub view: View,
    /// How to tell it.
    pub style: Style,
}

/// What of an answer is told, and what decides how the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// All of it.
    #[default]
    Whole,
    /// All of it, and whether all is well.
    Check,
    /// Whether all is well, and who is not.
    Health,
    /// Only pids.
    Pid,
    /// Only the versions of both sides.
    Version,
    /// What would change, and whether anything would.
    Foresight,
}

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl From<pico_args::Error> for UsageError {
    fn from(error: pico_args::Error) -> UsageError {
        UsageError(error.to_string())
    }
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: Vec<OsString>) -> Result<Invocation, UsageError> {
    if let Some(words) = local::asked_by_a_shell(&arguments) {
        return Ok(Invocation::Complete(words));
    }
    let (options, mut free) = split_at_dashes(arguments);
    let mut options = pico_args::Arguments::from_vec(options.into_iter().flat_map(apart).collect());
    if let Some(text) = local::text_of_ours(&mut options) {
        return Ok(text);
    }
    let socket = last(&mut options, ["-s", "--socket"])?.map_or_else(|| Ok(default_socket()), socket)?;
    let timeout = last(&mut options, "--timeout")?.map_or(Ok(DEFAULT_TIMEOUT), seconds)?;
    let style = Style {
        json: options.contains("--json"),
        quiet: options.contains(["-q", "--quiet"]),
        colour: last(&mut options, "--color")?.map_or(Ok(Colour::Auto), |when| Colour::from_word(&word(when)?))?,
    };
    let check = options.contains("--check");
    let force = options.contains("--force");
    let leader = options.contains("--leader");
    let reloading = Reloading { dry_run: options.contains("--dry-run"), restart: options.contains("--restart") };
    let batch = options.contains(["-b", "--batch"]);
    let follow = options.contains(["-f", "--follow"]);
    let lines = last(&mut options, ["-n", "--lines"])?.map(|text| count("--lines", text)).transpose()?;
    let since = last(&mut options, "--since")?.map(|text| count("--since", text)).transpose()?;
    let query = TailQuery { bytes: None, lines, follow };
    free.splice(0..0, options.finish().into_iter().map(known).collect::<Result<Vec<_>, _>>()?);
    let words = free.into_iter().map(word).collect::<Result<Vec<_>, _>>()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    at_home(words.first().copied(), [check, since.is_some(), reloading != Reloading::default(), batch, leader])?;
    match words.split_first() {
        None => Ok(Invocation::Nothing),
        Some((&"help", operands)) => Ok(local::help(operands)),
        Some((&"completion", operands)) => local::completion(operands),
        Some((&"events", operands)) => {
            events(operands, lines, force)?;
            Ok(Invocation::Hearing(Hearing { socket, timeout, query: EventQuery { since, follow }, style }))
        }
        Some((command, operands)) if matches!(*command, "tail" | "maintail") => {
            let logs = logs(command, operands, force, query)?;
            Ok(Invocation::Reading(Reading { socket, timeout, logs, follow, style }))
        }
        Some((&"top", operands)) => {
            let top = Top { socket, timeout, names: some(operands), batch, count: lines, style };
            top.checked(force || follow).map(Invocation::Watching)
        }
        Some((command, _)) if query != TailQuery::default() => {
            Err(UsageError(format!("-f and -n are for tail, maintail and events (-f), not for {command}")))
        }
        Some((command, operands)) => {
            let request = match *command {
                "wait" => wait(operands, timeout),
                "reload" | "update" => reloading.request(command, operands, force),
                "signal" => signal(operands, leader),
                _ => request(command, operands, force),
            };
            let view = view(command, reloading, check);
            Ok(Invocation::Order(Order { socket, timeout, request: request?, view, style }))
        }
    }
}

fn view(command: &str, reloading: Reloading, check: bool) -> View {
    match command {
        "health" => View::Health,
        "pid" => View::Pid,
        "version" => View::Version,
        _ if reloading.dry_run => View::Foresight,
        _ if check => View::Check,
        _ => View::Whole,
    }
}

/// Options that are for one command alone, and which.
const HOMES: [(&str, &str); 5] = [
    ("--check is", "status"),
    ("--since is", "events"),
    ("--dry-run and --restart are", "reload"),
    ("-b is", "top"),
    ("--leader is", "signal"),
];

/// Whether those of [`HOMES`] that are given are so to their command.
fn at_home(command: Option<&str>, given: [bool; HOMES.len()]) -> Result<(), UsageError> {
    let Some(command) = command.filter(|command| *command != "help") else { return Ok(()) };
    match HOMES.iter().zip(given).find(|((_, home), given)| *given && *home != command) {
        Some(((option, home), _)) => Err(UsageError(format!("{option} for {home}, not for {command}"))),
        None => Ok(()),
    }
}

fn events(operands: &[&str], lines: Option<u64>, misplaced: bool) -> Result<(), UsageError> {
    match operands {
        [] if lines.is_none() && !misplaced => Ok(()),
        [] => Err(UsageError("events takes -f and --since NUMBER only".to_owned())),
        more => Err(UsageError(format!("events takes no name: {}", more.join(" ")))),
    }
}

/// The last of several operands may be the word for a stream.
fn logs(command: &str, operands: &[&str], force: bool, query: TailQuery) -> Result<Vec<(String, Request)>, UsageError> {
    let (names, stream) = match operands {
        [names @ .., last] if !names.is_empty() => match Stream::from_name(last) {
            Some(stream) => (names, stream),
            None => (operands, Stream::default()),
        },
        _ => (operands, Stream::default()),
    };
    match (command, operands) {
        _ if force => Err(UsageError(format!("--force is for restart, not for {command}"))),
        ("maintail", []) => Ok(vec![("supervice".to_owned(), Request::MainTail(query))]),
        ("maintail", more) => Err(UsageError(format!("maintail takes no name: {}", more.join(" ")))),
        (_, []) => Err(UsageError("tail needs a name".to_owned())),
        _ => {
            let request = |name: &&str| Request::Tail { name: (*name).to_owned(), stream, query };
            Ok(names.iter().map(|name| ((*name).to_owned(), request(name))).collect())
        }
    }
}

/// The usual place, unless there is nobody and the machine's own daemon is there.
pub(super) fn default_socket() -> PathBuf {
    let is_there = |place: &str| std::path::Path::new(place).exists();
    let place = if !is_there(DEFAULT_SOCKET) && is_there(SYSTEM_SOCKET) { SYSTEM_SOCKET } else { DEFAULT_SOCKET };
    place.into()
}

fn request(command: &str, operands: &[&str], force: bool) -> Result<Request, UsageError> {
    if force && command != "restart" {
        return Err(UsageError(format!("--force is for restart, not for {command}")));
    }
    let name = || match operands {
        [name] => Ok((*name).to_owned()),
        [] => Err(UsageError(format!("{command} needs a name"))),
        [_, more @ ..] => Err(UsageError(format!("{command} takes one name; too many: {}", more.join(" ")))),
    };
    let bare = |request| match operands {
        [] => Ok(request),
        more => Err(UsageError(format!("{command} takes no name: {}", more.join(" ")))),
    };
    match command {
        "info" | "version" => bare(Request::Info),
        "metrics" => bare(Request::Metrics),
        "pid" if operands.is_empty() => Ok(Request::Info),
        "shutdown" => bare(Request::Shutdown),
        "status" | "health" | "pid" => {
            let names = (!operands.is_empty()).then(|| owned(operands));
            Ok(Request::Status(StatusQuery { names, ..StatusQuery::default() }))
        }
        "start" => order(Verb::Start, operands),
        "stop" => order(Verb::Stop, operands),
        "restart" => order(Verb::Restart { force }, operands),
        "startgroup" => Ok(Request::StartGroup { name: name()? }),
        "stopgroup" => Ok(Request::StopGroup { name: name()? }),
        "reopen" => bare(Request::Reopen),
        "rotate" => treat_logs(LogDeed::Rotate, operands),
        "why" => Ok(Request::Why { name: name()? }),
        "describe" => Ok(Request::Describe { name: name()? }),
        "clearlog" => treat_logs(LogDeed::Clear, operands),
        other => Err(unknown_command(other)),
    }
}

/// With the command that somebody may have meant.
pub(super) fn unknown_command(command: &str) -> UsageError {
    let near = nearest(command, help::commands()).map(|name| format!(" (did you mean {name}?)"));
    UsageError(format!("unknown command: {}{}", crate::wire::text::shown(command), near.unwrap_or_default()))
}

/// One plain name is asked for in the words that every daemon knows.
fn order(verb: Verb, operands: &[&str]) -> Result<Request, UsageError> {
    match operands {
        [] => Err(UsageError(format!("{} needs a name", verb.name()))),
        [name] if is_plain(name) => Ok(verb.of_one((*name).to_owned())),
        names => Ok(Request::Many { verb, names: owned(names) }),
    }
}

/// The same for their logs.
fn treat_logs(deed: LogDeed, operands: &[&str]) -> Result<Request, UsageError> {
    match operands {
        [] => Err(UsageError(format!("{} needs a name", deed.name()))),
        [name] if is_plain(name) => Ok(deed.of_one((*name).to_owned())),
        names => Ok(Request::TreatManyLogs { deed, names: owned(names) }),
    }
}

fn wait(operands: &[&str], timeout: Duration) -> Result<Request, UsageError> {
    let conditions = operands.iter().map(|text| Condition::from_text(text)).collect::<Result<Vec<_>, _>>();
    let conditions = conditions.map_err(|why| UsageError(format!("wait: {why}")))?;
    if conditions.is_empty() {
        return Err(UsageError("wait needs NAME=CONDITION".to_owned()));
    }
    let timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    Ok(Request::Wait { conditions, timeout_ms })
}

fn signal(operands: &[&str], leader: bool) -> Result<Request, UsageError> {
    match operands {
        [] | [_] => Err(UsageError("signal needs a signal and a name".to_owned())),
        [signal, names @ ..] => {
            Ok(Request::Signal(SignalOrder { signal: (*signal).to_owned(), names: owned(names), leader }))
        }
    }
}

/// Whether it can be nothing but the name of one process.
pub fn is_plain(name: &str) -> bool {
    name != "all" && !name.starts_with("group:") && !name.contains(['*', '?', '['])
}

/// `None`: no names, so all.
fn some(names: &[&str]) -> Option<Vec<String>> {
    (!names.is_empty()).then(|| owned(names))
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn read(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from).collect()).map_err(|error| error.0)
    }

    fn order(line: &str) -> Order {
        match read(line) {
            Ok(Invocation::Order(order)) => order,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn plain(socket: impl Into<PathBuf>, timeout: Duration, request: Request) -> Order {
        Order { socket: socket.into(), timeout, request, view: View::Whole, style: Style::default() }
    }

    #[test]
    fn several_and_patterns_are_the_daemons_to_find() {
        let many = |verb, names: &[&str]| Request::Many { verb, names: owned(names) };
        for (line, request) in [
            ("start a b", many(Verb::Start, &["a", "b"])),
            ("stop web*", many(Verb::Stop, &["web*"])),
            ("stop all", many(Verb::Stop, &["all"])),
            ("restart group:jobs --force", many(Verb::Restart { force: true }, &["group:jobs"])),
        ] {
            assert_eq!(order(line).request, request, "{line}");
        }
        let treated = |deed, names: &[&str]| Request::TreatManyLogs { deed, names: owned(names) };
        assert_eq!(order("rotate all").request, treated(LogDeed::Rotate, &["all"]));
        assert_eq!(order("clearlog a group:b").request, treated(LogDeed::Clear, &["a", "group:b"]));
        let named = StatusQuery { names: Some(owned(&["web", "db?"])), ..StatusQuery::default() };
        assert_eq!(order("status web db?").request, Request::Status(named));
    }

    #[test]
    fn what_is_waited_for_is_read_here() {
        let expected = Condition::from_text("web*=exited:3").unwrap();
        let request = Request::Wait { conditions: vec![expected], timeout_ms: Some(1500) };
        assert_eq!(order("wait web*=exited:3 --timeout 1.5").request, request);
        let request = SignalOrder { signal: "HUP".to_owned(), names: owned(&["a", "b"]), leader: true };
        assert_eq!(order("signal HUP a b --leader").request, Request::Signal(request));
        assert_eq!((order("pid").request, order("pid a").view), (Request::Info, View::Pid));
        for wrong in ["wait", "wait web", "wait web=up", "signal", "signal HUP", "stop a --leader", "info web"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_style_is_read_anywhere() {
        let told = order("status --json -q --color=never");
        assert_eq!(told.style, Style { json: true, quiet: true, colour: Colour::Never });
        assert_eq!(order("status --check").view, View::Check);
        assert_eq!(order("--color always health web").view, View::Health);
        assert_eq!(read("help stop"), Ok(Invocation::HelpOn("stop".to_owned())));
        assert_eq!(read("help"), Ok(Invocation::Help));
    }

    #[test]
    fn what_a_completion_asks_is_not_read_as_a_command() {
        let words = vec!["-s".to_owned(), "/x".to_owned(), "--help".to_owned(), String::new()];
        let asked = ["--complete", "--", "-s", "/x", "--help", ""].map(OsString::from).to_vec();
        assert_eq!(parse(asked), Ok(Invocation::Complete(words)));
        assert_eq!(read("completion fish"), Ok(Invocation::Completion(Shell::Fish)));
        assert_eq!(read("--man"), Ok(Invocation::Page));
        for wrong in ["completion", "completion csh", "completion bash zsh"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_command_is_understood() {
        let name = || "web:00".to_owned();
        for (line, request) in [
            ("status", Request::Status(StatusQuery::default())),
            ("start web:00", Request::Start { name: name() }),
            ("stop web:00", Request::Stop { name: name() }),
            ("restart web:00", Request::Restart { name: name(), force: false }),
            ("restart web:00 --force", Request::Restart { name: name(), force: true }),
            ("restart --force web:00", Request::Restart { name: name(), force: true }),
            ("startgroup web:00", Request::StartGroup { name: name() }),
            ("stopgroup web:00", Request::StopGroup { name: name() }),
            ("reload", Request::Reload),
            ("reopen", Request::Reopen),
            ("rotate web:00", LogDeed::Rotate.of_one(name())),
            ("clearlog web:00", LogDeed::Clear.of_one(name())),
        ] {
            assert_eq!(order(line), plain(default_socket(), DEFAULT_TIMEOUT, request), "{line}");
        }
    }

    #[test]
    fn options_stand_anywhere_and_in_any_spelling() {
        for line in [
            "-s /x --timeout 1.5 stop a",
            "--socket /x --timeout=1.5 stop a",
            "stop -s/x a --timeout 1.5",
            "stop a --socket=/x --timeout 15e-1",
            "-s=/y --timeout 9 stop a -s /x --timeout 1.5",
        ] {
            let expected = plain("/x", Duration::from_millis(1500), Request::Stop { name: "a".to_owned() });
            assert_eq!(order(line), expected, "{line}");
        }
        assert_eq!(order("stop -- --help").request, Request::Stop { name: "--help".to_owned() });
        assert_eq!(order("-- stop -s").request, Request::Stop { name: "-s".to_owned() });
        assert_eq!(order("stop -").request, Request::Stop { name: "-".to_owned() });
    }

    #[test]
    fn logs_are_asked_for_one_by_one() {
        let query = |lines, follow| TailQuery { bytes: None, lines, follow };
        let of = |name: &str, stream, query| (name.to_owned(), Request::Tail { name: name.to_owned(), stream, query });
        let (out, err) = (Stream::Stdout, Stream::Stderr);
        for (line, logs, follow) in [
            ("tail a", vec![of("a", out, query(None, false))], false),
            ("tail -f a b stderr", vec![of("a", err, query(None, true)), of("b", err, query(None, true))], true),
            ("tail -n 5 a stdout", vec![of("a", out, query(Some(5), false))], false),
            ("tail a -n5 --follow", vec![of("a", out, query(Some(5), true))], true),
            ("tail --lines=0 stderr", vec![of("stderr", out, query(Some(0), false))], false),
            ("maintail -f", vec![("supervice".to_owned(), Request::MainTail(query(None, true)))], true),
        ] {
            let expected =
                Reading { socket: default_socket(), timeout: DEFAULT_TIMEOUT, logs, follow, style: Style::default() };
            assert_eq!(read(line), Ok(Invocation::Reading(expected)), "{line}");
        }
    }

    #[test]
    fn help_and_version_win() {
        for line in ["-h", "--help", "start -h", "--nonsense -h", "--version -h"] {
            assert_eq!(read(line), Ok(Invocation::Help), "{line}");
        }
        assert_eq!(read("--version"), Ok(Invocation::Version));
        assert_eq!(read("-s /x"), Ok(Invocation::Nothing));
        assert_eq!(read(""), Ok(Invocation::Nothing));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, error) in [
            ("explode", "unknown command: explode"),
            ("start", "start needs a name"),
            ("startgroup a b c", "startgroup takes one name; too many: b c"),
            ("stop", "stop needs a name"),
            ("stop a --check", "--check is for status, not for stop"),
            ("status --color=blue", "--color: \"blue\" is none of auto, always, never"),
            ("reload web", "reload takes no name: web"),
            ("start a --force", "--force is for restart, not for start"),
            ("tail", "tail needs a name"),
            ("tail a --force", "--force is for restart, not for tail"),
            ("tail -n x a", "--lines: \"x\" is not a whole number from 0 on"),
            ("tail -n +1 a", "--lines: \"+1\" is not a whole number from 0 on"),
            ("maintail web", "maintail takes no name: web"),
            ("status -f", "-f and -n are for tail, maintail and events (-f), not for status"),
            ("start -n 5 a", "-f and -n are for tail, maintail and events (-f), not for start"),
            ("events -n 5", "events takes -f and --since NUMBER only"),
            ("events web", "events takes no name: web"),
            ("events --since=-1", "--since: \"-1\" is not a whole number from 0 on"),
            ("status --since 5", "--since is for events, not for status"),
            ("--nonsense status", "unknown option: --nonsense"),
            ("status -v", "unknown option: -v"),
            ("status --jsno", "unknown option: --jsno (did you mean --json?)"),
            ("--timout=5 status", "unknown option: --timout=5 (did you mean --timeout?)"),
            ("reload --dryrun", "unknown option: --dryrun (did you mean --dry-run?)"),
            ("status -s", "the '-s' option doesn't have an associated value"),
            ("-s= status", "--socket: the path is empty"),
            ("--timeout 0 status", "--timeout: \"0\" is not a number of seconds above 0"),
            ("--timeout -1 status", "--timeout: \"-1\" is not a number of seconds above 0"),
            ("--timeout nan status", "--timeout: \"nan\" is not a number of seconds above 0"),
            ("--timeout inf status", "--timeout: \"inf\" is not a number of seconds above 0"),
            ("--timeout 1e10 status", "--timeout: \"1e10\" is not a number of seconds above 0"),
            ("--timeout= status", "--timeout: \"\" is not a number of seconds above 0"),
            ("--timeout ten status", "--timeout: \"ten\" is not a number of seconds above 0"),
        ] {
            assert_eq!(read(line), Err(error.to_owned()), "{line}");
        }
        let long = format!("-s {} status", "x".repeat(200));
        let room = crate::sys::socket::LONGEST_PATH;
        assert_eq!(read(&long), Err(format!("--socket: a path of 200 bytes, and a socket has room for {room}")));
        let raw = OsString::from_vec(vec![b'w', 0xff]);
        assert_eq!(parse(vec!["start".into(), raw.clone()]), Err(UsageError("not UTF-8: w\u{fffd}".to_owned())));
        assert!(parse(vec!["status".into(), "-s".into(), raw]).is_ok());
    }

    #[test]
    fn a_timeout_is_never_zero() {
        assert!(order("--timeout 1e-300 status").timeout > Duration::ZERO);
    }
}
