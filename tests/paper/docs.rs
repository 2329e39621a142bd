//! The pages for people promise nothing that is not there: commands, options and links are looked up.

use crate::harness::*;
use crate::ours;
use std::path::{Path, PathBuf};
use supervice::config::options::OPTIONS;
use supervice::ctl::help;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Pages for those who build on it, or build it; they speak of more than what a person types.
const FOR_BUILDERS: [&str; 4] = ["ARCHITECTURE.md", "PROTOCOL.md", "SECURITY.md", "STATES.md"];

/// Each page with its path.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md"), root().join("docs/packaging/README.md")];
    let found = std::fs::read_dir(root().join("docs")).unwrap().flatten().map(|entry| entry.path());
    paths.extend(found.filter(|path| path.extension().is_some_and(|end| end == "md")));
    paths.retain(|path| !FOR_BUILDERS.iter().any(|name| path.ends_with(name)));
    assert!(paths.len() > 6, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The commands that a line has typed: the first word behind `supervicectl` and its options.
fn commands(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, rest) in line.match_indices("supervicectl ").map(|(at, word)| line.split_at(at + word.len())) {
        let mut words = rest.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "-s" | "--socket" | "--timeout" | "--color" => drop(words.next()),
                option if option.starts_with('-') => {}
                other => {
                    let end = other.find(|sign: char| !sign.is_ascii_lowercase()).unwrap_or(other.len());
                    let whole = end == other.len() || matches!(other.as_bytes()[end], b'`' | b'"' | b')' | b',' | b';');
                    found.extend((end > 0 && whole).then(|| other[..end].to_owned()));
                    break;
                }
            }
        }
    }
    found
}

/// What stands as code on a page, with the number of its line less one.
fn typed(page: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (at, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push((at, line.to_owned()));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (at, span.to_owned())));
        }
    }
    found
}

#[test]
fn commands_are_found_in_text() {
    assert_eq!(commands("type `supervicectl -s X status`, or supervicectl --timeout 3 stop 'a*'"), ["status", "stop"]);
    assert!(commands("`supervicectl` shows; supervicectl SOCKET; `supervicectl --man`").is_empty());
}

#[test]
fn every_command_on_a_page_is_one() {
    let known: Vec<&str> = help::commands().collect();
    let mut count = 0;
    for (path, page) in pages() {
        for (at, line) in typed(&page) {
            for command in commands(&line) {
                assert!(known.contains(&command.as_str()), "{}:{}: {command}", path.display(), at + 1);
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn every_option_on_a_page_is_one() {
    let mut count = 0;
    for (path, page) in pages().into_iter().filter(|(path, _)| !path.ends_with("FROM-SUPERVISORD.md")) {
        for span in page.split('`').skip(1).step_by(2).filter(|span| !span.contains('\n')) {
            let Some((name, _)) = span.split_once(" = ") else { continue };
            if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                assert!(OPTIONS.iter().any(|option| option.name == name), "{}: {span}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn every_link_leads_somewhere() {
    for (path, page) in pages() {
        for (at, _) in page.match_indices("](") {
            let target = page[at + 2..].split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(path.parent().unwrap().join(target).exists(), "{}: {target}", path.display());
            }
        }
    }
}

/// The table for those who come from supervisord names only what is here, in its second column.
#[test]
fn what_is_called_the_same_is_the_same() {
    let page = std::fs::read_to_string(root().join("docs/FROM-SUPERVISORD.md")).unwrap();
    let (_, options) = page.split_once("## Options of a program").unwrap();
    let (options, _) = options.split_once("\n## ").unwrap();
    let same = options.lines().find(|line| line.ends_with("| the same |")).unwrap();
    for name in same.split('`').skip(1).step_by(2) {
        assert!(OPTIONS.iter().any(|option| option.name == name), "{name}");
    }
}

/// What a page says the programs say, they say.
#[test]
fn messages_on_the_page_of_troubles_are_real() {
    let home = Home::new();
    let page = std::fs::read_to_string(root().join("docs/TROUBLESHOOTING.md")).unwrap();
    let mut said = Vec::new();
    said.push(home.run_daemon(&["-n"]).stderr);
    home.configure_raw(
        "[supervice]\nsocket = /no/such/folder/s\n[program:a]\ncommand = x\nuser = nobody-at-all\ncomand = y\n",
    );
    said.push(home.run_daemon(&["-t", "-c", "c.conf"]).stderr);
    let socket = home.join("none").display().to_string();
    said.push(ours(&supervicectl(), &["-s", &socket, "status"]).stderr);
    let d = Daemon::start_in(home, "[program:a]\ncommand = /no/such/program\n");
    said.push(d.ctl(&["start", "a"]).stderr);
    said.push(d.ctl(&["status", "nobody"]).stderr);
    said.push(d.home.run_daemon(&["-n", "-c", "c.conf"]).stderr);
    let said = said.concat();
    for words in [
        "cannot be read: No such file or directory",
        "does not exist (make it first)",
        "user: there is no user ",
        "nobody knows this option, it is left out (nearest: ",
        "Supervice is not running (socket not found)",
        "ENOENT (No such file or directory)",
        "Process not found",
        "is locked: supervice is running with pid ",
    ] {
        assert!(page.contains(words), "the page has no {words:?}");
        assert!(said.contains(words), "nobody says {words:?}:\n{said}");
    }
}
