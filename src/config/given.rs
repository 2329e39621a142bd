//! What each program was given, as it is written: kept for whoever asks where a value comes from.

use super::options::Section;
use super::sheet::{Sheet, Sheets};
use crate::spec::Given;
use std::collections::HashMap;
use std::rc::Rc;

/// The options that each program was given, by the name of the program.
pub(super) fn given(sheets: &Sheets<'_>) -> HashMap<String, Rc<[Given]>> {
    sheets.of_kind(Section::Program).map(|sheet| (sheet.name.to_owned(), of(sheet))).collect()
}

/// What is empty counts as not given.
fn of(sheet: &Sheet<'_>) -> Rc<[Given]> {
    let given = sheet.entries().filter(|entry| !entry.text.is_empty()).map(|entry| Given {
        option: entry.row.name,
        line: u32::try_from(entry.line).unwrap_or_default(),
        inherited: entry.inherited,
        text: entry.text.into(),
    });
    given.collect()
}
