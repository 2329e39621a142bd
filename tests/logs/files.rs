//! Real files: appending, rotating, failing, healing.

use crate::scene::{Scene, Small, at, is_root, make_room, spec};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use supervice::logs::rotating_file::Limits;
use supervice::logs::sink::Notice;
use supervice::logs::sinks::SinkId;
use supervice::spec::{LogFormat, LogSpec, LogTarget};

#[test]
fn appends_to_what_is_there() {
    let mut scene = Scene::new();
    fs::write(scene.path("a.log"), "old\n").unwrap();
    let id = scene.open("a.log", 0, 0);
    assert_eq!(scene.write(id, "new\n", 0), 0);
    assert_eq!(scene.read("a.log"), "old\nnew\n");
}

#[test]
fn rotates_with_the_newest_at_one() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 8, 2);
    for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
        scene.write(id, line, 0);
    }
    assert_eq!(scene.names(), ["a.log", "a.log.1", "a.log.2"]);
    assert_eq!((scene.read("a.log.2"), scene.read("a.log.1")), ("four\n".into(), "five\n".into()));
    assert_eq!(scene.read("a.log"), "six\n");
}

#[test]
fn a_file_that_was_full_before_is_rotated_first() {
    let mut scene = Scene::new();
    fs::write(scene.path("a.log"), "an old file beyond the limit\n").unwrap();
    let id = scene.open("a.log", 8, 1);
    scene.write(id, "new\n", 0);
    assert_eq!(scene.read("a.log.1"), "an old file beyond the limit\n");
    assert_eq!(scene.read("a.log"), "new\n");
}

#[test]
fn no_backups_start_the_file_over() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 8, 0);
    let inode = fs::metadata(scene.path("a.log")).unwrap().ino();
    scene.write(id, "one\ntwo\nthree\n", 0);
    assert_eq!((scene.names(), scene.read("a.log")), (vec!["a.log".to_owned()], "three\n".to_owned()));
    assert_eq!(fs::metadata(scene.path("a.log")).unwrap().ino(), inode);
}

#[test]
fn limits_change_at_once() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 0);
    scene.write(id, "12345678\n", 0);
    scene.sinks.set_limits(id, Limits { maxbytes: 9, backups: 1 });
    scene.write(id, "9\n", 0);
    assert_eq!((scene.read("a.log.1"), scene.read("a.log")), ("12345678\n".into(), "9\n".into()));
}

#[test]
fn ten_mebibytes_of_numbered_lines_leave_a_contiguous_tail() {
    const TOTAL: usize = 10 * 1024 * 1024;
    let mut scene = Scene::new();
    let id = scene.open("a.log", 4096, 5);
    let mut stream = String::with_capacity(TOTAL + 64);
    let mut number = 0_u64;
    while stream.len() < TOTAL {
        number += 1;
        stream.push_str(&format!("{number} {}\n", "x".repeat((number % 90) as usize)));
    }
    // Chunks that know nothing of lines, as a pipe gives them.
    for chunk in stream.as_bytes().chunks(61_234) {
        assert_eq!(scene.sinks.write(id, chunk, at(0)).dropped, 0);
    }
    let names = ["a.log.5", "a.log.4", "a.log.3", "a.log.2", "a.log.1", "a.log"];
    assert_eq!(scene.names().len(), names.len());
    let kept: String = names.iter().map(|name| scene.read(name)).collect();
    assert!(stream.ends_with(&kept), "one contiguous tail");
    assert!(kept.len() > 5 * 4000, "files are used to their limit: {}", kept.len());
    assert!(names.iter().all(|name| fs::metadata(scene.path(name)).unwrap().len() <= 4096));
}

#[test]
fn full_device_is_counted_and_told() {
    let mut scene = Scene::new();
    let id = scene.sinks.open(&spec(Path::new("/dev/full"), 100, 1), None).unwrap().unwrap();
    assert_eq!(scene.write(id, "lost\n", 0), 5);
    assert_eq!(scene.write(id, "lost\n", 1), 5);
    let notices = scene.notices(1);
    let [Notice::Failing { cause, dropped_bytes: 10, outage_bytes: 10, .. }] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert_eq!(cause.to_string(), "ENOSPC (No space left on device)");
    scene.write(id, "lost\n", 2);
    assert_eq!(scene.notices(60), [], "not again within the minute");
    let notice = scene.sinks.release(id, at(60));
    assert!(matches!(notice, Some(Notice::Failing { dropped_bytes: 5, outage_bytes: 15, .. })), "{notice:?}");
}

