//! Sinks that fail, under the real daemon: the program and the daemon go on, the loss is counted and told, and it heals.

use crate::harness::*;
use crate::machine::Mount;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

/// A program that says something again and again, into a log with this name, and marks that it goes on.
fn ticker(log: &str, more: &str) -> String {
    format!(
        "[program:a]\ncommand = sh -c 'n=0; while :; do n=$((n+1)); echo tick $n; echo $n > beat; sleep 0.02; done'\n\
         directory = {{dir}}\nstartsecs = 0\nstdout_logfile = {{dir}}/{log}\n{more}"
    )
}

fn beat(d: &Daemon) -> u64 {
    d.home.read("beat").trim().parse().unwrap_or(0)
}

/// The program is not held up by its log.
#[track_caller]
fn assert_beating(d: &Daemon) {
    let before = beat(d);
    d.wait("the program goes on", || (beat(d) > before + 5).then_some(()));
}

fn dropped(d: &Daemon) -> u64 {
    d.row("a").raw["dropped_bytes"].as_u64().unwrap_or(0)
}

#[test]
fn row_29_a_device_that_is_always_full() {
    let begun = Instant::now();
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --bytes 3000000 --touch {dir}/t\nstdout_logfile = /dev/full\nstartsecs = 0\n",
    );
    d.wait_file("t");
    d.wait("every byte is counted", || (dropped(&d) == 3_000_000).then_some(()));
    let line = d.wait_log("writing /dev/full failed: ENOSPC");
    assert!(line.contains(" ERROR ") && line.ends_with(" bytes dropped"), "{line}");
    let told = d.log_count("writing /dev/full failed");
    assert!(told as u64 <= 1 + begun.elapsed().as_secs() / 60, "told {told} times");
    assert_eq!(d.ask(serde_json::json!({"command": "info"}))["info"]["dropped_bytes"], 3_000_000);
    assert_eq!(d.state("a"), "RUNNING");
    d.assert_well();
}

#[test]
fn row_29_a_full_disk_holds_nobody_up_and_heals_when_there_is_room() {
    let home = Home::new();
    let _disk = match Mount::tmpfs(&home.join("small"), 64) {
        Ok(disk) => disk,
        Err(reason) => return skip("row 29, a small disk", &reason),
    };
    let d = Daemon::start_in(home, &ticker("small/log", ""));
    let pid = d.wait_state("a", "RUNNING").pid;
    d.wait_file("small/log");
    assert!(fs::write(d.home.join("small/ballast"), vec![0; 1 << 20]).is_err(), "the disk is full");
    d.wait("bytes are counted", || (dropped(&d) > 0).then_some(()));
    d.wait_log("failed: ENOSPC");
    assert_beating(&d);
    let size = || fs::metadata(d.home.join("small/log")).unwrap().len();
    let (before, freed) = (size(), Instant::now());
    fs::remove_file(d.home.join("small/ballast")).unwrap();
    d.wait("the log goes on", || (size() > before).then_some(()));
    println!("the log went on {:?} after there was room", freed.elapsed());
    let line = d.wait_log("works again");
    let lost = dropped(&d);
    assert!(line.contains(&format!("small/log works again; {lost} bytes were dropped in all")), "{line}, {lost}");
    assert_eq!((d.row("a").pid, d.state("a").as_str()), (pid, "RUNNING"));
    // What is there is whole but for the one hole that was told.
    let text = d.home.read("small/log");
    let numbers: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("tick ")?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    let holes = numbers.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
    assert!(holes <= 2, "{holes} holes in {numbers:?}");
}

#[test]
fn the_words_of_an_earlier_run_do_not_stand_in_for_those_that_were_lost() {
    let home = Home::new();
    let _disk = match Mount::tmpfs(&home.join("small"), 64) {
        Ok(disk) => disk,
        Err(reason) => return skip("last words on a full disk", &reason),
    };
    // A whole page, in which nothing more finds room.
    home.write("words", &"an earlier run\n".repeat(300)[..4096]);
    let program = "[program:a]\ncommand = cat {dir}/words\nstartsecs = 0\nautorestart = no\n";
    let d = Daemon::start_in(home, &format!("{program}stdout_logfile = {{dir}}/small/log\n"));
    d.wait_state("a", "EXITED");
    let recorded = || {
        let reply = d.ask(serde_json::json!({"command": "why", "name": "a"}));
        let records = reply["history"].as_array().unwrap().iter();
        let of_exits = records.filter(|record| record["event"] == "exited");
        of_exits.map(|record| record["output"][0]["data"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(recorded()[0].len(), 4096);
    assert!(fs::write(d.home.join("small/ballast"), vec![0; 1 << 20]).is_err(), "the disk is full");
    d.home.write("words", "said in vain\n");
    d.order("start", "a");
    d.wait("it is dead again", || (recorded().len() == 2).then_some(()));
    assert_eq!((recorded()[1].as_str(), dropped(&d)), ("", 13));
}

#[test]
fn row_30_a_folder_that_is_gone_and_comes_back() {
    let home = Home::new();
    fs::create_dir(home.join("logs")).unwrap();
    let d = Daemon::start_in(home, &ticker("logs/o", "stdout_logfile_maxbytes = 100\nstdout_logfile_backups = 2\n"));
    d.wait_file("logs/o.2");
    fs::remove_dir_all(d.home.join("logs")).unwrap();
    // What goes into a file that nobody can open any more is lost, and is counted as that.
    let line = d.wait_log("logs/o failed: ENOENT");
    assert!(line.contains(" ERROR "), "{line}");
    d.wait("bytes are counted", || (dropped(&d) > 0).then_some(()));
    assert_beating(&d);
    fs::create_dir(d.home.join("logs")).unwrap();
    d.wait("the log is back", || d.home.read("logs/o").starts_with("tick ").then_some(()));
    d.wait_log("works again");
    d.assert_well();
}

#[test]
fn row_30_a_folder_that_cannot_be_written() {
    if !is_root() {
        return skip("row 30, a folder of mode 0555", "needs root to become somebody else");
    }
    let home = Home::new();
    home.open_to_all();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    home.copy_program(supervice(), "daemon", 0o755);
    home.configure(&ticker("logs/o", "stdout_logfile_maxbytes = 100\nstdout_logfile_backups = 2\n"));
    fs::set_permissions(home.config_path(), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(home.join("logs")).unwrap();
    std::os::unix::fs::chown(home.join("logs"), Some(65534), Some(65534)).unwrap();
    let mut command = home.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(home.join("daemon"));
    let d = Daemon::launch_by(home, command);
    d.wait_file("logs/o.1");
    let mode = |mode| fs::set_permissions(d.home.join("logs"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    d.wait_log("failed: EACCES");
    assert_beating(&d);
    let size = |name: &str| fs::metadata(d.home.join(name)).map_or(0, |found| found.len());
    d.wait("it grows meanwhile", || (size("logs/o") > 100).then_some(()));
    assert_eq!(dropped(&d), 0);
    mode(0o755);
    d.wait("it is rotated after all", || (size("logs/o") <= 100).then_some(()));
    d.wait_log("works again");
    d.assert_well();
}
