//! Low numbers for the descriptors of children that begin with the daemon's own table of descriptors.
//!
//! Copying a table costs by its length, for each child. So a child of a daemon with a long table shares it and copies only
//! its low end, where it finds its pipes: in a place of a few reserved numbers. Until it says that it has its own copy, the
//! daemon leaves the place alone.

use super::raw;
use crate::engine::message::SpawnStage;
use crate::sys::descriptor::{check, duplicate_above};
use crate::sys::limits;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The kernel copies tables in steps of so many.
const STEP: RawFd = 64;
/// What a child copies ends at the step behind its place, and for all below this number: each that is copied has to be
/// closed again, so low places are taken first.
const END: RawFd = 2 * STEP;
const FIRST: RawFd = 4;
/// stdout, stderr, verdict.
const PER_PLACE: RawFd = 3;
/// With a lower limit of open files programs need the numbers more.
const AMPLE: u64 = 1024;
/// A shorter table is copied as fast as it is avoided.
const WORTH_IT: RawFd = 128;

struct Site {
    first: RawFd,
    tenant: u64,
    /// Where the last tenant keeps its stage.
    stage: Option<&'static AtomicU32>,
    /// Which of its numbers are more than reserved, the lowest bit for the first.
    filled: u8,
}

impl Site {
    /// Whether nobody needs its numbers. A tenant that is past its first step has its own copy of them.
    fn is_free(&self) -> bool {
        self.stage.is_none_or(|stage| stage.load(Ordering::SeqCst) != SpawnStage::Fork as u32)
    }

    /// Closes what was put there; the numbers stay reserved.
    fn clear(&mut self, placeholder: Option<&OwnedFd>) {
        let Some(placeholder) = placeholder else { return };
        let filled = std::mem::take(&mut self.filled);
        for (_, fd) in (0..PER_PLACE).zip(self.first..).filter(|(index, _)| filled >> index & 1 == 1) {
            // Fails only for numbers that are not ours to give, and these are.
            let _ = duplicate_to(placeholder.as_raw_fd(), fd);
        }
    }
}

#[derive(Default)]
struct Pool {
    sites: Vec<Site>,
    /// /dev/null in all places that nobody uses.
    placeholder: Option<OwnedFd>,
    last_tenant: u64,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { sites: Vec::new(), placeholder: None, last_tenant: 0 });

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many descriptors are reserved.
pub fn reserved() -> usize {
    let pool = pool();
    pool.sites.len() * PER_PLACE as usize + usize::from(pool.placeholder.is_some())
}

/// Reserves the low numbers that are free now, to be called before anything else is opened. None where children cannot be
/// made so, or where descriptors are few.
pub fn reserve_places() -> io::Result<()> {
    if !super::is_possible() || !raw::may_unshare() || limits::nofile()?.soft < AMPLE {
        return Ok(());
    }
    let mut pool = pool();
    let null: OwnedFd = File::options().read(true).write(true).open("/dev/null")?.into();
    // It stands above the places, or it would take the first of them.
    let placeholder = duplicate_above(null.as_raw_fd(), END)?;
    drop(null);
    let mut taken: Vec<OwnedFd> = Vec::new();
    while taken.last().is_none_or(|fd| fd.as_raw_fd() < END) {
        taken.push(duplicate_above(placeholder.as_raw_fd(), FIRST)?);
    }
    for first in (0..END).step_by(STEP as usize).flat_map(places_in) {
        let numbers = first..first + PER_PLACE;
        let (place, others) = taken.into_iter().partition::<Vec<_>, _>(|fd| numbers.contains(&fd.as_raw_fd()));
        taken = others;
        if place.len() == PER_PLACE as usize {
            // They stay open for good.
            place.into_iter().for_each(|fd| _ = fd.into_raw_fd());
            pool.sites.push(Site { first, tenant: 0, stage: None, filled: 0 });
        }
    }
    pool.placeholder = Some(placeholder);
    Ok(())
}

/// The first numbers of the places in a step; none reaches into the next.
fn places_in(step: RawFd) -> impl Iterator<Item = RawFd> {
    (step.max(FIRST)..=step + STEP - PER_PLACE).step_by(PER_PLACE as usize)
}

/// Whether a child that is made now, with so many descriptors open, has no long table to copy.
pub fn has_place(open: usize) -> bool {
    let pool = pool();
    pool.sites.is_empty() || open < WORTH_IT as usize || pool.sites.iter().any(Site::is_free)
}

/// The reserved numbers of one child. Given up when it is dropped.
#[derive(Debug)]
pub(in super::super) struct Place {
    first: RawFd,
    tenant: u64,
}

impl Place {
    /// One for a child whose stage is kept there, if the table is long enough and a place is free. `highest` is a number
    /// that was given out just now.
    pub(in super::super) fn take(highest: RawFd, stage: Option<&'static AtomicU32>) -> Option<Place> {
        if highest < WORTH_IT {
            return None;
        }
        let mut pool = pool();
        let Pool { sites, placeholder, last_tenant } = &mut *pool;
        let site = sites.iter_mut().find(|site| site.is_free())?;
        *last_tenant += 1;
        (site.tenant, site.stage) = (*last_tenant, stage);
        // Its last tenant may have been overtaken: what it had there must not stay open.
        site.clear(placeholder.as_ref());
        Some(Place { first: site.first, tenant: site.tenant })
    }

    /// What the child is to copy ends below this number.
    pub(in super::super) fn end(&self) -> RawFd {
        (self.first / STEP + 1) * STEP
    }

    /// Puts a copy of a descriptor at one of the numbers; its number there.
    pub(in super::super) fn put(&self, index: u8, fd: &OwnedFd) -> io::Result<RawFd> {
        if let Some(site) = pool().sites.iter_mut().find(|site| site.tenant == self.tenant) {
            site.filled |= 1 << index;
        }
        duplicate_to(fd.as_raw_fd(), self.first + RawFd::from(index))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut pool = pool();
        let Pool { sites, placeholder, .. } = &mut *pool;
        // Another child may have taken it over since.
        let Some(site) = sites.iter_mut().find(|site| site.tenant == self.tenant) else { return };
        (site.tenant, site.stage) = (0, None);
        site.clear(placeholder.as_ref());
    }
}

/// Closes what is at `to` and puts a copy of `from` there.
fn duplicate_to(from: RawFd, to: RawFd) -> io::Result<RawFd> {
    loop {
        // SAFETY: takes no pointer; the number is reserved for this, so nothing of anybody else is closed.
        match check(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
