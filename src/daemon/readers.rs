//! Logs read back over the control socket: their end, whatever follows it, and the orders that concern them.
//!
//! Whoever follows a log keeps its sink open, so that it survives the program's restarts, and reads from the files at its own
//! pace: nothing is kept for it.

use super::Daemon;
use super::many::{nobody, summed_up, told};
use super::streams::{log_of, owner_of};
use crate::engine::id::{InstanceId, Key};
use crate::logs::follow::{self, Cursor, Pulled, Tail, Wish};
use crate::logs::loss::Cause;
use crate::logs::rotating_file::RotatingFile;
use crate::logs::sinks::SinkId;
use crate::spec::{InstanceSpec, LogSpec, LogTarget};
use crate::sys::fsuid::Owner;
use crate::sys::log_file::{LogPlace, OpenError};
use crate::sys::spawn;
use crate::wire::reply::{ErrorCode, Reply, Told};
use crate::wire::request::Id;
use crate::wire::{Chunk, LogDeed, Stream, TailQuery};

/// Bytes in one piece for a follower.
const PIECE: usize = 64 * 1024;

/// Lines shown where nobody said how many.
const LINES: u64 = 10;

/// What a connection follows.
#[derive(Debug)]
pub(super) struct Follow {
    log: Log,
    cursor: Cursor,
    stream: &'static str,
    /// Of the request; what is sent carries it back.
    pub(super) id: Option<Id>,
    /// Bytes that were not read before the log moved elsewhere.
    missed: u64,
}

/// Which log.
#[derive(Debug, Clone, Copy)]
enum Log {
    /// The daemon's own.
    Own,
    /// One stream of an instance, as it was asked for; the sink is retained.
    Of { instance: InstanceId, stream: Stream, sink: SinkId },
}

/// Why there is nothing to show.
pub(super) enum NoLog {
    /// It goes where it cannot be read back.
    Elsewhere(&'static str),
    Unreadable(OpenError),
}

impl From<OpenError> for NoLog {
    fn from(error: OpenError) -> NoLog {
        NoLog::Unreadable(error)
    }
}

impl Daemon {
    /// `tail`: the end of a log of a process, and what follows.
    pub(super) fn tail(&mut self, conn: Key, id: Option<Id>, name: &str, stream: Stream, query: TailQuery) {
        let found = self.roster.by_name(name).and_then(|instance| Some((instance, self.logs_of(instance)?)));
        let Some((instance, spec)) = found else {
            let reply = Reply::error(ErrorCode::NotFound, "Process not found", None);
            return self.answer_conn(conn, &reply, id.as_ref());
        };
        match self.read_end(&spec, source_of(&spec, stream), query) {
            Ok((tail, None)) => self.show(conn, id.as_ref(), stream.name(), tail),
            Ok((tail, Some((sink, cursor)))) => {
                self.show(conn, id.as_ref(), stream.name(), tail);
                let log = Log::Of { instance, stream, sink };
                self.begin_following(conn, Follow { log, cursor, stream: stream.name(), id, missed: 0 });
            }
            Err(why) => self.answer_conn(conn, &unreadable(name, stream, why), id.as_ref()),
        }
    }

    /// `maintail`: the same of the daemon's own log.
    pub(super) fn main_tail(&mut self, conn: Key, id: Option<Id>, query: TailQuery) {
        let read = self.settings.log().with_file(|file| (tail_of(file, query), Cursor::at_end(file)));
        match read {
            Some((Ok(tail), cursor)) => {
                self.show(conn, id.as_ref(), "log", tail);
                if query.follow {
                    self.begin_following(conn, Follow { log: Log::Own, cursor, stream: "log", id, missed: 0 });
                }
            }
            Some((Err(error), _)) => {
                let message = "The daemon's log cannot be read";
                self.answer_conn(conn, &Reply::error(ErrorCode::Failed, message, Some(error.to_string())), id.as_ref());
            }
            None => {
                let message = "The daemon's log goes to its stdout, which cannot be read back (set logfile)";
                self.answer_conn(conn, &Reply::error(ErrorCode::Failed, message, None), id.as_ref());
            }
        }
    }

