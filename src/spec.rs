//! What a configuration says, as plain data that cannot be wrong: nobody checks it again further in.
//!
//! `config` makes it from text; `daemon::vet` completes it with what only the machine knows (env files, users).

use crate::engine::policy::Policy;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[supervice]`.
    pub daemon: DaemonSpec,
    /// All instances of all programs, in the order of the file.
    pub instances: Vec<InstanceSpec>,
    /// Every group, the implied ones (a program in no group) included, in the order of the file.
    pub groups: Vec<GroupSpec>,
    /// Where each option stands.
    pub positions: Positions,
    /// What is odd but not wrong.
    pub warnings: Vec<Problem>,
}

/// `[supervice]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSpec {
    /// The daemon's own log. `None`: stdout in the foreground, `supervice.log` as a daemon.
    pub logfile: Option<PathBuf>,
    /// From which level on lines are logged.
    pub loglevel: LogLevel,
    /// `None`: no lock.
    pub pidfile: Option<PathBuf>,
    /// The control socket.
    pub socket: PathBuf,
    /// Its mode, if one is given.
    pub socket_mode: Option<u32>,
    /// Its group; `None`: the daemon's.
    pub socket_group: Option<String>,
    /// Who else may talk to the daemon.
    pub socket_users: Vec<Grant>,
    /// From SIGTERM to SIGKILL for all.
    pub shutdown_timeout: Duration,
    /// Size at which the daemon's log is rotated; 0: never.
    pub log_maxbytes: u64,
    /// Rotated logs kept.
    pub log_backups: u32,
    /// Where children are recorded.
    pub state_file: PathBuf,
}

impl DaemonSpec {
    /// The mode of the socket: as given, or as open as those who are let in need it.
    pub fn socket_mode(&self) -> u32 {
        let needed = match (&self.socket_group, self.socket_users.is_empty()) {
            (Some(_), _) => 0o660,
            (None, false) => 0o666,
            (None, true) => 0o600,
        };
        self.socket_mode.unwrap_or(needed)
    }
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Ask.
    Read,
    /// Ask and order.
    Admin,
}

/// Whom a role is given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// A user, by name or number.
    User(String),
    /// Whoever is in a group.
    Group(String),
}

/// A role that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub whom: Whom,
    /// Which.
    pub role: Role,
}

/// `loglevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What a person would want.
    Info,
    /// `WARNING` and `WARN`.
    Warning,
    /// Failures.
    Error,
    /// Only what ends the daemon.
    Critical,
}

impl LogLevel {
    /// The level of a word, in any case.
    pub fn from_word(word: &str) -> Option<LogLevel> {
        Some(match word.to_ascii_uppercase().as_str() {
            "DEBUG" => LogLevel::Debug,
            "INFO" => LogLevel::Info,
            "WARNING" | "WARN" => LogLevel::Warning,
            "ERROR" => LogLevel::Error,
            "CRITICAL" => LogLevel::Critical,
            _ => return None,
        })
    }
}

/// One numprocs slot of a `[program:NAME]`. There are thousands of them: what is equal in many is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// `NAME`, or `NAME:00`, `NAME:01`, … with `numprocs` above 1.
    pub name: Rc<str>,
    /// The program it belongs to.
    pub program: Rc<str>,
    /// The group it belongs to.
    pub group: Rc<str>,
    /// What the engine needs to know.
    pub policy: Rc<Policy>,
    /// What is run, and how.
    pub launch: Rc<Launch>,
    /// Where stdout goes.
    pub stdout: LogSpec,
    /// Where stderr goes.
    pub stderr: LogSpec,
    /// What its health checks ask; present exactly when `policy.health` is.
    pub probe: Option<Box<ProbeTarget>>,
    /// What happens to it when a later daemon finds it as an orphan.
    pub reconcile: Reconcile,
}

/// What is run, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The command, split as a shell would; never empty.
    pub argv: Vec<String>,
    /// Added to the daemon's own environment. The env files are in it once the configuration is vetted.
    pub env: BTreeMap<String, String>,
    /// To be read by the daemon; later ones win, `environment` wins over all.
    pub env_files: Vec<PathBuf>,
    /// Start from an empty environment instead of the daemon's.
    pub clean_env: bool,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// Runs as this user.
    pub user: Option<String>,
    /// `None`: the one the daemon was started with.
    pub umask: Option<u32>,
    /// The kernel kills it if the daemon dies.
    pub pdeathsig: bool,
    /// It can gain no privileges by exec.
    pub no_new_privs: bool,
}

