//! What an instance does when the world tells it something about its run, or when a deadline of its phase is over.

use super::*;

/// A fresh child that has not told how its exec went after this long never will.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(60);

impl Instance {
    pub(in crate::engine) fn on_spawned(&mut self, pid: Pid, out: &mut Outbox) {
        let Phase::Starting { run, step: Step::Queued } = self.phase else { return };
        let run = Run { pid: Some(pid), since: out.now, ..run };
        let verdict = out.arm_after(VERDICT_TIMEOUT, Waiter::Instance(self.id));
        self.enter(Phase::Starting { run, step: Step::Made { verdict } }, out);
        out.publish(Event::Spawned { run: run.id, pid });
    }

    pub(in crate::engine) fn on_exec_ok(&mut self, out: &mut Outbox) {
        match self.phase {
            Phase::Starting { run, step: Step::Made { .. } } => self.wait_until_ready(run, out),
            // The SIGKILL of a stop before the exec reached the leader alone; children it made since are told now.
            Phase::Stopping {
                run,
                leader: Leader::Alive,
                stage: StopStage::Killed { .. } | StopStage::Unkillable,
                ..
            } => {
                out.put(Effect::Signal { run: run.id, signal: Signal::KILL });
            }
            Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Running { .. }
            | Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Fatal => {}
        }
    }

    /// The program runs; what it still has to do is what the policy asks for.
    fn wait_until_ready(&mut self, run: Run, out: &mut Outbox) {
        let wait = self.policy.ready_timeout;
        let step = match (self.policy.readiness, &self.policy.health) {
            (Readiness::Notified, _) => Step::Notice { deadline: Patience::new(wait, self.id, out) },
            (Readiness::Checked, Some(_)) => {
                Step::Checks { deadline: Patience::new(wait, self.id, out), health: Health::begin_awaited(run.id, out) }
            }
            // A reload may have taken the checks away since the launch.
            (Readiness::Lived, _) | (Readiness::Checked, None) => {
                if self.policy.start_secs == Duration::ZERO {
                    return self.run_on(run, out);
                }
                // Overdue or not, the gate is a deadline: a death in the same breath comes first, and it never was RUNNING.
                let gate = out.timers.arm(run.since + self.policy.start_secs, Waiter::Instance(self.id));
                Step::Gate { gate }
            }
        };
        self.enter(Phase::Starting { run, step }, out);
    }

    pub(in crate::engine) fn on_ready(&mut self, out: &mut Outbox) {
        if let Phase::Starting { run, step: Step::Notice { .. } } = self.phase {
            self.run_on(run, out);
        }
    }

    pub(in crate::engine) fn on_ping(&mut self, out: &mut Outbox) {
        let Phase::Running { run, mut health } = self.phase else { return };
        let finding = health.on_ping(self.policy.health.is_some(), run.id, out);
        self.enter(Phase::Running { run, health }, out);
        self.act_on(finding, run, out);
    }

