//! A new configuration for a running daemon: all of it or nothing. Reloads queue; each is answered by itself.

use super::doorkeeper::Doorkeeper;
use super::orders::{Asker, Order};
use super::renewal::Renewal;
use super::{Daemon, boot, vet};
use crate::engine::id::{InstanceId, Ticket};
use crate::engine::message::{Command, Input, Outcome};
use crate::spec::{Config, DaemonSpec};
use crate::sys::{clock, limits};
use crate::wire::reload::{Changes, Reloaded};
use crate::wire::reply::{ErrorCode, Reply};

/// What is to be done with the configuration as it is read anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Take it on.
    Reload,
    /// Only say what it would change.
    Foresee,
    /// Take it on, then restart what is other by it: all, or only these.
    Update(Option<Vec<String>>),
}

/// So many wait at most, as many as there can be clients: only what nobody waits for any more can take the last places.
const QUEUE_MAX: usize = 256;

impl Wish {
    /// Whether nothing is left to do of an earlier one that nobody waits for, once this is done. It reads the file later.
    fn does_all_of(&self, earlier: &Wish) -> bool {
        match (earlier, self) {
            (Wish::Foresee, _) => true,
            (Wish::Reload, Wish::Reload | Wish::Update(_)) | (Wish::Update(_), Wish::Update(None)) => true,
            (Wish::Update(some), Wish::Update(names)) => some == names,
            (Wish::Reload | Wish::Update(_), Wish::Foresee) | (Wish::Update(_), Wish::Reload) => false,
        }
    }
}

impl Daemon {
    /// Puts a reload in the queue; nobody waits for the answer of one by SIGHUP.
    pub(super) fn reload(&mut self, wish: Wish, asker: Option<Asker>) {
        if self.closing {
            return self.refuse(asker, ErrorCode::ShuttingDown, "The daemon is shutting down");
        }
        // A signal always finds a place: it does away with the one before it.
        if asker.is_some() && self.reloads.len() >= QUEUE_MAX {
            return self.refuse(asker, ErrorCode::Failed, "Too many reloads wait already");
        }
        self.drop_what_is_done_by(&wish);
        let conn = asker.as_ref().map(|asker| asker.conn);
        // By the time it begins he may have left.
        let who = conn.map_or_else(|| "SIGHUP".to_owned(), |conn| self.connections.asker(conn));
        let ticket = self.orders.open(Order::Reload(wish, Changes::default()), asker);
        if let Some(conn) = conn {
            self.note_ticket(conn, ticket);
        }
        self.reloads.push_back((ticket, who));
    }

    /// Takes those out of the queue that nobody waits for and that this one makes needless.
    fn drop_what_is_done_by(&mut self, later: &Wish) {
        let orders = &mut self.orders;
        self.reloads.retain(|&(earlier, _)| {
            let needless = orders.wish(earlier).is_none_or(|wish| later.does_all_of(wish));
            orders.is_awaited(earlier) || !needless || orders.close(earlier).is_none()
        });
    }

    /// Whether a reload could begin now, or the second half of an update.
    pub(super) fn reload_is_due(&self) -> bool {
        (!self.reload_under_way && !self.reloads.is_empty()) || !self.renewals.is_empty()
    }

    /// Begins the next reload in the queue, one a turn.
    pub(super) fn reload_queued(&mut self) {
        if self.reload_under_way {
            return;
        }
        let Some((ticket, who)) = self.reloads.pop_front() else { return };
        let Some(wish) = self.orders.wish(ticket).cloned() else { return };
        let is_meant = wish != Wish::Foresee;
        if is_meant {
            log::info!("Reloading {}, asked by {who}", self.config_path.display());
            self.report_reloading();
        }
        let loaded = vet::load(&self.config_path);
        // Reading a large file takes a while, and nothing that is started now may seem to have lived through it.
        self.now = clock::monotonic();
        let refused = |text| format!("Reload failed:\n{text}");
        match loaded {
            Ok(config) if wish == Wish::Foresee => self.foretell(ticket, &config),
            Ok(config) => self.take_on(ticket, wish, &who, &config),
            Err(draft) => {
                let text = vet::render(&draft, &self.config_path);
                if is_meant {
                    log::error!("Reload refused, nothing changes:");
                    text.lines().for_each(|line| log::error!("{line}"));
                }
                self.give_up(ticket, ErrorCode::Failed, &refused(text));
            }
        }
        // The larger part of it was needed for reading only.
        limits::give_back_memory();
        if is_meant && !self.reload_under_way {
            self.report_reloaded();
        }
    }

    /// Answers what a reload would change, and changes nothing.
    fn foretell(&mut self, ticket: Ticket, config: &Config) {
        if let Some(text) = self.still_leaving(config) {
            return self.give_up(ticket, ErrorCode::Failed, &format!("Reload failed:\n{text}"));
        }
        let changes = self.changes_by(config);
        let Some(asker) = self.orders.close(ticket).and_then(|pending| pending.asker) else { return };
        let reply = Reply::Reload(Box::new(Reloaded { changes, dry_run: true, ..Reloaded::default() }));
        self.answer_conn(asker.conn, &reply, asker.id.as_ref());
    }

