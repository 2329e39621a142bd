//! A new configuration for a running daemon: all of it or nothing. Reloads queue; each is answered by itself.

use super::orders::{Asker, Order};
use super::roster::Changes;
use super::{Daemon, boot, vet};
use crate::engine::message::{Command, Outcome};
use crate::spec::{Config, DaemonSpec};
use crate::wire::reply::{ErrorCode, Reply};

impl Daemon {
    /// Reads the configuration anew and takes it on; nobody waits for the answer of a reload by SIGHUP.
    pub(super) fn reload(&mut self, asker: Option<Asker>) {
        if self.closing {
            return self.refuse(asker, ErrorCode::ShuttingDown, "The daemon is shutting down");
        }
        if self.reload_under_way {
            return self.reloads.push_back(asker);
        }
        log::info!("Reloading {}", self.config_path.display());
        match vet::load(&self.config_path) {
            Ok(config) => self.take_on(asker, &config),
            Err(problems) => {
                let text = vet::render(&problems, &self.config_path);
                log::error!("Reload refused, nothing changes:");
                text.lines().for_each(|line| log::error!("{line}"));
                self.refuse(asker, ErrorCode::Failed, &format!("Reload failed:\n{text}"));
            }
        }
    }

    /// The reload under way is over: the next one may come.
    pub(super) fn reload_done(&mut self, changes: &Changes, outcome: &Outcome) {
        let Changes { added, removed, changed } = changes;
        let counts = format!("{} added, {} removed, {} changed", added.len(), removed.len(), changed.len());
        match outcome {
            Outcome::Done | Outcome::AlreadyUp => log::info!("Reload complete: {counts}"),
            Outcome::Failed(_) => log::error!("Reload took effect ({counts}), but not all removed programs stopped"),
            Outcome::Superseded | Outcome::ShuttingDown => log::warn!("Reload cut short by the shutdown ({counts})"),
        }
        self.reload_under_way = false;
        if let Some(asker) = self.reloads.pop_front() {
            self.reload(asker);
        }
    }

    fn take_on(&mut self, asker: Option<Asker>, config: &Config) {
        if let Some(name) = self.still_leaving(config) {
            let text = format!("{name} of the configuration before has not stopped yet: it cannot be added again now");
            return self.refuse(asker, ErrorCode::Failed, &format!("Reload failed:\n{text}"));
        }
        boot::log_warnings(config, &self.config_path);
        self.take_on_settings(&config.daemon);
        self.reload_under_way = true;
        let (plan, changes) = self.roster.adopt(config, &mut self.engine);
        self.streams.set_limits(&self.roster);
        self.order(asker, Order::Reload(changes), Command::Reload(plan));
    }

    fn still_leaving(&self, config: &Config) -> Option<String> {
        let leaving = |name: &str| {
            let mut entries = self.roster.in_order().iter().filter_map(|&id| self.roster.entry(id));
            entries.any(|entry| entry.leaving && entry.spec.name == name)
        };
        let anyone = self.roster.in_order().iter().any(|&id| self.roster.entry(id).is_some_and(|entry| entry.leaving));
        if !anyone {
            return None;
        }
        config.instances.iter().map(|spec| &spec.name).find(|name| leaving(name)).cloned()
    }

    fn take_on_settings(&mut self, new: &DaemonSpec) {
        let old = self.settings.spec().clone();
        let fixed = [
            ("logfile", old.logfile != new.logfile),
            ("pidfile", old.pidfile != new.pidfile),
            ("socket", old.socket != new.socket),
            ("state_file", old.state_file != new.state_file),
        ];
        self.settings.take_on(new);
        for (option, _) in fixed.iter().filter(|(_, changed)| *changed) {
            log::warn!("[supervice] {option} changed: takes effect when the daemon is started anew");
        }
    }

    pub(super) fn refuse(&mut self, asker: Option<Asker>, code: ErrorCode, message: &str) {
        if let Some(asker) = asker {
            self.answer_conn(asker.conn, &Reply::error(code, message, None), asker.id.as_ref());
        }
    }
}