    /// `reopen`.
    pub(super) fn reopen_asked(&mut self, conn: Key, id: Option<&Id>) {
        let failures: Vec<String> = self.reopen_logs().iter().map(ToString::to_string).collect();
        let reply = if failures.is_empty() {
            Reply::ok("Reopened log files")
        } else {
            Reply::error(ErrorCode::Failed, "Not all log files could be reopened", Some(failures.join("; ")))
        };
        self.answer_conn(conn, &reply, id);
    }

    /// `rotate` and `clearlog`: both logs of a process, whether it runs or not.
    pub(super) fn treat_logs(&mut self, conn: Key, id: Option<&Id>, name: &str, deed: LogDeed) {
        let reply = match self.roster.by_name(name).and_then(|instance| self.logs_of(instance)) {
            None => Reply::error(ErrorCode::NotFound, "Process not found", None),
            Some(spec) => {
                self.treat_both(&spec, deed).unwrap_or_else(|| Reply::error(ErrorCode::Failed, no_files(name), None))
            }
        };
        self.answer_conn(conn, &reply, id);
    }

    /// The same for all that these names mean. Who keeps no log files is no failure among several.
    pub(super) fn treat_many_logs(&mut self, conn: Key, id: Option<&Id>, names: &[String], deed: LogDeed) {
        let Some(found) = self.meant(conn, id, names) else { return };
        let mut results: Vec<Told> = Vec::with_capacity(found.members.len() + found.unknown.len());
        for &instance in &found.members {
            let Some(spec) = self.logs_of(instance) else { continue };
            let reply = self.treat_both(&spec, deed).unwrap_or_else(|| Reply::ok(no_files(&spec.name)));
            results.push(told(&spec.name, reply));
        }
        results.extend(found.unknown.iter().map(|name| nobody(name)));
        self.answer_conn(conn, &summed_up(&format!("{} the logs of", words(deed).0), results), id);
    }

    /// What comes next for a follower that has taken everything; false if nothing does.
    pub(super) fn send_next_piece(&mut self, conn: Key) -> bool {
        // Nothing is kept for whoever does not read: one piece at a time.
        if !self.connections.has_taken_all(conn) {
            return false;
        }
        let Some(Some(follow)) = self.connections.follow_mut(conn) else { return self.send_next_events(conn) };
        let mut bytes = vec![0; PIECE];
        let cursor = &mut follow.cursor;
        let pulled = match follow.log {
            Log::Own => self.settings.log().with_file(|file| cursor.pull(file, &mut bytes)),
            Log::Of { sink, .. } => self.streams.sinks_mut().file_mut(sink).map(|file| cursor.pull(file, &mut bytes)),
        };
        let Pulled { taken, missed } = pulled.unwrap_or_default();
        let missed = missed + std::mem::take(&mut follow.missed);
        if taken == 0 && missed == 0 {
            return false;
        }
        bytes.truncate(taken);
        let chunk = Chunk { stream: follow.stream, bytes, missed, ..Chunk::default() };
        let id = follow.id.clone();
        self.send_chunk(conn, &chunk, id.as_ref());
        true
    }

    /// The last step of a turn: whoever has something to read and room for it is served in the next.
    pub(super) fn wake_followers(&mut self) {
        let moved = self.streams.take_moved();
        // Also those that have not taken all: what moved is told only once.
        for conn in if moved.is_empty() { Vec::new() } else { self.connections.followers() } {
            for &(instance, stream, sink) in &moved {
                self.move_follower(conn, instance, stream, sink);
            }
        }
        for conn in self.connections.idle_followers() {
            if self.lags(conn) {
                self.requeue(conn);
            }
        }
    }

    /// A connection asks for something else, or is gone.
    pub(super) fn stop_following(&mut self, conn: Key) {
        self.connections.stop_listening(conn);
        let follow = self.connections.follow_mut(conn).and_then(Option::take);
        if let Some(Follow { log: Log::Of { sink, .. }, .. }) = follow {
            self.streams.release(sink, self.now);
        }
    }

