//! What became of each instance, in order and bounded: the answer to `why`.

use super::Daemon;
use super::report;
use crate::engine::Instance;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Cause, Event, State};
use crate::engine::time::Duration;
use crate::sys::clock;
use crate::wire::history::Happening;
use crate::wire::reload::Changes;
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::Id;
use crate::wire::text;
use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

/// Records of one instance; the oldest go first.
const KEPT: usize = 64;

/// The history of all instances.
#[derive(Debug, Default)]
pub(super) struct History {
    stories: HashMap<InstanceId, Story>,
}

#[derive(Debug, Default)]
struct Story {
    records: VecDeque<Record>,
    /// When the first of the attempts in a row was made.
    began: Option<SystemTime>,
    /// How the last attempt ended.
    ending: Option<Box<str>>,
    /// The last order, and who gave it.
    order: Option<Box<str>>,
}

#[derive(Debug)]
struct Record {
    at: SystemTime,
    event: &'static str,
    text: Box<str>,
}

impl History {
    /// Drops what is known of an instance that the engine let go.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.stories.remove(&id);
    }

    fn add(&mut self, id: InstanceId, event: &'static str, text: &str) -> &mut Story {
        let story = self.stories.entry(id).or_default();
        if story.records.len() == KEPT {
            story.records.pop_front();
        }
        story.records.push_back(Record { at: clock::wall(), event, text: text::echoed(text).into() });
        story
    }
}

impl Daemon {
    /// Keeps what happened to an instance.
    pub(super) fn note_in_history(&mut self, event: &Event) {
        let name_and = |id| format!("{} ", self.roster.name(id));
        match *event {
            Event::Spawned { run, pid } => {
                let story = self.history.add(run.instance, "started", &format!("started (pid {pid})"));
                story.began = story.began.or(Some(clock::wall()));
            }
            Event::Exited { run, status, lived, expected, .. } => {
                let asked = if expected { "" } else { ", unasked" };
                let text = format!("{} after {}{asked}", report::exit_text(status), seconds(lived));
                self.history.add(run.instance, "exited", &text).ending = Some(text.as_str().into());
            }
            Event::SpawnFailed { run, error } => {
                let text = report::cause_text(Cause::Spawn(error), run.instance, &self.roster);
                let text = format!("could not be started: {text}");
                self.history.add(run.instance, "failed", &text).ending = Some(text::echoed(&text).into());
            }
            Event::StateChanged { instance, to, delay, attempts, .. } => {
                self.note_state(instance, to, delay, attempts);
            }
            _ => {
                let Some((id, kind)) = told_as_logged(event) else { return };
                let Some((_, line)) = report::line(event, &self.roster, &self.probes) else { return };
                let name = name_and(id);
                let line = line
                    .strip_prefix(name.trim_end())
                    .map_or(line.as_str(), |rest| rest.trim_start_matches([':', ' ']));
                self.history.add(id, kind, line);
            }
        }
    }

    fn note_state(&mut self, id: InstanceId, to: State, delay: Option<Duration>, attempts: u32) {
        match to {
            State::Running => self.history.add(id, "running", "is RUNNING").began = None,
            State::Backoff => {
                let text = format!("next attempt in {} ({attempts} failed)", seconds(delay.unwrap_or_default()));
                self.history.add(id, "backoff", &text);
            }
            State::Fatal => {
                self.history.add(id, "fatal", &format!("given up after {attempts} failed attempts"));
            }
            State::Unhealthy => {
                self.history.add(id, "unhealthy", "is UNHEALTHY");
            }
            State::Stopped | State::Exited => {
                if let Some(story) = self.history.stories.get_mut(&id) {
                    story.began = None;
                }
            }
            State::Starting | State::Stopping => {}
        }
    }

    /// Keeps who ordered what.
    pub(super) fn note_order(&mut self, conn: Key, what: &str, instances: &[InstanceId]) {
        let text = format!("{what}, asked by {}", self.connections.asker(conn));
        for &id in instances {
            self.history.add(id, "order", &text).order = Some(text.as_str().into());
        }
    }

    /// Keeps whom a reload changed.
    pub(super) fn note_changes(&mut self, changes: &Changes) {
        for effect in &changes.effects {
            let Some(id) = self.roster.by_name(&effect.name) else { continue };
            let text = format!("its configuration changed: {}", super::changes::in_words(effect));
            self.history.add(id, "reload", &text);
        }
    }

    /// `why`: what led here, the sum of it first.
    pub(super) fn why(&mut self, conn: Key, id: Option<&Id>, name: &str) {
        let found = self.roster.by_name(name);
        let Some((instance, of)) = found.and_then(|of| Some((self.engine.instance(of)?, of))) else {
            return self.answer_conn(conn, &Reply::error(ErrorCode::NotFound, "Process not found", None), id);
        };
        let none = Story::default();
        let story = self.history.stories.get(&of).unwrap_or(&none);
        let message = format!("{name} is {}", self.sum_up(instance, story));
        let history = story.records.iter().map(Record::told).collect();
        self.answer_conn(conn, &Reply::History { message, history }, id);
    }

    fn sum_up(&self, instance: &Instance, story: &Story) -> String {
        let state = instance.state();
        let ending = story.ending.as_deref().unwrap_or("nothing is known of its end");
        match state {
            State::Fatal | State::Backoff => {
                let last = story.records.back().map_or(UNIX_EPOCH, |record| record.at);
                let took = story.began.and_then(|began| last.duration_since(began).ok());
                let took = took.map_or_else(String::new, |took| format!(" in {}", seconds(took)));
                let next = instance.retry_at().map(|at| format!("; next attempt in {}", seconds(at.since(self.now))));
                let count = instance.attempts();
                let attempts = if count == 1 { "attempt" } else { "attempts" };
                format!("{state}: {count} {attempts}{took}; last: {ending}{}", next.unwrap_or_default())
            }
            State::Exited => format!("{state}: {ending}"),
            State::Stopped => {
                let why = story.order.as_deref().unwrap_or("nobody started it since the daemon began");
                format!("{state}: {why}")
            }
            State::Starting | State::Running | State::Unhealthy | State::Stopping => {
                let run = instance.run().and_then(|run| Some((run.pid?, run.since)));
                let run = run.map(|(pid, since)| format!(" for {} (pid {pid})", seconds(self.now.since(since))));
                let before = story.ending.as_ref().map(|ending| format!("; before that: {ending}"));
                format!("{state}{}{}", run.unwrap_or_default(), before.unwrap_or_default())
            }
        }
    }
}

impl Record {
    fn told(&self) -> Happening {
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Happening {
            at: clock::local_timestamp(self.at),
            unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            event: self.event.to_owned(),
            text: self.text.to_string(),
        }
    }
}

/// Events that are kept in the words of the log.
fn told_as_logged(event: &Event) -> Option<(InstanceId, &'static str)> {
    match *event {
        Event::StopTimedOut { run } => Some((run.instance, "killed")),
        Event::Unkillable { run } => Some((run.instance, "unkillable")),
        Event::ProbePassed { probe, .. } => Some((probe.run.instance, "healthy")),
        Event::ProbeFailed { probe, .. } => Some((probe.run.instance, "health")),
        Event::HealthRestart { run, .. } => Some((run.instance, "health")),
        Event::ReadyTimedOut { run } => Some((run.instance, "unready")),
        Event::WatchdogMissed { run } => Some((run.instance, "watchdog")),
        _ => None,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
