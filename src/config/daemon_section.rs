//! `[supervice]` turned into a [`DaemonSpec`].

use super::access;
use super::options::LOG_LEVELS;
use super::section::Reading;
use super::value;
use crate::spec::{DaemonSpec, LogLevel};
use std::path::{Path, PathBuf};

/// What the kernel has room for in the address of a Unix socket, without the NUL at its end.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub const MAX_SOCKET_PATH: usize = 107;
/// What the kernel has room for in the address of a Unix socket, without the NUL at its end.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub const MAX_SOCKET_PATH: usize = 103;

pub(super) fn read(section: &mut Reading<'_>) -> DaemonSpec {
    let pidfile = pidfile(section);
    let state_file = section.path("state_file").unwrap_or_else(|| state_file(pidfile.as_deref()));
    DaemonSpec {
        logfile: section.path("logfile"),
        loglevel: loglevel(section),
        pidfile,
        socket: socket(section),
        socket_mode: section.value("socket_mode", access::mode),
        socket_group: section.value("socket_group", value::user),
        socket_users: section.value("socket_users", access::grants).unwrap_or_default(),
        shutdown_timeout: section.seconds("shutdown_timeout"),
        log_maxbytes: section.size("log_maxbytes"),
        log_backups: section.count("log_backups"),
        state_file,
    }
}

fn loglevel(section: &mut Reading<'_>) -> LogLevel {
    match LOG_LEVELS[section.choice("loglevel", LOG_LEVELS)] {
        "DEBUG" => LogLevel::Debug,
        "WARNING" | "WARN" => LogLevel::Warning,
        "ERROR" => LogLevel::Error,
        "CRITICAL" => LogLevel::Critical,
        _ => LogLevel::Info,
    }
}

/// An empty pidfile is none, other than one that is not given.
fn pidfile(section: &mut Reading<'_>) -> Option<PathBuf> {
    if section.has("pidfile") && section.raw("pidfile").is_none() {
        return None;
    }
    section.path("pidfile").filter(|path| !path.as_os_str().eq_ignore_ascii_case("none"))
}

fn socket(section: &mut Reading<'_>) -> PathBuf {
    let path = section.path("socket").unwrap_or_default();
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        section.error(
            "socket",
            format!("the path has {length} bytes (at most {MAX_SOCKET_PATH}: the kernel takes no more)"),
        );
    }
    path
}

/// Beside the pidfile, so that daemons that share nothing else share no records either.
fn state_file(pidfile: Option<&Path>) -> PathBuf {
    let name = pidfile.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("supervice.pid");
    let stem = name.strip_suffix(".pid").or_else(|| name.strip_suffix(".pidfile")).unwrap_or(name);
    let stem = if stem.is_empty() { "supervice" } else { stem };
    pidfile.and_then(Path::parent).unwrap_or(Path::new("")).join(format!(".{stem}.state.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_file_lies_beside_the_pidfile() {
        for (pidfile, expected) in [
            (None, ".supervice.state.json"),
            (Some("supervice.pid"), ".supervice.state.json"),
            (Some("/run/web.pid"), "/run/.web.state.json"),
            (Some("/run/web.pidfile"), "/run/.web.state.json"),
            (Some("run/lock"), "run/.lock.state.json"),
            (Some("/run/.pid"), "/run/.supervice.state.json"),
        ] {
            assert_eq!(state_file(pidfile.map(Path::new)), Path::new(expected), "{pidfile:?}");
        }
    }
}
