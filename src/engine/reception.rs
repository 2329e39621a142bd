//! Where orders come in: which of them join, which overtake an earlier one, and how the daemon ends.
//! What an order does to one instance is `instance`'s business; waiting for the answer is `job`'s.

use super::Engine;
use super::closing::{Closing, ClosingStage};
use super::id::{InstanceId, Stamp, Ticket};
use super::instance::{KILL_TIMEOUT, Taken};
use super::job::{Goal, Job, Standing};
use super::message::{Command, Effect, Failure, Outcome, Plan, State};
use super::outbox::Waiter;
use super::time::Duration;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

impl Engine {
    pub(super) fn receive(&mut self, ticket: Ticket, command: Command) {
        match command {
            Command::Shutdown { timeout } => self.shutdown(ticket, timeout),
            Command::Stop(instances) => self.stop(ticket, instances),
            Command::Start(_) | Command::Restart { .. } | Command::Reload(_) if self.closing.is_some() => {
                self.out.put(Effect::Reply { ticket, outcome: Outcome::ShuttingDown });
            }
            Command::Start(instances) => self.start(ticket, instances),
            Command::Restart { instances, force } => self.restart(ticket, instances, force),
            Command::Reload(plan) => self.reload(ticket, plan),
        }
    }

    /// The order goes on; only its answer is not wanted.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        self.jobs.withdraw(ticket);
        if let Some(closing) = &mut self.closing {
            closing.tickets.retain(|&waiting| waiting != ticket);
        }
    }

    fn start(&mut self, ticket: Ticket, instances: Vec<InstanceId>) {
        let mut job = Job::new(Goal::Up);
        for id in distinct(instances) {
            let taken = self.start_one(id);
            job.join(id, self.standing(id, taken, Standing::AlreadyUp));
        }
        self.jobs.open(ticket, job, &mut self.out);
    }

    fn start_one(&mut self, id: InstanceId) -> Option<Taken> {
        let taken = self.instances.get_mut(id.0)?.on_start(&mut self.out);
        if taken != Taken::Refused {
            self.overtake(id, Goal::Down);
        }
        Some(taken)
    }

    fn restart(&mut self, ticket: Ticket, instances: Vec<InstanceId>, force: bool) {
        let mut job = Job::new(Goal::Up);
        for id in distinct(instances) {
            let taken = self.restart_one(id, force);
            job.join(id, self.standing(id, taken, Standing::Open));
        }
        self.jobs.open(ticket, job, &mut self.out);
    }

    fn restart_one(&mut self, id: InstanceId, force: bool) -> Option<Taken> {
        let instance = self.instances.get_mut(id.0)?;
        let joins = instance.is_relaunching();
        let taken = instance.on_restart(force, &mut self.out);
        if taken != Taken::Refused {
            self.overtake(id, Goal::Down);
            if !joins {
                self.overtake(id, Goal::Up);
            }
        }
        Some(taken)
    }

    fn stop(&mut self, ticket: Ticket, instances: Vec<InstanceId>) {
        let mut job = Job::new(Goal::Down);
        for id in distinct(instances) {
            let standing = match self.instances.get_mut(id.0).map(|instance| instance.on_stop(&mut self.out)) {
                Some(taken) => self.standing(id, Some(taken), Standing::Done),
                None => Standing::Done,
            };
            self.overtake(id, Goal::Up);
            job.join(id, standing);
        }
        self.jobs.open(ticket, job, &mut self.out);
    }

    /// The removed first, so that what they hold is on its way out when the added come.
    fn reload(&mut self, ticket: Ticket, plan: Plan) {
        let mut job = Job::new(Goal::Gone);
        for id in distinct(plan.removed) {
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            let taken = instance.on_remove(&mut self.out);
            self.overtake(id, Goal::Up);
            job.join(id, self.standing(id, Some(taken), Standing::Open));
        }
        self.jobs.open(ticket, job, &mut self.out);
        for (id, policy) in plan.changed {
            if let Some(instance) = self.instances.get_mut(id.0) {
                instance.on_policy(policy, &mut self.out);
            }
        }
        for id in distinct(plan.added) {
            if self.instances.get(id.0).is_some_and(|instance| instance.policy().autostart) {
                self.start_one(id);
            }
        }
    }

    /// A later order of another goal tells the earlier ones that they come to nothing.
    fn overtake(&mut self, id: InstanceId, goal: Goal) {
        if self.jobs.is_empty() {
            return;
        }
        let Some(instance) = self.instances.get(id.0) else { return };
        let failure = instance.failure(instance.state(), true);
        let standing = |of| if of == goal { Standing::Failed(failure) } else { Standing::Open };
        self.jobs.settle(id, standing, &mut self.out);
    }

    fn standing(&self, id: InstanceId, taken: Option<Taken>, already: Standing) -> Standing {
        match (taken, self.instances.get(id.0)) {
            (Some(Taken::Waits), _) => Standing::Open,
            (Some(Taken::Already), _) => already,
            (Some(Taken::Refused), Some(instance)) => Standing::Failed(instance.failure(instance.state(), false)),
            (Some(Taken::Refused), None) | (None, _) => {
                Standing::Failed(Failure { instance: id, state: State::Stopped, superseded: false, cause: None })
            }
        }
    }
}

