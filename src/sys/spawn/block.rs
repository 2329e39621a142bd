//! What a child reads between its birth and its exec: everything in place, nothing to allocate, nothing to look up.

use super::failure::spawn_error;
use super::plan::Plan;
use crate::engine::message::{Pid, SpawnError, SpawnStage};
use crate::sys::limits::NofileLimit;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU32;

/// The child's descriptors before they are in their places; all at least [`super::FIRST_FREE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Wiring {
    /// `None`: /dev/null.
    pub(super) stdin: Option<RawFd>,
    /// `None`: /dev/null.
    pub(super) stdout: Option<RawFd>,
    /// `None`: /dev/null.
    pub(super) stderr: Option<RawFd>,
    /// Where the report goes.
    pub(super) verdict: RawFd,
    /// The table of descriptors is the daemon's own: a copy is to be taken of what is below this number.
    pub(super) unshare_above: Option<RawFd>,
}

/// The user to switch to.
pub(super) struct Switch {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    /// Room to read the groups back: one more than there should be.
    pub(super) scratch: Vec<Cell<u32>>,
}

/// The child's whole world. It owns all that its pointers lead to, because a child that shares our memory may need it for
/// longer than the call that made it.
pub(super) struct Block {
    pub(super) stage: &'static AtomicU32,
    pub(super) wiring: Wiring,
    /// The highest descriptor to close one by one, where the kernel cannot close a range.
    pub(super) close_up_to: Option<RawFd>,
    pub(super) nofile: NofileLimit,
    /// Those to be set back to their defaults, the lowest bit being signal 1.
    pub(super) altered_signals: u64,
    pub(super) switch: Option<Switch>,
    pub(super) no_new_privs: bool,
    pub(super) pdeathsig: bool,
    pub(super) parent: Pid,
    pub(super) directory: Option<*const c_char>,
    pub(super) umask: u32,
    pub(super) candidates: Vec<*const c_char>,
    pub(super) refuse_writable: bool,
    /// Ends with null, as the kernel wants it.
    pub(super) argv: Vec<*const c_char>,
    /// Ends with null, as the kernel wants it.
    pub(super) environment: Vec<*const c_char>,
    /// Backs the last entry of `environment`.
    _marker: Option<CString>,
    /// Backs all other texts.
    _plan: Plan,
}

impl Block {
    pub(super) fn build(
        plan: &Plan,
        wiring: Wiring,
        stage: Option<&'static AtomicU32>,
        marker: Option<&str>,
    ) -> Result<Block, SpawnError> {
        let marker = marker.map(|value| CString::new(format!("SUPERVICE_RUN={value}"))).transpose();
        let marker = marker.map_err(|_| spawn_error(SpawnStage::Exec, libc::EINVAL))?;
        let texts = plan.texts();
        let mut argv = Vec::with_capacity(texts.argv.len() + 1);
        argv.extend(texts.argv.iter().map(|word| word.as_ptr()));
        argv.push(std::ptr::null());
        let mut environment = Vec::with_capacity(texts.environment.len() + 2);
        environment.extend(texts.environment.iter().map(CStr::as_ptr));
        environment.extend(marker.as_deref().map(CStr::as_ptr));
        environment.push(std::ptr::null());
        Ok(Block {
            stage: stage.ok_or_else(|| spawn_error(SpawnStage::Verdict, 0))?,
            wiring,
            close_up_to: super::raw::close_up_to(),
            nofile: texts.nofile,
            altered_signals: crate::sys::signals::altered(),
            switch: plan.switch_to().map(|user| Switch {
                uid: user.uid,
                gid: user.gid,
                groups: user.groups.clone(),
                scratch: vec![Cell::new(0); user.groups.len() + 1],
            }),
            no_new_privs: texts.no_new_privs,
            pdeathsig: texts.pdeathsig,
            parent: nix::unistd::getpid().as_raw(),
            directory: texts.directory.as_deref().map(CStr::as_ptr),
            umask: texts.umask,
            candidates: texts.candidates.iter().map(|path| path.as_ptr()).collect(),
            refuse_writable: texts.refuse_writable,
            argv,
            environment,
            _marker: marker,
            _plan: plan.clone(),
        })
    }
}
