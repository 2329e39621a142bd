//! The man page of the daemon, made of its help.

use super::options::HELP;
use crate::manual::roff::Page;
use crate::manual::table::{self, Row};

const DESCRIPTION: &str = "\
`supervice` keeps programs running. It reads one configuration, starts the programs that are listed in it, starts them again
when they die, stops them in order, and writes what they print into log files. `supervicectl`(1) shows and steers them.

Without `-n` it goes into the background, and the command that was typed returns when the control socket answers, or with the
error that kept the daemon from starting.

A daemon that is killed takes its children with it (on Linux). It remembers what it started: the next daemon clears away
what is left, known by more than its pid, before it starts anything.";

const SIGNALS: &[(&str, &str)] = &[
    ("`SIGTERM`, `SIGINT`", "Stop all programs, then end. A second one kills at once what is left."),
    ("`SIGHUP`", "Read the configuration again and apply what changed. A file with errors changes nothing."),
    ("`SIGUSR2`", "Open all log files anew, after something else moved them."),
    ("`SIGUSR1`", "Make the sockets and the state file anew, where they were removed and the system does not tell."),
];

const STATES: &str = "\
STOPPED, STARTING, RUNNING, BACKOFF (waits for the next attempt), STOPPING, EXITED, FATAL (gave up) and UNHEALTHY (runs, but its
health checks fail). `supervicectl why` NAME tells how a process got where it is.";

const SERVICE_MANAGER: &str = "\
Where `NOTIFY_SOCKET` is set, as by systemd for `Type=notify`, the daemon says `READY=1` when its control socket answers
and the programs have been ordered to start, `RELOADING=1` and `READY=1` around a reload, and `STOPPING=1` when it ends; with it go
`MAINPID=` and a `STATUS=` in words. No program inherits the variable. One with `ready = notify` is given another, which leads
to supervice.";

const FILES: &[(&str, &str)] = &[
    (
        "`supervisord.conf`",
        "The configuration, in the working directory, unless `-c` names another: `supervice.conf`(5).",
    ),
    ("`/tmp/supervice.sock`", "The control socket, unless the configuration says otherwise."),
    (
        "`supervice.pid`, `.supervice.state.json`",
        "Lock and pid, and what is known of children, in the working directory unless configured.",
    ),
    ("`supervice.log`", "The daemon's log when it runs in the background and `logfile` is not given."),
];

const EXAMPLES: &str = "\
A first configuration, in an empty folder:

  $ supervice init
  $ supervice
  $ supervicectl status
  $ supervicectl tail hello
  $ supervicectl shutdown";

/// `supervice.8`.
pub(super) fn page() -> String {
    let mut page = Page::new("supervice", 8, "keeps programs running");
    page.heading("SYNOPSIS");
    let usage = HELP.lines().take_while(|line| !line.is_empty());
    usage.for_each(|line| page.synopsis(line.trim_start_matches("Usage:").trim()));
    page.heading("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.heading("OPTIONS");
    for Row { words, summary } in table::rows(HELP) {
        page.item(&format!("`{words}`"), &summary);
    }
    page.heading("STATES");
    page.prose(STATES);
    items(&mut page, "SIGNALS", SIGNALS);
    page.heading("SERVICE MANAGERS");
    page.prose(SERVICE_MANAGER);
    items(&mut page, "FILES", FILES);
    page.heading("EXIT STATUS");
    page.item("0", "A clean shutdown; with `-t`, a configuration without errors.");
    page.item("1", "It could not start, or could not run on, or a program could not be killed at the end.");
    page.item("2", "Wrong usage, or a configuration with errors.");
    page.heading("EXAMPLES");
    page.prose(EXAMPLES);
    page.heading("SEE ALSO");
    page.prose("`supervicectl`(1), `supervice.conf`(5)");
    page.finish()
}

fn items(page: &mut Page, heading: &str, items: &[(&str, &str)]) {
    page.heading(heading);
    items.iter().for_each(|(term, text)| page.item(term, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_help_is_on_the_page() {
        let page = page();
        for Row { words, .. } in table::rows(HELP) {
            assert!(page.contains(&format!(".TP\n\\fB{}\\fR\n", words.replace('-', "\\-"))), "{words}\n{page}");
        }
    }
}
