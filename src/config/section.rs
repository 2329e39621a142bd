//! One section being read: an option is asked for by name and comes back as a checked value.
//!
//! The table in `options` says the kind and the default; what is wrong is noted here, with its line.

use super::document::DEFAULT;
use super::options::{self, Empty, Expands, Fallback, Kind};
use super::problems::{Place, Problems};
use super::sheet::{Entry, Sheet};
use super::value::{self, Least};
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

/// A section laid out, what it is, and where its problems go.
pub(super) struct Reading<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    pub(super) kind: options::Section,
    pub(super) problems: &'a mut Problems,
    /// The instance whose number stands for `%(process_num)s`.
    pub(super) slot: u32,
}

impl<'a> Reading<'a> {
    /// Whether the section gives the option itself.
    pub(super) fn gives(&self, option: &str) -> bool {
        self.sheet.gives(option)
    }

    /// Whether the option is given at all, be it inherited or wrong.
    pub(super) fn has(&self, option: &str) -> bool {
        self.sheet.entry(option).is_some()
    }

    /// Whether the option says something else for each instance.
    pub(super) fn varies(&self, option: &str) -> bool {
        self.sheet.entry(option).is_some_and(has_number)
    }

    /// The text of an option, not expanded; `None` if it is not given or empty.
    pub(super) fn raw(&mut self, option: &str) -> Option<&'a str> {
        Some(self.filled(option)?.text)
    }

    /// The text of an option for the instance at hand.
    pub(super) fn text(&mut self, option: &str) -> Option<Cow<'a, str>> {
        let entry = self.filled(option)?;
        Some(match has_number(entry) {
            true => Cow::Owned(value::expand(entry.text, self.slot)),
            false => Cow::Borrowed(entry.text),
        })
    }

    fn filled(&mut self, option: &str) -> Option<&'a Entry<'a>> {
        let entry = self.sheet.entry(option)?;
        if !entry.text.is_empty() {
            return Some(entry);
        }
        match entry.row.empty {
            Empty::NotGiven => self.warn(option, "is empty, which means: not given".to_owned()),
            Empty::Refused => self.error(option, format!("is empty ({})", entry.row.kind.expects())),
        }
        None
    }

    /// The value of an option; its default where it is not given, empty or wrong.
    pub(super) fn value<T>(&mut self, option: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.parsed(option, |text, _| parse(text))
    }

    /// The same, for values whose bounds the table knows.
    fn parsed<T>(&mut self, option: &str, parse: impl Fn(&str, Kind) -> Result<T, String>) -> Option<T> {
        let row = options::find(self.kind, option)?;
        if let Some(text) = self.text(option) {
            match parse(&text, row.kind) {
                Ok(value) => return Some(value),
                Err(message) => self.error(option, message),
            }
        }
        match row.default {
            Fallback::Value(text) => parse(text, row.kind).ok(),
            Fallback::Required | Fallback::Unset(_) => None,
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, option: &str) -> bool {
        self.value(option, value::flag).unwrap_or_default()
    }

    /// A whole number within the bounds of the table.
    pub(super) fn count(&mut self, option: &str) -> u32 {
        let parse = |text: &str, kind| match kind {
            Kind::Count(min, max) => value::count(text, min, max),
            _ => value::count(text, 0, u32::MAX.into()),
        };
        u32::try_from(self.parsed(option, parse).unwrap_or_default()).unwrap_or(u32::MAX)
    }

    /// Seconds, not below the least of the table.
    pub(super) fn seconds(&mut self, option: &str) -> Duration {
        let parse = |text: &str, kind| match kind {
            Kind::Seconds(least) => value::seconds(text, least),
            _ => value::seconds(text, Least::Zero),
        };
        self.parsed(option, parse).unwrap_or_default()
    }

    /// Bytes.
    pub(super) fn size(&mut self, option: &str) -> u64 {
        self.value(option, value::size).unwrap_or_default()
    }

    /// A path as it is written.
    pub(super) fn path(&mut self, option: &str) -> Option<PathBuf> {
        self.value(option, value::path)
    }

    /// The place of a word in `words`.
    pub(super) fn choice(&mut self, option: &str, words: &[&str]) -> usize {
        self.value(option, |text| value::choice(text, words)).unwrap_or_default()
    }

    /// Notes that an option is wrong. What is inherited is wrong in `[DEFAULT]`, once.
    pub(super) fn error(&mut self, option: &str, message: String) {
        let place = self.place(option);
        self.problems.error(place, message);
    }

    /// Notes that an option is odd.
    pub(super) fn warn(&mut self, option: &str, message: String) {
        let place = self.place(option);
        self.problems.warn(place, message);
    }

    fn place<'b>(&self, option: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        match self.sheet.entry(option) {
            Some(entry) => {
                Place { line: entry.line, section: if entry.inherited { DEFAULT } else { self.sheet.header }, option }
            }
            None => Place { line: self.sheet.line, section: self.sheet.header, option },
        }
    }
}

/// Whether the number of the instance stands in it.
fn has_number(entry: &Entry<'_>) -> bool {
    entry.row.expands == Expands::Yes && entry.text.contains(value::PROCESS_NUM)
}
