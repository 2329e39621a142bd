//! The engine decides; it does nothing. Inputs and the time go in, effects and the next deadline come out.
//!
//! Feed one input with [`Engine::handle`] (or the time with [`Engine::handle_timeout`]), then take effects with
//! [`Engine::poll_effect`] until there are none, then the next. [`Engine::poll_timeout`] says when to come back at the latest.

mod closing;
mod health;
pub mod id;
mod instance;
mod job;
pub mod message;
mod outbox;
mod patience;
mod phase;
pub mod policy;
mod reception;
#[cfg(test)]
pub(crate) mod rig;
pub mod slots;
pub mod time;
pub mod timer;

pub use instance::Instance;
pub use phase::Run;

use alloc::rc::Rc;
use closing::Closing;
use id::{InstanceId, ProbeId, RunId, Stamp, Ticket};
use job::{Goal, Jobs, Standing};
use message::{Effect, Input, State};
use outbox::{Note, Outbox, Waiter};
use policy::Policy;
use slots::Slots;
use time::Instant;

/// Room for so many effects is kept between two inputs.
const EFFECTS_KEPT: usize = 64;

/// Every instance, every open order, every deadline.
#[derive(Debug)]
pub struct Engine {
    instances: Slots<Instance>,
    /// What the last new one was given: most are given the same, and share it.
    last_policy: Option<Rc<Policy>>,
    jobs: Jobs,
    closing: Option<Closing>,
    /// The end of a program was told to be the end of all.
    last_seen: bool,
    out: Outbox,
    stale_inputs: u64,
    changes: u64,
}

/// The world tells.
impl Engine {
    /// An engine without instances. `seed` decides how retries are spread, and nothing else.
    pub fn new(now: Instant, seed: u64) -> Engine {
        Engine {
            instances: Slots::new(),
            last_policy: None,
            jobs: Jobs::default(),
            closing: None,
            last_seen: false,
            out: Outbox::new(now, seed),
            stale_inputs: 0,
            changes: 0,
        }
    }

    /// A new instance, STOPPED. [`Plan::added`](message::Plan::added) starts it, or a command.
    pub fn add(&mut self, policy: impl Into<Rc<Policy>>) -> InstanceId {
        self.changes += 1;
        let policy = policy.into();
        let last = self.last_policy.take().filter(|last| **last == *policy);
        let policy = last.unwrap_or(policy);
        self.last_policy = Some(Rc::clone(&policy));
        InstanceId(self.instances.insert_with(|key| Instance::new(InstanceId(key), policy)))
    }

    /// Takes one input. Drain the effects before the next.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.out.advance(now);
        self.changes += 1;
        match input {
            Input::Spawned { run, pid } => self.tell(run, |instance, out| instance.on_spawned(pid, out)),
            Input::SpawnFailed { run, error } => self.tell(run, |instance, out| instance.on_spawn_failed(error, out)),
            Input::ExecOk { run } => self.tell(run, Instance::on_exec_ok),
            Input::Ready { run } => self.tell(run, Instance::on_ready),
            Input::Ping { run } => self.tell(run, Instance::on_ping),
            Input::Exited { run, status, leftovers } => {
                self.tell(run, |instance, out| instance.on_exited(status, leftovers, out));
            }
            Input::GroupEmpty { run } => self.tell(run, Instance::on_group_empty),
            Input::ProbeDone { probe, result } => {
                self.tell_probed(probe, |instance, out| instance.on_probe(probe, result, out));
            }
            Input::Command { ticket, command } => self.receive(ticket, command),
            Input::Withdrawn { ticket } => self.withdraw(ticket),
            Input::Away => self.instances.iter_mut().for_each(|(_, instance)| instance.on_away(&mut self.out)),
        }
        self.settle();
        self.skim();
    }

    /// Does what is due. Afterwards [`poll_timeout`](Self::poll_timeout) is later than `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.out.advance(now);
        while let Some((stamp, waiter)) = self.out.timers.pop_due(self.out.now) {
            self.changes += 1;
            match waiter {
                Waiter::Instance(id) => self.deadline_of(id, stamp),
                Waiter::Closing => self.closing_deadline(stamp),
            }
            self.settle();
        }
        self.sweep();
    }

    fn tell(&mut self, run: RunId, tell: impl FnOnce(&mut Instance, &mut Outbox)) {
        match self.instances.get_mut(run.instance.0).filter(|instance| instance.lives_as(run)) {
            Some(instance) => tell(instance, &mut self.out),
            None => self.stale_inputs += 1,
        }
    }

    fn tell_probed(&mut self, probe: ProbeId, tell: impl FnOnce(&mut Instance, &mut Outbox)) {
        match self.instances.get_mut(probe.run.instance.0).filter(|instance| instance.asks(probe)) {
            Some(instance) => tell(instance, &mut self.out),
            None => self.stale_inputs += 1,
        }
    }

    fn deadline_of(&mut self, id: InstanceId, stamp: Stamp) {
        if let Some(instance) = self.instances.get_mut(id.0).filter(|instance| instance.holds(stamp)) {
            instance.on_deadline(stamp, &mut self.out);
        }
    }
}

