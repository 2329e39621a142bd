//! How an instance is run, in the kernel's own terms: made once per configuration, used for each spawn.

use super::environment::{Inherited, compose};
use super::failure::{os_error, spawn_error};
use crate::engine::message::{SpawnError, SpawnStage};
use crate::spec::Launch;
use crate::sys::limits::NofileLimit;
use crate::sys::user::{self, User};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Everything a child needs, copied out of the configuration and the user database; no file was touched for it.
/// A copy of a plan is the same plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Arc<Texts>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) argv: Vec<CString>,
    pub(super) environment: Vec<CString>,
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
            environment: terminated(
                environment.iter().map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()].concat()),
            )?,
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
    fn a_command_is_tried_in_each_absolute_part_of_path() {
        assert_eq!(paths("ls", "/bin:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(paths("ls", ":/bin::relative:./x:/usr/bin:"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(paths("./ls", "/bin"), ["./ls"]);
        assert_eq!(paths("/x/ls", "/bin"), ["/x/ls"]);
        assert!(paths("ls", "").is_empty());
        assert!(paths("", "/bin").is_empty());
    }
}
