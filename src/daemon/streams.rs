//! What children write, on its way from their pipes into files. The engine hears nothing of it.
//!
//! A stream lives until its end, not until its child's: a grandchild may hold the pipe, and nobody waits for it.

mod last;
mod pace;

use super::roster::Roster;
use super::{Alarm, Daemon, report, source};
use crate::engine::id::{InstanceId, Key};
use crate::engine::slots::Slots;
use crate::engine::time::{Duration, Instant};
use crate::engine::timer::TimerQueue;
use crate::logs::lines::Lines;
use crate::logs::rotating_file::{self, Limits};
use crate::logs::shared::SharedStream;
use crate::logs::sink::Notice;
use crate::logs::sinks::{SinkId, Sinks};
use crate::reactor::output::{OUTPUT_BUDGET, Output, Passed, Taker};
use crate::reactor::ready::{ReadyList, Served};
use crate::reactor::source::Kind;
use crate::reactor::{Mark, Reactor};
use crate::spec::{InstanceSpec, LogSpec};
use crate::sys::clock;
use crate::sys::fsuid::Owner;
use crate::sys::log_file::OpenError;
use crate::sys::pipe::{Pipe, Spyglass};
use crate::sys::user::User;
use crate::wire::Stream as Which;
use last::Last;
pub(super) use last::Turn;
use mio::Interest;
use mio::unix::pipe::Receiver;
use pace::Pace;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// Servings of one stream when everything is read at the end, so that a writer who never stops cannot hold the end up.
const DRAIN_ROUNDS: usize = 64;

/// How often a stream is looked at that cannot be watched.
const UNWATCHED: Duration = Duration::from_secs(1);

/// Bytes read at once.
const SCRATCH: usize = 64 * 1024;

#[derive(Debug)]
struct Stream {
    output: Output<Receiver>,
    which: Which,
    sink: SinkId,
    pace: Pace,
    /// `None`: bytes go out as they come.
    lines: Option<Lines>,
    /// Events are heard of; not while it rests.
    watched: bool,
    /// How many bytes of it are in its log: what was lost is not.
    written: u64,
    /// What it lost, since it began to lose.
    losing: Option<u64>,
}

/// The sinks a start opened, before there are pipes to read from.
#[derive(Debug, Default)]
pub(super) struct Opened {
    stdout: Option<(SinkId, Option<Lines>)>,
    stderr: Option<(SinkId, Option<Lines>)>,
}

/// All streams and all sinks.
#[derive(Debug)]
pub(super) struct Streams {
    table: Slots<Stream>,
    sinks: Sinks,
    scratch: Vec<u8>,
    spyglass: Spyglass,
    /// Streams that are left alone, and until when.
    rests: TimerQueue<Key>,
    /// What pipes were made to hold beyond the usual.
    grown: usize,
    /// Bytes lost on the way into a sink, by instance.
    dropped: HashMap<InstanceId, u64>,
    /// Bytes that came in, by instance.
    carried: HashMap<InstanceId, u64>,
    last: HashMap<InstanceId, Last>,
    turns: Vec<Turn>,
    notices: Vec<Notice>,
    alarm_at: Option<Instant>,
    /// Sinks of starts that nobody who follows a log was told of yet.
    moved: Vec<(InstanceId, Which, SinkId)>,
}

struct IntoSink<'a> {
    sinks: &'a mut Sinks,
    sink: SinkId,
    spyglass: &'a mut Spyglass,
    lines: &'a mut Option<Lines>,
    now: Instant,
    dropped: u64,
    /// Not what passed.
    wrote: u64,
}

impl IntoSink<'_> {
    fn write(&mut self, bytes: &[u8]) {
        let written = self.sinks.write(self.sink, bytes, self.now);
        self.dropped += written.dropped as u64;
        self.wrote += bytes.len() as u64;
    }
}

