//! The state file itself: damaged in every way, in places where it cannot be, and from Python.

use crate::harness::*;
use crate::machine::*;
use crate::s20_crash::records;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

const PROGRAM: &str = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n";

#[test]
fn after_a_clean_shutdown_it_lists_nobody_and_is_for_us_alone() {
    let mut d = Daemon::start("[program:a]\ncommand = {actor}\nstartsecs = 0\nnumprocs = 3\n");
    d.wait_all("RUNNING");
    wait_until(DEADLINE, "all are recorded", || records(&d.home).len() == 3);
    let mode = fs::metadata(d.home.join(".d.state.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let record = records(&d.home)[0].clone();
    let pid = record["pid"].as_i64().unwrap() as i32;
    assert_eq!((&record["pgid"], &record["session"]), (&json!(pid), &json!(pid)));
    assert_eq!(record["start"], start_ticks(pid));
    d.done("stop", "a:00");
    wait_until(DEADLINE, "the stopped one is recorded no more", || records(&d.home).len() == 2);
    assert_eq!(d.terminate(), 0);
    let file: Value = serde_json::from_str(&d.home.read(".d.state.json")).unwrap();
    assert_eq!((&file["children"], &file["closed"]), (&json!([]), &json!(true)));
    let temporary = fs::read_dir(d.home.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(temporary.count(), 0);
}

/// What stands in the place of the state file.
enum Shape {
    Text(Vec<u8>),
    Made(fn(&Path)),
}

fn shapes(pid: i32) -> Vec<(&'static str, Shape)> {
    let good = format!(
        "{{\"version\":1,\"children\":[{{\"name\":\"a\",\"pid\":{pid},\"pgid\":{pid},\"token\":\"starttime:1 pgid:{pid}\",\"pdeathsig\":true}}]}}"
    );
    let torn = |share: usize| good.as_bytes()[..good.len() * share / 8].to_vec();
    vec![
        ("empty", Shape::Text(Vec::new())),
        ("torn early", Shape::Text(torn(1))),
        ("torn late", Shape::Text(torn(7))),
        ("zeros", Shape::Text(vec![0; 4096])),
        ("deep", Shape::Text(vec![b'['; 200_000])),
        ("deep inside", Shape::Text(format!("{{\"version\":2,\"children\":{}", "[".repeat(200_000)).into_bytes())),
        ("wrong types", Shape::Text(b"{\"version\":2,\"children\":7,\"life\":[]}".to_vec())),
        (
            "no sum",
            Shape::Text(b"{\"version\":2,\"life\":\"x\",\"boot\":\"\",\"closed\":false,\"children\":[]}".to_vec()),
        ),
        ("another version", Shape::Text(b"{\"version\":99}".to_vec())),
        ("bytes", Shape::Text((0..=255).cycle().take(10_000).collect())),
        ("a FIFO", Shape::Made(|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap())),
        ("a folder", Shape::Made(|path| fs::create_dir(path).unwrap())),
        ("a link", Shape::Made(|path| symlink("victim", path).unwrap())),
        ("a dangling link", Shape::Made(|path| symlink("/nonexistent/victim", path).unwrap())),
        ("a device", Shape::Made(|path| symlink("/dev/zero", path).unwrap())),
        ("a hard link", Shape::Made(|path| fs::hard_link(path.with_file_name("victim"), path).unwrap())),
        ("100 MB", Shape::Made(|path| fs::File::create(path).unwrap().set_len(100 << 20).unwrap())),
    ]
}

#[test]
fn row_23_and_50_damage_of_every_shape() {
    let count = shapes(1).len();
    for index in 0..count {
        let home = Home::new();
        let mut decoy = Bystander::new(&home);
        let (what, shape) = shapes(decoy.pid()).swap_remove(index);
        let victim = home.write("victim", "precious");
        let before = fs::metadata(&victim).unwrap();
        let path = home.join(".d.state.json");
        match shape {
            Shape::Text(text) => drop(home.write(".d.state.json", text)),
            Shape::Made(make) => make(&path),
        }
        let d = Daemon::start_in(home, PROGRAM);
        d.wait_state("a", "RUNNING");
        let told = d.log_count("WARNING");
        // A place that stays taken is told twice: it was not read, and it is not written.
        assert!((1..=2).contains(&told) && d.log_count("state file") == told, "{what}: {}", d.story());
        decoy.assert_unharmed();
        use std::os::unix::fs::MetadataExt;
        let after = fs::metadata(&victim).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{what}");
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()), "{what}");
        d.assert_well();
    }
}

#[test]
fn row_50_a_folder_that_is_open_to_all_is_refused() {
    let home = Home::new();
    let open = home.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    home.configure(&format!("state_file = {{dir}}/open/state\n{PROGRAM}"));
    let ran = home.run_daemon(&["-n", "-c", "c.conf"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("state_file") && ran.stderr.contains("+t"), "{ran:?}");
    assert!(!home.join("t").exists() && !home.socket().exists() && !home.join("d.pid").exists());
    // With the sticky bit nobody can take ours away.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    let d = Daemon::launch(home);
    d.wait_state("a", "RUNNING");
    assert!(d.home.join("open/state").exists());
}

#[test]
fn row_50_somebody_elses_file_in_a_sticky_folder_is_left_alone() {
    if !is_root() {
        return skip("row 50, another's file", "needs root");
    }
    let home = Home::new();
    let open = home.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    let planted = open.join("state");
    fs::write(&planted, "{\"version\":1,\"children\":[]}").unwrap();
    std::os::unix::fs::chown(&planted, Some(65534), Some(65534)).unwrap();
    let d = Daemon::start_in(home, &format!("state_file = {{dir}}/open/state\n{PROGRAM}"));
    d.wait_state("a", "RUNNING");
    d.wait_log("belongs to uid 65534");
    assert_eq!(fs::read(&planted).unwrap(), b"{\"version\":1,\"children\":[]}");
}

/// A cleaner of folders takes the socket and the state file, or all of the folder.
#[test]
fn row_24_a_state_file_that_was_removed_is_written_anew() {
    for with_folder in [false, true] {
        let home = Home::new();
        let run = home.join("run");
        fs::create_dir(&run).unwrap();
        home.configure_raw(&format!("[supervice]\nsocket = {{dir}}/run/s.sock\npidfile = {{dir}}/d.pid\nstate_file = {{dir}}/run/state\n{PROGRAM}"));
        let command = home.command(supervice());
        let d = Daemon::spawn(home, command);
        let socket = run.join("s.sock");
        let pid = d.wait("a runs", || {
            let reply =
                Client::connect(&socket).and_then(|mut client| client.ask(&json!({"command": "status"}))).ok()?;
            reply["processes"][0]["pid"].as_i64().filter(|_| reply["processes"][0]["state"] == "RUNNING")
        });
        let recorded = || d.home.read("run/state").contains(&format!("\"pid\":{pid},\"pgid\"")).then_some(());
        d.wait("it is recorded", recorded);
        if with_folder {
            fs::rename(&run, d.home.join("gone")).unwrap();
            fs::create_dir(&run).unwrap();
        } else {
            fs::remove_file(&socket).unwrap();
            fs::remove_file(run.join("state")).unwrap();
        }
        if cfg!(feature = "portable") {
            d.signal(nix::sys::signal::Signal::SIGUSR1);
        }
        d.wait("it is recorded anew", recorded);
        assert!(d.log_count("run/state was removed") <= 2, "{}", d.story());
    }
}

#[test]
fn row_24_a_full_or_frozen_folder_disturbs_nobody_and_heals() {
    let home = Home::new();
    let disk = match Mount::tmpfs(&home.join("disk"), 64) {
        Ok(disk) => disk,
        Err(reason) => return skip("row 24", &reason),
    };
    let filler = home.join("disk/filler");
    while fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&filler)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &[0; 4096]))
        .is_ok()
    {}
    let d = Daemon::start_in(home, &format!("state_file = {{dir}}/disk/state\n{PROGRAM}"));
    d.wait_state("a", "RUNNING");
    for _ in 0..3 {
        d.done("restart", "a");
    }
    let line = d.wait_log("disk/state cannot be written");
    assert!(line.contains("No space left"), "{line}");
    fs::remove_file(&filler).unwrap();
    d.wait_log("disk/state is written again");
    let pid = d.pid_of("a");
    d.wait("it is recorded", || d.home.read("disk/state").contains(&format!("\"pid\":{pid},")).then_some(()));
    disk.remount("ro");
    d.done("restart", "a");
    let line = d.wait("a read-only file system is told", || {
        d.log()
            .lines()
            .rfind(|line| line.contains("disk/state cannot be written"))
            .filter(|line| line.contains("Read-only"))
            .map(str::to_owned)
    });
    assert!(line.contains("WARNING"));
    disk.remount("rw");
    d.done("restart", "a");
    d.wait("the history heals with it", || {
        d.home.read("disk/state.history").ends_with("is RUNNING\"}\n").then_some(())
    });
    assert_eq!(d.log_count("state.history cannot be written"), 1, "one line a minute\n{}", d.story());
    d.wait("it is written again", || (d.log_count("disk/state is written again") == 2).then_some(()));
    assert_eq!(d.log_count("disk/state cannot be written"), 2, "one line a minute\n{}", d.story());
    d.assert_well();
    drop(d);
    drop(disk);
}