    fn changes_by(&self, config: &Config) -> Changes {
        Changes { daemon: self.settings.changes(&config.daemon), ..self.roster.foresee(config) }
    }

    /// Answers a reload that did not begin.
    pub(super) fn give_up(&mut self, ticket: Ticket, code: ErrorCode, message: &str) {
        let asker = self.orders.close(ticket).and_then(|pending| pending.asker);
        self.refuse(asker, code, message);
    }

    /// The reload under way is over: the next one may come in the next turn. An update is answered when all is restarted.
    pub(super) fn reload_done(
        &mut self,
        wish: Wish,
        changes: Changes,
        outcome: &Outcome,
        reply: Reply,
        asker: Option<Asker>,
    ) {
        let Changes { added, removed, changed, .. } = &changes;
        let counts = format!("{} added, {} removed, {} changed", added.len(), removed.len(), changed.len());
        match outcome {
            Outcome::Done | Outcome::AlreadyUp => log::info!("Reload complete: {counts}"),
            Outcome::Failed(_) => log::error!("Reload took effect ({counts}), but not all removed programs stopped"),
            Outcome::Superseded | Outcome::ShuttingDown => log::warn!("Reload cut short by the shutdown ({counts})"),
        }
        self.reload_under_way = false;
        self.report_reloaded();
        let took_effect = matches!(outcome, Outcome::Done | Outcome::AlreadyUp | Outcome::Failed(_));
        if let (Wish::Update(names), true, Reply::Reload(reloaded)) = (wish, took_effect, &reply) {
            let Reloaded { code, message, .. } = &**reloaded;
            let trouble = code.zip(message.clone());
            return self.renewals.push_back(Renewal { asker, changes, names, trouble });
        }
        if let Some(asker) = asker {
            self.answer_conn(asker.conn, &reply, asker.id.as_ref());
        }
    }

    fn take_on(&mut self, ticket: Ticket, wish: Wish, who: &str, config: &Config) {
        let in_the_way = self.still_leaving(config);
        if let Err(text) = in_the_way.map_or(Ok(()), Err).and_then(|()| self.set_doors(&config.daemon)) {
            log::error!("Reload refused, nothing changes: {text}");
            return self.give_up(ticket, ErrorCode::Failed, &format!("Reload failed:\n{text}"));
        }
        boot::log_warnings(config, &self.config_path);
        let changes = self.changes_by(config);
        self.take_on_settings(&config.daemon, &changes);
        self.reload_under_way = true;
        let plan = self.roster.adopt(config, &mut self.engine);
        self.streams.set_limits(&self.roster);
        self.note_changes(&changes, who);
        self.orders.reword(ticket, Order::Reload(wish, changes));
        let changed: Vec<InstanceId> = plan.changed.iter().map(|(id, _)| *id).collect();
        self.feed(Input::Command { ticket, command: Command::Reload(plan) });
        // Without health checks nobody becomes healthy any more.
        changed.into_iter().for_each(|id| self.settle_waits_of(id, None));
    }

    /// Why this configuration cannot be taken on yet.
    fn still_leaving(&self, config: &Config) -> Option<String> {
        let leaving = self.roster.leaving();
        let name = config.instances.iter().map(|spec| &spec.name).find(|name| leaving.contains(&***name))?;
        let why = "of the configuration before has not stopped yet: it cannot be added again now";
        Some(format!("{name} {why}"))
    }

    fn take_on_settings(&mut self, new: &DaemonSpec, changes: &Changes) {
        self.settings.take_on(new);
        self.judge_anew(Doorkeeper::new(self.settings.spec()));
        for option in &changes.daemon.next_start {
            log::warn!("[supervice] {option} changed: takes effect when the daemon is started anew");
        }
    }

    pub(super) fn refuse(&mut self, asker: Option<Asker>, code: ErrorCode, message: &str) {
        if let Some(asker) = asker {
            self.answer_conn(asker.conn, &Reply::error(code, message, None), asker.id.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Wish::{Foresee, Reload, Update};

    #[test]
    fn a_later_one_does_away_with_an_earlier_one_only_if_it_does_all_of_it() {
        let some = |name: &str| Update(Some(vec![name.to_owned()]));
        let all = [Foresee, Reload, Update(None), some("a"), some("b")];
        let done = |later: usize| -> Vec<bool> { all.iter().map(|earlier| all[later].does_all_of(earlier)).collect() };
        assert_eq!(done(0), [true, false, false, false, false]);
        assert_eq!(done(1), [true, true, false, false, false]);
        assert_eq!(done(2), [true; 5]);
        assert_eq!(done(3), [true, true, false, true, false]);
        assert_eq!(done(4), [true, true, false, false, true]);
    }
}
