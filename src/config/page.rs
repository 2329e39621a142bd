//! The man page of the configuration, made of the table of options.

use super::options::{self, Section};
use super::starter::{default, note};
use crate::manual::roff::Page;

const DESCRIPTION: &str = "\
The file that `supervice`(8) reads: by `-c FILE`, else `supervisord.conf` in the working directory. `supervice init` writes
one to begin with, `supervice -t -c FILE` checks one and lists everything that is wrong with it.

Sections are `[supervice]`, `[program:NAME]`, `[group:NAME]` and `[DEFAULT]`, which holds for every section that does not
give an option itself. In a section stand options as `NAME = VALUE` or `NAME: VALUE`.

A line that begins with `#` or `;` is a comment; there are no comments behind a value. A line that is indented goes on with the
value before it. Values stand as they are: no escapes, no quotes, except where an option says so. A section or an option that is
given twice is an error. The file is UTF-8.

As root, the file must be root's, and nobody else may be able to write it or the folders on the way to it: a configuration is
code.";

const VALUES: &[(&str, &str)] = &[
    ("seconds", "May have a fraction: `0.5`."),
    ("sizes", "Bytes, or a number with `KB`, `MB` or `GB`, which count by 1024."),
    ("paths", "Relative ones mean the folder in which supervice was started. No `~`, no variables."),
    ("signals", "`TERM`, `SIGTERM`, `15`, `RTMIN+1`."),
    ("yes or no", "`true`, `1`, `yes`, `on`; `false`, `0`, `no`, `off`."),
];

const EXAMPLE: &str = "  [supervice]
  logfile = /var/log/supervice.log
  pidfile = /run/supervice.pid
  socket = /run/supervice.sock

  [program:web]
  command = /usr/bin/my-server --port 80%(process_num)s
  numprocs = 2
  user = www-data
  environment = MODE=production,GREETING=\"hello, world\"
  stdout_logfile = /var/log/web-%(process_num)s.log
  redirect_stderr = true
  healthcheck_type = http
  healthcheck_port = 80%(process_num)s

  [group:site]
  programs = web";

/// `supervice.conf.5`.
pub fn page() -> String {
    let mut page = Page::new("supervice.conf", 5, "configuration of supervice");
    page.heading("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.heading("VALUES");
    VALUES.iter().for_each(|(term, text)| page.item(term, text));
    for (section, title) in
        [(Section::Supervice, "THE DAEMON"), (Section::Program, "PROGRAMS"), (Section::Group, "GROUPS")]
    {
        page.heading(title);
        page.prose(&format!("In `{}`:", section.header()));
        for row in options::of(section) {
            let takes = format!("Takes {}{}.", row.kind.expects(), note(row));
            page.item(&format!("`{}`", row.name), &format!("{}\n{takes}\nDefault: {}.", row.summary, default(row)));
        }
    }
    page.heading("EXAMPLE");
    page.prose(EXAMPLE);
    page.heading("SEE ALSO");
    page.prose("`supervice`(8), `supervicectl`(1)");
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::OPTIONS;
    use std::path::Path;

    #[test]
    fn every_option_is_on_the_page() {
        let page = page();
        for row in OPTIONS {
            assert!(page.contains(&format!(".TP\n\\fB{}\\fR\n", row.name)), "{}", row.name);
        }
    }

    #[test]
    fn the_example_is_a_configuration() {
        let text: Vec<&str> = EXAMPLE.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let draft = crate::config::draft(text.join("\n").as_bytes(), Path::new("/x"));
        assert_eq!((draft.problems.len(), draft.config.warnings.len(), draft.config.instances.len()), (0, 0, 2));
    }
}
