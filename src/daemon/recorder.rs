//! The flight recorder: what a program wrote last, read back from its logs at the moment it is known to be dead.
//!
//! Nothing is kept for the living. Where there is no log to read back, that is what is kept.

use super::Daemon;
use super::readers::{NoLog, tail_of};
use super::streams::log_of;
use crate::engine::id::{InstanceId, RunId};
use crate::spec::{InstanceSpec, LogTarget};
use crate::wire::history::LastWords;
use crate::wire::text;
use crate::wire::{Stream, TailQuery};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// Bytes of each stream.
const LAST: u64 = 4096;

/// Bytes of all recordings; the oldest go first.
const BYTES_MAX: usize = 8 << 20;

const GONE: &str = "is not kept any more";
const SHARED: &str = "goes where stdout goes";

/// The name of one recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordingId(NonZeroU64);

/// All recordings.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    kept: BTreeMap<RecordingId, Recording>,
    last: Option<NonZeroU64>,
    bytes: usize,
}

/// What a dead program wrote last.
#[derive(Debug)]
pub(super) struct Recording {
    stdout: Strip,
    stderr: Strip,
}

#[derive(Debug)]
enum Strip {
    Bytes(Box<[u8]>),
    None(Box<str>),
}

impl Recorder {
    /// Keeps a recording, and lets go of the oldest where there is no room.
    pub(super) fn keep(&mut self, recording: Recording) -> RecordingId {
        let number = self.last.map_or(NonZeroU64::MIN, |last| last.saturating_add(1));
        self.last = Some(number);
        let id = RecordingId(number);
        self.bytes += recording.size();
        self.kept.insert(id, recording);
        while self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.kept.pop_first() else { break };
            self.bytes -= oldest.size();
        }
        id
    }

    /// Lets go of a recording.
    pub(super) fn drop(&mut self, id: RecordingId) {
        if let Some(recording) = self.kept.remove(&id) {
            self.bytes -= recording.size();
        }
    }

    /// A recording as it is told; one that had to go says so.
    pub(super) fn told(&self, id: Option<RecordingId>) -> Vec<LastWords> {
        let Some(id) = id else { return Vec::new() };
        let both = [Stream::Stdout, Stream::Stderr].into_iter();
        match self.kept.get(&id) {
            None => both.map(|which| LastWords::none_of(which.name(), GONE)).collect(),
            Some(recording) => both.map(|which| recording.strip(which).told(which)).collect(),
        }
    }
}

impl Recording {
    /// One that was told before.
    pub(super) fn of_told(told: &[LastWords]) -> Recording {
        let strip = |which: Stream| {
            let words = told.iter().find(|words| words.stream == which.name());
            match words.map(|words| (words.bytes(), words.note.as_deref())) {
                Some((Some(bytes), _)) => Strip::Bytes(bytes.into_iter().take(LAST as usize).collect()),
                Some((None, Some(note))) => Strip::None(text::echoed(note).into()),
                Some((None, None)) | None => Strip::None(GONE.into()),
            }
        };
        Recording { stdout: strip(Stream::Stdout), stderr: strip(Stream::Stderr) }
    }

    /// The last line that says something, of stderr if that has one: `stderr: "no such table"`.
    pub(super) fn last_line(&self) -> Option<String> {
        [Stream::Stderr, Stream::Stdout].into_iter().find_map(|which| {
            let Strip::Bytes(bytes) = self.strip(which) else { return None };
            let bytes = String::from_utf8_lossy(bytes);
            let line = bytes.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
            Some(format!("{}: \"{}\"", which.name(), text::echoed(line)))
        })
    }

