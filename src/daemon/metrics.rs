//! Counters, and how long things take: what is counted as it happens, and all of it told as one text.
//!
//! Series of single processes are told only where they are few enough; sums are told always.

use super::Daemon;
use super::beside::Beside;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Event, State};
use crate::engine::time::{Duration, Instant};
use crate::sys::{clock, usage};
use crate::wire::exposition::{Exposition, Histogram, Kind};
use crate::wire::reply::Reply;
use crate::wire::request::Id;

/// With more processes than this only sums are told.
const SERIES_MAX: usize = 1000;

/// A longest turn is told for so long, and up to twice as long.
const LAG_WINDOW: Duration = Duration::from_secs(60);

/// All counts since the daemon began.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    spawns: u64,
    spawn_failures: u64,
    exits_asked: u64,
    exits_unasked: u64,
    given_up: u64,
    checks_passed: u64,
    checks_failed: u64,
    health_restarts: u64,
    stop_timeouts: u64,
    pub(super) requests: u64,
    exec: Histogram,
    start: Histogram,
    reaction: Histogram,
    stop: Histogram,
    turn: Histogram,
    pub(super) lag: Lag,
    of: Beside<Tally>,
}

/// The longest turns: for so long nobody was heard.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// Ever.
    pub(super) longest: Duration,
    /// In this window and in the one before.
    recent: [Duration; 2],
    window: Instant,
}

/// What is counted of one instance.
#[derive(Debug, Default)]
struct Tally {
    starts: u64,
    exits_unasked: u64,
    /// When the child of this start began to be made.
    begun: Option<Instant>,
    /// When the daemon woke up for its death, if it is to be started again at once.
    died: Option<Instant>,
    /// When its stop began.
    stopping: Option<Instant>,
}

impl Lag {
    fn note(&mut self, turn: Duration, now: Instant) {
        if now.since(self.window) >= LAG_WINDOW {
            let is_old = now.since(self.window) >= 2 * LAG_WINDOW;
            self.recent = [Duration::ZERO, if is_old { Duration::ZERO } else { self.recent[0] }];
            self.window = now;
        }
        self.recent[0] = self.recent[0].max(turn);
        self.longest = self.longest.max(turn);
    }

    /// The longest turn of late.
    pub(super) fn recent(&self) -> Duration {
        self.recent[0].max(self.recent[1])
    }
}

impl Metrics {
    /// A turn is over.
    pub(super) fn note_turn(&mut self, woke: Instant) {
        let now = clock::monotonic();
        let turn = now.since(woke);
        self.turn.observe(turn.as_secs_f64());
        self.lag.note(turn, now);
    }

    /// A child was made; that began a moment ago.
    pub(super) fn note_spawn(&mut self, id: InstanceId, begun: Instant) {
        self.spawns += 1;
        let tally = self.of.entry(id);
        tally.starts += 1;
        tally.begun = Some(begun);
        if let Some(died) = tally.died.take() {
            self.reaction.observe(clock::monotonic().since(died).as_secs_f64());
        }
    }

    /// The program runs.
    pub(super) fn note_exec(&mut self, id: InstanceId) {
        if let Some(begun) = self.of.get(id).and_then(|tally| tally.begun) {
            self.exec.observe(clock::monotonic().since(begun).as_secs_f64());
        }
    }

    /// Somebody ordered something: what starts now is no reaction to a death.
    pub(super) fn note_order(&mut self, id: InstanceId) {
        if let Some(tally) = self.of.get_mut(id) {
            tally.died = None;
        }
    }