impl Taker<Receiver> for IntoSink<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let Some(lines) = self.lines else { return self.write(bytes) };
        let mut whole = Vec::new();
        lines.take(bytes, &clock::rfc3339(clock::wall()), &mut whole);
        if !whole.is_empty() {
            self.write(&whole);
        }
    }

    fn pass(&mut self, reader: &mut Receiver, most: usize) -> Passed {
        if self.lines.is_some() {
            return Passed::Refused;
        }
        let Some(mut pipe) = Pipe::new(reader.as_fd(), self.spyglass) else { return Passed::Refused };
        match self.sinks.pass(self.sink, &mut pipe, most, self.now) {
            rotating_file::Passed::Some(count) => Passed::Some(count),
            rotating_file::Passed::Nothing => Passed::Nothing,
            rotating_file::Passed::Refused => Passed::Refused,
        }
    }
}

impl Streams {
    /// `console`: the daemon's stdout, if its own log goes there.
    pub(super) fn new(umask: u32, console: Option<SharedStream>) -> Streams {
        Streams {
            table: Slots::default(),
            sinks: Sinks::new(umask, console),
            scratch: vec![0; SCRATCH],
            spyglass: Spyglass::default(),
            rests: TimerQueue::default(),
            grown: 0,
            dropped: HashMap::new(),
            carried: HashMap::new(),
            last: HashMap::new(),
            turns: Vec::new(),
            notices: Vec::new(),
            alarm_at: None,
            moved: Vec::new(),
        }
    }

    /// Open descriptors: the pipes and the files.
    pub(super) fn descriptors(&self) -> usize {
        self.table.len() + self.sinks.count()
    }

    /// Bytes of this instance that found no place in its logs.
    pub(super) fn dropped(&self, id: InstanceId) -> Option<u64> {
        self.dropped.get(&id).copied()
    }

    /// Bytes of an instance that came in so far.
    pub(super) fn carried(&self, id: InstanceId) -> u64 {
        self.carried.get(&id).copied().unwrap_or(0)
    }