#[test]
fn a_full_disk_drops_and_heals_within_five_seconds() {
    if !is_root("a_full_disk_drops_and_heals_within_five_seconds") {
        return;
    }
    let mut scene = Scene::new();
    let folder = scene.folder("small", 0o755);
    let Some(_mounted) = Small::mount(&folder) else { return };
    fs::write(folder.join("ballast"), vec![0; 16 * 1024]).unwrap();
    let id = scene.open("small/a.log", 0, 0);
    let line = format!("{}\n", "x".repeat(1023));
    let (mut written, mut dropped) = (0, 0);
    for _ in 0..100 {
        let lost = scene.write(id, &line, 1);
        dropped += lost;
        written += line.len() - lost;
    }
    assert_eq!(written + dropped, 100 * 1024);
    assert!(dropped > 0);
    assert_eq!(fs::metadata(folder.join("a.log")).unwrap().len() as usize, written, "partial writes are counted right");
    let notices = scene.notices(1);
    assert!(matches!(notices.as_slice(), [Notice::Failing { .. }]), "{notices:?}");
    make_room(&folder.join("ballast"));
    assert_eq!(scene.write(id, "back\n", 6), 0);
    let notices = scene.notices(6);
    let [Notice::Recovered { outage_bytes, .. }] = notices.as_slice() else { panic!("{notices:?}") };
    assert_eq!(*outage_bytes as usize, dropped);
    assert!(scene.read("small/a.log").ends_with("back\n"));
}

#[test]
fn a_rotation_on_a_full_disk_goes_on_later() {
    if !is_root("a_rotation_on_a_full_disk_goes_on_later") {
        return;
    }
    let mut scene = Scene::new();
    let folder = scene.folder("small", 0o755);
    let Some(_mounted) = Small::mount(&folder) else { return };
    let id = scene.open("small/a.log", 8192, 2);
    let mut sent = String::new();
    let mut dropped = 0;
    let mut story = Vec::new();
    for second in 0..40 {
        if second == 10 {
            let room = vec![0; 1024 * 1024];
            assert!(fs::write(folder.join("ballast"), room).is_err(), "the disk is full");
        }
        if second == 30 {
            make_room(&folder.join("ballast"));
        }
        let line = format!("{second} {}\n", "y".repeat(2000));
        let lost = scene.write(id, &line, second);
        dropped += lost;
        sent.push_str(&line[..line.len() - lost]);
        story.push((second, lost, scene.notices(second)));
    }
    assert!(dropped > 0, "the disk was full");
    let kept: String = ["small/a.log.2", "small/a.log.1", "small/a.log"].iter().map(|name| scene.read(name)).collect();
    assert!(sent.ends_with(&kept), "what was taken is a contiguous tail");
    assert!(kept.ends_with("y\n") && kept.contains("\n39 "), "the last line is there: {story:?}");
}

#[test]
fn a_removed_folder_heals_when_it_is_back() {
    let mut scene = Scene::new();
    let folder = scene.folder("gone", 0o755);
    let id = scene.open("gone/a.log", 1000, 2);
    scene.write(id, "before\n", 0);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(scene.write(id, "lost\n", 2), 5);
    let notices = scene.notices(2);
    let [Notice::Failing { cause, dropped_bytes: 5, .. }] = notices.as_slice() else { panic!("{notices:?}") };
    assert_eq!(cause.to_string(), "ENOENT (No such file or directory)");
    fs::create_dir(&folder).unwrap();
    let deadline = scene.sinks.deadline().unwrap();
    assert!(deadline <= at(7), "tried again within five seconds");
    scene.notices(7);
    assert_eq!(scene.write(id, "after\n", 7), 0);
    assert!(matches!(scene.notices(7).as_slice(), [Notice::Recovered { outage_bytes: 5, .. }]));
    assert_eq!(scene.read("gone/a.log"), "after\n");
}

#[test]
fn a_removed_file_comes_back_with_the_next_line() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 0);
    scene.write(id, "before\n", 0);
    fs::remove_file(scene.path("a.log")).unwrap();
    assert_eq!(scene.write(id, "after\n", 2), 0);
    assert_eq!(scene.read("a.log"), "after\n");
}

#[test]
fn reopening_follows_an_external_rotation() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 0);
    scene.write(id, "one\n", 0);
    fs::rename(scene.path("a.log"), scene.path("a.log.old")).unwrap();
    scene.write(id, "two\n", 0);
    assert_eq!(scene.read("a.log.old"), "one\ntwo\n", "until told, the open file goes on");
    assert_eq!(scene.sinks.reopen_all(), []);
    scene.write(id, "three\n", 0);
    assert_eq!((scene.read("a.log.old"), scene.read("a.log")), ("one\ntwo\n".into(), "three\n".into()));
}

