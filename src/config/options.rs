//! The table of all options: names, defaults, kinds and what they are for.
//!
//! Reading, the hint at an unknown name, help and documentation all go by it. What a value means beyond its kind is not
//! in here.

use super::value::Least;

/// A kind of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `[supervice]`.
    Supervice,
    /// `[program:NAME]`.
    Program,
    /// `[group:NAME]`.
    Group,
}

impl Section {
    /// How its header is written.
    pub const fn header(self) -> &'static str {
        match self {
            Section::Supervice => "[supervice]",
            Section::Program => "[program:NAME]",
            Section::Group => "[group:NAME]",
        }
    }
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// A whole number within these bounds.
    Count(u64, u64),
    /// Bytes.
    Size,
    /// Seconds.
    Seconds(Least),
    /// A file or folder.
    Path,
    /// Files, separated by commas.
    Paths,
    /// Names, separated by commas or line breaks.
    Names,
    /// Words as a shell would split them.
    Words,
    /// `NAME=VALUE` pairs.
    Variables,
    /// Name or number of a signal.
    Signal,
    /// Exit codes, separated by commas.
    ExitCodes,
    /// Octal digits.
    Umask,
    /// The same, for a file that its owner can use.
    Mode,
    /// Users and groups with what they may do.
    Grants,
    /// The name of a group.
    Group,
    /// The name of a user.
    User,
    /// Name or address of a host.
    Host,
    /// 1 to 65535.
    Port,
    /// A command line for `/bin/sh -c`.
    Script,
    /// `http://HOST:PORT/PATH`.
    Url,
    /// The path of an HTTP request.
    UrlPath,
    /// HTTP statuses, separated by commas.
    Statuses,
}

impl Kind {
    /// What a value looks like.
    pub fn expects(self) -> String {
        match self {
            Kind::Flag => "true, 1, yes, on, false, 0, no or off".to_owned(),
            Kind::Choice(words) => super::value::any_of(words),
            Kind::Count(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Size => "bytes up to 1024GB, such as 500KB or 50MB; 0 for no rotation".to_owned(),
            Kind::Seconds(least) => least.expects(),
            Kind::Path => "a path".to_owned(),
            Kind::Paths => "paths, separated by commas".to_owned(),
            Kind::Names => "names, separated by commas or line breaks".to_owned(),
            Kind::Words => "a program and its arguments, quoted as in a shell".to_owned(),
            Kind::Variables => "NAME=VALUE,NAME2=\"VALUE, TWO\"".to_owned(),
            Kind::Signal => "a name such as TERM, SIGHUP or RTMIN+1, or its number".to_owned(),
            Kind::ExitCodes => "numbers from 0 to 255, separated by commas".to_owned(),
            Kind::Umask => "octal from 000 to 777, such as 022".to_owned(),
            Kind::Mode => "octal from 600 to 777, such as 660".to_owned(),
            Kind::Grants => "NAME:ROLE and @GROUP:ROLE, separated by commas; ROLE is read or admin".to_owned(),
            Kind::Group => "the name of a group".to_owned(),
            Kind::User => "the name of a user".to_owned(),
            Kind::Host => "a name such as localhost, or an address".to_owned(),
            Kind::Port => "a whole number from 1 to 65535".to_owned(),
            Kind::Script => "a command line for /bin/sh -c".to_owned(),
            Kind::Url => "http://HOST:PORT/PATH".to_owned(),
            Kind::UrlPath => "a path that begins with /".to_owned(),
            Kind::Statuses => "100 to 599, such as 204, 200-299 or 2xx, separated by commas".to_owned(),
        }
    }
}

/// What holds where an option is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It has to be given.
    Required,
    /// Nothing; the words say what that means.
    Unset(&'static str),
    /// This, written as it would be in the file.
    Value(&'static str),
}

/// What an empty value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// The same as not giving the option; warned.
    NotGiven,
    /// An error.
    Refused,
}

/// Whether `%(process_num)s` is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expands {
    /// For each instance.
    Yes,
    /// The text stands as it is.
    No,
}