    /// Nobody listened for a while.
    pub(in crate::engine) fn on_away(&mut self, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Starting { step: Step::Notice { deadline }, .. } => {
                deadline.renew(self.policy.ready_timeout, self.id, out);
            }
            Phase::Starting { run, step: Step::Checks { deadline, health } } => {
                deadline.renew(self.policy.ready_timeout, self.id, out);
                health.on_away(self.policy.health.as_ref(), run.id, out);
            }
            Phase::Running { run, health } => health.on_away(self.policy.health.as_ref(), run.id, out),
            // What these wait for is time, or the end of a process, which nobody has to say.
            Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Fatal => {}
        }
    }

    pub(in crate::engine) fn on_spawn_failed(&mut self, error: SpawnError, out: &mut Outbox) {
        match self.phase {
            Phase::Starting { mut step, .. } => {
                step.hush(out);
                let next = self.attempt_without_exec(error, out);
                self.follow(next, out);
            }
            Phase::Stopping { leader: Leader::Alive, then, .. } => self.follow(then, out),
            Phase::Stopping { leader: Leader::Reaped, .. }
            | Phase::Running { .. }
            | Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Fatal => {}
        }
    }

    pub(in crate::engine) fn on_exited(&mut self, status: ExitStatus, leftovers: bool, out: &mut Outbox) {
        match self.phase {
            Phase::Starting {
                run,
                step: mut step @ (Step::Made { .. } | Step::Gate { .. } | Step::Notice { .. } | Step::Checks { .. }),
            } => {
                step.hush(out);
                self.tell_exit(run, status, false, leftovers, out);
                self.last_cause = Some(Cause::Exit(status));
                let next = self.attempt_failed(self.policy.restart_wanted(status));
                self.clear_away(run, leftovers, next, out);
            }
            Phase::Running { run, mut health } => {
                health.hush(out);
                self.tell_exit(run, status, false, leftovers, out);
                self.last_cause = Some(Cause::Exit(status));
                self.enter(Phase::Exited, out);
                let next = self.life_over(status, out.now.since(run.since));
                self.clear_away(run, leftovers, next, out);
            }
            Phase::Stopping { run, leader: Leader::Alive, stage, then } => {
                self.tell_exit(run, status, true, leftovers, out);
                if leftovers {
                    self.enter(Phase::Stopping { run, leader: Leader::Reaped, stage, then }, out);
                } else {
                    self.follow(then, out);
                }
            }
            Phase::Starting { step: Step::Queued, .. }
            | Phase::Stopping { leader: Leader::Reaped, .. }
            | Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Fatal => {}
        }
    }

    pub(in crate::engine) fn on_group_empty(&mut self, out: &mut Outbox) {
        if let Phase::Stopping { leader: Leader::Reaped, then, .. } = self.phase {
            self.follow(then, out);
        }
    }

    pub(in crate::engine) fn on_probe(&mut self, probe: ProbeId, result: ProbeResult, out: &mut Outbox) {
        let Some(policy) = &self.policy.health else { return };
        match self.phase {
            Phase::Running { run, mut health } => {
                let finding = health.on_answer(probe, result, policy, out);
                self.enter(Phase::Running { run, health }, out);
                self.act_on(finding, run, out);
            }
            Phase::Starting { run, step: Step::Checks { deadline, mut health } } => {
                match health.on_answer(probe, result, policy, out) {
                    Finding::Well => {
                        self.sick_restarts = 0;
                        self.run_on_with(health, run, out);
                    }
                    Finding::Same | Finding::Sick | Finding::Hung => {
                        self.enter(Phase::Starting { run, step: Step::Checks { deadline, health } }, out);
                    }
                }
            }
            Phase::Starting { .. }
            | Phase::Stopping { .. }
            | Phase::Stopped
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Fatal => {}
        }
    }

    /// A deadline that its phase waits for.
    pub(in crate::engine) fn on_deadline(&mut self, stamp: Stamp, out: &mut Outbox) {
        match self.phase {
            Phase::Backoff { .. } => self.launch(out),
            Phase::Starting { step: Step::Queued, .. } => {}
            Phase::Starting { run, step: Step::Made { .. } } => self.verdict_overdue(run, out),
            Phase::Starting { run, step: Step::Gate { .. } } => self.run_on(run, out),
            Phase::Starting { run, step: Step::Notice { .. } } => self.ready_overdue(run, out),
            Phase::Starting { run, step: Step::Checks { deadline, mut health } } if deadline.ends_with(stamp) => {
                health.hush(out);
                self.ready_overdue(run, out);
            }
            Phase::Starting { run, step: Step::Checks { deadline, mut health } } => {
                health.on_deadline(stamp, self.policy.health.as_ref(), run.id, out);
                self.enter(Phase::Starting { run, step: Step::Checks { deadline, health } }, out);
            }
            Phase::Running { run, mut health } => {
                let finding = health.on_deadline(stamp, self.policy.health.as_ref(), run.id, out);
                self.enter(Phase::Running { run, health }, out);
                self.act_on(finding, run, out);
            }
            Phase::Stopping { stage: StopStage::Asked { .. }, .. } => self.kill_late(out),
            Phase::Stopping { run, leader, stage: StopStage::Killed { .. }, then } => {
                out.publish(Event::Unkillable { run: run.id });
                // What cannot be killed does not keep the others from their end.
                self.note_end(then, out);
                let then = if then == AfterStop::Leave { AfterStop::Leave } else { AfterStop::Stay };
                self.enter(Phase::Stopping { run, leader, stage: StopStage::Unkillable, then }, out);
                out.note(Note::Stuck(self.id));
            }
            Phase::Stopping { stage: StopStage::Unkillable, .. } | Phase::Stopped | Phase::Exited | Phase::Fatal => {}
        }
    }

    fn attempt_failed(&mut self, retry_wanted: bool) -> AfterStop {
        if !retry_wanted {
            return AfterStop::Exit;
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > self.policy.start_retries {
            AfterStop::Fatal
        } else {
            AfterStop::Backoff { failures: self.attempts }
        }
    }

    fn attempt_without_exec(&mut self, error: SpawnError, out: &mut Outbox) -> AfterStop {
        if let Some(run) = self.run() {
            out.publish(Event::SpawnFailed { run: run.id, error });
        }
        self.last_cause = Some(Cause::Spawn(error));
        match error.class {
            FailureClass::Shortage => AfterStop::Backoff { failures: 1 },
            FailureClass::Permanent => AfterStop::Fatal,
            FailureClass::Ordinary => self.attempt_failed(self.policy.retry_wanted()),
        }
    }

    /// The exec hangs, on a dead disk perhaps; the attempt failed, and its child has to go.
    fn verdict_overdue(&mut self, run: Run, out: &mut Outbox) {
        let error = SpawnError { stage: SpawnStage::Verdict, errno: 0, class: FailureClass::Ordinary };
        let next = self.attempt_without_exec(error, out);
        self.begin_stop(run, next, true, out);
    }

    /// It runs, but it did not become ready: the attempt failed, and it has to go.
    fn ready_overdue(&mut self, run: Run, out: &mut Outbox) {
        out.publish(Event::ReadyTimedOut { run: run.id, within: self.policy.ready_timeout });
        self.last_cause = Some(Cause::NotReady);
        let next = self.attempt_failed(self.policy.retry_wanted());
        self.begin_stop(run, next, false, out);
    }

    fn life_over(&self, status: ExitStatus, lived: Duration) -> AfterStop {
        if !self.policy.restart_wanted(status) {
            AfterStop::Exit
        } else if lived >= PACE {
            AfterStop::Launch
        } else {
            AfterStop::Backoff { failures: 1 }
        }
    }

    fn act_on(&mut self, finding: Finding, run: Run, out: &mut Outbox) {
        match finding {
            Finding::Same => {}
            Finding::Well => self.sick_restarts = 0,
            Finding::Sick => self.fell_ill(Cause::Unhealthy, run, out),
            Finding::Hung => self.fell_ill(Cause::Hung, run, out),
        }
    }

    fn fell_ill(&mut self, cause: Cause, run: Run, out: &mut Outbox) {
        self.last_cause = Some(cause);
        if self.policy.retry_wanted() {
            self.restart_sick(run, out);
        }
    }

    pub(super) fn restart_sick(&mut self, run: Run, out: &mut Outbox) {
        self.sick_restarts = self.sick_restarts.saturating_add(1);
        let (count, limit) = (self.sick_restarts, self.policy.start_retries);
        if count > limit {
            return self.stop(AfterStop::Fatal, false, out);
        }
        out.publish(Event::HealthRestart { run: run.id, count, limit });
        self.stop(AfterStop::Backoff { failures: count }, false, out);
    }

    fn is_listed(&self, status: ExitStatus) -> bool {
        match status {
            ExitStatus::Code(code) => self.policy.exitcodes.contains(&code),
            ExitStatus::Signal { .. } => false,
        }
    }

    fn tell_exit(&self, run: Run, status: ExitStatus, asked: bool, leftovers: bool, out: &mut Outbox) {
        let Some(pid) = run.pid else { return };
        let lived = out.now.since(run.since);
        let expected = asked || self.is_listed(status);
        out.publish(Event::Exited { run: run.id, pid, status, lived, asked, expected, leftovers });
    }

    /// The leader died unasked: what is left of its group goes before anything else happens, unless that is allowed to stay.
    fn clear_away(&mut self, run: Run, leftovers: bool, then: AfterStop, out: &mut Outbox) {
        if !leftovers || self.policy.allow_leftover {
            return self.follow(then, out);
        }
        self.enter(Phase::Exited, out);
        let stage = self.send_stop(run.id, out);
        self.enter(Phase::Stopping { run, leader: Leader::Reaped, stage, then }, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::message::{Cause, ExitStatus, FailureClass, ProbeResult, State};
    use crate::engine::policy::{Autorestart, Policy};
    use crate::engine::rig::{BAD, OK, Rig, checked, error, policy, seconds};
    use crate::engine::time::Duration;

    fn never() -> Policy {
        Policy { autorestart: Autorestart::Never, ..policy() }
    }

    #[test]
    fn it_is_running_when_it_has_lived_long_enough_since_the_spawn() {
        let mut rig = Rig::queued(policy());
        rig.wait(seconds(5));
        assert_eq!(rig.spawned(), ["spawned 1 101"]);
        rig.wait(Duration::from_millis(400));
        assert!(rig.exec_ok().is_empty());
        assert!(rig.wait(Duration::from_millis(599)).is_empty());
        assert_eq!(rig.wait(Duration::from_millis(1)), ["STARTING>RUNNING", "reply 1 Done"]);
    }

    #[test]
    fn it_is_never_running_before_its_exec() {
        let mut rig = Rig::made(policy());
        assert!(rig.wait(seconds(5)).is_empty());
        assert!(rig.exec_ok().is_empty());
        assert_eq!(rig.wait(Duration::ZERO), ["STARTING>RUNNING", "reply 1 Done"]);
    }

    #[test]
    fn a_death_that_comes_with_the_verdict_comes_first() {
        let mut rig = Rig::made(policy());
        rig.wait(seconds(5));
        rig.exec_ok();
        assert_eq!(rig.exited(BAD)[1..], ["STARTING>BACKOFF 1s", "reply 1 Failed BACKOFF"]);
    }

    #[test]
    fn without_start_secs_it_is_running_at_its_exec() {
        let mut rig = Rig::made(Policy { start_secs: Duration::ZERO, ..policy() });
        assert_eq!(rig.exec_ok(), ["STARTING>RUNNING", "reply 1 Done"]);
    }

    #[test]
    fn failed_attempts_wait_longer_and_longer_then_it_is_given_up() {
        let mut rig = Rig::queued(policy());
        for (serial, wait) in [(1, 1), (2, 2), (3, 3)] {
            let told = rig.spawn_failed(FailureClass::Ordinary);
            assert_eq!(told[..2], [format!("spawn failed {serial}"), format!("STARTING>BACKOFF {wait}s")]);
            assert_eq!(rig.instance().attempts(), serial);
            let told = rig.wait(Duration::from_millis(wait * 1100));
            assert_eq!(told, [String::from("BACKOFF>STARTING"), format!("spawn {}", serial + 1)]);
        }
        assert_eq!(rig.spawn_failed(FailureClass::Ordinary), ["spawn failed 4", "STARTING>FATAL"]);
        assert!(rig.wait(seconds(999)).is_empty());
    }

    #[test]
    fn a_start_is_answered_at_its_first_failed_attempt() {
        let mut rig = Rig::starting(policy());
        assert_eq!(rig.exited(BAD), ["exited 1 1 unexpected", "STARTING>BACKOFF 1s", "reply 1 Failed BACKOFF"]);
        assert_eq!(rig.instance().last_cause(), Some(Cause::Exit(BAD)));
        let mut rig = Rig::starting(never());
        assert_eq!(rig.exited(OK), ["exited 1 0 expected", "STARTING>EXITED", "reply 1 Failed EXITED"]);
        let mut rig = Rig::queued(policy());
        let told = rig.spawn_failed(FailureClass::Permanent);
        assert_eq!(told, ["spawn failed 1", "STARTING>FATAL", "reply 1 Failed FATAL"]);
    }

    #[test]
    fn a_shortage_counts_as_no_attempt_however_often_it_comes() {
        let mut rig = Rig::queued(Policy { start_retries: 0, ..never() });
        for _ in 0..20 {
            assert_eq!(rig.spawn_failed(FailureClass::Shortage)[1], "STARTING>BACKOFF 1s");
            assert_eq!(rig.instance().attempts(), 0);
            assert_eq!(rig.wait(Duration::from_millis(1100))[0], "BACKOFF>STARTING");
        }
    }

    #[test]
    fn running_clears_the_attempts() {
        let mut rig = Rig::backoff(policy());
        rig.wait(Duration::from_millis(1100));
        assert_eq!(rig.instance().attempts(), 1);
        rig.spawned();
        rig.exec_ok();
        rig.wait(seconds(1));
        assert_eq!((rig.state(), rig.instance().attempts()), (State::Running, 0));
    }

    #[test]
    fn an_exec_without_a_verdict_is_a_failed_attempt_after_a_minute() {
        let mut rig = Rig::queued(policy());
        rig.wait(seconds(100));
        rig.spawned();
        assert!(rig.wait(Duration::from_millis(59_999)).is_empty());
        assert_eq!(rig.wait(Duration::from_millis(1)), ["spawn failed 1", "signal 1 KILL", "STARTING>STOPPING"]);
        let told = ["STOPPING>BACKOFF 1s", "reply 1 Failed BACKOFF"];
        assert_eq!(rig.spawn_failed(FailureClass::Ordinary), told);
        assert_eq!(rig.instance().attempts(), 1);
    }

    #[test]
    fn an_exec_that_was_through_when_sigkill_came_has_its_children_killed_too() {
        let mut rig = Rig::made(policy());
        rig.stop();
        assert_eq!(rig.exec_ok(), ["signal 1 KILL"]);
        assert_eq!(rig.exited_with_leftovers(BAD), ["exited 1 1 expected, leftovers"]);
        assert_eq!(rig.group_empty(), ["STOPPING>STOPPED", "reply 2 Done"]);
    }

    #[test]
    fn an_exec_that_is_told_twice_harms_nobody() {
        let mut rig = Rig::stopping(policy());
        assert!(rig.exec_ok().is_empty());
        assert!(Rig::running(policy()).exec_ok().is_empty());
    }

    #[test]
    fn what_lived_a_second_is_restarted_at_once() {
        let mut rig = Rig::running(policy());
        let told = ["exited 1 1 unexpected", "RUNNING>EXITED", "EXITED>STARTING", "spawn 2"];
        assert_eq!(rig.exited(BAD), told);
    }

    #[test]
    fn what_lived_less_is_restarted_after_a_second() {
        let mut rig = Rig::made(Policy { start_secs: Duration::ZERO, ..policy() });
        rig.exec_ok();
        rig.wait(Duration::from_millis(999));
        assert_eq!(rig.exited(OK), ["exited 1 0 expected", "RUNNING>EXITED", "EXITED>BACKOFF 1s"]);
    }

    #[test]
    fn what_is_not_to_be_restarted_is_not() {
        let mut rig = Rig::running(never());
        assert_eq!(rig.exited(ExitStatus::Signal { number: 11, core: false })[1..], ["RUNNING>EXITED"]);
        let mut rig = Rig::running(Policy { autorestart: Autorestart::Unexpected, ..policy() });
        assert_eq!(rig.exited(OK)[1..], ["RUNNING>EXITED"]);
        assert!(rig.wait(seconds(99)).is_empty());
    }

    #[test]
    fn leftovers_go_before_the_next_run() {
        let mut rig = Rig::running(policy());
        let told = ["exited 1 1 unexpected, leftovers", "RUNNING>EXITED", "signal 1 TERM", "EXITED>STOPPING"];
        assert_eq!(rig.exited_with_leftovers(BAD), told);
        assert_eq!(rig.instance().run().and_then(|run| run.pid), Some(101));
        assert_eq!(rig.wait(seconds(10)), ["stop timed out 1", "signal 1 KILL"]);
        assert_eq!(rig.group_empty(), ["STOPPING>STARTING", "spawn 2"]);
    }

    #[test]
    fn leftovers_of_a_failed_attempt_go_before_the_backoff() {
        let mut rig = Rig::starting(policy());
        let told = [
            "exited 1 1 unexpected, leftovers",
            "STARTING>EXITED",
            "signal 1 TERM",
            "EXITED>STOPPING",
            "reply 1 Failed EXITED",
        ];
        assert_eq!(rig.exited_with_leftovers(BAD), told);
        assert_eq!(rig.group_empty(), ["STOPPING>BACKOFF 1s"]);
    }

    #[test]
    fn leftovers_that_are_allowed_are_left_alone() {
        let mut rig = Rig::running(Policy { allow_leftover: true, ..policy() });
        assert_eq!(rig.exited_with_leftovers(BAD)[1..], ["RUNNING>EXITED", "EXITED>STARTING", "spawn 2"]);
    }

    #[test]
    fn a_stop_waits_for_leftovers_even_where_they_are_allowed() {
        let mut rig = Rig::stopping(Policy { allow_leftover: true, ..policy() });
        assert_eq!(rig.exited_with_leftovers(OK), ["exited 1 0 expected, leftovers"]);
        assert_eq!(rig.group_empty(), ["STOPPING>STOPPED", "reply 2 Done"]);
    }

    #[test]
    fn an_empty_group_of_a_living_leader_is_no_end() {
        let mut rig = Rig::stopping(policy());
        assert!(rig.group_empty().is_empty());
        assert!(Rig::running(policy()).group_empty().is_empty());
    }

    #[test]
    fn a_stop_escalates_and_gives_up_after_a_fruitless_sigkill() {
        let mut rig = Rig::stopping(policy());
        assert!(rig.wait(Duration::from_millis(9999)).is_empty());
        assert_eq!(rig.wait(Duration::from_millis(1)), ["stop timed out 1", "signal 1 KILL"]);
        assert_eq!(rig.wait(seconds(2)), ["unkillable 1", "reply 2 Failed STOPPING"]);
        assert!(rig.wait(seconds(999)).is_empty());
    }

    #[test]
    fn a_restart_that_meets_an_unkillable_run_does_not_fire_later() {
        let mut rig = Rig::running(policy());
        rig.restart();
        assert_eq!(rig.wait(seconds(12))[2..], ["unkillable 1", "reply 2 Failed STOPPING"]);
        assert_eq!(rig.exited(BAD)[1..], ["STOPPING>STOPPED"]);
    }

    #[test]
    fn a_death_that_is_told_twice_counts_once() {
        let mut rig = Rig::stopping(policy());
        rig.exited_with_leftovers(OK);
        assert!(rig.exited(OK).is_empty());
        assert!(rig.spawn_failed(FailureClass::Ordinary).is_empty());
        assert_eq!(rig.state(), State::Stopping);
    }

    #[test]
    fn an_unhealthy_run_is_restarted_then_given_up() {
        let mut rig = Rig::running(Policy { start_retries: 1, ..checked() });
        let told =
            ["failed 1.2 2/2", "RUNNING>UNHEALTHY", "health restart 1 1/1", "signal 1 TERM", "UNHEALTHY>STOPPING"];
        assert_eq!(rig.sicken(), told);
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>BACKOFF 1s"]);
        assert_eq!(rig.instance().last_cause(), Some(Cause::Unhealthy));
        rig.wait(Duration::from_millis(1100));
        rig.spawned();
        rig.exec_ok();
        rig.wait(seconds(1));
        assert_eq!(rig.sicken(), ["failed 2.2 2/2", "RUNNING>UNHEALTHY", "signal 2 TERM", "UNHEALTHY>STOPPING"]);
        assert_eq!(rig.exited(OK)[1..], ["STOPPING>FATAL"]);
    }

    #[test]
    fn a_passed_check_clears_the_count_of_health_restarts() {
        let mut rig = Rig::running(Policy { start_retries: 1, ..checked() });
        rig.sicken();
        rig.exited(OK);
        rig.wait(Duration::from_millis(1100));
        rig.spawned();
        rig.exec_ok();
        rig.wait(seconds(12));
        assert_eq!(rig.answer(1, ProbeResult::Pass), ["passed 2.1 after 0"]);
        rig.wait(seconds(5));
        rig.answer(2, ProbeResult::Fail);
        rig.wait(seconds(5));
        assert_eq!(rig.answer(3, ProbeResult::Fail)[2], "health restart 2 1/1");
    }

    #[test]
    fn without_autorestart_it_stays_unhealthy_until_a_check_passes() {
        let mut rig = Rig::unhealthy();
        assert_eq!(rig.instance().healthy(), Some(false));
        assert_eq!(rig.wait(seconds(5)), ["probe 1.3"]);
        assert_eq!(rig.answer(3, ProbeResult::Fail), ["failed 1.3 3/2"]);
        rig.wait(seconds(5));
        assert_eq!(rig.answer(4, ProbeResult::Pass), ["passed 1.4 after 3", "UNHEALTHY>RUNNING"]);
        assert_eq!(rig.instance().healthy(), Some(true));
    }

    #[test]
    fn the_cause_of_a_failed_start_is_kept() {
        let mut rig = Rig::queued(policy());
        rig.spawn_failed(FailureClass::Permanent);
        assert_eq!(rig.instance().last_cause(), Some(Cause::Spawn(error(FailureClass::Permanent))));
    }
}
