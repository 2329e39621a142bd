//! What became of each instance, in order and bounded: the answer to `why`.

mod record;

use super::Daemon;
use super::beside::Beside;
use super::moment::Moment;
use super::recorder::{Recording, RecordingId};
use super::report;
use super::streams::Turn;
use crate::engine::Instance;
use crate::engine::id::{InstanceId, Key, RunId};
use crate::engine::message::{Cause, Event, State};
use crate::engine::time::Duration;
use crate::sys::clock;
use crate::wire::history::Entry;
use crate::wire::reload::Changes;
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::Id;
use crate::wire::text;
pub(super) use record::Record;
use record::What;
use std::collections::VecDeque;

/// Records of one instance; the oldest go first.
const KEPT: usize = 64;

/// Recordings of one instance; the oldest go first.
const RECORDINGS_KEPT: usize = 8;

/// The history of all instances.
#[derive(Debug, Default)]
pub(super) struct History {
    stories: Beside<Story>,
}

#[derive(Debug, Default)]
struct Story {
    records: VecDeque<Record>,
    /// When the first of the attempts in a row was made.
    began: Option<Moment>,
    /// Of most there is nothing of it.
    more: Option<Box<More>>,
}

/// What is told of those that were ordered about, or ended.
#[derive(Debug, Default)]
struct More {
    /// How the last attempt ended.
    ending: Option<Box<str>>,
    /// The last line that it wrote before.
    last_line: Option<Box<str>>,
    /// The last order, and who gave it.
    order: Option<Box<str>>,
    /// All of it happened under an earlier daemon.
    recalled: bool,
}

impl Story {
    /// How it last came to be down.
    fn last_ending(&self) -> Option<&Record> {
        self.records.iter().rev().find(|record| matches!(record.event(), "exited" | "failed"))
    }

