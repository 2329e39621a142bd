//! The simulator: the real engine in a pretended world, for millions of steps of pretended time.
//!
//! `SIM_SEED=7 SIM_VERBOSE=1 cargo test --test sim replay -- --nocapture` replays one seed and tells everything;
//! `SIM_SEEDS=200000 cargo test --test sim safety -- --nocapture` widens the search.

mod book;
mod faults;
mod intent;
mod knobs;
mod os;
mod people;
mod rng;
mod sabotage;
mod scenario;
mod schedule;
mod shell;
mod trace;
mod wishes;
mod witness;
mod world;

pub use supervice::engine;

use schedule::Tally;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Enough for ten million steps.
const SEEDS: u64 = 12_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn how_to_replay(seed: u64, violation: &str) -> String {
    format!(
        "seed {seed}: {violation}\n\
         replay: SIM_SEED={seed} SIM_VERBOSE=1 cargo test --test sim replay -- --nocapture"
    )
}

#[test]
fn replay() {
    let Some(seed) = number("SIM_SEED") else { return };
    let verbose = std::env::var("SIM_VERBOSE").is_ok();
    match schedule::play(seed, verbose) {
        Ok(tally) => println!("seed {seed}: {tally:?}"),
        Err(violation) => panic!("{}", how_to_replay(seed, &violation)),
    }
}

#[test]
fn safety_and_liveness() {
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let sum = play_all(seeds);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {} steps, {} spawns, {} replies, {} days of pretended time in {seconds:.1} s: {:.0} steps/s",
        sum.steps,
        sum.spawns,
        sum.replies,
        sum.virtual_seconds / 86_400,
        sum.steps as f64 / seconds
    );
    assert!(seeds < SEEDS || sum.steps >= 10_000_000, "the suite takes ten million steps, not {}", sum.steps);
}

/// All seeds below `seeds`, on all cores.
fn play_all(seeds: u64) -> Tally {
    let next = AtomicU64::new(0);
    let work = || {
        let mut sum = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return sum;
            }
            match schedule::play(seed, false) {
                Ok(tally) => sum.add(&tally),
                Err(violation) => panic!("{}", how_to_replay(seed, &violation)),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, |count| count.get());
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut sum = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(tally) => sum.add(&tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    })
}

#[test]
fn one_seed_is_one_story() {
    for seed in 0..200 {
        let hash = |seed| schedule::play(seed, false).map(|tally| tally.hash);
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
}
