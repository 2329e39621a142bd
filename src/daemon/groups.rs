//! Which instances a group has, in one piece of memory for all groups: nearly each program is a group of its own.

use crate::engine::id::InstanceId;
use crate::spec::GroupSpec;

/// All groups and their members.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Sorted by name; where the members of each end, which is where those of the next begin.
    names: Vec<(Box<str>, u32)>,
    members: Vec<InstanceId>,
}

impl Groups {
    /// The groups of a configuration; `find` knows the instances by name.
    pub(super) fn new(groups: &[GroupSpec], find: impl Fn(&str) -> Option<InstanceId>) -> Groups {
        let mut sorted: Vec<&GroupSpec> = groups.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut all = Groups { names: Vec::with_capacity(sorted.len()), members: Vec::new() };
        all.members.reserve_exact(sorted.iter().map(|group| group.members.len()).sum());
        for group in sorted {
            all.members.extend(group.members.iter().filter_map(|name| find(name)));
            let end = u32::try_from(all.members.len()).expect("instances are fewer than four billion");
            all.names.push((group.name.as_str().into(), end));
        }
        all
    }

    /// The members of a group, in the order of the file.
    pub(super) fn members(&self, name: &str) -> Option<&[InstanceId]> {
        let place = self.names.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        let begin = place.checked_sub(1).map_or(0, |before| self.names[before].1);
        self.members.get(begin as usize..self.names[place].1 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::Key;

    fn id(slot: u32) -> InstanceId {
        InstanceId(Key { slot, generation: 0 })
    }

    #[test]
    fn each_group_has_its_own_members_in_their_order() {
        let group = |name: &str, members: &[&str]| GroupSpec {
            name: name.to_owned(),
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        };
        let groups = [group("web", &["3", "1"]), group("db", &["2"]), group("none", &["x"]), group("a", &["0", "4"])];
        let groups = Groups::new(&groups, |name| name.parse().ok().map(id));
        assert_eq!(groups.members("web"), Some(&[id(3), id(1)][..]));
        assert_eq!(groups.members("db"), Some(&[id(2)][..]));
        assert_eq!(groups.members("a"), Some(&[id(0), id(4)][..]));
        assert_eq!(groups.members("none"), Some(&[][..]));
        assert_eq!((groups.members("we"), groups.members("")), (None, None));
        assert_eq!(Groups::default().members("web"), None);
    }
}
