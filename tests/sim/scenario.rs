//! Stories with a name: faults that were met once, or that a person would ask about first. The world is kind here, apart from
//! what the story says; all that is watched in a schedule is watched here too.

use crate::engine::id::{InstanceId, RunId};
use crate::engine::message::{Command, ExitStatus, Plan, Signal, State};
use crate::engine::policy::{Autorestart, Consequence, Policy, Readiness};
use crate::engine::time::{Duration, Instant};
use crate::knobs::Knobs;
use crate::os::{Process, Victim};
use crate::rng::Rng;
use crate::world::{Happening, World};
use std::collections::BTreeSet;

fn policy() -> Policy {
    Policy {
        autostart: true,
        autorestart: Autorestart::Always,
        exitcodes: BTreeSet::from([0]),
        start_secs: Duration::from_secs(1),
        readiness: Readiness::Lived,
        ready_timeout: Duration::from_secs(60),
        watchdog: None,
        start_retries: 3,
        stop_signal: Signal::TERM,
        stop_timeout: Duration::from_secs(10),
        allow_leftover: false,
        on_exit: Consequence::Nothing,
        on_fatal: Consequence::Nothing,
        health: None,
    }
}

struct Story {
    world: World,
}

impl Story {
    fn of(count: usize, policy: &Policy) -> (Story, Vec<InstanceId>) {
        let mut world = World::with(Rng::new(0), Knobs::calm(), 0, false);
        world.be_kind();
        let mut story = Story { world };
        let added: Vec<InstanceId> = (0..count).map(|_| story.world.add_with(policy.clone())).collect();
        story.order(Command::Reload(Plan { added: added.clone(), ..Plan::default() }));
        (story, added)
    }

    fn running(count: usize, policy: &Policy) -> (Story, Vec<InstanceId>) {
        let (mut story, ids) = Story::of(count, policy);
        story.pass(2.0);
        assert!(ids.iter().all(|id| story.state(*id) == State::Running));
        (story, ids)
    }

    fn order(&mut self, command: Command) {
        self.world.order(command).expect("nothing wrong happens");
    }

    fn pass(&mut self, seconds: f64) {
        let end = self.world.now + Duration::from_secs_f64(seconds);
        self.world.run_until(end).expect("nothing wrong happens");
    }

    fn state(&self, id: InstanceId) -> State {
        self.world.state_of(id).expect("the instance is there")
    }

    fn run(&self, id: InstanceId) -> RunId {
        self.world.engine.instance(id).and_then(|instance| instance.run()).expect("it has a run").id
    }

    fn leader(&mut self, id: InstanceId) -> &mut Process {
        let run = self.run(id);
        &mut self.world.os.groups.get_mut(&run).expect("it has a process").leader
    }

    fn dies(&mut self, id: InstanceId) {
        let run = self.run(id);
        self.world.at(self.world.now, Happening::Death(run, Victim::Leader, ExitStatus::Code(1)));
    }

    fn replies(&self) -> u64 {
        self.world.witness.replies
    }
}

/// Met as seed 115: the verdict was read in the breath of the reap, late enough for the gate to be open.
#[test]
fn a_program_that_dies_before_its_verdict_is_read_was_never_running() {
    let (mut story, ids) = Story::of(1, &policy());
    story.world.blind_until = story.world.now + Duration::from_secs(3);
    story.pass(0.5);
    story.dies(ids[0]);
    story.pass(2.6);
    assert_eq!(story.state(ids[0]), State::Backoff);
    assert!(!story.world.witness.edges.contains(&(State::Starting, State::Running)));
}

#[test]
fn a_frozen_child_is_told_of_refuses_a_start_and_stays_down_when_it_thaws() {
    let (mut story, ids) = Story::running(1, &policy());
    story.leader(ids[0]).stuck_until = Instant::from_nanos(u64::MAX);
    story.order(Command::Stop(ids.clone()));
    story.pass(11.9);
    assert_eq!(story.replies(), 1);
    story.pass(0.2);
    assert_eq!((story.replies(), story.state(ids[0])), (2, State::Stopping));
    story.order(Command::Start(ids.clone()));
    assert_eq!((story.replies(), story.state(ids[0])), (3, State::Stopping));
    story.world.be_kind();
    story.pass(60.0);
    assert_eq!((story.state(ids[0]), story.world.witness.spawns), (State::Stopped, 1));
}

#[test]
fn twenty_stubborn_children_do_not_hold_a_shutdown_beyond_its_time() {
    let (mut story, ids) = Story::running(20, &Policy { stop_timeout: Duration::from_secs(60), ..policy() });
    for id in &ids {
        story.leader(*id).deaf = true;
    }
    story.order(Command::Shutdown { timeout: Duration::from_secs(5) });
    story.pass(4.9);
    assert_eq!(story.world.finished, None);
    story.pass(0.2);
    assert_eq!(story.world.finished, Some(Vec::new()));
}

#[test]
fn a_second_shutdown_order_does_not_wait() {
    let (mut story, ids) = Story::running(20, &policy());
    for id in &ids {
        story.leader(*id).deaf = true;
    }
    story.order(Command::Shutdown { timeout: Duration::from_secs(30) });
    story.pass(1.0);
    story.order(Command::Shutdown { timeout: Duration::from_secs(30) });
    story.pass(0.1);
    assert_eq!(story.world.finished, Some(Vec::new()));
}

#[test]
fn a_reload_that_removes_a_stubborn_child_leaves_the_others_alone() {
    let (mut story, ids) = Story::running(3, &policy());
    let others = [story.run(ids[1]), story.run(ids[2])];
    story.leader(ids[0]).deaf = true;
    story.order(Command::Reload(Plan { removed: vec![ids[0]], ..Plan::default() }));
    story.order(Command::Reload(Plan::default()));
    assert_eq!(story.replies(), 2);
    story.pass(10.1);
    assert_eq!((story.world.state_of(ids[0]), story.replies()), (None, 3));
    assert_eq!([story.run(ids[1]), story.run(ids[2])], others);
}

#[test]
fn five_hundred_that_die_together_come_back_together() {
    let (mut story, ids) = Story::running(500, &policy());
    for id in &ids {
        story.dies(*id);
    }
    story.pass(2.0);
    assert!(ids.iter().all(|id| story.state(*id) == State::Running));
    assert_eq!(story.world.witness.spawns, 1000);
}
