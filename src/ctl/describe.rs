//! The configuration of a process, as people read it: as it could stand in the file, with where it comes from beside.

use super::columns::{to_the_left, width};
use crate::wire::text::shown;
use crate::wire::{Description, Setting, Variable};

/// Where they come from stands in one line, behind the widest value; but no further to the right than values of this
/// width have it, and behind those that are wider.
const VALUE_WIDTH: usize = 60;

/// One option a line, then the variables.
pub fn text(description: &Description) -> String {
    let Description { name, program, group, file, options, variables } = description;
    let mut out = format!("{}: program {}, group {}\n", shown(name), shown(program), shown(group));
    let settings: Vec<[String; 3]> = options.iter().map(|setting| cells(setting, file)).collect();
    let widest =
        |column: usize| settings.iter().map(move |cells| width(&cells[column])).filter(|width| *width <= VALUE_WIDTH);
    let widths = [widest(0).max().unwrap_or(0), widest(1).max().unwrap_or(0)];
    for [option, value, origin] in &settings {
        let (option, value) = (to_the_left(option, widths[0]), to_the_left(value, widths[1]));
        out.push_str(&format!("  {option} = {value}  # {origin}\n"));
    }
    if !variables.is_empty() {
        out.push_str("environment on top of the daemon's:\n");
        out.extend(variables.iter().map(variable));
    }
    out
}

/// An option, its value, and where that comes from.
fn cells(setting: &Setting, file: &str) -> [String; 3] {
    let Setting { option, value, meaning, source, line } = setting;
    let value = match (value, meaning) {
        (Some(value), _) => shown(value),
        (None, Some(meaning)) => format!("({})", shown(meaning)),
        (None, None) => "-".to_owned(),
    };
    let inherited = if source == "DEFAULT" { " [DEFAULT]" } else { "" };
    let origin = line.map_or_else(|| shown(source), |line| format!("{}:{line}{inherited}", shown(file)));
    [shown(option), value, origin]
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
                setting(
                    "command",
                    Some("a value that is of some width, more than the forty cells"),
                    "section",
                    Some(3),
                ),
                setting("umask", None, "default", None),
                setting("url", Some(&"x".repeat(61)), "default", None),
                setting("user", Some("m\u{65e5}"), "DEFAULT", Some(1)),
            ],
            variables: vec![Variable { name: "A".to_owned(), value: "***".to_owned(), source: "env_file".to_owned() }],
        };
        let expected = "\
we\\x1bb:00: program web, group g
  command = a value that is of some width, more than the forty cells  # /etc/s.conf:3
  umask   = (none)                                                    # default
  url     = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx  # default
  user    = m\u{65e5}                                                       # /etc/s.conf:1 [DEFAULT]
environment on top of the daemon's:
  A=***  # env_file
";
        assert_eq!(text(&description), expected);
    }
}
