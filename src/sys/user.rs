//! Who a name of the password database is. Looked up at load and again at each spawn, so nothing is remembered here.

use std::ffi::{CStr, CString};
use std::io;
use std::path::PathBuf;

/// An entry of the password database with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups as login would set them, the primary one included; sorted, each once.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// The user of this name, or, for a name of digits that nobody bears, of this uid. `None`: there is no such entry.
pub fn lookup(name: &str) -> io::Result<Option<User>> {
    if name.is_empty() || name.contains('\0') {
        return Ok(None);
    }
    let mut entry = found(nix::unistd::User::from_name(name))?;
    if entry.is_none() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        let Ok(uid) = name.parse::<u32>() else { return Ok(None) };
        entry = found(nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)))?;
    }
    entry.map(complete).transpose()
}

/// The number of the group of this name, or, for a name of digits that no group bears, that number.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    if name.is_empty() || name.contains('\0') {
        return Ok(None);
    }
    let known = match nix::unistd::Group::from_name(name) {
        Err(nix::Error::ENOENT | nix::Error::ESRCH) => None,
        other => other?,
    };
    let number = || name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
    Ok(known.map(|group| group.gid.as_raw()).or_else(number))
}

/// Some name services call "no such entry" an error.
fn found(entry: nix::Result<Option<nix::unistd::User>>) -> io::Result<Option<nix::unistd::User>> {
    match entry {
        Err(nix::Error::ENOENT | nix::Error::ESRCH) => Ok(None),
        other => other.map_err(io::Error::from),
    }
}

fn complete(entry: nix::unistd::User) -> io::Result<User> {
    let name = CString::new(entry.name.as_str())?;
    let gid = entry.gid.as_raw();
    let mut groups = group_list(&name, gid)?;
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    Ok(User { name: entry.name, uid: entry.uid.as_raw(), gid, groups, home: entry.dir, shell: entry.shell })
}

#[cfg(not(target_vendor = "apple"))]
type RawGroup = libc::gid_t;
#[cfg(target_vendor = "apple")]
type RawGroup = libc::c_int;

/// More groups than any kernel takes for one process.
const MOST_GROUPS: usize = 65_536;

#[allow(clippy::unnecessary_cast)] // RawGroup is signed where Apple made it.
fn group_list(name: &CStr, gid: u32) -> io::Result<Vec<u32>> {
    let mut room = 64;
    loop {
        let mut groups: Vec<RawGroup> = vec![0; room];
        let mut count = libc::c_int::try_from(room).unwrap_or(libc::c_int::MAX);
        // SAFETY: `name` ends in NUL, and `groups` has room for `count` entries.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid as RawGroup, groups.as_mut_ptr(), &mut count) };
        if result >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return Ok(groups.into_iter().map(|group| group as u32).collect());
        }
        // Not every system tells how many there are, so the room at least doubles.
        room = usize::try_from(count).unwrap_or(0).max(room * 2);
        if room > MOST_GROUPS {
            return Err(io::Error::other("the user is in too many groups"));
        }
    }
}

/// The user id that this process acts with.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    effective_uid() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_number_with_its_primary_group() {
        let root = lookup("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert!(!root.home.as_os_str().is_empty());
        assert_eq!(lookup("0").unwrap().unwrap(), root);
    }

    #[test]
    fn names_nobody_bears_are_nobody() {
        for name in ["", "0day", "999999", "99999999999999999999", "no such user", "ro\0ot", "-1", "+0"] {
            assert_eq!(lookup(name).unwrap(), None, "{name:?}");
        }
    }
}
