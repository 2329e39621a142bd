//! The daemon: the only place that knows engine, reactor and system at once. `run` is the turn.
//!
//! Data flows one way: readiness, input, decision, effects. Deaths come before deadlines, so that a child that is
//! already gone is not killed; both come before commands, so that an answer speaks of the world as it is.

mod about;
mod annals;
mod beside;
pub mod boot;
mod changes;
mod children;
mod connections;
mod deaths;
mod describe;
mod doorkeeper;
mod duty;
mod events;
mod groups;
mod history;
mod kills;
mod many;
mod marker;
mod memory;
mod metrics;
mod moment;
mod notices;
pub mod options;
mod orders;
mod orphans;
mod page;
mod patterns;
mod perform;
mod presses;
mod probes;
mod progress;
mod readers;
mod recorder;
mod reload;
mod renewal;
mod report;
mod roster;
mod rpc;
mod settings;
mod sheet;
mod shutdown;
mod spawner;
pub mod state_file;
mod status;
mod streams;
pub mod vet;
mod waits;

use crate::engine::Engine;
use crate::engine::id::{InstanceId, Key, Stamp, Ticket};
use crate::engine::message::Input;
use crate::engine::time::{Duration, Instant};
use crate::engine::timer::TimerQueue;
use crate::reactor::output::OUTPUT_BUDGET;
use crate::reactor::source::{Kind, SourceId};
use crate::reactor::{Mark, Reactor};
use crate::sys::clock;
use crate::sys::inotify::PathWatch;
use crate::sys::signals::{Arrival, Signals};
use annals::Annals;
use children::Children;
use connections::Connections;
use duty::Duty;
use events::Events;
use history::History;
use memory::Memory;
use metrics::Metrics;
use notices::Notices;
use orders::Orders;
use orphans::Orphans;
use presses::Presses;
use probes::Probes;
use progress::Watchers;
use recorder::Recorder;
use reload::Wish;
use renewal::Renewal;
use roster::Roster;
use settings::Settings;
use shutdown::LastWord;
use spawner::Spawner;
use status::LastReply;
use std::collections::VecDeque;
use std::path::PathBuf;
use streams::Streams;
use waits::Waits;

/// A wake-up later than this means that the daemon was stopped, or had no processor: nobody listened for a while.
const LATE: Duration = Duration::from_millis(100);

/// So often the kernel is asked for more in one turn: enough for sixteen thousand sources.
const ASKS_MAX: usize = 64;

/// When signals that could not be read are read again.
const SIGNALS_AGAIN: Duration = Duration::from_secs(1);

/// Whoever cleans a folder takes one file after the other: so much later it is looked once more what is gone.
const LOSSES_AGAIN: Duration = Duration::from_secs(5);

/// Bytes of children moved in one turn while nobody asks, so that a flood of many holds nobody up; the last stream may exceed it.
const TURN_BUDGET: usize = OUTPUT_BUDGET;

/// The same while somebody asks: a question waits a quarter of the time, for a fifth more CPU time of each byte.
const SHORT_TURN: usize = 32 * 1024;

/// Who asked so lately is likely to ask again.
const ASKED_LATELY: Duration = Duration::from_millis(10);

/// Fewer forgotten alarms than this are not worth a look.
const ALARMS_KEPT: usize = 256;

/// The watch on the pidfile.
const PIDFILE_PLACE: SourceId = SourceId { kind: Kind::Place, key: Key { slot: 1, generation: 0 } };

/// The watch on the notification socket.
const NOTICES_PLACE: SourceId = SourceId { kind: Kind::Place, key: Key { slot: 2, generation: 0 } };

/// What the daemon itself waits for, beside the engine's deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A connection owes the rest of a frame or has not read its reply.
    Conn(Key),
    /// Accepting failed for want of descriptors.
    Accept,
    /// Process groups that outlive their leader.
    Linger,
    /// Processes that fell to us as subreaper.
    Sweep,
    /// A log file that could not be written.
    Logs,
    /// A rotated file that could not be compressed.
    Press,
    /// The socket that could not be bound again.
    Rebind,
    /// The state file, which is not written all the time.
    Memory,
    /// What an earlier daemon left, on its way out.
    Orphans,
    /// An address of a health check has had its share of the time.
    ProbeShare(Key),
    /// Health scripts that say too much.
    ProbeFlood,
    /// What health scripts left behind.
    ProbeLinger,
    /// Clients that wait for something, but not for ever.
    Waits,
    /// Clients that are told how far their order has come.
    Progress,
    /// Children that could not be watched.
    Watch,
    /// Children that SIGKILL could not be sent to.
    Kill,
    /// Children whose exec verdict was not to be had.
    Verdict,
    /// Signals that could not be read.
    Signals,
    /// Notifications that could not be read.
    Letters,
    /// Somebody removed files of ours, and may not be done with it.
    Losses,
}

