//! What a reload does, or would do: the lists that Python's clients read, and what each change means beyond them.

use super::reply::{ErrorCode, Told};
use serde::{Deserialize, Serialize};

/// Which options of one process, or of the daemon, a reload changes, and when that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Effect {
    /// Which process; empty for the daemon itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Options that are in force at once.
    pub now: Vec<String>,
    /// Options that wait for the next start.
    pub next_start: Vec<String>,
}

impl Effect {
    /// Nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.now.is_empty() && self.next_start.is_empty()
    }
}

/// What a reload changes, in names; each list is sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// New processes.
    pub added: Vec<String>,
    /// Processes that stop and go.
    pub removed: Vec<String>,
    /// Processes that are other than before.
    pub changed: Vec<String>,
    /// What is other about each of `changed`, in the same order.
    pub effects: Vec<Effect>,
    /// Processes that are in another group than before.
    pub regrouped: Vec<String>,
    /// What is other about the daemon itself.
    pub daemon: Effect,
}

impl Changes {
    /// The file says what is in force already.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.added, &self.removed, &self.changed, &self.regrouped];
        lists.into_iter().all(Vec::is_empty) && self.daemon.is_empty()
    }

    /// What `reload` itself answers: of the changed ones only those for which the list does not say it all.
    pub fn beyond_lists(&self) -> Changes {
        let effects = self.effects.iter().filter(|effect| !effect.now.is_empty()).cloned().collect();
        Changes { effects, ..self.clone() }
    }

    /// Only what Python's clients read.
    pub(super) fn bare(&self) -> Changes {
        let Changes { added, removed, changed, .. } = self.clone();
        Changes { added, removed, changed, ..Changes::default() }
    }

    /// Only the three lists are in it.
    pub(super) fn is_bare(&self) -> bool {
        self.effects.is_empty() && self.regrouped.is_empty() && self.daemon.is_empty()
    }
}

/// The answer to a reload, an update, or the question what a reload would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// What is other now.
    pub changes: Changes,
    /// Nothing was done.
    pub dry_run: bool,
    /// `None`: all went as asked.
    pub code: Option<ErrorCode>,
    /// For people.
    pub message: Option<String>,
    /// What became of those that were restarted.
    pub results: Option<Vec<Told>>,
}

impl Reloaded {
    /// The same with less in it; `None` where nothing is left to leave out.
    pub(super) fn shortened(&self) -> Option<Reloaded> {
        let is_short = self.changes.is_bare() && self.results.is_none();
        (!is_short).then(|| Reloaded { changes: self.changes.bare(), results: None, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Answer, Decoder, Reply};

    fn told(reloaded: Reloaded) -> Answer {
        let mut out = Vec::new();
        Reply::Reload(Box::new(reloaded)).encode_bounded(None, &mut out);
        let mut decoder = Decoder::new();
        decoder.push(&out);
        Answer::decode(&decoder.pull().unwrap().unwrap()).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_told_by_the_lists_alone_and_then_not_at_all() {
        let effect = |name: String| Effect { name, now: vec!["stopsignal".to_owned()], next_start: Vec::new() };
        let names = |count| (0..count).map(|number| format!("process:{number}")).collect::<Vec<String>>();
        let of = |count| {
            let (changed, effects) = (names(count), names(count).into_iter().map(effect).collect());
            told(Reloaded { changes: Changes { changed, effects, ..Changes::default() }, ..Reloaded::default() })
        };
        let (all, lists, none) = (of(1000), of(40_000), of(200_000));
        assert_eq!((all.changed.len(), all.effects.len()), (1000, 1000));
        assert_eq!((lists.is_ok(), lists.changed.len(), lists.effects.len()), (true, 40_000, 0));
        assert!(none.is_too_large() && none.changed.is_empty());
    }

    #[test]
    fn of_what_waits_for_the_next_start_a_reload_tells_in_its_list_alone() {
        let effect = |name: &str, now: &[&str]| {
            let now = now.iter().map(|option| (*option).to_owned()).collect();
            Effect { name: name.to_owned(), now, next_start: vec!["command".to_owned()] }
        };
        let others = Changes { regrouped: vec!["a".to_owned()], daemon: effect("", &[]), ..Changes::default() };
        let mut changes = Changes { effects: vec![effect("a", &[])], ..others.clone() };
        assert_eq!(changes.beyond_lists(), others);
        changes.effects.push(effect("b", &["stopsignal"]));
        assert_eq!(changes.beyond_lists().effects, [effect("b", &["stopsignal"])]);
    }
}
