//! Two texts made of the table of options: a configuration to begin with, and the list of all options.

use super::options::{self, Empty, Expands, Fallback, OptionRow, Section};

const SECTIONS: [Section; 3] = [Section::Supervice, Section::Program, Section::Group];

const HEAD: &str = "\
# A configuration for supervice, with every option there is.
#
# Lines that begin with # explain. Lines that begin with ; are options that are not given: remove the ; to give one.
# Where a value stands, it is the one that holds anyway.
#
#   supervice -t -c FILE   checks this file
#   supervice -n -c FILE   runs it, Ctrl-C ends it; without -n it runs in the background
#   supervicectl status    shows what runs
#
# Paths that do not begin with / mean the folder in which supervice is started.
";

const HELLO: &str = "\
# A program. Copy this section for each of yours, under a name of its own.
[program:hello]

# What is run; no shell runs it, unless it is one.
command = sh -c 'while :; do echo \"hello, it is $(date)\"; sleep 5; done'

# What it prints: supervicectl tail -f hello
stdout_logfile = hello.log
redirect_stderr = true

";

/// A configuration that runs, with every option in it, commented out.
pub fn starter() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text.push('\n');
        text.push_str(match section {
            Section::Supervice => "# The daemon itself.\n[supervice]\n\n",
            Section::Program => HELLO,
            Section::Group => "# Programs that are started and stopped together: supervicectl stopgroup NAME\n;[group:everything]\n;programs = hello\n",
        });
        // What a group has is shown already.
        let rows = options::of(section).filter(|row| section != Section::Group && !HELLO.contains(&assigned(row)));
        rows.for_each(|row| text.push_str(&commented(row)));
    }
    text
}

fn assigned(row: &OptionRow) -> String {
    format!("\n{} = ", row.name)
}

fn commented(row: &OptionRow) -> String {
    let OptionRow { name, summary, .. } = row;
    match row.default {
        Fallback::Value(value) => format!("# {summary}\n;{name} = {value}\n"),
        Fallback::Unset(meaning) => format!("# {summary} Not given: {meaning}.\n;{name} =\n"),
        Fallback::Required => format!("# {summary}\n;{name} =\n"),
    }
}

/// Every option: what it is for, what it takes, and what holds where it is not given.
pub fn listing() -> String {
    let mut text = String::from("Every option of a configuration, by its section.\n");
    for section in SECTIONS {
        text.push_str(&format!("\n{}\n", section.header()));
        options::of(section).for_each(|row| text.push_str(&listed(row)));
    }
    text
}

fn listed(row: &OptionRow) -> String {
    let mut text = format!("\n  {}\n      {}\n", row.name, row.summary);
    text.push_str(&format!("      takes:    {}{}\n", row.kind.expects(), note(row)));
    text.push_str(&format!("      default:  {}\n", default(row)));
    text
}

/// What holds where it is not given, in words.
pub fn default(row: &OptionRow) -> String {
    match row.default {
        Fallback::Required => "none: it is required".to_owned(),
        Fallback::Unset(meaning) => meaning.to_owned(),
        Fallback::Value(value) => value.to_owned(),
    }
}

/// What else there is to know about a value.
pub fn note(row: &OptionRow) -> String {
    let mut notes = Vec::new();
    if row.expands == Expands::Yes {
        notes.push("%(process_num)s is the number of the instance");
    }
    if row.empty == Empty::NotGiven {
        notes.push("empty: as if it were not given");
    }
    if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::options::OPTIONS;
    use std::path::Path;

    fn read(text: &str) -> config::Draft {
        let draft = config::draft(text.as_bytes(), Path::new("/x"));
        assert!(draft.problems.is_empty(), "{:?}\n{text}", draft.problems);
        draft
    }

    #[test]
    fn the_starter_is_a_configuration_and_says_what_holds() {
        let text = starter();
        let plain = read(&text);
        assert_eq!((plain.config.instances.len(), plain.config.warnings.len()), (1, 0));
        let given = text.lines().map(|line| match line.strip_prefix(';') {
            Some(option) if !option.ends_with('=') => option,
            _ => line,
        });
        let written = read(&given.collect::<Vec<_>>().join("\n"));
        assert_eq!(written.config.daemon, plain.config.daemon);
        let [mut before, mut after] = [plain, written].map(|draft| draft.config.instances[0].clone());
        // The group that is written out has another name.
        before.group = "".into();
        after.group = "".into();
        assert_eq!(before, after);
    }

    #[test]
    fn both_texts_have_every_option() {
        let (starter, listing) = (starter(), listing());
        for row in OPTIONS {
            assert!(
                starter.contains(&format!("\n;{} =", row.name)) || starter.contains(&assigned(row)),
                "{}",
                row.name
            );
            assert!(listing.contains(&format!("\n  {}\n      {}\n", row.name, row.summary)), "{}", row.name);
        }
    }
}