#[test]
fn reopening_in_vain_keeps_the_old_file() {
    let mut scene = Scene::new();
    let folder = scene.folder("there", 0o755);
    let id = scene.open("there/a.log", 0, 0);
    fs::rename(&folder, scene.path("elsewhere")).unwrap();
    let errors = scene.sinks.reopen_all();
    assert!(errors.len() == 1 && errors[0].to_string().contains("there/a.log: ENOENT"), "{errors:?}");
    assert_eq!(scene.write(id, "line\n", 0), 0);
    assert_eq!(scene.read("elsewhere/a.log"), "line\n");
}

#[test]
fn a_file_truncated_by_others_is_neither_holed_nor_rotated_early() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 10, 1);
    scene.write(id, "1234567\n", 0);
    fs::write(scene.path("copy"), scene.read("a.log")).unwrap();
    fs::File::options().write(true).open(scene.path("a.log")).unwrap().set_len(0).unwrap();
    scene.write(id, "89abcde\n", 0);
    assert_eq!((scene.names(), scene.read("a.log")), (vec!["a.log".into(), "copy".into()], "89abcde\n".to_owned()));
}

#[test]
fn a_file_moved_by_others_is_left_alone_by_a_rotation() {
    for put_another in [false, true] {
        let mut scene = Scene::new();
        let id = scene.open("a.log", 4, 3);
        scene.write(id, "one\n", 0);
        fs::rename(scene.path("a.log"), scene.path("moved")).unwrap();
        if put_another {
            fs::write(scene.path("a.log"), "").unwrap();
        }
        scene.write(id, "two\n", 0);
        assert_eq!(scene.names(), ["a.log", "moved"]);
        assert_eq!((scene.read("moved"), scene.read("a.log")), ("one\n".into(), "two\n".into()));
    }
}

/// The log is open in `one`, and the link by which it was opened leads to `two` by now.
fn led_elsewhere() -> (Scene, SinkId) {
    let mut scene = Scene::new();
    ["one", "two"].into_iter().for_each(|name| drop(scene.folder(name, 0o755)));
    let link = scene.path("link");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let id = scene.open("link/a.log", 0, 0);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("two", &link).unwrap();
    (scene, id)
}

#[test]
fn a_log_that_went_elsewhere_by_itself_is_found_there() {
    let (mut scene, id) = led_elsewhere();
    fs::remove_file(scene.path("one/a.log")).unwrap();
    assert_eq!(scene.write(id, "here\n", 2), 0);
    scene.sinks.deadline();
    assert_eq!(scene.read("two/a.log"), "here\n");
    assert_eq!(scene.open("two/a.log", 0, 0), id);
}

#[test]
fn a_start_brings_its_own_limits_and_wish_to_compress() {
    let mut scene = Scene::new();
    let path = scene.path("a.log");
    let id = scene.sinks.open(&LogSpec { compress: true, ..spec(&path, 8, 3) }, None).unwrap().unwrap();
    scene.sinks.take_rotated();
    assert_eq!(scene.sinks.open(&spec(&path, 100, 3), None).unwrap(), Some(id));
    assert_eq!(scene.sinks.file_mut(id).unwrap().limits().maxbytes, 100);
    scene.sinks.file_mut(id).unwrap().set_limits(Limits { maxbytes: 4, backups: 3 });
    scene.write(id, "one\ntwo\n", 0);
    scene.sinks.deadline();
    assert!(scene.sinks.take_rotated().is_empty());
}

#[test]
fn one_place_has_one_sink_however_it_is_spelt() {
    let mut scene = Scene::new();
    scene.folder("sub", 0o755);
    let plain = scene.open("a.log", 8, 1);
    let twisted = scene.open("sub/../a.log", 8, 1);
    assert_eq!(plain, twisted);
    assert_ne!(plain, scene.open("b.log", 8, 1));
    scene.write(plain, "one\ntwo\n", 0);
    scene.write(twisted, "three\n", 0);
    assert_eq!(scene.open("./a.log", 8, 1), plain, "also after a rotation");
    assert_eq!((scene.read("a.log.1"), scene.read("a.log")), ("one\ntwo\n".into(), "three\n".into()));
    for _ in 0..2 {
        assert_eq!(scene.sinks.release(plain, at(0)), None);
        assert!(scene.sinks.get(plain).is_some(), "others still use it");
    }
    scene.sinks.release(plain, at(0));
    assert!(scene.sinks.get(plain).is_none());
    assert_eq!(scene.write(plain, "late\n", 0), 5, "a sink that is gone takes nothing");
    let again = scene.open("a.log", 8, 1);
    assert_ne!(again, plain, "ids are never used again");
}

