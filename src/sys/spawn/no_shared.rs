//! Where no child shares our memory: the same names, and nothing behind them.

use super::block::Block;
use crate::engine::message::Pid;
use std::convert::Infallible;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::AtomicU32;

pub(super) type Lease = Infallible;

#[derive(Debug)]
pub(super) enum Place {}

pub(super) fn forbid() {}

pub(super) fn is_possible() -> bool {
    false
}

pub(super) fn suits(_block: &Block) -> bool {
    false
}

pub(super) fn make(block: Box<Block>) -> Result<(Pid, RawFd, Lease), (i32, Box<Block>)> {
    Err((libc::ENOSYS, block))
}

/// Reserves nothing.
pub fn reserve_places() -> io::Result<()> {
    Ok(())
}

/// Keeps nothing, and knows of no burst.
pub fn rest() -> bool {
    false
}

/// Always: nobody looks for one.
pub fn has_place(_open: usize) -> bool {
    true
}

/// How many descriptors are reserved.
pub fn reserved() -> usize {
    0
}

impl Place {
    pub(super) fn take(_highest: RawFd, _stage: Option<&'static AtomicU32>) -> Option<Place> {
        None
    }

    pub(super) fn end(&self) -> RawFd {
        match *self {}
    }

    pub(super) fn put(&self, _index: u8, _fd: &OwnedFd) -> io::Result<RawFd> {
        match *self {}
    }
}
