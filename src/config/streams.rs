//! Where stdout and stderr of an instance go, and who else writes there.

use super::options::LOG_FORMAT;
use super::problems::quoted;
use super::section::Reading;
use crate::spec::{InstanceSpec, LogFormat, LogSpec, LogTarget};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What one stream keeps, and how.
#[derive(Clone, Copy)]
struct Keeping {
    maxbytes: u64,
    backups: u32,
    compress: bool,
}

/// The options that say where the streams go.
pub(super) const TARGETS: &[&str] = &["stdout_logfile", "stderr_logfile"];

/// What says nothing where stderr has no log of its own.
const UNUSED: [&str; 4] =
    ["stderr_logfile", "stderr_logfile_maxbytes", "stderr_logfile_backups", "stderr_logfile_compress"];

/// The options of both streams that are the same for all instances of a program.
pub(super) struct Limits {
    stdout: Keeping,
    stderr: Keeping,
    redirect: bool,
    format: LogFormat,
}

impl Limits {
    pub(super) fn read(section: &mut Reading<'_>) -> Limits {
        let redirect = section.flag("redirect_stderr");
        if redirect {
            for option in UNUSED {
                if section.gives(option) {
                    section.warn(option, "has no effect with redirect_stderr = true".to_owned());
                }
            }
        }
        Limits {
            stdout: Keeping {
                maxbytes: section.size("stdout_logfile_maxbytes"),
                backups: section.count("stdout_logfile_backups"),
                compress: section.flag("stdout_logfile_compress"),
            },
            stderr: Keeping {
                maxbytes: section.size("stderr_logfile_maxbytes"),
                backups: section.count("stderr_logfile_backups"),
                compress: section.flag("stderr_logfile_compress"),
            },
            redirect,
            format: format(section),
        }
    }

    /// stdout and stderr of the instance at hand.
    pub(super) fn streams(&self, section: &mut Reading<'_>) -> (LogSpec, LogSpec) {
        let stdout = target(section, "stdout_logfile");
        let stderr = target(section, "stderr_logfile");
        let stderr = if self.redirect { LogTarget::SameAsStdout } else { stderr };
        (self.spec(stdout, self.stdout), self.spec(stderr, self.stderr))
    }

    fn spec(&self, target: LogTarget, keeping: Keeping) -> LogSpec {
        let Keeping { maxbytes, backups, compress } = keeping;
        LogSpec { target, maxbytes, backups, compress, format: self.format }
    }
}

fn format(section: &mut Reading<'_>) -> LogFormat {
    match LOG_FORMAT[section.choice("log_format", LOG_FORMAT)] {
        "timestamp" => LogFormat::Timestamp,
        "prefix" => LogFormat::Prefix,
        "json" => LogFormat::Json,
        _ => LogFormat::Raw,
    }
}

fn target(section: &mut Reading<'_>, option: &str) -> LogTarget {
    match section.path(option) {
        None => LogTarget::Null,
        Some(path) => match path.to_str() {
            Some("/dev/null") => LogTarget::Null,
            Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => LogTarget::DaemonStdout,
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => LogTarget::DaemonStderr,
            Some(word) if word.eq_ignore_ascii_case("none") => LogTarget::Null,
            _ => LogTarget::File(path),
        },
    }
}

/// Finds files that two instances write, or an instance and the daemon.
pub(super) struct Writers<'a> {
    working_dir: &'a Path,
    /// By the text of the whole path: comparing paths takes them apart each time.
    first: HashMap<OsString, (String, bool)>,
}

impl<'a> Writers<'a> {
    pub(super) fn new(working_dir: &'a Path, daemon_log: Option<&Path>) -> Writers<'a> {
        let mut writers = Writers { working_dir, first: HashMap::new() };
        if let Some(path) = daemon_log {
            writers.first.insert(writers.absolute(path), ("the daemon".to_owned(), false));
        }
        writers
    }

    /// Warns once for each file that somebody else writes already.
    pub(super) fn add(&mut self, section: &mut Reading<'_>, instance: &InstanceSpec) {
        for (option, stream) in [("stdout_logfile", &instance.stdout), ("stderr_logfile", &instance.stderr)] {
            let LogTarget::File(path) = &stream.target else { continue };
            let key = self.absolute(path);
            let known = self.first.entry(key).or_insert_with(|| (instance.name.to_string(), false));
            if *known.0 != *instance.name && !known.1 {
                known.1 = true;
                let (other, this, path) = (quoted(&known.0), quoted(&instance.name), quoted(&path.to_string_lossy()));
                section.warn(option, format!("{path} is written by {other} and by {this} (a file of its own for each, by %(process_num)s or another name)"));
            }
        }
    }

    fn absolute(&self, path: &Path) -> OsString {
        self.working_dir.join(path).components().collect::<PathBuf>().into_os_string()
    }
}
