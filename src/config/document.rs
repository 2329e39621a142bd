//! A file that was read: its sections in order, what each option says, and the line each stands on.
//!
//! The text of the options lives in an [`ini::Ini`]; this adds inheritance from `[DEFAULT]` and the lines.

use ini::Ini;
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
    options: HashMap<String, usize>,
}

impl Document {
    /// Adds a section; its options follow by [`Document::set`].
    pub(super) fn add_section(&mut self, name: &str, line: usize) {
        self.ini.entry(Some(name.to_owned())).or_insert(ini::Properties::new());
        self.lines.insert(name.to_owned(), SectionLines { header: line, options: HashMap::new() });
    }

    /// Adds an option to a section that was added before.
    pub(super) fn set(&mut self, section: &str, option: String, line: usize, value: String) {
        if let (Some(text), Some(lines)) = (self.ini.section_mut(Some(section)), self.lines.get_mut(section)) {
            text.insert(option.clone(), value);
            lines.options.insert(option, line);
        }
    }

    /// The document itself.
    pub fn ini(&self) -> &Ini {
        &self.ini
    }

    /// The names of all sections but `[DEFAULT]`, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.ini.sections().flatten().filter(|name| *name != DEFAULT)
    }

    /// What a section gives itself, nothing inherited.
    pub fn own_options(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        self.ini.section(Some(section)).into_iter().flat_map(|options| options.iter())
    }

    /// What an option says in a section, be it inherited.
    pub fn get(&self, section: &str, option: &str) -> Option<&str> {
        self.own(section, option).or_else(|| self.own(DEFAULT, option))
    }

    /// Whether the section gives the option itself.
    pub fn gives(&self, section: &str, option: &str) -> bool {
        self.own(section, option).is_some()
    }

    /// The line of an option, be it inherited.
    pub fn option_line(&self, section: &str, option: &str) -> Option<usize> {
        let at = |section: &str| self.lines.get(section)?.options.get(option).copied();
        at(section).or_else(|| at(DEFAULT))
    }

    /// The line of a section header; 0 for a section that is not there.
    pub fn header_line(&self, section: &str) -> usize {
        self.lines.get(section).map_or(0, |lines| lines.header)
    }

    fn own(&self, section: &str, option: &str) -> Option<&str> {
        // Most options are not given in most sections, and the index of lines knows that at once.
        self.lines.get(section)?.options.get(option)?;
        self.ini.section(Some(section))?.get(option)
    }
}