    fn begin_following(&mut self, conn: Key, follow: Follow) {
        if let Some(place) = self.connections.follow_mut(conn) {
            *place = Some(follow);
        }
    }

    fn show(&mut self, conn: Key, id: Option<&Id>, stream: &'static str, tail: Tail) {
        let Tail { bytes, truncated } = tail;
        self.send_chunk(conn, &Chunk { is_answer: true, stream, bytes, missed: 0, truncated }, id);
    }

    /// The end of a log; for a follower also its retained sink and the place from which it goes on.
    pub(super) fn read_end(
        &mut self,
        spec: &InstanceSpec,
        stream: Stream,
        query: TailQuery,
    ) -> Result<(Tail, Option<(SinkId, Cursor)>), NoLog> {
        let log = log_of(spec, stream);
        let path = readable(log)?;
        let owner = owner(spec)?;
        let sinks = self.streams.sinks_mut();
        let sink = if query.follow { sinks.join(log, owner.as_ref())? } else { sinks.find(log) };
        let Some(sink) = sink else {
            let mut place = sinks.place(path, owner.as_ref());
            place.resolve()?;
            return Ok((follow::tail(&mut place, None, wish(query))?, None));
        };
        let Some(file) = sinks.file_mut(sink) else { return Err(NoLog::Elsewhere(DAEMONS)) };
        let (read, cursor) = (tail_of(file, query), Cursor::at_end(file));
        match read {
            Ok(tail) => Ok((tail, query.follow.then_some((sink, cursor)))),
            Err(error) => {
                if query.follow {
                    self.streams.release(sink, self.now);
                }
                Err(error.into())
            }
        }
    }

    /// `None`: there is no log file.
    fn treat_both(&mut self, spec: &InstanceSpec, deed: LogDeed) -> Option<Reply> {
        let name = &spec.name;
        let logs: Vec<&LogSpec> =
            [&spec.stdout, &spec.stderr].into_iter().filter(|log| readable(log).is_ok()).collect();
        if logs.is_empty() {
            return None;
        }
        let Ok(owner) = owner(spec) else {
            let text = format!("{name} is of a user that is not known any more");
            return Some(Reply::error(ErrorCode::Failed, text, None));
        };
        let treat = |log: &&LogSpec| self.treat_log(log, owner.as_ref(), deed).err();
        let failures: Vec<String> = logs.iter().filter_map(treat).collect();
        let (done, failed) = words(deed);
        if failures.is_empty() {
            log::info!("{done} the logs of {name}");
            return Some(Reply::ok(format!("{done} the logs of {name}")));
        }
        let message = format!("The logs of {name} could not be {failed}");
        Some(Reply::error(ErrorCode::Failed, message, Some(failures.join("; "))))
    }

    fn treat_log(&mut self, log: &LogSpec, owner: Option<&Owner>, deed: LogDeed) -> Result<(), String> {
        let Ok(path) = readable(log) else { return Ok(()) };
        let now = self.now;
        let sinks = self.streams.sinks_mut();
        let exists = sinks.find(log).is_some() || sinks.place(path, owner).resolve().map_err(|e| e.to_string())?;
        let Some(sink) = (if exists { sinks.join(log, owner).map_err(|e| e.to_string())? } else { None }) else {
            return Ok(());
        };
        let done = sinks.file_mut(sink).map_or(Ok(()), |file| treat_file(file, deed, now));
        self.streams.release(sink, now);
        done.map_err(|cause| format!("{}: {cause}", path.display()))
    }

    fn lags(&mut self, conn: Key) -> bool {
        let Some(Some(follow)) = self.connections.follow_mut(conn) else { return self.has_events_for(conn) };
        let behind = match follow.log {
            Log::Own => self.settings.log().with_file(|file| follow.cursor.is_behind(file)),
            Log::Of { sink, .. } => self.streams.sinks_mut().file_mut(sink).map(|file| follow.cursor.is_behind(file)),
        };
        follow.missed > 0 || behind.unwrap_or(false)
    }

