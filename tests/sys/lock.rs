//! The pidfile: one holder, and nothing harmed that is not ours.

use crate::arena::wait_for;
use crate::probe;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use supervice::sys::lock::{LockError, PidLock};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pid");
    (folder, path)
}

/// Bytes, mode, inode, owner.
pub fn facts(path: &Path) -> (Vec<u8>, u32, u64, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    let bytes = if found.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    (bytes, found.mode(), found.ino(), found.uid())
}

#[test]
fn the_holder_writes_its_pid_and_takes_the_file_along() {
    let (_folder, path) = folder();
    let lock = PidLock::acquire(&path).unwrap();
    let (bytes, mode, ..) = facts(&path);
    assert_eq!(bytes, format!("{}\n", std::process::id()).into_bytes());
    assert_eq!(mode & 0o7777, 0o600);
    assert!(!lock.is_lost().unwrap());
    lock.release().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_second_one_is_refused_within_seconds_and_told_who_holds_it() {
    let (_folder, path) = folder();
    let lock = PidLock::acquire(&path).unwrap();
    let before = facts(&path);
    let start = std::time::Instant::now();
    let error = PidLock::acquire(&path).unwrap_err();
    assert!(start.elapsed().as_millis() >= 900 && start.elapsed().as_secs() < 10);
    assert!(matches!(error, LockError::Held(..)));
    let text = format!("pidfile {} is locked: supervice is running with pid {}", path.display(), std::process::id());
    assert_eq!(error.to_string(), text);
    assert_eq!(facts(&path), before);
    drop(lock);
    assert_eq!(facts(&path), before);
    // What a dead daemon left behind is taken over.
    PidLock::acquire(&path).unwrap();
}

/// How many descriptors of ours lead to this file.
fn open_at(path: &Path) -> usize {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).count()
}

#[test]
fn a_lock_that_is_freed_within_the_second_is_had() {
    let (_folder, path) = folder();
    let lock = PidLock::acquire(&path).unwrap();
    let waiter = std::thread::spawn({
        let path = path.clone();
        move || PidLock::acquire(&path).map(drop)
    });
    // Our own descriptor and, between two of its tries, the other's.
    wait_for("the second to try", || (open_at(&path) == 2).then_some(()));
    lock.release().unwrap();
    waiter.join().unwrap().unwrap();
    assert!(path.exists());
}

#[test]
fn of_many_that_come_and_go_one_holds_it_and_holds_the_file_that_is_there() {
    let (_folder, path) = folder();
    let holders = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..150 {
                    // Refused after a second in vain: somebody else was luckier.
                    let Ok(lock) = PidLock::acquire(&path) else { continue };
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                    assert!(!lock.is_lost().unwrap());
                    holders.fetch_sub(1, Ordering::SeqCst);
                    lock.release().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_stale_file_is_shortened_and_made_private() {
    let (_folder, path) = folder();
    fs::write(&path, "12345678901234567890\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let _lock = PidLock::acquire(&path).unwrap();
    let (bytes, mode, ..) = facts(&path);
    assert_eq!(bytes, format!("{}\n", std::process::id()).into_bytes());
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_file_that_was_removed_or_replaced_is_lost_and_left_alone() {
    let (_folder, path) = folder();
    let lock = PidLock::acquire(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(lock.is_lost().unwrap());
    fs::write(&path, "another's").unwrap();
    assert!(lock.is_lost().unwrap());
    lock.release().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"another's");
}

fn assert_refused(path: &Path, victim: &Path, word: &str) {
    let before = facts(victim);
    let error = PidLock::acquire(path).unwrap_err();
    assert!(error.to_string().contains(word), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()) || word.contains("folder"), "{error}");
    assert_eq!(facts(victim), before);
}

#[test]
fn what_is_not_a_pidfile_is_refused_and_stays_as_it_was() {
    let (folder, path) = folder();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious\n").unwrap();

    fs::copy(&victim, &path).unwrap();
    assert_refused(&path, &path, "something else in it than a pid");
    fs::write(&path, "1".repeat(33)).unwrap();
    assert_refused(&path, &path, "something else in it than a pid");
    fs::remove_file(&path).unwrap();

    symlink(&victim, &path).unwrap();
    assert_refused(&path, &victim, "is a symbolic link");
    fs::remove_file(&path).unwrap();
    symlink(folder.path().join("dangling"), &path).unwrap();
    assert_refused(&path, &victim, "is a symbolic link");
    assert!(!folder.path().join("dangling").exists());
    fs::remove_file(&path).unwrap();

    fs::write(&victim, "1\n").unwrap();
    fs::hard_link(&victim, &path).unwrap();
    assert_refused(&path, &victim, "hard links");
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    assert_refused(&path, &path, "is a folder");
    fs::remove_dir(&path).unwrap();

    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert_refused(&path, &path, "is a FIFO");
}

#[test]
fn a_folder_that_others_may_write_must_be_sticky() {
    let (folder, path) = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_refused(&path, folder.path(), "folder");
    assert!(!path.exists());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    PidLock::acquire(&path).unwrap().release().unwrap();
    if probe::is_root() {
        fs::write(&path, "").unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert_refused(&path, &path, "belongs to uid 65534");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let (folder, _) = folder();
    let error = PidLock::acquire(&folder.path().join("no/such.pid")).unwrap_err();
    assert!(matches!(error, LockError::Folder(_)));
    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
}