    /// Drops what is known of an instance that the engine let go.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.of.remove(id);
    }

    /// Counts an event.
    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        match *event {
            Event::Exited { asked: true, .. } => self.exits_asked += 1,
            Event::Exited { run, asked: false, .. } => {
                self.exits_unasked += 1;
                let tally = self.of.entry(run.instance);
                tally.exits_unasked += 1;
                tally.died = Some(now);
            }
            Event::SpawnFailed { .. } => self.spawn_failures += 1,
            Event::StopTimedOut { .. } => self.stop_timeouts += 1,
            Event::ProbePassed { .. } => self.checks_passed += 1,
            Event::ProbeFailed { .. } => self.checks_failed += 1,
            Event::HealthRestart { .. } => self.health_restarts += 1,
            Event::StateChanged { instance, from, to, .. } => self.note_state(instance, from, to, now),
            Event::Spawned { .. }
            | Event::Unkillable { .. }
            | Event::NotReadyYet { .. }
            | Event::ReadyTimedOut { .. }
            | Event::WatchdogMissed { .. } => {}
        }
    }

    fn note_state(&mut self, id: InstanceId, from: State, to: State, now: Instant) {
        let tally = self.of.entry(id);
        if from == State::Stopping
            && let Some(since) = tally.stopping.take()
        {
            self.stop.observe(now.since(since).as_secs_f64());
        }
        match to {
            State::Running if from == State::Starting => {
                if let Some(begun) = tally.begun {
                    self.start.observe(clock::monotonic().since(begun).as_secs_f64());
                }
            }
            State::Stopping => (tally.stopping, tally.died) = (Some(now), None),
            State::Fatal => {
                self.given_up += 1;
                tally.died = None;
            }
            State::Backoff | State::Stopped => tally.died = None,
            State::Starting | State::Running | State::Unhealthy | State::Exited => {}
        }
    }

    fn tell(&self, text: &mut Exposition) {
        let counters = [
            ("supervice_spawns_total", "Children that were made.", self.spawns),
            ("supervice_spawn_failures_total", "Starts that failed before or at exec.", self.spawn_failures),
            ("supervice_given_up_total", "Times that a process became FATAL.", self.given_up),
            ("supervice_health_restarts_total", "Processes stopped because they were unhealthy.", self.health_restarts),
            ("supervice_stop_timeouts_total", "Stops that took SIGKILL.", self.stop_timeouts),
            ("supervice_requests_total", "Requests on the control socket.", self.requests),
        ];
        for (name, help, value) in counters {
            text.single(name, Kind::Counter, help, value);
        }
        let exits = "supervice_exits_total";
        text.family(exits, Kind::Counter, "Ends of processes, asked for or not.");
        text.sample(exits, &[("asked", "yes")], self.exits_asked);
        text.sample(exits, &[("asked", "no")], self.exits_unasked);
        let checks = "supervice_health_checks_total";
        text.family(checks, Kind::Counter, "Health checks that came to a result.");
        text.sample(checks, &[("result", "passed")], self.checks_passed);
        text.sample(checks, &[("result", "failed")], self.checks_failed);
        let exec = "From the begin of a start to its exec, as the daemon hears of it.";
        text.histogram("supervice_exec_seconds", exec, &self.exec);
        text.histogram("supervice_start_seconds", "From the begin of a start to RUNNING.", &self.start);
        let reaction = "From hearing of a death to the child that takes its place, where no backoff lies between.";
        text.histogram("supervice_reaction_seconds", reaction, &self.reaction);
        text.histogram("supervice_stop_seconds", "From the begin of a stop to its end.", &self.stop);
        let turn = "How long the daemon was at work before it listened again.";
        text.histogram("supervice_turn_seconds", turn, &self.turn);
    }
}

impl Daemon {
    /// `metrics`: every number there is.
    pub(super) fn metrics(&mut self, conn: Key, id: Option<&Id>) {
        let few = self.roster.in_order().len() <= SERIES_MAX;
        let text = self.exposition(few);
        // Long names may be too much for one frame all the same.
        let text = if few && !Reply::fits(&text) { self.exposition(false) } else { text };
        self.answer_conn(conn, &Reply::Metrics(text), id);
    }

    fn exposition(&self, with_series: bool) -> String {
        let mut text = Exposition::default();
        self.tell_self(&mut text);
        self.tell_states(&mut text);
        self.metrics.tell(&mut text);
        let omitted = "1 if there are too many processes for series of their own.";
        text.single("supervice_process_series_omitted", Kind::Gauge, omitted, u8::from(!with_series));
        if with_series {
            self.tell_processes(&mut text);
        }
        text.into_text()
    }

