//! Nobody can turn the daemon's rights against a third party's file.

use crate::scene::{Scene, at, is_root, spec};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use supervice::logs::sink::Notice;
use supervice::sys::fsuid::Owner;
use supervice::sys::log_file::{OpenError, open_log};

/// Some user of no account anywhere.
const SOMEBODY: u32 = 54_321;

fn somebody() -> Owner {
    Owner { uid: SOMEBODY, gid: SOMEBODY, groups: vec![SOMEBODY, 54_322] }
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A file that nobody may touch, and what it looks like untouched.
struct Victim {
    scene: Scene,
    before: (Vec<u8>, u32, u32, u64),
}

impl Victim {
    fn new() -> Victim {
        let scene = Scene::new();
        fs::write(scene.path("victim"), "precious\n").unwrap();
        permit(&scene.path("victim"), 0o600);
        let before = Victim::look(&scene);
        Victim { scene, before }
    }

    fn look(scene: &Scene) -> (Vec<u8>, u32, u32, u64) {
        let facts = fs::metadata(scene.path("victim")).unwrap();
        (fs::read(scene.path("victim")).unwrap(), facts.mode(), facts.uid(), facts.ino())
    }

    fn check(&self) {
        assert_eq!(Victim::look(&self.scene), self.before, "the victim is untouched");
    }
}

fn refusal(path: &Path, owner: Option<Owner>) -> String {
    open_log(path, owner, 0o022).expect_err("must be refused").to_string()
}

#[test]
fn links_that_others_could_have_laid_are_refused() {
    for mode in [0o777, 0o1777, 0o775] {
        let victim = Victim::new();
        let folder = victim.scene.folder("open", mode);
        symlink(victim.scene.path("victim"), folder.join("a.log")).unwrap();
        assert!(refusal(&folder.join("a.log"), None).contains("is a symbolic link that others could have laid"));
        symlink(victim.scene.path("fresh"), folder.join("b.log")).unwrap();
        assert!(refusal(&folder.join("b.log"), None).contains("symbolic link"));
        assert!(!victim.scene.path("fresh").exists(), "nothing is made beyond a link");
        victim.check();
    }
}

/// A link that comes between the look and the opening finds the opening closed to links.
#[cfg(target_os = "linux")]
#[test]
fn a_link_that_comes_in_between_is_not_followed() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    use std::sync::atomic::{AtomicBool, Ordering};
    let victim = Victim::new();
    let folder = victim.scene.folder("open", 0o777);
    let (log, link) = (folder.join("a.log"), folder.join("link"));
    symlink(victim.scene.path("victim"), &link).unwrap();
    fs::write(&log, "").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat2(AT_FDCWD, &log, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let opened =
            (0..40_000).filter_map(|_| open_log(&log, None, 0o022).ok()).map(|mut file| file.write(b"x\n").unwrap());
        let opened = opened.count();
        over.store(true, Ordering::Relaxed);
        assert!(opened > 0, "sometimes it is a file");
    });
    victim.check();
}

#[test]
fn links_of_our_own_are_followed() {
    let scene = Scene::new();
    let folder = scene.folder("ours", 0o755);
    fs::create_dir(folder.join("deep")).unwrap();
    symlink("deep/app.log", folder.join("current.log")).unwrap();
    let mut file = open_log(&folder.join("current.log"), None, 0o022).unwrap();
    assert_eq!(file.write(b"line\n").unwrap(), 5);
    assert_eq!(fs::read(folder.join("deep/app.log")).unwrap(), b"line\n");
    symlink("round.log", folder.join("round.log")).unwrap();
    assert!(refusal(&folder.join("round.log"), None).contains("ELOOP"));
}

