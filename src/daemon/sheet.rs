//! What is kept of a configuration for as long as it holds, made small: what is equal in many is kept once.

use crate::config::options::{self, Section};
use crate::spec::{Config, Given, InstanceSpec};
use std::collections::HashMap;
use std::rc::Rc;

/// The options that a program was given. Its instances share it.
#[derive(Debug, Clone)]
pub struct Sheet {
    book: Rc<Book>,
    begin: u32,
    end: u32,
}

/// What all programs were given, in two pieces of memory.
#[derive(Debug, Default)]
struct Book {
    lines: Box<[Line]>,
    /// Each text once.
    text: Box<str>,
}

#[derive(Debug)]
struct Line {
    start: u32,
    length: u32,
    line: u32,
    /// Its place among the options of a program.
    option: u16,
    inherited: bool,
}

impl Sheet {
    /// As it was given.
    pub(super) fn given(&self) -> Vec<Given> {
        let names: Vec<&'static str> = options::of(Section::Program).map(|option| option.name).collect();
        let lines = self.book.lines.get(self.begin as usize..self.end as usize).unwrap_or_default();
        let given = |line: &Line| {
            let text = self.book.text.get(line.start as usize..)?.get(..line.length as usize)?;
            let option = *names.get(usize::from(line.option))?;
            Some(Given { option, line: line.line, inherited: line.inherited, text: text.into() })
        };
        lines.iter().filter_map(given).collect()
    }
}

/// A book in the making.
#[derive(Default)]
struct Writer<'a> {
    places: HashMap<&'static str, u16>,
    texts: HashMap<&'a str, u32>,
    text: String,
    lines: Vec<Line>,
}

impl<'a> Writer<'a> {
    /// Adds what a program was given: where that begins and ends.
    fn add(&mut self, given: &'a [Given]) -> (u32, u32) {
        let begin = self.lines.len();
        for Given { option, line, inherited, text } in given {
            let Some(&option) = self.places.get(option) else { continue };
            let end = number(self.text.len());
            let start = *self.texts.entry(text).or_insert(end);
            if start == end {
                self.text.push_str(text);
            }
            self.lines.push(Line { start, length: number(text.len()), line: *line, option, inherited: *inherited });
        }
        (number(begin), number(self.lines.len()))
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a configuration is shorter than four billion bytes")
}

/// Makes a configuration small, instance by instance.
pub(super) struct Press<'a> {
    book: Rc<Book>,
    sheets: HashMap<&'a str, (u32, u32)>,
    /// The last one: what follows is mostly like it.
    last: Option<InstanceSpec>,
}

impl<'a> Press<'a> {
    pub(super) fn new(config: &'a Config) -> Press<'a> {
        let names = options::of(Section::Program).map(|option| option.name);
        let mut writer = Writer { places: names.zip(0..).collect(), ..Writer::default() };
        let given = config.positions.given.iter();
        let sheets = given.map(|(program, given)| (program.as_str(), writer.add(given))).collect();
        let book = Rc::new(Book { lines: writer.lines.into(), text: writer.text.into() });
        Press { book, sheets, last: None }
    }

    /// The same instance, and what it was given; what is as it was in the one before is shared with that. All of it is
    /// memory of its own: a piece of what reading took would keep the page that it lies in.
    pub(super) fn shared(&mut self, spec: &InstanceSpec) -> (InstanceSpec, Sheet) {
        let last = self.last.as_ref();
        let name: Rc<str> = (*spec.name).into();
        let program = text_like(&spec.program, [Some(&name), last.map(|last| &last.program)]);
        let group = text_like(&spec.group, [Some(&program), last.map(|last| &last.group)]);
        let policy = like(&*spec.policy, last.map(|last| &last.policy));
        let launch = like(&*spec.launch, last.map(|last| &last.launch));
        let spec = InstanceSpec { name, program, group, policy, launch, ..spec.clone() };
        self.last = Some(spec.clone());
        let sheet = self.sheet(&spec.program);
        (spec, sheet)
    }

    fn sheet(&self, program: &str) -> Sheet {
        let (begin, end) = self.sheets.get(program).copied().unwrap_or_default();
        Sheet { book: Rc::clone(&self.book), begin, end }
    }
}

/// One that is equal, or a copy.
fn like<T: PartialEq + Clone>(this: &T, known: Option<&Rc<T>>) -> Rc<T> {
    known.filter(|known| ***known == *this).map_or_else(|| Rc::new(this.clone()), Rc::clone)
}

fn text_like(this: &str, known: [Option<&Rc<str>>; 2]) -> Rc<str> {
    known.into_iter().flatten().find(|known| ***known == *this).map_or_else(|| this.into(), Rc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    const TEXT: &[u8] = b"[DEFAULT]\nstartsecs = 7\n[program:a]\ncommand = x 1\nnumprocs = 2\n[program:b]\ncommand = x 1\n[program:c]\ncommand = y\n";

    #[test]
    fn what_is_equal_is_shared_and_nothing_else() {
        let config = config::parse(TEXT, Path::new("/")).unwrap();
        let mut press = Press::new(&config);
        let pressed: Vec<_> = config.instances.iter().map(|spec| press.shared(spec)).collect();
        for (spec, (made, _)) in config.instances.iter().zip(&pressed) {
            assert_eq!(spec, made);
        }
        let launches: Vec<_> = pressed.windows(2).map(|two| Rc::ptr_eq(&two[0].0.launch, &two[1].0.launch)).collect();
        assert_eq!(launches, [true, true, false]);
        let programs: Vec<_> = pressed.windows(2).map(|two| Rc::ptr_eq(&two[0].0.program, &two[1].0.program)).collect();
        assert_eq!(programs, [true, false, false]);
        assert_eq!(press.book.text.matches("x 1").count(), 1);
    }

    #[test]
    fn a_sheet_says_what_was_given() {
        let config = config::parse(TEXT, Path::new("/")).unwrap();
        let mut press = Press::new(&config);
        for spec in &config.instances {
            assert_eq!(press.shared(spec).1.given(), *config.positions.given[&*spec.program]);
        }
        let startsecs = press.sheet("b").given().into_iter().find(|given| given.option == "startsecs").unwrap();
        assert_eq!((startsecs.inherited, startsecs.line, &*startsecs.text), (true, 2, "7"));
        assert_eq!(press.sheet("none").given(), []);
    }
}
