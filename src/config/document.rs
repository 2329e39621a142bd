//! A file that was read: its sections in order, what each option says, and the line each stands on.
//!
//! The text of the options lives in an [`ini::Ini`]; this adds inheritance from `[DEFAULT]` and the lines.

use ini::{Ini, Properties};
use std::collections::HashMap;

/// Its options count for every section that does not give them itself.
pub const DEFAULT: &str = "DEFAULT";

/// Sections and options as Python's `configparser` sees them, with their lines.
#[derive(Clone, Default)]
pub struct Document {
    ini: Ini,
    lines: HashMap<String, SectionLines>,
}

#[derive(Clone, Default)]
struct SectionLines {
    header: usize,
    /// In the order of the options.
    options: Vec<usize>,
}

/// An option as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Its name, in lower case.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
    /// Where it stands.
    pub line: usize,
}

impl Document {
    /// Adds a section with its options: of each the name, the line and the text. No two have one name.
    pub(super) fn add(&mut self, name: String, line: usize, options: impl Iterator<Item = (String, usize, String)>) {
        let mut texts = Properties::new();
        let mut lines = SectionLines { header: line, options: Vec::with_capacity(options.size_hint().0) };
        for (option, line, text) in options {
            texts.insert(option, text);
            lines.options.push(line);
        }
        self.ini.entry(Some(name.clone())).or_insert(texts);
        self.lines.insert(name, lines);
    }

    /// The document itself.
    pub fn ini(&self) -> &Ini {
        &self.ini
    }

    /// The names of all sections but `[DEFAULT]`, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.ini.sections().flatten().filter(|name| *name != DEFAULT)
    }

    /// What a section gives itself, nothing inherited, in the order of the file.
    pub fn own_options(&self, section: &str) -> impl Iterator<Item = Written<'_>> {
        let texts = self.ini.section(Some(section)).into_iter().flat_map(Properties::iter);
        let lines = self.lines.get(section).into_iter().flat_map(|lines| &lines.options);
        texts.zip(lines).map(|((name, text), line)| Written { name, text, line: *line })
    }

    /// What an option says in a section, be it inherited.
    pub fn get(&self, section: &str, option: &str) -> Option<Written<'_>> {
        let own = |section: &str| self.own_options(section).find(|written| written.name == option);
        own(section).or_else(|| own(DEFAULT))
    }

    /// The line of a section header; 0 for a section that is not there.
    pub fn header_line(&self, section: &str) -> usize {
        self.lines.get(section).map_or(0, |lines| lines.header)
    }
}
