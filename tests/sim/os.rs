//! The pretended kernel: process groups, who in them lives, who is deaf to signals, who is in uninterruptible sleep.
//! What is true here is the truth; the engine only knows what it was told.

use crate::engine::id::{InstanceId, RunId};
use crate::engine::message::{Pid, Signal};
use crate::engine::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// One process.
#[derive(Debug, Clone)]
pub struct Process {
    pub alive: bool,
    /// Ignores every signal but SIGKILL.
    pub deaf: bool,
    /// From a signal it minds to its death.
    pub reaction: Duration,
    /// Nothing kills it before.
    pub stuck_until: Instant,
    /// SIGKILL is pending.
    pub condemned: bool,
}

/// A leader and what it forked.
#[derive(Debug, Clone)]
pub struct Group {
    pub pid: Pid,
    pub leader: Process,
    pub members: Vec<Process>,
    /// The program runs in the child.
    pub executed: bool,
    /// The verdict pipe was read.
    pub verdict_read: bool,
    /// The leader was reaped, and the engine told so.
    pub reaped: bool,
    /// It says every now and then that it does not hang.
    pub speaks: bool,
    /// The engine was told that its leftovers may stay.
    pub may_stay: bool,
}

impl Group {
    pub fn has_members(&self) -> bool {
        self.members.iter().any(|member| member.alive)
    }

    pub fn is_empty(&self) -> bool {
        !self.leader.alive && !self.has_members()
    }
}

/// Who of a group dies of a signal, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Leader,
    Member(usize),
}

#[derive(Debug, Default)]
pub struct Os {
    pub groups: BTreeMap<RunId, Group>,
    next_pid: Pid,
}

impl Os {
    /// A small space of numbers, so that they come round again; wider where many live at once.
    pub fn free_pid(&mut self) -> Pid {
        let last = 199.max(2 * self.groups.len() as Pid);
        let taken: BTreeSet<Pid> = self.groups.values().map(|group| group.pid).collect();
        let following = (self.next_pid + 1..=last).chain(2..=last);
        let free = following.filter(|pid| *pid >= 2).find(|pid| !taken.contains(pid));
        self.next_pid = free.expect("there are more numbers than groups");
        self.next_pid
    }

    /// The groups of one instance with anything alive in them.
    pub fn alive_of(&self, instance: InstanceId) -> impl Iterator<Item = (&RunId, &Group)> {
        let first = RunId { instance, serial: 0 };
        let last = RunId { instance, serial: u32::MAX };
        self.groups.range(first..=last).filter(|(_, group)| !group.is_empty())
    }

    /// Delivers a signal. Before the verdict was read only the leader can be meant.
    pub fn signal(&mut self, run: RunId, signal: Signal, now: Instant) -> Vec<(Victim, Instant)> {
        let Some(group) = self.groups.get_mut(&run) else { return Vec::new() };
        let mut deaths = Vec::new();
        if group.leader.alive {
            deaths.extend(hit(&mut group.leader, signal, now).map(|at| (Victim::Leader, at)));
        }
        if group.verdict_read {
            for (index, member) in group.members.iter_mut().enumerate().filter(|(_, member)| member.alive) {
                deaths.extend(hit(member, signal, now).map(|at| (Victim::Member(index), at)));
            }
        }
        deaths
    }
}

fn hit(process: &mut Process, signal: Signal, now: Instant) -> Option<Instant> {
    if signal == Signal::KILL {
        process.condemned = true;
        return Some(now.max(process.stuck_until));
    }
    if process.deaf { None } else { Some((now + process.reaction).max(process.stuck_until)) }
}
