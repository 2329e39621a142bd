//! One seed, two acts. First *safety*: faults and orders at random, and nothing wrong may happen. Then *liveness*: the world
//! is kind, and everything that was asked for has to come about within its time.

use crate::book::Rest;
use crate::engine::id::InstanceId;
use crate::engine::message::{Command, Plan, State};
use crate::engine::time::{Duration, Instant};
use crate::intent::is_wanted_up;
use crate::world::{Happening, Verdict, Violation, World};

/// What a clean schedule came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub steps: u64,
    pub replies: u64,
    pub spawns: u64,
    pub virtual_seconds: u64,
    pub hash: u64,
}

impl Tally {
    /// The stories of two sums are not one story, so the hash is not summed.
    pub fn add(&mut self, other: &Tally) {
        self.steps += other.steps;
        self.replies += other.replies;
        self.spawns += other.spawns;
        self.virtual_seconds += other.virtual_seconds;
    }
}

/// More steps than any schedule takes; an engine that never rests is found, and does not hang the test.
const STEPS_MAX: u64 = 200_000;

pub fn play(seed: u64, verbose: bool) -> Result<Tally, Violation> {
    let mut world = World::new(seed, verbose);
    let begun = world.now;
    let told = |world: &World, violation| format!("step {}, at {:?}: {violation}", world.steps, world.now);
    match acts(&mut world) {
        Err(violation) => Err(told(&world, violation)),
        Ok(()) => Ok(Tally {
            steps: world.steps,
            replies: world.witness.replies,
            spawns: world.witness.spawns,
            virtual_seconds: world.now.since(begun).as_secs(),
            hash: world.trace.hash(),
        }),
    }
}

fn acts(world: &mut World) -> Verdict {
    world.trace.say(world.now, "==", &world.knobs);
    safety(world)?;
    world.trace.say(world.now, "==", &"from here on the world is kind");
    world.be_kind();
    liveness(world)
}

fn safety(world: &mut World) -> Verdict {
    let added: Vec<InstanceId> = (0..world.knobs.instances).map(|_| world.add()).collect();
    world.order(Command::Reload(Plan { added, ..Plan::default() }))?;
    world.after(Duration::from_millis(1), Happening::Order);
    for (knob, what) in [(world.knobs.pauses, Happening::Pause), (world.knobs.burst * 5, Happening::Burst)] {
        if world.rng.percent(knob) {
            let wait = world.rng.millis(0, 30_000);
            world.after(wait, what);
        }
    }
    let end = world.now + Duration::from_secs(600);
    let shutdown = if world.rng.percent(world.knobs.shutdown) { world.knobs.happenings / 2 } else { u64::MAX };
    while world.steps < world.knobs.happenings && world.finished.is_none() {
        if world.steps >= shutdown && world.intent.closing.is_none() {
            let timeout = world.rng.millis(0, 20_000);
            world.order(Command::Shutdown { timeout })?;
        }
        if !world.step(end)? {
            break;
        }
    }
    Ok(())
}

fn liveness(world: &mut World) -> Verdict {
    for hope in [every_order_is_answered, every_wish_comes_true, nothing_goes_round_in_circles] {
        if !is_ending(world) {
            hope(world)?;
        }
    }
    the_end_comes(world)
}

/// Until `done`, but not longer than `within`. Where a program has taken all others with it, nothing else is waited for.
fn wait_for(world: &mut World, within: Duration, what: &str, done: impl Fn(&World) -> bool) -> Verdict {
    let end = world.now + within;
    let ends = is_ending(world);
    while !done(world) && is_ending(world) == ends {
        if world.steps > STEPS_MAX {
            return Err(format!("no rest: {what}"));
        }
        if !world.step(end)? {
            return if done(world) || is_ending(world) != ends {
                Ok(())
            } else {
                Err(format!("not within {within:?}: {what}"))
            };
        }
    }
    Ok(())
}

fn is_ending(world: &World) -> bool {
    world.intent.closing.is_some()
}

fn every_order_is_answered(world: &mut World) -> Verdict {
    // A stop of ten seconds and its SIGKILL, a queue of two, an exec, a gate of three.
    wait_for(world, Duration::from_secs(20), "every order is answered", |world| !world.is_busy())?;
    match world.witness.unanswered() {
        0 => Ok(()),
        _ if is_ending(world) => Ok(()),
        left => Err(format!("{left} orders were forgotten")),
    }
}

fn every_wish_comes_true(world: &mut World) -> Verdict {
    // Deaths that were planned while faults were on are still to come.
    world.run_until(world.now + Duration::from_secs(15))?;
    if is_ending(world) {
        return Ok(());
    }
    let given_up: Vec<InstanceId> = world
        .intent
        .books
        .values()
        .filter(|book| book.rest == Rest::Fatal && book.life.is_none())
        .map(|b| b.id)
        .collect();
    let stopped = world.everybody().into_iter().filter(|id| world.state_of(*id) == Some(State::Stopped));
    let stopped: Vec<InstanceId> = stopped.collect();
    for id in &given_up {
        world.order(Command::Start(vec![*id]))?;
    }
    let wanted: Vec<InstanceId> =
        world.intent.books.values().filter(|book| is_wanted_up(book)).map(|book| book.id).collect();
    wait_for(world, Duration::from_secs(33 + 12 + 8), "what is wanted runs", |world| {
        wanted.iter().all(|id| match world.state_of(*id) {
            Some(State::Running | State::Unhealthy | State::Exited) | None => true,
            Some(State::Starting | State::Backoff | State::Stopping | State::Fatal | State::Stopped) => false,
        })
    })?;
    match stopped.iter().find(|id| world.state_of(**id) != Some(State::Stopped)) {
        None => Ok(()),
        Some(_) if is_ending(world) => Ok(()),
        Some(id) => Err(format!("{id:?} was stopped and did not stay so")),
    }
}

/// At rest only health checks, deaths that were planned, and deadlines that were forgotten may wake us.
fn nothing_goes_round_in_circles(world: &mut World) -> Verdict {
    let end = world.now + Duration::from_secs(100);
    world.run_until(end)?;
    let before = world.steps;
    let checked = world.intent.books.values().filter(|book| book.policy.health.is_some()).count() as u64;
    world.run_until(end + Duration::from_secs(60))?;
    let woken = world.steps - before;
    // A check a second is a question, its answer, and the deadline of the answer, which nobody waits for any more.
    let watched = world.intent.books.values().filter(|book| book.policy.watchdog.is_some()).count() as u64;
    let allowed = (checked + 2 * watched) * 60 * 3 + world.everybody().len() as u64 * 4 + 64;
    if woken <= allowed { Ok(()) } else { Err(format!("woken {woken} times in a quiet minute")) }
}

fn the_end_comes(world: &mut World) -> Verdict {
    let begun = world.now;
    if world.intent.closing.is_none() {
        let timeout = world.rng.millis(0, 15_000);
        world.order(Command::Shutdown { timeout })?;
    }
    let deadline = world.intent.closing.as_ref().map_or(begun, |closing| closing.deadline);
    let grace = Duration::from_secs(2) + Duration::from_millis(1);
    wait_for(world, deadline.since(begun) + grace, "the end comes in time", |world| world.finished.is_some())?;
    world.run_until(last(world.now))?;
    let left = world.os.groups.values().filter(|group| !group.is_empty() && !group.may_stay).count();
    if left == 0 { Ok(()) } else { Err(format!("{left} process groups outlive the daemon")) }
}

fn last(now: Instant) -> Instant {
    now + Duration::from_secs(5)
}
