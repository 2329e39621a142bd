//! `supervice init` and `supervice --help-config`.

use crate::harness::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_init_writes_is_checked_and_runs() {
    let home = Home::new();
    let made = home.run_daemon(&["init", "c.conf"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{made:?}");
    assert!(made.stdout.starts_with("Wrote c.conf\n"), "{made:?}");
    let mode = std::fs::metadata(home.config_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o022, 0, "only its owner can write it");
    let checked = home.run_daemon(&["-t", "-c", "c.conf"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
    // As a person would: the ; goes away, and a value of one's own comes.
    let text = home.read("c.conf");
    let own = text.replace(";socket = /tmp/supervice.sock", &home.fill("socket = {dir}/s.sock"));
    assert_ne!(text, own);
    home.write("c.conf", own);
    let mut d = Daemon::launch(home);
    d.wait_state("hello", "RUNNING");
    assert!(d.wait_file("hello.log").starts_with("hello, it is "));
    assert_eq!(d.terminate(), 0);
}

#[test]
fn init_touches_no_file_that_is_there() {
    let home = Home::new();
    let first = home.run_daemon(&["init"]);
    assert_eq!(first.code, 0, "{first:?}");
    home.write("supervisord.conf", "mine");
    std::os::unix::fs::symlink(home.join("nowhere"), home.join("link")).unwrap();
    for file in ["supervisord.conf", "link", "."] {
        let again = home.run_daemon(&["init", file]);
        assert_eq!((again.code, again.stdout.as_str()), (1, ""), "{file}");
        assert_eq!(again.stderr, format!("supervice: {file} is there already and stays as it is\n"));
    }
    assert_eq!(home.read("supervisord.conf"), "mine");
    assert!(!home.join("nowhere").exists());
    let nowhere = home.run_daemon(&["init", "no/such/folder"]);
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    assert!(nowhere.stderr.contains("writing no/such/folder failed: No such file"), "{nowhere:?}");
}

#[test]
fn init_prints_what_it_would_write() {
    let home = Home::new();
    assert_eq!(home.run_daemon(&["init", "a"]).code, 0);
    assert_eq!(home.run_daemon(&["init", "-"]).stdout, home.read("a"));
    assert!(!home.join("-").exists());
}

#[test]
fn the_options_are_listed() {
    let listed = Home::new().run_daemon(&["--help-config"]);
    assert_eq!((listed.code, listed.stderr.as_str()), (0, ""));
    let stop = "\n  stopwaitsecs\n      From the stop signal to SIGKILL for the process group.\n      takes:    seconds from 0 to \
                31536000, such as 10 or 0.5\n      default:  10\n";
    assert!(listed.stdout.contains(stop), "{}", listed.stdout);
    for section in ["[supervice]", "[program:NAME]", "[group:NAME]"] {
        assert!(listed.stdout.contains(&format!("\n{section}\n")), "{section}");
    }
}
