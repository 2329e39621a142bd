//! Compressed backups among others: how they move, and what an ended daemon leaves.

use crate::scene::{Scene, at};
use std::fs;
use std::io::Write;
use supervice::logs::sinks::SinkId;
use supervice::spec::LogSpec;
use supervice::sys::log_file::LogPlace;

fn open(scene: &mut Scene, backups: u32) -> SinkId {
    let spec = LogSpec { compress: true, ..crate::scene::spec(&scene.path("a.log"), 0, backups) };
    scene.sinks.open(&spec, None).unwrap().unwrap()
}

#[track_caller]
fn expect(scene: &Scene, expected: &[(&str, &str)]) {
    let files: Vec<(String, String)> =
        scene.names().into_iter().map(|name| (name.clone(), scene.read(&name))).collect();
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files, expected);
}

fn rotate(scene: &mut Scene, id: SinkId, text: &str) {
    scene.write(id, text, 1);
    scene.sinks.file_mut(id).unwrap().rotate_now(at(1)).unwrap();
}

/// What a rotation hands over.
#[track_caller]
fn handed_over(scene: &mut Scene, id: SinkId) -> (LogPlace, u32) {
    scene.sinks.deadline();
    scene.sinks.take_rotated().remove(&id).unwrap()
}

#[test]
fn both_forms_move_on_and_count_as_one() {
    let mut scene = Scene::new();
    for (name, text) in [("a.log.1", "plain 1"), ("a.log.2.gz", "packed 2"), ("a.log.3.gz", "packed 3")] {
        fs::write(scene.path(name), text).unwrap();
    }
    let id = open(&mut scene, 3);
    rotate(&mut scene, id, "0");
    expect(&scene, &[("a.log", ""), ("a.log.1", "0"), ("a.log.2", "plain 1"), ("a.log.3.gz", "packed 2")]);
    rotate(&mut scene, id, "00");
    expect(&scene, &[("a.log", ""), ("a.log.1", "00"), ("a.log.2", "0"), ("a.log.3", "plain 1")]);
}

#[test]
fn compressed_ones_are_seen_where_nothing_is_compressed_any_more() {
    let mut scene = Scene::new();
    fs::write(scene.path("a.log.1.gz"), "packed 1").unwrap();
    let id = scene.open("a.log", 0, 2);
    rotate(&mut scene, id, "0");
    expect(&scene, &[("a.log", ""), ("a.log.1", "0"), ("a.log.2.gz", "packed 1")]);
    rotate(&mut scene, id, "00");
    expect(&scene, &[("a.log", ""), ("a.log.1", "00"), ("a.log.2", "0")]);
    scene.sinks.deadline();
    assert!(scene.sinks.take_rotated().is_empty(), "nobody compresses here");
}

#[test]
fn a_result_takes_the_number_that_its_source_has_by_then() {
    let mut scene = Scene::new();
    let id = open(&mut scene, 5);
    rotate(&mut scene, id, "first");
    let (mut place, backups) = handed_over(&mut scene, id);
    let raw = place.next_raw(backups).unwrap().unwrap();
    (&raw.target).write_all(b"FIRST").unwrap();
    rotate(&mut scene, id, "second");
    assert!(place.press(&raw.source, backups).unwrap());
    expect(&scene, &[("a.log", ""), ("a.log.1", "second"), ("a.log.2.gz", "FIRST")]);
    let next = place.next_raw(backups).unwrap().unwrap();
    assert_eq!(next.source.size(), 6, "the newest that is not compressed");
    place.discard_unfinished().unwrap();
    expect(&scene, &[("a.log", ""), ("a.log.1", "second"), ("a.log.2.gz", "FIRST")]);
}

#[test]
fn a_result_whose_source_is_gone_goes_too() {
    let mut scene = Scene::new();
    let id = open(&mut scene, 1);
    rotate(&mut scene, id, "first");
    let (mut place, backups) = handed_over(&mut scene, id);
    let raw = place.next_raw(backups).unwrap().unwrap();
    rotate(&mut scene, id, "second");
    assert!(!place.press(&raw.source, backups).unwrap());
    expect(&scene, &[("a.log", ""), ("a.log.1", "second")]);
}

#[test]
fn what_an_ended_daemon_left_is_cleared() {
    let mut scene = Scene::new();
    for (name, text) in [("a.log.1", "twice"), ("a.log.1.gz", "TWICE"), ("a.log.gz.tmp", "half")] {
        fs::write(scene.path(name), text).unwrap();
    }
    let id = open(&mut scene, 3);
    rotate(&mut scene, id, "new");
    expect(&scene, &[("a.log", ""), ("a.log.1", "new"), ("a.log.2.gz", "TWICE"), ("a.log.gz.tmp", "half")]);
    let (mut place, backups) = handed_over(&mut scene, id);
    let raw = place.next_raw(backups).unwrap().unwrap();
    assert_eq!(raw.target.metadata().unwrap().len(), 0, "what was half done is begun anew");
    (&raw.target).write_all(b"NEW").unwrap();
    assert!(place.press(&raw.source, backups).unwrap());
    expect(&scene, &[("a.log", ""), ("a.log.1.gz", "NEW"), ("a.log.2.gz", "TWICE")]);
    assert!(place.next_raw(backups).unwrap().is_none());
}
