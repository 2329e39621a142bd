//! The failure table, files and clients: attacks on paths, odd files, disks that stand still, readers that do not read.

use crate::harness::*;
use crate::machine::*;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn row_37_a_flood_of_four_drowns_nobody() {
    let d = Daemon::start_in(
        Home::alone(),
        "[program:flood]\ncommand = yes\nnumprocs = 4\nstartsecs = 0\nstdout_logfile = {dir}/f%(process_num)s\n\
         stdout_logfile_maxbytes = 1MB\nstdout_logfile_backups = 1\n\
         [program:quiet]\ncommand = sh -c 'echo a line; exec sleep 1000'\nstartsecs = 0\nautostart = false\nstdout_logfile = {dir}/quiet\n",
    );
    let rotated = || (0..4).all(|n| d.home.join(&format!("f{n:02}.1")).exists());
    d.wait("all four have been rotated", || rotated().then_some(()));
    let before = process::resident(d.pid());
    d.done("start", "quiet");
    assert_eq!(d.wait_file("quiet"), "a line\n");
    for _ in 0..50 {
        assert_eq!(d.rows().len(), 5);
        for n in 0..4 {
            let size = fs::metadata(d.home.join(&format!("f{n:02}"))).map_or(0, |found| found.len());
            assert!(size <= 1 << 20, "{size} bytes");
        }
    }
    let grown = process::resident(d.pid()).saturating_sub(before);
    assert!(grown <= 2048, "{grown} KiB more");
    d.assert_well();
}

#[test]
fn row_45_a_client_that_never_reads_costs_a_bounded_buffer() {
    let d = Daemon::start_in(
        Home::new(),
        "[program:a]\ncommand = {actor}\nnumprocs = 5000\nautostart = false\n[program:b]\ncommand = {actor}\nstartsecs = 0\n",
    );
    let before = process::resident(d.pid());
    let mut lazy: Vec<Client> = (0..4).map(|_| d.client()).collect();
    let begun = Instant::now();
    for client in &mut lazy {
        client.patience(Duration::from_millis(100));
        // Many big replies are asked for, and none is read.
        for _ in 0..50 {
            client.send(&json!({"command": "status"})).unwrap();
        }
    }
    while begun.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        assert_eq!(d.order("status", "")["status"], "ok");
        assert!(asked.elapsed() < Duration::from_secs(30), "status took {:?}", asked.elapsed());
        let grown = process::resident(d.pid()).saturating_sub(before);
        assert!(grown < 4 * 4 * 1024 + 4096, "{grown} KiB more for four clients");
    }
    let sockets = || process::descriptors(d.pid()).values().filter(|target| target.starts_with("socket:")).count();
    let quiet = Duration::from_secs(120).saturating_sub(begun.elapsed());
    d.wait_within(quiet, "the lazy clients are dropped", || (sockets() <= 2).then_some(()));
    assert!(begun.elapsed() > Duration::from_secs(20), "dropped after {:?} only", begun.elapsed());
    d.assert_well();
}

#[derive(Debug, PartialEq, Eq)]
struct Trace {
    bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    inode: u64,
    links: u64,
}

fn trace(path: &Path) -> Trace {
    let found = fs::metadata(path).unwrap();
    Trace {
        bytes: fs::read(path).unwrap(),
        mode: found.mode(),
        owner: (found.uid(), found.gid()),
        inode: found.ino(),
        links: found.nlink(),
    }
}

