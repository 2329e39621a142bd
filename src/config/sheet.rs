//! Sections laid out by the table of options, once for all that is asked of them afterwards: what each gives, what it
//! inherits, and which names nobody knows.

use super::document::{DEFAULT, Document, Written};
use super::kind_of;
use super::options::{self, OptionRow};
use super::problems::Place;
use std::rc::Rc;

/// What an option says, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) row: &'static OptionRow,
    pub(super) text: &'a str,
    pub(super) line: usize,
    /// It stands in `[DEFAULT]`.
    pub(super) inherited: bool,
}

/// A section.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub(super) header: &'a str,
    /// 0 if the section is not there.
    pub(super) line: usize,
    /// `None` if nobody looks at such sections.
    pub(super) kind: Option<options::Section>,
    /// The name in the header.
    pub(super) name: &'a str,
    /// Options that do not belong here.
    pub(super) strangers: Vec<Written<'a>>,
    own: Vec<Entry<'a>>,
    inherited: Rc<[Entry<'a>]>,
}

impl<'a> Sheet<'a> {
    /// Where what concerns no option is told.
    pub(super) fn place(&self) -> Place<'a> {
        Place { line: self.line, section: self.header, option: "" }
    }

    /// What an option says, be it inherited.
    pub(super) fn entry(&self, option: &str) -> Option<&Entry<'a>> {
        self.own.iter().chain(&*self.inherited).find(|entry| entry.row.name == option)
    }

    /// Whether the section gives the option itself.
    pub(super) fn gives(&self, option: &str) -> bool {
        self.own.iter().any(|entry| entry.row.name == option)
    }

    /// All that is given or inherited, in the order of the table.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<'a>> {
        let rows = self.kind.into_iter().flat_map(options::of);
        rows.filter_map(|row| self.entry(row.name))
    }
}

/// All sections of a document.
#[derive(Debug)]
pub(super) struct Sheets<'a> {
    /// Without `[DEFAULT]`, in the order of the file.
    pub(super) sections: Vec<Sheet<'a>>,
    /// What `[DEFAULT]` gives and no kind of section knows.
    pub(super) strangers: Vec<Written<'a>>,
    /// `[supervice]` where it is not given: it inherits all the same.
    absent: Sheet<'a>,
}

impl<'a> Sheets<'a> {
    pub(super) fn of(document: &'a Document) -> Sheets<'a> {
        let inherited = |kind| defaults(document, kind);
        let [daemon, program, group] = KINDS.map(inherited);
        let sheet = |header| {
            let (kind, name) = kind_of(header).unzip();
            let inherited = match kind {
                Some(options::Section::Supervice) => Rc::clone(&daemon),
                Some(options::Section::Program) => Rc::clone(&program),
                Some(options::Section::Group) => Rc::clone(&group),
                None => Rc::default(),
            };
            let (own, strangers) = sorted(document, header, kind);
            let line = document.header_line(header);
            Sheet { header, line, kind, name: name.unwrap_or_default(), strangers, own, inherited }
        };
        let is_strange = |written: &Written<'_>| KINDS.iter().all(|kind| options::find(*kind, written.name).is_none());
        Sheets {
            sections: document.sections().map(sheet).collect(),
            strangers: document.own_options(DEFAULT).filter(is_strange).collect(),
            absent: sheet("supervice"),
        }
    }

    /// `[supervice]`, be it given or not.
    pub(super) fn daemon(&self) -> &Sheet<'a> {
        let given = self.of_kind(options::Section::Supervice).next();
        given.unwrap_or(&self.absent)
    }

    /// Those of one kind.
    pub(super) fn of_kind(&self, kind: options::Section) -> impl Iterator<Item = &Sheet<'a>> {
        self.sections.iter().filter(move |sheet| sheet.kind == Some(kind))
    }
}

const KINDS: [options::Section; 3] = [options::Section::Supervice, options::Section::Program, options::Section::Group];

/// What sections of a kind inherit.
fn defaults<'a>(document: &'a Document, kind: options::Section) -> Rc<[Entry<'a>]> {
    let (mut inherited, _) = sorted(document, DEFAULT, Some(kind));
    inherited.iter_mut().for_each(|entry| entry.inherited = true);
    inherited.into()
}

/// What a section gives: what belongs there, and the rest.
fn sorted<'a>(
    document: &'a Document,
    header: &'a str,
    kind: Option<options::Section>,
) -> (Vec<Entry<'a>>, Vec<Written<'a>>) {
    let (mut own, mut strangers) = (Vec::new(), Vec::new());
    // Nobody looks into a section of no kind.
    let Some(kind) = kind else { return (own, strangers) };
    for written in document.own_options(header) {
        match options::find(kind, written.name) {
            Some(row) => own.push(Entry { row, text: written.text, line: written.line, inherited: false }),
            None => strangers.push(written),
        }
    }
    (own, strangers)
}
