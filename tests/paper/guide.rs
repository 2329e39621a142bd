//! `docs/GETTING-STARTED.md`, typed word by word.

use crate::harness::*;
use std::os::unix::fs::PermissionsExt;

struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands of the page and what it says they show.
fn steps() -> Vec<Step> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/GETTING-STARTED.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside {
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
        } else if let Some(more) = line.strip_prefix('>') {
            let step = steps.last_mut().unwrap();
            step.command = format!("{}\n{}", step.command, more.strip_prefix(' ').unwrap_or(more));
        } else {
            steps.last_mut().unwrap().shown.push(line.to_owned());
        }
    }
    steps
}

/// Numbers and widths differ from day to day.
fn blurred(line: &str) -> String {
    let digits: String = line.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
    let mut words: Vec<String> = digits.split_whitespace().map(str::to_owned).collect();
    for word in &mut words {
        while word.contains("00") {
            *word = word.replace("00", "0");
        }
    }
    words.join(" ")
}

/// `…` stands for the rest of a line; alone, for all lines that are left.
#[track_caller]
fn assert_shows(step: &Step, said: &str) {
    let mut lines = said.lines();
    for expected in &step.shown {
        if expected == "…" {
            return;
        }
        let line = lines.next().unwrap_or_else(|| panic!("{}: no {expected:?} in\n{said}", step.command));
        let (expected, line) = (blurred(expected), blurred(line));
        match expected.split_once('…') {
            Some((start, _)) => assert!(line.starts_with(start.trim_end()), "{}: {line:?}", step.command),
            None => assert_eq!(line, expected, "{}", step.command),
        }
    }
    assert_eq!(lines.next(), None, "{}", step.command);
}

/// A program that calls ours, for a socket that no other test uses.
fn put_program(home: &Home, name: &str, text: &str) {
    let path = home.write(&format!("bin/{name}"), text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_first_steps_lead_where_they_say() {
    let home = Home::new();
    std::fs::create_dir(home.join("bin")).unwrap();
    let (daemon, client, socket) = (supervice(), supervicectl(), home.socket());
    put_program(
        &home,
        "supervice",
        &format!(
            "#!/bin/sh\n{} \"$@\" || exit\nif [ \"$1\" = init ]; then\n  sed 's#^;socket = .*#socket = {}#' $2 > $2.new && \
             mv $2.new $2\nfi\n",
            daemon.display(),
            socket.display()
        ),
    );
    put_program(
        &home,
        "supervicectl",
        &format!("#!/bin/sh\nexec {} -s {} \"$@\"\n", client.display(), socket.display()),
    );
    let steps = steps();
    assert!(steps.len() > 15, "the page has commands");
    let mut script = "set -e\n".to_owned();
    for (at, step) in steps.iter().enumerate() {
        script.push_str(&format!("exec >{0}/said.{at} 2>&1\n{1}\n", home.path().display(), step.command));
    }
    home.write("script", script);
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = home.command("bash");
    command.arg("script").env("HOME", home.path()).env("PATH", path);
    let ran = run(&mut command, DEADLINE * 4);
    for (at, step) in steps.iter().enumerate() {
        let said = home.read(&format!("said.{at}"));
        // Where a command fails, those behind it were not typed.
        let last = !home.join(&format!("said.{}", at + 1)).exists();
        assert!(ran.code == 0 || !last, "{} ended with {}: {said}", step.command, ran.code);
        assert_shows(step, &said);
    }
}
