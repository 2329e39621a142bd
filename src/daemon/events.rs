//! What happened to all processes, numbered and for a while: the answer to `events`, and whoever follows it.
//!
//! A follower is a number, the next one it is to be told; nothing is kept for it. One that does not keep up is told how
//! many it missed.

use super::Daemon;
use super::moment::Moment;
use super::report;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Event, Pid, State};
use crate::spec::InstanceSpec;
use crate::sys::clock;
use crate::wire::occurrence::{EventPiece, EventQuery, Occurrence};
use crate::wire::request::Id;
use crate::wire::text;
use std::collections::VecDeque;
use std::num::NonZeroI32;
use std::rc::Rc;

/// Events that are kept; the oldest go first.
const KEPT: usize = 4096;

/// The weight of one piece for a follower, and of an answer.
const PIECE: usize = 256 << 10;

/// All events that are kept.
#[derive(Debug, Default)]
pub(super) struct Events {
    kept: VecDeque<Kept>,
    /// The number of the newest.
    last: u64,
}

/// Somebody who is told of events as they come.
#[derive(Debug)]
pub(super) struct Listening {
    next: u64,
    /// Of the request; what is sent carries it back.
    pub(super) id: Option<Id>,
}

#[derive(Debug)]
struct Kept {
    at: Moment,
    spec: Rc<InstanceSpec>,
    what: What,
    pid: Option<NonZeroI32>,
    /// Boxed twice: most have none, and thousands are kept.
    message: Option<Box<Box<str>>>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Spawned,
    State { from: State, to: State },
    Passed,
    Failed { failures: u32 },
}

impl Events {
    /// So many happened since the daemon began.
    pub(super) fn count(&self) -> u64 {
        self.last
    }

    fn add(&mut self, event: Kept) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
        self.last += 1;
    }

    /// The number of the oldest that is kept, or of the next.
    fn first(&self) -> u64 {
        self.last - self.kept.len() as u64 + 1
    }

    /// Those from a number on, as many as fit into one piece.
    fn piece(&self, from: u64) -> EventPiece {
        let first = self.first().max(from);
        let skipped = usize::try_from(first - self.first()).unwrap_or(usize::MAX);
        let mut events = Vec::new();
        let mut weight = 0;
        for (number, kept) in (first..).zip(self.kept.iter().skip(skipped)) {
            let event = kept.told(number);
            weight += event.weight();
            if weight > PIECE && !events.is_empty() {
                break;
            }
            events.push(event);
        }
        let last = first + events.len() as u64 - 1;
        EventPiece { events, last, missed: first - from, truncated: last < self.last, ..EventPiece::default() }
    }
}

impl Kept {
    fn told(&self, number: u64) -> Occurrence {
        let (event, from_state, failures) = match self.what {
            What::Spawned => ("PROCESS_SPAWNED".to_owned(), None, None),
            What::State { from, to } => (format!("PROCESS_STATE_{}", to.name()), Some(from.name().to_owned()), None),
            What::Passed => ("HEALTHCHECK_PASSED".to_owned(), None, None),
            What::Failed { failures } => ("HEALTHCHECK_FAILED".to_owned(), None, Some(failures)),
        };
        Occurrence {
            number,
            at: clock::local_timestamp(self.at.time()),
            unix_ms: self.at.0,
            event,
            processname: self.spec.name.to_string(),
            groupname: self.spec.group.to_string(),
            from_state,
            pid: self.pid.map(NonZeroI32::get),
            message: self.message.as_deref().map(|message| message.to_string()),
            failures,
        }
    }
}

