//! How the exec of a fresh child went: eight bytes on a pipe mean that it failed, the end of the pipe that it is gone,
//! into its program or out of the world. Which of the two, the stage tells that the child keeps in shared memory.
//!
//! A verdict also keeps what its child stands on as long as it may stand there.

use super::FIRST_FREE;
use super::failure::{spawn_error, stage_from};
use super::shared::{Lease, Place};
use crate::engine::message::{SpawnError, SpawnStage};
use crate::sys::descriptor::{lift, pipe, read_now, set_fresh_nonblocking};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Length of a report: stage, a zero, the candidate as `u16`, the error number as `i32`, in the machine's own order.
pub(super) const REPORT_SIZE: usize = 8;

/// A child with a place writes this first: from now on the place is the daemon's again. No stage has this number.
pub(super) const HAS_OWN_DESCRIPTORS: u8 = 0xff;

/// Stands for "none of them in particular".
pub(super) const NO_CANDIDATE: u16 = u16::MAX;

/// What a failed child writes.
pub(super) fn report(stage: SpawnStage, candidate: u16, errno: i32) -> [u8; REPORT_SIZE] {
    let [low, high] = candidate.to_ne_bytes();
    let [a, b, c, d] = errno.to_ne_bytes();
    [stage as u8, 0, low, high, a, b, c, d]
}

/// The answer to come from a fresh child. Readable when there is something to read.
pub struct Verdict {
    /// `None` once it is handed on, which ends its life.
    read: Option<OwnedFd>,
    cell: Option<&'static AtomicU32>,
    place: Option<Place>,
    lease: Option<Lease>,
    /// There is a child, or was one.
    born: bool,
    candidate: Option<usize>,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict").field("read", &self.read).field("candidate", &self.candidate).finish_non_exhaustive()
    }
}

/// What a look at the verdict gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictRead {
    /// Not known yet.
    Pending,
    /// Its program runs, or ran.
    ExecOk,
    /// It never got there. The process is gone or about to go, and is still to be reaped.
    Failed(SpawnError),
}

impl Verdict {
    /// With the end that the child reports on.
    pub(super) fn open() -> io::Result<(Verdict, OwnedFd)> {
        release_those_at_their_end();
        let (read, write) = pipe()?;
        set_fresh_nonblocking(&read)?;
        let write = lift(write, FIRST_FREE)?;
        let cell = lease()?;
        cell.store(SpawnStage::Fork as u32, Ordering::SeqCst);
        let verdict =
            Verdict { read: Some(read), cell: Some(cell), place: None, lease: None, born: false, candidate: None };
        Ok((verdict, write))
    }