    /// A reload gave the log another place, and the program's start took it.
    fn move_follower(&mut self, conn: Key, started: InstanceId, which: Stream, to: SinkId) {
        let Some(Some(follow)) = self.connections.follow_mut(conn) else { return };
        let Log::Of { instance, stream, sink } = follow.log else { return };
        if instance != started || sink == to {
            return;
        }
        // Both streams may be in one log now, or no longer.
        if self.logs_of(instance).is_none_or(|spec| source_of(&spec, stream) != which) {
            return;
        }
        let Some(Some(follow)) = self.connections.follow_mut(conn) else { return };
        let sinks = self.streams.sinks_mut();
        let Some(cursor) = sinks.file_mut(to).map(Cursor::at_end) else { return };
        if sinks.retain(to) {
            follow.missed += sinks.file_mut(sink).map_or(0, |file| follow.cursor.lag(file));
            follow.log = Log::Of { instance, stream, sink: to };
            follow.cursor = cursor;
            self.streams.release(sink, self.now);
        }
    }
}

const NOWHERE: &str = "is kept nowhere";
const DAEMONS: &str = "goes to the daemon's own stdout or stderr, which cannot be read back";

/// Under `redirect_stderr` both streams are in one log.
fn source_of(spec: &InstanceSpec, stream: Stream) -> Stream {
    if log_of(spec, stream).target == LogTarget::SameAsStdout { Stream::Stdout } else { stream }
}

fn readable(log: &LogSpec) -> Result<&std::path::Path, NoLog> {
    match &log.target {
        LogTarget::File(path) => Ok(path),
        LogTarget::Null | LogTarget::SameAsStdout => Err(NoLog::Elsewhere(NOWHERE)),
        LogTarget::DaemonStdout | LogTarget::DaemonStderr => Err(NoLog::Elsewhere(DAEMONS)),
    }
}

/// With whose rights the files are touched. Without the user nobody knows which folders are his, so nothing is.
fn owner(spec: &InstanceSpec) -> Result<Option<Owner>, NoLog> {
    match spawn::resolve_user(&spec.launch) {
        Ok(user) => Ok(owner_of(user.as_ref())),
        Err(_) => Err(NoLog::Elsewhere("belongs to a user that is not known any more")),
    }
}

fn no_files(name: &str) -> String {
    format!("{name} keeps no log files")
}

/// What was done, and what could not be.
fn words(deed: LogDeed) -> (&'static str, &'static str) {
    match deed {
        LogDeed::Rotate => ("Rotated", "rotated"),
        LogDeed::Clear => ("Cleared", "cleared"),
    }
}

fn unreadable(name: &str, stream: Stream, why: NoLog) -> Reply {
    let stream = stream.name();
    match why {
        NoLog::Elsewhere(where_to) => Reply::error(ErrorCode::Failed, format!("{stream} of {name} {where_to}"), None),
        NoLog::Unreadable(error) => {
            Reply::error(ErrorCode::Failed, format!("{stream} of {name} cannot be read"), Some(error.to_string()))
        }
    }
}

fn wish(query: TailQuery) -> Wish {
    let lines = query.lines.or_else(|| query.bytes.is_none().then_some(LINES));
    Wish { bytes: query.bytes, lines }
}

pub(super) fn tail_of(file: &mut RotatingFile<LogPlace>, query: TailQuery) -> Result<Tail, OpenError> {
    let size = file.live().map(|live| live.end - live.start);
    follow::tail(file.place_mut(), size, wish(query))
}

fn treat_file(
    file: &mut RotatingFile<LogPlace>,
    deed: LogDeed,
    now: crate::engine::time::Instant,
) -> Result<(), Cause> {
    match deed {
        LogDeed::Rotate => file.rotate_now(now),
        LogDeed::Clear => file.clear(),
    }
}
