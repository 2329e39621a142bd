//! One section being read: an option is asked for by name and comes back as a checked value.
//!
//! The table in `options` says the kind and the default; what is wrong is noted here, with its line.

use super::document::{DEFAULT, Document};
use super::options::{self, Empty, Expands, Fallback, Kind, OptionRow};
use super::problems::{Place, Problems};
use super::value::{self, Least};
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

/// A section of a document, what it is, and where its problems go.
pub(super) struct Reading<'a> {
    pub(super) document: &'a Document,
    pub(super) header: &'a str,
    pub(super) kind: options::Section,
    pub(super) problems: &'a mut Problems,
    /// The instance whose number stands for `%(process_num)s`.
    pub(super) slot: u32,
}

impl<'a> Reading<'a> {
    /// Whether the section gives the option itself.
    pub(super) fn gives(&self, option: &str) -> bool {
        self.document.gives(self.header, option)
    }

    /// Whether the option is given at all, be it inherited or wrong.
    pub(super) fn has(&self, option: &str) -> bool {
        self.document.get(self.header, option).is_some()
    }

    /// The text of an option, not expanded; `None` if it is not given or empty.
    pub(super) fn raw(&mut self, option: &str) -> Option<&'a str> {
        let text = self.document.get(self.header, option)?;
        if !text.is_empty() {
            return Some(text);
        }
        let info = options::find(self.kind, option)?;
        match info.empty {
            Empty::NotGiven => self.warn(option, "is empty, which means: not given".to_owned()),
            Empty::Refused => self.error(option, format!("is empty ({})", info.kind.expects())),
        }
        None
    }

    /// The text of an option for the instance at hand.
    pub(super) fn text(&mut self, option: &str) -> Option<Cow<'a, str>> {
        let text = self.raw(option)?;
        let expands = options::find(self.kind, option).is_some_and(|info| info.expands == Expands::Yes);
        Some(match expands && text.contains(value::PROCESS_NUM) {
            true => Cow::Owned(value::expand(text, self.slot)),
            false => Cow::Borrowed(text),
        })
    }

    /// The value of an option; its default where it is not given, empty or wrong.
    pub(super) fn value<T>(&mut self, option: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if let Some(text) = self.text(option) {
            match parse(&text) {
                Ok(value) => return Some(value),
                Err(message) => self.error(option, message),
            }
        }
        match options::find(self.kind, option)?.default {
            Fallback::Value(text) => parse(text).ok(),
            Fallback::Required | Fallback::Unset(_) => None,
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, option: &str) -> bool {
        self.value(option, value::flag).unwrap_or_default()
    }

    /// A whole number within the bounds of the table.
    pub(super) fn count(&mut self, option: &str) -> u32 {
        let (min, max) = match self.kind_of(option) {
            Some(Kind::Count(min, max)) => (min, max),
            _ => (0, u64::from(u32::MAX)),
        };
        let number = self.value(option, |text| value::count(text, min, max)).unwrap_or_default();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Seconds, not below the least of the table.
    pub(super) fn seconds(&mut self, option: &str) -> Duration {
        let least = match self.kind_of(option) {
            Some(Kind::Seconds(least)) => least,
            _ => Least::Zero,
        };
        self.value(option, |text| value::seconds(text, least)).unwrap_or_default()
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
        let line = self.document.option_line(self.header, option);
        let section = if line.is_some() && !self.gives(option) { DEFAULT } else { self.header };
        Place { line: line.unwrap_or_else(|| self.document.header_line(self.header)), section, option }
    }

    fn kind_of(&self, option: &str) -> Option<Kind> {
        options::find(self.kind, option).map(|info: &OptionRow| info.kind)
    }
}
