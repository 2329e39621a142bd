//! `docs/CONFIGURATION.md` against the table of options: neither says what the other does not.

use supervice::config::options::{self, Applies, Empty, Expands, Fallback, OPTIONS, OptionRow, Section};
use supervice::spec::{LogFormat, LogTarget};

fn row(option: &OptionRow) -> String {
    let default = match option.default {
        Fallback::Required => "required".to_owned(),
        Fallback::Unset(meaning) => meaning.to_owned(),
        Fallback::Value(text) => format!("`{text}`"),
    };
    let expands = if option.expands == Expands::Yes { " ×" } else { "" };
    let empty = if option.empty == Empty::NotGiven { " ∅" } else { "" };
    let applies = if option.applies == Applies::AtOnce { " ↻" } else { "" };
    format!(
        "| `{}`{expands}{empty}{applies} | {default} | {} | {} |",
        option.name,
        option.kind.expects(),
        option.summary
    )
}

#[test]
fn the_page_has_every_option_as_the_table_has_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut expected = Vec::new();
    for section in [Section::Supervice, Section::Program, Section::Group] {
        expected.push(format!("## `{}`", section.header()));
        expected.extend(options::of(section).map(row));
    }
    let tables = page.split_once("## `[supervice]`").map(|(before, _)| before.len()).unwrap();
    let lines = page[tables..].lines().filter(|line| line.starts_with("| `") || line.starts_with("## `"));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

/// A default that is written out changes nothing.
#[test]
fn every_default_can_be_written() {
    for option in OPTIONS {
        let Fallback::Value(text) = option.default else { continue };
        let (header, rest) = match option.section {
            Section::Supervice => ("[supervice]", ""),
            _ => ("[program:x]", "command = a\n"),
        };
        let read = |line: String| {
            let config = crate::specs::good(&format!("{header}\n{rest}{line}\n"));
            (config.daemon, config.instances, config.groups)
        };
        assert_eq!(read(format!("{} = {text}", option.name)), read(String::new()), "{}", option.name);
    }
}

/// The first example behind a line of the page.
fn example_behind(begin: &str) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md")).unwrap();
    let example: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != begin)
        .skip_while(|line| !line.starts_with("    ["))
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    example.join("\n")
}

#[test]
fn the_example_of_logs_is_a_configuration() {
    let config = crate::specs::good(&example_behind("## Logs: an example"));
    assert_eq!((config.instances.len(), config.warnings.len()), (6, 0));
    let (web, worker) = (&config.instances[0].stdout, &config.instances[5].stdout);
    assert_eq!((web.format, web.compress, web.backups, web.maxbytes), (LogFormat::Timestamp, true, 8, 20 << 20));
    assert_eq!((worker.format, &worker.target), (LogFormat::Json, &LogTarget::DaemonStdout));
}

#[test]
fn the_example_on_the_page_is_a_configuration() {
    let config = crate::specs::good(&example_behind("# Configuration"));
    assert_eq!((config.instances.len(), config.groups.len(), config.warnings.len()), (3, 1, 0));
    assert_eq!(config.instances[2].launch.env["GREETING"], "hello, world");
}
