//! Putting questions: the queue and its bounds, names, and connections.

use super::names::Lookup;
use super::{Stage, words};
use crate::daemon::{Alarm, Daemon, source};
use crate::engine::id::{Key, Stamp};
use crate::engine::message::ProbeResult;
use crate::engine::time::Duration;
use crate::reactor::probe::{Caller, Fault, Progress, Question};
use crate::reactor::source::Kind;
use crate::spec::ProbeTarget;
use crate::sys::clock;
use std::net::SocketAddr;

/// Questions put in one turn.
const ASKED_PER_TURN: usize = 256;
/// Scripts started in one turn: each is a process.
const SCRIPTS_PER_TURN: usize = 64;
/// Scripts that run at one time.
const SCRIPTS_MAX: usize = 1024;
/// At most one word about a lack of room in this time.
const NO_ROOM_EVERY: Duration = Duration::from_secs(60);

impl Daemon {
    /// Step 6 of the turn: puts the questions that wait, as far as the bounds allow.
    pub(in crate::daemon) fn ask_queued(&mut self) {
        let (mut asked, mut scripts) = (0, 0);
        while let Some(key) = self.probes.queue.front().copied() {
            let Some(check) = self.probes.table.get(key) else {
                self.probes.queue.pop_front();
                continue;
            };
            let is_script = matches!(check.target(), Some(ProbeTarget::Script { .. }));
            scripts += usize::from(is_script);
            if asked == ASKED_PER_TURN || scripts > SCRIPTS_PER_TURN {
                return;
            }
            let has_room = self.has_room_to_ask(is_script);
            asked += 1;
            self.probes.queue.pop_front();
            match (has_room, is_script) {
                (false, _) => self.no_room_to_ask(key, "too many descriptors or scripts are in use"),
                (true, true) => self.start_script(key),
                (true, false) => self.start_call(key),
            }
            if self.probes.has_answers() {
                // Each check ends at its own time, so that the next ones do not come in one lump either.
                self.now = clock::monotonic();
                self.hear_answers();
            }
        }
    }

    fn has_room_to_ask(&self, is_script: bool) -> bool {
        let needed = if is_script { super::PER_SCRIPT + 2 } else { 1 };
        (!is_script || self.probes.by_pid.len() < SCRIPTS_MAX) && self.free_descriptors() >= needed
    }

    /// No room says nothing of the program: the engine asks again in a second, and holds nobody up meanwhile.
    pub(super) fn no_room_to_ask(&mut self, key: Key, why: &str) {
        self.tell_no_room(why);
        self.end_check(key, ProbeResult::NoRoom, format!("there was no room to ask: {why}"));
    }

    pub(super) fn tell_no_room(&mut self, why: &str) {
        if self.probes.no_room_told.is_none_or(|at| self.now.since(at) >= NO_ROOM_EVERY) {
            self.probes.no_room_told = Some(self.now);
            log::warn!("there is no room to ask for the health of programs, tried again each second: {why}");
        }
    }

