//! Who can connect to a socket, and how that is changed while it listens.

use super::BoundSocket;
use crate::sys::trusted_folder::{FileId, vet_folder};
use nix::unistd::getegid;
use std::fs::{self, File, Metadata};
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Who can connect to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Openness {
    /// Its mode.
    pub mode: u32,
    /// Its group, if it is another one than ours.
    pub group: Option<u32>,
}

impl Openness {
    /// For ourselves and root.
    pub const PRIVATE: Openness = Openness { mode: 0o600, group: None };
}

impl BoundSocket {
    /// Makes the socket's file as open as it is to be from now on. One that is not at its place stays as it is.
    ///
    /// # Errors
    /// The file is then as open as it was.
    pub fn set_openness(&mut self, openness: Openness) -> Result<(), String> {
        if openness == self.openness {
            return Ok(());
        }
        let told = |error| format!("socket {}: {error}", self.path.display());
        vet_folder(&self.path).map_err(|error| told(error.to_string()))?;
        if let Some(hold) = Hold::on(&self.path, self.id).map_err(|error| told(error.to_string()))? {
            let group = match (self.openness.group, openness.group) {
                (Some(_), None) => Some(getegid().as_raw()),
                (_, group) => group,
            };
            hold.change(openness.mode, group).map_err(|(deed, error)| told(format!("{deed}: {error}")))?;
        }
        self.openness = openness;
        Ok(())
    }
}

/// The socket's file itself, whatever its name leads to in the next moment.
struct Hold {
    found: Metadata,
    at: PathBuf,
    _file: Option<File>,
}

impl Hold {
    /// `None`: another file, or none, bears the name.
    fn on(path: &Path, id: FileId) -> io::Result<Option<Hold>> {
        let Some((found, file)) = find(path)? else { return Ok(None) };
        if FileId::of(&found) != id {
            return Ok(None);
        }
        let at = file.as_ref().and_then(place_of);
        // Without /proc by its name: in a vetted folder nobody else can give it to another file.
        Ok(Some(Hold { found, at: at.unwrap_or_else(|| path.to_owned()), _file: file }))
    }

    /// At no moment is it more open than before or after.
    fn change(&self, mode: u32, group: Option<u32>) -> Result<(), (&'static str, io::Error)> {
        let before = self.found.mode() & 0o7777;
        let set_mode = |mode| fs::set_permissions(&self.at, PermissionsExt::from_mode(mode));
        if let Some(gid) = group.filter(|gid| *gid != self.found.gid()) {
            set_mode(before & mode).map_err(|error| ("change of its mode", error))?;
            if let Err(error) = chown(&self.at, None, Some(gid)) {
                set_mode(before).map_err(|error| ("change of its mode", error))?;
                return Err(("change of its group", error));
            }
        }
        set_mode(mode).map_err(|error| ("change of its mode", error))
    }
}

/// The file of this name and, where a file can be held without being opened, a hold on it.
#[cfg(target_os = "linux")]
fn find(path: &Path) -> io::Result<Option<(Metadata, Option<File>)>> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some((file.metadata()?, Some(file)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file of this name.
#[cfg(not(target_os = "linux"))]
fn find(path: &Path) -> io::Result<Option<(Metadata, Option<File>)>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some((found, None))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A path that leads to the held file and to no other.
fn place_of(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let place = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    fs::symlink_metadata(&place).is_ok().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::super::bind;
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_socket_becomes_more_and_less_open_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut bound = bind(&path, true, Openness::PRIVATE).unwrap();
        for mode in [0o666, 0o660, 0o600] {
            bound.set_openness(Openness { mode, group: None }).unwrap();
            assert_eq!(mode_of(&path), mode);
            assert!(bound.is_in_place().unwrap());
        }
    }

    #[test]
    fn what_took_the_place_of_the_socket_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("s"), folder.path().join("victim"));
        fs::write(&victim, "his").unwrap();
        fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
        let mut bound = bind(&path, true, Openness::PRIVATE).unwrap();
        let wide = Openness { mode: 0o666, group: None };
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        symlink(&victim, &path).unwrap();
        bound.set_openness(wide).unwrap();
        assert_eq!(mode_of(&victim), 0o600);
        fs::rename(&victim, &path).unwrap();
        bound.openness = Openness::PRIVATE;
        bound.set_openness(wide).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(mode_of(&folder.path().join("elsewhere")), 0o600);
    }

    #[test]
    fn in_a_folder_that_became_open_to_all_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut bound = bind(&path, true, Openness::PRIVATE).unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let told = bound.set_openness(Openness { mode: 0o666, group: None }).unwrap_err();
        assert!(told.contains("not sticky"), "{told}");
        assert_eq!(mode_of(&path), 0o600);
    }
}