/// When a reload puts a change of it in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// In the same moment, for what lives already.
    AtOnce,
    /// At the next start of the program; for `[supervice]`, of the daemon.
    AtStart,
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionRow {
    /// As it is written, in lower case.
    pub name: &'static str,
    /// Where it belongs.
    pub section: Section,
    /// What holds where it is not given.
    pub default: Fallback,
    /// What it takes.
    pub kind: Kind,
    /// What an empty value means.
    pub empty: Empty,
    /// Whether `%(process_num)s` is expanded.
    pub expands: Expands,
    /// When a reload puts a change of it in force.
    pub applies: Applies,
    /// What it is for, in a line.
    pub summary: &'static str,
}

const fn option(
    section: Section,
    name: &'static str,
    default: Fallback,
    kind: Kind,
    summary: &'static str,
) -> OptionRow {
    let (empty, expands, applies) = (Empty::Refused, Expands::No, Applies::AtStart);
    OptionRow { name, section, default, kind, empty, expands, applies, summary }
}

impl OptionRow {
    const fn may_be_empty(self) -> OptionRow {
        OptionRow { empty: Empty::NotGiven, ..self }
    }

    const fn per_instance(self) -> OptionRow {
        OptionRow { expands: Expands::Yes, ..self }
    }

    const fn at_once(self) -> OptionRow {
        OptionRow { applies: Applies::AtOnce, ..self }
    }
}

use Fallback::{Required, Unset, Value};
use Section::{Group, Program, Supervice};

/// The words of `loglevel`.
pub const LOG_LEVELS: &[&str] = &["DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"];
/// The words of `log_format`.
pub const LOG_FORMAT: &[&str] = &["raw", "timestamp", "prefix", "json"];
/// The words of `reconcile`.
pub const RECONCILE: &[&str] = &["auto", "kill", "warn", "off"];
/// The words of `on_exit` and `on_fatal`.
pub const CONSEQUENCE: &[&str] = &["nothing", "shutdown"];
/// The words of `ready`.
pub const READY: &[&str] = &["startsecs", "notify", "healthcheck"];
/// The words of `healthcheck_type`.
pub const PROBE_TYPES: &[&str] = &["none", "tcp", "script", "http"];
/// The words of `autorestart`.
pub const AUTORESTART: &[&str] = &["true", "1", "yes", "on", "false", "0", "no", "off", "unexpected"];
/// All instances of all programs together are at most so many.
pub const MAX_INSTANCES: u64 = 100_000;
const MANY: Kind = Kind::Count(0, 1_000_000);

