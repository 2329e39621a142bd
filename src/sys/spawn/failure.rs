//! What a failed spawn means and how it is told to people.

use crate::engine::message::{FailureClass, SpawnError, SpawnStage};
use nix::errno::Errno;
use std::io;

/// What follows from a failure at this stage with this error number (0: none).
pub fn classify(stage: SpawnStage, errno: i32) -> FailureClass {
    match errno {
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOSPC | libc::ETXTBSY => {
            return FailureClass::Shortage;
        }
        libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::ELOOP | libc::E2BIG => return FailureClass::Permanent,
        _ => {}
    }
    match stage {
        SpawnStage::VerifyUser | SpawnStage::UnsafeCommand | SpawnStage::Interpreter => FailureClass::Permanent,
        // Any other error says that the name service is down, not that there is no such user.
        SpawnStage::User if matches!(errno, 0 | libc::ENOENT) => FailureClass::Permanent,
        // Without an error number the child was killed on the way, which says nothing about the next one.
        SpawnStage::Groups | SpawnStage::GroupId | SpawnStage::UserId if errno != 0 => FailureClass::Permanent,
        _ => FailureClass::Ordinary,
    }
}

/// Whether it says that the command is not there.
pub fn is_not_found(error: &SpawnError) -> bool {
    error.stage == SpawnStage::Exec && error.errno == libc::ENOENT
}

/// An error with its class.
pub(super) fn spawn_error(stage: SpawnStage, errno: i32) -> SpawnError {
    SpawnError { stage, errno, class: classify(stage, errno) }
}

/// The error of a system call in the parent.
pub(super) fn os_error(stage: SpawnStage, error: &io::Error) -> SpawnError {
    spawn_error(stage, error.raw_os_error().unwrap_or(libc::EIO))
}

/// One line for people. `subject` is what the stage worked on: a path, a user; see [`Plan::subject`](super::Plan::subject).
pub fn describe(error: &SpawnError, subject: &str) -> String {
    let deed = deed(error.stage, subject);
    match (error.stage, error.errno) {
        (SpawnStage::User, 0 | libc::ENOENT) => format!("no such user: {subject}"),
        (SpawnStage::VerifyUser, _) => format!("the switch to user {subject} did not take"),
        (SpawnStage::UnsafeCommand, _) => format!("refused to run {subject} as root: others may write it"),
        (SpawnStage::Interpreter, _) => format!("{deed}: the file is there, its interpreter is not"),
        (SpawnStage::Verdict, 0) => format!("{deed}: no answer for too long"),
        (_, 0) => format!("{deed}: the process ended before it was done"),
        (_, errno) => format!("{deed}: {}", error_text(errno)),
    }
}

/// `ENOENT (No such file or directory)`.
fn error_text(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => format!("{known:?} ({})", known.desc()),
    }
}

fn deed(stage: SpawnStage, subject: &str) -> String {
    let deed = match stage {
        SpawnStage::User => "lookup of user",
        SpawnStage::OpenLog => "open of log",
        SpawnStage::Pipe => return "pipe".to_owned(),
        SpawnStage::Fork => return "fork".to_owned(),
        SpawnStage::Session => return "setsid".to_owned(),
        SpawnStage::Signals => return "reset of signal dispositions".to_owned(),
        SpawnStage::Stdio => return "setup of stdio".to_owned(),
        SpawnStage::CloseDescriptors => return "closing of descriptors".to_owned(),
        SpawnStage::Limits => return "resource limits".to_owned(),
        SpawnStage::Groups => "setgroups for user",
        SpawnStage::GroupId => "setgid for user",
        SpawnStage::UserId => "setuid for user",
        SpawnStage::VerifyUser => "check of the switch to user",
        SpawnStage::NoNewPrivileges => return "no_new_privs".to_owned(),
        SpawnStage::ParentDeath => return "parent-death signal".to_owned(),
        SpawnStage::Directory => "change to directory",
        SpawnStage::SignalMask => return "signal mask".to_owned(),
        SpawnStage::UnsafeCommand | SpawnStage::Exec | SpawnStage::Interpreter | SpawnStage::Verdict => "exec of",
    };
    format!("{deed} {subject}")
}

