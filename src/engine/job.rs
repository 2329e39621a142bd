//! Orders that are answered later: who of an order is still under way, who failed, and the answer when the last one settled.
//! Found by instance, so that a change of one costs what its own orders cost and no more.

use super::id::{InstanceId, Ticket};
use super::message::{Effect, Failure, Outcome};
use super::outbox::Outbox;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What an order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// RUNNING.
    Up,
    /// STOPPED.
    Down,
    /// Removed from the engine.
    Gone,
}

/// How an order stands with one of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Under way.
    Open,
    /// As ordered.
    Done,
    /// It was up when a start came.
    AlreadyUp,
    /// It came to nothing.
    Failed(Failure),
}

/// One order that was not answered yet.
#[derive(Debug)]
pub(super) struct Job {
    goal: Goal,
    members: usize,
    already_up: usize,
    open: BTreeSet<InstanceId>,
    failed: Vec<Failure>,
}

impl Job {
    pub(super) fn new(goal: Goal) -> Job {
        Job { goal, members: 0, already_up: 0, open: BTreeSet::new(), failed: Vec::new() }
    }

    /// Counts a member in.
    pub(super) fn join(&mut self, instance: InstanceId, standing: Standing) {
        self.members += 1;
        self.open.insert(instance);
        self.settle(instance, standing);
    }

    fn settle(&mut self, instance: InstanceId, standing: Standing) {
        match standing {
            Standing::Open => return,
            Standing::Done => {}
            Standing::AlreadyUp => self.already_up += 1,
            Standing::Failed(failure) => self.failed.push(failure),
        }
        self.open.remove(&instance);
    }

    fn outcome(mut self) -> Outcome {
        let overtaken = self.failed.iter().any(|failure| failure.superseded);
        if self.failed.is_empty() {
            return if self.already_up == 1 && self.members == 1 { Outcome::AlreadyUp } else { Outcome::Done };
        }
        if overtaken && self.members == 1 {
            return Outcome::Superseded;
        }
        self.failed.sort_by_key(|failure| failure.instance);
        Outcome::Failed(self.failed)
    }
}

/// All orders that were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: BTreeMap<Ticket, Job>,
    by_instance: BTreeSet<(InstanceId, Ticket)>,
}

impl Jobs {
    /// Takes an order in, or answers it if nothing of it is under way.
    pub(super) fn open(&mut self, ticket: Ticket, job: Job, out: &mut Outbox) {
        debug_assert!(!self.jobs.contains_key(&ticket), "a ticket is never used twice");
        if job.open.is_empty() {
            return out.put(Effect::Reply { ticket, outcome: job.outcome() });
        }
        self.by_instance.extend(job.open.iter().map(|&instance| (instance, ticket)));
        self.jobs.insert(ticket, job);
    }

    /// Asks for each open order of `instance` how it stands now, and answers those that are complete.
    pub(super) fn settle(&mut self, instance: InstanceId, standing: impl Fn(Goal) -> Standing, out: &mut Outbox) {
        for ticket in self.tickets_of(instance) {
            let Some(job) = self.jobs.get_mut(&ticket) else { continue };
            let standing = standing(job.goal);
            if standing == Standing::Open {
                continue;
            }
            job.settle(instance, standing);
            self.by_instance.remove(&(instance, ticket));
            if job.open.is_empty() {
                self.answer(ticket, Job::outcome, out);
            }
        }
    }

    /// Answers every order of one goal alike, as it stands.
    pub(super) fn refuse(&mut self, goal: Goal, outcome: &Outcome, out: &mut Outbox) {
        let refused = self.jobs.iter().filter(|(_, job)| job.goal == goal).map(|(&ticket, _)| ticket);
        for ticket in refused.collect::<Vec<_>>() {
            self.answer(ticket, |_| outcome.clone(), out);
        }
    }

