//! `…_compress`: rotated files become gzip's, whatever else happens to them.

use crate::harness::*;
use std::fs;
use std::process::Command;
use std::time::Duration;

fn unzipped(d: &Daemon, name: &str) -> String {
    let output = Command::new("gzip").arg("-dc").arg(d.home.join(name)).output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn backups(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("o."));
    names.sort();
    names
}

#[test]
fn rotated_files_are_compressed_and_nothing_is_lost() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --lines 200000 --exit 0\nstartsecs = 0\nautorestart = no\nstdout_logfile = {dir}/o\n\
         stdout_logfile_maxbytes = 200KB\nstdout_logfile_backups = 5\nstdout_logfile_compress = yes\n",
    );
    d.wait_state("a", "EXITED");
    let all: Vec<String> = (1..=5).map(|n| format!("o.{n}.gz")).collect();
    d.wait("all are compressed, though the program has ended", || (backups(&d.home) == all).then_some(()));
    let mut kept: String = all.iter().rev().map(|name| unzipped(&d, name)).collect();
    kept.push_str(&d.home.read("o"));
    let numbers: Vec<u64> = kept.lines().filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect();
    let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert!(numbers.len() > 10_000 && gap.is_none(), "{} lines, no contiguous tail: {gap:?}", numbers.len());
    for name in &all {
        assert!(unzipped(&d, name).len() <= 200 << 10, "{name}");
    }
    d.assert_well();
}

#[test]
fn files_of_before_are_compressed_and_move_on() {
    let home = Home::new();
    for (name, text) in [("o", "five\n"), ("o.1", "four\n"), ("o.2", "three\n"), ("o.3", "two\n")] {
        home.write(name, text);
    }
    assert!(Command::new("gzip").arg(home.join("o.3")).status().unwrap().success());
    let d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor} --say six\nstartsecs = 0\nstdout_logfile = {dir}/o\n\
         stdout_logfile_backups = 4\nstdout_logfile_compress = yes\n",
    );
    d.wait("all are compressed", || (backups(&d.home) == ["o.1.gz", "o.2.gz", "o.3.gz"]).then_some(()));
    d.wait("the word", || d.home.read("o").ends_with("six\n").then_some(()));
    d.done("rotate", "a");
    d.wait("the rotated one too", || (backups(&d.home) == ["o.1.gz", "o.2.gz", "o.3.gz", "o.4.gz"]).then_some(()));
    let texts = [4, 3, 2, 1].map(|n| unzipped(&d, &format!("o.{n}.gz")));
    assert_eq!(texts.concat(), "two\nthree\nfour\nfive\nsix\n");
    d.assert_well();
}

#[test]
fn what_cannot_be_compressed_is_told_and_stays() {
    let d = Daemon::start(
        "[program:a]\ncommand = {actor} --say one\nstartsecs = 0\nstdout_logfile = {dir}/o\nstdout_logfile_compress = yes\n",
    );
    d.wait_file("o");
    fs::create_dir(d.home.join("o.gz.tmp")).unwrap();
    d.done("rotate", "a");
    let line = d.wait_log("compressing a rotated file of");
    assert!(line.contains("WARNING") && line.contains("o.gz.tmp: EISDIR"), "{line}");
    assert_eq!(d.home.read("o.1"), "one\n");
    d.done("restart", "a");
    d.wait("it goes on", || (d.home.read("o") == "one\n").then_some(()));
    assert!(wait_for(Duration::from_millis(1500), || (d.log_count("compressing") > 1).then_some(())).is_none());
}

#[test]
fn what_cannot_be_compressed_holds_up_no_other() {
    let home = Home::new();
    for name in ["a.1", "b.1"] {
        home.write(name, "before\n");
    }
    // Where the unfinished file would be.
    fs::create_dir(home.join("a.gz.tmp")).unwrap();
    let program = |name: &str| {
        format!(
            "[program:{name}]\ncommand = {{actor}} --say x\nstartsecs = 0\nstdout_logfile = {{dir}}/{name}\n\
             stdout_logfile_compress = yes\n"
        )
    };
    let d = Daemon::start_in(home, &(program("a") + &program("b")));
    d.wait("the other's is compressed", || d.home.join("b.1.gz").exists().then_some(()));
    assert_eq!((unzipped(&d, "b.1.gz").as_str(), d.home.read("a.1").as_str()), ("before\n", "before\n"));
    d.wait_log("compressing a rotated file of");
    d.assert_well();
}

#[test]
fn nothing_half_done_is_left_by_a_shutdown() {
    let home = Home::new();
    home.write("o.1", vec![b'x'; 300 << 20]);
    let mut d = Daemon::start_in(
        home,
        "[program:a]\ncommand = {actor}\nstartsecs = 0\nstdout_logfile = {dir}/o\nstdout_logfile_compress = yes\n",
    );
    let gzip = d.wait("gzip is at work", || {
        process::children(d.pid()).into_iter().find(|&pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.starts_with(b"gzip\0")
        })
    });
    assert!(d.home.join("o.gz.tmp").exists());
    let stat = fs::read_to_string(format!("/proc/{gzip}/stat")).unwrap();
    let nice = stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned();
    assert_eq!(nice, "19", "{stat}");
    assert_eq!(d.terminate(), 0);
    process::wait_gone(gzip);
    assert_eq!(backups(&d.home), ["o.1"]);
}