/// Where a stream goes, and when that is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// Where.
    pub target: LogTarget,
    /// Size at which it is rotated; 0: never.
    pub maxbytes: u64,
    /// Rotated files kept.
    pub backups: u32,
    /// Rotated files are compressed.
    pub compress: bool,
    /// How its lines are written.
    pub format: LogFormat,
}

/// `log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Bytes as they come.
    #[default]
    Raw,
    /// Lines with the time before them.
    Timestamp,
    /// Lines with the name of the instance before them.
    Prefix,
    /// One JSON object for each line.
    Json,
}

/// Where a stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere: the child gets /dev/null itself.
    Null,
    /// The daemon's own stdout (`/dev/stdout`).
    DaemonStdout,
    /// The daemon's own stderr (`/dev/stderr`).
    DaemonStderr,
    /// A file.
    File(PathBuf),
    /// Only for stderr: wherever stdout goes (`redirect_stderr`).
    SameAsStdout,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTarget {
    /// A connection that is accepted.
    Tcp {
        /// Name or address.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A command for `/bin/sh -c` that exits 0.
    Script {
        /// The command.
        command: String,
    },
    /// An HTTP answer with a status in one of `statuses`.
    Http {
        /// Name or address.
        host: String,
        /// 1 to 65535.
        port: u16,
        /// Begins with `/`.
        path: String,
        /// Inclusive ranges.
        statuses: Vec<(u16, u16)>,
    },
}

/// `reconcile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconcile {
    /// Kill where `pdeathsig` was on, else warn.
    Auto,
    /// Kill.
    Kill,
    /// Warn.
    Warn,
    /// Nothing.
    Off,
}

/// A named set of instances for commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// `[group:NAME]`, or the name of a program that is in no group.
    pub name: String,
    /// Names of instances.
    pub members: Vec<String>,
}

/// Where each section and option of a file stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Positions {
    sections: HashMap<String, SectionLines>,
    /// The options that each program was given, by its name.
    pub given: HashMap<String, Rc<[Given]>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SectionLines {
    header: usize,
    options: Vec<(&'static str, usize)>,
}

impl Positions {
    /// What programs were given, and no lines yet.
    pub fn of(given: HashMap<String, Rc<[Given]>>) -> Positions {
        Positions { sections: HashMap::new(), given }
    }

    /// Notes the line (from 1) of a section header, and those of its options.
    pub fn note(&mut self, section: &str, header: usize, options: impl Iterator<Item = (&'static str, usize)>) {
        self.sections.insert(section.to_owned(), SectionLines { header, options: options.collect() });
    }

    /// The line of an option; where it is not given, of its section; 0 where that is not given either.
    pub fn line(&self, section: &str, option: &str) -> usize {
        let Some(lines) = self.sections.get(section) else { return 0 };
        let found = lines.options.iter().find(|(name, _)| *name == option);
        found.map_or(lines.header, |(_, line)| *line)
    }
}

/// An option as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its name.
    pub option: &'static str,
    /// Where it stands, from 1.
    pub line: u32,
    /// It stands in `[DEFAULT]`.
    pub inherited: bool,
    /// What is written there.
    pub text: Box<str>,
}

/// Something wrong or odd in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 if it concerns the file as a whole.
    pub line: usize,
    /// Empty if it concerns no section.
    pub section: String,
    /// Empty if it concerns no option.
    pub option: String,
    /// What is wrong (what would be right).
    pub message: String,
}

impl Problem {
    /// `FILE:LINE: [SECTION] option: message`, leaving out what is not known.
    pub fn render(&self, file: &str) -> String {
        self.render_as("", file)
    }

    /// The same, marked as something that is odd but not wrong: `FILE:LINE: warning: [SECTION] option: message`.
    pub fn render_as_warning(&self, file: &str) -> String {
        self.render_as(" warning:", file)
    }

    fn render_as(&self, mark: &str, file: &str) -> String {
        let mut text = file.to_owned();
        if self.line > 0 {
            text.push_str(&format!(":{}", self.line));
        }
        text.push(':');
        text.push_str(mark);
        if !self.section.is_empty() {
            text.push_str(&format!(" [{}]", self.section));
        }
        if !self.option.is_empty() {
            text.push_str(&format!(" {}:", self.option));
        }
        text.push(' ');
        text.push_str(&self.message);
        text
    }
}
