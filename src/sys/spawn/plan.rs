//! How an instance is run, in the kernel's own terms: made once per configuration, used for each spawn.

use super::environment::{Inherited, compose};
use super::failure::{os_error, spawn_error};
use crate::engine::message::{SpawnError, SpawnStage};
use crate::spec::Launch;
use crate::sys::limits::NofileLimit;
use crate::sys::user::{self, User};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Everything a child needs, copied out of the configuration and the user database; no file was touched for it.
/// A copy of a plan is the same plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Arc<Texts>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) argv: Vec<CString>,
    pub(super) environment: Environment,
    /// Where the command may be, in the order they are tried.
    pub(super) candidates: Vec<CString>,
    pub(super) directory: Option<CString>,
    pub(super) user: Option<User>,
    pub(super) umask: u32,
    pub(super) nofile: NofileLimit,
    pub(super) pdeathsig: bool,
    pub(super) no_new_privs: bool,
    /// Root runs no file that others may write.
    pub(super) refuse_writable: bool,
}

/// The user a program is to run as, looked up now. `None`: the daemon's own.
pub fn resolve_user(launch: &Launch) -> Result<Option<User>, SpawnError> {
    let Some(name) = &launch.user else { return Ok(None) };
    match user::lookup(name) {
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) => Err(spawn_error(SpawnStage::User, 0)),
        Err(error) => Err(os_error(SpawnStage::User, &error)),
    }
}

impl Plan {
    /// Builds it. `user` is what [`resolve_user`] found; a launch that names a user is refused without one.
    pub fn prepare(launch: &Launch, inherited: &Inherited, user: Option<&User>) -> Result<Plan, SpawnError> {
        if launch.user.is_some() != user.is_some() {
            return Err(spawn_error(SpawnStage::User, 0));
        }
        let environment = compose(launch, inherited, user);
        let path = environment.get(OsStr::new("PATH")).map(|path| path.as_bytes());
        let command = launch.argv.first().map_or(&b""[..], |word| word.as_bytes());
        let candidates = candidates(command, path.unwrap_or(DEFAULT_PATH));
        Ok(Plan(Arc::new(Texts {
            argv: terminated(launch.argv.iter().map(|word| word.as_bytes().to_vec()))?,
            candidates: terminated(candidates.into_iter())?,
            environment: Environment::share(launch.clean_env, inherited, &environment)?,
            directory: terminated(launch.directory.iter().map(|path| path.as_os_str().as_bytes().to_vec()))?.pop(),
            user: user.cloned(),
            umask: launch.umask.unwrap_or(inherited.umask),
            nofile: inherited.nofile,
            pdeathsig: launch.pdeathsig,
            no_new_privs: launch.no_new_privs,
            refuse_writable: user::is_root(),
        })))
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.0
    }

    /// Whom it switches to. If a fresh lookup differs, the plan is to be prepared anew.
    pub fn user(&self) -> Option<&User> {
        self.0.user.as_ref()
    }

    /// Whom the child has to become. Somebody who is no root and names himself is that already, and could switch nothing.
    pub(super) fn switch_to(&self) -> Option<&User> {
        self.user().filter(|user| user::is_root() || user.uid != user::effective_uid())
    }

    /// What a failed stage worked on, for [`describe`](super::describe). `candidate` is [`Verdict::candidate`](super::Verdict::candidate).
    pub fn subject(&self, error: &SpawnError, candidate: Option<usize>) -> String {
        let text = |text: &CStr| text.to_string_lossy().into_owned();
        match error.stage {
            SpawnStage::Directory => self.0.directory.as_deref().map(text).unwrap_or_default(),
            SpawnStage::User
            | SpawnStage::Groups
            | SpawnStage::GroupId
            | SpawnStage::UserId
            | SpawnStage::VerifyUser => self.0.user.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
            _ => {
                let tried = candidate.and_then(|index| self.0.candidates.get(index)).or_else(|| self.0.argv.first());
                tried.map(|path| text(path)).unwrap_or_default()
            }
        }
    }
}

/// The variables of a child. What it inherits unchanged is held once for all plans.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Environment {
    inherited: Arc<[CString]>,
    /// Added, or in place of an inherited one of the same name; sorted by name, as the inherited ones are.
    own: Vec<CString>,
}

/// What was inherited by the last plan that inherited anything.
static INHERITED: Mutex<Option<Arc<[CString]>>> = Mutex::new(None);

