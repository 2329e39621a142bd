//! Requests: a query reads and answers at once, an order goes to the engine and is answered when it settles.

use super::Daemon;
use super::orders::{Asker, Order};
use super::reload::Wish;
use super::roster::Entry;
use crate::engine::Instance;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Command, Input, State};
use crate::engine::time::Duration;
use crate::spec::Role;
use crate::wire::encode_status;
use crate::wire::reply::{ErrorCode, HealthDetail, ProcessRow, Reply, RowDetail};
use crate::wire::request::{self, Envelope, Id, Request, StatusQuery, Verb};
use crate::wire::text;
use std::borrow::Cow;

impl Daemon {
    /// Answers a frame, or takes on the order that is in it.
    pub(super) fn on_frame(&mut self, conn: Key, frame: &[u8]) {
        if !self.is_let(conn, Role::Read) {
            return self.turn_away(conn);
        }
        self.metrics.requests += 1;
        self.stop_following(conn);
        self.watchers.forget(conn);
        let Envelope { id, progress, request } = match request::decode(frame) {
            Ok(envelope) => envelope,
            Err(rejection) => {
                let reply = Reply::error(rejection.code, &rejection.message, None);
                return self.answer_conn(conn, &reply, rejection.id.as_ref());
            }
        };
        if !self.is_let(conn, needed(&request)) {
            let text = format!("You may only ask: {} takes the role admin (socket_users)", request.command());
            return self.answer_conn(conn, &Reply::error(ErrorCode::Denied, text, None), id.as_ref());
        }
        let watcher = progress.then(|| id.clone());
        self.obey(conn, id, request);
        if let Some(id) = watcher {
            self.watch_order(conn, id);
        }
    }

    fn obey(&mut self, conn: Key, id: Option<Id>, request: Request) {
        match request {
            Request::Status(query) => self.status(conn, &query, id.as_ref()),
            Request::Start { name } => self.order_one(conn, id, name, Verb::Start),
            Request::Stop { name } => self.order_one(conn, id, name, Verb::Stop),
            Request::Restart { name, force } => self.order_one(conn, id, name, Verb::Restart { force }),
            Request::Many { verb, names } => self.order_many(conn, id, verb, &names),
            Request::StartGroup { name } => self.order_group(conn, id, name, Verb::Start),
            Request::StopGroup { name } => self.order_group(conn, id, name, Verb::Stop),
            Request::Reload => self.reload(Wish::Reload, Some(Asker { conn, id })),
            Request::DryReload => self.reload(Wish::Foresee, Some(Asker { conn, id })),
            Request::Update { names } => self.update(conn, id, names),
            Request::Reopen => self.reopen_asked(conn, id.as_ref()),
            Request::TreatLogs { deed, name } => self.treat_logs(conn, id.as_ref(), &name, deed),
            Request::TreatManyLogs { deed, names } => self.treat_many_logs(conn, id.as_ref(), &names, deed),
            Request::Tail { name, stream, query } => self.tail(conn, id, &name, stream, query),
            Request::Wait { conditions, timeout_ms } => {
                self.wait_for(conn, id, &conditions, timeout_ms.map(Duration::from_millis));
            }
            Request::Signal(order) => self.signal_asked(conn, id.as_ref(), &order),
            Request::Why { name } => self.why(conn, id.as_ref(), &name),
            Request::Describe { name } => self.describe(conn, id.as_ref(), &name),
            Request::Events(query) => self.events_asked(conn, id, query),
            Request::Metrics => self.metrics(conn, id.as_ref()),
            Request::Info => self.info(conn, id.as_ref()),
            Request::Shutdown => self.shut_down_asked(conn, id),
            Request::MainTail(query) => self.main_tail(conn, id, query),
        }
    }

    fn order_one(&mut self, conn: Key, id: Option<Id>, name: String, verb: Verb) {
        let Some(instance) = self.roster.by_name(&name) else {
            return self.not_found(conn, id, "Process not found");
        };
        self.note_order(conn, verb.name(), &[instance]);
        let (order, command) = match verb {
            Verb::Start => (Order::Start(name), Command::Start(vec![instance])),
            Verb::Stop => (Order::Stop(name), Command::Stop(vec![instance])),
            Verb::Restart { force } => (Order::Restart(name), Command::Restart { instances: vec![instance], force }),
        };
        self.order(Some(Asker { conn, id }), order, command);
    }

