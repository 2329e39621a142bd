//! Requests: a query reads and answers at once, an order goes to the engine and is answered when it settles.

use super::Daemon;
use super::orders::{Asker, Order};
use super::reload::Wish;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Command, Input};
use crate::engine::time::Duration;
use crate::spec::Role;
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::{self, Envelope, Id, Request, Verb};

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
