//! The control socket: private from its first moment, never in place of something that is not ours to replace.

use crate::arena::wait_for;
use crate::lock::facts;
use crate::probe;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use supervice::sys::socket::{BindError, LONGEST_PATH, Openness, bind, peer_credentials};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    (folder, path)
}

/// A socket nobody listens on. Other tests make children meanwhile, and each holds a copy of the listener until it closes
/// what is not its own.
fn leave_dead(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    wait_for("the last copy of a listener to go", || UnixStream::connect(path).err());
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_bound_socket_is_private_answers_and_goes_when_told() {
    for has_lock in [true, false] {
        let (folder, path) = folder();
        let bound = bind(&path, has_lock, Openness::PRIVATE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["x.sock"]);
        assert_eq!(fs::symlink_metadata(&path).unwrap().nlink(), 1);
        assert!(bound.is_in_place().unwrap());
        assert!(bound.listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));

        let mut client = UnixStream::connect(&path).unwrap();
        let (mut server, _) = bound.listener.accept().unwrap();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        let peer = peer_credentials(&server).unwrap();
        assert_eq!(peer.uid, supervice::sys::user::effective_uid());
        if cfg!(target_os = "linux") {
            assert_eq!(peer.pid, Some(std::process::id() as i32));
        }
        bound.remove_if_ours().unwrap();
        assert!(!path.exists() && !bound.is_in_place().unwrap());
        bound.remove_if_ours().unwrap();
    }
}

#[test]
fn a_living_socket_is_refused_and_still_answers() {
    for has_lock in [true, false] {
        let (folder, path) = folder();
        let bound = bind(&path, has_lock, Openness::PRIVATE).unwrap();
        let before = facts(&path);
        let error = bind(&path, has_lock, Openness::PRIVATE).unwrap_err();
        assert!(matches!(error, BindError::Alive(_)));
        assert_eq!(error.to_string(), format!("another supervice answers on socket {}", path.display()));
        assert_eq!(facts(&path), before);
        assert_eq!(names(folder.path()), ["x.sock"]);
        assert!(bound.is_in_place().unwrap());
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn one_that_has_more_callers_than_it_takes_is_alive() {
    let (_folder, path) = folder();
    let listener = UnixListener::bind(&path).unwrap();
    // The queue of a listener that accepts nobody is full at some point; a waiting caller would then hang.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _callers = UnixStream::connect(&path).unwrap();
    assert!(matches!(bind(&path, true, Openness::PRIVATE).unwrap_err(), BindError::Alive(_)));
    assert!(matches!(bind(&path, true, Openness::PRIVATE).unwrap_err(), BindError::Alive(_)));
}

#[test]
fn a_dead_socket_is_replaced() {
    for has_lock in [true, false] {
        let (folder, path) = folder();
        leave_dead(&path);
        let dead = fs::symlink_metadata(&path).unwrap().ino();
        let bound = bind(&path, has_lock, Openness::PRIVATE).unwrap();
        assert_ne!(fs::symlink_metadata(&path).unwrap().ino(), dead);
        assert!(bound.is_in_place().unwrap());
        assert_eq!(names(folder.path()), ["x.sock"]);
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn of_many_without_a_lock_one_gets_it() {
    for round in 0..60 {
        let (folder, path) = folder();
        if round % 2 == 0 {
            leave_dead(&path);
        }
        let gate = Barrier::new(6);
        let results: Vec<_> = std::thread::scope(|scope| {
            let attempt = || {
                gate.wait();
                bind(&path, false, Openness::PRIVATE)
            };
            let tries: Vec<_> = (0..6).map(|_| scope.spawn(attempt)).collect();
            tries.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<_> = results.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert!(winners[0].is_in_place().unwrap());
        assert_eq!(names(folder.path()), ["x.sock"]);
    }
}

#[test]
fn without_a_lock_of_its_own_a_dead_socket_is_replaced_under_that_of_the_folder() {
    use nix::fcntl::{Flock, FlockArg};
    let (folder, path) = folder();
    leave_dead(&path);
    let held = Flock::lock(fs::File::open(folder.path()).unwrap(), FlockArg::LockExclusive).unwrap();
    let before = facts(&path);
    let error = bind(&path, false, Openness::PRIVATE).unwrap_err();
    assert!(error.to_string().contains("lock of its folder"), "{error}");
    assert_eq!((facts(&path), names(folder.path())), (before, vec!["x.sock".to_owned()]));
    // Nor does it matter to whoever has a lock of his own.
    bind(&path, true, Openness::PRIVATE).unwrap().remove_if_ours().unwrap();
    leave_dead(&path);
    drop(held);
    bind(&path, false, Openness::PRIVATE).unwrap();
}

fn assert_refused(path: &Path, victim: &Path, word: &str) {
    for has_lock in [true, false] {
        let before = (facts(victim), names(path.parent().unwrap()));
        let error = bind(path, has_lock, Openness::PRIVATE).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!((facts(victim), names(path.parent().unwrap())), before);
    }
}

#[test]
fn what_is_not_a_dead_socket_of_ours_is_refused_and_stays_as_it_was() {
    let (folder, path) = folder();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();

    fs::copy(&victim, &path).unwrap();
    assert_refused(&path, &path, "is a regular file");
    fs::remove_file(&path).unwrap();

    for target in [&victim, &folder.path().join("dangling"), &folder.path().join("dead")] {
        symlink(target, &path).unwrap();
        if !folder.path().join("dead").exists() {
            leave_dead(&folder.path().join("dead"));
        }
        assert_refused(&path, &victim, "is a symbolic link");
        fs::remove_file(&path).unwrap();
    }

    fs::create_dir(&path).unwrap();
    assert_refused(&path, &path, "is a folder");
    fs::remove_dir(&path).unwrap();

    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert_refused(&path, &path, "is a FIFO");
    fs::remove_file(&path).unwrap();

    // Somebody's, and no stream: whether it is alive cannot be asked.
    let _other = UnixDatagram::bind(&path).unwrap();
    assert_refused(&path, &path, "cannot be told");
    fs::remove_file(&path).unwrap();

    if probe::is_root() {
        leave_dead(&path);
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert_refused(&path, &path, "belongs to uid 65534");
    }
}

#[test]
fn a_folder_that_others_may_write_must_be_sticky() {
    let (folder, path) = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(bind(&path, true, Openness::PRIVATE).unwrap_err(), BindError::Folder(_)));
    assert!(names(folder.path()).is_empty());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    bind(&path, false, Openness::PRIVATE).unwrap();
}

#[test]
fn a_path_may_be_as_long_as_the_kernel_takes_and_not_longer() {
    let (folder, _) = folder();
    // A long folder and a short name: no hidden name fits behind it any more.
    let room = LONGEST_PATH - folder.path().as_os_str().len() - 1;
    let deep = folder.path().join("d".repeat(room - 2));
    fs::create_dir(&deep).unwrap();
    let longest = deep.join("s");
    assert_eq!(longest.as_os_str().len(), LONGEST_PATH);
    leave_dead(&longest);
    drop(bind(&longest, true, Openness::PRIVATE).unwrap());
    assert_eq!(names(&deep), ["s"]);

    let error = bind(&deep.join("st"), true, Openness::PRIVATE).unwrap_err();
    assert!(matches!(error, BindError::TooLong(_)));
    assert!(error.to_string().contains(&LONGEST_PATH.to_string()), "{error}");
    assert!(matches!(bind(&folder.path().join("no/s"), true, Openness::PRIVATE).unwrap_err(), BindError::Folder(_)));
}
