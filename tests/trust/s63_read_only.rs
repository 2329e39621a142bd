//! Row 30 of the failure table, the log's file system becomes read-only: by an error of its disk while logs are open in it, and
//! by a remount, which the kernel allows only while none is.

use crate::harness::*;
use crate::machine::*;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Lines of 1000 bytes, and beside them the number of the last one: 64 of them fill a pipe that nobody reads.
const TALKER: &str = "[program:a]\ncommand = sh -c 'n=0; while :; do n=$((n+1)); printf \"%0999d\\n\" $n; echo $n > {dir}/said; \
    sleep 0.01; done'\nstartsecs = 0\nstdout_logfile = {dir}/disk/log\nstdout_logfile_maxbytes = 0\n";

const OTHERS: &str = "[program:b]\ncommand = {actor}\nstartsecs = 0\nstdout_logfile = {dir}/b\n\
    [program:c]\ncommand = {actor} --say here\nstartsecs = 0\nstartretries = 0\nautostart = false\nstdout_logfile = {dir}/disk/c\n";

/// What is left of it after an error of its disk can only be read.
fn break_disk(place: &Path) -> Result<(), String> {
    let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(place).output();
    let device = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let name = Path::new(&device).file_name().unwrap_or_default();
    let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
    fs::write(&trigger, "a test").map_err(|error| format!("{}: {error}", trigger.display()))?;
    let is_broken = || fs::write(place.join("probe"), "").is_err_and(|error| error.raw_os_error() == Some(libc::EROFS));
    wait_until(DEADLINE, "it is read-only", is_broken);
    Ok(())
}

fn said(d: &Daemon) -> u64 {
    d.home.read("said").trim().parse().unwrap_or(0)
}

fn assert_goes_on(d: &Daemon, lines: u64) {
    let begun = said(d);
    d.wait("it is held up by nobody", || (said(d) > begun + lines).then_some(()));
}

#[test]
fn row_30_a_log_disk_that_becomes_read_only() {
    let home = Home::new();
    let place = home.join("disk");
    let disk = match Mount::disk(&place, &home.join("image"), "errors=remount-ro") {
        Ok(disk) => disk,
        Err(reason) => return skip("row 30, read-only by an error", &reason),
    };
    let d = Daemon::start_in(home, &format!("{TALKER}{OTHERS}"));
    d.wait_file("disk/log");
    assert_goes_on(&d, 10);
    let pids: Vec<_> = d.rows().iter().map(|row| row.pid).collect();
    if let Err(reason) = break_disk(&place) {
        drop(d);
        drop(disk);
        return skip("row 30, read-only by an error", &reason);
    }
    let line = d.wait_log("disk/log failed: ");
    assert!(line.contains("EROFS") || line.contains("EIO"), "{line}");
    // Far more than a pipe holds, and more than one try.
    assert_goes_on(&d, 300);
    let dropped = || d.row("a").raw["dropped_bytes"].as_u64().unwrap_or(0);
    assert!(dropped() > 100_000, "{}\n{}", d.row("a").raw, d.story());
    d.refused("start", "c");
    assert!(d.wait_log("c could not be started").contains("EROFS"), "{}", d.story());
    assert_eq!(d.rows().iter().map(|row| row.pid).collect::<Vec<_>>(), pids, "{}", d.story());

    // The kernel lets nobody write there again: what is repaired comes to the place of what is broken.
    let kept = fs::read(place.join("log")).unwrap();
    disk.detach();
    let beside = d.home.join("beside");
    let repaired = Mount::disk(&beside, &d.home.join("repaired"), "rw").unwrap();
    fs::write(beside.join("log"), &kept).unwrap();
    let moved = Mount::by(&place, Command::new("mount").arg("--bind").arg(&beside).arg(&place)).unwrap();
    let line = d.wait_log("disk/log works again");
    let told: u64 = line.split("again; ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert_eq!(told, dropped(), "{line}\n{}", d.story());
    assert_goes_on(&d, 100);
    let size = |name: &str| fs::metadata(place.join(name)).map_or(0, |found| found.len());
    d.wait("the log goes on", || (size("log") > kept.len() as u64 + 50_000).then_some(()));
    assert_eq!(dropped(), told, "nothing more is lost");
    d.done("start", "c");
    d.wait("another log is there as well", || (d.home.read("disk/c") == "here\n").then_some(()));
    assert_eq!(d.rows().iter().take(2).map(|row| row.pid).collect::<Vec<_>>(), pids[..2]);

    // No line is torn, none is there twice, and only those are missing that were dropped: the numbers only rise.
    d.done("stop", "a");
    let lines: Vec<u64> = d.home.read("disk/log").lines().map(|line| line.parse().unwrap()).collect();
    assert!(lines.is_sorted_by(|one, next| one < next), "{lines:?}");
    d.assert_well();
    drop(d);
    drop(moved);
    drop(repaired);
}

#[test]
fn row_30_a_log_folder_that_is_mounted_read_only_while_no_log_is_open() {
    let home = Home::new();
    let place = home.join("disk");
    let disk = match Mount::tmpfs(&place, 1024) {
        Ok(disk) => disk,
        Err(reason) => return skip("row 30, remount", &reason),
    };
    let d = Daemon::start_in(home, OTHERS);
    d.wait_state("b", "RUNNING");
    disk.remount("ro");
    d.refused("start", "c");
    assert!(d.wait_log("c could not be started").contains("EROFS"), "{}", d.story());
    d.wait_state("c", "FATAL");
    d.assert_well();
    disk.remount("rw");
    d.done("start", "c");
    d.wait("its log is there", || (d.home.read("disk/c") == "here\n").then_some(()));
    d.assert_well();
    drop(d);
    drop(disk);
}
