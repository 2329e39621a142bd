//! Script checks: starting them, hearing them, and seeing that nothing of them stays.

use super::script::{self, Flow, Script};
use super::{Asked, Check, Stage, words};
use crate::daemon::{Alarm, Daemon};
use crate::engine::id::{InstanceId, Key, RunId};
use crate::engine::message::{ExitStatus, FailureClass, ProbeResult, SpawnError, SpawnStage};
use crate::engine::time::{Duration, Instant};
use crate::spec::{InstanceSpec, ProbeTarget};
use crate::sys::spawn::{self, Plan};
use crate::sys::watch::{self, Reap};
use std::os::fd::AsRawFd;
use std::rc::Rc;

/// How often the output of a script that said too much is thrown away.
const DISCARD_EVERY: Duration = Duration::from_millis(5);
/// How often a killed group is asked whether it is empty; after the first second, once a second.
const LINGER_EVERY: Duration = Duration::from_millis(50);
/// What SIGKILL has not ended by then holds the next check of its instance up.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Its run is over, or there is no script: then the engine has withdrawn the question, or is about to.
const NOTHING_TO_ASK: SpawnError = SpawnError { stage: SpawnStage::Exec, errno: 0, class: FailureClass::Ordinary };

impl Daemon {
    pub(super) fn start_script(&mut self, key: Key) {
        let Some(check) = self.probes.table.get(key) else { return };
        let (run, spec) = (check.probe.run, Rc::clone(&check.spec));
        if self.is_stuck(run.instance) {
            return self.script_not_started(key, "the one before cannot be killed");
        }
        let made = self.script_plan(run, &spec).and_then(|plan| {
            let script = Script::spawn(Rc::clone(&plan), key, &self.reactor);
            script.map_err(|error| (error, plan.subject(&error, None)))
        });
        match made {
            Ok(script) => {
                self.probes.by_pid.insert(script.pid, key);
                if let Some(check) = self.probes.table.get_mut(key) {
                    check.stage = Stage::Running(script);
                }
            }
            Err((error, subject)) if error.class == FailureClass::Shortage => {
                self.no_room_to_ask(key, &spawn::describe(&error, &subject));
            }
            Err((error, subject)) => self.script_not_started(key, &spawn::describe(&error, &subject)),
        }
    }

    /// The prepared exec of the script: the question is the latest, but it is put with all that the run was started with,
    /// whatever a reload has for the next one.
    fn script_plan(&mut self, run: RunId, spec: &Rc<InstanceSpec>) -> Result<Rc<Plan>, (SpawnError, String)> {
        let (Some(trace), Some(ProbeTarget::Script { command })) = (self.children.trace_of(run), spec.probe.as_deref())
        else {
            return Err((NOTHING_TO_ASK, String::new()));
        };
        if let Some(Asked { spec: of, program, plan }) = self.probes.plans.get(&run.instance)
            && Rc::ptr_eq(of, spec)
            && Rc::ptr_eq(program, &trace.plan)
        {
            return Ok(Rc::clone(plan));
        }
        let begun_with = &trace.spec.launch;
        let named = |error| (error, begun_with.user.clone().unwrap_or_default());
        let launch = script::launch(command, begun_with);
        let plan = Plan::prepare(&launch, self.spawner.inherited(), trace.plan.user()).map_err(named)?;
        let (plan, program) = (Rc::new(plan), Rc::clone(&trace.plan));
        let asked = Asked { spec: Rc::clone(spec), program, plan: Rc::clone(&plan) };
        self.probes.plans.insert(run.instance, asked);
        Ok(plan)
    }

    fn script_not_started(&mut self, key: Key, why: &str) {
        self.end_check(key, ProbeResult::Fail, format!("Health check script could not be started: {why}"));
    }

    /// Whether an earlier check of this instance outlives its SIGKILL.
    fn is_stuck(&self, instance: InstanceId) -> bool {
        let stuck = |key: &Key| match self.probes.table.get(*key) {
            Some(check @ Check { stage: Stage::Dying(script) | Stage::Lingering(script), .. }) => {
                let since = script.ended_at.map(|at| self.now.since(at));
                check.instance() == instance && since.is_some_and(|since| since >= STUCK_AFTER)
            }
            _ => false,
        };
        self.probes.ending.iter().any(stuck)
    }

    /// Reads what a script says, and throws away what is too much, slowly.
    pub(super) fn listen(&mut self, key: Key) {
        let Some(Check { stage: Stage::Running(script), .. }) = self.probes.table.get_mut(key) else { return };
        let flow = script.listen(&mut self.probes.scratch, &self.reactor);
        if flow == Flow::Flood && !self.probes.flooding.contains(&key) {
            if self.probes.flooding.is_empty() {
                self.arm(DISCARD_EVERY, Alarm::ProbeFlood);
            }
            self.probes.flooding.push(key);
        }
    }

    /// The next pipeful of each script that says too much.
    pub(in crate::daemon) fn discard_floods(&mut self) {
        let mut flooding = std::mem::take(&mut self.probes.flooding);
        flooding.retain(|&key| {
            let Some(Check { stage: Stage::Running(script), .. }) = self.probes.table.get_mut(key) else {
                return false;
            };
            script.discard(&mut self.probes.scratch, &self.reactor) == Flow::Flood
        });
        self.probes.flooding = flooding;
        if !self.probes.flooding.is_empty() {
            self.arm(DISCARD_EVERY, Alarm::ProbeFlood);
        }
    }

