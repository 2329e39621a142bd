//! Reading logs back: their last lines across rotations, and everything that is written while somebody reads along.

use crate::scene::{Scene, at};
use std::fs;
use supervice::logs::follow::{Cursor, TAIL_MAX, Wish, tail};
use supervice::logs::rotating_file::RotatingFile;
use supervice::logs::sinks::SinkId;
use supervice::sys::log_file::LogPlace;

const ALL: Wish = Wish { bytes: None, lines: None };

fn file(scene: &mut Scene, id: SinkId) -> &mut RotatingFile<LogPlace> {
    scene.sinks.file_mut(id).unwrap()
}

fn last(scene: &mut Scene, id: SinkId, wish: Wish) -> String {
    String::from_utf8(tail(file(scene, id).place_mut(), None, wish).unwrap().bytes).unwrap()
}

fn lines(count: u64) -> Wish {
    Wish { bytes: None, lines: Some(count) }
}

fn bytes(count: u64) -> Wish {
    Wish { bytes: Some(count), lines: None }
}

/// Everything that there is to pull, in small bites, and how much was missed.
fn pull(scene: &mut Scene, id: SinkId, cursor: &mut Cursor) -> (String, u64) {
    let (mut text, mut missed) = (Vec::new(), 0);
    for _ in 0..100_000 {
        let mut buffer = [0; 7];
        let file = file(scene, id);
        if !cursor.is_behind(file) {
            return (String::from_utf8(text).unwrap(), missed);
        }
        let pulled = cursor.pull(file, &mut buffer);
        assert!(pulled.taken > 0 || !cursor.is_behind(file), "a pull gets on");
        text.extend_from_slice(&buffer[..pulled.taken]);
        missed += pulled.missed;
    }
    panic!("the cursor never arrives");
}

#[test]
fn the_last_lines_reach_back_over_a_rotation() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 8, 2);
    for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
        scene.write(id, line, 0);
    }
    for (wish, expected) in [
        (lines(0), ""),
        (lines(1), "six\n"),
        (lines(2), "five\nsix\n"),
        (lines(3), "four\nfive\nsix\n"),
        (lines(9), "four\nfive\nsix\n"),
        (ALL, "four\nfive\nsix\n"),
        (bytes(0), ""),
        (bytes(3), "ix\n"),
        (bytes(6), "e\nsix\n"),
        (bytes(99), "four\nfive\nsix\n"),
        (Wish { bytes: Some(6), lines: Some(1) }, "six\n"),
    ] {
        assert_eq!(last(&mut scene, id, wish), expected, "{wish:?}");
    }
    scene.write(id, "7", 0);
    assert_eq!(last(&mut scene, id, lines(2)), "six\n7");
}

#[test]
fn long_logs_are_read_from_their_end_only() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 0);
    let text: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    scene.write(id, &text, 0);
    assert_eq!(last(&mut scene, id, lines(20_000)).lines().next(), Some("180000"));
    let tail = tail(file(&mut scene, id).place_mut(), None, ALL).unwrap();
    assert!(tail.truncated && tail.bytes.len() == TAIL_MAX);
    assert!(text.as_bytes().ends_with(&tail.bytes));
}

#[test]
fn a_follower_sees_every_byte_through_rotations() {
    for backups in [1, 3] {
        let mut scene = Scene::new();
        let id = scene.open("a.log", 64, backups);
        scene.write(id, "before\n", 0);
        let mut cursor = Cursor::at_end(file(&mut scene, id));
        let mut text = String::new();
        for n in 0..500 {
            scene.write(id, &format!("line {n}\n"), 0);
            if n % 3 == 0 {
                let (piece, missed) = pull(&mut scene, id, &mut cursor);
                assert_eq!(missed, 0);
                text.push_str(&piece);
            }
        }
        text.push_str(&pull(&mut scene, id, &mut cursor).0);
        assert_eq!(text, (0..500).map(|n| format!("line {n}\n")).collect::<String>());
    }
}

#[test]
fn a_slow_follower_is_told_what_it_missed() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 64, 2);
    let mut cursor = Cursor::at_end(file(&mut scene, id));
    scene.write(id, "the first line\n", 0);
    let mut buffer = [0; 4];
    assert_eq!(cursor.pull(file(&mut scene, id), &mut buffer).taken, 4);
    let mut written = 15;
    for n in 0..100 {
        let line = format!("line {n:03}\n");
        written += line.len() as u64;
        scene.write(id, &line, 0);
    }
    let (text, missed) = pull(&mut scene, id, &mut cursor);
    assert_eq!(4 + text.len() as u64 + missed, written, "every byte is read or told of");
    assert!(missed > 0 && text.ends_with("line 099\n"), "{missed} {text}");
    // The file that it was reading is read to its end, though it has no name any more.
    assert!(text.starts_with("first line\n"), "{text}");
}