    fn order_group(&mut self, conn: Key, id: Option<Id>, name: String, verb: Verb) {
        let Some(members) = self.roster.group(&name).map(<[InstanceId]>::to_vec) else {
            return self.not_found(conn, id, "Group not found");
        };
        self.note_order(conn, verb.name(), &members);
        let (order, command) = match verb {
            Verb::Stop => (Order::StopGroup(name), Command::Stop(members)),
            Verb::Start | Verb::Restart { .. } => (Order::StartGroup(name), Command::Start(members)),
        };
        self.order(Some(Asker { conn, id }), order, command);
    }

    /// Hands an order to the engine; the answer may come in the same breath.
    pub(super) fn order(&mut self, asker: Option<Asker>, order: Order, command: Command) {
        let conn = asker.as_ref().map(|asker| asker.conn);
        log::debug!("order: {order:?}");
        let ticket = self.orders.open(order, asker);
        if let Some(conn) = conn {
            self.note_ticket(conn, ticket);
        }
        self.feed(Input::Command { ticket, command });
    }

    fn not_found(&mut self, conn: Key, id: Option<Id>, message: &str) {
        self.answer_conn(conn, &Reply::error(ErrorCode::NotFound, message, None), id.as_ref());
    }

    fn status(&mut self, conn: Key, query: &StatusQuery, id: Option<&Id>) {
        let offset = query.offset;
        let limit = query.limit.unwrap_or(usize::MAX);
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
        let mut frame = std::mem::take(&mut self.reply_buffer);
        frame.clear();
        let meant = found.as_deref().unwrap_or_else(|| self.roster.in_order());
        let page = meant.iter().skip(offset).take(limit);
        encode_status(page.filter_map(|&instance| self.row(instance, query.verbose)), id, &mut frame);
        self.send_frame(conn, &frame);
        self.reply_buffer = frame;
    }

    fn row(&self, id: InstanceId, verbose: bool) -> Option<ProcessRow<'_>> {
        let (entry, instance) = (self.roster.entry(id)?, self.engine.instance(id)?);
        let run = instance.run().filter(|run| run.pid.is_some());
        let detail = (verbose || self.has_detail(id, entry, instance)).then(|| self.detail(id, entry, verbose));
        Some(ProcessRow {
            name: entry.spec.name.as_str().into(),
            state: instance.state().name(),
            pid: run.and_then(|run| run.pid),
            uptime: run.map(|run| self.now.since(run.since).as_secs()),
            healthy: run.and_then(|_| instance.healthy()),
            detail,
        })
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
            detail.reason = instance.last_cause().map(|cause| super::report::cause_text(cause, id, &self.roster));
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
            detail.group = Some(entry.spec.group.as_str().into());
            detail.restarts = Some(instance.lives().saturating_sub(1));
            detail.output_bytes = Some(self.streams.carried(id));
            detail.program = Some(entry.spec.program.as_str().into());
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

/// The role a request takes; whoever may only ask changes nothing.
fn needed(request: &Request) -> Role {
    match request {
        Request::Status(_)
        | Request::Metrics
        | Request::Info
        | Request::Wait { .. }
        | Request::Why { .. }
        | Request::Events(_)
        | Request::Describe { .. }
        | Request::Tail { .. }
        | Request::MainTail(_) => Role::Read,
        Request::Start { .. }
        | Request::Stop { .. }
        | Request::Restart { .. }
        | Request::Many { .. }
        | Request::StartGroup { .. }
        | Request::StopGroup { .. }
        | Request::Reload
        | Request::DryReload
        | Request::Update { .. }
        | Request::Reopen
        | Request::TreatLogs { .. }
        | Request::TreatManyLogs { .. }
        | Request::Signal(_)
        | Request::Shutdown => Role::Admin,
    }
}
