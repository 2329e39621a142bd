//! The probing of one run: wait, ask, judge; and its watchdog. It says what it found; what follows from that is the
//! instance's business.

use super::id::{ProbeId, RunId, Stamp};
use super::message::{Effect, Event, ProbeResult};
use super::outbox::{Outbox, Waiter};
use super::patience::{Patience, deserves_renewal};
use super::policy::{HealthPolicy, PACE, probe_offset};
use super::time::{Duration, Instant};

/// How long a program that runs has until it is asked for the first time whether it is ready.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// What is known of the health of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The run is to be RUNNING when a check passes; until then none that fails counts.
    Awaited,
    /// No check passed, and not enough of them failed.
    Unknown,
    /// The last word was a check that passed.
    Healthy,
    /// `retries` checks failed in a row, and none passed since.
    Unhealthy,
}

/// What an answer, or its absence, means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing new.
    Same,
    /// A check passed.
    Well,
    /// The last allowed failure in a row.
    Sick,
    /// Silent for longer than the watchdog allows.
    Hung,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probing {
    Off,
    Waiting { until: Stamp, at: Instant },
    InFlight { probe: ProbeId, answer: Patience },
}

/// Listening for a run that says every now and then that it does not hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    Off,
    /// It may be silent until a `period` after it was `heard`; looked at when `until` is over.
    Heard {
        period: Duration,
        heard: Instant,
        until: Stamp,
        /// As if it was heard: nobody listened when it may have spoken.
        was_renewed: bool,
    },
    /// It was silent for too long.
    Missed {
        period: Duration,
    },
}

/// The health of one run that is RUNNING or UNHEALTHY, or that waits to be RUNNING for a check to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    verdict: Verdict,
    failures: u32,
    asked: u32,
    probing: Probing,
    watch: Watch,
}

impl Health {
    /// From RUNNING on: the first question comes after the start period.
    pub(super) fn begin(policy: Option<&HealthPolicy>, run: RunId, out: &mut Outbox) -> Health {
        let mut health = Health::unasked(Verdict::Unknown);
        if let Some(policy) = policy {
            health.wait_first(policy, run, out);
        }
        health
    }

    /// Before RUNNING: the first question comes soon, and the next ones at a quick pace, until a check passes.
    pub(super) fn begin_awaited(run: RunId, out: &mut Outbox) -> Health {
        let mut health = Health::unasked(Verdict::Awaited);
        health.wait(FIRST_LOOK, run, out);
        health
    }

    fn unasked(verdict: Verdict) -> Health {
        Health { verdict, failures: 0, asked: 0, probing: Probing::Off, watch: Watch::Off }
    }

    /// Listens for the run from now on.
    pub(super) fn watch(&mut self, period: Duration, run: RunId, out: &mut Outbox) {
        let until = out.arm_after(period, Waiter::Instance(run.instance));
        self.watch = Watch::Heard { period, heard: out.now, until, was_renewed: false };
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.watch {
            Watch::Missed { .. } => Verdict::Unhealthy,
            Watch::Off | Watch::Heard { .. } => self.verdict,
        }
    }

    /// The question that is open.
    pub(super) fn in_flight(&self) -> Option<ProbeId> {
        match self.probing {
            Probing::InFlight { probe, .. } => Some(probe),
            Probing::Off | Probing::Waiting { .. } => None,
        }
    }

