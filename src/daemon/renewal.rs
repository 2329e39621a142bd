//! The second half of an update: what a reload changed is restarted, as one order, and told of each.

use super::Daemon;
use super::changes;
use super::many::Many;
use super::orders::{Asker, Order};
use super::patterns::{self, Found};
use super::reload::Wish;
use super::roster::Roster;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Command, Outcome, State};
use crate::wire::reload::{Changes, Reloaded};
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::{Id, Verb};
use std::collections::HashSet;
use std::rc::Rc;

/// What the reload itself could not do.
type Trouble = Option<(ErrorCode, String)>;

/// An update whose reload is done.
#[derive(Debug)]
pub(super) struct Renewal {
    pub asker: Option<Asker>,
    pub changes: Changes,
    /// Only these are to be restarted.
    pub names: Option<Vec<String>>,
    pub trouble: Trouble,
}

/// An update whose restarts are under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Renewed {
    changes: Changes,
    many: Many,
    trouble: Trouble,
}

impl Daemon {
    /// `update`: a reload, after which what is other by it is restarted.
    pub(super) fn update(&mut self, conn: Key, id: Option<Id>, names: Option<Vec<String>>) {
        if names.as_deref().is_some_and(|names| !self.has_few_patterns(conn, id.as_ref(), names)) {
            return;
        }
        self.reload(Wish::Update(names), Some(Asker { conn, id }));
    }

    /// Restarts for those updates whose reload is done.
    pub(super) fn restart_renewed(&mut self) {
        while let Some(Renewal { asker, changes, names, trouble }) = self.renewals.pop_front() {
            let (instances, unknown) = self.outdated(&changes, names.as_deref());
            let many = self.many(Verb::Restart { force: false }, instances.clone(), unknown);
            let renewed = Renewed { changes, many, trouble };
            if instances.is_empty() {
                let reply = renewed.reply(&Outcome::Done, &self.roster);
                if let Some(asker) = asker {
                    self.answer_conn(asker.conn, &reply, asker.id.as_ref());
                }
                continue;
            }
            if let Some(asker) = &asker {
                self.note_order(asker.conn, "update", &instances);
            }
            let command = Command::Restart { instances, force: false };
            self.order(asker, Order::Renewal(Box::new(renewed)), command);
        }
    }

    /// Who runs, or should, with what is no longer in the file; and names that nobody bears.
    fn outdated(&self, changes: &Changes, names: Option<&[String]>) -> (Vec<InstanceId>, Vec<String>) {
        let found = names.map(|names| patterns::resolve(names, &self.roster, patterns::Reach::Staying));
        let (meant, unknown) = match found {
            Some(Found { members, unknown }) => (Some(members.into_iter().collect::<HashSet<_>>()), unknown),
            None => (None, Vec::new()),
        };
        let waiting = changes.effects.iter().filter(|effect| !effect.next_start.is_empty());
        let waiting: HashSet<_> = waiting.filter_map(|effect| self.roster.by_name(&effect.name)).collect();
        let ids = self.roster.in_order().iter().copied();
        let ids = ids.filter(|id| meant.as_ref().is_none_or(|meant| meant.contains(id)));
        let ids = ids.filter(|id| waiting.contains(id) || self.runs_with_old_settings(*id));
        (ids.filter(|&id| self.is_wanted_up(id)).collect(), unknown)
    }

    /// An earlier reload changed what its run was started with.
    fn runs_with_old_settings(&self, id: InstanceId) -> bool {
        let run = self.engine.instance(id).and_then(|instance| instance.run());
        let trace = run.and_then(|run| self.children.trace_of(run.id));
        let (Some(trace), Some(entry)) = (trace, self.roster.entry(id)) else { return false };
        if entry.leaving || Rc::ptr_eq(&trace.spec, &entry.spec) {
            return false;
        }
        let mut changes = Changes::default();
        changes::compare(&trace.spec, &entry.spec, &mut changes);
        changes.effects.iter().any(|effect| !effect.next_start.is_empty())
    }

    /// What is down because it is done or was stopped stays so; what is being stopped takes the new settings anyway.
    fn is_wanted_up(&self, id: InstanceId) -> bool {
        let state = self.engine.instance(id).map(|instance| instance.state());
        matches!(state, Some(State::Starting | State::Running | State::Unhealthy | State::Backoff | State::Fatal))
    }
}

impl Renewed {
    /// What the reload changed, and what became of each restart.
    pub(super) fn reply(&self, outcome: &Outcome, roster: &Roster) -> Reply {
        let (code, message, results) = match self.many.reply(outcome, roster) {
            Reply::Results { results, .. } if results.is_empty() => {
                (None, "Nothing had to be restarted".to_owned(), Some(results))
            }
            Reply::Results { code, message, results } => (code, message, Some(results)),
            Reply::Error { code, message, .. } => (Some(code), message, None),
            _ => (None, "Restarted".to_owned(), None),
        };
        let (code, message) = match &self.trouble {
            Some((trouble, why)) => (Some(*trouble), format!("{why}\n{message}")),
            None => (code, message),
        };
        let changes = self.changes.clone();
        Reply::Reload(Box::new(Reloaded { changes, dry_run: false, code, message: Some(message), results }))
    }
}
