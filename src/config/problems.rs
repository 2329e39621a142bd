//! Where everything that is wrong or odd is put down, so that a person sees all of it at once.

use crate::spec::Problem;
use std::collections::BTreeSet;

/// More than so many errors, or warnings, are only counted.
pub const MAX_PROBLEMS: usize = 1_000;
const MAX_SHOWN: usize = 80;
const MAX_NAME: usize = 300;

/// Where something is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// From 1; 0 if it concerns the file as a whole.
    pub line: usize,
    /// Empty if it concerns no section.
    pub section: &'a str,
    /// Empty if it concerns no option.
    pub option: &'a str,
}

impl Place<'_> {
    /// The file as a whole.
    pub const FILE: Place<'static> = Place { line: 0, section: "", option: "" };
}

/// Everything found so far. What is inherited by many sections is told once.
#[derive(Debug, Default)]
pub struct Problems {
    errors: Bounded,
    warnings: Bounded,
}

impl Problems {
    /// Notes something that is wrong.
    pub fn error(&mut self, at: Place<'_>, message: String) {
        self.errors.note(at, message);
    }

    /// Notes something that is odd but not wrong.
    pub fn warn(&mut self, at: Place<'_>, message: String) {
        self.warnings.note(at, message);
    }

    /// Whether another error would be listed; where not, its message need not be thought out.
    pub fn lists_errors(&self) -> bool {
        self.errors.list.len() < MAX_PROBLEMS
    }

    /// Whether another warning would be listed.
    pub fn lists_warnings(&self) -> bool {
        self.warnings.list.len() < MAX_PROBLEMS
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.errors.list.len() + self.errors.left_out
    }

    /// The errors, then the warnings, each in the order of the file.
    pub fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.errors.finish("errors"), self.warnings.finish("warnings"))
    }
}

#[derive(Debug, Default)]
struct Bounded {
    list: Vec<Problem>,
    told: BTreeSet<(usize, String, String)>,
    left_out: usize,
}

impl Bounded {
    fn note(&mut self, at: Place<'_>, message: String) {
        if self.list.len() >= MAX_PROBLEMS {
            self.left_out += 1;
            return;
        }
        let (section, option) = (shown(at.section, MAX_NAME), shown(at.option, MAX_NAME));
        if at.line == 0 || self.told.insert((at.line, option.clone(), message.clone())) {
            self.list.push(Problem { line: at.line, section, option, message });
        }
    }

    fn finish(mut self, what: &str) -> Vec<Problem> {
        self.list.sort_by_key(|problem| problem.line);
        if self.left_out > 0 {
            let message = format!("{} more {what} are not listed", self.left_out);
            self.list.push(Problem { line: 0, section: String::new(), option: String::new(), message });
        }
        self.list
    }
}

/// Text from a file inside a message: cut where it is long, control characters escaped.
pub fn quoted(text: &str) -> String {
    format!("`{}`", shown(text, MAX_SHOWN))
}

fn shown(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == limit {
            shown.push('…');
            break;
        }
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}