#[test]
fn a_link_of_somebody_else_is_refused_even_in_our_folder() {
    if !is_root("a_link_of_somebody_else_is_refused_even_in_our_folder") {
        return;
    }
    let victim = Victim::new();
    let folder = victim.scene.folder("ours", 0o755);
    symlink(victim.scene.path("victim"), folder.join("a.log")).unwrap();
    std::os::unix::fs::lchown(folder.join("a.log"), Some(SOMEBODY), None).unwrap();
    assert!(refusal(&folder.join("a.log"), None).contains("symbolic link"));
    victim.check();
}

#[test]
fn hard_links_are_refused() {
    let victim = Victim::new();
    let path = victim.scene.path("a.log");
    fs::hard_link(victim.scene.path("victim"), &path).unwrap();
    assert!(refusal(&path, None).ends_with("has more than one name (hard links)"));
    fs::remove_file(&path).unwrap();
    victim.check();
}

#[test]
fn what_is_no_file_is_named_and_never_waited_for() {
    let scene = Scene::new();
    let fifo = scene.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert!(refusal(&fifo, None).ends_with("fifo is a FIFO, not a log file"));
    let reader = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    assert!(refusal(&fifo, None).ends_with("is a FIFO, not a log file"), "a reader makes no difference");
    drop(reader);
    let _listener = std::os::unix::net::UnixListener::bind(scene.path("socket")).unwrap();
    assert!(refusal(&scene.path("socket"), None).ends_with("is a socket, not a log file"));
    assert!(refusal(&scene.folder("folder", 0o755), None).ends_with("is a directory, not a log file"));
    assert!(refusal(Path::new("/"), None).ends_with("is a directory, not a log file"));
    assert!(refusal(&scene.path("folder/.."), None).ends_with("is a directory, not a log file"));
    assert!(refusal(&scene.path("missing/a.log"), None).contains("ENOENT"));
    fs::write(scene.path("file"), "").unwrap();
    assert!(refusal(&scene.path("file/a.log"), None).contains("ENOTDIR"));
}

#[test]
fn devices_are_written_to() {
    let mut null = open_log(Path::new("/dev/null"), None, 0o022).unwrap();
    assert!(!null.is_regular());
    assert_eq!(null.write(b"gone\n").unwrap(), 5);
}

/// The process umask belongs to the whole process, so each case is a process of its own.
#[test]
fn the_mode_follows_the_umask_of_the_start() {
    if let Ok(folder) = std::env::var("LOGS_TEST_FOLDER") {
        for (umask, name) in [(0, "a"), (0o022, "b"), (0o027, "c"), (0o077, "d")] {
            open_log(&Path::new(&folder).join(name), None, umask).unwrap();
        }
        return;
    }
    for own_umask in ["000", "077"] {
        let scene = Scene::new();
        let again = format!("umask {own_umask}; exec \"$0\" --exact safety::the_mode_follows_the_umask_of_the_start");
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", &again])
            .arg(std::env::current_exe().unwrap())
            .env("LOGS_TEST_FOLDER", scene.root())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let mode = |name| fs::metadata(scene.path(name)).unwrap().mode() & 0o7777;
        assert_eq!([mode("a"), mode("b"), mode("c"), mode("d")], [0o640, 0o640, 0o640, 0o600]);
    }
}

#[test]
fn an_existing_file_keeps_its_mode() {
    let scene = Scene::new();
    fs::write(scene.path("a.log"), "old\n").unwrap();
    permit(&scene.path("a.log"), 0o604);
    open_log(&scene.path("a.log"), None, 0).unwrap();
    assert_eq!(fs::metadata(scene.path("a.log")).unwrap().mode() & 0o7777, 0o604);
}