/// What, and how it is laid: (victim, place).
type Attack = (&'static str, fn(&Path, &Path));

fn attacks() -> Vec<Attack> {
    vec![
        ("a regular file", |victim, place| assert!(fs::copy(victim, place).is_ok())),
        ("a link", |victim, place| symlink(victim, place).unwrap()),
        ("a hard link", |victim, place| fs::hard_link(victim, place).unwrap()),
        ("a dangling link", |victim, place| symlink(victim.with_file_name("nowhere"), place).unwrap()),
        ("a folder", |_, place| fs::create_dir(place).unwrap()),
    ]
}

#[test]
fn row_50_attacks_on_the_daemons_own_paths_leave_the_victim_alone() {
    for option in ["socket", "pidfile", "state_file", "logfile"] {
        for (what, lay) in attacks() {
            let home = Home::new();
            let victim = home.write("victim", "root:x:0:0::/root:/bin/sh\n");
            fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
            // Laid by somebody else in a folder that all may write, as /tmp is.
            let folder = home.join("open");
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
            let place = folder.join("place");
            lay(&victim, &place);
            if is_root() && !["a hard link", "a regular file"].contains(&what) {
                std::os::unix::fs::lchown(&place, Some(65534), Some(65534)).unwrap();
            }
            let (before, placed) = (trace(&victim), fs::symlink_metadata(&place).unwrap().ino());
            let own = [("socket", "{dir}/s.sock"), ("pidfile", "{dir}/d.pid")];
            let others: String = own
                .iter()
                .filter(|(name, _)| *name != option)
                .map(|(name, path)| format!("{name} = {path}\n"))
                .collect();
            home.configure_raw(&format!(
                "[supervice]\n{others}{option} = {{dir}}/open/place\n[program:a]\ncommand = {{actor}}\nstartsecs = 0\n"
            ));
            let ran = run(
                home.command("timeout").args(["--signal=TERM", "1"]).arg(supervice()).args(["-n", "-c", "c.conf"]),
                DEADLINE,
            );
            let case = format!("{option} is {what}: {ran:?}");
            assert_eq!(fs::symlink_metadata(&place).map(|found| found.ino()).ok(), Some(placed), "{case}");
            if option == "logfile" && (what == "a regular file" || !is_root() && what.contains("link")) {
                // A regular file is where a log belongs, and our own link is a way we laid ourselves.
                continue;
            }
            assert_eq!(trace(&victim), before, "{case}");
            assert!(!home.join("nowhere").exists(), "{case}");
            if matches!(option, "socket" | "pidfile") {
                assert_ne!(ran.code, 0, "{case}");
                assert!(ran.stderr.contains("place"), "{case}");
            }
        }
    }
}

/// The log's folder belongs to the program's user, who lays links in it (nginx, CVE-2016-1247).
#[test]
fn row_50_the_programs_user_cannot_lead_root_astray_by_its_log() {
    if !is_root() {
        return skip("row 50, logs", "needs root");
    }
    for (name, what, lay) in attacks().into_iter().flat_map(|(what, lay)| [("log", what, lay), ("log.1", what, lay)]) {
        let home = Home::new();
        home.open_to_all();
        let victim = home.write("victim", "precious\n");
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        let logs = home.join("logs");
        fs::create_dir(&logs).unwrap();
        std::os::unix::fs::chown(&logs, Some(65534), Some(65534)).unwrap();
        let place = logs.join(name);
        lay(&victim, &place);
        if what == "a regular file" {
            fs::write(&place, "the user's own\n").unwrap();
        }
        let before = trace(&victim);
        let d = Daemon::start_in(
            home,
            "[program:a]\ncommand = {dir}/actor --lines 3000\nuser = nobody\nstdout_logfile = {dir}/logs/log\n\
             stdout_logfile_maxbytes = 1KB\nstdout_logfile_backups = 2\nstartretries = 0\nstartsecs = 0\n\
             [program:b]\ncommand = {dir}/actor\nstartsecs = 0\n",
        );
        d.wait_state("b", "RUNNING");
        d.wait("a is up or refused", || ["RUNNING", "FATAL", "BACKOFF"].contains(&d.state("a").as_str()).then_some(()));
        d.order("stop", "a");
        // Its user may take away a name that it gave.
        let after = Trace { links: before.links, ..trace(&victim) };
        assert_eq!(after, before, "{name} is {what}\n{}", d.story());
        assert!(!d.home.join("nowhere").exists(), "{name} is {what}");
        d.assert_well();
    }
}

#[test]
fn row_52_a_replaced_pidfile_is_told_and_never_made_again() {
    let mut d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    fs::remove_file(d.home.join("d.pid")).unwrap();
    d.home.write("d.pid", "4711\n");
    if cfg!(feature = "portable") {
        d.signal(nix::sys::signal::Signal::SIGUSR1);
    }
    let line = d.wait_log("was removed or replaced");
    assert!(line.contains("WARNING"), "{line}");
    let third = d.home.run_daemon(&["-n", "-c", "c.conf"]);
    assert_eq!(third.code, 1, "{third:?}");
    assert_eq!(d.home.pids("t").len(), 1, "a third daemon forked");
    d.assert_well();
    // The third one had the lock of the new file for a moment, and gave it back with its own name for it.
    let left = fs::read_to_string(d.home.join("d.pid")).unwrap_or_default();
    assert_eq!(d.terminate(), 0);
    assert_eq!(fs::read_to_string(d.home.join("d.pid")).unwrap_or_default(), left);
}

#[test]
fn row_62_files_that_are_no_configuration() {
    let latin = b"[program:caf\xe9]\ncommand = true\n".to_vec();
    let with_nul = b"[program:a]\ncommand = tr\0ue\n".to_vec();
    type Arm = (&'static str, Box<dyn Fn(&Path)>);
    let arms: [Arm; 4] = [
        ("a folder", Box::new(|path| fs::create_dir(path).unwrap())),
        ("100 MB", Box::new(|path| fs::File::create(path).unwrap().set_len(100 << 20).unwrap())),
        ("a NUL", Box::new(move |path| fs::write(path, &with_nul).unwrap())),
        ("Latin-1", Box::new(move |path| fs::write(path, &latin).unwrap())),
    ];
    for (what, make) in &arms {
        let home = Home::new();
        make(&home.join("odd.conf"));
        let ran = home.run_daemon(&["-n", "-c", "odd.conf"]);
        assert_eq!(ran.code, 2, "{what}: {ran:?}");
        assert!(ran.stderr.contains("odd.conf"), "{what}: {ran:?}");
        assert!(ran.took < Duration::from_secs(30), "{what}: {ran:?}");
        if ["a NUL", "Latin-1"].contains(what) {
            assert!(ran.stderr.contains("odd.conf:1:") || ran.stderr.contains("odd.conf:2:"), "{what}: {ran:?}");
        }
    }
    let env: [(&str, Vec<u8>, Option<&str>); 3] = [
        ("a NUL", b"A=1\nB=\0\n".to_vec(), Some("2")),
        ("no assignment", b"A=1\n\nnonsense\n".to_vec(), Some("3")),
        ("100 MB", vec![], None),
    ];
    for (what, text, line) in env {
        let home = Home::new();
        let file = home.write("env", &text);
        if line.is_none() {
            fs::File::create(&file).unwrap().set_len(100 << 20).unwrap();
        }
        home.configure("[program:a]\ncommand = true\nenv_file = {dir}/env\n");
        let ran = home.run_daemon(&["-n", "-c", "c.conf"]);
        assert_eq!(ran.code, 2, "{what}: {ran:?}");
        assert!(ran.stderr.contains("/env"), "{what}: {ran:?}");
        assert!(
            line.is_none_or(
                |line| ran.stderr.contains(&format!("/env:{line}")) || ran.stderr.contains(&format!("line {line}"))
            ),
            "{what}: {ran:?}"
        );
        assert!(ran.took < Duration::from_secs(30), "{what}: {ran:?}");
    }
    let home = Home::new();
    home.configure_raw("\u{feff}[supervice]\r\nsocket = {dir}/s.sock\r\npidfile = {dir}/d.pid\r\n[program:a]\r\ncommand = {actor}\r\nstartsecs = 0\r\n");
    Daemon::launch(home).wait_state("a", "RUNNING");
}

/// An ext4 of its own, frozen for a while.
struct Frozen {
    place: PathBuf,
}

impl Frozen {
    fn freeze(place: &Path) -> Result<Frozen, String> {
        match Command::new("fsfreeze").arg("-f").arg(place).status() {
            Ok(status) if status.success() => Ok(Frozen { place: place.to_owned() }),
            _ => Err("fsfreeze is not permitted".to_owned()),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.place).status();
    }
}

#[test]
fn row_65_a_log_disk_that_stands_still_loses_nothing() {
    let home = Home::new();
    let disk = match Mount::disk(&home.join("disk"), &home.join("image"), "rw") {
        Ok(disk) => disk,
        Err(reason) => return skip("row 65", &reason),
    };
    let place = home.join("disk");
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = sh -c 'n=0; while [ $n -lt 400 ]; do echo line $n; n=$((n+1)); sleep 0.01; done; echo end; exec sleep 1000'\n\
         startsecs = 1\nstdout_logfile = {dir}/disk/log\n[program:b]\ncommand = {actor}\nstartsecs = 8\n",
    );
    d.wait_file("disk/log");
    let pids: Vec<_> = d.rows().iter().map(|row| row.pid).collect();
    let frozen = match Frozen::freeze(&place) {
        Ok(frozen) => frozen,
        Err(reason) => {
            drop(d);
            drop(disk);
            return skip("row 65", &reason);
        }
    };
    // The time that passes is what is tested.
    std::thread::sleep(Duration::from_secs(4));
    drop(frozen);
    d.wait("all lines are there", || d.home.read("disk/log").ends_with("end\n").then_some(()));
    let expected: String = (0..400).map(|n| format!("line {n}\n")).chain(["end\n".to_owned()]).collect();
    assert_eq!(d.home.read("disk/log"), expected);
    d.wait_all("RUNNING");
    assert_eq!(d.rows().iter().map(|row| row.pid).collect::<Vec<_>>(), pids, "{}", d.story());
    d.assert_well();
    drop(d);
    drop(disk);
}

/// A running program keeps the log open that another one shares.
const SHARERS: &str = "[program:keeper]\ncommand = {actor} --touch {dir}/k\nstartsecs = 0\nstdout_logfile = {dir}/logs/log\n\
    [program:b]\ncommand = {actor} --lines 3 --touch {dir}/t\nstartsecs = 0\nstartretries = 0\nautostart = false\n\
    stdout_logfile = {dir}/logs/log\n";

fn with_sharers() -> (Daemon, PathBuf) {
    let home = Home::new();
    let logs = home.join("logs");
    fs::create_dir(&logs).unwrap();
    let d = Daemon::start_in(home, SHARERS);
    d.wait_file("k");
    (d, logs)
}

#[test]
fn a_start_fails_while_its_open_log_has_lost_its_folder() {
    for (by_a_file, told) in [(false, "ENOENT"), (true, "ENOTDIR")] {
        let (d, logs) = with_sharers();
        let keeper = d.pid_of("keeper");
        fs::remove_dir_all(&logs).unwrap();
        if by_a_file {
            fs::write(&logs, "").unwrap();
        }
        d.order("start", "b");
        d.wait_state("b", "FATAL");
        assert!(!d.home.join("t").exists(), "it was started without its log\n{}", d.story());
        assert!(d.row("b").raw.to_string().contains(told), "{}\n{}", d.row("b").raw, d.story());
        if by_a_file {
            fs::remove_file(&logs).unwrap();
        }
        fs::create_dir(&logs).unwrap();
        d.done("start", "b");
        d.wait("its lines are there", || (d.home.read("logs/log").lines().count() == 3).then_some(()));
        assert_eq!(d.pid_of("keeper"), keeper, "{}", d.story());
        d.assert_well();
    }
}

#[test]
fn a_start_makes_an_open_log_anew_that_was_removed_or_moved() {
    for moved in [false, true] {
        let (d, logs) = with_sharers();
        let (log, aside) = (logs.join("log"), logs.join("aside"));
        if moved {
            fs::rename(&log, &aside).unwrap();
        } else {
            fs::remove_file(&log).unwrap();
        }
        d.done("start", "b");
        d.wait("its lines are there", || (d.home.read("logs/log").lines().count() == 3).then_some(()));
        assert!(!moved || fs::read(&aside).unwrap().is_empty(), "what was moved away is left alone");
        d.assert_well();
    }
}