/// Every option there is, by section and in the order in which people want to read them.
#[rustfmt::skip]
pub const OPTIONS: &[OptionRow] = &[
    option(Supervice, "logfile", Unset("stdout in the foreground, supervice.log as a daemon"), Kind::Path, "The daemon's own log.").may_be_empty(),
    option(Supervice, "loglevel", Value("INFO"), Kind::Choice(LOG_LEVELS), "From which level on lines are logged.").at_once(),
    option(Supervice, "log_maxbytes", Value("50MB"), Kind::Size, "Size at which the daemon's log is rotated.").at_once(),
    option(Supervice, "log_backups", Value("10"), MANY, "Rotated logs of the daemon that are kept.").at_once(),
    option(Supervice, "pidfile", Value("supervice.pid"), Kind::Path, "Lock and pid of the daemon; none for no lock.").may_be_empty(),
    option(Supervice, "socket", Value("/tmp/supervice.sock"), Kind::Path, "The socket that supervicectl talks to."),
    option(Supervice, "socket_mode", Unset("600; 660 with socket_group, 666 with socket_users alone"), Kind::Mode, "Who can connect at all; what they may do is another question.").at_once(),
    option(Supervice, "socket_group", Unset("the daemon's"), Kind::Group, "Group of the socket.").at_once(),
    option(Supervice, "socket_users", Unset("root and the daemon's own user"), Kind::Grants, "Who else may ask (read) or order (admin).").at_once(),
    option(Supervice, "shutdown_timeout", Value("30"), Kind::Seconds(Least::AboveZero), "From the daemon's SIGTERM to SIGKILL for what is left.").at_once(),
    option(Supervice, "state_file", Unset("beside the pidfile as .NAME.state.json"), Kind::Path, "Where children are recorded for the next daemon."),
    option(Program, "command", Required, Kind::Words, "What is run; no shell runs it.").per_instance(),
    option(Program, "numprocs", Value("1"), Kind::Count(1, MAX_INSTANCES), "Instances; above 1 they are NAME:00, NAME:01 and so on.").at_once(),
    option(Program, "autostart", Value("true"), Kind::Flag, "Start with the daemon, and when a reload adds it.").at_once(),
    option(Program, "autorestart", Value("true"), Kind::Choice(AUTORESTART), "Start again after an exit nobody asked for; unexpected: as exitcodes says.").at_once(),
    option(Program, "exitcodes", Value("0"), Kind::ExitCodes, "Exit codes that autorestart = unexpected takes as expected.").at_once(),
    option(Program, "startsecs", Value("1"), Kind::Seconds(Least::Zero), "RUNNING only after living this long; 0: at once."),
    option(Program, "ready", Value("startsecs"), Kind::Choice(READY), "What makes it RUNNING: living for startsecs, its own word, or the first check that passes."),
    option(Program, "ready_timeout", Value("60"), Kind::Seconds(Least::AboveZero), "ready = notify, healthcheck: a start that waits longer has failed."),
    option(Program, "watchdog_sec", Value("0"), Kind::Seconds(Least::Zero), "Once RUNNING, it has to send WATCHDOG=1 at least so often; 0: no watchdog."),
    option(Program, "startretries", Value("3"), MANY, "Retries after a failed first attempt, then FATAL.").at_once(),
    option(Program, "stopsignal", Value("TERM"), Kind::Signal, "How a stop begins.").at_once(),
    option(Program, "stopwaitsecs", Value("10"), Kind::Seconds(Least::Zero), "From the stop signal to SIGKILL for the process group.").at_once(),
    option(Program, "allow_leftover", Value("false"), Kind::Flag, "Leave alone what a program that died leaves behind in its process group.").at_once(),
    option(Program, "on_exit", Value("nothing"), Kind::Choice(CONSEQUENCE), "What its end means for the daemon, if no restart follows; shutdown: it ends as the program did.").at_once(),
    option(Program, "on_fatal", Value("nothing"), Kind::Choice(CONSEQUENCE), "The same, if it is given up.").at_once(),
    option(Program, "stdout_logfile", Unset("/dev/null"), Kind::Path, "Where stdout goes: a file, /dev/stdout, /dev/stderr, /dev/null or NONE.").may_be_empty().per_instance(),
    option(Program, "stdout_logfile_maxbytes", Value("50MB"), Kind::Size, "Size at which it is rotated.").at_once(),
    option(Program, "stdout_logfile_backups", Value("10"), MANY, "Rotated files kept.").at_once(),
    option(Program, "stdout_logfile_compress", Value("false"), Kind::Flag, "Rotated files are compressed by gzip."),
    option(Program, "stderr_logfile", Unset("/dev/null"), Kind::Path, "Where stderr goes, as stdout_logfile.").may_be_empty().per_instance(),
    option(Program, "stderr_logfile_maxbytes", Value("50MB"), Kind::Size, "Size at which it is rotated.").at_once(),
    option(Program, "stderr_logfile_backups", Value("10"), MANY, "Rotated files kept.").at_once(),
    option(Program, "stderr_logfile_compress", Value("false"), Kind::Flag, "Rotated files are compressed by gzip."),
    option(Program, "log_format", Value("raw"), Kind::Choice(LOG_FORMAT), "How lines are written: as they come, after the time, after the name, or as JSON."),
    option(Program, "redirect_stderr", Value("false"), Kind::Flag, "stderr goes where stdout goes."),
    option(Program, "environment", Unset("the daemon's own environment"), Kind::Variables, "Variables on top of the daemon's environment.").may_be_empty().per_instance(),
    option(Program, "env_file", Unset("none"), Kind::Paths, "Files of NAME=VALUE lines; a later one wins, environment wins over all.").may_be_empty(),
    option(Program, "clean_env", Value("false"), Kind::Flag, "Start from an empty environment instead of the daemon's."),
    option(Program, "directory", Unset("the daemon's"), Kind::Path, "Working directory.").may_be_empty(),
    option(Program, "user", Unset("the daemon's"), Kind::User, "Runs as this user, with all its groups; needs root."),
    option(Program, "umask", Unset("the one the daemon was started with"), Kind::Umask, "File mode mask."),
    option(Program, "no_new_privs", Value("false"), Kind::Flag, "It can gain no privileges by exec (sudo and the like fail)."),
    option(Program, "pdeathsig", Value("true"), Kind::Flag, "The kernel kills it if the daemon dies."),
    option(Program, "reconcile", Value("auto"), Kind::Choice(RECONCILE), "What the next daemon does with it if this one dies; auto: kill if pdeathsig, else warn."),
    option(Program, "healthcheck_type", Value("none"), Kind::Choice(PROBE_TYPES), "How its health is asked.").at_once(),
    option(Program, "healthcheck_interval", Value("30"), Kind::Seconds(Least::One), "From the end of one check to the next.").at_once(),
    option(Program, "healthcheck_timeout", Value("10"), Kind::Seconds(Least::Zero), "A check without an answer by then has failed.").at_once(),
    option(Program, "healthcheck_retries", Value("3"), MANY, "So many failures in a row make it UNHEALTHY.").at_once(),
    option(Program, "healthcheck_start_period", Value("10"), Kind::Seconds(Least::Zero), "From RUNNING to the first check.").at_once(),
    option(Program, "healthcheck_host", Value("127.0.0.1"), Kind::Host, "tcp, http: where to connect to.").may_be_empty().per_instance().at_once(),
    option(Program, "healthcheck_port", Unset("none; tcp requires it"), Kind::Port, "tcp, http: which port.").may_be_empty().per_instance().at_once(),
    option(Program, "healthcheck_command", Unset("none; script requires it"), Kind::Script, "script: healthy if it exits 0.").per_instance().at_once(),
    option(Program, "healthcheck_url", Unset("made of healthcheck_host, _port and _path"), Kind::Url, "http: what to ask for.").per_instance().at_once(),
    option(Program, "healthcheck_path", Value("/"), Kind::UrlPath, "http: what to ask for, with healthcheck_port.").per_instance().at_once(),
    option(Program, "healthcheck_status", Value("200-399"), Kind::Statuses, "http: the statuses of a healthy answer.").at_once(),
    option(Group, "programs", Required, Kind::Names, "The programs in the group.").may_be_empty().at_once(),
];

