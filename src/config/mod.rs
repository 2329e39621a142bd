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
pub mod signal;
pub mod starter;
mod streams;
mod unknown;
pub mod url;
pub mod value;
pub mod words;

use crate::spec::{Config, DaemonSpec, InstanceSpec, Positions, Problem};
use document::Document;
use group::Membership;
use problems::{Place, Problems, quoted};
use program::Room;
use section::Reading;
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
    unknown::warn(&document, &mut problems);
    let mut building = Building { document: &document, problems: &mut problems, working_dir };
    let daemon = building.daemon();
    let mut instances = building.programs(&daemon);
    let membership = building.groups(&instances);
    for instance in &mut instances {
        let group = membership.group_of(&instance.program);
        if *group != *instance.group {
            instance.group = group.into();
        }
    }
    let groups = group::groups(document.sections().filter_map(own_name), &instances);
    let (errors, warnings) = problems.into_parts();
    let config = Config { daemon, instances, groups, positions: positions(&document), warnings };
    Draft { config, problems: errors }
}

/// The kind of a section and the name in its header.
fn kind_of(header: &str) -> Option<(options::Section, &str)> {
    if header == "supervice" {
        return Some((options::Section::Supervice, ""));
    }
    let program = header.strip_prefix("program:").map(|name| (options::Section::Program, name));
    program.or_else(|| header.strip_prefix("group:").map(|name| (options::Section::Group, name)))
}

fn own_name(header: &str) -> Option<&str> {
    kind_of(header).filter(|(kind, _)| *kind != options::Section::Supervice).map(|(_, name)| name)
}

struct Building<'a> {
    document: &'a Document,
    problems: &'a mut Problems,
    working_dir: &'a Path,
}

impl<'a> Building<'a> {
    fn daemon(&mut self) -> DaemonSpec {
        daemon_section::read(&mut self.reading("supervice", options::Section::Supervice))
    }

    fn programs(&mut self, daemon: &DaemonSpec) -> Vec<InstanceSpec> {
        let mut room = Room { instances: options::MAX_INSTANCES as u32, bytes: program::MAX_EXPANDED };
        let mut writers = Writers::new(self.working_dir, daemon.logfile.as_deref());
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mut all = Vec::new();
        for (header, name) in self.named(options::Section::Program) {
            let mut section = self.reading(header, options::Section::Program);
            for instance in program::read(&mut section, name, &mut room) {
                writers.add(&mut section, &instance);
                let line = section.document.header_line(header);
                match taken.insert(instance.name.to_string(), line) {
                    None => all.push(instance),
                    Some(first) => {
                        let name = quoted(&instance.name);
                        let message =
                            format!("process {name} is there already (from line {first}; one name for one process)");
                        section.problems.error(Place { line, section: header, option: "" }, message);
                    }
                }
            }
        }
        all
    }

    fn groups(&mut self, instances: &[InstanceSpec]) -> Membership {
        let mut membership = Membership::default();
        let programs: BTreeSet<String> = self.names(options::Section::Program);
        for (header, name) in self.named(options::Section::Group) {
            membership.read(&mut self.reading(header, options::Section::Group), name, &programs);
        }
        self.warn_merged(&membership, instances);
        membership
    }

    /// A program in no group joins the group that has its name.
    fn warn_merged(&mut self, membership: &Membership, instances: &[InstanceSpec]) {
        let groups = self.names(options::Section::Group);
        let alone =
            |instance: &&InstanceSpec| membership.is_alone(&instance.program) && groups.contains(&*instance.program);
        for instance in instances.iter().filter(alone) {
            let header = format!("program:{}", instance.program);
            let name = quoted(&instance.program);
            let message = format!("is in no group, and so joins the group {name} of its own name");
            self.problems
                .warn(Place { line: self.document.header_line(&header), section: &header, option: "" }, message);
        }
    }

    /// The sections of a kind with their names, in the order of the file; bad names are noted.
    fn named(&mut self, kind: options::Section) -> Vec<(&'a str, &'a str)> {
        let document = self.document;
        let named = document.sections().filter_map(|header| Some((header, kind_of(header)?)));
        let sections: Vec<_> =
            named.filter(|(_, (own, _))| *own == kind).map(|(header, (_, name))| (header, name)).collect();
        for (header, name) in &sections {
            let place = Place { line: document.header_line(header), section: header, option: "" };
            if let Err(message) = check_name(name) {
                self.problems.error(place, message);
            } else if reader::strip(name) != *name {
                self.problems
                    .warn(place, format!("the name {} has a blank at its end, which is part of it", quoted(name)));
            }
        }
        sections
    }

    fn names(&self, kind: options::Section) -> BTreeSet<String> {
        let named = self.document.sections().filter_map(kind_of);
        named.filter(|(own, _)| *own == kind).map(|(_, name)| name.to_owned()).collect()
    }

    fn reading(&mut self, header: &'a str, kind: options::Section) -> Reading<'_> {
        Reading { document: self.document, header, kind, problems: self.problems, slot: 0 }
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
fn positions(document: &Document) -> Positions {
    let mut positions = Positions::of(given::given(document));
    for header in document.sections() {
        let Some((kind, _)) = kind_of(header) else { continue };
        positions.note(header, "", document.header_line(header));
        for option in options::of(kind) {
            if let Some(line) = document.option_line(header, option.name) {
                positions.note(header, option.name, line);
            }
        }
    }
    positions
}