    fn start_call(&mut self, key: Key) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        let host = match check.spec.probe.as_deref() {
            Some(ProbeTarget::Tcp { host, .. } | ProbeTarget::Http { host, .. }) => host,
            Some(ProbeTarget::Script { .. }) | None => {
                return self.end_check(key, ProbeResult::Fail, "there is nothing to ask".to_owned());
            }
        };
        match self.probes.names.look_up(host, self.now, &self.reactor) {
            Ok(Lookup::Known(addresses)) => self.call(key, addresses),
            Ok(Lookup::Asked) => check.stage = Stage::Naming,
            Err(error) => self.no_room_to_ask(key, &error.to_string()),
        }
    }

    /// The resolver answered: whoever waits for these names goes on.
    pub(super) fn hear_names(&mut self) {
        let answers = match self.probes.names.answers() {
            Ok(answers) => answers,
            Err(error) => return log::error!("hearing the resolver failed: {error}"),
        };
        for answer in answers {
            for key in self.waiting_for(&answer.host) {
                match &answer.addresses {
                    Ok(addresses) => {
                        self.keep_name(key, &answer.host, addresses);
                        self.call(key, addresses.clone());
                    }
                    Err(reason) => self.end_call(key, &format!("failed: host name not resolved: {reason}")),
                }
            }
        }
    }

    fn waiting_for(&self, host: &str) -> Vec<Key> {
        let waits = |check: &super::Check| match (&check.stage, check.target()) {
            (Stage::Naming, Some(ProbeTarget::Tcp { host: own, .. } | ProbeTarget::Http { host: own, .. })) => {
                own == host
            }
            _ => false,
        };
        self.probes.table.iter().filter(|(_, check)| waits(check)).map(|(key, _)| key).collect()
    }

    fn keep_name(&mut self, key: Key, host: &str, addresses: &[SocketAddr]) {
        let policy = self.probes.table.get(key).and_then(|check| check.spec.policy.health.as_ref());
        if let Some(interval) = policy.map(|policy| policy.interval) {
            self.probes.names.keep(host, addresses, self.now, interval);
        }
    }

    fn call(&mut self, key: Key, mut addresses: Vec<SocketAddr>) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        let (port, question) = match check.spec.probe.as_deref() {
            Some(ProbeTarget::Tcp { port, .. }) => (*port, None),
            Some(ProbeTarget::Http { host, port, path, statuses }) => {
                (*port, Some(Question::new(host, *port, path, statuses.clone())))
            }
            Some(ProbeTarget::Script { .. }) | None => return,
        };
        addresses.iter_mut().for_each(|address| address.set_port(port));
        let mut caller = Caller::new(addresses, question);
        let progress = caller.try_next(Fault::Refused, &self.reactor, source(Kind::Probe, key));
        check.stage = Stage::Calling(caller);
        self.share_time(key);
        self.settle_call(key, progress);
    }

    /// Of several addresses each gets its share of the time, so that one that is silent leaves some for the next.
    fn share_time(&mut self, key: Key) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        let (Stage::Calling(caller), Some(policy)) = (&check.stage, &check.spec.policy.health) else { return };
        let count = u32::try_from(caller.address_count()).unwrap_or(u32::MAX);
        if count > 1 {
            check.share = Some(self.alarms.arm(self.now + policy.timeout / count, Alarm::ProbeShare(key)));
        }
    }

    /// An address has had its share.
    pub(in crate::daemon) fn share_over(&mut self, key: Key, stamp: Stamp) {
        let Some(check) = self.probes.table.get_mut(key).filter(|check| check.share == Some(stamp)) else { return };
        let Stage::Calling(caller) = &mut check.stage else { return };
        if !caller.is_connected() && caller.has_next() {
            let progress = caller.try_next(Fault::TimedOut, &self.reactor, source(Kind::Probe, key));
            self.share_time(key);
            self.settle_call(key, progress);
        }
    }

    pub(super) fn serve_call(&mut self, key: Key) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        let Stage::Calling(caller) = &mut check.stage else { return };
        let progress = caller.serve(&self.reactor, source(Kind::Probe, key));
        self.settle_call(key, progress);
    }

    fn settle_call(&mut self, key: Key, progress: Progress) {
        match progress {
            Progress::Pending => {}
            Progress::Passed(status) => {
                let how = status.map_or_else(|| "succeeded".to_owned(), |status| format!("answered {status}"));
                let message = self.about_call(key, &how);
                self.end_check(key, ProbeResult::Pass, message);
            }
            Progress::Failed(Fault::NoRoom(error)) => self.no_room_to_ask(key, &error.to_string()),
            Progress::Failed(fault) => self.end_call(key, &fault.to_string()),
        }
    }

    fn end_call(&mut self, key: Key, how: &str) {
        let message = self.about_call(key, how);
        self.end_check(key, ProbeResult::Fail, message);
    }

    fn about_call(&self, key: Key, how: &str) -> String {
        let Some(check) = self.probes.table.get(key) else { return how.to_owned() };
        let subject = check.target().map(words::subject).unwrap_or_default();
        match &check.stage {
            Stage::Calling(caller) if caller.address_count() > 1 => {
                let last = caller.address().map(|address| address.ip().to_string()).unwrap_or_default();
                format!("{subject} {how} ({last})")
            }
            _ => format!("{subject} {how}"),
        }
    }

    pub(super) fn end_check(&mut self, key: Key, result: ProbeResult, message: String) {
        self.probes.answer(key, result, message);
        self.drop_check(key);
    }
}