impl Environment {
    fn share(
        is_clean: bool,
        inherited: &Inherited,
        whole: &BTreeMap<OsString, OsString>,
    ) -> Result<Environment, SpawnError> {
        let mut common: BTreeMap<&OsStr, &OsStr> = BTreeMap::new();
        if !is_clean {
            common.extend(inherited.environment.iter().map(|(key, value)| (key.as_os_str(), value.as_os_str())));
        }
        let own = whole.iter().filter(|(key, value)| common.get(key.as_os_str()) != Some(&value.as_os_str()));
        let own = terminated(own.map(|(key, value)| variable(key, value)))?;
        let common = terminated(common.into_iter().map(|(key, value)| variable(key, value)))?;
        let mut last = INHERITED.lock().unwrap_or_else(PoisonError::into_inner);
        let inherited = match last.as_ref().filter(|last| ***last == *common) {
            Some(last) => Arc::clone(last),
            None => Arc::from(common),
        };
        *last = Some(Arc::clone(&inherited));
        Ok(Environment { inherited, own })
    }

    /// All of them, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut own = self.own.iter().map(CString::as_c_str).peekable();
        let mut inherited = self.inherited.iter().map(CString::as_c_str).peekable();
        std::iter::from_fn(move || match (own.peek().map(|text| name(text)), inherited.peek().map(|text| name(text))) {
            (Some(mine), Some(theirs)) if mine > theirs => inherited.next(),
            (Some(mine), Some(theirs)) => {
                if mine == theirs {
                    inherited.next();
                }
                own.next()
            }
            (Some(_), None) => own.next(),
            (None, _) => inherited.next(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.inherited.len() + self.own.len()
    }
}

fn variable(key: &OsStr, value: &OsStr) -> Vec<u8> {
    [key.as_bytes(), b"=", value.as_bytes()].concat()
}

/// The name of `NAME=VALUE`.
fn name(variable: &CStr) -> &[u8] {
    let bytes = variable.to_bytes();
    // The first byte may be a = itself, in names that some shells make.
    let end = bytes.iter().skip(1).position(|byte| *byte == b'=').map_or(bytes.len(), |at| at + 1);
    bytes.get(..end).unwrap_or(bytes)
}

/// Where commands are looked for by a child that has no PATH at all.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The paths a command may mean. With a slash it is a path; else each absolute part of PATH is tried: an empty or a
/// relative part would mean whatever folder the child stands in.
fn candidates(command: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if command.is_empty() {
        return Vec::new();
    }
    if command.contains(&b'/') {
        return vec![command.to_vec()];
    }
    let parts = path.split(|byte| *byte == b':').filter(|part| part.first() == Some(&b'/'));
    parts.map(|part| [part, b"/", command].concat()).collect()
}

/// Ends each with NUL. One inside is an error of the configuration that can be told only as "invalid".
fn terminated(texts: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, SpawnError> {
    texts.map(CString::new).collect::<Result<_, _>>().map_err(|_| spawn_error(SpawnStage::Exec, libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(command: &str, path: &str) -> Vec<String> {
        let found = candidates(command.as_bytes(), path.as_bytes());
        found.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn what_is_inherited_is_held_once_and_what_is_ones_own_wins() {
        let pair = |key: &str, value: &str| (OsString::from(key), OsString::from(value));
        let environment = vec![pair("PATH", "/bin"), pair("A", "1"), pair("A.B", "2"), pair("Z", "9")];
        let nofile = NofileLimit { soft: 1, hard: 1 };
        let inherited = Inherited { environment, nofile, umask: 0 };
        let whole = |own: &[(&str, &str)]| -> BTreeMap<OsString, OsString> {
            let own = own.iter().map(|(key, value)| pair(key, value));
            inherited.environment.iter().cloned().chain(own).collect()
        };
        let share = |own| Environment::share(false, &inherited, &whole(own)).unwrap();
        let (plain, other) = (share(&[]), share(&[("A.B", "x"), ("B", "y"), ("Z", "9"), ("ZZ", "")]));
        assert!(Arc::ptr_eq(&plain.inherited, &other.inherited));
        let texts = |environment: &Environment| -> Vec<String> {
            environment.iter().map(|text| text.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(texts(&plain), ["A=1", "A.B=2", "PATH=/bin", "Z=9"]);
        assert_eq!(texts(&other), ["A=1", "A.B=x", "B=y", "PATH=/bin", "Z=9", "ZZ="]);
        assert_eq!(other.own.len(), 3);
        let clean = Environment::share(true, &inherited, &[pair("A", "1")].into()).unwrap();
        assert_eq!(texts(&clean), ["A=1"]);
    }

    #[test]
    fn a_command_is_tried_in_each_absolute_part_of_path() {
        assert_eq!(paths("ls", "/bin:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(paths("ls", ":/bin::relative:./x:/usr/bin:"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(paths("./ls", "/bin"), ["./ls"]);
        assert_eq!(paths("/x/ls", "/bin"), ["/x/ls"]);
        assert!(paths("ls", "").is_empty());
        assert!(paths("", "/bin").is_empty());
    }
}