    fn could_not_start(&self) -> bool {
        self.last_ending().is_some_and(|record| record.event() == "failed")
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

impl History {
    /// Adds a record; the recordings that have to go for it.
    fn add(&mut self, id: InstanceId, record: Record) -> Vec<RecordingId> {
        let story = self.stories.entry(id);
        let mut gone = Vec::new();
        if story.records.len() == KEPT {
            gone.extend(story.records.pop_front().and_then(|oldest| oldest.recording));
        }
        if record.recording.is_some() {
            let recordings = story.records.iter().rev().filter_map(|record| record.recording);
            gone.extend(recordings.skip(RECORDINGS_KEPT - 1));
        }
        if story.records.is_empty() {
            // Most have little to tell: that they were started, and that they run.
            story.records.reserve_exact(2);
        }
        story.records.push_back(record);
        gone
    }

    fn story(&mut self, id: InstanceId) -> &mut Story {
        self.stories.entry(id)
    }
}

impl Daemon {
    /// Makes the room for what happens to each, all of it together.
    pub(super) fn prepare_history(&mut self) {
        for &id in self.roster.in_order() {
            self.history.story(id).records.reserve_exact(2);
        }
    }

    /// Keeps what happened to an instance.
    pub(super) fn note_in_history(&mut self, event: &Event) {
        let name_and = |id| format!("{} ", self.roster.name(id));
        match *event {
            Event::Spawned { run, pid } => {
                self.chronicle_what(run.instance, What::Started(pid), None);
                let story = self.history.story(run.instance);
                story.began = story.began.or(Some(Moment::of(clock::wall())));
            }
            Event::Exited { run, status, lived, asked, .. } => {
                let text = format!("{} after {}", report::exit_text(status), seconds(lived));
                self.note_exit(run, &text, asked);
            }
            Event::SpawnFailed { run, error } => {
                let text = report::cause_text(Cause::Spawn(error), run.instance, &self.roster);
                let text = format!("could not be started: {text}");
                self.chronicle(run.instance, "failed", &text);
                let more = self.history.story(run.instance).more();
                (more.ending, more.last_line) = (Some(text::echoed(&text).into()), None);
            }
            Event::StateChanged { instance, to, delay, attempts, .. } => {
                self.note_state(instance, to, delay, attempts);
            }
            // The log counts on beyond the limit as it ever did; here it would read as a fraction.
            Event::ProbeFailed { probe, failures, retries, .. } if failures > retries => {
                let id = probe.run.instance;
                let message = self.probes.record(id).map_or("", |record| &record.message);
                let text = format!("health check failed {failures} times in a row, limit {retries}: {message}");
                self.chronicle(id, "health", &text);
            }
            _ => {
                let Some((id, kind)) = told_as_logged(event) else { return };
                let Some((_, line)) = report::line(event, &self.roster, &self.probes) else { return };
                let name = name_and(id);
                let line = line
                    .strip_prefix(name.trim_end())
                    .map_or(line.as_str(), |rest| rest.trim_start_matches([':', ' ']));
                self.chronicle(id, kind, line);
            }
        }
    }

    /// Adds a record, here and on the disk.
    fn chronicle(&mut self, id: InstanceId, event: &'static str, text: &str) {
        self.chronicle_what(id, What::told(event, text), None);
    }

    fn chronicle_what(&mut self, id: InstanceId, what: What, recording: Option<RecordingId>) {
        // A stream may outlive its instance.
        if self.roster.entry(id).is_none() {
            return;
        }
        let story = self.history.story(id);
        if story.more.as_mut().is_some_and(|more| std::mem::take(&mut more.recalled)) {
            self.chronicle(id, "daemon", &format!("supervice was started anew (pid {})", std::process::id()));
        }
        let record = Record { at: Moment::of(clock::wall()), what, recording };
        self.put_down(id, &record);
        for gone in self.history.add(id, record) {
            self.recorder.drop(gone);
        }
    }

    /// A death that nobody wanted comes with what was written last; that one was hanging makes it no less unwanted.
    fn note_exit(&mut self, run: RunId, text: &str, asked: bool) {
        let id = run.instance;
        let state = self.engine.instance(id).map(Instance::state);
        let is_wanted = asked && !matches!(state, Some(State::Backoff | State::Fatal));
        let recording = if is_wanted { None } else { self.record_flight(run) };
        let last_line = recording.as_ref().and_then(Recording::last_line);
        let recording = recording.map(|recording| self.recorder.keep(recording));
        let text = format!("{text}{}", if asked { "" } else { ", unasked" });
        self.chronicle_what(id, What::told("exited", &text), recording);
        let more = self.history.story(id).more();
        more.ending = Some(text.into());
        more.last_line = last_line.map(Into::into);
    }

    /// Drops what is known of an instance that the engine let go.
    pub(super) fn forget_history(&mut self, id: InstanceId) {
        let Some(story) = self.history.stories.remove(id) else { return };
        for recording in story.records.iter().filter_map(|record| record.recording) {
            self.recorder.drop(recording);
        }
    }

    /// Takes up a record that an earlier daemon put down.
    pub(super) fn recall_one(&mut self, id: InstanceId, entry: &Entry<'_>) {
        let recording = (!entry.output.is_empty()).then(|| Recording::of_told(&entry.output));
        let last_line = recording.as_ref().and_then(Recording::last_line);
        let recording = recording.map(|recording| self.recorder.keep(recording));
        let more = self.history.story(id).more();
        more.recalled = true;
        match entry.event.as_ref() {
            "exited" | "failed" => {
                (more.ending, more.last_line) = (Some(text::echoed(&entry.text).into()), last_line.map(Into::into));
            }
            "order" => more.order = Some(text::echoed(&entry.text).into()),
            _ => {}
        }
        let what = What::recalled(&entry.event, &entry.text);
        let record = Record { at: Moment(entry.unix_ms), what, recording };
        for gone in self.history.add(id, record) {
            self.recorder.drop(gone);
        }
    }

    /// Output began to find no place in its log, or does so again.
    pub(super) fn note_losses(&mut self) {
        for Turn { instance, which, lost } in self.streams.take_turns() {
            let text = match lost {
                None => format!("{} cannot be written to its log: output is being lost", which.name()),
                Some(bytes) => format!("{} is written to its log again; {bytes} bytes were lost", which.name()),
            };
            self.chronicle(instance, "loss", &text);
        }
    }

    fn note_state(&mut self, id: InstanceId, to: State, delay: Option<Duration>, attempts: u32) {
        match to {
            State::Running => {
                self.chronicle_what(id, What::Running, None);
                self.history.story(id).began = None;
            }
            State::Backoff => {
                let failed = if attempts > 0 { format!(" ({attempts} failed)") } else { String::new() };
                let text = format!("next attempt in {}{failed}", seconds(delay.unwrap_or_default()));
                self.chronicle(id, "backoff", &text);
            }
            State::Fatal => {
                let could_not_start = self.history.stories.get(id).is_some_and(Story::could_not_start);
                let text = match attempts {
                    0 if could_not_start => "given up: it cannot be started as it is configured".to_owned(),
                    0 => "given up: restarted too often for its health".to_owned(),
                    1 => "given up after 1 failed attempt".to_owned(),
                    _ => format!("given up after {attempts} failed attempts"),
                };
                self.chronicle(id, "fatal", &text);
            }
            State::Unhealthy => {
                self.chronicle(id, "unhealthy", "is UNHEALTHY");
            }
            State::Stopped | State::Exited => {
                if let Some(story) = self.history.stories.get_mut(id) {
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
            self.metrics.note_order(id);
            self.chronicle(id, "order", &text);
            let story = self.history.story(id);
            story.more().order = Some(text.as_str().into());
            if matches!(what, "start" | "restart" | "update") {
                story.began = None;
            }
        }
    }

    /// Keeps whom a reload changed, and who asked for it.
    pub(super) fn note_changes(&mut self, changes: &Changes, who: &str) {
        for effect in &changes.effects {
            let Some(id) = self.roster.by_name(&effect.name) else { continue };
            let text = format!("its configuration changed, asked by {who}: {}", super::changes::in_words(effect));
            self.chronicle(id, "reload", &text);
        }
    }

    /// `why`: what led here, the sum of it first.
    pub(super) fn why(&mut self, conn: Key, id: Option<&Id>, name: &str) {
        let found = self.roster.find(name);
        let Some((instance, of)) = found.and_then(|of| Some((self.engine.instance(of)?, of))) else {
            return self.answer_conn(conn, &Reply::error(ErrorCode::NotFound, "Process not found", None), id);
        };
        let none = Story::default();
        let story = self.history.stories.get(of).unwrap_or(&none);
        let message = format!("{name} is {}", self.sum_up(instance, story));
        let told = |record: &Record| record.told(self.recorder.told(record.recording));
        let history = story.records.iter().map(told).collect();
        self.answer_conn(conn, &Reply::History { message, history }, id);
    }

    fn sum_up(&self, instance: &Instance, story: &Story) -> String {
        let state = instance.state();
        let none = More::default();
        let more = story.more.as_deref().unwrap_or(&none);
        let ending = more.ending.as_deref().unwrap_or("nothing is known of its end");
        let words = more.last_line.as_ref().map_or_else(String::new, |line| format!("; {line}"));
        match state {
            State::Fatal | State::Backoff => {
                let last = story.last_ending().map_or(Moment(0), |record| record.at);
                let took = story.began.filter(|_| instance.attempts() > 0).and_then(|began| last.since(began));
                let took = took.map_or_else(String::new, |took| format!(" in {}", seconds(took)));
                let next = instance.retry_at().map(|at| format!("; next attempt in {}", seconds(at.since(self.now))));
                let count = instance.attempts();
                let attempts = match (count, state) {
                    (0, State::Fatal) if story.could_not_start() => {
                        "it cannot be started as it is configured".to_owned()
                    }
                    (0, State::Fatal) => "restarted too often for its health".to_owned(),
                    (0, _) => "to be started again".to_owned(),
                    (1, _) => "1 attempt".to_owned(),
                    _ => format!("{count} attempts"),
                };
                format!("{state}: {attempts}{took}; last: {ending}{words}{}", next.unwrap_or_default())
            }
            State::Exited => format!("{state}: {ending}{words}"),
            State::Stopped => {
                // What an earlier daemon was told says nothing about this one.
                let why = more.order.as_deref().filter(|_| !more.recalled);
                let before = more.ending.as_ref().filter(|_| more.recalled);
                let before = before.map(|ending| format!("; before that: {ending}{words}")).unwrap_or_default();
                format!("{state}: {}{before}", why.unwrap_or("nobody started it since the daemon began"))
            }
            State::Starting | State::Running | State::Unhealthy | State::Stopping => {
                let run = instance.run().and_then(|run| Some((run.pid?, run.since)));
                let run = run.map(|(pid, since)| format!(" for {} (pid {pid})", seconds(self.now.since(since))));
                let before = more.ending.as_ref().map(|ending| format!("; before that: {ending}{words}"));
                format!("{state}{}{}", run.unwrap_or_default(), before.unwrap_or_default())
            }
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
        Event::ReadyTimedOut { run, .. } => Some((run.instance, "unready")),
        Event::WatchdogMissed { run } => Some((run.instance, "watchdog")),
        _ => None,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