    /// Bytes of all that found no place in a log.
    pub(super) fn dropped_in_all(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Opens what a start needs; all of it or nothing.
    pub(super) fn open(&mut self, spec: &InstanceSpec, user: Option<&User>, now: Instant) -> Result<Opened, OpenError> {
        let owner = owner_of(user);
        let dressed = |sink, which: Which| (sink, Lines::new(log_of(spec, which).format, &spec.name, which.name()));
        let stdout = self.sinks.open(&spec.stdout, owner.as_ref())?.map(|sink| dressed(sink, Which::Stdout));
        match self.sinks.open(&spec.stderr, owner.as_ref()) {
            Ok(stderr) => Ok(Opened { stdout, stderr: stderr.map(|sink| dressed(sink, Which::Stderr)) }),
            Err(error) => {
                self.give_back(Opened { stdout, stderr: None }, now);
                Err(error)
            }
        }
    }

    /// The start came to nothing.
    pub(super) fn give_back(&mut self, opened: Opened, now: Instant) {
        for (sink, _) in [opened.stdout, opened.stderr].into_iter().flatten() {
            self.release(sink, now);
        }
    }

    /// Joins a fresh child's pipes with the sinks that were opened for them.
    pub(super) fn attach(
        &mut self,
        id: InstanceId,
        opened: Opened,
        pipes: (Option<OwnedFd>, Option<OwnedFd>),
        (reactor, now): (&mut Reactor, Instant),
    ) {
        let mut last = Last::default();
        let pairs = [(opened.stdout, pipes.0, Which::Stdout), (opened.stderr, pipes.1, Which::Stderr)];
        for (sink, pipe, which) in pairs {
            let (Some((sink, lines)), Some(pipe)) = (sink, pipe) else { continue };
            let pace = Pace::new(&pipe);
            let output = Output::new(id, Receiver::from(pipe));
            let key =
                self.table.insert(Stream { output, which, sink, pace, lines, watched: true, written: 0, losing: None });
            last.open[which as usize] = Some(key);
            self.moved.push((id, which, sink));
            let Some(stream) = self.table.get_mut(key) else { continue };
            let name = source(Kind::Output, key);
            if let Err(error) = reactor.register(stream.output.reader_mut(), name, Interest::READABLE) {
                log::error!("watching a child's output failed, it is looked at each second: {error}");
                stream.watched = false;
                self.rests.arm(now + UNWATCHED, key);
            }
        }
        self.last.insert(id, last);
    }

    pub(super) fn mark(&mut self, mark: Mark, ready: &mut ReadyList) -> bool {
        let Some(stream) = self.table.get_mut(mark.id.key) else { return false };
        stream.output.mark(mark.read_closed || mark.gone);
        ready.push(mark.id, &mut stream.output.queued);
        true
    }

    /// Log limits of a new configuration apply at once.
    pub(super) fn set_limits(&mut self, roster: &Roster) {
        for (_, stream) in self.table.iter() {
            let Some(entry) = roster.entry(stream.output.instance) else { continue };
            self.sinks.set_limits(stream.sink, Limits::from(log_of(&entry.spec, stream.which)));
        }
    }

    /// All sinks, to read them back.
    pub(super) fn sinks_mut(&mut self) -> &mut Sinks {
        &mut self.sinks
    }

    /// Lets go of a sink that was opened or retained.
    pub(super) fn release(&mut self, sink: SinkId, now: Instant) {
        self.notices.extend(self.sinks.release(sink, now));
    }

    /// The sinks of starts since the last call.
    pub(super) fn take_moved(&mut self) -> Vec<(InstanceId, Which, SinkId)> {
        std::mem::take(&mut self.moved)
    }

    /// Reads what lies in the pipes, until they are empty, not until their end.
    pub(super) fn drain(&mut self, now: Instant) {
        let keys: Vec<Key> = self.table.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(stream) = self.table.get_mut(key) {
                stream.output.mark(true);
            }
            for _ in 0..DRAIN_ROUNDS {
                if self.serve(key, OUTPUT_BUDGET, now) != Some(Served::More) {
                    break;
                }
            }
            self.finish_lines(key, now);
        }
    }

    /// When the first stream has rested.
    pub(super) fn next_rest(&self) -> Option<Instant> {
        self.rests.next_deadline()
    }

    /// Those that have rested are looked at, whether anything came or not.
    pub(super) fn end_rests(&mut self, now: Instant, ready: &mut ReadyList) {
        while let Some((_, key)) = self.rests.pop_due(now) {
            let Some(stream) = self.table.get_mut(key) else { continue };
            stream.output.mark(false);
            ready.push(source(Kind::Output, key), &mut stream.output.queued);
        }
    }

    /// The pipe is empty: a busy stream rests unwatched, any other one is watched.
    fn pause(&mut self, key: Key, now: Instant, reactor: &mut Reactor) {
        let Some(stream) = self.table.get_mut(key) else { return };
        let rests = stream.pace.wants_rest(stream.output.reader(), &mut self.grown, now);
        if rests {
            if std::mem::take(&mut stream.watched) {
                reactor.deregister(stream.output.reader_mut());
            }
            self.rests.arm(now + pace::REST, key);
        } else if !stream.watched {
            let watched = reactor.register(stream.output.reader_mut(), source(Kind::Output, key), Interest::READABLE);
            if let Err(error) = &watched {
                log::error!("watching a child's output failed, it is looked at each second: {error}");
                self.rests.arm(now + UNWATCHED, key);
            }
            stream.watched = watched.is_ok();
        }
    }

    /// Counts what the last serving moved.
    fn note_moved(&mut self, key: Key) -> usize {
        let Some(stream) = self.table.get(key) else { return 0 };
        let moved = stream.output.moved;
        if moved > 0 {
            *self.carried.entry(stream.output.instance).or_default() += moved as u64;
        }
        moved
    }