/// The stage with this number, as it comes through the verdict pipe and the stage cell.
pub(super) fn stage_from(number: u8) -> Option<SpawnStage> {
    const ALL: [SpawnStage; 21] = [
        SpawnStage::User,
        SpawnStage::OpenLog,
        SpawnStage::Pipe,
        SpawnStage::Fork,
        SpawnStage::Session,
        SpawnStage::Signals,
        SpawnStage::Stdio,
        SpawnStage::CloseDescriptors,
        SpawnStage::Limits,
        SpawnStage::Groups,
        SpawnStage::GroupId,
        SpawnStage::UserId,
        SpawnStage::VerifyUser,
        SpawnStage::NoNewPrivileges,
        SpawnStage::ParentDeath,
        SpawnStage::Directory,
        SpawnStage::SignalMask,
        SpawnStage::UnsafeCommand,
        SpawnStage::Exec,
        SpawnStage::Interpreter,
        SpawnStage::Verdict,
    ];
    ALL.into_iter().find(|stage| *stage as u8 == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_its_number() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(stage_from).collect();
        assert_eq!(known.len(), SpawnStage::Verdict as usize);
        for stage in known {
            assert_eq!(stage_from(stage as u8), Some(stage));
        }
    }

    #[test]
    fn errors_fall_into_the_classes_of_the_table() {
        use FailureClass::{Ordinary, Permanent, Shortage};
        for (stage, errno, class) in [
            (SpawnStage::Fork, libc::EAGAIN, Shortage),
            (SpawnStage::Pipe, libc::EMFILE, Shortage),
            (SpawnStage::Exec, libc::ETXTBSY, Shortage),
            (SpawnStage::UserId, libc::EAGAIN, Shortage),
            (SpawnStage::OpenLog, libc::ENOSPC, Shortage),
            (SpawnStage::Exec, libc::EACCES, Permanent),
            (SpawnStage::Exec, libc::ENOEXEC, Permanent),
            (SpawnStage::Exec, libc::E2BIG, Permanent),
            (SpawnStage::Exec, libc::ELOOP, Permanent),
            (SpawnStage::Exec, libc::ENOENT, Ordinary),
            (SpawnStage::Exec, libc::EIO, Ordinary),
            (SpawnStage::Exec, 0, Ordinary),
            (SpawnStage::Interpreter, libc::ENOENT, Permanent),
            (SpawnStage::Directory, libc::ENOENT, Ordinary),
            (SpawnStage::OpenLog, libc::ENOENT, Ordinary),
            (SpawnStage::OpenLog, libc::ENXIO, Ordinary),
            (SpawnStage::User, 0, Permanent),
            (SpawnStage::User, libc::EIO, Ordinary),
            (SpawnStage::User, libc::EMFILE, Shortage),
            (SpawnStage::Groups, libc::EINVAL, Permanent),
            (SpawnStage::GroupId, libc::EINVAL, Permanent),
            (SpawnStage::UserId, 0, Ordinary),
            (SpawnStage::VerifyUser, libc::EPERM, Permanent),
            (SpawnStage::UnsafeCommand, libc::EPERM, Permanent),
            (SpawnStage::Verdict, 0, Ordinary),
        ] {
            assert_eq!(classify(stage, errno), class, "{stage:?} {errno}");
        }
    }

    #[test]
    fn failures_read_as_sentences() {
        let text = |stage, errno, subject| describe(&spawn_error(stage, errno), subject);
        assert_eq!(text(SpawnStage::Exec, libc::ENOENT, "/x/y"), "exec of /x/y: ENOENT (No such file or directory)");
        assert_eq!(text(SpawnStage::Fork, libc::EAGAIN, "x"), "fork: EAGAIN (Try again)");
        assert_eq!(
            text(SpawnStage::Directory, 0, "/d"),
            "change to directory /d: the process ended before it was done"
        );
        assert_eq!(text(SpawnStage::User, 0, "0day"), "no such user: 0day");
        assert_eq!(text(SpawnStage::Exec, 9999, "/x"), "exec of /x: error 9999");
        assert!(text(SpawnStage::UnsafeCommand, libc::EPERM, "/x").contains("/x"));
        assert!(text(SpawnStage::Interpreter, libc::ENOENT, "/x").contains("interpreter"));
    }
}