    /// Ends a script that nobody waits for.
    pub(super) fn kill_script(&mut self, key: Key) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        match std::mem::replace(&mut check.stage, Stage::Queued) {
            Stage::Running(mut script) => {
                script.hang_up(&self.reactor);
                script.kill(self.now);
                let unkilled = script.is_unkilled();
                check.stage = Stage::Dying(script);
                self.probes.ending.push(key);
                if unkilled {
                    self.look_at_ending_in(STUCK_AFTER);
                }
            }
            other => check.stage = other,
        }
    }

    /// Reaps the script of a check, if it is dead.
    pub(in crate::daemon) fn reap_check(&mut self, key: Key) {
        let stage = self.probes.table.get(key).map(|check| &check.stage);
        let Some(Stage::Running(script) | Stage::Dying(script)) = stage else { return };
        match watch::reap(script.pid, script.pidfd.as_ref()) {
            Ok(Reap::Dry) => {}
            Ok(Reap::Ended(status)) => self.script_over(key, Some(status)),
            Ok(Reap::Unknown) => self.script_over(key, None),
            Err(error) => log::error!("reaping health check {} failed: {error}", script.pid),
        }
    }

    /// Its process is reaped: the answer, then the end of whatever it left behind.
    fn script_over(&mut self, key: Key, status: Option<ExitStatus>) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        let (mut script, asked) = match std::mem::replace(&mut check.stage, Stage::Queued) {
            Stage::Running(script) => (script, true),
            Stage::Dying(script) => (script, false),
            other => {
                check.stage = other;
                return;
            }
        };
        self.probes.by_pid.remove(&script.pid);
        if let Some(fd) = &script.pidfd {
            self.reactor.forget(fd.as_raw_fd());
        }
        script.listen(&mut self.probes.scratch, &self.reactor);
        script.hang_up(&self.reactor);
        let failure = script.failure();
        if asked {
            let (result, message) = judge(status, failure, &script.said());
            if result == ProbeResult::NoRoom {
                self.tell_no_room(&message);
            }
            self.probes.answer(key, result, message);
        }
        if script.kill_leftovers(self.now) {
            self.keep_until_empty(key, script);
        } else {
            self.let_go(key);
        }
    }

    fn keep_until_empty(&mut self, key: Key, script: Script) {
        let Some(check) = self.probes.table.get_mut(key) else { return };
        check.stage = Stage::Lingering(script);
        if !self.probes.ending.contains(&key) {
            self.probes.ending.push(key);
        }
        self.look_at_ending_in(LINGER_EVERY);
    }

    fn look_at_ending_in(&mut self, pause: Duration) {
        if !self.probes.linger_armed {
            self.probes.linger_armed = true;
            self.arm(pause, Alarm::ProbeLinger);
        }
    }

    fn let_go(&mut self, key: Key) {
        self.probes.table.remove(key);
        self.probes.ending.retain(|&other| other != key);
    }

    /// Asks the groups of reaped scripts whether they are empty, and sends SIGKILL again where it could not be sent; comes
    /// back as long as there is any.
    pub(in crate::daemon) fn check_lingering_probes(&mut self) {
        self.probes.linger_armed = false;
        let mut next = None;
        for key in self.probes.ending.clone() {
            let Some(check) = self.probes.table.get_mut(key) else { continue };
            let pause = match &mut check.stage {
                Stage::Dying(script) => see_to_dying(script, self.now),
                Stage::Lingering(script) if script.has_members() => Some(see_to_leftovers(script, self.now)),
                Stage::Lingering(_) => {
                    self.let_go(key);
                    None
                }
                Stage::Queued | Stage::Naming | Stage::Calling(_) | Stage::Running(_) => None,
            };
            next = [next, pause].into_iter().flatten().min();
        }
        if let Some(pause) = next {
            self.look_at_ending_in(pause);
        }
    }
}

/// When to come back; never to one that only has to be reaped.
fn see_to_dying(script: &mut Script, now: Instant) -> Option<Duration> {
    if script.is_unkilled() {
        script.kill(now);
    }
    script.is_unkilled().then_some(STUCK_AFTER)
}

fn see_to_leftovers(script: &mut Script, now: Instant) -> Duration {
    if script.ended_at.is_none_or(|at| now.since(at) < STUCK_AFTER) {
        return LINGER_EVERY;
    }
    if script.is_unkilled() {
        script.kill_leftovers(now);
    }
    STUCK_AFTER
}

fn judge(status: Option<ExitStatus>, failure: Option<(FailureClass, String)>, said: &str) -> (ProbeResult, String) {
    match (failure, status) {
        (Some((FailureClass::Shortage, why)), _) => (ProbeResult::NoRoom, why),
        (Some((_, why)), _) => (ProbeResult::Fail, format!("Health check script could not be started: {why}")),
        (None, Some(status)) => {
            let result = if status == ExitStatus::Code(0) { ProbeResult::Pass } else { ProbeResult::Fail };
            (result, words::ended(status, said))
        }
        (None, None) => (ProbeResult::Fail, "Health check script ended, but its exit status is lost".to_owned()),
    }
}
