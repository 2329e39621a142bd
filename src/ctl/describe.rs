//! The configuration of a process, as people read it: as it could stand in the file, with where it comes from beside.

use crate::wire::text::shown;
use crate::wire::{Description, Setting, Variable};

/// Wider values push what stands beside them to the right.
const VALUE_WIDTH: usize = 40;

/// One option a line, then the variables.
pub fn text(description: &Description) -> String {
    let Description { name, program, group, file, options, variables } = description;
    let mut out = format!("{}: program {}, group {}\n", shown(name), shown(program), shown(group));
    let width = options.iter().map(|setting| setting.option.chars().count()).max().unwrap_or(0);
    out.extend(options.iter().map(|setting| option(setting, file, width)));
    if !variables.is_empty() {
        out.push_str("environment on top of the daemon's:\n");
        out.extend(variables.iter().map(variable));
    }
    out
}

fn option(setting: &Setting, file: &str, width: usize) -> String {
    let Setting { option, value, meaning, source, line } = setting;
    let value = match (value, meaning) {
        (Some(value), _) => shown(value),
        (None, Some(meaning)) => format!("({})", shown(meaning)),
        (None, None) => "-".to_owned(),
    };
    let inherited = if source == "DEFAULT" { " [DEFAULT]" } else { "" };
    let origin = line.map_or_else(|| shown(source), |line| format!("{}:{line}{inherited}", shown(file)));
    format!("  {:<width$} = {value:<VALUE_WIDTH$}  # {origin}\n", shown(option))
}

fn variable(variable: &Variable) -> String {
    let Variable { name, value, source } = variable;
    format!("  {}={}  # {}\n", shown(name), shown(value), shown(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_where_each_value_comes_from() {
        let setting = |option: &str, value: Option<&str>, source: &str, line| Setting {
            option: option.to_owned(),
            value: value.map(str::to_owned),
            meaning: value.is_none().then(|| "none".to_owned()),
            source: source.to_owned(),
            line,
        };
        let description = Description {
            name: "we\x1bb:00".to_owned(),
            program: "web".to_owned(),
            group: "g".to_owned(),
            file: "/etc/s.conf".to_owned(),
            options: vec![
                setting("command", Some("sleep 1"), "section", Some(3)),
                setting("umask", None, "default", None),
                setting("user", Some("me"), "DEFAULT", Some(1)),
            ],
            variables: vec![Variable { name: "A".to_owned(), value: "***".to_owned(), source: "env_file".to_owned() }],
        };
        let expected = "\
we\\x1bb:00: program web, group g
  command = sleep 1                                   # /etc/s.conf:3
  umask   = (none)                                    # default
  user    = me                                        # /etc/s.conf:1 [DEFAULT]
environment on top of the daemon's:
  A=***  # env_file
";
        assert_eq!(text(&description), expected);
    }
}
