//! What can come next on a command line, by the table of its program. Who is there to be named is asked of [`Live`].

use super::table::{Command, Flag, Program};

/// A word that may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it is, for shells that show it.
    pub about: String,
}

/// What a shell does with the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The word is over.
    Words,
    /// The word goes on: no blank after it.
    Open,
    /// The shell names files by itself.
    Files,
}

/// What may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What to do with them.
    pub mode: Mode,
    /// Those that begin with what was typed.
    pub candidates: Vec<Candidate>,
}

/// A process that can be named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Its group.
    pub group: String,
}

/// Who can be named now, asked for only where it matters; nobody, where there is no daemon.
pub type Live<'a> = &'a dyn Fn() -> Vec<Known>;

/// Placeholders, and the words that can stand for them.
const CHOICES: &[(&str, &[&str])] = &[
    ("SHELL", &["bash", "zsh", "fish"]),
    ("WHEN", &["auto", "always", "never"]),
    ("LEVEL", &["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
    ("PAGE", &["supervice.8", "supervice.conf.5"]),
    ("SIGNAL", &["HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "ALRM", "TERM", "CONT", "STOP", "WINCH"]),
];
const FILES: &[&str] = &["FILE", "SOCKET", "LOGFILE", "PATH"];
const GOALS: &[&str] = &["running", "healthy", "stopped", "exited", "exited:0", "fatal"];

/// Where on the line we are.
struct Line<'a> {
    program: &'a Program,
    command: Option<&'a Command>,
    /// What was named behind the command.
    operands: Vec<&'a str>,
    /// The option whose value is being typed.
    open: Option<&'a Flag>,
    /// Behind `--` nothing is an option.
    only_operands: bool,
}

/// What can stand in place of the last of `words`, which follow the program's name.
pub fn complete(program: &Program, words: &[String], live: Live) -> Completion {
    let Some((current, before)) = words.split_last() else { return words_of(Vec::new()) };
    let line = Line::read(program, before);
    let mut found = line.next(current, live);
    found.candidates.retain(|candidate| candidate.word.starts_with(current.as_str()));
    found
}

impl Completion {
    /// For the scripts in the shells: the mode, then one candidate a line, a tab before what it is.
    pub fn render(&self) -> String {
        let mode = match self.mode {
            Mode::Words => "words",
            Mode::Open => "open",
            Mode::Files => "files",
        };
        let lines = self.candidates.iter().map(|Candidate { word, about }| format!("{word}\t{about}\n"));
        format!("{mode}\n{}", lines.collect::<String>())
    }
}

impl<'a> Line<'a> {
    fn read(program: &'a Program, before: &'a [String]) -> Line<'a> {
        let mut line = Line { program, command: None, operands: Vec::new(), open: None, only_operands: false };
        for word in before {
            line.take(word);
        }
        line
    }

    fn take(&mut self, word: &'a str) {
        if self.open.take().is_some() {
            return;
        }
        if !self.only_operands && word == "--" {
            self.only_operands = true;
        } else if !self.only_operands && word.len() > 1 && word.starts_with('-') {
            self.open = self.flag(word).filter(|flag| flag.value.is_some());
        } else if self.command.is_none() {
            self.command = self.program.command(word);
        } else {
            self.operands.push(word);
        }
    }

    fn flag(&self, name: &str) -> Option<&'a Flag> {
        let all = self.program.flags.iter().chain(self.command.into_iter().flat_map(|command| &command.flags));
        all.into_iter().find(|flag| flag.names.iter().any(|known| known == name))
    }

    fn next(&self, current: &str, live: Live) -> Completion {
        if let Some(value) = self.open.and_then(|flag| flag.value.as_deref()) {
            return self.meant_by(value, false, "", live);
        }
        if !self.only_operands && current.starts_with('-') {
            return match current.split_once('=') {
                Some((name, _)) => self.value_of(name, live),
                None => words_of(self.flags()),
            };
        }
        match self.command {
            Some(command) => self.operand(command, current, live),
            None if self.program.commands.len() > 1 => words_of(self.commands()),
            None => words_of(self.commands().into_iter().chain(self.flags()).collect()),
        }
    }

    fn flags(&self) -> Vec<Candidate> {
        let longest = |flag: &'a Flag| Some((flag.names.last()?, flag));
        let flags = self.program.flags_with(self.command).filter_map(longest);
        flags.map(|(name, flag)| candidate(name, &flag.summary)).collect()
    }

    fn commands(&self) -> Vec<Candidate> {
        self.program.commands.iter().map(|command| candidate(&command.name, &command.summary)).collect()
    }

    /// `--color=`: the value with the name before it, as the shell sees one word.
    fn value_of(&self, name: &str, live: Live) -> Completion {
        let Some(value) = self.flag(name).and_then(|flag| flag.value.as_deref()) else { return words_of(Vec::new()) };
        let mut found = self.meant_by(value, false, "", live);
        for candidate in &mut found.candidates {
            candidate.word = format!("{name}={}", candidate.word);
        }
        found
    }

    /// What can stand at the place of the next operand: one that repeats leaves room for those behind it.
    fn operand(&self, command: &Command, current: &str, live: Live) -> Completion {
        let mut found = words_of(Vec::new());
        let (mut before, mut repeated) = (0, false);
        for operand in &command.operands {
            repeated |= operand.repeats;
            if repeated || before == self.operands.len() {
                let more = self.meant_by(&operand.word, operand.repeats, current, live);
                found.mode = if more.mode == Mode::Words { found.mode } else { more.mode };
                found.candidates.extend(more.candidates);
            }
            if !repeated && before == self.operands.len() {
                break;
            }
            before += 1;
        }
        found
    }

    /// What a placeholder stands for.
    fn meant_by(&self, placeholder: &str, many: bool, current: &str, live: Live) -> Completion {
        match placeholder {
            "NAME" => self.names(many, current, live),
            "GROUP" => words_of(groups(&live()).into_iter().map(|group| candidate(&group, "group")).collect()),
            "NAME=CONDITION" => conditions(current, live),
            "COMMAND" => words_of(self.commands()),
            file if FILES.contains(&file) => Completion { mode: Mode::Files, candidates: Vec::new() },
            other => {
                let known = CHOICES.iter().find(|(name, _)| *name == other).map(|(_, words)| words.to_vec());
                let spelled = || other.split('|').filter(|_| other.contains('|')).collect();
                words_of(known.unwrap_or_else(spelled).into_iter().map(|word| candidate(word, "")).collect())
            }
        }
    }

    fn names(&self, many: bool, current: &str, live: Live) -> Completion {
        let known = live();
        let fresh = known.iter().filter(|known| !self.operands.contains(&known.name.as_str()));
        let mut candidates: Vec<Candidate> = fresh.map(|known| candidate(&known.name, &known.state)).collect();
        if many && !known.is_empty() && self.operands.is_empty() {
            candidates.push(candidate("all", "every process"));
        }
        // Groups are often as many as names: they are told when they are asked for.
        if many && !current.is_empty() {
            candidates.extend(groups(&known).iter().map(|group| candidate(&format!("group:{group}"), "group")));
        }
        words_of(candidates)
    }
}

fn conditions(current: &str, live: Live) -> Completion {
    match current.rsplit_once('=') {
        Some((name, _)) => words_of(GOALS.iter().map(|goal| candidate(&format!("{name}={goal}"), "")).collect()),
        None => {
            let names = live().into_iter().map(|known| candidate(&format!("{}=", known.name), &known.state));
            Completion { mode: Mode::Open, candidates: names.collect() }
        }
    }
}

fn groups(known: &[Known]) -> Vec<String> {
    let mut groups: Vec<String> =
        known.iter().map(|known| known.group.clone()).filter(|group| !group.is_empty()).collect();
    groups.sort();
    groups.dedup();
    groups
}

fn candidate(word: &str, about: &str) -> Candidate {
    Candidate { word: word.to_owned(), about: about.to_owned() }
}

fn words_of(candidates: Vec<Candidate>) -> Completion {
    Completion { mode: Mode::Words, candidates }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "
commands:
  start NAME...           Start processes
  why NAME                Tell why
  wait NAME=CONDITION...  Wait
  signal SIGNAL NAME...   Send a signal
  startgroup GROUP        Start a group
  tail NAME... [stdout|stderr]
                          Show the end of logs
  help [COMMAND]          Explain

options:
  -s, --socket SOCKET     Socket of the daemon
      --color WHEN        auto, always or never
      --json              As JSON
";

    fn completion(line: &str) -> Completion {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let usage = |name: &str| (name == "start").then_some("usage: x start [--fast] NAME...");
        complete(&Program::read(HELP, usage), &words, &|| {
            let known =
                |name: &str, group: &str| Known { name: name.into(), state: "RUNNING".into(), group: group.into() };
            vec![known("web", "site"), known("worker:00", "site"), known("db", "db")]
        })
    }

    fn next(line: &str) -> String {
        let words: Vec<String> = completion(line).candidates.into_iter().map(|candidate| candidate.word).collect();
        words.join(" ")
    }

    #[test]
    fn commands_come_first_and_options_where_they_are_begun() {
        assert_eq!(next("st"), "start startgroup");
        assert_eq!(next("-s /x w"), "why wait");
        assert_eq!(next("--"), "--socket --color --json");
        assert_eq!(next("start --"), "--socket --color --json --fast");
        assert_eq!(next("start -- --"), "");
        assert_eq!(next("frobnicate "), next(""));
    }

    #[test]
    fn names_are_those_of_the_daemon() {
        assert_eq!(next("start "), "web worker:00 db all");
        assert_eq!(next("start w"), "web worker:00");
        assert_eq!(next("start web w"), "worker:00");
        assert_eq!(next("start g"), "group:db group:site");
        assert_eq!(next("why w"), "web worker:00");
        assert_eq!(next("why web "), "");
        assert_eq!(next("startgroup "), "db site");
        assert_eq!(next("tail web "), "worker:00 db stdout stderr");
        assert_eq!(next("help s"), "start signal startgroup");
    }

    #[test]
    fn a_signal_comes_before_the_names() {
        assert_eq!(next("signal US"), "USR1 USR2");
        assert_eq!(next("signal USR1 d"), "db");
    }

    #[test]
    fn conditions_follow_their_name() {
        let open = completion("wait w");
        assert_eq!((open.mode, open.candidates.len()), (Mode::Open, 2));
        assert_eq!(next("wait w"), "web= worker:00=");
        assert_eq!(next("wait web=ex"), "web=exited web=exited:0");
        assert_eq!(completion("wait web=ex").mode, Mode::Words);
    }

    #[test]
    fn values_of_options_are_known() {
        assert_eq!(next("--color a"), "auto always");
        assert_eq!(next("--color=n"), "--color=never");
        assert_eq!(completion("-s ").mode, Mode::Files);
        assert_eq!(completion("--socket=/x").mode, Mode::Files);
        assert_eq!(next("--json=x"), "");
    }

    #[test]
    fn it_is_told_a_line_each() {
        assert_eq!(completion("why we").render(), "words\nweb\tRUNNING\n");
        assert_eq!(completion("-s /").render(), "files\n");
        assert_eq!(complete(&Program::default(), &[], &Vec::new).render(), "words\n");
    }
}
