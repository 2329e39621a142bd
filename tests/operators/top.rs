//! What processes use, on a pipe and on a terminal that is as it was when it is over.

use crate::harness::*;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

const PAIR: &str = "\
[program:talker]\ncommand = sh -c 'while :; do echo 0123456789; sleep 0.05; done'\nstartsecs = 0\nstdout_logfile = {dir}/talk.log\n\
[program:down]\ncommand = {actor}\nautostart = no\n";

/// A terminal, and `supervicectl` on it.
struct Terminal {
    keys: File,
    slave: OwnedFd,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn open(d: &Daemon, arguments: &[&str]) -> Terminal {
        Terminal::of_kind("xterm", d, arguments)
    }

    fn of_kind(kind: &str, d: &Daemon, arguments: &[&str]) -> Terminal {
        let size = Winsize { ws_row: 20, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        let mut command = d.home.command(supervicectl());
        command.arg("-s").arg(d.home.socket()).args(arguments).env_remove("NO_COLOR").env("TERM", kind);
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, text) = (File::from(pair.master.try_clone().unwrap()), seen.clone());
        // Ends with the test's process, or when the terminal does.
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count) = screen.read(&mut chunk) {
                text.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Terminal { keys: File::from(pair.master), slave: pair.slave, child, seen }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits until something is shown that was not there before.
    #[track_caller]
    fn wait(&self, d: &Daemon, what: &str, look: impl Fn(&str) -> bool) {
        d.wait(what, || look(&self.text()).then_some(()));
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ICANON)
    }

