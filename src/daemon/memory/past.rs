//! What an earlier daemon left in the state file, and whether it means anything here.

use crate::daemon::state_file::{Reading, Record};
use crate::engine::time::Duration;
use crate::sys::clock;
use crate::sys::identity::Machine;
use std::path::Path;
use std::time::SystemTime;

/// How far the wall clock may be off the time of the boot.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// What was in the file.
#[derive(Debug)]
pub enum Past {
    /// There is no file.
    None,
    /// A file that nothing can be learned from.
    Damaged(String),
    /// Records, and when they were written.
    Read(Reading, SystemTime),
}

impl Past {
    /// Its daemon left nobody, and nothing is odd about it.
    pub fn is_over(&self) -> bool {
        matches!(self, Past::Read(Reading { state, refused }, _)
            if state.closed && state.children.is_empty() && refused.is_empty())
    }

    /// What of the file had to be left out: a sentence each.
    pub fn oddities(&self, path: &Path) -> Vec<String> {
        match self {
            Past::None => Vec::new(),
            Past::Damaged(why) => vec![format!("the state file {} is not used: {why}", path.display())],
            Past::Read(Reading { refused, .. }, _) => {
                refused.iter().map(|why| format!("a record is not used: {why}")).collect()
            }
        }
    }

    /// Whether processes of an earlier daemon could be lost over it.
    pub fn is_at_stake(&self, here: &Machine) -> bool {
        matches!(self, Past::Read(reading, modified)
            if !(reading.state.closed && reading.state.children.is_empty())
                && why_strange(reading, *modified, here).is_none())
    }

    /// The records that mean something here, as they are.
    pub fn into_records(self, here: Option<&Machine>) -> Vec<Record> {
        match self {
            Past::Read(reading, modified)
                if here.is_some_and(|here| why_strange(&reading, modified, here).is_none()) =>
            {
                reading.state.children
            }
            Past::None | Past::Damaged(_) | Past::Read(..) => Vec::new(),
        }
    }
}

/// Why the numbers in it mean somebody else here: another boot, another namespace.
pub fn why_strange(reading: &Reading, modified: SystemTime, here: &Machine) -> Option<&'static str> {
    match &reading.state.machine {
        Some(there) if there.boot != here.boot => Some("before a reboot"),
        Some(there) if there.namespace != here.namespace => Some("in another pid namespace"),
        None if !is_of_this_boot(modified) => Some("before a reboot, by the clock"),
        Some(_) | None => None,
    }
}

/// Python's file does not say of which boot it is, only when it was written.
fn is_of_this_boot(modified: SystemTime) -> bool {
    clock::booted().is_some_and(|booted| modified > booted + CLOCK_SLACK) && modified <= clock::wall() + CLOCK_SLACK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::state_file::State;

    fn here() -> Machine {
        Machine { boot: "b".to_owned(), namespace: Some(1) }
    }

    fn past(machine: Option<Machine>, closed: bool, children: Vec<Record>, modified: SystemTime) -> Past {
        let state = State { machine, closed, children, ..State::default() };
        Past::Read(Reading { state, refused: Vec::new() }, modified)
    }

    #[test]
    fn only_records_of_this_machine_and_boot_are_at_stake_and_carried_on() {
        let now = clock::wall();
        let arms = [
            (Some(here()), now, true),
            (Some(Machine { boot: "c".to_owned(), ..here() }), now, false),
            (Some(Machine { namespace: Some(2), ..here() }), now, false),
            (Some(Machine { namespace: None, ..here() }), now, false),
            (None, SystemTime::UNIX_EPOCH, false),
        ];
        for (machine, modified, expected) in arms {
            let past = || past(machine.clone(), false, vec![Record::sample("a", 12)], modified);
            assert_eq!(past().is_at_stake(&here()), expected, "{machine:?}");
            assert_eq!(past().into_records(Some(&here())).len(), usize::from(expected), "{machine:?}");
            assert!(past().into_records(None).is_empty());
        }
    }

    #[test]
    fn a_daemon_that_did_not_end_in_order_may_have_left_somebody_unrecorded() {
        let with = |closed, children| past(Some(here()), closed, children, clock::wall());
        assert!(with(false, Vec::new()).is_at_stake(&here()) && !with(false, Vec::new()).is_over());
        assert!(
            with(true, vec![Record::sample("a", 12)]).is_at_stake(&here())
                && !with(true, vec![Record::sample("a", 12)]).is_over()
        );
        assert!(!with(true, Vec::new()).is_at_stake(&here()) && with(true, Vec::new()).is_over());
        for past in [Past::None, Past::Damaged("torn".to_owned())] {
            assert!(!past.is_at_stake(&here()) && !past.is_over());
        }
    }

    #[test]
    fn what_is_left_out_is_told() {
        let path = Path::new("/x/state");
        assert!(Past::None.oddities(path).is_empty());
        assert_eq!(
            Past::Damaged("it is torn".to_owned()).oddities(path),
            ["the state file /x/state is not used: it is torn"]
        );
        let reading = Reading { state: State::default(), refused: vec!["a: why".to_owned()] };
        assert_eq!(Past::Read(reading, clock::wall()).oddities(path), ["a record is not used: a: why"]);
    }
}