impl Daemon {
    /// Keeps an event that others are told of.
    pub(super) fn note_event(&mut self, event: &Event) {
        let (id, what, pid, message) = match *event {
            Event::Spawned { run, pid } => (run.instance, What::Spawned, Some(pid), None),
            Event::StateChanged { instance, from, to, pid, cause, .. } => {
                let why = cause.map(|cause| report::cause_text(cause, instance, &self.roster));
                (instance, What::State { from, to }, pid, why)
            }
            Event::ProbePassed { probe, .. } => {
                let (pid, message) = self.checked(probe.run.instance);
                (probe.run.instance, What::Passed, pid, message)
            }
            Event::ProbeFailed { probe, failures, .. } => {
                let (pid, message) = self.checked(probe.run.instance);
                (probe.run.instance, What::Failed { failures }, pid, message)
            }
            Event::Exited { .. }
            | Event::SpawnFailed { .. }
            | Event::StopTimedOut { .. }
            | Event::Unkillable { .. }
            | Event::NotReadyYet { .. }
            | Event::ReadyTimedOut { .. }
            | Event::WatchdogMissed { .. }
            | Event::HealthRestart { .. } => return,
        };
        let Some(entry) = self.roster.entry(id) else { return };
        let message = message.map(|message| Box::new(text::echoed(&message).into()));
        let (at, pid) = (Moment::of(clock::wall()), pid.and_then(NonZeroI32::new));
        self.events.add(Kept { at, what, spec: Rc::clone(&entry.spec), pid, message });
    }

    fn checked(&self, id: InstanceId) -> (Option<Pid>, Option<String>) {
        let pid = self.engine.instance(id).and_then(|instance| instance.run()).and_then(|run| run.pid);
        (pid, self.probes.record(id).map(|record| record.message.clone()))
    }

    /// `events`: those that are kept, and those that come.
    pub(super) fn events_asked(&mut self, conn: Key, id: Option<Id>, query: EventQuery) {
        let last = self.events.last;
        let restarted = query.since.is_some_and(|since| since > last);
        let from = match query.since {
            Some(since) if !restarted => since + 1,
            Some(_) => self.events.first(),
            None if query.follow => last + 1,
            None => self.events.first(),
        };
        let piece = EventPiece { is_answer: true, restarted, ..self.events.piece(from) };
        let next = piece.last + 1;
        self.send_events(conn, &piece, id.as_ref());
        if query.follow {
            self.connections.listen(conn, Listening { next, id });
        }
    }

    /// The next piece for somebody who listens and has taken everything; false if there is none.
    pub(super) fn send_next_events(&mut self, conn: Key) -> bool {
        let Some(listening) = self.connections.listening(conn) else { return false };
        if listening.next > self.events.last {
            return false;
        }
        let piece = EventPiece { truncated: false, ..self.events.piece(listening.next) };
        listening.next = piece.last + 1;
        let id = listening.id.clone();
        self.send_events(conn, &piece, id.as_ref());
        true
    }

    /// Whether there is something to tell somebody who listens.
    pub(super) fn has_events_for(&mut self, conn: Key) -> bool {
        let last = self.events.last;
        self.connections.listening(conn).is_some_and(|listening| listening.next <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    fn events(count: u64) -> Events {
        let config = config::parse(b"[program:a]\ncommand = x\n", Path::new("/")).unwrap();
        let spec = Rc::new(config.instances[0].clone());
        let mut events = Events::default();
        for _ in 0..count {
            let what = What::Failed { failures: 1 };
            let spec = Rc::clone(&spec);
            events.add(Kept { at: Moment(0), what, spec, pid: None, message: Some(Box::new("m".repeat(200).into())) });
        }
        events
    }

    #[test]
    fn pieces_cover_everything_once() {
        let events = events(4000);
        let (mut next, mut pieces) = (1, 0);
        loop {
            let piece = events.piece(next);
            assert_eq!((piece.missed, piece.events[0].number), (0, next));
            assert_eq!(piece.last, piece.events.last().unwrap().number);
            (next, pieces) = (piece.last + 1, pieces + 1);
            if !piece.truncated {
                break;
            }
        }
        assert!(next == 4001 && pieces > 1, "{next} {pieces}");
        assert_eq!(events.piece(4001), EventPiece { last: 4000, ..EventPiece::default() });
    }

    #[test]
    fn what_is_not_kept_any_more_is_counted() {
        let events = events(KEPT as u64 + 10);
        assert_eq!((events.kept.len(), events.first()), (KEPT, 11));
        let piece = events.piece(4);
        assert_eq!((piece.missed, piece.events[0].number), (7, 11));
        assert_eq!(Events::default().piece(1), EventPiece::default());
    }
}
