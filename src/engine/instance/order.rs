//! What an instance does when people order it about: start, stop, restart, remove, new settings, the end of the daemon.
//! Each order is one act; who waits for its answer is `job`'s business.

use super::super::message::Event;
use super::*;

impl Instance {
    pub(in crate::engine) fn on_start(&mut self, out: &mut Outbox) -> Taken {
        match self.phase {
            Phase::Stopped | Phase::Backoff { .. } | Phase::Exited | Phase::Fatal => {
                self.forgive();
                self.launch(out);
                Taken::Waits
            }
            Phase::Starting { .. } => {
                self.forgive();
                Taken::Waits
            }
            Phase::Running { .. } => {
                self.sick_restarts = 0;
                Taken::Already
            }
            Phase::Stopping { then: AfterStop::Leave, .. } | Phase::Stopping { stage: StopStage::Unkillable, .. } => {
                Taken::Refused
            }
            Phase::Stopping { .. } => self.redirect(AfterStop::Launch, out),
        }
    }

    pub(in crate::engine) fn on_restart(&mut self, force: bool, out: &mut Outbox) -> Taken {
        match self.phase {
            Phase::Stopped | Phase::Backoff { .. } | Phase::Exited | Phase::Fatal => self.on_start(out),
            Phase::Starting { .. } | Phase::Running { .. } => {
                self.forgive();
                self.stop(AfterStop::Launch, force, out);
                Taken::Waits
            }
            Phase::Stopping { then: AfterStop::Leave, .. } | Phase::Stopping { stage: StopStage::Unkillable, .. } => {
                Taken::Refused
            }
            Phase::Stopping { .. } => {
                if force {
                    self.kill(out);
                }
                self.redirect(AfterStop::Launch, out)
            }
        }
    }

    pub(in crate::engine) fn on_stop(&mut self, out: &mut Outbox) -> Taken {
        self.attempts = 0;
        self.sick_restarts = 0;
        match self.phase {
            Phase::Stopped => Taken::Already,
            Phase::Backoff { .. } | Phase::Exited | Phase::Fatal => {
                self.enter(Phase::Stopped, out);
                Taken::Already
            }
            Phase::Starting { .. } | Phase::Running { .. } => {
                self.stop(AfterStop::Stay, false, out);
                if self.is_down() { Taken::Already } else { Taken::Waits }
            }
            Phase::Stopping { stage: StopStage::Unkillable, .. } => Taken::Refused,
            Phase::Stopping { then: AfterStop::Leave, .. } => Taken::Waits,
            Phase::Stopping { .. } => self.redirect(AfterStop::Stay, out),
        }
    }

    /// As a stop after which it is gone; what cannot be killed goes when it dies after all.
    pub(in crate::engine) fn on_remove(&mut self, out: &mut Outbox) -> Taken {
        let taken = self.on_stop(out);
        match self.phase {
            Phase::Stopping { run, leader, stage, .. } => {
                self.enter(Phase::Stopping { run, leader, stage, then: AfterStop::Leave }, out);
            }
            Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Exited
            | Phase::Fatal => out.note(Note::Gone(self.id)),
        }
        taken
    }

    /// The daemon ends: what is busy stops, what waits waits no more, what is down stays as it is.
    pub(in crate::engine) fn on_shutdown(&mut self, out: &mut Outbox) {
        match self.phase {
            Phase::Stopped | Phase::Exited | Phase::Fatal => {}
            Phase::Backoff { .. } | Phase::Starting { .. } | Phase::Running { .. } | Phase::Stopping { .. } => {
                self.on_stop(out);
            }
        }
    }

