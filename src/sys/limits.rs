//! What the daemon may use: its descriptors, and the umask it works under.

use super::descriptor::check;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// From this size on a piece of memory is the kernel's own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 256 << 10;

/// Soft and hard limit on open descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NofileLimit {
    /// What the kernel enforces.
    pub soft: u64,
    /// How far the soft limit may be raised.
    pub hard: u64,
}

/// The limit as it is now.
#[allow(clippy::unnecessary_cast)] // Not everywhere is rlim_t unsigned.
pub fn nofile() -> io::Result<NofileLimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the kernel writes one rlimit into memory that is one.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, and zeroed is a valid rlimit anyway.
    let limit = unsafe { limit.assume_init() };
    Ok(NofileLimit { soft: limit.rlim_cur as u64, hard: limit.rlim_max as u64 })
}

/// Raises the soft limit as far as it goes. The limits before and after.
pub fn raise_nofile() -> io::Result<(NofileLimit, NofileLimit)> {
    let before = nofile()?;
    let limit = libc::rlimit { rlim_cur: ceiling(before.hard) as libc::rlim_t, rlim_max: before.hard as libc::rlim_t };
    // SAFETY: the pointer is valid for the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok((before, nofile()?))
}

/// macOS says "unlimited" and refuses more than this.
fn ceiling(hard: u64) -> u64 {
    if cfg!(target_vendor = "apple") { hard.min(10_240) } else { hard }
}

/// Whether there was no room for it: no descriptor, no memory, no process. It says nothing of what was asked for.
pub fn is_shortage(error: &io::Error) -> bool {
    let shortage = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EAGAIN, libc::ENOSPC];
    error.raw_os_error().is_some_and(|errno| shortage.contains(&errno))
}

/// Opens /dev/null in each of the places 0, 1 and 2 that is closed, so that no file or socket lands there by accident.
pub fn ensure_stdio() -> io::Result<()> {
    for place in 0..=2 {
        // SAFETY: F_GETFD takes no pointer.
        if unsafe { libc::fcntl(place, libc::F_GETFD) } != -1 {
            continue;
        }
        // SAFETY: the path ends in NUL.
        let opened = check(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })?;
        // The lowest free number is given out, and all below `place` are taken, so it landed where it belongs.
        if opened != place {
            return Err(io::Error::other("a standard descriptor was closed meanwhile"));
        }
    }
    Ok(())
}

/// Closes what whoever started the daemon left open above 2. To be called first, while nothing in there is ours.
///
/// Where the system does not list them they stay open; children get none of them in any case.
pub fn close_inherited() {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| *number > 2).collect::<Vec<_>>() {
        // SAFETY: nothing of this process owns a descriptor yet; the listing's own is closed by now, which is an error
        // that changes nothing.
        unsafe { libc::close(number) };
    }
}

/// Sets the umask of this process; the one before.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: umask cannot fail and takes no pointer.
    (unsafe { libc::umask(mask as libc::mode_t) }) as u32
}

/// The umask of this process.
pub fn umask() -> u32 {
    if let Some(mask) = umask_from_proc() {
        return mask;
    }
    // Only setting it tells it; nothing can be created in between, as there is one thread.
    let mask = set_umask(0o077);
    set_umask(mask);
    mask
}

fn umask_from_proc() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// Takes large pieces of memory from the kernel one by one, so that each goes back as soon as it is free. By itself the
/// allocator learns from the first such piece to keep all later ones.
pub fn keep_no_large_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes two numbers; nothing is allocated from other threads, as there are none yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    };
}

/// Gives memory that is free, and that the allocator keeps for later, back to the kernel.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number, and touches only what is free.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_reaches_the_hard_limit_and_tells_both() {
        let (before, after) = raise_nofile().unwrap();
        assert_eq!(before.hard, after.hard);
        assert_eq!(after.soft, ceiling(after.hard));
        assert_eq!(nofile().unwrap(), after);
    }

    #[test]
    fn open_stdio_is_left_alone() {
        let before = std::fs::read_link("/proc/self/fd/1").ok();
        ensure_stdio().unwrap();
        assert_eq!(std::fs::read_link("/proc/self/fd/1").ok(), before);
    }
}