    /// When the next question is due; none while one is open.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.probing {
            Probing::Waiting { at, .. } => Some(at),
            Probing::Off | Probing::InFlight { .. } => None,
        }
    }

    pub(super) fn holds(&self, stamp: Stamp) -> bool {
        let asking = match self.probing {
            Probing::Off => false,
            Probing::Waiting { until, .. } => until == stamp,
            Probing::InFlight { answer, .. } => answer.ends_with(stamp),
        };
        asking || self.watches_for(stamp)
    }

    fn watches_for(&self, stamp: Stamp) -> bool {
        matches!(self.watch, Watch::Heard { until, .. } if until == stamp)
    }

    /// A deadline is over: time to ask, too late for the answer, or silent for too long.
    pub(super) fn on_deadline(
        &mut self,
        stamp: Stamp,
        policy: Option<&HealthPolicy>,
        run: RunId,
        out: &mut Outbox,
    ) -> Finding {
        if self.watches_for(stamp) {
            return self.look_after(run, out);
        }
        let Some(policy) = policy else { return Finding::Same };
        match self.probing {
            Probing::Off => Finding::Same,
            Probing::Waiting { .. } => {
                self.ask(policy, run, out);
                Finding::Same
            }
            Probing::InFlight { probe, .. } => {
                out.put(Effect::CancelProbe { probe });
                let finding = self.failed(probe, true, policy, out);
                self.wait_next(policy, run, out);
                finding
            }
        }
    }

    /// The run says that it does not hang. Where nobody checks it, that is all that is known of its health; where somebody
    /// does, only a check that passes says that it is well.
    pub(super) fn on_ping(&mut self, is_checked: bool, run: RunId, out: &mut Outbox) -> Finding {
        match &mut self.watch {
            Watch::Off => return Finding::Same,
            // Its deadline finds out by itself: a run that talks a lot arms nothing.
            Watch::Heard { heard, was_renewed, .. } => (*heard, *was_renewed) = (out.now, false),
            Watch::Missed { period } => {
                let period = *period;
                self.watch(period, run, out);
            }
        }
        if is_checked {
            return Finding::Same;
        }
        self.verdict = Verdict::Healthy;
        Finding::Well
    }

    fn look_after(&mut self, run: RunId, out: &mut Outbox) -> Finding {
        let Watch::Heard { period, heard, was_renewed, .. } = self.watch else { return Finding::Same };
        let due = heard + period;
        if due > out.now {
            let until = out.timers.arm(due, Waiter::Instance(run.instance));
            self.watch = Watch::Heard { period, heard, until, was_renewed };
            return Finding::Same;
        }
        self.watch = Watch::Missed { period };
        out.publish(Event::WatchdogMissed { run });
        Finding::Hung
    }

    /// Nobody listened for a while: neither for the run nor for the answer to a question.
    pub(super) fn on_away(&mut self, policy: Option<&HealthPolicy>, run: RunId, out: &mut Outbox) {
        if let (Probing::InFlight { answer, .. }, Some(policy)) = (&mut self.probing, policy) {
            answer.renew(policy.timeout, run.instance, out);
        }
        // Its deadline finds out by itself.
        if let Watch::Heard { period, heard, was_renewed, .. } = &mut self.watch
            && deserves_renewal(*heard + *period, *period, *was_renewed, out.now)
        {
            (*heard, *was_renewed) = (out.now, true);
        }
    }

    /// The open question was answered.
    pub(super) fn on_answer(
        &mut self,
        probe: ProbeId,
        result: ProbeResult,
        policy: &HealthPolicy,
        out: &mut Outbox,
    ) -> Finding {
        let finding = match result {
            ProbeResult::Pass => self.passed(probe, out),
            ProbeResult::Fail => self.failed(probe, false, policy, out),
            // As a start that found none: tried again at the same pace, and counted as nothing.
            ProbeResult::NoRoom => {
                self.wait(PACE, probe.run, out);
                return Finding::Same;
            }
        };
        self.wait_next(policy, probe.run, out);
        finding
    }

    /// Other settings from now on. Without any, nobody asks and nothing is known.
    pub(super) fn on_policy(&mut self, policy: Option<&HealthPolicy>, run: RunId, out: &mut Outbox) {
        let Some(policy) = policy else {
            self.hush(out);
            *self = Health { asked: self.asked, watch: self.watch, ..Health::unasked(Verdict::Unknown) };
            return;
        };
        match self.probing {
            Probing::InFlight { .. } => {}
            // Its pace before RUNNING depends on no setting.
            Probing::Waiting { .. } if self.verdict == Verdict::Awaited => {}
            Probing::Off => self.wait_first(policy, run, out),
            Probing::Waiting { .. } if self.asked == 0 => self.wait_first(policy, run, out),
            Probing::Waiting { .. } => self.wait_next(policy, run, out),
        }
    }

    /// Withdraws the open question; the answer would find nobody.
    pub(super) fn hush(&mut self, out: &mut Outbox) {
        if let Some(probe) = self.in_flight() {
            out.put(Effect::CancelProbe { probe });
        }
        self.probing = Probing::Off;
    }

    fn wait_first(&mut self, policy: &HealthPolicy, run: RunId, out: &mut Outbox) {
        let offset = probe_offset(run.instance.0.slot, policy.interval);
        self.wait(policy.start_period.saturating_add(offset), run, out);
    }

    fn wait_next(&mut self, policy: &HealthPolicy, run: RunId, out: &mut Outbox) {
        let pause = if self.verdict == Verdict::Awaited { PACE } else { policy.interval };
        self.wait(pause, run, out);
    }

    fn wait(&mut self, time: Duration, run: RunId, out: &mut Outbox) {
        let at = out.now + time;
        self.probing = Probing::Waiting { until: out.timers.arm(at, Waiter::Instance(run.instance)), at };
    }

    fn ask(&mut self, policy: &HealthPolicy, run: RunId, out: &mut Outbox) {
        self.asked = self.asked.wrapping_add(1);
        let probe = ProbeId { run, serial: self.asked };
        let answer = Patience::new(policy.timeout, run.instance, out);
        self.probing = Probing::InFlight { probe, answer };
        out.put(Effect::StartProbe { probe });
    }

    fn passed(&mut self, probe: ProbeId, out: &mut Outbox) -> Finding {
        out.publish(Event::ProbePassed { probe, after_failures: self.failures });
        self.failures = 0;
        self.verdict = Verdict::Healthy;
        Finding::Well
    }

    fn failed(&mut self, probe: ProbeId, timed_out: bool, policy: &HealthPolicy, out: &mut Outbox) -> Finding {
        if self.verdict == Verdict::Awaited {
            out.publish(Event::NotReadyYet { probe, timed_out });
            return Finding::Same;
        }
        self.failures = self.failures.saturating_add(1);
        let (failures, retries) = (self.failures, policy.retries);
        out.publish(Event::ProbeFailed { probe, failures, retries, timed_out });
        if failures < retries || self.verdict == Verdict::Unhealthy {
            return Finding::Same;
        }
        self.verdict = Verdict::Unhealthy;
        Finding::Sick
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::message::ProbeResult::{Fail, NoRoom, Pass};
    use crate::engine::message::State;
    use crate::engine::policy::{HealthPolicy, Policy};
    use crate::engine::rig::{OK, Rig, checked, seconds};
    use crate::engine::time::Duration;

    #[test]
    fn the_first_check_comes_after_the_start_period_and_its_offset() {
        let mut rig = Rig::running(checked());
        assert!(rig.wait(Duration::from_millis(9999)).is_empty());
        assert_eq!(rig.wait(seconds(1)), ["probe 1.1"]);
    }

    #[test]
    fn the_next_check_comes_an_interval_after_the_end_of_the_last() {
        let mut rig = Rig::running(checked());
        rig.wait(seconds(11));
        assert_eq!(rig.answer(1, Pass), ["passed 1.1 after 0"]);
        assert!(rig.wait(Duration::from_millis(4999)).is_empty());
        assert_eq!(rig.wait(Duration::from_millis(1)), ["probe 1.2"]);
    }

    #[test]
    fn it_is_known_when_the_next_check_is_due() {
        let mut rig = Rig::running(checked());
        let due = |rig: &Rig| rig.instance().next_check_at().map(|at| at.since(rig.now));
        assert!(due(&rig).unwrap() >= seconds(10));
        rig.wait(seconds(11));
        assert_eq!(due(&rig), None);
        rig.answer(1, Pass);
        assert_eq!(due(&rig), Some(seconds(5)));
        rig.exited(OK);
        assert_eq!(due(&rig), None);
    }

    #[test]
    fn single_failures_change_nothing() {
        let mut rig = Rig::running(checked());
        rig.wait(seconds(11));
        assert_eq!(rig.answer(1, Fail), ["failed 1.1 1/2"]);
        assert_eq!(rig.instance().healthy(), None);
        rig.wait(seconds(5));
        assert_eq!(rig.answer(2, Pass), ["passed 1.2 after 1"]);
        rig.wait(seconds(5));
        assert_eq!(rig.answer(3, Fail), ["failed 1.3 1/2"]);
        assert_eq!(rig.instance().healthy(), Some(true));
    }

    #[test]
    fn no_answer_in_time_is_a_failure_and_a_late_one_is_nothing() {
        let mut rig = Rig::running(checked());
        let told = rig.wait(seconds(13));
        assert_eq!(told, ["probe 1.1", "hush 1.1", "failed 1.1 1/2, no answer"]);
        assert!(rig.answer(1, Pass).is_empty());
        assert_eq!((rig.engine.stale_inputs(), rig.instance().healthy()), (1, None));
    }

    #[test]
    fn where_there_is_no_room_to_ask_nobody_fails_and_it_is_asked_again() {
        let mut rig = Rig::running(checked());
        rig.wait(seconds(11));
        for serial in 1..=9 {
            assert!(rig.answer(serial, NoRoom).is_empty());
            assert_eq!(rig.wait(seconds(1)), [format!("probe 1.{}", serial + 1)]);
        }
        assert_eq!((rig.state(), rig.instance().healthy()), (State::Running, None));
    }

    #[test]
    fn an_answer_counts_once() {
        let mut rig = Rig::running(checked());
        rig.wait(seconds(11));
        rig.answer(1, Fail);
        assert!(rig.answer(1, Fail).is_empty());
    }

    #[test]
    fn a_check_ends_with_its_run() {
        let mut rig = Rig::running(checked());
        rig.wait(seconds(11));
        assert_eq!(rig.exited(OK)[0], "hush 1.1");
        assert!(rig.answer(1, Fail).is_empty());
    }

    #[test]
    fn a_shorter_interval_is_taken_up_at_once() {
        let mut rig = Rig::running(checked());
        rig.wait(seconds(11));
        rig.answer(1, Pass);
        let health = HealthPolicy { interval: seconds(1), timeout: seconds(1), retries: 1, start_period: seconds(0) };
        rig.change(Policy { health: Some(health), ..checked() });
        assert_eq!(rig.wait(seconds(1)), ["probe 1.2"]);
        assert_eq!(rig.answer(2, Fail)[..2], ["failed 1.2 1/1", "RUNNING>UNHEALTHY"]);
    }
}