    fn strip(&self, which: Stream) -> &Strip {
        match which {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    fn size(&self) -> usize {
        [&self.stdout, &self.stderr].into_iter().map(Strip::size).sum::<usize>() + size_of::<Recording>()
    }
}

impl Strip {
    fn size(&self) -> usize {
        match self {
            Strip::Bytes(bytes) => bytes.len(),
            Strip::None(note) => note.len(),
        }
    }

    fn told(&self, which: Stream) -> LastWords {
        match self {
            Strip::Bytes(bytes) => LastWords::bytes_of(which.name(), bytes),
            Strip::None(note) => LastWords::none_of(which.name(), note),
        }
    }
}

impl Daemon {
    /// Reads back what the run that just ended wrote last. What still lies in its pipes goes into the logs first.
    pub(super) fn record_flight(&mut self, run: RunId) -> Option<Recording> {
        let id = run.instance;
        // A reload may have given the next run other logs: this one's are those that it was started with.
        let begun_with = self.children.trace_of(run).map(|trace| &trace.spec);
        let spec = std::rc::Rc::clone(begun_with.or(self.roster.entry(id).map(|entry| &entry.spec))?);
        self.empty_pipes(id);
        Some(Recording {
            stdout: self.last_of(id, &spec, Stream::Stdout),
            stderr: self.last_of(id, &spec, Stream::Stderr),
        })
    }

    /// At most as many bytes as this run wrote, so that the words of an earlier one are not taken for its own.
    fn last_of(&mut self, id: InstanceId, spec: &InstanceSpec, which: Stream) -> Strip {
        let (written, sink) = self.streams.written_by(id, which);
        if sink.is_none() && log_of(spec, which).target == LogTarget::SameAsStdout {
            return Strip::None(SHARED.into());
        }
        let query = TailQuery { bytes: Some(written.min(LAST)), lines: None, follow: false };
        let open = sink.and_then(|sink| self.streams.sinks_mut().file_mut(sink)).map(|file| tail_of(file, query));
        let read = match open {
            Some(read) => read.map_err(NoLog::from),
            None => self.read_end(spec, which, query).map(|(tail, _)| tail),
        };
        match read {
            // A descendant may hold the pipe, so that the end of the last line is still waited for.
            Ok(tail) => Strip::Bytes(last_bytes(tail.bytes, self.streams.begun_by(id, which))),
            Err(NoLog::Elsewhere(why)) => Strip::None(why.into()),
            Err(NoLog::Unreadable(error)) => Strip::None(text::echoed(&format!("cannot be read: {error}")).into()),
        }
    }
}

fn last_bytes(mut logged: Vec<u8>, begun: &[u8]) -> Box<[u8]> {
    logged.extend_from_slice(begun);
    let beyond = logged.len().saturating_sub(LAST as usize);
    logged.drain(..beyond);
    logged.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(stdout: &[u8], stderr: Option<&[u8]>) -> Recording {
        let stderr = stderr.map_or_else(|| Strip::None(SHARED.into()), |bytes| Strip::Bytes(bytes.into()));
        Recording { stdout: Strip::Bytes(stdout.into()), stderr }
    }

    #[test]
    fn the_last_line_that_says_something_is_quoted() {
        let line = |stdout: &str, stderr| recording(stdout.as_bytes(), stderr).last_line();
        assert_eq!(line("a\n", Some(b"b\n c \n\n")).as_deref(), Some("stderr: \"c\""));
        assert_eq!(line("a\x1b\n", Some(b" \n")).as_deref(), Some("stdout: \"a\\x1b\""));
        assert_eq!(line("a", None).as_deref(), Some("stdout: \"a\""));
        assert_eq!(line("", None), None);
    }

    #[test]
    fn recordings_are_bounded_and_those_that_went_say_so() {
        let mut recorder = Recorder::default();
        let ids: Vec<_> = (0..5000).map(|_| recorder.keep(recording(&[b'x'; 4096], Some(&[0xff; 4096])))).collect();
        assert!(recorder.bytes <= BYTES_MAX && recorder.kept.len() > 1000);
        assert_eq!(recorder.told(Some(ids[0]))[1], LastWords::none_of("stderr", GONE));
        assert_eq!(recorder.told(ids.last().copied())[1].bytes().unwrap(), [0xff; 4096]);
        ids.into_iter().for_each(|id| recorder.drop(id));
        assert_eq!((recorder.bytes, recorder.told(None).len()), (0, 0));
    }

    #[test]
    fn what_was_told_can_be_told_again() {
        let mut recorder = Recorder::default();
        let first = recorder.keep(recording(b"a\n", None));
        let told = recorder.told(Some(first));
        let again = recorder.keep(Recording::of_told(&told));
        assert_eq!(recorder.told(Some(again)), told);
    }
}