    fn tell_self(&self, text: &mut Exposition) {
        let version = "supervice_build_info";
        text.family(version, Kind::Gauge, "The version of the daemon.");
        text.sample(version, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let since = unix_seconds(clock::monotonic().since(self.born));
        text.single("supervice_start_time_seconds", Kind::Gauge, "When the daemon began.", since);
        if let Some(bytes) = usage::own_resident() {
            text.single("supervice_resident_memory_bytes", Kind::Gauge, "Resident memory of the daemon.", bytes);
        }
        if let Ok(cpu) = usage::own_cpu() {
            let help = "Processor time of the daemon.";
            text.single("supervice_cpu_seconds_total", Kind::Counter, help, cpu.as_secs_f64());
        }
        let open = self.connections.len();
        text.single("supervice_connections", Kind::Gauge, "Open control connections.", open);
        let counters = [
            ("supervice_connections_evicted_total", "Control connections that were closed.", self.connections.evicted),
            ("supervice_stale_events_total", "Wake-ups for somebody who was gone.", self.stale_events),
            ("supervice_output_dropped_bytes_total", "Output without a place.", self.streams.dropped_in_all()),
            ("supervice_events_total", "Events that were numbered.", self.events.count()),
        ];
        for (name, help, value) in counters {
            text.single(name, Kind::Counter, help, value);
        }
    }

    fn tell_states(&self, text: &mut Exposition) {
        let name = "supervice_processes";
        text.family(name, Kind::Gauge, "Processes by state.");
        let mut counts = [0usize; State::ALL.len()];
        for &id in self.roster.in_order() {
            let Some(state) = self.engine.instance(id).map(|instance| instance.state()) else { continue };
            counts[state as usize] += 1;
        }
        for state in State::ALL {
            text.sample(name, &[("state", state.name())], counts[state as usize]);
        }
    }

    fn tell_processes(&self, text: &mut Exposition) {
        let none = Tally::default();
        let tally = |id| self.metrics.of.get(id).unwrap_or(&none);
        let run = |id| self.engine.instance(id).and_then(|instance| instance.run()).filter(|run| run.pid.is_some());
        let state = |id| self.engine.instance(id).map(|instance| instance.state());
        let is_up = |id| u8::from(matches!(state(id), Some(State::Running | State::Unhealthy)));
        let up = "1 if the process is RUNNING or UNHEALTHY.";
        self.series(text, "supervice_process_up", Kind::Gauge, up, |id| Some(is_up(id).to_string()));
        let healthy = |id| self.engine.instance(id).filter(|_| run(id).is_some())?.healthy();
        let help = "1 if its health checks pass, 0 if they fail; absent without a verdict.";
        self.series(text, "supervice_process_healthy", Kind::Gauge, help, |id| {
            Some(u8::from(healthy(id)?).to_string())
        });
        let since = |id| Some(unix_seconds(self.now.since(run(id)?.since)).to_string());
        let help = "When the process was started; absent while it is down.";
        self.series(text, "supervice_process_start_time_seconds", Kind::Gauge, help, since);
        let starts = |id| Some(tally(id).starts.to_string());
        self.series(text, "supervice_process_starts_total", Kind::Counter, "Children made for it.", starts);
        let exits = |id| Some(tally(id).exits_unasked.to_string());
        self.series(text, "supervice_process_unasked_exits_total", Kind::Counter, "Ends nobody asked for.", exits);
        let dropped = |id| Some(self.streams.dropped(id).unwrap_or_default().to_string());
        let help = "Its output that found no place.";
        self.series(text, "supervice_process_output_dropped_bytes_total", Kind::Counter, help, dropped);
    }

    fn series(
        &self,
        text: &mut Exposition,
        name: &str,
        kind: Kind,
        help: &str,
        value: impl Fn(InstanceId) -> Option<String>,
    ) {
        text.family(name, kind, help);
        for &id in self.roster.in_order() {
            // One that is leaving may bear the name of one that came.
            let Some(entry) = self.roster.entry(id).filter(|entry| !entry.leaving) else { continue };
            if let Some(value) = value(id) {
                text.sample(name, &[("name", &entry.spec.name), ("group", &entry.spec.group)], value);
            }
        }
    }
}

/// The moment so long ago, in seconds since 1970.
fn unix_seconds(ago: Duration) -> f64 {
    let now = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Milliseconds are all that it is good for.
    (now.saturating_sub(ago).as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_is_forgotten_after_a_while_but_for_the_longest_ever() {
        let mut lag = Lag::default();
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        lag.note(Duration::from_millis(5), at(100));
        lag.note(Duration::from_millis(1), at(159));
        assert_eq!(lag.recent(), Duration::from_millis(5));
        lag.note(Duration::from_millis(2), at(170));
        assert_eq!(lag.recent(), Duration::from_millis(5));
        lag.note(Duration::from_millis(1), at(231));
        assert_eq!(lag.recent(), Duration::from_millis(2));
        lag.note(Duration::from_millis(1), at(500));
        assert_eq!((lag.recent(), lag.longest), (Duration::from_millis(1), Duration::from_millis(5)));
    }
}
