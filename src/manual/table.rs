//! A help text as a table: rows of `  WORDS  SUMMARY`, the summary going on in lines that are indented far.
//!
//! A row whose words begin with `-` is an option, one that begins with a small letter a command.

/// From this column on a line goes on with the summary before it.
const FAR: usize = 20;

/// A row: what to type, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `-s, --socket SOCKET` or `start NAME...`.
    pub words: String,
    /// In a line.
    pub summary: String,
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// `-s` and `--socket`, or only one of them.
    pub names: Vec<String>,
    /// What follows it: `SOCKET`.
    pub value: Option<String>,
    /// In a line.
    pub summary: String,
}

/// What follows a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// `NAME`, `stdout|stderr`.
    pub word: String,
    /// `NAME...`.
    pub repeats: bool,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What it is called.
    pub name: String,
    /// In a line.
    pub summary: String,
    /// Its own options.
    pub flags: Vec<Flag>,
    /// What follows it.
    pub operands: Vec<Operand>,
}

/// A program, as its help texts tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// Options of the program as a whole.
    pub flags: Vec<Flag>,
    /// What it can be told to do.
    pub commands: Vec<Command>,
}

impl Program {
    /// Reads a help text. What belongs to a command stands in its row, or more exactly in the usage line that `usage_of`
    /// knows.
    pub fn read<'a>(help: &str, usage_of: impl Fn(&str) -> Option<&'a str>) -> Program {
        let mut program = Program::default();
        for Row { words, summary } in rows(help) {
            if words.starts_with('-') {
                program.flags.push(flag(&words, summary));
            } else if words.starts_with(|first: char| first.is_ascii_lowercase()) {
                let name = words.split_whitespace().next().unwrap_or_default().to_owned();
                let usage = usage_of(&name).unwrap_or(&words);
                let (flags, operands) = parts(usage, &name);
                program.commands.push(Command { name, summary, flags, operands });
            }
        }
        program
    }

    /// A command by its name.
    pub fn command(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// The options that can stand with a command, or before there is one.
    pub fn flags_with<'a>(&'a self, command: Option<&'a Command>) -> impl Iterator<Item = &'a Flag> {
        let general = self.flags.iter().filter(move |flag| {
            let only = self.only_for(flag);
            only.is_empty() || command.is_some_and(|command| only.contains(&command.name.as_str()))
        });
        let own = command.into_iter().flat_map(|command| &command.flags);
        general.chain(own.filter(|own| self.flags.iter().all(|flag| !flag.names.contains(&own.names[0]))))
    }

    /// `tail, maintail: so many lines` is for these two alone.
    fn only_for<'a>(&self, flag: &'a Flag) -> Vec<&'a str> {
        let Some((commands, _)) = flag.summary.split_once(": ") else { return Vec::new() };
        let names: Vec<&str> = commands.split(", ").collect();
        if names.iter().all(|name| self.command(name).is_some()) { names } else { Vec::new() }
    }
}

/// The rows of a help text, which begins with how the program is called, up to a blank line.
pub fn rows(help: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut goes_on = false;
    for line in help.lines().skip_while(|line| !line.is_empty()) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() || indent < 2 || (indent >= FAR && !goes_on) {
            goes_on = false;
        } else if indent >= FAR {
            if let Some(row) = rows.last_mut() {
                let blank = if row.summary.is_empty() { "" } else { " " };
                row.summary = format!("{}{blank}{}", row.summary, text.trim_end());
            }
        } else {
            let (words, summary) = text.split_once("  ").unwrap_or((text, ""));
            rows.push(Row { words: words.trim().to_owned(), summary: summary.trim().to_owned() });
            goes_on = true;
        }
    }
    rows
}

/// `-s, --socket SOCKET`.
fn flag(words: &str, summary: String) -> Flag {
    let mut flag = Flag { names: Vec::new(), value: None, summary };
    for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
        if word.starts_with('-') {
            flag.names.push(word.to_owned());
        } else {
            flag.value = Some(word.to_owned());
        }
    }
    flag
}

