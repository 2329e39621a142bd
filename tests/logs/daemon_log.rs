//! The daemon's own log, as Python's RotatingFileHandler would have left it.

use crate::scene::{Scene, at};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use supervice::engine::time::Instant;
use supervice::logs::daemon_log::{DaemonLog, format_line};
use supervice::logs::rotating_file::Limits;
use supervice::logs::sink::Notice;
use supervice::spec::LogLevel;

fn log_to(path: &Path, maxbytes: u64, backups: u32) -> DaemonLog {
    let log = DaemonLog::new(|| Instant::ZERO);
    log.open_file(path, Limits { maxbytes, backups }, 0o022).unwrap();
    log
}

fn say(log: &DaemonLog, message: &str) {
    let mut writer = log.writer();
    writeln!(writer, "{}", format_line("2026-01-31 12:00:00", LogLevel::Info, message)).unwrap();
    writer.flush().unwrap();
}

#[test]
fn a_record_that_would_fill_the_file_goes_to_the_next() {
    let scene = Scene::new();
    // Each line has 36 bytes; Python rolls over as soon as a record would reach the limit.
    let log = log_to(&scene.path("d.log"), 108, 2);
    for number in 1000..1007 {
        say(&log, &format!("{number}xx"));
    }
    let line = |number| format!("2026-01-31 12:00:00 INFO     {number}xx\n");
    assert_eq!(line(1000).len(), 36);
    assert_eq!(scene.read("d.log"), line(1006));
    assert_eq!(scene.read("d.log.1"), line(1004) + &line(1005));
    assert_eq!(scene.read("d.log.2"), line(1002) + &line(1003));
    assert_eq!(scene.names().len(), 3);
}

#[test]
fn without_backups_the_file_is_started_over() {
    let scene = Scene::new();
    let log = log_to(&scene.path("d.log"), 60, 0);
    say(&log, "first");
    say(&log, "second");
    assert_eq!(scene.names(), ["d.log"]);
    assert_eq!(scene.read("d.log"), "2026-01-31 12:00:00 INFO     second\n");
}

#[test]
fn fern_can_chain_it() {
    let scene = Scene::new();
    let log = log_to(&scene.path("d.log"), 0, 0);
    let format = |out: fern::FormatCallback<'_>, message: &std::fmt::Arguments<'_>, _: &log::Record<'_>| {
        out.finish(format_args!("{}", format_line("now", LogLevel::Warning, &message.to_string())));
    };
    let (_, logger) = fern::Dispatch::new().format(format).chain(log.writer()).into_log();
    let record = |text: &str| {
        logger.log(&log::Record::builder().level(log::Level::Warn).args(format_args!("{text}")).build());
    };
    record("web\x1b[31m\n2026 CRITICAL forged");
    record("second");
    assert_eq!(scene.read("d.log"), "now WARNING  web\\x1b[31m\\n2026 CRITICAL forged\nnow WARNING  second\n");
}

#[test]
fn reopening_follows_an_external_rotation() {
    let scene = Scene::new();
    let log = log_to(&scene.path("d.log"), 0, 0);
    say(&log, "one");
    fs::rename(scene.path("d.log"), scene.path("old")).unwrap();
    log.reopen().unwrap();
    say(&log, "two");
    assert!(scene.read("old").ends_with("one\n"));
    assert_eq!(scene.read("d.log"), "2026-01-31 12:00:00 INFO     two\n");
}

#[test]
fn a_log_that_cannot_be_written_is_counted_and_told() {
    let log = log_to(Path::new("/dev/full"), 100, 1);
    say(&log, "lost");
    assert_eq!(log.dropped_bytes(), 34);
    assert!(log.failing().is_some() && log.deadline().is_some());
    let notices = log.on_deadline(at(0));
    assert!(matches!(notices.as_slice(), [Notice::Failing { dropped_bytes: 34, .. }]), "{notices:?}");
    assert_eq!(log.deadline(), None);
}

#[test]
fn a_link_in_a_folder_of_others_is_refused() {
    let scene = Scene::new();
    let folder = scene.folder("open", 0o1777);
    fs::write(scene.path("victim"), "precious\n").unwrap();
    symlink(scene.path("victim"), folder.join("d.log")).unwrap();
    let log = DaemonLog::new(|| Instant::ZERO);
    assert!(log.open_file(&folder.join("d.log"), Limits { maxbytes: 0, backups: 0 }, 0).is_err());
    say(&log, "goes nowhere");
    assert_eq!(scene.read("victim"), "precious\n");
}
