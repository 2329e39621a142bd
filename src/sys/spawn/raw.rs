//! The system calls of a child before its exec, with the error number as the error. None touches anything but the kernel.
//!
//! Linux: by instruction, past libc, whose wrappers write errno, skip signals of their own and tell other threads about
//! a switch of user. Elsewhere: those of libc's functions that a child of a fork may call.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(feature = "portable")))]
pub(super) use linux::*;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(feature = "portable"))))]
mod posix;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(feature = "portable")
)))]
pub(super) use posix::*;

use std::os::fd::RawFd;

/// In place of a pidfd that the kernel did not tell: those before 5.2 pass over the wish for one.
pub(super) const UNTOLD: RawFd = -1;

/// The numbers of the signals in a set, whose lowest bit is signal 1.
fn signals_in(set: u64) -> impl Iterator<Item = u32> {
    (1..=64_u32).filter(move |signal| set.wrapping_shr(signal.wrapping_sub(1)) & 1 == 1)
}

/// The highest descriptor that is open now, for a child that must close them one by one. To be asked before the fork.
#[allow(dead_code)]
fn highest_open() -> RawFd {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = names.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // A table that cannot be listed is closed as far as it can reach.
    numbers.max().unwrap_or_else(highest_possible)
}

fn highest_possible() -> RawFd {
    let limit = crate::sys::limits::nofile().map_or(1024, |limit| limit.soft);
    // No kernel has more descriptors than this in one process unless told to.
    RawFd::try_from(limit.min(1 << 20)).unwrap_or(1 << 20)
}