#[test]
fn row_61_pythons_file_is_read() {
    let home = Home::new();
    let orphan = Bystander::new(&home);
    let (pid, start) = (orphan.pid(), start_ticks(orphan.pid()));
    let mut decoy = Bystander::new(&home);
    let other = decoy.pid();
    let file = json!({"version": 1, "children": [
        {"name": "a", "pid": pid, "pgid": pid, "token": format!("starttime:{start} pgid:{pid}"),
         "pdeathsig": true, "reconcile": "auto"},
        {"name": "b", "pid": other, "pgid": other, "token": format!("starttime:1 pgid:{other}"),
         "pdeathsig": true, "reconcile": "auto"},
    ]});
    home.write(".d.state.json", file.to_string());
    let d = Daemon::start_in(home, PROGRAM);
    d.wait_state("a", "RUNNING");
    assert!(!process::alive(pid), "{}", d.story());
    decoy.assert_unharmed();
    assert_eq!(d.log_count(&format!("process {other} is left alone")), 1, "{}", d.story());
    d.wait("it is replaced by our own", || d.home.read(".d.state.json").contains("\"version\":2").then_some(()));
}

#[test]
fn row_61_pythons_file_from_before_the_boot_is_not_believed() {
    let home = Home::new();
    let mut decoy = Bystander::new(&home);
    let (pid, start) = (decoy.pid(), start_ticks(decoy.pid()));
    let file = json!({"version": 1, "children": [{"name": "a", "pid": pid, "pgid": pid,
        "token": format!("starttime:{start} pgid:{pid}"), "pdeathsig": true, "reconcile": "kill"}]});
    let path = home.write(".d.state.json", file.to_string());
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let d = Daemon::start_in(home, PROGRAM);
    d.wait_state("a", "RUNNING");
    decoy.assert_unharmed();
    assert_eq!(d.log_count("left alone"), 1, "{}", d.story());
}