/// `usage: supervicectl tail [-f] [-n LINES] NAME... [stdout|stderr]`: what stands behind the command's name.
fn parts(usage: &str, name: &str) -> (Vec<Flag>, Vec<Operand>) {
    let line = usage.lines().next().unwrap_or_default();
    let mut words = line.split_whitespace();
    words.by_ref().find(|word| *word == name);
    let rest = words.collect::<Vec<_>>().join(" ");
    let (mut flags, mut operands) = (Vec::new(), Vec::new());
    for part in groups(&rest) {
        let inside = part.trim_matches(['[', ']']);
        if inside.starts_with('-') {
            // `-f|--follow` are two names of one, `--more | --less` are two.
            flags.extend(inside.split(" | ").map(|one| flag(&one.replace('|', " "), String::new())));
        } else {
            let bare = inside.trim_end_matches("...").trim_end_matches(']');
            let repeats = part.contains("...");
            operands.push(Operand { word: bare.to_owned(), repeats });
        }
    }
    (flags, operands)
}

/// Words, and what stands in brackets as one.
fn groups(text: &str) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    let mut depth = 0usize;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match groups.last_mut() {
            Some(group) if depth > 0 => {
                group.push(' ');
                group.push_str(word);
            }
            _ => groups.push(word.to_owned()),
        }
        depth = (depth + word.matches('[').count()).saturating_sub(word.matches(']').count());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
usage: x [-h] COMMAND ...

Controls.

commands:
  status [NAME...]        Show processes (--check: fail)
  restart NAME... [--force]
                          Stop processes
                          and start them
  tail NAME               Show the end

  NAME is the name of a process, a pattern or all.

options:
  -s, --socket SOCKET     Socket (default: /tmp/x)
      --json              Print JSON
  -n, --lines LINES       tail: so many

exit status: 0 done,
             3 impossible
                      and far
";

    fn program() -> Program {
        Program::read(HELP, |name| {
            (name == "tail").then_some("usage: x tail [-f] [-n LINES] NAME... [stdout|stderr]\n")
        })
    }

    #[test]
    fn rows_are_read_with_what_goes_on() {
        let program = program();
        let names: Vec<&str> = program.commands.iter().map(|command| command.name.as_str()).collect();
        assert_eq!(names, ["status", "restart", "tail"]);
        assert_eq!(program.commands[1].summary, "Stop processes and start them");
        let socket = &program.flags[0];
        assert_eq!((socket.names.join(" "), socket.value.as_deref()), ("-s --socket".to_owned(), Some("SOCKET")));
        assert_eq!(program.flags[1].names, ["--json"]);
        assert!(program.flags.iter().all(|flag| !flag.summary.contains("far")));
    }

    #[test]
    fn the_usage_line_tells_what_follows() {
        let program = program();
        let tail = program.command("tail").unwrap();
        let operands: Vec<_> = tail.operands.iter().map(|operand| (operand.word.as_str(), operand.repeats)).collect();
        assert_eq!(operands, [("NAME", true), ("stdout|stderr", false)]);
        assert_eq!(tail.flags[1].value.as_deref(), Some("LINES"));
        let status = program.command("status").unwrap();
        assert_eq!(status.operands, [Operand { word: "NAME".to_owned(), repeats: true }]);
    }

    #[test]
    fn an_option_of_one_command_is_no_other_ones() {
        let program = program();
        let names = |command: &str| -> Vec<String> {
            program.flags_with(program.command(command)).flat_map(|flag| flag.names.clone()).collect()
        };
        assert_eq!(names("tail"), ["-s", "--socket", "--json", "-n", "--lines", "-f"]);
        assert_eq!(names("restart"), ["-s", "--socket", "--json", "--force"]);
    }

    #[test]
    fn options_that_shut_each_other_out_are_two() {
        let (flags, _) = parts("usage: x again [-q|--quiet] [--dry | --wet] NAME", "again");
        let names: Vec<_> = flags.iter().map(|flag| flag.names.join(" ")).collect();
        assert_eq!(names, ["-q --quiet", "--dry", "--wet"]);
    }
}
