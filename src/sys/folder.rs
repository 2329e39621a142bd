//! A folder held open, so that a name in it means the same from one call to the next, and as whom we act in it.
//!
//! Where the program's user could move, replace or link names in a folder, root must not touch them with root's rights:
//! everything there is then done with the user's own. The way to the folder is judged too, link by link, because a link
//! that the user laid leads wherever the user wants.

use super::files::FileIdentity;
use super::fsuid::{Owner, acting_as};
use nix::Result;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Open folder.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    acts_as: Option<(u32, u32)>,
    guarded: bool,
    identity: FileIdentity,
}

impl Folder {
    /// Opens a folder in which files are made for `owner` (nobody: for ourselves).
    pub fn open(path: &Path, owner: Option<&Owner>) -> Result<Folder> {
        let owner = owner.filter(|owner| owner.uid != 0 && nix::unistd::geteuid().is_root());
        let (fd, led_astray) = match owner {
            Some(owner) => walk(path, owner)?,
            None => (open_plain(path)?, false),
        };
        let stat = fstat(&fd)?;
        let acts_as = owner.and_then(|owner| acting(owner, &stat, led_astray));
        Ok(Folder { fd, acts_as, guarded: is_guarded(&stat), identity: FileIdentity::of(&stat) })
    }

    /// Whether nobody but root and ourselves can change its names. A sticky folder is no exception: others add names there.
    pub fn is_guarded(&self) -> bool {
        self.guarded && self.acts_as.is_none()
    }

    /// Which folder it is.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Whether things are done here with the rights of the program's user.
    pub fn acts_for_user(&self) -> bool {
        self.acts_as.is_some()
    }

    /// Does something in the folder with the rights that are right there.
    pub fn act<T>(&self, deed: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        match self.acts_as {
            Some((uid, gid)) => acting_as(uid, gid, || deed(self.fd.as_fd())),
            None => deed(self.fd.as_fd()),
        }
    }

    /// Does something in the folder with our own rights.
    pub fn act_as_ourselves<T>(&self, deed: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        deed(self.fd.as_fd())
    }

    /// What stands at a name; a link is not followed.
    pub fn stat(&self, name: &OsStr) -> Result<FileStat> {
        self.act(|folder| fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW))
    }

    /// Where a link leads.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString> {
        self.act(|folder| nix::fcntl::readlinkat(folder, name))
    }

    /// Renames within the folder.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        self.act(|folder| nix::fcntl::renameat(folder, from, folder, to))
    }
}

/// Root's or our own, and writable by nobody else.
fn is_guarded(folder: &FileStat) -> bool {
    is_trusted(folder) && folder.st_mode & 0o022 == 0
}

/// Root's or our own.
pub(super) fn is_trusted(stat: &FileStat) -> bool {
    stat.st_uid == 0 || stat.st_uid == nix::unistd::geteuid().as_raw()
}

/// With which uid and gid to act, if not with our own: the group is the one that opens the folder to the user.
fn acting(owner: &Owner, folder: &FileStat, led_astray: bool) -> Option<(u32, u32)> {
    let by_itself = folder.st_uid == owner.uid || folder.st_mode & 0o002 != 0;
    let member = folder.st_gid == owner.gid || owner.groups.contains(&folder.st_gid);
    if by_itself || led_astray {
        Some((owner.uid, owner.gid))
    } else if folder.st_mode & 0o020 != 0 && member {
        Some((owner.uid, folder.st_gid))
    } else {
        None
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const SEARCH: OFlag = OFlag::O_PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEARCH: OFlag = OFlag::O_RDONLY;

fn open_plain(path: &Path) -> Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    nix::fcntl::open(path, SEARCH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Links followed on one way before it counts as a circle; the kernel's own number.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LINKS_MAX: usize = 40;

/// Goes to a folder one name at a time, each from the folder before it, so that nobody can exchange a part behind our back.
/// Tells also whether a link was followed that `owner` could have laid.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn walk(path: &Path, owner: &Owner) -> Result<(OwnedFd, bool)> {
    use super::files::FileKind;
    use nix::errno::Errno;
    let mut here = open_plain(start(path))?;
    let mut ahead = names_backwards(path);
    let (mut led_astray, mut links) = (false, 0);
    while let Some(name) = ahead.pop() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let next = nix::fcntl::openat(&here, name.as_os_str(), flags, Mode::empty())?;
        let stat = fstat(&next)?;
        match FileKind::of(&stat) {
            FileKind::Folder => here = next,
            FileKind::Link => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::ELOOP);
                }
                led_astray |= could_have_laid(owner, &fstat(&here)?, &stat);
                // The empty name is the link itself, the very one that was judged.
                let target = nix::fcntl::readlinkat(&next, "")?;
                if Path::new(&target).is_absolute() {
                    here = open_plain(Path::new("/"))?;
                }
                ahead.extend(names_backwards(Path::new(&target)));
            }
            _ => return Err(Errno::ENOTDIR),
        }
    }
    Ok((here, led_astray))
}

/// Without O_PATH a link cannot be judged and followed as the same thing, so any link on the way counts as the user's.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn walk(path: &Path, _owner: &Owner) -> Result<(OwnedFd, bool)> {
    let straight = std::fs::canonicalize(path).is_ok_and(|canonical| canonical == path);
    Ok((open_plain(path)?, !straight))
}

/// A link owned by root in a sticky folder stays where root put it; any other link in a folder that `owner` writes to may be the owner's.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn could_have_laid(owner: &Owner, folder: &FileStat, link: &FileStat) -> bool {
    let sticky = folder.st_mode & 0o1000 != 0 && is_trusted(link) && is_trusted(folder);
    acting(owner, folder, false).is_some() && !sticky
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn start(path: &Path) -> &Path {
    if path.is_absolute() { Path::new("/") } else { Path::new(".") }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn names_backwards(path: &Path) -> Vec<OsString> {
    use std::path::Component::{CurDir, Normal, ParentDir, Prefix, RootDir};
    let name = |part| match part {
        Normal(name) => Some(name.to_owned()),
        ParentDir => Some("..".into()),
        CurDir | RootDir | Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}
