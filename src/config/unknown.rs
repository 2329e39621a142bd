//! Names that nobody knows: told as warnings, with the known name that is nearest.

use super::document::{DEFAULT, Document};
use super::options::{self, OPTIONS, Section};
use super::problems::{Place, Problems, quoted};

/// Warns of every section and option that nobody will look at.
pub(super) fn warn(document: &Document, problems: &mut Problems) {
    for header in document.sections() {
        match super::kind_of(header) {
            Some((kind, _)) => options(document, header, Some(kind), problems),
            None => section(document, header, problems),
        }
    }
    options(document, DEFAULT, None, problems);
}

fn section(document: &Document, header: &str, problems: &mut Problems) {
    let (kind, name) = header.split_once(':').unwrap_or((header, "NAME"));
    let kind = kind.trim().to_lowercase();
    let nearest = match options::nearest(&kind, ["supervice", "program", "group", "default"].into_iter()) {
        Some(named @ ("program" | "group")) => format!("{named}:{name}"),
        Some("supervice") => "supervice".to_owned(),
        _ => DEFAULT.to_owned(),
    };
    let place = Place { line: document.header_line(header), section: header, option: "" };
    problems.warn(
        place,
        format!("nobody knows this section, it is left out (nearest: {})", quoted(&format!("[{nearest}]"))),
    );
}

/// Options of `[DEFAULT]` have no kind of section: they may be of any.
fn options(document: &Document, header: &str, kind: Option<Section>, problems: &mut Problems) {
    let known = || OPTIONS.iter().filter(move |option| kind.is_none_or(|kind| option.section == kind));
    for (name, _) in document.own_options(header) {
        if known().any(|option| option.name == name) {
            continue;
        }
        if !problems.lists_warnings() {
            problems.warn(Place::FILE, String::new());
            continue;
        }
        let elsewhere = OPTIONS.iter().find(|option| option.name == name);
        let hint = match elsewhere {
            Some(option) => format!("it belongs into {}", option.section.header()),
            None => {
                format!("nearest: {}", quoted(options::nearest(name, known().map(|option| option.name)).unwrap_or("")))
            }
        };
        let line = document.option_line(header, name).unwrap_or(0);
        let place = Place { line, section: header, option: name };
        problems.warn(place, format!("nobody knows this option, it is left out ({hint})"));
    }
}
