//! Effect to deed, one match. The only deed that is answered in the same breath is a spawn.

use super::Daemon;
use super::orders::{self, Order, Pending};
use super::report;
use super::shutdown::LastWord;
use crate::engine::id::Ticket;
use crate::engine::message::{Cause, Effect, Event, FailureClass, Input, Outcome, State};
use crate::engine::time::Duration;

/// At most one word about the same shortage in this time.
const SHORTAGE_EVERY: Duration = Duration::from_secs(60);

impl Daemon {
    /// Does what the engine decided.
    pub(super) fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Spawn { run } => return self.launch(run),
            Effect::CancelSpawn { run } => self.spawner.take_out(run),
            Effect::Signal { run, signal } => self.signal(run, signal),
            Effect::StartProbe { probe } => self.ask_health(probe),
            Effect::CancelProbe { probe } => self.withdraw_probe(probe),
            Effect::Reply { ticket, outcome } => self.reply(ticket, &outcome),
            Effect::Publish(event) => self.publish(&event),
            Effect::Forget { instance } => {
                self.roster.forget(instance);
                self.probes.forget(instance);
                self.notices.forget(instance);
                self.forget_history(instance);
                self.streams.forget(instance);
                self.metrics.forget(instance);
                self.settle_waits_of(instance, None);
            }
            Effect::ShutDown { instance, state, cause } => self.last_word = Some(LastWord { instance, state, cause }),
            Effect::Finished { survivors } => self.finished = Some(survivors),
        }
        None
    }

    fn publish(&mut self, event: &Event) {
        self.probes.note(event, self.now);
        self.note_in_history(event);
        self.note_event(event);
        self.metrics.note(event, self.now);
        self.note_for_waits(event);
        if let Some((level, text)) = report::line(event, &self.roster, &self.probes) {
            let level = if self.is_old_news(event) { log::Level::Debug } else { level };
            log::log!(level, "{text}");
        }
    }

    /// A shortage is met once a second by each that wants to start, for as long as it lasts: it is told once a minute.
    fn is_old_news(&mut self, event: &Event) -> bool {
        let (instance, error) = match *event {
            Event::SpawnFailed { run, error } => (run.instance, error),
            Event::StateChanged { instance, to: State::Backoff, cause: Some(Cause::Spawn(error)), .. } => {
                (instance, error)
            }
            _ => return false,
        };
        let Some(entry) = self.roster.entry_mut(instance).filter(|_| error.class == FailureClass::Shortage) else {
            return false;
        };
        // Both lines of one failure come in one instant.
        let told = entry.shortage_told.filter(|&at| at != self.now && self.now.since(at) < SHORTAGE_EVERY);
        if told.is_none() {
            entry.shortage_told = Some(self.now);
        }
        told.is_some()
    }

    fn reply(&mut self, ticket: Ticket, outcome: &Outcome) {
        let Some(Pending { order, asker }) = self.orders.close(ticket) else { return };
        let reply = orders::reply(&order, outcome, &self.roster);
        if let Order::Reload(wish, changes) = order {
            return self.reload_done(wish, changes, outcome, reply, asker);
        }
        if let Some(asker) = &asker {
            self.answer_conn(asker.conn, &reply, asker.id.as_ref());
        }
    }
}