    /// What decides about a later moment of a run (its stop, its end, its retries, its health) applies at once; what
    /// the run was started with stays until the next launch.
    pub(in crate::engine) fn on_policy(&mut self, policy: Policy, out: &mut Outbox) {
        if let Phase::Starting { step: Step::Queued, .. } = self.phase {
            // Nothing was started yet: its process is made as the new settings have it.
            (self.policy, self.next_policy) = (Rc::new(policy), None);
            return;
        }
        let was_left_ill = self.state() == State::Unhealthy && !self.policy.retry_wanted();
        let own = Rc::make_mut(&mut self.policy);
        own.autostart = policy.autostart;
        own.autorestart = policy.autorestart;
        own.exitcodes.clone_from(&policy.exitcodes);
        own.allow_leftover = policy.allow_leftover;
        (own.on_exit, own.on_fatal) = (policy.on_exit, policy.on_fatal);
        own.stop_signal = policy.stop_signal;
        if own.stop_timeout != policy.stop_timeout {
            own.stop_timeout = policy.stop_timeout;
            if let Phase::Stopping { stage: StopStage::Asked { deadline }, .. } = &mut self.phase {
                *deadline = out.arm_after(policy.stop_timeout, Waiter::Instance(self.id));
            }
        }
        own.start_retries = policy.start_retries;
        if own.health != policy.health {
            own.health.clone_from(&policy.health);
            self.health_policy_changed(out);
        }
        self.next_policy = Some(Rc::new(policy));
        // Nothing else would ever restart it: it fell ill already.
        if was_left_ill
            && self.policy.retry_wanted()
            && self.state() == State::Unhealthy
            && let Phase::Running { run, .. } = self.phase
        {
            self.restart_sick(run, out);
        }
    }

    /// SIGKILL now, if the stop has not come so far yet.
    pub(in crate::engine) fn kill(&mut self, out: &mut Outbox) {
        let Phase::Stopping { run, leader, stage: StopStage::Asked { .. }, then } = self.phase else { return };
        let stage = self.send_kill(run.id, out);
        self.enter(Phase::Stopping { run, leader, stage, then }, out);
    }

    /// As [`kill`](Self::kill), because the time to stop is over.
    pub(in crate::engine) fn kill_late(&mut self, out: &mut Outbox) {
        if let Phase::Stopping { run, stage: StopStage::Asked { .. }, .. } = self.phase {
            out.publish(Event::StopTimedOut { run: run.id });
            self.kill(out);
        }
    }

    fn redirect(&mut self, to: AfterStop, out: &mut Outbox) -> Taken {
        if let Phase::Stopping { run, leader, stage, .. } = self.phase {
            if to == AfterStop::Launch {
                self.forgive();
            }
            self.enter(Phase::Stopping { run, leader, stage, then: to }, out);
        }
        Taken::Waits
    }

    /// A person wants it up: what went wrong before does not count any more.
    fn forgive(&mut self) {
        self.attempts = 0;
        self.sick_restarts = 0;
        self.last_cause = None;
    }

