//! What is known of the streams of a run beyond their bytes: how many there were, and whether they found their place.

use super::{Stream, Streams, Which};
use crate::daemon::Daemon;
use crate::engine::id::{InstanceId, Key};
use crate::engine::time::Instant;
use crate::logs::sinks::SinkId;
use crate::reactor::output::OUTPUT_BUDGET;
use crate::sys::clock;

/// Servings of a dead program's pipe: as many as the largest pipe takes, whoever writes on.
const LAST_ROUNDS: usize = 8;

/// The streams of the run an instance had last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    /// Those that are open.
    pub(super) open: [Option<Key>; 2],
    /// What of those that are not is in their logs.
    written: [u64; 2],
}

/// A stream that began to lose what it brings, or that does not any more.
#[derive(Debug, Clone, Copy)]
pub(in crate::daemon) struct Turn {
    /// Of whom.
    pub(in crate::daemon) instance: InstanceId,
    /// Which.
    pub(in crate::daemon) which: Which,
    /// `None`: it began; else how many bytes it was.
    pub(in crate::daemon) lost: Option<u64>,
}

impl Streams {
    /// Drops what is known of an instance that the engine let go; its streams go when they end.
    pub(in crate::daemon) fn forget(&mut self, id: InstanceId) {
        self.last.remove(id);
        self.carried.remove(&id);
    }

    /// How many bytes of the last run of an instance found their place, and where they go if that is still open.
    pub(in crate::daemon) fn written_by(&self, id: InstanceId, which: Which) -> (u64, Option<SinkId>) {
        let Some(last) = self.last.get(id) else { return (0, None) };
        match last.open[which as usize].and_then(|key| self.table.get(key)) {
            Some(stream) => (stream.written, Some(stream.sink)),
            None => (last.written[which as usize], None),
        }
    }

    /// The begin of a line that waits for its end, and is in no log yet.
    pub(in crate::daemon) fn begun_by(&self, id: InstanceId, which: Which) -> &[u8] {
        let key = self.last.get(id).and_then(|last| last.open[which as usize]);
        let lines = key.and_then(|key| self.table.get(key)).and_then(|stream| stream.lines.as_ref());
        lines.map_or(&[], |lines| lines.begun())
    }

    /// Streams that began to lose what they bring, and those that do not any more, since the last call.
    pub(in crate::daemon) fn take_turns(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.turns)
    }

    /// A line that was begun goes out: its end does not come any more.
    pub(super) fn finish_lines(&mut self, key: Key, now: Instant) {
        let Some(stream) = self.table.get_mut(key) else { return };
        let mut rest = Vec::new();
        if let Some(lines) = &mut stream.lines {
            lines.finish(&clock::rfc3339(clock::wall()), &mut rest);
        }
        if !rest.is_empty() {
            let written = self.sinks.write(stream.sink, &rest, now);
            stream.written += rest.len().saturating_sub(written.dropped) as u64;
            *self.dropped.entry(stream.output.instance).or_default() += written.dropped as u64;
        }
    }

    /// A stream is over; how much it was is still asked for.
    pub(super) fn note_end(&mut self, key: Key, stream: &Stream) {
        let which = stream.which as usize;
        let last = self.last.get_mut(stream.output.instance).filter(|last| last.open[which] == Some(key));
        if let Some(last) = last {
            last.open[which] = None;
            last.written[which] = stream.written;
        }
    }
}

impl Stream {
    /// What to tell after a serving that lost so much.
    pub(super) fn note_loss(&mut self, lost: u64) -> Option<Turn> {
        let told = Turn { instance: self.output.instance, which: self.which, lost: None };
        match (self.losing, lost) {
            (None, 0) => None,
            (None, _) => {
                self.losing = Some(lost);
                Some(told)
            }
            // A serving that brought nothing shows nothing.
            (Some(before), 0) if self.output.moved > 0 => {
                self.losing = None;
                Some(Turn { lost: Some(before), ..told })
            }
            (Some(before), _) => {
                self.losing = Some(before + lost);
                None
            }
        }
    }
}

impl Daemon {
    /// Reads what lies in the pipes of an instance whose program is dead, so that its logs are complete.
    pub(in crate::daemon) fn empty_pipes(&mut self, id: InstanceId) {
        let open = self.streams.last.get(id).map_or([None; 2], |last| last.open);
        for key in open.into_iter().flatten() {
            if let Some(stream) = self.streams.table.get_mut(key) {
                stream.output.mark(false);
            }
            for _ in 0..LAST_ROUNDS {
                if self.serve_stream(key, OUTPUT_BUDGET) < OUTPUT_BUDGET {
                    break;
                }
            }
        }
    }
}
