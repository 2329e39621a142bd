//! Who a process is beyond its number, which the kernel gives away again: when it started, which session it is in, and
//! the inode of its pidfd where that is unique.
//!
//! Whoever is signalled on the strength of a record is verified, gripped by a pidfd, verified again, and signalled
//! through the pidfd. What cannot be read is not known, and nobody acts on it.

use super::kill::{self, KillError};
use super::watch;
use crate::engine::message::{Pid, Signal};
use nix::unistd::{SysconfVar, sysconf};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// No kernel gives a larger number.
pub const PID_MAX: Pid = 4_194_304;

/// What /proc/PID/stat says of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcStat {
    /// Its number.
    pub pid: Pid,
    /// One letter, of its first thread alone; `Z` and `X` are dead.
    pub state: u8,
    /// Its process group.
    pub group: Pid,
    /// Its session.
    pub session: Pid,
    /// How many threads it has: the others may outlive the first one.
    pub threads: u32,
    /// Clock ticks from the boot to its start.
    pub start: u64,
}

impl ProcStat {
    /// Dead, and only not reaped yet.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x') && self.threads <= 1
    }
}

/// Reads the text of /proc/PID/stat. The command in it may hold anything, `) R 1 (` too, so it ends at the last `)`.
pub fn parse_stat(text: &[u8]) -> Option<ProcStat> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')').filter(|close| *close > open)?;
    let pid = std::str::from_utf8(text.get(..open)?).ok()?.trim_end().parse().ok()?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let _parent = fields.next()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads = fields.nth(13)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    Some(ProcStat { pid, state, group, session, threads, start })
}

/// What /proc says of a process. `None`: there is no such process.
pub fn stat(pid: Pid) -> io::Result<Option<ProcStat>> {
    let Some(text) = present(contents(&format!("/proc/{pid}/stat"), STAT_USUAL))? else { return Ok(None) };
    match parse_stat(&text) {
        Some(stat) if stat.pid == pid => Ok(Some(stat)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat makes no sense"))),
    }
}

/// A clock with an offset would agree with /proc on most children as well.
const AGREEMENTS: u8 = 16;
const DISAGREED: u8 = u8::MAX;

/// When a child of ours started that lives, or is dead and not reaped, in ticks from the boot. `told` is what the clock
/// said when it was made. It is believed after it agreed with /proc on sixteen children and never was wrong: a look into
/// /proc for each child would cost more than all other records of it. An error: there is no room to look.
pub fn start(pid: Pid, told: Option<u64>) -> Result<Option<u64>, Want> {
    static AGREED: AtomicU8 = AtomicU8::new(0);
    let agreed = AGREED.load(Ordering::Relaxed);
    if told.is_some() && agreed == AGREEMENTS {
        return Ok(told);
    }
    let seen = Want::sift(stat(pid))?.ok().flatten().map(|stat| stat.start);
    if agreed < AGREEMENTS
        && let (Some(told), Some(seen)) = (told, seen)
    {
        AGREED.store(if told == seen { agreed + 1 } else { DISAGREED }, Ordering::Relaxed);
    }
    Ok(seen)
}

/// The tick in which something began that was not there before the first moment and was there at the second one, both told
/// as the time since the boot. `None` if it may have been either of two.
pub(super) fn tick_between(before: Option<Duration>, after: Option<Duration>) -> Option<u64> {
    static TICKS: OnceLock<u64> = OnceLock::new();
    let in_a_second = *TICKS.get_or_init(|| {
        let told = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        told.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100).clamp(1, 1_000_000_000)
    });
    let tick = |time: Duration| u64::try_from(time.as_nanos()).ok().map(|nanos| nanos / (1_000_000_000 / in_a_second));
    let (before, after) = (tick(before?)?, tick(after?)?);
    (before == after).then_some(after)
}

/// Everybody /proc shows, ourselves left out.
pub fn everybody() -> io::Result<Vec<ProcStat>> {
    let own = kill::own_pid();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<Pid>().ok()).filter(|pid| *pid > 1 && *pid != own);
        match number.map(stat) {
            Some(Ok(Some(stat))) => seen.push(stat),
            // Whoever cannot be seen for want of a descriptor is no less alive.
            Some(Err(error)) if Want::of(&error).is_some() => return Err(error),
            // One that is gone or cannot be looked at between the listing and the look is not known.
            Some(Ok(None) | Err(_)) | None => {}
        }
    }
    Ok(seen)
}

/// There is no descriptor or no memory to look with now, and nothing is known of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want(i32);

