//! `reload` and `update`: how they are asked for, and what they changed, or would, in words.

use super::args::UsageError;
use super::outcome::{Outcome, refusal};
use super::{complaint, each, render};
use crate::client::Client;
use crate::wire::reload::Effect;
use crate::wire::text::shown;
use crate::wire::{Answer, Request};

/// How a reload is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reloading {
    /// Only say what it would change.
    pub dry_run: bool,
    /// Restart what it changed.
    pub restart: bool,
}

impl Reloading {
    pub(super) fn request(self, command: &str, operands: &[&str], force: bool) -> Result<Request, UsageError> {
        let names: Vec<String> = operands.iter().map(|name| (*name).to_owned()).collect();
        match (command, self) {
            _ if force => Err(UsageError(format!("--force is for restart, not for {command}"))),
            ("update", _) => Ok(Request::Update { names: (!names.is_empty()).then_some(names) }),
            _ if !names.is_empty() => Err(UsageError(format!("{command} takes no name: {}", names.join(" ")))),
            (_, Reloading { dry_run: true, restart: true }) => {
                Err(UsageError("--dry-run and --restart exclude each other".to_owned()))
            }
            (_, Reloading { dry_run: true, .. }) => Ok(Request::DryReload),
            (_, Reloading { restart: true, .. }) => Ok(Request::Update { names: None }),
            _ => Ok(Request::Reload),
        }
    }
}

/// Whether anything is, or would be, other than before.
pub(super) fn changes_anything(answer: &Answer) -> bool {
    let lists = [&answer.added, &answer.removed, &answer.changed, &answer.regrouped];
    !lists.into_iter().all(Vec::is_empty) || !answer.daemon.is_empty()
}

/// What a reload did: its lists on stdout even where not all of it succeeded.
pub(super) fn outcome(client: &Client, answer: &Answer) -> Outcome {
    let mut outcome = if answer.results.is_empty() { Outcome::done(String::new()) } else { each(client, answer) };
    if !answer.is_ok() {
        outcome.code = refusal(answer);
        outcome.stderr.insert_str(0, &complaint(answer));
    }
    if answer.is_ok() || changes_anything(answer) {
        outcome.stdout.insert_str(0, &lists(answer));
    }
    outcome
}

/// What a reload changed.
fn lists(answer: &Answer) -> String {
    let at_once = |name: &String| {
        let effect = answer.effects.iter().find(|effect| effect.name == *name);
        effect.is_some_and(|effect| effect.next_start.is_empty())
    };
    let (in_force, waiting): (Vec<String>, Vec<String>) = answer.changed.iter().cloned().partition(at_once);
    let lists = [
        ("Added", &answer.added),
        ("Removed", &answer.removed),
        ("Changed (restart to apply)", &waiting),
        ("Changed (applied)", &in_force),
        ("Moved to another group", &answer.regrouped),
    ];
    let mut out = String::new();
    for (title, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        out.push_str(&format!("{title}: {}\n", joined(names)));
    }
    for effect in answer.effects.iter().filter(|effect| !effect.now.is_empty() && !effect.next_start.is_empty()) {
        let (now, later) = (joined(&effect.now), joined(&effect.next_start));
        out.push_str(&format!("{}: {now} applied, {later} at the next start\n", shown(&effect.name)));
    }
    out.push_str(&of_daemon(&answer.daemon));
    if out.is_empty() { "No changes detected\n".to_owned() } else { out }
}

fn of_daemon(effect: &Effect) -> String {
    let line = |options: &[String], when: &str| {
        if options.is_empty() { String::new() } else { format!("[supervice]: {} {when}\n", joined(options)) }
    };
    line(&effect.now, "applied") + &line(&effect.next_start, "when the daemon is started anew")
}

/// What a reload would change: a line for each process and option.
pub(super) fn foresight(answer: &Answer) -> String {
    let mut lines: Vec<String> = Vec::new();
    let named = |names: &[String], what: &str| names.iter().map(|name| format!("{}: {what}", shown(name))).collect();
    let lists: [Vec<String>; 3] = [
        named(&answer.added, "added"),
        named(&answer.removed, "removed"),
        named(&answer.regrouped, "moved to another group"),
    ];
    lines.extend(lists.into_iter().flatten());
    let told = |effect: &Effect, name: &str, later: &str| -> Vec<String> {
        let now = effect.now.iter().map(|option| format!("{name}: {} applies now", shown(option)));
        let later = effect.next_start.iter().map(|option| format!("{name}: {} applies {later}", shown(option)));
        now.chain(later).collect()
    };
    for effect in &answer.effects {
        lines.extend(told(effect, &shown(&effect.name), "at the next start"));
    }
    lines.extend(told(&answer.daemon, "[supervice]", "when the daemon is started anew"));
    let bare = answer.changed.iter().filter(|name| !answer.effects.iter().any(|effect| effect.name == **name));
    lines.extend(bare.map(|name| format!("{}: changed", shown(name))));
    if lines.is_empty() { "No changes detected\n".to_owned() } else { render::message(&lines.join("\n")) }
}

fn joined(names: &[String]) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn effect(name: &str, now: &str, next_start: &str) -> Effect {
        Effect { name: name.to_owned(), now: names(now), next_start: names(next_start) }
    }

    #[test]
    fn a_reload_tells_what_changed() {
        let mut answer = Answer::default();
        assert_eq!(lists(&answer), "No changes detected\n");
        (answer.added, answer.changed) = (names("a b"), names("c"));
        assert_eq!(lists(&answer), "Added: a, b\nChanged (restart to apply): c\n");
        answer.removed = names("d");
        assert_eq!(lists(&answer), "Added: a, b\nRemoved: d\nChanged (restart to apply): c\n");
    }

    #[test]
    fn what_is_in_force_needs_no_restart() {
        let mut answer = Answer { changed: names("a b c"), ..Answer::default() };
        answer.effects =
            vec![effect("a", "stopsignal", ""), effect("b", "", "command"), effect("c", "stopsignal", "command umask")];
        answer.daemon = effect("", "loglevel", "socket");
        let expected = "Changed (restart to apply): b, c\nChanged (applied): a\n\
                        c: stopsignal applied, command, umask at the next start\n\
                        [supervice]: loglevel applied\n[supervice]: socket when the daemon is started anew\n";
        assert_eq!(lists(&answer), expected);
        let expected = "a: stopsignal applies now\nb: command applies at the next start\nc: stopsignal applies now\n\
                        c: command applies at the next start\nc: umask applies at the next start\n\
                        [supervice]: loglevel applies now\n\
                        [supervice]: socket applies when the daemon is started anew\n";
        assert_eq!(foresight(&answer), expected);
        assert!(changes_anything(&answer) && !changes_anything(&Answer::default()));
    }
}