/// The options of one kind of section.
pub fn of(section: Section) -> impl Iterator<Item = &'static OptionRow> {
    OPTIONS.iter().filter(move |option| option.section == section)
}

/// An option of a section by its name.
pub fn find(section: Section, name: &str) -> Option<&'static OptionRow> {
    of(section).find(|option| option.name == name)
}

/// The known name that is fewest strokes away from `name`; one that goes on where `name` ends is near in any case.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ENOUGH: usize = 64;
    let start: Vec<char> = name.chars().take(ENOUGH).collect();
    known.min_by_key(|known| {
        let continues = start.len() > 2 && known.starts_with(name);
        (!continues && distance(&start, known) > 1, distance(&start, known))
    })
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other.
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = row[j] + usize::from(a != b);
            let mut best = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = BTreeSet::new();
        for option in OPTIONS {
            assert!(seen.insert((option.section, option.name)), "{} is there twice", option.name);
            assert_eq!(option.name, option.name.to_lowercase());
            assert!(option.summary.ends_with('.'), "{}", option.name);
        }
    }

    #[test]
    fn a_typo_finds_its_name() {
        let program = || of(Section::Program).map(|option| option.name);
        for (typo, meant) in [
            ("comand", "command"),
            ("autosatrt", "autostart"),
            ("stdout_log", "stdout_logfile"),
            ("stopsig", "stopsignal"),
            ("env", "env_file"),
            ("healthcheck-port", "healthcheck_port"),
        ] {
            assert_eq!(nearest(typo, program()), Some(meant), "{typo}");
        }
        assert_eq!(nearest("", std::iter::empty()), None);
    }

    #[test]
    fn distance_counts_strokes() {
        let strokes = |from: &str, to| distance(&from.chars().collect::<Vec<_>>(), to);
        assert_eq!(strokes("", "abc"), 3);
        assert_eq!(strokes("abc", ""), 3);
        assert_eq!(strokes("abc", "acb"), 1);
        assert_eq!(strokes("kitten", "sitting"), 3);
    }
}