    /// The exit code, when the terminal is as it was.
    #[track_caller]
    fn ended(&mut self, d: &Daemon) -> Option<i32> {
        let status = d.wait("top ends", || self.child.try_wait().unwrap());
        assert!(!self.is_raw(), "the keyboard is as it was");
        assert!(tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ECHO));
        self.wait(d, "the screen is left", |text| text.contains("\x1b[?25h\x1b[?1049l"));
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_proc() -> bool {
    std::path::Path::new("/proc/self/stat").exists()
}

fn begun() -> Daemon {
    let d = Daemon::start(PAIR);
    d.wait_file("talk.log");
    d
}

#[test]
fn on_a_pipe_it_is_one_table_about_one_second() {
    let d = begun();
    let ran = d.ctl(&["top"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(!ran.stdout.contains('\x1b'), "{ran:?}");
    let lines: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 5, "{ran:?}");
    assert!(ran.stdout.starts_with("2 processes (1 RUNNING, 1 STOPPED), cpu "), "{ran:?}");
    assert_eq!(lines[2], ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU%", "RSS", "OUT/s", "HEALTH"]);
    let pid = d.pid_of("talker").to_string();
    assert_eq!((lines[3][..3].to_vec(), lines[3][4]), (vec!["talker", "RUNNING", pid.as_str()], "0"));
    assert_eq!(lines[4], ["down", "STOPPED", "-", "-", "0", "-", "-", "0", "-"]);
    if has_proc() {
        assert!(lines[3][5].parse::<f64>().is_ok() && lines[3][6].ends_with(['K', 'M']), "{ran:?}");
    }
}

#[test]
fn rates_restarts_and_whole_groups_are_told() {
    if !has_proc() {
        return skip("what processes use", "no /proc here");
    }
    let d = Daemon::start(
        "[program:busy]\ncommand = sh -c 'while :; do :; done & wait'\nstartsecs = 0\n\
         [program:talker]\ncommand = sh -c 'while :; do echo 0123456789; sleep 0.05; done'\nstartsecs = 0\n\
         stdout_logfile = {dir}/talk.log\n",
    );
    d.wait_file("talk.log");
    d.done("restart", "talker");
    let ran = d.ctl(&["top", "--json", "-n", "2"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2), "{ran:?}");
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let (busy, talker) = (&last["processes"][0], &last["processes"][1]);
    assert_eq!((&busy["name"], &talker["restarts"]), (&Value::from("busy"), &Value::from(1)));
    assert!(busy["cpu_percent"].as_f64().unwrap() > 1.0, "the grandchild spins: {busy}");
    assert!(talker["output_bytes_per_second"].as_f64().unwrap() > 1.0, "{talker}");
    assert!(talker["rss_bytes"].as_u64().unwrap() > 100_000, "{talker}");
    let some = d.ctl(&["top", "-b", "-n", "2", "talk*"]);
    assert_eq!(some.stdout.matches("\ntalker ").count(), 2, "{some:?}");
    assert!(!some.stdout.contains("busy"));
}

#[test]
fn what_is_wrong_is_said_as_elsewhere() {
    let d = begun();
    let ran = d.ctl(&["top", "talkre"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.starts_with("Process not found\n") && ran.stderr.ends_with("Did you mean talker?\n"), "{ran:?}");
    let home = Home::new();
    let ctl = |arguments: &[&str]| run(home.command(supervicectl()).arg("-s").arg("none").args(arguments), DEADLINE);
    assert_eq!(ctl(&["top"]).stderr, "Supervice is not running (socket not found)\n");
    assert!(ctl(&["top", "--json"]).stdout.contains("NOT_RUNNING"));
    for wrong in [&["top", "-n", "0"][..], &["top", "-f"], &["status", "-b"], &["top", "--force"]] {
        assert_eq!(ctl(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn on_a_terminal_it_is_a_screen_that_q_leaves_as_it_was() {
    let d = begun();
    let mut top = Terminal::open(&d, &["top"]);
    top.wait(&d, "the first picture", |text| text.contains("\x1b[?1049h\x1b[?25l") && text.contains("talker"));
    assert!(top.is_raw());
    assert!(top.text().contains("\x1b[32mRUNNING"), "{:?}", top.text());
    let pictures = |text: &str| text.matches("2 processes").count();
    top.wait(&d, "another picture without a key", |text| pictures(text) > 1);
    // By name `down` comes first; as given it comes last. Arrows are no keys of ours.
    top.press("\x1b[Cn");
    top.wait(&d, "the order by name", |text| {
        let last = &text[text.rfind("2 processes").unwrap()..];
        last.find("down ").zip(last.find("talker ")).is_some_and(|(down, talker)| down < talker)
    });
    top.press("q");
    assert_eq!(top.ended(&d), Some(0));
}

#[test]
fn on_a_dumb_terminal_it_is_one_table_after_the_other() {
    let d = begun();
    let mut top = Terminal::of_kind("dumb", &d, &["top"]);
    top.wait(&d, "a second table", |text| text.matches("2 processes").count() == 2);
    assert!(!top.text().contains('\x1b'), "{:?}", top.text());
    process::signal(top.child.id() as i32, Signal::SIGTERM);
    d.wait("top ends", || top.child.try_wait().unwrap());
}

#[test]
fn signals_leave_the_terminal_as_it_was() {
    let d = begun();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut top = Terminal::open(&d, &["top"]);
        top.wait(&d, "the first picture", |text| text.contains("talker"));
        process::signal(top.child.id() as i32, signal);
        assert_eq!(top.ended(&d), Some(0), "{signal}");
    }
}

#[test]
fn it_ends_with_its_reason_when_the_daemon_does() {
    let mut d = begun();
    let mut top = Terminal::open(&d, &["top"]);
    top.wait(&d, "the first picture", |text| text.contains("talker"));
    d.terminate();
    assert_eq!(top.ended(&d), Some(1));
    top.wait(&d, "the reason", |text| text.ends_with("Supervice is not running (socket not found)\r\n"));
}

#[test]
fn another_size_is_another_picture() {
    let d = begun();
    let mut top = Terminal::open(&d, &["top"]);
    top.wait(&d, "the first picture", |text| text.contains("HEALTH"));
    let path = nix::unistd::ttyname(&top.slave).unwrap();
    let resized = run(d.home.command("stty").arg("-F").arg(&path).args(["cols", "24", "rows", "4"]), DEADLINE);
    if resized.code != 0 {
        return skip("another size", "no stty(1) that takes -F here");
    }
    process::signal(top.child.id() as i32, Signal::SIGWINCH);
    top.wait(&d, "a small picture", |text| {
        let last = text.rsplit("\x1b[H").next().unwrap_or_default();
        last.contains("… 2 more") && last.split("\r\n").count() == 4 && !last.contains("UPTIME")
    });
    top.press("q");
    assert_eq!(top.ended(&d), Some(0));
}

#[test]
fn who_was_stopped_draws_anew_when_it_goes_on() {
    let d = begun();
    let mut top = Terminal::open(&d, &["top"]);
    top.wait(&d, "the first picture", |text| text.contains("talker"));
    let pid = top.child.id() as i32;
    process::signal(pid, Signal::SIGTSTP);
    d.wait("top is stopped", || process::stat(pid).filter(|stat| stat.state == 'T'));
    assert!(!top.is_raw(), "the shell has its keyboard back");
    process::signal(pid, Signal::SIGCONT);
    top.wait(&d, "the screen again", |text| text.matches("\x1b[?1049h").count() == 2);
    d.wait("the keys again", || top.is_raw().then_some(()));
    top.press("q");
    assert_eq!(top.ended(&d), Some(0));
}