/// The end.
impl Engine {
    fn shutdown(&mut self, ticket: Ticket, timeout: Duration) {
        match &mut self.closing {
            None => self.begin_closing(ticket, timeout),
            Some(closing) => match closing.stage {
                ClosingStage::Asked { .. } => {
                    closing.tickets.push(ticket);
                    self.kill_all(false);
                }
                ClosingStage::Killed { .. } => closing.tickets.push(ticket),
                ClosingStage::Finished => self.out.put(Effect::Reply { ticket, outcome: Outcome::Done }),
            },
        }
    }

    fn begin_closing(&mut self, ticket: Ticket, timeout: Duration) {
        self.jobs.refuse(Goal::Up, &Outcome::ShuttingDown, &mut self.out);
        let mut busy = BTreeSet::new();
        for (_, instance) in self.instances.iter_mut() {
            instance.on_shutdown(&mut self.out);
            if !instance.is_down() {
                busy.insert(instance.id());
            }
        }
        let deadline = self.out.arm_after(timeout, Waiter::Closing);
        self.closing = Some(Closing { stage: ClosingStage::Asked { deadline }, tickets: Vec::from([ticket]), busy });
    }

    /// The first program whose end is the end of all has the shutdown asked for; the order itself comes as any other does.
    pub(super) fn end_with(&mut self, id: InstanceId, state: State) {
        if self.closing.is_some() || self.last_seen {
            return;
        }
        let Some(instance) = self.instances.get(id.0) else { return };
        self.last_seen = true;
        let cause = instance.last_cause();
        self.out.put(Effect::ShutDown { instance: id, state, cause });
    }

    pub(super) fn closing_deadline(&mut self, stamp: Stamp) {
        let Some(closing) = self.closing.as_ref().filter(|closing| closing.holds(stamp)) else { return };
        match closing.stage {
            ClosingStage::Asked { .. } => self.kill_all(true),
            ClosingStage::Killed { .. } => self.finish(),
            ClosingStage::Finished => {}
        }
    }

    fn kill_all(&mut self, late: bool) {
        let Some(closing) = &mut self.closing else { return };
        for id in &closing.busy {
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            if late {
                instance.kill_late(&mut self.out);
            } else {
                instance.kill(&mut self.out);
            }
        }
        let deadline = self.out.arm_after(KILL_TIMEOUT, Waiter::Closing);
        closing.stage = ClosingStage::Killed { deadline };
    }

    pub(super) fn finish_if_down(&mut self) {
        if self.closing.as_ref().is_some_and(|closing| closing.busy.is_empty()) {
            self.finish();
        }
    }

    /// Answers all that still waits, then tells that it is over.
    fn finish(&mut self) {
        let Some(closing) = &mut self.closing else { return };
        if closing.stage == ClosingStage::Finished {
            return;
        }
        closing.stage = ClosingStage::Finished;
        let tickets = core::mem::take(&mut closing.tickets);
        let survivors: Vec<_> = closing.busy.iter().copied().collect();
        for &id in &survivors {
            self.settle_failed(id, State::Stopping);
        }
        for ticket in tickets {
            self.out.put(Effect::Reply { ticket, outcome: Outcome::Done });
        }
        self.out.put(Effect::Finished { survivors });
    }
}

