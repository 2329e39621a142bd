//! Who is at the other end of a connection, and what it may do: the kernel's word against the list of those let in.
//!
//! Default is nothing. Root and the daemon's own user may do everything; a stranger is told so and costs one log line a
//! second in all.

use crate::engine::message::Pid;
use crate::engine::time::{Duration, Instant};
use crate::spec::{DaemonSpec, Grant, Role, Whom};
use crate::sys::socket::{self, Openness, Peer};
use crate::sys::user;
use std::os::fd::AsFd;

/// Users whose own number means nothing in a user namespace all look like this one.
const OVERFLOW_UID: u32 = 65_534;
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A client, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guest {
    /// Its user; `None`: nobody can tell.
    pub(super) uid: Option<u32>,
    /// Its process, where the system tells; it may be gone by now.
    pub(super) pid: Option<Pid>,
    /// What it may do; `None`: nothing.
    pub(super) role: Option<Role>,
}

impl Guest {
    /// Whether it may do what takes this role.
    pub(super) fn may(&self, needed: Role) -> bool {
        self.role.is_some_and(|role| role >= needed)
    }
}

/// How open the socket is to be.
pub(super) fn openness(spec: &DaemonSpec) -> Openness {
    // A group that nobody knows was refused with the configuration; if it went away since, nobody gains by it.
    let group = spec.socket_group.as_deref().and_then(|name| user::group_id(name).ok().flatten());
    Openness { mode: spec.socket_mode(), group }
}

/// The list, by numbers.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    users: Vec<(u32, Role)>,
    groups: Vec<(u32, Role)>,
    /// Whether our own number is nobody else's here.
    own_counts: bool,
    told: Option<Instant>,
    untold: u64,
}

impl Doorkeeper {
    /// The list of a configuration, names looked up now.
    pub(super) fn new(spec: &DaemonSpec) -> Doorkeeper {
        let private = spec.socket_mode() & 0o077 == 0;
        let own_counts = user::effective_uid() != OVERFLOW_UID || private;
        let mut keeper = Doorkeeper { own_counts, ..Doorkeeper::default() };
        spec.socket_users.iter().for_each(|grant| keeper.note(grant));
        keeper
    }

    fn note(&mut self, grant: &Grant) {
        let (found, list, name) = match &grant.whom {
            Whom::User(name) => (user::lookup(name).map(|user| user.map(|user| user.uid)), &mut self.users, name),
            Whom::Group(name) => (user::group_id(name), &mut self.groups, name),
        };
        match found {
            Ok(Some(id)) => list.push((id, grant.role)),
            Ok(None) => log::error!("[supervice] socket_users: there is no {name} here, so it is let in by nobody"),
            Err(error) => log::error!("[supervice] socket_users: {name} could not be looked up: {error}"),
        }
    }

    /// Who this is, asked of the kernel.
    pub(super) fn judge(&mut self, connection: &impl AsFd, now: Instant) -> Guest {
        let peer = match socket::peer_credentials(connection) {
            Ok(peer) => peer,
            Err(error) => {
                self.tell(now, &format!("denied a control connection that shows no credentials: {error}"));
                return Guest { uid: None, pid: None, role: None };
            }
        };
        let role = self.role_with_groups(connection, &peer);
        if role.is_none() {
            let pid = peer.pid.unwrap_or(0);
            self.tell(now, &format!("denied a control connection of uid {} (pid {pid})", peer.uid));
        }
        Guest { uid: Some(peer.uid), pid: peer.pid, role }
    }

    /// What one who came in earlier may do now.
    pub(super) fn role_of(&self, connection: &impl AsFd) -> Option<Role> {
        self.role_with_groups(connection, &socket::peer_credentials(connection).ok()?)
    }

    fn role_with_groups(&self, connection: &impl AsFd, peer: &Peer) -> Option<Role> {
        self.role(peer, || socket::peer_groups(connection).unwrap_or_else(|_| vec![peer.gid]))
    }

    fn role(&self, peer: &Peer, groups: impl FnOnce() -> Vec<u32>) -> Option<Role> {
        if peer.uid == 0 || (self.own_counts && peer.uid == user::effective_uid()) {
            return Some(Role::Admin);
        }
        let by_user = self.users.iter().filter(|(uid, _)| *uid == peer.uid).map(|(_, role)| *role).max();
        if self.groups.is_empty() {
            return by_user;
        }
        let member_of = groups();
        let is_member = |gid: &u32| *gid == peer.gid || member_of.contains(gid);
        let by_group = self.groups.iter().filter(|(gid, _)| is_member(gid)).map(|(_, role)| *role).max();
        by_user.max(by_group)
    }

    fn tell(&mut self, now: Instant, text: &str) {
        if self.told.is_some_and(|at| now.since(at) < TELL_EVERY) {
            self.untold += 1;
            return;
        }
        let more = if self.untold > 0 { format!(", and {} others before", self.untold) } else { String::new() };
        log::warn!("{text}{more}");
        (self.told, self.untold) = (Some(now), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: u32 = 4_000_001;

    fn peer(uid: u32, gid: u32) -> Peer {
        Peer { uid, gid, pid: None }
    }

    fn keeper() -> Doorkeeper {
        Doorkeeper {
            users: vec![(STRANGER, Role::Read), (STRANGER + 1, Role::Admin)],
            groups: vec![(50, Role::Admin), (51, Role::Read)],
            own_counts: true,
            ..Doorkeeper::default()
        }
    }

    #[test]
    fn nobody_is_let_in_who_is_not_on_the_list() {
        let keeper = Doorkeeper { own_counts: true, ..Doorkeeper::default() };
        assert_eq!(keeper.role(&peer(STRANGER, 0), || vec![0]), None, "a group of root's is not root");
        assert_eq!(keeper.role(&peer(0, 1), Vec::new), Some(Role::Admin));
        assert_eq!(keeper.role(&peer(user::effective_uid(), 1), Vec::new), Some(Role::Admin));
    }

    #[test]
    fn the_strongest_of_all_grants_counts() {
        let keeper = keeper();
        let arms = [
            (peer(STRANGER, 9), vec![], Some(Role::Read)),
            (peer(STRANGER, 9), vec![51], Some(Role::Read)),
            (peer(STRANGER, 9), vec![50], Some(Role::Admin)),
            (peer(STRANGER + 1, 51), vec![], Some(Role::Admin)),
            (peer(STRANGER + 2, 51), vec![], Some(Role::Read)),
            (peer(STRANGER + 2, 9), vec![8, 7], None),
        ];
        for (peer, groups, expected) in arms {
            assert_eq!(keeper.role(&peer, || groups.clone()), expected, "{peer:?} {groups:?}");
        }
    }

    #[test]
    fn reading_is_less_than_ordering() {
        let guest = |role| Guest { uid: Some(1), pid: None, role };
        assert!(guest(Some(Role::Admin)).may(Role::Read) && guest(Some(Role::Admin)).may(Role::Admin));
        assert!(guest(Some(Role::Read)).may(Role::Read) && !guest(Some(Role::Read)).may(Role::Admin));
        assert!(!guest(None).may(Role::Read));
    }
}
