//! The man page of `supervicectl`, made of its help.

use super::help::{self, HELP};
use crate::manual::roff::Page;
use crate::manual::table::{self, Row};

const DESCRIPTION: &str = "\
`supervicectl` asks a running `supervice`(8) one thing, or orders one thing, and tells the answer: what was done on stdout, what was
not on stderr. No call takes longer than `--timeout` (`wait` a second more), except those that follow until Ctrl-C.

NAME is the name of a process, a pattern (`web*`, `worker:0?`), `group:GROUP` or `all`. Patterns are to be quoted, so that the shell
leaves them alone.";

const ENVIRONMENT: &[(&str, &str)] = &[
    ("`NO_COLOR`", "Set to anything: no colours, unless `--color=always` is given."),
    ("`TERM`", "`dumb`: no colours either, no progress, and `top` prints one table after the other."),
];

/// `supervicectl.1`.
pub(super) fn page() -> String {
    let mut page = Page::new("supervicectl", 1, "controls a running supervice");
    page.heading("SYNOPSIS");
    page.synopsis(help::USAGE.trim_start_matches("usage:").trim());
    page.heading("DESCRIPTION");
    page.prose(DESCRIPTION);
    let (options, commands): (Vec<Row>, Vec<Row>) =
        table::rows(HELP).into_iter().partition(|row| row.words.starts_with('-'));
    page.heading("OPTIONS");
    options.iter().for_each(|row| page.item(&format!("`{}`", row.words), &row.summary));
    page.heading("COMMANDS");
    for name in commands.iter().filter_map(|row| row.words.split_whitespace().next()) {
        let Some(text) = help::about(name) else { continue };
        let (usage, rest) = text.split_once('\n').unwrap_or((text, ""));
        page.part(usage.trim_start_matches("usage: supervicectl").trim());
        page.prose(rest);
    }
    page.heading("EXIT STATUS");
    for (code, meaning) in [
        ("0", "What was asked is done."),
        ("1", "It is not, or no daemon answered; with `-f`, also that the daemon ended first."),
        ("2", "Wrong usage: what no daemon could do."),
        ("3", "What is waited for has become impossible (`wait`)."),
        ("4", "What is waited for did not come in time, or the daemon does not say (`wait`)."),
        ("10", "A reload would change something (`reload --dry-run`)."),
    ] {
        page.item(code, meaning);
    }
    page.heading("ENVIRONMENT");
    ENVIRONMENT.iter().for_each(|(term, text)| page.item(term, text));
    page.heading("SEE ALSO");
    page.prose("`supervice`(8), `supervice.conf`(5)");
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_option_is_on_the_page() {
        let page = page();
        for command in help::commands() {
            assert!(page.contains(&format!(".SS \"{command}")), "{command}");
        }
        for flag in help::program().flags {
            let long = flag.names.last().unwrap().replace('-', "\\-");
            assert!(page.contains(&long), "{long}");
        }
    }
}
