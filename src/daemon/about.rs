//! What is asked of the daemon itself, and signals that it passes on.

use super::Daemon;
use super::many::{nobody, summed_up};
use super::orders::{Asker, Order};
use super::report;
use crate::config::signal;
use crate::engine::id::{InstanceId, Key};
use crate::engine::message::{Command, Signal};
use crate::engine::time::Duration;
use crate::sys::inotify::PathWatch;
use crate::sys::{clock, kill, usage};
use crate::wire::info::SelfPortrait;
use crate::wire::reply::{ErrorCode, Reply, Told};
use crate::wire::request::{Id, SignalOrder};
use std::collections::BTreeMap;

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Daemon {
    /// The daemon in numbers.
    pub(super) fn info(&mut self, conn: Key, id: Option<&Id>) {
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        for &instance in self.roster.in_order() {
            let Some(instance) = self.engine.instance(instance) else { continue };
            *states.entry(instance.state().name().to_owned()).or_default() += 1;
        }
        let cpu = usage::own_cpu().unwrap_or_else(|error| {
            log::debug!("asking for the own processor time failed: {error}");
            Default::default()
        });
        let info = SelfPortrait {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: clock::monotonic().since(self.born).as_secs(),
            configuration: self.config_path.display().to_string(),
            processes: states.values().sum(),
            states,
            rss_bytes: usage::own_resident(),
            cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
            loop_lag_us: micros(self.metrics.lag.recent()),
            loop_lag_max_us: micros(self.metrics.lag.longest),
            connections: self.connections.len(),
            evicted_connections: self.connections.evicted,
            stale_events: self.stale_events,
            dropped_bytes: self.streams.dropped_in_all(),
        };
        self.answer_conn(conn, &Reply::Info(Box::new(info)), id);
    }

    /// `shutdown`: as SIGTERM, and answered when all is down.
    pub(super) fn shut_down_asked(&mut self, conn: Key, id: Option<Id>) {
        if self.closing {
            return self.answer_conn(conn, &Reply::ok("The daemon is shutting down already"), id.as_ref());
        }
        self.close_down("Asked to shut down", Some(Asker { conn, id }));
    }

    /// Signals each process group, or its leader only.
    pub(super) fn signal_asked(&mut self, conn: Key, id: Option<&Id>, order: &SignalOrder) {
        let signal = match signal::signal(&order.signal) {
            Ok(signal) => signal,
            Err(why) => {
                let text = format!("\"signal\": {}", crate::wire::text::shown(&why));
                return self.answer_conn(conn, &Reply::error(ErrorCode::InvalidRequest, text, None), id);
            }
        };
        let Some(found) = self.known(conn, id, &order.names) else { return };
        let one = |&instance: &InstanceId| (instance, self.signal_one(instance, signal, order.leader));
        let sent: Vec<(InstanceId, Told)> = found.members.iter().map(one).collect();
        let reached: Vec<InstanceId> = sent.iter().filter(|(_, told)| told.is_ok()).map(|(id, _)| *id).collect();
        self.note_order(conn, &report::signal_name(signal), &reached);
        let results = sent.into_iter().map(|(_, told)| told);
        let results: Vec<Told> = results.chain(found.unknown.iter().map(|name| nobody(name))).collect();
        let done = format!("Sent {} to", report::signal_name(signal));
        self.answer_conn(conn, &summed_up(&done, results), id);
    }

    fn signal_one(&self, id: InstanceId, signal: Signal, leader: bool) -> Told {
        let name = self.roster.name(id);
        let run = self.engine.instance(id).and_then(|instance| instance.run()).map(|run| run.id);
        let key = run.and_then(|run| self.children.of_run(run));
        let Some(child) = key.and_then(|key| self.children.get(key)).filter(|child| child.reaped.is_none()) else {
            return Told::error(name, ErrorCode::Failed, format!("{name} is not running"), None);
        };
        let (pid, pidfd) = (child.pid, child.pidfd.as_ref());
        let alone = leader || !child.confirmed;
        let sent =
            if alone { kill::signal_process(pid, pidfd, signal) } else { kill::signal_group(pid, pidfd, signal) };
        let word = report::signal_name(signal);
        match sent {
            Ok(()) => Told::ok(name, format!("Sent {word} to {name} (pid {pid})")),
            Err(error) => {
                let text = format!("{name}: {word} could not be sent");
                Told::error(name, ErrorCode::Failed, text, Some(error.to_string()))
            }
        }
    }

    /// Stops everything; a second time it kills at once.
    pub(super) fn close_down(&mut self, why: &str, asker: Option<Asker>) {
        if self.closing {
            log::warn!("{why} while shutting down: killing what is left");
        } else {
            log::info!("{why}: shutting down");
            self.report_stopping();
            // While programs end the kernel lets go of them.
            self.connections.let_go_of_place();
            self.pidfile_place.iter().for_each(PathWatch::let_go);
            self.notices.let_go_of_place();
        }
        self.closing = true;
        let timeout = self.settings.spec().shutdown_timeout;
        self.order(asker, Order::Shutdown, Command::Shutdown { timeout });
        for (ticket, _) in std::mem::take(&mut self.reloads) {
            self.give_up(ticket, ErrorCode::ShuttingDown, "The daemon is shutting down");
        }
    }
}