/// A new folder with the number of one that was removed; others may be quicker to get it.
fn namesake(scene: &Scene, prefix: &str, number: u64) -> Option<String> {
    let made = (0..200).map(|n| format!("{prefix}-{n}"));
    made.into_iter().find(|name| number_of(&scene.folder(name, 0o755)) == number)
}

fn number_of(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
}

#[test]
fn another_folder_with_the_same_number_is_another_place() {
    let mut scene = Scene::new();
    for name in ["gone", "back"] {
        let folder = scene.folder(name, 0o755);
        let (old, number) = (scene.open(&format!("{name}/a.log"), 0, 0), number_of(&folder));
        // The open log would hold on to its folder.
        fs::rename(folder.join("a.log"), scene.path(&format!("{name}.log"))).unwrap();
        fs::remove_dir(&folder).unwrap();
        let Some(new) = namesake(&scene, &format!("after-{name}"), number) else {
            return println!("skipped: no folder gets the number of one that was removed");
        };
        if name == "back" {
            fs::create_dir(&folder).unwrap();
        }
        let id = scene.open(&format!("{new}/a.log"), 0, 0);
        assert_ne!(id, old, "{name}");
        scene.write(id, "one\n", 2);
        assert_eq!(scene.read(&format!("{new}/a.log")), "one\n");
        // Whoever goes takes no name along that is another's by now.
        scene.sinks.release(old, at(2));
        assert_eq!(scene.open(&format!("{new}/../{new}/a.log"), 0, 0), id);
    }
}

#[test]
fn a_log_that_is_elsewhere_after_a_reopening_is_found_there() {
    let (mut scene, id) = led_elsewhere();
    assert_eq!(scene.sinks.reopen_all(), []);
    let other = scene.open("one/a.log", 0, 0);
    assert_eq!(scene.open("two/a.log", 0, 0), id, "one place has one sink");
    scene.write(id, "moved\n", 2);
    scene.write(other, "stayed\n", 2);
    assert_eq!((scene.read("one/a.log"), scene.read("two/a.log")), ("stayed\n".into(), "moved\n".into()));
}

#[test]
fn a_log_whose_link_leads_elsewhere_by_now_is_no_others() {
    let (mut scene, id) = led_elsewhere();
    let other = scene.open("one/a.log", 0, 0);
    scene.write(id, "moved\n", 2);
    scene.write(other, "stayed\n", 2);
    assert_eq!((scene.read("one/a.log"), scene.read("two/a.log")), ("stayed\n".into(), "moved\n".into()));
}

#[test]
fn a_place_that_fails_must_prove_itself_to_a_new_user() {
    let mut scene = Scene::new();
    let folder = scene.folder("gone", 0o755);
    let id = scene.open("gone/a.log", 0, 0);
    fs::remove_dir_all(&folder).unwrap();
    scene.write(id, "lost\n", 2);
    assert!(scene.sinks.open(&spec(&folder.join("a.log"), 0, 0), None).is_err());
    fs::create_dir(&folder).unwrap();
    assert_eq!(scene.open("gone/a.log", 0, 0), id);
    assert_eq!(scene.write(id, "back\n", 2), 0);
    scene.sinks.release(id, at(2));
    scene.sinks.release(id, at(2));
    assert!(scene.sinks.get(id).is_none(), "the refused user does not count");
}

#[test]
fn nowhere_needs_no_sink() {
    let mut scene = Scene::new();
    for target in [LogTarget::Null, LogTarget::SameAsStdout] {
        let nowhere = LogSpec { target, maxbytes: 0, backups: 0, compress: false, format: LogFormat::Raw };
        assert_eq!(scene.sinks.open(&nowhere, None).unwrap(), None);
    }
}

#[test]
fn the_daemons_own_streams_have_many_names() {
    let mut scene = Scene::new();
    let standard =
        LogSpec { target: LogTarget::DaemonStderr, maxbytes: 1, backups: 1, compress: false, format: LogFormat::Raw };
    let id = scene.sinks.open(&standard, None).unwrap();
    for name in ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"] {
        assert_eq!(scene.sinks.open(&spec(Path::new(name), 1, 1), None).unwrap(), id);
    }
}