    /// Nobody waits for this answer any more.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        self.take(ticket);
    }

    /// Of how many an order still waits to hear.
    pub(super) fn left(&self, ticket: Ticket) -> Option<usize> {
        self.jobs.get(&ticket).map(|job| job.open.len())
    }

    /// Whether no order waits.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The open orders of an instance.
    pub(super) fn goals_of(&self, instance: InstanceId) -> impl Iterator<Item = Goal> {
        self.range_of(instance).filter_map(|ticket| self.jobs.get(&ticket)).map(|job| job.goal)
    }

    /// What must hold whenever no input is being handled.
    pub(super) fn check_invariants(&self) {
        let open = self.jobs.iter().flat_map(|(&ticket, job)| job.open.iter().map(move |&of| (of, ticket)));
        assert!(
            open.collect::<BTreeSet<_>>() == self.by_instance,
            "each open member of an order can be found by instance"
        );
        assert!(self.jobs.values().all(|job| !job.open.is_empty()), "an order with nothing open is answered");
    }

    fn answer(&mut self, ticket: Ticket, outcome: impl FnOnce(Job) -> Outcome, out: &mut Outbox) {
        if let Some(job) = self.take(ticket) {
            out.put(Effect::Reply { ticket, outcome: outcome(job) });
        }
    }

    fn take(&mut self, ticket: Ticket) -> Option<Job> {
        let job = self.jobs.remove(&ticket)?;
        for &instance in &job.open {
            self.by_instance.remove(&(instance, ticket));
        }
        Some(job)
    }

    fn tickets_of(&self, instance: InstanceId) -> Vec<Ticket> {
        self.range_of(instance).collect()
    }

    fn range_of(&self, instance: InstanceId) -> impl Iterator<Item = Ticket> {
        self.by_instance.range((instance, Ticket(0))..=(instance, Ticket(u64::MAX))).map(|&(_, ticket)| ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::Key;
    use crate::engine::message::State;
    use crate::engine::time::Instant;

    const A: InstanceId = InstanceId(Key { slot: 0, generation: 0 });
    const B: InstanceId = InstanceId(Key { slot: 1, generation: 0 });

    fn failure(instance: InstanceId, superseded: bool) -> Failure {
        Failure { instance, state: State::Backoff, superseded, cause: None }
    }

    struct Desk(Jobs, Outbox);

    impl Desk {
        fn new() -> Desk {
            Desk(Jobs::default(), Outbox::new(Instant::ZERO, 0))
        }

        fn open(&mut self, ticket: u64, members: &[(InstanceId, Standing)]) -> Vec<Effect> {
            let mut job = Job::new(Goal::Up);
            for &(instance, standing) in members {
                job.join(instance, standing);
            }
            self.0.open(Ticket(ticket), job, &mut self.1);
            self.replies()
        }

        fn settle(&mut self, instance: InstanceId, standing: Standing) -> Vec<Effect> {
            self.0.settle(instance, |_| standing, &mut self.1);
            self.replies()
        }

        fn replies(&mut self) -> Vec<Effect> {
            self.0.check_invariants();
            self.1.effects.drain(..).collect()
        }
    }

    fn reply(ticket: u64, outcome: Outcome) -> Vec<Effect> {
        Vec::from([Effect::Reply { ticket: Ticket(ticket), outcome }])
    }

    #[test]
    fn an_order_about_nobody_is_done() {
        assert_eq!(Desk::new().open(1, &[]), reply(1, Outcome::Done));
    }

    #[test]
    fn a_group_is_answered_when_its_last_member_settled() {
        let mut desk = Desk::new();
        assert!(desk.open(1, &[(A, Standing::Open), (B, Standing::Open)]).is_empty());
        assert!(desk.settle(B, Standing::Failed(failure(B, false))).is_empty());
        assert!(desk.settle(B, Standing::Done).is_empty());
        assert_eq!(desk.settle(A, Standing::Done), reply(1, Outcome::Failed(Vec::from([failure(B, false)]))));
        assert!(desk.settle(A, Standing::Done).is_empty());
    }

    #[test]
    fn already_up_is_said_of_one_and_not_of_a_group() {
        let mut desk = Desk::new();
        assert_eq!(desk.open(1, &[(A, Standing::AlreadyUp)]), reply(1, Outcome::AlreadyUp));
        let both = [(A, Standing::AlreadyUp), (B, Standing::AlreadyUp)];
        assert_eq!(desk.open(2, &both), reply(2, Outcome::Done));
    }

    #[test]
    fn one_that_was_overtaken_is_superseded_and_a_member_has_failed() {
        let mut desk = Desk::new();
        desk.open(1, &[(A, Standing::Open)]);
        assert_eq!(desk.settle(A, Standing::Failed(failure(A, true))), reply(1, Outcome::Superseded));
        desk.open(2, &[(A, Standing::Open), (B, Standing::Done)]);
        let failed = Outcome::Failed(Vec::from([failure(A, true)]));
        assert_eq!(desk.settle(A, Standing::Failed(failure(A, true))), reply(2, failed));
    }

    #[test]
    fn several_orders_of_one_instance_settle_together() {
        let mut desk = Desk::new();
        desk.open(1, &[(A, Standing::Open)]);
        desk.open(2, &[(A, Standing::Open), (B, Standing::Open)]);
        assert_eq!(desk.settle(A, Standing::Done), reply(1, Outcome::Done));
        assert_eq!(desk.settle(B, Standing::Done), reply(2, Outcome::Done));
        assert!(desk.0.is_empty());
    }

    #[test]
    fn a_withdrawn_order_is_not_answered() {
        let mut desk = Desk::new();
        desk.open(1, &[(A, Standing::Open), (B, Standing::Open)]);
        desk.0.withdraw(Ticket(1));
        assert!(desk.settle(A, Standing::Done).is_empty());
        assert!(desk.0.is_empty());
    }

    #[test]
    fn refusing_a_goal_leaves_the_others() {
        let mut desk = Desk::new();
        desk.open(1, &[(A, Standing::Open)]);
        desk.0.refuse(Goal::Down, &Outcome::ShuttingDown, &mut desk.1);
        assert!(desk.replies().is_empty());
        desk.0.refuse(Goal::Up, &Outcome::ShuttingDown, &mut desk.1);
        assert_eq!(desk.replies(), reply(1, Outcome::ShuttingDown));
    }
}
