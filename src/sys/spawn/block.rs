//! What a child reads between its birth and its exec: everything in place, nothing to allocate, nothing to look up.

use super::failure::spawn_error;
use super::plan::Plan;
use crate::engine::message::{Pid, SpawnError, SpawnStage};
use crate::sys::limits::NofileLimit;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU32;

/// The child's descriptors before they are in their places; all at least [`super::FIRST_FREE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Wiring {
    /// `None`: /dev/null.
    pub(super) stdout: Option<RawFd>,
    /// `None`: /dev/null.
    pub(super) stderr: Option<RawFd>,
    /// Where the report goes.
    pub(super) verdict: RawFd,
}

/// The user to switch to.
pub(super) struct Switch<'a> {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: &'a [u32],
    /// Room to read the groups back: one more than there should be.
    pub(super) scratch: Vec<u32>,
}

/// The child's whole world.
pub(super) struct Block<'a> {
    pub(super) stage: &'static AtomicU32,
    pub(super) wiring: Wiring,
    /// The highest descriptor to close one by one, where the kernel cannot close a range.
    pub(super) close_up_to: Option<RawFd>,
    pub(super) nofile: NofileLimit,
    pub(super) switch: Option<Switch<'a>>,
    pub(super) no_new_privs: bool,
    pub(super) pdeathsig: bool,
    pub(super) parent: Pid,
    pub(super) directory: Option<&'a CStr>,
    pub(super) umask: u32,
    pub(super) candidates: Vec<*const c_char>,
    pub(super) refuse_writable: bool,
    /// Ends with null, as the kernel wants it.
    pub(super) argv: Vec<*const c_char>,
    /// Ends with null, as the kernel wants it.
    pub(super) environment: Vec<*const c_char>,
    /// Backs the last entry of `environment`.
    _marker: Option<CString>,
}

impl<'a> Block<'a> {
    pub(super) fn build(
        plan: &'a Plan,
        wiring: Wiring,
        stage: Option<&'static AtomicU32>,
        marker: Option<&str>,
    ) -> Result<Block<'a>, SpawnError> {
        let marker = marker.map(|value| CString::new(format!("SUPERVICE_RUN={value}"))).transpose();
        let marker = marker.map_err(|_| spawn_error(SpawnStage::Exec, libc::EINVAL))?;
        let mut environment = pointers(&plan.environment);
        environment.extend(marker.as_deref().map(CStr::as_ptr));
        environment.push(std::ptr::null());
        let mut argv = pointers(&plan.argv);
        argv.push(std::ptr::null());
        Ok(Block {
            stage: stage.ok_or_else(|| spawn_error(SpawnStage::Verdict, 0))?,
            wiring,
            close_up_to: super::raw::close_up_to(),
            nofile: plan.nofile,
            switch: plan.switch_to().map(|user| Switch {
                uid: user.uid,
                gid: user.gid,
                groups: &user.groups,
                scratch: vec![0; user.groups.len() + 1],
            }),
            no_new_privs: plan.no_new_privs,
            pdeathsig: plan.pdeathsig,
            parent: nix::unistd::getpid().as_raw(),
            directory: plan.directory.as_deref(),
            umask: plan.umask,
            candidates: pointers(&plan.candidates),
            refuse_writable: plan.refuse_writable,
            argv,
            environment,
            _marker: marker,
        })
    }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}
