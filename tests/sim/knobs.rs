//! What a seed is like: drawn once, each fault off in half of the seeds, so that faults are met alone and in company.

use crate::engine::message::{FailureClass, Signal, SpawnError, SpawnStage};
use crate::engine::policy::{Autorestart, Consequence, HealthPolicy, Policy, Readiness};
use crate::engine::time::Duration;
use crate::rng::Rng;
use std::collections::BTreeSet;

/// Chances in percent where nothing else is said.
#[derive(Debug, Clone)]
pub struct Knobs {
    pub instances: u64,
    pub happenings: u64,
    pub queue_delay: Duration,
    pub spawn_error: u32,
    pub burst: u32,
    pub exec_slow: u32,
    pub exec_error: u32,
    pub exec_hang: u32,
    pub verdict_delay: Duration,
    pub exits_soon: u32,
    pub exits_later: u32,
    pub crasher: u32,
    pub deaf: u32,
    pub unkillable: u32,
    pub grandchildren: u32,
    pub deaf_grandchildren: u32,
    pub wake_delay: Duration,
    pub merged_exits: bool,
    pub probe_fails: u32,
    pub probe_silent: u32,
    pub probe_late: u32,
    pub repeats: u32,
    pub withdraws: u32,
    pub pauses: u32,
    pub order_gap: Duration,
    pub groups: u32,
    pub reloads: u32,
    pub shutdown: u32,
    pub allow_leftover: u32,
    pub health: u32,
    pub readiness: u32,
    pub never_ready: u32,
    pub watchdog: u32,
    pub falls_silent: u32,
    pub ends_all: u32,
}

impl Knobs {
    pub fn draw(rng: &mut Rng) -> Knobs {
        let mut knob = |most: u64| if rng.percent(50) { 0 } else { rng.between(1, most) as u32 };
        let percents: Vec<u32> = [
            20, 5, 15, 20, 4, 40, 40, 15, 20, 12, 40, 40, 50, 30, 20, 20, 15, 20, 20, 20, 25, 20, 70, 60, 20, 40, 10, 3,
        ]
        .map(&mut knob)
        .into();
        let mut next = percents.into_iter();
        let mut percent = || next.next().expect("one number for each knob");
        Knobs {
            spawn_error: percent(),
            burst: percent(),
            exec_slow: percent(),
            exec_error: percent(),
            exec_hang: percent(),
            exits_soon: percent(),
            exits_later: percent(),
            crasher: percent(),
            deaf: percent(),
            unkillable: percent(),
            grandchildren: percent(),
            deaf_grandchildren: percent(),
            probe_fails: percent(),
            probe_silent: percent(),
            probe_late: percent(),
            repeats: percent(),
            withdraws: percent(),
            pauses: percent(),
            groups: percent(),
            reloads: percent(),
            shutdown: percent(),
            allow_leftover: percent(),
            health: percent(),
            readiness: percent(),
            never_ready: percent(),
            watchdog: percent(),
            falls_silent: percent(),
            ends_all: percent(),
            instances: if rng.percent(3) { 64 } else { rng.between(1, 12) },
            happenings: rng.between(200, 1600),
            queue_delay: maybe(rng, 2000),
            verdict_delay: maybe(rng, 50),
            wake_delay: maybe(rng, 50),
            merged_exits: rng.percent(30),
            order_gap: Duration::from_millis(rng.pick(&[5, 20, 100, 500, 2000])),
        }
    }

    /// No fault at all, for a scenario that makes its own.
    pub fn calm() -> Knobs {
        Knobs {
            instances: 0,
            happenings: 0,
            queue_delay: Duration::ZERO,
            spawn_error: 0,
            burst: 0,
            exec_slow: 0,
            exec_error: 0,
            exec_hang: 0,
            verdict_delay: Duration::ZERO,
            exits_soon: 0,
            exits_later: 0,
            crasher: 0,
            deaf: 0,
            unkillable: 0,
            grandchildren: 0,
            deaf_grandchildren: 0,
            wake_delay: Duration::ZERO,
            merged_exits: false,
            probe_fails: 0,
            probe_silent: 0,
            probe_late: 0,
            repeats: 0,
            withdraws: 0,
            pauses: 0,
            order_gap: Duration::from_secs(1),
            groups: 0,
            reloads: 0,
            shutdown: 0,
            allow_leftover: 0,
            health: 0,
            readiness: 0,
            never_ready: 0,
            watchdog: 0,
            falls_silent: 0,
            ends_all: 0,
        }
    }

    /// A policy as somebody might have written it.
    pub fn policy(&self, rng: &mut Rng) -> Policy {
        use Autorestart::{Always, Never, Unexpected};
        Policy {
            autostart: rng.percent(70),
            autorestart: rng.pick(&[Always, Always, Always, Unexpected, Never]),
            exitcodes: if rng.percent(70) { BTreeSet::from([0]) } else { BTreeSet::from([0, 2]) },
            start_secs: Duration::from_millis(rng.pick(&[0, 300, 1000, 1000, 3000])),
            readiness: if rng.percent(self.readiness) {
                rng.pick(&[Readiness::Notified, Readiness::Checked])
            } else {
                Readiness::Lived
            },
            ready_timeout: rng.millis(5000, 20_000),
            // Not in step with anything else: what comes first is never a matter of taste.
            watchdog: rng.percent(self.watchdog).then(|| rng.millis(1000, 5000) + Duration::from_micros(333)),
            start_retries: rng.below(5) as u32,
            stop_signal: Signal(rng.pick(&[15, 15, 2, 3, 10])),
            stop_timeout: Duration::from_millis(rng.pick(&[0, 500, 2000, 10_000])),
            allow_leftover: rng.percent(self.allow_leftover),
            on_exit: self.consequence(rng),
            on_fatal: self.consequence(rng),
            health: rng.percent(self.health).then(|| health_policy(rng)),
        }
    }

    fn consequence(&self, rng: &mut Rng) -> Consequence {
        if rng.percent(self.ends_all) { Consequence::Shutdown } else { Consequence::Nothing }
    }

    /// Why a start came to nothing, or `None`.
    pub fn error(rng: &mut Rng) -> SpawnError {
        use FailureClass::{Ordinary, Permanent, Shortage};
        let class = rng.pick(&[Shortage, Shortage, Shortage, Ordinary, Ordinary, Permanent]);
        SpawnError { stage: rng.pick(&[SpawnStage::Fork, SpawnStage::Exec, SpawnStage::Directory]), errno: 2, class }
    }
}

fn maybe(rng: &mut Rng, most: u64) -> Duration {
    if rng.percent(50) { Duration::ZERO } else { rng.millis(1, most) }
}

fn health_policy(rng: &mut Rng) -> HealthPolicy {
    HealthPolicy {
        interval: rng.millis(1000, 4000),
        timeout: rng.millis(200, 3000),
        retries: rng.between(1, 3) as u32,
        start_period: rng.millis(0, 3000),
    }
}
