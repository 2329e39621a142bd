//! Thirty real programs, a real daemon, and everything at random: SIGKILL and SIGSTOP for both, no descriptors, no disk, no room
//! for processes, reloads, orders, clients that leave. Each second /proc is held against `status`.
//!
//! The suite runs it for a few seconds; `CHAOS_SECONDS=1800 CHAOS_SEED=7 cargo test --test chaos -- --nocapture` for as long
//! as you like. The seed decides what is thrown, not what the machine makes of it.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[allow(dead_code, unused_imports, reason = "written for the end-to-end tests, borrowed here")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "written for the failure table, borrowed here")]
#[path = "../trust/machine.rs"]
mod machine;

mod deeds;
mod oracle;
mod scene;

use deeds::Deeds;
use harness::Dice;
use oracle::Oracle;
use scene::Scene;
use std::time::{Duration, Instant};

/// Storms of this length, each followed by a calm in which all must come right again.
const STORM: Duration = Duration::from_secs(45);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn everything_at_random_leaves_nothing_wrong() {
    let seconds = number("CHAOS_SECONDS").unwrap_or(8);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("CHAOS_SEED").unwrap_or_else(|| now.map_or(1, |since| since.as_secs()));
    println!("chaos: seed {seed}, {seconds} s");
    let mut scene = Scene::new(seed);
    let mut deeds = Deeds::new(Dice::new(seed));
    let mut oracle = Oracle::default();
    scene.calm(&mut oracle);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    while Instant::now() < end {
        let storm_end = end.min(Instant::now() + STORM);
        let mut next_look = Instant::now() + Duration::from_secs(1);
        while Instant::now() < storm_end {
            deeds.one(&mut scene);
            if Instant::now() >= next_look {
                // Without a descriptor nobody is answered, and that is no fault.
                deeds.give_descriptors(&mut scene);
                oracle.look(&mut scene);
                next_look = Instant::now() + Duration::from_secs(1);
            }
        }
        deeds.undo_all(&mut scene);
        scene.calm(&mut oracle);
    }
    println!("chaos: {} s: {}\nchaos: {}", begun.elapsed().as_secs(), deeds.told(), oracle.told());
    println!("chaos: {} daemons; {} unrecorded processes told of and left alone", scene.lives, scene.left_alone);
    scene.end();
}
