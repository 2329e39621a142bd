//! Names that nobody knows: told as warnings, with the known name that is nearest.

use super::document::{DEFAULT, Written};
use super::options::{self, OPTIONS, Section};
use super::problems::{Place, Problems, quoted};
use super::sheet::{Sheet, Sheets};

/// Warns of every section and option that nobody will look at.
pub(super) fn warn(sheets: &Sheets<'_>, problems: &mut Problems) {
    for sheet in &sheets.sections {
        match sheet.kind {
            Some(_) => options(&sheet.strangers, sheet.header, sheet.kind, problems),
            None => section(sheet, problems),
        }
    }
    options(&sheets.strangers, DEFAULT, None, problems);
}

fn section(sheet: &Sheet<'_>, problems: &mut Problems) {
    let (kind, name) = sheet.header.split_once(':').unwrap_or((sheet.header, "NAME"));
    let kind = kind.trim().to_lowercase();
    let nearest = match options::nearest(&kind, ["supervice", "program", "group", "default"].into_iter()) {
        Some(named @ ("program" | "group")) => format!("{named}:{name}"),
        Some("supervice") => "supervice".to_owned(),
        _ => DEFAULT.to_owned(),
    };
    problems.warn(
        Place { line: sheet.line, section: sheet.header, option: "" },
        format!("nobody knows this section, it is left out (nearest: {})", quoted(&format!("[{nearest}]"))),
    );
}

/// Options of `[DEFAULT]` have no kind of section: they may be of any.
fn options(strangers: &[Written<'_>], header: &str, kind: Option<Section>, problems: &mut Problems) {
    let known = OPTIONS.iter().filter(|option| kind.is_none_or(|kind| option.section == kind));
    for &Written { name, line, .. } in strangers {
        if !problems.lists_warnings() {
            problems.warn(Place::FILE, String::new());
            continue;
        }
        let elsewhere = OPTIONS.iter().find(|option| option.name == name);
        let hint = match elsewhere {
            Some(option) => format!("it belongs into {}", option.section.header()),
            None => {
                let nearest = options::nearest(name, known.clone().map(|option| option.name));
                format!("nearest: {}", quoted(nearest.unwrap_or("")))
            }
        };
        let place = Place { line, section: header, option: name };
        problems.warn(place, format!("nobody knows this option, it is left out ({hint})"));
    }
}