/// The running daemon.
pub struct Daemon {
    now: Instant,
    /// When somebody on the socket was served last.
    asked_at: Instant,
    born: Instant,
    reactor: Reactor,
    engine: Engine,
    alarms: TimerQueue<Alarm>,
    /// With more alarms than this it is worth a look which of them are forgotten.
    alarms_kept: usize,
    roster: Roster,
    children: Children,
    spawner: Spawner,
    memory: Memory,
    orphans: Orphans,
    streams: Streams,
    connections: Connections,
    orders: Orders,
    waits: Waits,
    watchers: Watchers,
    history: History,
    recorder: Recorder,
    annals: Annals,
    events: Events,
    metrics: Metrics,
    probes: Probes,
    presses: Presses,
    notices: Notices,
    signals: Signals,
    settings: Settings,
    duty: Duty,
    pidfile_place: Option<PathWatch>,
    config_path: PathBuf,
    /// Reloads that wait for the one under way, and who asked for each.
    reloads: VecDeque<(Ticket, String)>,
    reload_under_way: bool,
    /// Updates whose reload is done, and who is to be restarted.
    renewals: VecDeque<Renewal>,
    closing: bool,
    /// A program ended whose end is to be ours; a shutdown follows in the same turn or the next.
    last_word: Option<LastWord>,
    /// SIGTERM or SIGINT came.
    terminated: bool,
    /// What we end with instead of our own verdict.
    exit_code: Option<i32>,
    finished: Option<Vec<InstanceId>>,
    deaths: Vec<Key>,
    verdicts: Vec<Key>,
    arrivals: Vec<Arrival>,
    sweep_armed: bool,
    /// When the groups that outlive their leaders are asked next, and how long that wait is.
    linger: Option<(Instant, Duration)>,
    stale_events: u64,
    /// What the kernel said in this turn.
    marks: Vec<Option<Mark>>,
    last_reply: LastReply,
    /// It will be looked again for files of ours that are gone.
    losses_armed: bool,
}

impl Daemon {
    /// Turns until the shutdown is complete; returns the exit code.
    pub fn run(&mut self) -> i32 {
        loop {
            let is_late = match self.wait_and_mark() {
                Ok(is_late) => is_late,
                Err(error) => {
                    // Nothing can be heard any more; the children are stopped by their pdeathsig or the next start.
                    log::error!("waiting for events failed: {error}");
                    return 1;
                }
            };
            let woke = self.now;
            self.hear_notices();
            self.hear_deaths();
            if is_late {
                // Of these nobody tells us.
                self.check_lingering();
            }
            self.hear_probes();
            self.fire_deadlines();
            self.obey_programs();
            self.obey_signals();
            self.serve();
            self.reload_queued();
            self.restart_renewed();
            self.launch_queued();
            self.ask_queued();
            self.tell_losses();
            self.forget_alarms();
            self.save_children();
            self.write_annals();
            self.wake_followers();
            self.tell_progress();
            self.press_rotated();
            self.metrics.note_turn(woke);
            if let Some(survivors) = self.finished.take() {
                return self.end(&survivors);
            }
        }
    }

    /// Tells the engine something and does what it decides.
    fn feed(&mut self, input: Input) {
        log::debug!("engine hears {input:?}");
        self.engine.handle(self.now, input);
        self.perform_all();
    }