/// Each member once, in the order they were named.
fn distinct(instances: Vec<InstanceId>) -> Vec<InstanceId> {
    let mut seen = BTreeSet::new();
    instances.into_iter().filter(|&id| seen.insert(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::policy::{Autorestart, Consequence, Policy};
    use crate::engine::rig::{BAD, OK, Rig, policy, seconds};

    #[test]
    fn a_member_named_twice_counts_once() {
        let mut rig = Rig::running(policy());
        let twice = Vec::from([rig.id, rig.id]);
        assert_eq!(rig.order(Command::Start(twice)), ["reply 2 AlreadyUp"]);
    }

    #[test]
    fn a_group_is_answered_once_with_those_that_failed() {
        let mut rig = Rig::stopped(policy());
        let both = Vec::from([rig.engine.add(policy()), rig.id]);
        assert_eq!(rig.order(Command::Start(both.clone()))[1], "spawn 1");
        rig.spawned();
        rig.exec_ok();
        assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING"]);
        let told = rig.order(Command::Stop(both));
        assert!(told.contains(&String::from("reply 1 Failed STOPPED overtaken")), "{told:?}");
    }

    #[test]
    fn a_reload_starts_the_added_that_want_it_and_is_answered_for_the_removed() {
        let mut rig = Rig::running(policy());
        let eager = rig.engine.add(policy());
        let lazy = rig.engine.add(Policy { autostart: false, ..policy() });
        let plan = Plan { added: Vec::from([eager, lazy]), removed: Vec::from([rig.id]), changed: Vec::new() };
        let told = ["signal 1 TERM", "RUNNING>STOPPING", "STOPPED>STARTING", "spawn 1"];
        assert_eq!(rig.order(Command::Reload(plan)), told);
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>STOPPED", "forget", "reply 2 Done"]);
    }

    #[test]
    fn a_reload_that_cannot_remove_says_so() {
        let mut rig = Rig::running(policy());
        rig.remove();
        assert_eq!(rig.wait(seconds(12))[2..], ["unkillable 1", "reply 2 Failed STOPPING"]);
        assert!(rig.instance().is_leaving());
    }

    #[test]
    fn a_shutdown_stops_what_is_busy_and_then_is_over() {
        let mut rig = Rig::running(policy());
        assert_eq!(rig.shutdown(30), ["signal 1 TERM", "RUNNING>STOPPING"]);
        let told = ["exited 1 0 expected", "STOPPING>STOPPED", "reply 2 Done", "finished 0"];
        assert_eq!(rig.exited(OK), told);
        assert!(rig.wait(seconds(99)).is_empty());
        assert_eq!(rig.shutdown(30), ["reply 3 Done"]);
    }

    #[test]
    fn a_shutdown_of_what_is_down_is_over_at_once() {
        assert_eq!(Rig::exited_rig().shutdown(30), ["reply 2 Done", "finished 0"]);
        assert_eq!(Rig::backoff(policy()).shutdown(30), ["BACKOFF>STOPPED", "reply 2 Done", "finished 0"]);
        let told = ["reply 1 ShuttingDown", "cancel 1", "STARTING>STOPPED", "reply 2 Done", "finished 0"];
        assert_eq!(Rig::queued(policy()).shutdown(30), told);
    }

    #[test]
    fn in_a_shutdown_nothing_comes_up_any_more() {
        let mut rig = Rig::running(policy());
        rig.restart();
        assert_eq!(rig.shutdown(30), ["reply 2 ShuttingDown"]);
        assert_eq!(rig.start(), ["reply 4 ShuttingDown"]);
        assert_eq!(rig.restart(), ["reply 5 ShuttingDown"]);
        assert_eq!(rig.remove(), ["reply 6 ShuttingDown"]);
        assert!(rig.stop().is_empty());
        let told = ["exited 1 1 expected", "STOPPING>STOPPED", "reply 7 Done", "reply 3 Done", "finished 0"];
        assert_eq!(rig.exited(BAD), told);
    }

    #[test]
    fn a_shutdown_kills_at_its_deadline_and_names_the_survivors() {
        let mut rig = Rig::running(Policy { stop_timeout: seconds(60), ..policy() });
        rig.stop();
        rig.shutdown(5);
        assert_eq!(rig.wait(seconds(5)), ["stop timed out 1", "signal 1 KILL"]);
        let told = ["unkillable 1", "reply 2 Failed STOPPING", "reply 3 Done", "finished 1"];
        assert_eq!(rig.wait(seconds(2)), told);
        assert_eq!(rig.exited(BAD), ["exited 1 1 expected", "STOPPING>STOPPED"]);
    }

    #[test]
    fn a_second_shutdown_kills_at_once() {
        let mut rig = Rig::running(policy());
        rig.shutdown(30);
        assert_eq!(rig.shutdown(30), ["signal 1 KILL"]);
        assert!(rig.shutdown(30).is_empty());
        let told = rig.exited(BAD);
        assert_eq!(told[1..], ["STOPPING>STOPPED", "reply 2 Done", "reply 3 Done", "reply 4 Done", "finished 0"]);
    }

    fn last() -> Policy {
        Policy {
            autorestart: Autorestart::Never,
            on_exit: Consequence::Shutdown,
            on_fatal: Consequence::Shutdown,
            ..policy()
        }
    }

    #[test]
    fn an_end_that_no_restart_follows_is_the_end_of_all() {
        let mut rig = Rig::running(last());
        assert_eq!(rig.exited(BAD), ["exited 1 1 unexpected", "RUNNING>EXITED", "end with EXITED 1"]);
        assert_eq!(rig.shutdown(30), ["reply 2 Done", "finished 0"]);
    }

    #[test]
    fn a_failed_start_that_is_not_tried_again_is_one_too() {
        let mut rig = Rig::starting(last());
        let told = ["exited 1 0 expected", "STARTING>EXITED", "end with EXITED 0", "reply 1 Failed EXITED"];
        let mut seen = rig.exited(OK);
        seen.sort();
        let mut told = told.map(String::from);
        told.sort();
        assert_eq!(seen, told);
    }

    #[test]
    fn what_is_left_behind_goes_first() {
        let mut rig = Rig::running(last());
        let told = rig.exited_with_leftovers(BAD);
        assert!(!told.iter().any(|line| line.starts_with("end")), "{told:?}");
        assert_eq!(rig.group_empty(), ["STOPPING>EXITED", "end with EXITED 1"]);
    }

    #[test]
    fn what_cannot_be_killed_does_not_hold_the_end_up() {
        let mut rig = Rig::running(last());
        rig.exited_with_leftovers(BAD);
        assert_eq!(rig.wait(seconds(12))[2..], ["unkillable 1", "end with EXITED 1"]);
    }

    #[test]
    fn an_end_that_was_ordered_means_nothing() {
        let mut rig = Rig::running(last());
        rig.stop();
        assert_eq!(rig.exited(BAD), ["exited 1 1 expected", "STOPPING>STOPPED", "reply 2 Done"]);
        let mut rig = Rig::running(last());
        rig.shutdown(30);
        assert_eq!(rig.exited(BAD)[2..], ["reply 2 Done", "finished 0"]);
    }

    #[test]
    fn an_end_that_a_restart_follows_means_nothing_until_it_is_given_up() {
        let mut rig = Rig::starting(Policy { autorestart: Autorestart::Always, start_retries: 0, ..last() });
        let told = rig.exited(BAD);
        assert_eq!(told[1..3], ["STARTING>FATAL", "reply 1 Failed FATAL"]);
        assert_eq!(told[3..], ["end with FATAL 1"]);
        let mut rig = Rig::running(Policy { autorestart: Autorestart::Always, ..last() });
        assert_eq!(rig.exited(BAD)[2..], ["EXITED>STARTING", "spawn 2"]);
    }

    #[test]
    fn the_first_end_decides() {
        let mut rig = Rig::running(last());
        rig.exited(BAD);
        rig.start();
        rig.spawned();
        rig.exec_ok();
        let told = rig.exited(OK);
        assert!(!told.iter().any(|line| line.starts_with("end")), "{told:?}");
    }

    #[test]
    fn a_reload_changes_at_once_what_an_end_means() {
        let mut rig = Rig::running(last());
        rig.change(Policy { on_exit: Consequence::Nothing, ..last() });
        assert_eq!(rig.exited(BAD), ["exited 1 1 unexpected", "RUNNING>EXITED"]);
    }

    #[test]
    fn a_removal_under_way_goes_on_in_a_shutdown() {
        let mut rig = Rig::running(policy());
        rig.remove();
        rig.shutdown(30);
        let told = ["exited 1 0 expected", "STOPPING>STOPPED", "forget", "reply 2 Done", "reply 3 Done", "finished 0"];
        assert_eq!(rig.exited(OK), told);
    }
}