    fn serve(&mut self, key: Key, most: usize, now: Instant) -> Option<Served> {
        let Streams { table, sinks, scratch, spyglass, dropped, turns, .. } = self;
        let stream = table.get_mut(key)?;
        stream.output.queued = false;
        let lines = &mut stream.lines;
        let mut taker = IntoSink { sinks, sink: stream.sink, spyglass, lines, now, dropped: 0, wrote: 0 };
        let served = stream.output.serve(most, scratch, &mut taker);
        let (lost, wrote) = (taker.dropped, taker.wrote);
        stream.pace.note(stream.output.moved);
        let brought = if stream.lines.is_some() { wrote } else { stream.output.moved as u64 };
        stream.written += brought.saturating_sub(lost);
        if lost > 0 {
            *dropped.entry(stream.output.instance).or_default() += lost;
        }
        if lost > 0 || stream.losing.is_some() {
            turns.extend(stream.note_loss(lost));
        }
        Some(served)
    }
}

impl Daemon {
    /// Moves what a stream brings, up to `most`; how many bytes that were.
    pub(super) fn serve_stream(&mut self, key: Key, most: usize) -> usize {
        let served = self.streams.serve(key, most, self.now);
        let moved = self.streams.note_moved(key);
        match served {
            Some(Served::More) => {
                if let Some(stream) = self.streams.table.get_mut(key) {
                    self.reactor.ready.push(source(Kind::Output, key), &mut stream.output.queued);
                }
            }
            Some(Served::Closed) => self.drop_stream(key),
            Some(Served::Dry) => self.streams.pause(key, self.now, &mut self.reactor),
            None => {}
        }
        moved
    }

    fn drop_stream(&mut self, key: Key) {
        self.streams.finish_lines(key, self.now);
        let Some(mut stream) = self.streams.table.remove(key) else { return };
        self.streams.note_end(key, &stream);
        self.reactor.deregister(stream.output.reader_mut());
        self.streams.grown = self.streams.grown.saturating_sub(stream.pace.grown());
        self.streams.release(stream.sink, self.now);
    }

    /// What is due with the files: another try, or a word to a person.
    pub(super) fn retry_logs(&mut self) {
        self.streams.alarm_at = None;
        let notices = self.streams.sinks.on_deadline(self.now);
        self.streams.notices.extend(notices.into_iter().map(|(_, notice)| notice));
        let own = self.settings.retry_log(self.now);
        self.streams.notices.extend(own);
    }

    /// Tells what was lost, and comes back when a file wants to be tried again.
    pub(super) fn tell_losses(&mut self) {
        self.note_losses();
        for notice in self.streams.notices.drain(..) {
            let (level, text) = report::notice_line(&notice);
            log::log!(level, "{text}");
        }
        let deadlines = [self.streams.sinks.deadline(), self.settings.log_deadline()];
        let Some(at) = deadlines.into_iter().flatten().min() else { return };
        if self.streams.alarm_at.is_none_or(|armed| at < armed) {
            self.streams.alarm_at = Some(at);
            self.alarms.arm(at, Alarm::Logs);
        }
    }

    /// Every log file is opened anew by its name; those that fail keep the old file.
    pub(super) fn reopen_logs(&mut self) -> Vec<OpenError> {
        log::info!("Reopening log files");
        let mut failures = self.streams.sinks.reopen_all();
        failures.extend(self.settings.log().reopen().err());
        for error in &failures {
            log::error!("reopening failed, the old file is kept: {error}");
        }
        failures
    }
}

/// Where one stream of an instance goes.
pub(super) fn log_of(spec: &InstanceSpec, which: Which) -> &LogSpec {
    match which {
        Which::Stdout => &spec.stdout,
        Which::Stderr => &spec.stderr,
    }
}

/// On whose behalf the logs of a program are made.
pub(super) fn owner_of(user: Option<&User>) -> Option<Owner> {
    let user = user.filter(|user| user.uid != 0)?;
    Some(Owner { uid: user.uid, gid: user.gid, groups: user.groups.clone() })
}