    fn perform_all(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            log::debug!("engine wants {effect:?}");
            if let Some(answer) = self.perform(effect) {
                log::debug!("engine hears {answer:?}");
                self.engine.handle(self.now, answer);
            }
        }
        self.roster.tidy();
    }

    /// Tells whether it woke late.
    fn wait_and_mark(&mut self) -> std::io::Result<bool> {
        let deadline = self.next_deadline();
        self.reactor.wait(self.now, deadline)?;
        self.now = clock::monotonic();
        self.mark();
        // What happened, also while we were stopped, must be known before any deadline is called missed.
        let is_late = deadline.is_some_and(|at| self.now.since(at) > LATE);
        let mut asks = is_late;
        for _ in 0..ASKS_MAX {
            if !(asks || self.reactor.has_more() && self.is_anything_due()) {
                break;
            }
            asks = false;
            self.reactor.wait(self.now, Some(self.now))?;
            self.mark();
        }
        if is_late {
            // Letters may be more than are read in one turn, and whoever found no room for one still waits for that.
            self.feed(Input::Away);
        }
        Ok(is_late)
    }

    fn is_anything_due(&self) -> bool {
        let timers = [self.engine.poll_timeout(), self.alarms.next_deadline()];
        timers.into_iter().flatten().any(|at| at <= self.now)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let has_work = self.can_launch() || self.probes.has_work() || self.notices.has_work() || self.reload_is_due();
        if has_work || self.finished.is_some() || self.last_word.is_some() {
            return Some(self.now);
        }
        let launch = self.next_launch();
        let timers = [self.engine.poll_timeout(), self.alarms.next_deadline(), self.streams.next_rest(), launch];
        timers.into_iter().flatten().min()
    }

    /// Only notes who is ready; nothing is handled here.
    fn mark(&mut self) {
        let mut marks = std::mem::take(&mut self.marks);
        marks.extend(self.reactor.marks());
        for mark in marks.drain(..) {
            let found = mark.is_some_and(|mark| match mark.id.kind {
                Kind::Signals => self.take_signals(),
                Kind::Listener => self.connections.mark_listener(&mut self.reactor.ready),
                Kind::Place if mark.id == PIDFILE_PLACE => self.take_pidfile_news(),
                Kind::Place if mark.id == NOTICES_PLACE => self.take_notices_news(),
                Kind::Place => self.connections.mark_place(),
                Kind::Conn => self.connections.mark(mark, &mut self.reactor.ready),
                Kind::Output => self.streams.mark(mark, &mut self.reactor.ready),
                Kind::Probe => self.probes.mark(mark.id.key),
                Kind::Names => self.probes.mark_names(),
                Kind::Notify => self.notices.mark(),
                Kind::Child => note(&mut self.deaths, mark.id.key, self.children.get(mark.id.key).is_some()),
                Kind::Verdict => note(&mut self.verdicts, mark.id.key, self.children.get(mark.id.key).is_some()),
            });
            self.stale_events += u64::from(!found);
        }
        self.marks = marks;
    }

    /// Empties the watch, so that its next event is heard, and looks.
    fn take_pidfile_news(&mut self) -> bool {
        if let Some(Err(error)) = self.pidfile_place.as_mut().map(PathWatch::lost) {
            log::error!("watching the pidfile's folder failed: {error}");
        }
        self.settings.tell_lost_lock();
        self.suspect_losses();
        true
    }

    /// A file of ours was removed, or somebody thinks so: then others may be gone as well, or go in a moment.
    fn suspect_losses(&mut self) {
        self.restore_losses();
        self.look_for_losses_again();
    }

    fn restore_losses(&mut self) {
        self.restore_memory();
        if !self.closing && !self.restore_notices() {
            self.look_for_losses_again();
        }
    }

    fn look_for_losses_again(&mut self) {
        if !std::mem::replace(&mut self.losses_armed, true) {
            self.arm(LOSSES_AGAIN, Alarm::Losses);
        }
    }

    fn take_signals(&mut self) -> bool {
        loop {
            match self.signals.next() {
                Ok(Some(arrival)) => self.arrivals.push(arrival),
                Ok(None) => return true,
                Err(error) => {
                    log::error!("reading signals failed, tried again in a second: {error}");
                    // One that waits to be read is not announced twice.
                    self.arm(SIGNALS_AGAIN, Alarm::Signals);
                    return true;
                }
            }
        }
    }

    fn fire_deadlines(&mut self) {
        self.engine.handle_timeout(self.now);
        self.perform_all();
        self.streams.end_rests(self.now, &mut self.reactor.ready);
        while let Some((stamp, alarm)) = self.alarms.pop_due(self.now) {
            match alarm {
                Alarm::Conn(key) => self.conn_overdue(key, stamp),
                Alarm::Accept => self.accept_again(),
                Alarm::Linger => self.lingering_due(),
                Alarm::Sweep => self.sweep_due(),
                Alarm::Logs => self.retry_logs(),
                Alarm::Press => self.press_again(),
                Alarm::Rebind => self.rebind_again(),
                Alarm::Memory => self.memory_due(),
                Alarm::Orphans => self.orphans_due(),
                Alarm::ProbeShare(key) => self.share_over(key, stamp),
                Alarm::ProbeFlood => self.discard_floods(),
                Alarm::ProbeLinger => self.check_lingering_probes(),
                Alarm::Waits => self.waits_due(),
                Alarm::Progress => self.progress_due(),
                Alarm::Watch => self.watch_again(),
                Alarm::Kill => self.kill_again(),
                Alarm::Verdict => self.hear_verdicts_again(),
                Alarm::Signals => _ = self.take_signals(),
                Alarm::Letters => _ = self.notices.mark(),
                Alarm::Losses => {
                    self.losses_armed = false;
                    self.restore_losses();
                }
            }
        }
        debug_assert!({
            self.engine.check_invariants();
            true
        });
    }

    /// What connections and checks waited for and had is no reason to wake up, nor to be kept for long.
    fn forget_alarms(&mut self) {
        let (connections, probes, linger, children) = (&self.connections, &self.probes, self.linger, &self.children);
        let holds = |alarm: &Alarm, stamp: Stamp| match *alarm {
            Alarm::Conn(key) => connections.waits_for(key, stamp),
            Alarm::ProbeShare(key) => probes.waits_for(key, stamp),
            Alarm::Linger => linger.is_some(),
            Alarm::Verdict => children.any_unheard(),
            Alarm::Accept
            | Alarm::Sweep
            | Alarm::Logs
            | Alarm::Press
            | Alarm::Rebind
            | Alarm::Memory
            | Alarm::Orphans
            | Alarm::ProbeFlood
            | Alarm::ProbeLinger
            | Alarm::Waits
            | Alarm::Progress
            | Alarm::Watch
            | Alarm::Kill
            | Alarm::Signals
            | Alarm::Letters
            | Alarm::Losses => true,
        };
        if self.alarms.len() > self.alarms_kept {
            self.alarms.sweep(holds);
            self.alarms_kept = ALARMS_KEPT.max(2 * self.alarms.len());
        }
        self.alarms.skim(holds);
    }

    fn obey_signals(&mut self) {
        for arrival in std::mem::take(&mut self.arrivals) {
            match arrival {
                Arrival::Terminate(signal) => self.terminate(signal),
                Arrival::Hangup => self.reload(Wish::Reload, None),
                Arrival::User1 => {
                    self.rebind();
                    self.settings.tell_lost_lock();
                    self.suspect_losses();
                }
                Arrival::User2 => {
                    self.reopen_logs();
                }
                Arrival::Child => {}
            }
        }
        if self.connections.place_lost() {
            self.rebind();
            self.suspect_losses();
        }
    }

    /// Serves each source that was ready when the round began once, within its budget: those who ask first, then streams
    /// until the turn has moved enough.
    fn serve(&mut self) {
        let (control, bytes) = self.reactor.ready.waiting();
        for _ in 0..control {
            let Some(id) = self.reactor.ready.pop_control() else { break };
            match id.kind {
                Kind::Conn => self.serve_conn(id.key),
                Kind::Listener => self.accept(),
                kind => unreachable!("{kind:?} is handled when it is marked and never queued"),
            }
        }
        if control > 0 {
            self.asked_at = self.now;
        }
        let turn = if self.now.since(self.asked_at) < ASKED_LATELY { SHORT_TURN } else { TURN_BUDGET };
        let mut moved = 0;
        for _ in 0..bytes {
            let Some(id) = self.reactor.ready.pop_bytes() else { break };
            moved += self.serve_stream(id.key, turn);
            if moved >= turn {
                break;
            }
        }
    }

    fn arm(&mut self, after: Duration, alarm: Alarm) -> crate::engine::id::Stamp {
        self.alarms.arm(self.now + after, alarm)
    }
}

fn note(list: &mut Vec<Key>, key: Key, exists: bool) -> bool {
    if exists {
        list.push(key);
    }
    exists
}

fn source(kind: Kind, key: Key) -> SourceId {
    SourceId { kind, key }
}
