//! What a child does between its birth and its exec, in this order and no other.
//!
//! It is a copy of a process that may have been in the middle of anything, or shares its memory with one that goes on: so
//! only raw system calls, no allocation, nothing that could panic. Each step is noted in shared memory before it is taken.

use super::block::{Block, Switch};
use super::raw;
use super::verdict::{HAS_OWN_DESCRIPTORS, NO_CANDIDATE, report};
use crate::engine::message::SpawnStage;
use crate::sys::limits::NofileLimit;
use std::cell::Cell;
use std::ffi::c_char;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the report goes once stdio is in its place.
const VERDICT_PLACE: RawFd = 3;

struct Failure {
    stage: SpawnStage,
    candidate: u16,
    errno: i32,
}

/// Becomes the program, or reports why not and ends.
pub(super) fn run(block: &Block) -> ! {
    let mut verdict = block.wiring.verdict;
    let failure = match prepare(block, &mut verdict) {
        Ok(()) => exec(block),
        Err(failure) => failure,
    };
    block.stage.store(failure.stage as u32, Ordering::SeqCst);
    raw::write(verdict, &report(failure.stage, failure.candidate, failure.errno));
    raw::exit(127)
}

/// Notes the step, then takes it.
fn step(cell: &AtomicU32, stage: SpawnStage, deed: impl FnOnce() -> Result<(), i32>) -> Result<(), Failure> {
    cell.store(stage as u32, Ordering::SeqCst);
    deed().map_err(|errno| Failure { stage, candidate: NO_CANDIDATE, errno })
}

fn prepare(block: &Block, verdict: &mut RawFd) -> Result<(), Failure> {
    let cell = block.stage;
    if let Some(first) = block.wiring.unshare_above {
        // Before anything else: until then every descriptor is the daemon's own, and it waits with ours for this word.
        // A failure keeps the stage of the beginning, for the next one would tell the daemon that the place is free.
        raw::unshare_descriptors(first).map_err(|errno| Failure {
            stage: SpawnStage::Fork,
            candidate: NO_CANDIDATE,
            errno,
        })?;
        raw::write(block.wiring.verdict, &[HAS_OWN_DESCRIPTORS]);
    }
    // A program with a terminal of ours could push keys into it.
    step(cell, SpawnStage::Session, raw::new_session)?;
    step(cell, SpawnStage::Signals, || raw::default_dispositions(block.altered_signals))?;
    step(cell, SpawnStage::Stdio, || stdio(block, verdict))?;
    // At once: while it waits in its exec, a child must not hold the daemon's lock, listener or clients open.
    step(cell, SpawnStage::CloseDescriptors, || raw::close_from(VERDICT_PLACE + 1, block.close_up_to))?;
    step(cell, SpawnStage::Limits, || set_nofile(block.nofile))?;
    if let Some(switch) = &block.switch {
        step(cell, SpawnStage::Groups, || raw::set_groups(&switch.groups))?;
        step(cell, SpawnStage::GroupId, || raw::set_gid(switch.gid))?;
        step(cell, SpawnStage::UserId, || raw::set_uid(switch.uid))?;
        step(cell, SpawnStage::VerifyUser, || verify(switch))?;
    }
    if block.no_new_privs {
        step(cell, SpawnStage::NoNewPrivileges, raw::no_new_privs)?;
    }
    if block.pdeathsig {
        // After the switch of user, which clears it.
        step(cell, SpawnStage::ParentDeath, || die_with(block.parent))?;
    }
    if let Some(directory) = block.directory {
        step(cell, SpawnStage::Directory, || raw::change_directory(directory))?;
    }
    raw::set_umask(block.umask);
    step(cell, SpawnStage::SignalMask, raw::unblock_signals)
}

fn stdio(block: &Block, verdict: &mut RawFd) -> Result<(), i32> {
    let null = raw::open_null()?;
    raw::place(block.wiring.stdin.unwrap_or(null), 0, false)?;
    raw::place(block.wiring.stdout.unwrap_or(null), 1, false)?;
    raw::place(block.wiring.stderr.unwrap_or(null), 2, false)?;
    raw::place(block.wiring.verdict, VERDICT_PLACE, true)?;
    *verdict = VERDICT_PLACE;
    Ok(())
}

/// Somebody may have lowered since the daemon's start what it can hand on: then what is left of it has to do.
fn set_nofile(limit: NofileLimit) -> Result<(), i32> {
    let NofileLimit { soft, hard } = limit;
    match raw::set_nofile(soft, hard) {
        Err(libc::EPERM) => {
            let highest = raw::hard_nofile()?;
            raw::set_nofile(soft.min(highest), hard.min(highest))
        }
        other => other,
    }
}

/// A kernel that says "done" is not believed: a program that keeps root's rights is the worst that can happen here.
fn verify(switch: &Switch) -> Result<(), i32> {
    if !raw::ids_are(switch.uid, switch.gid) || !groups_are(switch)? {
        return Err(libc::EPERM);
    }
    if switch.uid != 0 && raw::become_root().is_ok() {
        return Err(libc::EPERM);
    }
    Ok(())
}

/// Linux gives them back sorted, as the plan has them; elsewhere the effective group may be among them.
fn groups_are(switch: &Switch) -> Result<bool, i32> {
    let count = raw::groups(&switch.scratch)?;
    let actual = switch.scratch.iter().map(Cell::get).take(count);
    if cfg!(target_os = "linux") {
        return Ok(actual.eq(switch.groups.iter().copied()));
    }
    let mut strangers = actual.filter(|group| !switch.groups.contains(group));
    Ok(strangers.all(|group| group == switch.gid))
}

/// If the daemon died before the signal was asked for, nobody else will tell.
fn die_with(parent: i32) -> Result<(), i32> {
    raw::die_with_parent()?;
    if raw::parent() == parent { Ok(()) } else { Err(libc::ESRCH) }
}

/// The rules of execvp: go on while the command is not there, and remember where it was not allowed.
fn exec(block: &Block) -> Failure {
    let mut worst = Failure { stage: SpawnStage::Exec, candidate: NO_CANDIDATE, errno: libc::ENOENT };
    block.stage.store(SpawnStage::Exec as u32, Ordering::SeqCst);
    let mut candidate = 0_u16;
    for path in &block.candidates {
        match attempt(block, *path) {
            (SpawnStage::Exec, libc::EACCES) => worst = Failure { candidate, errno: libc::EACCES, ..worst },
            (SpawnStage::Exec, errno) if is_elsewhere(errno) => {}
            (stage, errno) => return Failure { stage, candidate, errno },
        }
        candidate = candidate.wrapping_add(1);
    }
    worst
}

fn is_elsewhere(errno: i32) -> bool {
    matches!(errno, libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT)
}

/// Returns only if the command at this path did not become the program.
fn attempt(block: &Block, path: *const c_char) -> (SpawnStage, i32) {
    if block.refuse_writable && raw::file_mode(path).is_ok_and(is_writable_command) {
        return (SpawnStage::UnsafeCommand, libc::EPERM);
    }
    let errno = raw::execute(path, block.argv.as_ptr(), block.environment.as_ptr());
    if errno == libc::ENOENT && raw::file_mode(path).is_ok() {
        return (SpawnStage::Interpreter, errno);
    }
    (SpawnStage::Exec, errno)
}

/// What would be run, and others may write it.
#[allow(clippy::unnecessary_cast)] // Not everywhere is mode_t as wide.
fn is_writable_command(mode: u32) -> bool {
    mode & libc::S_IFMT as u32 == libc::S_IFREG as u32 && mode & 0o111 != 0 && mode & 0o002 != 0
}
