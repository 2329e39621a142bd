//! Which instances a group has, in one piece of memory for all groups: nearly each program is a group of its own.

use crate::engine::id::InstanceId;
use crate::spec::GroupSpec;
use std::cmp::Ordering;

/// All groups and their members.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Sorted by name.
    groups: Vec<Group>,
    /// All names, in this order.
    names: Box<str>,
    members: Vec<InstanceId>,
}

/// Where the name and the members of a group end, which is where those of the next begin.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    name_end: u32,
    members_end: u32,
}

impl Groups {
    /// The groups of a configuration; `find` knows the instances by name.
    pub(super) fn new(groups: &[GroupSpec], find: impl Fn(&str) -> Option<InstanceId>) -> Groups {
        let mut sorted: Vec<&GroupSpec> = groups.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut all = Groups { groups: Vec::with_capacity(sorted.len()), ..Groups::default() };
        all.members.reserve_exact(sorted.iter().map(|group| group.members.len()).sum());
        let mut names = String::new();
        for group in sorted {
            names.push_str(&group.name);
            all.members.extend(group.members.iter().filter_map(|name| find(name)));
            all.groups.push(Group { name_end: end(names.len()), members_end: end(all.members.len()) });
        }
        all.names = names.into();
        all
    }

    /// The members of a group, in the order of the file.
    pub(super) fn members(&self, name: &str) -> Option<&[InstanceId]> {
        let (mut low, mut high) = (0, self.groups.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle)?.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let (begin, end) = (self.before(middle).members_end, self.groups.get(middle)?.members_end);
                    return self.members.get(begin as usize..end as usize);
                }
            }
        }
        None
    }

    fn name(&self, place: usize) -> Option<&str> {
        self.names.get(self.before(place).name_end as usize..self.groups.get(place)?.name_end as usize)
    }

    fn before(&self, place: usize) -> Group {
        place.checked_sub(1).and_then(|before| self.groups.get(before)).copied().unwrap_or_default()
    }
}

fn end(length: usize) -> u32 {
    u32::try_from(length).expect("a configuration is shorter than four billion bytes")
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
