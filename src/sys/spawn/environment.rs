//! What a child inherits of the daemon's own start: environment, limits, umask. Captured once, before the daemon
//! changes any of them for itself.

use crate::spec::Launch;
use crate::sys::limits::{self, NofileLimit};
use crate::sys::user::User;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

/// The daemon as it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inherited {
    /// Its environment without what was meant for it alone.
    pub environment: Vec<(OsString, OsString)>,
    /// Its limits on descriptors.
    pub nofile: NofileLimit,
    /// Its umask.
    pub umask: u32,
}

/// What service managers tell their direct child, and only it.
const PRIVATE: [&str; 9] = [
    "NOTIFY_SOCKET",
    "JOURNAL_STREAM",
    "MAINPID",
    "MAINPIDFDID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "INVOCATION_ID",
    "SYSTEMD_EXEC_PID",
    "FDSTORE",
];
const PRIVATE_PREFIXES: [&str; 3] = ["LISTEN_", "WATCHDOG_", "SUPERVICE_"];

impl Inherited {
    /// Reads all of it from this process. To be called before limits are raised and the umask is set.
    pub fn capture() -> io::Result<Inherited> {
        let mut environment: Vec<(OsString, OsString)> = Vec::new();
        for (key, value) in std::env::vars_os() {
            // Of a key given twice, the first is what getenv finds.
            if !is_private(&key) && environment.iter().all(|(known, _)| *known != key) {
                environment.push((key, value));
            }
        }
        Ok(Inherited { environment, nofile: limits::nofile()?, umask: limits::umask() })
    }
}

fn is_private(key: &OsStr) -> bool {
    let key = key.as_bytes();
    PRIVATE.iter().any(|name| name.as_bytes() == key)
        || PRIVATE_PREFIXES.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
}

/// The whole environment of a child: the daemon's, over it the user's own, over all what the program was given.
pub(super) fn compose(launch: &Launch, inherited: &Inherited, user: Option<&User>) -> BTreeMap<OsString, OsString> {
    let mut environment = BTreeMap::new();
    if !launch.clean_env {
        environment.extend(inherited.environment.iter().cloned());
    }
    if let Some(user) = user {
        for (key, value) in [
            ("HOME", user.home.as_os_str()),
            ("USER", OsStr::new(&user.name)),
            ("LOGNAME", OsStr::new(&user.name)),
            ("SHELL", user.shell.as_os_str()),
        ] {
            environment.insert(key.into(), value.to_owned());
        }
    }
    environment.extend(launch.env.iter().map(|(key, value)| (key.into(), value.into())));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_for_the_daemon_alone_is_private() {
        for key in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "JOURNAL_STREAM", "SUPERVICE_RUN"] {
            assert!(is_private(OsStr::new(key)), "{key}");
        }
        for key in ["PATH", "HOME", "NOTIFY_SOCKET2", "MYLISTEN_FDS", "LISTEN", ""] {
            assert!(!is_private(OsStr::new(key)), "{key}");
        }
    }
}