    fn health_policy_changed(&mut self, out: &mut Outbox) {
        match self.phase {
            Phase::Running { run, mut health } => {
                health.on_policy(self.policy.health.as_ref(), run.id, out);
                self.enter(Phase::Running { run, health }, out);
            }
            Phase::Starting { run, step: Step::Checks { deadline, mut health } } => {
                health.on_policy(self.policy.health.as_ref(), run.id, out);
                if self.policy.health.is_none() {
                    // Nothing is left that could be waited for.
                    return self.run_on_with(health, run, out);
                }
                self.enter(Phase::Starting { run, step: Step::Checks { deadline, health } }, out);
            }
            Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Fatal => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::message::{FailureClass, Input, Signal, State};
    use crate::engine::policy::{Autorestart, Policy, Readiness};
    use crate::engine::rig::{BAD, OK, Rig, checked, notified, policy, seconds};

    #[test]
    fn a_start_launches_what_is_down() {
        for mut rig in [Rig::stopped(policy()), Rig::backoff(policy()), Rig::exited_rig(), Rig::fatal()] {
            let (from, serial) = (rig.state(), rig.run().serial.max(rig.instance().lives) + 1);
            assert_eq!(rig.start(), [format!("{from}>STARTING"), format!("spawn {serial}")]);
            assert_eq!((rig.instance().attempts(), rig.instance().last_cause()), (0, None));
        }
    }

    #[test]
    fn a_start_of_what_is_starting_waits_along() {
        let mut rig = Rig::starting(policy());
        assert!(rig.start().is_empty());
        assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING", "reply 1 Done", "reply 2 Done"]);
    }

    #[test]
    fn a_start_of_what_is_up_is_answered_at_once() {
        assert_eq!(Rig::running(policy()).start(), ["reply 2 AlreadyUp"]);
        assert_eq!(Rig::unhealthy().start(), ["reply 2 AlreadyUp"]);
    }

    #[test]
    fn a_stop_of_what_is_down_is_answered_at_once() {
        assert_eq!(Rig::stopped(policy()).stop(), ["reply 1 Done"]);
        assert_eq!(Rig::backoff(policy()).stop(), ["BACKOFF>STOPPED", "reply 2 Done"]);
        assert_eq!(Rig::exited_rig().stop(), ["EXITED>STOPPED", "reply 2 Done"]);
        assert_eq!(Rig::fatal().stop(), ["FATAL>STOPPED", "reply 2 Done"]);
    }

    #[test]
    fn a_stopped_backoff_never_comes_back() {
        let mut rig = Rig::backoff(policy());
        rig.stop();
        assert!(rig.wait(seconds(60)).is_empty());
        assert_eq!(rig.state(), State::Stopped);
    }

    #[test]
    fn a_stop_asks_then_is_answered_when_it_is_down() {
        let mut rig = Rig::running(policy());
        assert_eq!(rig.stop(), ["signal 1 TERM", "RUNNING>STOPPING"]);
        assert_eq!(rig.exited(OK), ["exited 1 0 expected", "STOPPING>STOPPED", "reply 2 Done"]);
    }

    #[test]
    fn a_stop_uses_the_configured_signal() {
        let mut rig = Rig::running(Policy { stop_signal: Signal(2), ..policy() });
        assert_eq!(rig.stop(), ["signal 1 2", "RUNNING>STOPPING"]);
    }

    #[test]
    fn a_stop_of_what_is_only_asked_for_calls_it_off() {
        let mut rig = Rig::queued(policy());
        assert_eq!(rig.stop(), ["cancel 1", "STARTING>STOPPED", "reply 1 Superseded", "reply 2 Done"]);
        assert_eq!(rig.instance().run(), None);
    }

    #[test]
    fn a_restart_of_what_is_only_asked_for_calls_it_off_and_asks_anew() {
        let mut rig = Rig::queued(policy());
        let told = ["cancel 1", "STARTING>STOPPED", "STOPPED>STARTING", "spawn 2", "reply 1 Superseded"];
        assert_eq!(rig.restart(), told);
    }

    #[test]
    fn a_stop_before_exec_kills_at_once() {
        let mut rig = Rig::made(policy());
        assert_eq!(rig.stop(), ["signal 1 KILL", "STARTING>STOPPING", "reply 1 Superseded"]);
        assert_eq!(rig.spawn_failed(FailureClass::Ordinary), ["STOPPING>STOPPED", "reply 2 Done"]);
        assert_eq!(rig.instance().attempts(), 0);
    }

    #[test]
    fn a_stop_after_exec_asks_first() {
        let mut rig = Rig::starting(policy());
        assert_eq!(rig.stop(), ["signal 1 TERM", "STARTING>STOPPING", "reply 1 Superseded"]);
    }

    #[test]
    fn stops_join() {
        let mut rig = Rig::stopping(policy());
        assert!(rig.stop().is_empty());
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>STOPPED", "reply 2 Done", "reply 3 Done"]);
    }

    #[test]
    fn a_start_overtakes_a_stop_and_launches_when_the_group_is_empty() {
        let mut rig = Rig::stopping(policy());
        assert_eq!(rig.start(), ["reply 2 Superseded"]);
        assert_eq!(rig.exited_with_leftovers(OK), ["exited 1 0 expected, leftovers"]);
        assert_eq!(rig.group_empty(), ["STOPPING>STARTING", "spawn 2"]);
    }

    #[test]
    fn a_stop_overtakes_a_restart() {
        let mut rig = Rig::running(policy());
        assert_eq!(rig.restart(), ["signal 1 TERM", "RUNNING>STOPPING"]);
        assert_eq!(rig.stop(), ["reply 2 Superseded"]);
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>STOPPED", "reply 3 Done"]);
    }

    #[test]
    fn a_restart_is_answered_when_it_is_up_again() {
        let mut rig = Rig::running(policy());
        rig.restart();
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>STARTING", "spawn 2"]);
        rig.spawned();
        rig.exec_ok();
        assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING", "reply 2 Done"]);
    }

    #[test]
    fn a_restart_joins_one_that_is_still_stopping_and_overtakes_a_start() {
        let mut rig = Rig::starting(policy());
        assert_eq!(rig.restart(), ["signal 1 TERM", "STARTING>STOPPING", "reply 1 Superseded"]);
        assert!(rig.restart().is_empty());
        assert!(rig.start().is_empty());
        rig.exited(OK);
        assert_eq!(
            rig.restart(),
            [
                "cancel 2",
                "STARTING>STOPPED",
                "STOPPED>STARTING",
                "spawn 3",
                "reply 2 Superseded",
                "reply 3 Superseded",
                "reply 4 Superseded"
            ]
        );
    }

    #[test]
    fn a_forced_restart_kills() {
        let mut rig = Rig::running(policy());
        assert_eq!(rig.force_restart(), ["signal 1 KILL", "RUNNING>STOPPING"]);
        let mut rig = Rig::stopping(policy());
        assert_eq!(rig.force_restart(), ["signal 1 KILL", "reply 2 Superseded"]);
        assert!(rig.force_restart().is_empty());
    }

    #[test]
    fn an_order_forgets_the_probe_in_flight() {
        let mut rig = Rig::running(checked());
        assert_eq!(rig.wait(seconds(11)), ["probe 1.1"]);
        assert_eq!(rig.stop(), ["hush 1.1", "signal 1 TERM", "RUNNING>STOPPING"]);
    }

    #[test]
    fn what_is_unkillable_takes_no_orders_and_nothing_fires_later() {
        let mut rig = Rig::unkillable(policy());
        assert_eq!(rig.start(), ["reply 3 Failed STOPPING"]);
        assert_eq!(rig.restart(), ["reply 4 Failed STOPPING"]);
        assert_eq!(rig.stop(), ["reply 5 Failed STOPPING"]);
        assert_eq!(rig.exited(BAD), ["exited 1 1 expected", "STOPPING>STOPPED"]);
        assert!(rig.wait(seconds(99)).is_empty());
    }

    #[test]
    fn a_removed_instance_leaves_when_it_is_down() {
        let mut rig = Rig::running(policy());
        assert_eq!(rig.remove(), ["signal 1 TERM", "RUNNING>STOPPING"]);
        assert!(rig.instance().is_leaving());
        assert_eq!(rig.start(), ["reply 3 Failed STOPPING"]);
        assert_eq!(rig.restart(), ["reply 4 Failed STOPPING"]);
        assert!(rig.stop().is_empty());
        let told = ["exited 1 0 expected", "STOPPING>STOPPED", "reply 5 Done", "forget", "reply 2 Done"];
        assert_eq!(rig.exited(OK), told);
        assert!(rig.engine.instance(rig.id).is_none());
    }

    #[test]
    fn a_removed_instance_that_is_down_leaves_at_once() {
        assert_eq!(Rig::stopped(policy()).remove(), ["forget", "reply 1 Done"]);
        assert_eq!(Rig::backoff(policy()).remove(), ["BACKOFF>STOPPED", "forget", "reply 2 Done"]);
        assert_eq!(Rig::exited_rig().remove(), ["EXITED>STOPPED", "forget", "reply 2 Done"]);
        let told = ["cancel 1", "STARTING>STOPPED", "reply 1 Superseded", "forget", "reply 2 Done"];
        assert_eq!(Rig::queued(policy()).remove(), told);
    }

    #[test]
    fn a_removed_instance_that_is_unkillable_is_told_and_leaves_when_it_dies() {
        let mut rig = Rig::unkillable(policy());
        assert_eq!(rig.remove(), ["reply 3 Failed STOPPING"]);
        assert_eq!(rig.exited(BAD), ["exited 1 1 expected", "STOPPING>STOPPED", "forget"]);
    }

    #[test]
    fn what_decides_about_an_end_applies_at_once_and_the_rest_at_the_next_launch() {
        let mut rig = Rig::running(policy());
        let new =
            Policy { stop_signal: Signal(3), autorestart: Autorestart::Never, start_secs: seconds(7), ..policy() };
        assert_eq!(rig.change(new), ["reply 2 Done"]);
        let in_force = |rig: &Rig| (rig.instance().policy().autorestart, rig.instance().policy().start_secs);
        assert_eq!(in_force(&rig), (Autorestart::Never, seconds(1)));
        assert_eq!(rig.restart(), ["signal 1 3", "RUNNING>STOPPING"]);
        rig.exited(OK);
        assert_eq!(in_force(&rig), (Autorestart::Never, seconds(7)));
    }

    #[test]
    fn what_has_no_process_yet_gets_one_by_the_new_settings_and_is_taken_by_them() {
        let mut rig = Rig::queued(notified());
        assert_eq!(rig.change(policy()), ["reply 2 Done"]);
        rig.spawned();
        assert!(rig.exec_ok().is_empty());
        assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING", "reply 1 Done"]);
        rig.restart();
        rig.change(notified());
        rig.exited(OK);
        rig.change(policy());
        rig.spawned();
        rig.exec_ok();
        assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING", "reply 3 Done"]);
        rig.restart();
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>STARTING", "spawn 3"]);
        assert_eq!(rig.instance().policy().readiness, Readiness::Lived);
    }

    #[test]
    fn new_health_settings_apply_at_once() {
        let mut rig = Rig::running(policy());
        rig.change(checked());
        assert_eq!(rig.wait(seconds(11)), ["probe 1.1"]);
        assert_eq!(
            rig.change(policy()),
            ["hush 1.1", "reply 3 Done"].map(String::from).into_iter().rev().collect::<Vec<_>>()
        );
        assert!(rig.wait(seconds(99)).is_empty());
    }

    #[test]
    fn a_run_that_is_checked_no_more_is_not_unhealthy_any_more() {
        let mut rig = Rig::unhealthy();
        let told = rig.change(Policy { autorestart: Autorestart::Never, ..policy() });
        assert_eq!(told, ["reply 2 Done", "UNHEALTHY>RUNNING"]);
        assert_eq!(rig.instance().healthy(), None);
    }

    #[test]
    fn a_run_that_was_left_unhealthy_is_restarted_when_that_is_wanted() {
        let mut rig = Rig::unhealthy();
        let told = ["reply 2 Done", "health restart 1 1/3", "signal 1 TERM", "UNHEALTHY>STOPPING"];
        assert_eq!(rig.change(checked()), told);
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>BACKOFF 1s"]);
    }

    #[test]
    fn an_unknown_instance_cannot_be_started_and_is_not_running() {
        let mut rig = Rig::stopped(policy());
        rig.remove();
        assert_eq!(rig.start(), ["reply 2 Failed STOPPED"]);
        assert_eq!(rig.stop(), ["reply 3 Done"]);
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_not_given_and_the_order_goes_on() {
        let mut rig = Rig::queued(policy());
        assert!(rig.withdraw(1).is_empty());
        assert_eq!(rig.spawned(), ["spawned 1 101"]);
        rig.exec_ok();
        assert_eq!(rig.wait(seconds(1)), ["STARTING>RUNNING"]);
    }

    #[test]
    fn input_about_what_is_past_is_counted_and_changes_nothing() {
        let mut rig = Rig::running(policy());
        let old = rig.run();
        rig.restart();
        rig.exited(OK);
        assert!(rig.hear(Input::Exited { run: old, status: OK, leftovers: false }).is_empty());
        assert!(rig.hear(Input::GroupEmpty { run: old }).is_empty());
        assert_eq!((rig.engine.stale_inputs(), rig.state()), (2, State::Starting));
    }
}