/// The four uids that this thread has: real, effective, saved, file system.
fn our_uids() -> Vec<String> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap().to_owned();
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn in_a_folder_of_the_user_things_are_done_as_the_user() {
    if !is_root("in_a_folder_of_the_user_things_are_done_as_the_user") {
        return;
    }
    let mut scene = Scene::new();
    let folder = scene.folder("theirs", 0o755);
    chown(&folder, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let path = folder.join("a.log");
    let id = scene.sinks.open(&spec(&path, 4, 2), Some(&somebody())).unwrap().unwrap();
    for line in ["one\n", "two\n", "thr\n", "fou\n"] {
        assert_eq!(scene.write(id, line, 0), 0);
    }
    for name in ["a.log", "a.log.1", "a.log.2"] {
        let facts = fs::metadata(folder.join(name)).unwrap();
        assert_eq!((facts.uid(), facts.gid(), facts.mode() & 0o7777), (SOMEBODY, SOMEBODY, 0o640), "{name}");
    }
    assert_eq!(our_uids(), ["0", "0", "0", "0"], "and our identity is back");
}

#[test]
fn the_user_cannot_make_us_open_what_the_user_could_not() {
    if !is_root("the_user_cannot_make_us_open_what_the_user_could_not") {
        return;
    }
    let victim = Victim::new();
    let folder = victim.scene.folder("theirs", 0o755);
    chown(&folder, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    symlink(victim.scene.path("victim"), folder.join("a.log")).unwrap();
    assert!(refusal(&folder.join("a.log"), Some(somebody())).contains("symbolic link"));
    fs::hard_link(victim.scene.path("victim"), folder.join("b.log")).unwrap();
    assert!(refusal(&folder.join("b.log"), Some(somebody())).contains("hard links"));
    fs::remove_file(folder.join("b.log")).unwrap();
    fs::write(folder.join("c.log"), "of a third\n").unwrap();
    permit(&folder.join("c.log"), 0o600);
    chown(folder.join("c.log"), Some(SOMEBODY + 7), None).unwrap();
    assert!(refusal(&folder.join("c.log"), Some(somebody())).contains("EACCES"));
    assert_eq!(fs::read(folder.join("c.log")).unwrap(), b"of a third\n");
    victim.check();
}

#[test]
fn a_log_that_an_earlier_daemon_made_as_root_goes_on() {
    if !is_root("a_log_that_an_earlier_daemon_made_as_root_goes_on") {
        return;
    }
    let mut scene = Scene::new();
    let folder = scene.folder("theirs", 0o755);
    chown(&folder, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let path = folder.join("a.log");
    fs::write(&path, "old\n").unwrap();
    permit(&path, 0o600);
    let id = scene.sinks.open(&spec(&path, 8, 1), Some(&somebody())).unwrap().unwrap();
    scene.write(id, "new\n", 0);
    assert_eq!(fs::read(&path).unwrap(), b"old\nnew\n");
    scene.write(id, "more\n", 0);
    assert_eq!(fs::metadata(&path).unwrap().uid(), SOMEBODY, "the next one is the user's");
}

#[test]
fn a_link_on_the_way_leads_no_further_than_the_user_could_go() {
    if !is_root("a_link_on_the_way_leads_no_further_than_the_user_could_go") {
        return;
    }
    let scene = Scene::new();
    let secret = scene.folder("secret", 0o755);
    let home = scene.folder("home", 0o755);
    chown(&home, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    symlink(&secret, home.join("logs")).unwrap();
    let message = refusal(&home.join("logs/a.log"), Some(somebody()));
    assert!(message.contains("EACCES") && message.contains("as uid 54321"), "{message}");
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 0);
    let ours = scene.folder("ours", 0o755);
    symlink(&secret, ours.join("logs")).unwrap();
    open_log(&ours.join("logs/a.log"), Some(somebody()), 0o022).unwrap();
    assert_eq!(fs::metadata(secret.join("a.log")).unwrap().uid(), 0, "a link of ours is as good as a folder");
}

#[test]
fn a_folder_of_ours_in_the_users_home_still_works() {
    if !is_root("a_folder_of_ours_in_the_users_home_still_works") {
        return;
    }
    let scene = Scene::new();
    let home = scene.folder("home", 0o755);
    chown(&home, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    fs::create_dir(home.join("logs")).unwrap();
    open_log(&home.join("logs/a.log"), Some(somebody()), 0o022).unwrap();
    assert_eq!(fs::metadata(home.join("logs/a.log")).unwrap().uid(), 0);
}

#[test]
fn a_group_that_may_write_counts_if_the_user_is_in_it() {
    if !is_root("a_group_that_may_write_counts_if_the_user_is_in_it") {
        return;
    }
    for (group, uid, gid) in [(54_322, SOMEBODY, 54_322), (54_323, 0, 0)] {
        let scene = Scene::new();
        let folder = scene.folder("shared", 0o775);
        chown(&folder, Some(0), Some(group)).unwrap();
        permit(&folder, 0o775);
        open_log(&folder.join("a.log"), Some(somebody()), 0o022).unwrap();
        let facts = fs::metadata(folder.join("a.log")).unwrap();
        assert_eq!((facts.uid(), facts.gid()), (uid, gid));
    }
}

#[test]
fn a_backup_that_is_no_file_stops_that_rotation_and_nothing_else() {
    let make_link = |victim: &Path, place: &Path| symlink(victim, place).unwrap();
    let make_folder = |_: &Path, place: &Path| fs::create_dir(place).unwrap();
    for make in [make_link as fn(&Path, &Path), make_folder] {
        let mut victim = Victim::new();
        let in_the_way = victim.scene.path("a.log.1");
        make(&victim.scene.path("victim"), &in_the_way);
        let id = victim.scene.open("a.log", 4, 3);
        assert_eq!(victim.scene.write(id, "one\ntwo\n", 0), 0);
        assert_eq!(victim.scene.read("a.log"), "one\ntwo\n", "the open file goes on");
        let notices = victim.scene.notices(0);
        assert!(matches!(notices.as_slice(), [Notice::RotationFailing { .. }]), "{notices:?}");
        victim.check();
        fs::remove_file(&in_the_way).or_else(|_| fs::remove_dir(&in_the_way)).unwrap();
        assert!(matches!(victim.scene.notices(5).as_slice(), [Notice::RotationRecovered { .. }]));
        victim.scene.write(id, "thr\n", 5);
        assert_eq!((victim.scene.read("a.log.1"), victim.scene.read("a.log")), ("one\ntwo\n".into(), "thr\n".into()));
    }
}

#[test]
fn a_refused_path_fails_the_opening_of_a_sink() {
    let mut scene = Scene::new();
    let folder = scene.folder("folder", 0o755);
    let error = scene.sinks.open(&spec(&folder, 0, 0), None).unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }));
    assert_eq!(scene.sinks.deadline(), None);
    assert_eq!(scene.sinks.on_deadline(at(9)), []);
}

#[test]
fn a_start_with_other_rights_takes_the_open_file_over() {
    if !is_root("a_start_with_other_rights_takes_the_open_file_over") {
        return;
    }
    let mut scene = Scene::new();
    let (home, guarded) = (scene.folder("home", 0o755), scene.folder("guarded", 0o755));
    let logs = scene.folder("home/logs", 0o755);
    let log = spec(&logs.join("a.log"), 0, 0);
    let before = scene.sinks.open(&log, None).unwrap().unwrap();
    for path in [&home, &logs, &logs.join("a.log")] {
        chown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    // The pipe of the run before is still open when the next one starts.
    let id = scene.sinks.open(&log, Some(&somebody())).unwrap().unwrap();
    scene.sinks.release(before, at(0));
    fs::remove_file(logs.join("a.log")).unwrap();
    assert_eq!(scene.write(id, "new\n", 2), 0);
    assert_eq!(fs::metadata(logs.join("a.log")).unwrap().uid(), SOMEBODY);
    fs::remove_dir_all(&logs).unwrap();
    symlink(&guarded, &logs).unwrap();
    std::os::unix::fs::lchown(&logs, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    assert_eq!(scene.write(id, "not as root\n", 4), 12);
    assert!(!guarded.join("a.log").exists());
}
