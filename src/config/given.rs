//! What each program was given, as it is written: kept for whoever asks where a value comes from.

use super::document::Document;
use super::kind_of;
use super::options::{self, Section};
use crate::spec::Given;
use std::collections::HashMap;
use std::rc::Rc;

/// The options that each program was given, by the name of the program.
pub(super) fn given(document: &Document) -> HashMap<String, Rc<[Given]>> {
    let programs = document.sections().filter_map(|header| match kind_of(header) {
        Some((Section::Program, name)) => Some((header, name)),
        _ => None,
    });
    programs.map(|(header, name)| (name.to_owned(), of(document, header))).collect()
}

/// What is empty counts as not given.
fn of(document: &Document, header: &str) -> Rc<[Given]> {
    let given = options::of(Section::Program).filter_map(|option| {
        let text = document.get(header, option.name).filter(|text| !text.is_empty())?;
        let line = document.option_line(header, option.name).and_then(|line| u32::try_from(line).ok());
        let inherited = !document.gives(header, option.name);
        Some(Given { option: option.name, line: line.unwrap_or_default(), inherited, text: text.into() })
    });
    given.collect()
}
