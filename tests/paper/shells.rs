//! The completions, in the shells themselves and against a real daemon.

use crate::harness::*;
use crate::{is_there, ours};
use std::path::PathBuf;
use std::process::Command;

/// Names that a shell could take for something else are part of every crowd.
const CROWD: &str = "\
[program:web]\ncommand = {actor}\nstartsecs = 0\n\
[program:worker]\ncommand = {actor}\nnumprocs = 2\nautostart = no\n\
[program:w$(touch {dir}/evil)]\ncommand = {actor}\nautostart = no\n\
[program:two words]\ncommand = {actor}\nautostart = no\n\
[group:jobs]\nprograms = worker\n";

#[derive(Clone, Copy)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }

    /// What the shell is told to run so that it says, a line each, what a line can go on with.
    fn probe(self) -> &'static str {
        match self {
            // The words as bash puts them on the line, and as a person sees them.
            Shell::Bash => {
                "COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:'; . ./script; COMP_LINE=$LINE; COMP_POINT=${#LINE}; \
                 _$NAME; printf '%s\\n' \"${COMPREPLY[@]}\""
            }
            Shell::Zsh => {
                "compdef() { :; }; compset() { PREFIX=${PREFIX#*=}; }; _files() { print -l -- $PREFIX*(N); }; \
                 compadd() { print -rl -- \"${(@)values}\"; }; . ./script; \
                 words=(${(z)LINE}); [[ $LINE == *' ' ]] && words+=(''); CURRENT=$#words; PREFIX=$words[CURRENT]; \
                 _$NAME || true"
            }
            Shell::Fish => "source ./script; complete -C \"$LINE\"",
        }
    }

    /// What `line` can go on with; `program` stands for its first word.
    #[track_caller]
    fn completes(self, home: &Home, program: &str, line: &str) -> Vec<String> {
        let path = if program == "supervice" { supervice() } else { supervicectl() };
        let flag = if program == "supervice" { "--completion" } else { "completion" };
        let script = ours(&path, &[flag, self.name()]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{script:?}");
        home.write("script", &script.stdout);
        // The shells find a completion by the name of the program, wherever it is.
        let link = home.join(program);
        if !link.exists() {
            std::os::unix::fs::symlink(path, &link).unwrap();
        }
        let mut command = home.command(self.name());
        command.args(if matches!(self, Shell::Fish) { &["--no-config"][..] } else { &["-f"] });
        if matches!(self, Shell::Bash) {
            command = home.command("bash");
            command.arg("--norc");
        }
        let line = home.fill(line).replace("CTL", &format!("{} -s {}", link.display(), home.socket().display()));
        let line = line.replace("DAEMON", &link.display().to_string());
        command.args(["-c", self.probe()]).env("LINE", &line).env("NAME", program).env("HOME", home.path());
        let ran = run(&mut command, DEADLINE);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}: {line}: {ran:?}", self.name());
        let words = ran.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned());
        words.filter(|word| !word.is_empty()).collect()
    }
}

/// The shells that are here; the others are told of.
fn shells() -> Vec<Shell> {
    let here = |shell: &Shell| {
        let found = is_there(shell.name());
        if !found {
            skip(&format!("completion in {}", shell.name()), "it is not installed");
        }
        found
    };
    [Shell::Bash, Shell::Zsh, Shell::Fish].into_iter().filter(here).collect()
}

fn crowd() -> Daemon {
    let d = Daemon::start(CROWD);
    d.wait_state("web", "RUNNING");
    d
}

#[test]
fn names_are_live() {
    let d = crowd();
    for shell in shells() {
        let next = |line: &str| shell.completes(&d.home, "supervicectl", line);
        assert_eq!(next("CTL why we"), ["web"], "{}", shell.name());
        // Bash puts only what stands behind the last colon in place.
        let slots = next("CTL stop worker:");
        assert_eq!(
            slots,
            if matches!(shell, Shell::Bash) { ["00", "01"] } else { ["worker:00", "worker:01"] },
            "{}",
            shell.name()
        );
        let groups = next("CTL startgroup j");
        assert_eq!(groups, ["jobs"], "{}", shell.name());
        assert!(next("CTL tail web ").iter().any(|word| word == "stderr"), "{}", shell.name());
    }
}

#[test]
fn conditions_follow_the_sign() {
    let d = crowd();
    for shell in shells() {
        let next = |line: &str| shell.completes(&d.home, "supervicectl", line);
        assert_eq!(next("CTL wait we"), ["web="], "{}", shell.name());
        let goals = next("CTL wait web=run");
        assert_eq!(goals, [if matches!(shell, Shell::Bash) { "running" } else { "web=running" }], "{}", shell.name());
    }
}

#[test]
fn a_name_is_never_run() {
    let d = crowd();
    for shell in shells() {
        let next = shell.completes(&d.home, "supervicectl", "CTL stop w");
        assert_eq!(next.len(), 4, "{}: {next:?}", shell.name());
        assert!(!d.home.join("evil").exists(), "{} ran a name", shell.name());
        let blank = shell.completes(&d.home, "supervicectl", "CTL stop tw");
        let written = if matches!(shell, Shell::Bash) { "two\\ words" } else { "two words" };
        assert_eq!(blank, [written], "{}", shell.name());
    }
}

#[test]
fn commands_and_options_need_no_daemon() {
    let home = Home::new();
    for shell in shells() {
        let next = |line: &str| shell.completes(&home, "supervicectl", line);
        assert_eq!(next("CTL restart --fo"), ["--force"], "{}", shell.name());
        assert_eq!(next("CTL reload --dr"), ["--dry-run"], "{}", shell.name());
        let begun = next("CTL st");
        assert!(["start", "status", "stop"].iter().all(|word| begun.iter().any(|next| next == word)), "{begun:?}");
        assert!(next("CTL stop w").is_empty(), "{}", shell.name());
        assert_eq!(next("CTL --color al"), ["always"], "{}", shell.name());
    }
}

#[test]
fn the_daemons_own_options_and_files() {
    let home = Home::new();
    home.write("site.conf", "");
    for shell in shells() {
        let next = |line: &str| shell.completes(&home, "supervice", line);
        assert_eq!(next("DAEMON --nod"), ["--nodaemon"], "{}", shell.name());
        assert_eq!(next("DAEMON -e W"), ["WARNING"], "{}", shell.name());
        assert_eq!(next("DAEMON --man supervice.c"), ["supervice.conf.5"], "{}", shell.name());
        assert_eq!(next("DAEMON -c si"), ["site.conf"], "{}", shell.name());
        let joined = next("DAEMON --configuration=si");
        let whole = if matches!(shell, Shell::Fish) { "--configuration=site.conf" } else { "site.conf" };
        assert_eq!(joined, [whole], "{}", shell.name());
    }
}

#[test]
fn a_daemon_that_is_silent_is_not_waited_for() {
    let home = Home::new();
    // It takes connections and never answers.
    let _silent = std::os::unix::net::UnixListener::bind(home.socket()).unwrap();
    let socket = home.socket().display().to_string();
    let words = ["--complete", "--", "-s", &socket, "stop", ""];
    let ctl: PathBuf = supervicectl();
    let ran = run(Command::new(ctl).args(words), DEADLINE);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "words\n", ""));
}