#[test]
fn a_log_started_over_is_followed_from_its_start() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 16, 0);
    let mut cursor = Cursor::at_end(file(&mut scene, id));
    scene.write(id, "0123456789\n", 0);
    assert_eq!(pull(&mut scene, id, &mut cursor), ("0123456789\n".into(), 0));
    // Longer again than what was read before it was started over.
    scene.write(id, "abcdefghijklm\n", 0);
    assert_eq!(scene.read("a.log"), "abcdefghijklm\n");
    assert_eq!(pull(&mut scene, id, &mut cursor), ("abcdefghijklm\n".into(), 0));
    file(&mut scene, id).clear().unwrap();
    assert_eq!(pull(&mut scene, id, &mut cursor), (String::new(), 0));
    scene.write(id, "new\n", 0);
    assert_eq!((scene.read("a.log"), pull(&mut scene, id, &mut cursor)), ("new\n".into(), ("new\n".into(), 0)));
}

#[test]
fn files_moved_removed_and_truncated_by_others() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 5);
    let mut cursor = Cursor::at_end(file(&mut scene, id));
    scene.write(id, "one\n", 0);
    fs::rename(scene.path("a.log"), scene.path("moved")).unwrap();
    assert_eq!(pull(&mut scene, id, &mut cursor), ("one\n".into(), 0), "it is open already");
    let mut late = Cursor::at_end(file(&mut scene, id));
    scene.write(id, "lost\n", 0);
    // Not reachable by its name: told, and not tried for ever.
    assert_eq!(pull(&mut scene, id, &mut late), (String::new(), 5));
    assert_eq!(pull(&mut scene, id, &mut cursor), ("lost\n".into(), 0));
    assert!(scene.sinks.reopen_all().is_empty());
    scene.write(id, "two\n", 0);
    assert_eq!(pull(&mut scene, id, &mut cursor), ("two\n".into(), 0));
    fs::rename(scene.path("a.log"), scene.path("again")).unwrap();
    scene.write(id, "three\n", 0);
    assert_eq!(pull(&mut scene, id, &mut cursor), ("three\n".into(), 0));
    scene.sinks.reopen_all();
    fs::write(scene.path("a.log"), "").unwrap();
    scene.write(id, "four\n", 0);
    assert_eq!(pull(&mut scene, id, &mut cursor), ("four\n".into(), 0));
    fs::File::options().write(true).open(scene.path("a.log")).unwrap().set_len(0).unwrap();
    scene.write(id, "five\n", 10);
    let (text, missed) = pull(&mut scene, id, &mut cursor);
    assert_eq!((text.as_str(), missed), ("five\n", 0));
}

#[test]
fn a_rotation_on_demand() {
    let mut scene = Scene::new();
    let id = scene.open("a.log", 0, 2);
    file(&mut scene, id).rotate_now(at(0)).unwrap();
    assert_eq!(scene.names(), ["a.log"], "an empty log is not rotated");
    scene.write(id, "one\n", 0);
    let mut cursor = Cursor::at_end(file(&mut scene, id));
    file(&mut scene, id).rotate_now(at(0)).unwrap();
    scene.write(id, "two\n", 0);
    assert_eq!((scene.read("a.log.1"), scene.read("a.log")), ("one\n".into(), "two\n".into()));
    assert_eq!(pull(&mut scene, id, &mut cursor), ("two\n".into(), 0));
    scene.folder("a.log.2", 0o755);
    file(&mut scene, id).rotate_now(at(0)).unwrap_err();
    assert_eq!(scene.read("a.log"), "two\n");
}

#[test]
fn nothing_is_read_through_a_planted_name() {
    let mut scene = Scene::new();
    fs::write(scene.path("secret"), "secret\n").unwrap();
    fs::hard_link(scene.path("secret"), scene.path("a.log")).unwrap();
    let mut place = scene.sinks.place(&scene.path("a.log"), None);
    assert!(place.resolve().unwrap());
    tail(&mut place, None, ALL).unwrap_err();
    fs::remove_file(scene.path("a.log")).unwrap();
    let id = scene.open("a.log", 0, 3);
    scene.write(id, "mine\n", 0);
    std::os::unix::fs::symlink(scene.path("secret"), scene.path("a.log.1")).unwrap();
    tail(file(&mut scene, id).place_mut(), None, ALL).unwrap_err();
    nix::unistd::mkfifo(&scene.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    scene.sinks.place(&scene.path("fifo"), None).resolve().unwrap_err();
    assert!(!scene.sinks.place(&scene.path("none"), None).resolve().unwrap());
}
