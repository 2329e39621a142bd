//! What is kept of a configuration for as long as it holds, made small: what is equal in many is kept once.

use crate::config::options::{self, Section};
use crate::spec::{Config, Given, InstanceSpec};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The options that a program was given. Its instances share it.
#[derive(Debug, Clone)]
pub struct Sheet(Rc<[Line]>);

#[derive(Debug)]
struct Line {
    text: Rc<str>,
    line: u32,
    /// Its place among the options of a program.
    option: u16,
    inherited: bool,
}

impl Sheet {
    /// As it was given.
    pub(super) fn given(&self) -> Vec<Given> {
        let names: Vec<&'static str> = options::of(Section::Program).map(|option| option.name).collect();
        let given = |line: &Line| {
            let (option, text) = (*names.get(usize::from(line.option))?, (*line.text).into());
            Some(Given { option, line: line.line, inherited: line.inherited, text })
        };
        self.0.iter().filter_map(given).collect()
    }
}

/// Makes a configuration small, instance by instance.
pub(super) struct Press<'a> {
    given: &'a HashMap<String, Rc<[Given]>>,
    texts: HashSet<Rc<str>>,
    places: HashMap<&'static str, u16>,
    /// The last one: what follows is mostly like it.
    last: Option<(InstanceSpec, Sheet)>,
}

impl<'a> Press<'a> {
    pub(super) fn new(config: &'a Config) -> Press<'a> {
        let names = options::of(Section::Program).map(|option| option.name);
        let (texts, places) = (HashSet::new(), names.zip(0..).collect());
        Press { given: &config.positions.given, texts, places, last: None }
    }

    /// The same instance, and what it was given; what is as it was in the one before is shared with that. All of it is
    /// memory of its own: a piece of what reading took would keep the page that it lies in.
    pub(super) fn shared(&mut self, spec: &InstanceSpec) -> (InstanceSpec, Sheet) {
        let last = self.last.as_ref().map(|(last, _)| last);
        let name: Rc<str> = (*spec.name).into();
        let program = text_like(&spec.program, [Some(&name), last.map(|last| &last.program)]);
        let group = text_like(&spec.group, [Some(&program), last.map(|last| &last.group)]);
        let policy = like(&*spec.policy, last.map(|last| &last.policy));
        let launch = like(&*spec.launch, last.map(|last| &last.launch));
        let spec = InstanceSpec { name, program, group, policy, launch, ..spec.clone() };
        let known = self.last.as_ref().filter(|(last, _)| last.program == spec.program);
        let sheet = known.map(|(_, sheet)| sheet.clone()).unwrap_or_else(|| self.sheet(&spec.program));
        self.last = Some((spec.clone(), sheet.clone()));
        (spec, sheet)
    }

    fn sheet(&mut self, program: &str) -> Sheet {
        let given = self.given.get(program).map_or(&[][..], |given| given);
        Sheet(given.iter().filter_map(|given| self.line(given)).collect())
    }

    fn line(&mut self, given: &Given) -> Option<Line> {
        let option = *self.places.get(given.option)?;
        let text = match self.texts.get(&*given.text) {
            Some(text) => Rc::clone(text),
            None => {
                let text: Rc<str> = (*given.text).into();
                self.texts.insert(Rc::clone(&text));
                text
            }
        };
        Some(Line { text, line: given.line, option, inherited: given.inherited })
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
        let sheets: Vec<_> = pressed.windows(2).map(|two| Rc::ptr_eq(&two[0].1.0, &two[1].1.0)).collect();
        assert_eq!(sheets, [true, false, false]);
        let texts = |at: usize| pressed[at].1.0.iter().find(|line| &*line.text == "x 1").map(|line| Rc::as_ptr(&line.text));
        assert_eq!(texts(0), texts(2));
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
