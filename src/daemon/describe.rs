//! The effective configuration of an instance: each value, and where it comes from.
//!
//! Values are told as they are written, with `%(process_num)s` expanded; the table of options says what holds otherwise.

use super::Daemon;
use crate::config::options::{self, Expands, Fallback, OptionRow, Section};
use crate::config::{environment, value};
use crate::engine::id::Key;
use crate::spec::{Given, InstanceSpec, Role};
use crate::wire::description::{Description, MASK, Setting, Variable, is_secret};
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::Id;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Longer values are cut.
const VALUE_MAX: usize = 4096;

impl Daemon {
    /// `describe`. Whoever may only ask is told no value of the environment at all.
    pub(super) fn describe(&mut self, conn: Key, id: Option<&Id>, name: &str) {
        let Some(entry) = self.roster.by_name(name).and_then(|id| self.roster.entry(id)) else {
            return self.answer_conn(conn, &Reply::error(ErrorCode::NotFound, "Process not found", None), id);
        };
        let spec = Rc::clone(&entry.spec);
        let given = entry.given.given();
        let veil = Veil { all: !self.is_let(conn, Role::Admin) };
        let variables = variables(&spec, &given, &veil);
        let description = Description {
            name: spec.name.to_string(),
            program: spec.program.to_string(),
            group: spec.group.to_string(),
            file: self.config_path.display().to_string(),
            options: options::of(Section::Program).map(|option| setting(option, &spec, &given, &variables)).collect(),
            variables,
        };
        self.answer_conn(conn, &Reply::Description(Box::new(description)), id);
    }
}

/// What is hidden.
struct Veil {
    all: bool,
}

impl Veil {
    fn over(&self, name: &str, value: &str) -> String {
        if self.all || is_secret(name, value) { MASK.to_owned() } else { short(value) }
    }
}

fn variables(spec: &InstanceSpec, given: &[Given], veil: &Veil) -> Vec<Variable> {
    let own = given.iter().find(|given| given.option == "environment");
    let own = own.and_then(|given| environment::list(&given.text).ok()).unwrap_or_default();
    let own: BTreeSet<String> = own.into_keys().collect();
    let variable = |(name, value): (&String, &String)| Variable {
        name: name.clone(),
        value: veil.over(name, value),
        source: if own.contains(name) { "environment" } else { "env_file" }.to_owned(),
    };
    spec.launch.env.iter().map(variable).collect()
}

fn setting(option: &OptionRow, spec: &InstanceSpec, given: &[Given], variables: &[Variable]) -> Setting {
    let name = option.name.to_owned();
    match given.iter().find(|given| given.option == option.name) {
        Some(given) => {
            let value = match option.name {
                "environment" => listed(variables),
                _ if option.expands == Expands::Yes => value::expand(&given.text, slot(spec)),
                _ => given.text.to_string(),
            };
            let source = if given.inherited { "DEFAULT" } else { "section" }.to_owned();
            Setting { option: name, value: Some(short(&value)), meaning: None, source, line: Some(given.line) }
        }
        None => {
            let (value, meaning) = match option.default {
                Fallback::Value(text) => (Some(text.to_owned()), None),
                Fallback::Unset(meaning) => (None, Some(meaning.to_owned())),
                Fallback::Required => (None, None),
            };
            Setting { option: name, value, meaning, source: "default".to_owned(), line: None }
        }
    }
}

/// The variables of `environment` with what is to be hidden hidden.
fn listed(variables: &[Variable]) -> String {
    let own = variables.iter().filter(|variable| variable.source == "environment");
    own.map(|variable| format!("{}=\"{}\"", variable.name, variable.value)).collect::<Vec<_>>().join(",")
}

/// The number of an instance within its program.
fn slot(spec: &InstanceSpec) -> u32 {
    let rest = spec.name.strip_prefix(&*spec.program).and_then(|rest| rest.strip_prefix(':'));
    rest.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn short(text: &str) -> String {
    if text.len() <= VALUE_MAX {
        return text.to_owned();
    }
    let end = (0..=VALUE_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