#[test]
fn row_61_a_restart_under_load_loses_nobody_and_doubles_nobody() {
    let text = "[program:a]\ncommand = {actor}\nnumprocs = 20\nstartsecs = 0\n";
    let mut d = Daemon::start_in(Home::new(), text);
    for _ in 0..20 {
        d.wait_all("RUNNING");
        let begun = Instant::now();
        assert_eq!(d.terminate(), 0);
        d = Daemon::launch(d.murder());
        d.wait_all("RUNNING");
        assert!(begun.elapsed() < Duration::from_secs(40), "dark for {:?}", begun.elapsed());
        assert_eq!(process::children(d.pid()).len(), 20);
        let others = d.home.processes().into_iter().filter(|&pid| process::alive(pid) && pid != d.pid()).count();
        assert_eq!(others, 20, "a copy of an earlier daemon lives");
    }
}

/// A burst of N changes writes O(N) bytes in all, not N times N.
#[test]
fn a_burst_of_starts_writes_seldom() {
    if !can_inject() {
        return skip("writes of the state file", "no strace, or no ptrace");
    }
    let home = Home::new();
    home.configure("[program:a]\ncommand = {actor}\nnumprocs = 300\nstartsecs = 0\n");
    let mut command = home.command("strace");
    command
        .args(["-qq", "-o"])
        .arg(home.join("trace"))
        .args(["-e", "trace=rename,renameat,renameat2"])
        .arg(supervice());
    let mut d = Daemon::launch_by(home, command);
    let begun = Instant::now();
    d.set_pid(d.home.read("d.pid").trim().parse().unwrap());
    d.wait_all("RUNNING");
    wait_until(DEADLINE, "all are recorded", || records(&d.home).len() == 300);
    let renames = d.home.read("trace").lines().filter(|line| line.contains("state.json")).count();
    let most = begun.elapsed().as_millis() / 50 + 40;
    assert!((2..=most as usize).contains(&renames), "{renames} writes in {:?}", begun.elapsed());
    assert_eq!(d.terminate(), 0);
}
