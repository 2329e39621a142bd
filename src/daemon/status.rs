//! `status`: asked for the most, and of all instances at once. A reply in which nothing would be other by now is sent again.

use super::Daemon;
use super::report;
use super::roster::Entry;
use crate::engine::Instance;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::State;
use crate::engine::time::{Duration, Instant};
use crate::wire::encode_status;
use crate::wire::reply::{ErrorCode, HealthDetail, ProcessRow, Reply, RowDetail};
use crate::wire::request::{Id, StatusQuery};
use crate::wire::text;
use std::borrow::Cow;

/// The reply that was written last.
#[derive(Debug, Default)]
pub(super) struct LastReply {
    frame: Vec<u8>,
    /// When it told of everybody: the world that it told of, and until when that looks the same.
    whole: Option<(World, Instant)>,
}

/// Numbers one of which is another as soon as a row may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct World {
    engine: u64,
    roster: u64,
    notices: u64,
    losers: usize,
}

impl Daemon {
    pub(super) fn status(&mut self, conn: Key, query: &StatusQuery, id: Option<&Id>) {
        let is_whole = id.is_none() && *query == StatusQuery::default();
        if is_whole && self.is_same_as_told() {
            return self.send_status(conn);
        }
        let found = match &query.names {
            None => None,
            Some(names) => {
                let Some(found) = self.known(conn, id, names) else { return };
                if !found.unknown.is_empty() {
                    let unknown: Vec<String> = found.unknown.iter().map(|name| text::echoed(name)).collect();
                    let reason = format!("nobody is called {}", unknown.join(", "));
                    let reply = Reply::error(ErrorCode::NotFound, "Process not found", Some(reason));
                    return self.answer_conn(conn, &reply, id);
                }
                Some(found.members)
            }
        };
        // Written while the rows are read, so that nothing is kept of them; the buffer is used again.
        let mut frame = std::mem::take(&mut self.last_reply.frame);
        frame.clear();
        let meant = found.as_deref().unwrap_or_else(|| self.roster.in_order());
        let page = meant.iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX));
        let mut until = Instant::FAR;
        let rows = page.filter_map(|&instance| {
            let (row, same_until) = self.row(instance, query.verbose)?;
            until = until.min(same_until);
            Some(row)
        });
        // Not all rows of one that is too long were looked at: nobody knows until when it holds.
        let is_whole = encode_status(rows, id, &mut frame) && is_whole;
        self.last_reply = LastReply { frame, whole: is_whole.then_some((self.world(), until)) };
        self.send_status(conn);
    }

    fn send_status(&mut self, conn: Key) {
        let frame = std::mem::take(&mut self.last_reply.frame);
        self.send_frame(conn, &frame);
        self.last_reply.frame = frame;
    }

    /// Whether all that the last reply told of everybody still holds.
    fn is_same_as_told(&self) -> bool {
        self.last_reply.whole.is_some_and(|(world, until)| self.now < until && world == self.world())
    }

    fn world(&self) -> World {
        World {
            engine: self.engine.changes(),
            roster: self.roster.changes(),
            notices: self.notices.changes(),
            losers: self.streams.losers(),
        }
    }

    /// A row, and until when it stays the same if the world does: its uptime grows by whole seconds, its details at any time.
    fn row(&self, id: InstanceId, verbose: bool) -> Option<(ProcessRow<'_>, Instant)> {
        let (entry, instance) = (self.roster.entry(id)?, self.engine.instance(id)?);
        let run = instance.run().filter(|run| run.pid.is_some());
        let detail = (verbose || self.has_detail(id, entry, instance)).then(|| self.detail(id, entry, verbose));
        let uptime = run.map(|run| self.now.since(run.since).as_secs());
        let same_until = match (&detail, run, uptime) {
            (Some(_), _, _) => Instant::ZERO,
            (None, Some(run), Some(uptime)) => run.since + Duration::from_secs(uptime + 1),
            (None, _, _) => Instant::FAR,
        };
        let row = ProcessRow {
            name: (&*entry.spec.name).into(),
            state: instance.state().name(),
            pid: run.and_then(|run| run.pid),
            uptime,
            healthy: run.and_then(|_| instance.healthy()),
            detail,
        };
        Some((row, same_until))
    }

    /// Whether there is anything to tell beyond the row: of most there is not, and they are what a status is made of.
    fn has_detail(&self, id: InstanceId, entry: &Entry, instance: &Instance) -> bool {
        !matches!(instance.state(), State::Running | State::Starting | State::Stopped)
            || instance.attempts() > 0
            || entry.leaving
            || self.streams.dropped(id).is_some()
            || instance.run().is_some_and(|run| self.notices.status(run.id).is_some())
    }

    /// The keys beyond Python's, where they have something to say: why it is down, when it is tried again.
    fn detail<'a>(&'a self, id: InstanceId, entry: &'a Entry, verbose: bool) -> RowDetail<'a> {
        let mut detail = RowDetail::default();
        let Some(instance) = self.engine.instance(id) else { return detail };
        let troubled = matches!(instance.state(), State::Backoff | State::Fatal | State::Exited);
        if troubled || verbose {
            detail.reason = instance.last_cause().map(|cause| report::cause_text(cause, id, &self.roster));
        }
        if let Some(at) = instance.retry_at() {
            detail.retry_in_ms = Some(millis(at.since(self.now)));
        }
        if instance.attempts() > 0 || verbose {
            detail.attempts = Some(instance.attempts());
        }
        detail.leaving = entry.leaving.then_some(true);
        detail.unkillable = instance.is_unkillable().then_some(true);
        if let Some(dropped) = self.streams.dropped(id).filter(|&bytes| bytes > 0) {
            detail.dropped_bytes = Some(dropped);
        }
        detail.status_text = instance.run().and_then(|run| self.notices.status(run.id)).map(Cow::from);
        if verbose {
            detail.group = Some((&*entry.spec.group).into());
            detail.restarts = Some(instance.lives().saturating_sub(1));
            detail.output_bytes = Some(self.streams.carried(id));
            detail.program = Some((&*entry.spec.program).into());
            detail.health = entry.spec.probe.as_ref().map(|_| self.health_detail(id));
        }
        detail
    }

    fn health_detail(&self, id: InstanceId) -> HealthDetail {
        let next = self.engine.instance(id).and_then(Instance::next_check_at);
        let next_in_ms = next.map(|at| millis(at.since(self.now)));
        match self.probes.record(id).filter(|record| record.checks > 0) {
            None => HealthDetail { next_in_ms, ..HealthDetail::default() },
            Some(record) => HealthDetail {
                checks: record.checks,
                failures: record.failures,
                last_message: Some(record.message.clone()),
                last_checked_ms_ago: Some(millis(self.now.since(record.at))),
                next_in_ms,
            },
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
