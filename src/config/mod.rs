//! Text turned into specs, with everything that is wrong with it at once.
//!
//! No file is opened here and nothing of the machine is asked; what only the machine knows is the business of
//! `daemon::vet`.

pub mod access;
pub mod daemon_section;
pub mod differences;
pub mod document;
pub mod environment;
mod given;
mod group;
mod health;
pub mod options;
pub mod page;
pub mod problems;
pub mod program;
pub mod reader;
mod section;
mod sheet;
pub mod signal;
pub mod starter;
mod streams;
mod unknown;
pub mod url;
pub mod value;
pub mod words;

use crate::spec::{Config, DaemonSpec, InstanceSpec, Positions, Problem};
use group::Membership;
use options::Section as Kind;
use problems::{Problems, quoted};
use program::Room;
use section::Reading;
use sheet::{Sheet, Sheets};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use streams::Writers;

/// Names of programs and groups have at most so many bytes.
pub const MAX_NAME: usize = 255;

/// As much of a configuration as could be made out, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Complete only without problems.
    pub config: Config,
    /// All errors, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads a configuration. On errors all of them come back, in the order of the file.
///
/// `working_dir` is what relative paths start from; it only serves to tell whether two of them mean one file.
pub fn parse(text: &[u8], working_dir: &Path) -> Result<Config, Vec<Problem>> {
    let draft = draft(text, working_dir);
    match draft.problems.is_empty() {
        true => Ok(draft.config),
        false => Err(draft.problems),
    }
}

/// Reads a configuration as far as it goes, so that what the machine has to say can be told along with its errors.
pub fn draft(text: &[u8], working_dir: &Path) -> Draft {
    let mut problems = Problems::default();
    let document = reader::read(text, &mut problems);
    let sheets = Sheets::of(&document);
    unknown::warn(&sheets, &mut problems);
    let mut building = Building { sheets: &sheets, problems: &mut problems, working_dir };
    let daemon = building.daemon();
    let mut instances = building.programs(&daemon);
    let membership = building.groups(&instances);
    for instance in &mut instances {
        let group = membership.group_of(&instance.program);
        if *group != *instance.group {
            instance.group = group.into();
        }
    }
    let named = sheets.sections.iter().filter(|sheet| matches!(sheet.kind, Some(Kind::Program | Kind::Group)));
    let groups = group::groups(named.map(|sheet| sheet.name), &instances);
    let (errors, warnings) = problems.into_parts();
    let config = Config { daemon, instances, groups, positions: positions(&sheets), warnings };
    Draft { config, problems: errors }
}

/// The kind of a section and the name in its header.
fn kind_of(header: &str) -> Option<(Kind, &str)> {
    if header == "supervice" {
        return Some((Kind::Supervice, ""));
    }
    let program = header.strip_prefix("program:").map(|name| (Kind::Program, name));
    program.or_else(|| header.strip_prefix("group:").map(|name| (Kind::Group, name)))
}

struct Building<'a> {
    sheets: &'a Sheets<'a>,
    problems: &'a mut Problems,
    working_dir: &'a Path,
}

impl<'a> Building<'a> {
    fn daemon(&mut self) -> DaemonSpec {
        daemon_section::read(&mut self.reading(self.sheets.daemon(), Kind::Supervice))
    }

    fn programs(&mut self, daemon: &DaemonSpec) -> Vec<InstanceSpec> {
        let mut room = Room { instances: options::MAX_INSTANCES as u32, bytes: program::MAX_EXPANDED };
        let mut writers = Writers::new(self.working_dir, daemon.logfile.as_deref());
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mut all = Vec::new();
        self.check_names(Kind::Program);
        for sheet in self.sheets.of_kind(Kind::Program) {
            let mut section = self.reading(sheet, Kind::Program);
            for instance in program::read(&mut section, sheet.name, &mut room) {
                writers.add(&mut section, &instance);
                match taken.insert(instance.name.to_string(), sheet.line) {
                    None => all.push(instance),
                    Some(first) => {
                        let name = quoted(&instance.name);
                        let message =
                            format!("process {name} is there already (from line {first}; one name for one process)");
                        section.problems.error(sheet.place(), message);
                    }
                }
            }
        }
        all
    }

    fn groups(&mut self, instances: &[InstanceSpec]) -> Membership {
        let mut membership = Membership::default();
        let programs: BTreeSet<&str> = self.sheets.of_kind(Kind::Program).map(|sheet| sheet.name).collect();
        self.check_names(Kind::Group);
        for sheet in self.sheets.of_kind(Kind::Group) {
            membership.read(&mut self.reading(sheet, Kind::Group), sheet.name, &programs);
        }
        self.warn_merged(&membership, instances);
        membership
    }

    /// A program in no group joins the group that has its name.
    fn warn_merged(&mut self, membership: &Membership, instances: &[InstanceSpec]) {
        let groups: BTreeSet<&str> = self.sheets.of_kind(Kind::Group).map(|sheet| sheet.name).collect();
        let programs: BTreeSet<&str> = instances.iter().map(|instance| &*instance.program).collect();
        let merged = |sheet: &&Sheet<'_>| {
            programs.contains(sheet.name) && groups.contains(sheet.name) && membership.is_alone(sheet.name)
        };
        for sheet in self.sheets.of_kind(Kind::Program).filter(merged) {
            let message = format!("is in no group, and so joins the group {} of its own name", quoted(sheet.name));
            self.problems.warn(sheet.place(), message);
        }
    }

    /// Notes names that are none.
    fn check_names(&mut self, kind: Kind) {
        for sheet in self.sheets.of_kind(kind) {
            let name = sheet.name;
            if let Err(message) = check_name(name) {
                self.problems.error(sheet.place(), message);
            } else if reader::strip(name) != name {
                let message = format!("the name {} has a blank at its end, which is part of it", quoted(name));
                self.problems.warn(sheet.place(), message);
            }
        }
    }

    fn reading(&mut self, sheet: &'a Sheet<'a>, kind: Kind) -> Reading<'_> {
        Reading { sheet, kind, problems: self.problems, slot: 0 }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if reader::strip(name).is_empty() {
        return Err("the section has no name ([program:NAME] or [group:NAME])".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("the name has {} bytes (at most {MAX_NAME})", name.len()));
    }
    if name.contains(char::is_control) {
        return Err(format!("the name {} holds a control character (plain text)", quoted(name)));
    }
    Ok(())
}

/// The line of each section, and of each known option where it is given or inherited.
fn positions(sheets: &Sheets<'_>) -> Positions {
    let mut positions = Positions::of(given::given(sheets));
    for sheet in sheets.sections.iter().filter(|sheet| sheet.kind.is_some()) {
        positions.note(sheet.header, sheet.line, sheet.entries().map(|entry| (entry.row.name, entry.line)));
    }
    positions
}