/// What now?
impl Engine {
    /// The next thing to do, in the order of decision.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.out.effects.pop_front();
        if effect.is_none() {
            // An order to thousands made room that nothing else fills.
            self.out.effects.shrink_to(EFFECTS_KEPT);
        }
        effect
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. It may find nothing to do then.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.out.timers.next_deadline()
    }
}

/// Questions.
impl Engine {
    /// One instance.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(id.0)
    }

    /// All instances, in no order that means anything.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().map(|(_, instance)| instance)
    }

    /// How many an order still waits for; `None` for one that is answered, or not known.
    pub fn left_of(&self, ticket: Ticket) -> Option<usize> {
        let closing = self.closing.as_ref().filter(|closing| closing.tickets.contains(&ticket));
        self.jobs.left(ticket).or(closing.map(|closing| closing.busy.len()))
    }

    /// A number that is another one whenever an instance may have changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many inputs named a run or a probe that is past. They changed nothing.
    pub fn stale_inputs(&self) -> u64 {
        self.stale_inputs
    }

    /// Panics if something is wrong inside. It looks at everything: for tests and debug builds.
    pub fn check_invariants(&self) {
        self.jobs.check_invariants();
        assert!(self.out.notes.is_empty(), "every note is read before an input is done with");
        for instance in self.instances() {
            let (id, state) = (instance.id(), instance.state());
            for goal in self.jobs.goals_of(id) {
                let under_way = match goal {
                    Goal::Up => state == State::Starting || state == State::Stopping,
                    Goal::Down | Goal::Gone => state == State::Stopping,
                };
                assert!(under_way, "{id:?} is {state}, and an order for {goal:?} still waits");
            }
            if let Some(closing) = &self.closing {
                assert!(
                    instance.is_down() || (state == State::Stopping && !instance.is_relaunching()),
                    "{id:?} is {state} in a shutdown"
                );
                assert!(closing.busy.contains(&id) != instance.is_down(), "a shutdown waits for all that is alive");
            }
        }
    }
}

/// What follows from it.
impl Engine {
    /// Settles orders by what became of instances.
    fn settle(&mut self) {
        while let Some(note) = self.out.notes.pop_front() {
            match note {
                Note::Reached(id, state) => self.settle_state(id, state),
                Note::Stuck(id) => self.settle_failed(id, State::Stopping),
                Note::Gone(id) => self.forget(id),
                Note::Last(id, state) => self.end_with(id, state),
            }
        }
        self.finish_if_down();
    }

    fn settle_state(&mut self, id: InstanceId, state: State) {
        let Some(instance) = self.instances.get(id.0) else { return };
        if let Some(closing) = &mut self.closing
            && instance.is_down()
        {
            closing.busy.remove(&id);
        }
        if self.jobs.is_empty() {
            return;
        }
        let failure = instance.failure(state, false);
        let standing = |goal| match (goal, state) {
            (Goal::Up, State::Running | State::Unhealthy) | (Goal::Down, State::Stopped) => Standing::Done,
            (Goal::Up, State::Backoff | State::Exited | State::Fatal) => Standing::Failed(failure),
            (Goal::Up, State::Stopped | State::Starting | State::Stopping) => Standing::Open,
            (Goal::Down, _) | (Goal::Gone, _) => Standing::Open,
        };
        self.jobs.settle(id, standing, &mut self.out);
    }

