//! The daemon's own settings as they are in force: the file's, less what the command line overrides; its lock, its log.

use super::changes;
use super::options::Options;
use crate::config::differences;
use crate::engine::time::Instant;
use crate::logs::daemon_log::{DaemonLog, format_line};
use crate::logs::rotating_file::Limits;
use crate::logs::sink::Notice;
use crate::spec::{DaemonSpec, LogLevel};
use crate::sys::clock;
use crate::sys::lock::PidLock;
use crate::wire::reload::Effect;
use std::path::{Path, PathBuf};

/// Where a daemon logs when nobody said where.
const DEFAULT_LOGFILE: &str = "supervice.log";

/// What is in force.
#[derive(Debug)]
pub(super) struct Settings {
    spec: DaemonSpec,
    /// `-e` outranks the file, also the one a reload reads.
    level_is_fixed: bool,
    /// The same with `-l`.
    logfile_is_fixed: bool,
    lock: Option<PidLock>,
    lock_lost: bool,
    log: DaemonLog,
}

impl Settings {
    /// Opens the log and makes it the process's logger.
    ///
    /// # Errors
    /// What a person has to know; the lock comes back to be released.
    pub(super) fn new(
        options: &Options,
        spec: &DaemonSpec,
        lock: Option<PidLock>,
        umask: u32,
    ) -> Result<Settings, (String, Option<PidLock>)> {
        let mut spec = spec.clone();
        spec.logfile = options.logfile.clone().or(spec.logfile);
        spec.loglevel = options.loglevel.unwrap_or(spec.loglevel);
        let log = DaemonLog::new(clock::monotonic);
        match open(&log, options.nodaemon, &spec, umask).and_then(|()| install(&log, spec.loglevel)) {
            Ok(()) => {
                let (level_is_fixed, logfile_is_fixed) = (options.loglevel.is_some(), options.logfile.is_some());
                Ok(Settings { spec, level_is_fixed, logfile_is_fixed, lock, lock_lost: false, log })
            }
            Err(text) => Err((text, lock)),
        }
    }

    /// What is in force.
    pub(super) fn spec(&self) -> &DaemonSpec {
        &self.spec
    }

    /// What a new section changes. What the command line fixed stays as it is.
    pub(super) fn changes(&self, new: &DaemonSpec) -> Effect {
        let is_fixed = |option: &str| match option {
            "logfile" => self.logfile_is_fixed,
            "loglevel" => self.level_is_fixed,
            _ => false,
        };
        let mut options = differences::of_daemon(&self.spec, new);
        options.retain(|option| !is_fixed(option.name));
        changes::effect("", &options)
    }

    /// Whether a pidfile keeps a second daemon away.
    pub(super) fn has_lock(&self) -> bool {
        self.lock.is_some()
    }

    /// Takes what a reload may change at once.
    pub(super) fn take_on(&mut self, new: &DaemonSpec) {
        if !self.level_is_fixed {
            self.spec.loglevel = new.loglevel;
            log::set_max_level(filter(new.loglevel));
        }
        self.spec.socket_mode = new.socket_mode;
        self.spec.socket_group.clone_from(&new.socket_group);
        self.spec.socket_users.clone_from(&new.socket_users);
        self.spec.shutdown_timeout = new.shutdown_timeout;
        self.spec.log_maxbytes = new.log_maxbytes;
        self.spec.log_backups = new.log_backups;
        self.log.set_limits(limits(&self.spec));
    }

    /// The daemon's own log.
    pub(super) fn log(&self) -> &DaemonLog {
        &self.log
    }

    /// When the daemon's own log wants to be tried again.
    pub(super) fn log_deadline(&self) -> Option<Instant> {
        self.log.deadline()
    }

    /// Tries the daemon's own log again.
    pub(super) fn retry_log(&self, now: Instant) -> Vec<Notice> {
        self.log.on_deadline(now)
    }

    /// A pidfile that is gone is told once and never made again: a new file would carry no lock of ours.
    pub(super) fn tell_lost_lock(&mut self) {
        let is_lost = |lock: &PidLock| lock.is_lost().unwrap_or(false);
        if !self.lock_lost && self.lock.as_ref().is_some_and(is_lost) {
            self.lock_lost = true;
            let path = self.spec.pidfile.as_deref().unwrap_or(Path::new(""));
            log::warn!("the pidfile {} was removed or replaced; the socket still keeps others away", path.display());
        }
    }

    /// The pidfile, to watch it.
    pub(super) fn pidfile(&self) -> Option<&Path> {
        self.lock.as_ref().and(self.spec.pidfile.as_deref())
    }

    /// The last thing the daemon does.
    pub(super) fn release_lock(&mut self) {
        if let Some(Err(error)) = self.lock.take().map(PidLock::release) {
            log::warn!("removing the pidfile failed: {error}");
        }
    }
}

/// In the foreground to stdout, and to a file where one is named; a daemon has no stdout.
fn open(log: &DaemonLog, foreground: bool, spec: &DaemonSpec, umask: u32) -> Result<(), String> {
    if foreground {
        log.open_stdout().map_err(|error| format!("the daemon's log cannot go to stdout: {error}"))?;
    }
    let file = match &spec.logfile {
        Some(path) => path.clone(),
        None if foreground => return Ok(()),
        None => PathBuf::from(DEFAULT_LOGFILE),
    };
    log.open_file(&file, limits(spec), umask).map_err(|error| format!("the daemon's log: {error}"))
}

fn install(log: &DaemonLog, level: LogLevel) -> Result<(), String> {
    let lines = fern::Dispatch::new()
        .format(|out, message, record| {
            let level = match record.level() {
                log::Level::Error => LogLevel::Error,
                log::Level::Warn => LogLevel::Warning,
                log::Level::Info => LogLevel::Info,
                log::Level::Debug | log::Level::Trace => LogLevel::Debug,
            };
            let stamp = clock::local_timestamp(clock::wall());
            out.finish(format_args!("{}", format_line(&stamp, level, &message.to_string())));
        })
        // The libraries' own chatter is nobody's business.
        .filter(|metadata| metadata.target().starts_with("supervice"))
        .chain(fern::Output::writer(log.writer(), "\n"));
    lines.apply().map_err(|error| format!("the log cannot be set up: {error}"))?;
    log::set_max_level(filter(level));
    Ok(())
}

fn filter(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Warning => log::LevelFilter::Warn,
        LogLevel::Error | LogLevel::Critical => log::LevelFilter::Error,
    }
}

fn limits(spec: &DaemonSpec) -> Limits {
    Limits { maxbytes: spec.log_maxbytes, backups: spec.log_backups }
}