    /// Where the child keeps its stage.
    pub(super) fn stage_cell(&self) -> Option<&'static AtomicU32> {
        self.cell
    }

    /// There is a child now; takes what it stands on.
    pub(super) fn keep(&mut self, place: Option<Place>, lease: Option<Lease>) {
        (self.place, self.lease, self.born) = (place, lease, true);
    }

    /// Looks. Once it said [`VerdictRead::ExecOk`] or [`VerdictRead::Failed`] it is spent.
    pub fn read(&mut self) -> io::Result<VerdictRead> {
        loop {
            let mut bytes = [0_u8; 1 + REPORT_SIZE];
            let Some(count) = self.read.as_ref().map_or(Ok(None), |read| read_now(read, &mut bytes))? else {
                return Ok(VerdictRead::Pending);
            };
            let told = match bytes.get(..count).unwrap_or_default() {
                [] => return Ok(self.at_end()),
                [HAS_OWN_DESCRIPTORS, rest @ ..] => {
                    self.place = None;
                    rest
                }
                whole => whole,
            };
            if told.is_empty() {
                continue;
            }
            // Eight bytes go through a pipe in one piece.
            let report = told.try_into().map_err(|_| io::Error::other("a child sent a part of a report"))?;
            return Ok(VerdictRead::Failed(self.decode(report)));
        }
    }

    /// Looks for the last time: the child is reaped, so what it left is final, whoever else may hold its pipe.
    pub fn read_of_the_dead(&mut self) -> io::Result<VerdictRead> {
        self.place = None;
        let read = self.read()?;
        self.lease = None;
        Ok(if read == VerdictRead::Pending { self.at_end() } else { read })
    }

    /// Lets go of what the child stood on; it is reaped, so it stands nowhere.
    pub fn end(mut self) {
        (self.place, self.lease) = (None, None);
    }

    /// Which of the paths of the plan a failed exec was about.
    pub fn candidate(&self) -> Option<usize> {
        self.candidate
    }

    fn at_end(&mut self) -> VerdictRead {
        (self.place, self.lease) = (None, None);
        let Some(cell) = self.cell.take() else { return VerdictRead::Failed(spawn_error(SpawnStage::Verdict, 0)) };
        let number = u8::try_from(cell.load(Ordering::SeqCst)).unwrap_or(0);
        give_back(cell);
        match stage_from(number) {
            Some(SpawnStage::Exec) => VerdictRead::ExecOk,
            stage => VerdictRead::Failed(spawn_error(stage.unwrap_or(SpawnStage::Fork), 0)),
        }
    }

    fn decode(&mut self, bytes: [u8; REPORT_SIZE]) -> SpawnError {
        let [stage, _, low, high, a, b, c, d] = bytes;
        // After its report a child does not touch cell or place again. It still stands on its lease.
        self.place = None;
        if let Some(cell) = self.cell.take() {
            give_back(cell);
        }
        let stage = stage_from(stage).unwrap_or(SpawnStage::Verdict);
        if matches!(stage, SpawnStage::Exec | SpawnStage::Interpreter | SpawnStage::UnsafeCommand) {
            self.candidate =
                Some(u16::from_ne_bytes([low, high])).filter(|index| *index != NO_CANDIDATE).map(usize::from);
        }
        spawn_error(stage, i32::from_ne_bytes([a, b, c, d]))
    }
}

impl AsRawFd for Verdict {
    fn as_raw_fd(&self) -> RawFd {
        self.read.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

/// Verdicts that nobody asks any more, whose children may still be in our memory.
static UNFINISHED: Mutex<Vec<Verdict>> = Mutex::new(Vec::new());

impl Drop for Verdict {
    fn drop(&mut self) {
        if !self.born
            && let Some(cell) = self.cell.take()
        {
            give_back(cell);
        }
        if self.lease.is_none() || self.read.is_none() {
            return;
        }
        let rest = Verdict {
            read: self.read.take(),
            cell: self.cell.take(),
            place: self.place.take(),
            lease: self.lease.take(),
            born: true,
            candidate: None,
        };
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(rest);
    }
}

fn release_those_at_their_end() {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    // A verdict that cannot be read keeps its lease for ever, which costs memory but no more.
    unfinished.retain_mut(|verdict| {
        while verdict.lease.is_some() && matches!(verdict.read(), Ok(VerdictRead::Failed(_))) {}
        verdict.lease.is_some()
    });
}

/// Cells that no child writes to. A verdict dropped before the end of its child keeps its cell for ever: it may still write.
static FREE: Mutex<Vec<&'static AtomicU32>> = Mutex::new(Vec::new());

const PAGE: usize = 4096;

fn lease() -> io::Result<&'static AtomicU32> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if free.is_empty() {
        free.extend(shared_page()?);
    }
    free.pop().ok_or_else(|| io::Error::other("a page has no cells"))
}

fn give_back(cell: &'static AtomicU32) {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).push(cell);
}

/// A page that children share with us. It stays for the life of the process.
fn shared_page() -> io::Result<&'static [AtomicU32]> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANON;
    // SAFETY: an anonymous mapping wherever the kernel likes; nothing is replaced.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let cells = PAGE / size_of::<AtomicU32>();
    // SAFETY: the mapping is PAGE bytes of zeros, aligned to a page, and never unmapped; access is atomic only.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU32>(), cells) })
}