    fn settle_failed(&mut self, id: InstanceId, state: State) {
        let Some(instance) = self.instances.get(id.0) else { return };
        let failure = instance.failure(state, false);
        self.jobs.settle(id, |_| Standing::Failed(failure), &mut self.out);
    }

    fn forget(&mut self, id: InstanceId) {
        if self.instances.remove(id.0).is_none() {
            return;
        }
        self.out.put(Effect::Forget { instance: id });
        self.jobs.settle(id, |_| Standing::Done, &mut self.out);
        if let Some(closing) = &mut self.closing {
            closing.busy.remove(&id);
        }
    }

    /// Forgotten deadlines cost only memory; they go when they outnumber what can be held.
    fn sweep(&mut self) {
        if self.out.timers.len() > 4 * self.instances.len() + 64 {
            let (instances, closing) = (&self.instances, &self.closing);
            self.out.timers.sweep(|&waiter, stamp| holds(instances, closing, waiter, stamp));
        }
        self.skim();
    }

    /// Nobody is to be woken for a deadline that was forgotten.
    fn skim(&mut self) {
        let (instances, closing) = (&self.instances, &self.closing);
        self.out.timers.skim(|&waiter, stamp| holds(instances, closing, waiter, stamp));
    }
}

fn holds(instances: &Slots<Instance>, closing: &Option<Closing>, waiter: Waiter, stamp: Stamp) -> bool {
    match waiter {
        Waiter::Instance(id) => instances.get(id.0).is_some_and(|instance| instance.holds(stamp)),
        Waiter::Closing => closing.as_ref().is_some_and(|closing| closing.holds(stamp)),
    }
}

#[cfg(test)]
mod tests {
    use super::rig::{Rig, checked, policy, seconds};
    use super::*;

    #[test]
    fn forgotten_deadlines_are_swept() {
        // Somebody holds a deadline that comes before all that the other one forgets.
        let mut rig = Rig::made(policy());
        rig.id = rig.engine.add(policy());
        rig.start();
        rig.spawned();
        rig.exec_ok();
        for _ in 0..500 {
            rig.restart();
            rig.exited(rig::OK);
            rig.spawned();
            rig.exec_ok();
        }
        assert!(rig.engine.out.timers.len() >= 500);
        rig.wait(seconds(1));
        assert!(rig.engine.out.timers.len() <= 2 * 4 + 64);
    }

    #[test]
    fn nobody_is_woken_for_a_forgotten_deadline() {
        let mut rig = Rig::running(policy());
        rig.wait(seconds(1));
        assert_eq!(rig.engine.poll_timeout(), None, "the exec's own deadline is over with the exec");
        rig.restart();
        rig.exited(rig::OK);
        rig.spawned();
        assert!(rig.engine.poll_timeout().is_some());
        rig.stop();
        rig.exited(rig::OK);
        assert_eq!(rig.engine.poll_timeout(), None);
    }

    #[test]
    fn a_deadline_of_an_earlier_phase_does_nothing_in_the_next() {
        let mut rig = Rig::stopping(policy());
        rig.start();
        rig.exited(rig::OK);
        rig.spawned();
        rig.exec_ok();
        assert_eq!(rig.wait(seconds(60)), ["STARTING>RUNNING", "reply 3 Done"]);
    }

    #[test]
    fn one_seed_and_one_story_give_one_trace() {
        let story = |seed| {
            let mut rig = Rig::stopped(checked());
            rig.engine = Engine::new(rig.now, seed);
            rig.id = rig.engine.add(checked());
            rig.start();
            rig.spawned();
            rig.exec_ok();
            rig.exited(rig::BAD);
            rig.instance().retry_at()
        };
        assert_eq!(story(1), story(1));
        assert_ne!(story(1), story(2));
    }
}