impl Want {
    /// `None`: the error does say something of what was asked for.
    pub fn of(error: &io::Error) -> Option<Want> {
        match error.raw_os_error() {
            Some(code @ (libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => Some(Want(code)),
            None if error.kind() == io::ErrorKind::OutOfMemory => Some(Want(libc::ENOMEM)),
            Some(_) | None => None,
        }
    }

    /// What was learned, or that there was no room to learn it.
    pub fn sift<T>(asked: io::Result<T>) -> Result<io::Result<T>, Want> {
        match asked.as_ref().err().and_then(Want::of) {
            Some(want) => Err(want),
            None => Ok(asked),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl From<Want> for io::Error {
    fn from(want: Want) -> io::Error {
        io::Error::from_raw_os_error(want.0)
    }
}

/// Longer than any environment the kernel lets through.
const CONTENTS_MAX: u64 = 8 << 20;

/// Room for the line of nearly every process.
const STAT_USUAL: usize = 1 << 10;

/// Room for nearly every environment.
const ENVIRONMENT_USUAL: usize = 16 << 10;

/// A file of /proc. All of /proc is read at each start, and std would ask each file for its size, which none there
/// knows, and then feel its way in small reads.
fn contents(path: &str, usual: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usual);
    std::fs::File::open(path)?.take(CONTENTS_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The values that a process was given for a variable, each time it was given.
pub fn variable(pid: Pid, key: &str) -> io::Result<Vec<Vec<u8>>> {
    let bytes = contents(&format!("/proc/{pid}/environ"), ENVIRONMENT_USUAL)?;
    let entries = bytes.split(|byte| *byte == 0);
    let values = entries.filter_map(|entry| entry.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
    Ok(values.map(<[u8]>::to_vec).collect())
}

/// What a process number is relative to: after a reboot, or in another pid namespace, it means somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The kernel's id of this boot.
    pub boot: String,
    /// The inode of our pid namespace, if it can be told.
    pub namespace: Option<u64>,
}

/// Where we are. An error: /proc is missing, or it is another namespace's, and nobody can be told apart.
pub fn machine() -> io::Result<Machine> {
    use std::os::unix::fs::MetadataExt;
    let ourselves = parse_stat(&std::fs::read("/proc/self/stat")?);
    if ourselves.is_none_or(|stat| stat.pid != kill::own_pid()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "/proc belongs to another pid namespace"));
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    // Taken for another namespace's, the records of this one would mean nothing.
    let namespace = Want::sift(std::fs::metadata("/proc/self/ns/pid"))?.map(|found| found.ino()).ok();
    Ok(Machine { boot, namespace })
}

/// The number of a pidfd's inode, which no other process of this boot has. `None` where the kernel has no such inodes.
#[cfg(target_os = "linux")]
// The widths of these types differ from C library to C library.
#[allow(clippy::unnecessary_cast)]
pub fn unique_inode(pidfd: &OwnedFd) -> Option<u64> {
    const PIDFS_MAGIC: i64 = 0x5049_4446;
    // One kernel has all its pidfds in one place.
    static IS_PIDFS: OnceLock<bool> = OnceLock::new();
    let is_pidfs = match IS_PIDFS.get() {
        Some(known) => *known,
        None => {
            let kind = nix::sys::statfs::fstatfs(pidfd).ok()?.filesystem_type();
            *IS_PIDFS.get_or_init(|| kind.0 as i64 == PIDFS_MAGIC)
        }
    };
    is_pidfs.then(|| nix::sys::stat::fstat(pidfd).ok().map(|found| found.st_ino as u64)).flatten()
}

/// The number of a pidfd's inode, which no other process of this boot has. `None` where the kernel has no such inodes.
#[cfg(not(target_os = "linux"))]
pub fn unique_inode(_pidfd: &OwnedFd) -> Option<u64> {
    None
}

/// A process that was made sure of. Signals go through its pidfd, so that a number given away is never hit.
#[derive(Debug)]
pub struct Grip {
    pid: Pid,
    start: u64,
    pidfd: Option<OwnedFd>,
}

/// Our own number.
pub fn own_pid() -> Pid {
    kill::own_pid()
}

const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Whether something still holds after a second; waits no longer than it does.
pub fn outlasts(holds: impl Fn() -> bool) -> bool {
    let pauses = PATIENCE.as_millis() / PAUSE.as_millis();
    holds()
        && !(0..pauses).any(|_| {
            std::thread::sleep(PAUSE);
            !holds()
        })
}

/// Takes hold of the process that has this number *and* this start, and this inode if both are known.
/// `None`: it is gone, or it is somebody else.
pub fn grip(pid: Pid, start: u64, inode: Option<u64>) -> io::Result<Option<Grip>> {
    if !is_still(pid, start)? {
        return Ok(None);
    }
    let pidfd = match watch::open_pidfd(pid) {
        Ok(pidfd) => Some(pidfd),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => return Ok(None),
        // The kernel has no such call, or a filter refuses it whoever is meant: the kernel asks for no permission here.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES)) => None,
        Err(error) => return Err(error),
    };
    let told = pidfd.as_ref().and_then(unique_inode);
    if matches!((told, inode), (Some(told), Some(inode)) if told != inode) || !is_still(pid, start)? {
        return Ok(None);
    }
    // One that no signal goes through would only make the number look safe.
    Ok(Some(Grip { pid, start, pidfd: pidfd.filter(|_| !kill::is_refused()) }))
}

impl Grip {
    /// Signals it. Where there are no pidfds it is verified once more, and signalled by its number at once.
    pub fn signal(&self, signal: Signal) -> Result<(), KillError> {
        if self.pidfd.is_none() && !is_still(self.pid, self.start)? {
            return Err(KillError::Gone);
        }
        kill::signal_process(self.pid, self.pidfd.as_ref(), signal)
    }
}

fn is_still(pid: Pid, start: u64) -> io::Result<bool> {
    Ok(stat(pid)?.is_some_and(|stat| stat.start == start))
}

/// A process that ended while it was looked at is not there.
fn present<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &[u8] = b" S 1 12 13 0 -1 4194560 7 0 0 0 1 2 0 0 20 0 1 0 4711 1000 1 18446744073709551615 1";

    fn text(command: &[u8]) -> Vec<u8> {
        [b"12 (".as_slice(), command, b")", TAIL].concat()
    }

    #[test]
    fn the_command_cannot_pretend_to_be_fields() {
        let expected = ProcStat { pid: 12, state: b'S', group: 12, session: 13, threads: 1, start: 4711 };
        for command in [b"sh".as_slice(), b"", b") R 1 (", b"))))(((", b"a b\nc", b"\xff\xfe", b"1) Z 1 1 1 1 1 1 1 1"]
        {
            assert_eq!(parse_stat(&text(command)), Some(expected), "{command:?}");
        }
    }

    #[test]
    fn who_has_a_living_thread_is_not_dead() {
        let with = |state: &str, threads: &str| {
            let line = format!("12 (sh) {state} 1 12 13 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 0");
            parse_stat(line.as_bytes()).unwrap().is_dead()
        };
        for (state, threads, dead) in [("S", "1", false), ("Z", "1", true), ("X", "0", true), ("Z", "2", false)] {
            assert_eq!(with(state, threads), dead, "{state} {threads}");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_stat_is_nothing() {
        let whole = text(b"sh");
        let needed = whole.windows(4).position(|part| part == b"4711").unwrap();
        for length in 0..needed {
            assert_eq!(parse_stat(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse_stat(b")("), None);
        assert_eq!(parse_stat(&[b'('; 100_000]), None);
    }

    #[test]
    fn a_want_is_told_from_an_answer() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert_eq!(Want::sift(Err::<(), _>(io::Error::from_raw_os_error(code))).unwrap_err(), Want(code));
        }
        assert_eq!(Want::of(&io::ErrorKind::OutOfMemory.into()), Some(Want(libc::ENOMEM)));
        for code in [libc::ENOENT, libc::EACCES, libc::EIO, libc::ESRCH] {
            assert!(Want::sift(Err::<(), _>(io::Error::from_raw_os_error(code))).unwrap().is_err());
        }
        assert_eq!(Want::sift(Ok(7)).unwrap().unwrap(), 7);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_are_who_we_are() {
        let own = stat(kill::own_pid()).unwrap().unwrap();
        assert!(!own.is_dead());
        assert_eq!(own.session, nix::unistd::getsid(None).unwrap().as_raw());
        assert!(grip(own.pid, own.start, None).unwrap().is_some());
        assert!(grip(own.pid, own.start + 1, None).unwrap().is_none(), "another start is another process");
        assert!(grip(PID_MAX, 1, None).unwrap().is_none());
        assert!(everybody().unwrap().iter().all(|stat| stat.pid != own.pid));
        assert_eq!(machine().unwrap().boot.len(), 36);
    }

    #[test]
    fn a_start_between_two_ticks_is_not_guessed() {
        let at = |millis| Some(Duration::from_millis(millis));
        let tick = |before, after| tick_between(at(before), at(after));
        let ticks = tick(1_000_000, 1_000_000).unwrap();
        assert_eq!(ticks % 1_000, 0, "{ticks}");
        assert_eq!(tick(1_000_000, 1_000_000 + 1_000 / (ticks / 1_000)), None);
        assert_eq!((tick_between(None, at(1)), tick_between(at(1), None)), (None, None));
    }

    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    #[test]
    fn another_inode_is_another_process() {
        let own = stat(kill::own_pid()).unwrap().unwrap();
        let Some(inode) = watch::open_pidfd(own.pid).ok().as_ref().and_then(unique_inode) else { return };
        assert!(grip(own.pid, own.start, Some(inode)).unwrap().is_some());
        assert!(grip(own.pid, own.start, Some(inode + 1)).unwrap().is_none());
    }
}
