//! What is known and meant of one instance: facts of its life, and what is to come after it.

use crate::engine::id::{InstanceId, ProbeId, RunId};
use crate::engine::message::{
    Cause, Effect, ExitStatus, FailureClass, Pid, ProbeResult, Signal, SpawnError, SpawnStage, State,
};
use crate::engine::policy::{Autorestart, Consequence, HealthPolicy, Policy, Readiness};
use crate::engine::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Where expectations are put down.
#[derive(Debug, Default)]
pub struct Desk {
    pub now: Instant,
    pub expected: Vec<Effect>,
    pub reached: Vec<(InstanceId, Reach)>,
}

/// What an order may have waited for.
#[derive(Debug, Clone, Copy)]
pub enum Reach {
    Up,
    Failed(State),
    Down,
    Gone,
    Stuck,
    /// For good, and with it all the others.
    Ended(State),
}

/// What comes when nothing of a life is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Rest,
    Launch,
    Backoff(u32),
    Exited,
    Fatal,
    Gone,
}

/// How it is without a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    Stopped,
    Backoff { from: Instant, until: Instant },
    Exited,
    Fatal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    Off,
    Wait { from: Instant, until: Instant },
    Open { probe: ProbeId, due: Instant, renewed: bool },
}

#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub then: Next,
    pub killed: bool,
    /// When SIGKILL is due, or when it has been in vain.
    pub due: Option<Instant>,
}

#[derive(Debug)]
pub struct Life {
    pub run: RunId,
    pub pid: Option<Pid>,
    pub made: Option<Instant>,
    pub executed: bool,
    pub up: bool,
    pub leader_gone: bool,
    pub ending: Option<Ending>,
    pub asking: Asking,
    pub questions: u32,
    pub failures: u32,
    pub known: Option<bool>,
    /// It has to be ready by then.
    pub ready_by: Option<Instant>,
    pub ready_renewed: bool,
    /// When it was last heard of, if anybody listens.
    pub heard: Option<Instant>,
    pub silence_renewed: bool,
    pub hung: bool,
    /// A question that was due at this moment may have been put, and was called off in the same breath.
    pub cut_short: Option<Instant>,
}

#[derive(Debug)]
pub struct Book {
    pub id: InstanceId,
    pub policy: Policy,
    pub pending: Option<Policy>,
    pub life: Option<Life>,
    pub rest: Rest,
    pub attempts: u32,
    pub sick: u32,
    pub cause: Option<Cause>,
    pub lives: u32,
}

impl Book {
    pub fn new(id: InstanceId, policy: Policy) -> Book {
        let rest = Rest::Stopped;
        Book { id, policy, pending: None, life: None, rest, attempts: 0, sick: 0, cause: None, lives: 0 }
    }

    pub fn state(&self) -> State {
        match (&self.life, self.rest) {
            (Some(life), _) if life.ending.is_some() => State::Stopping,
            (Some(life), _) if life.up && (life.hung || life.known == Some(false)) => State::Unhealthy,
            (Some(life), _) if life.up => State::Running,
            (Some(_), _) => State::Starting,
            (None, Rest::Stopped) => State::Stopped,
            (None, Rest::Backoff { .. }) => State::Backoff,
            (None, Rest::Exited) => State::Exited,
            (None, Rest::Fatal) => State::Fatal,
        }
    }

    pub fn healthy(&self) -> Option<bool> {
        let up = self.life.as_ref().filter(|life| life.up && life.ending.is_none());
        up.and_then(|life| if life.hung { Some(false) } else { life.known })
    }

    pub fn is_leaving(&self) -> bool {
        self.ending().is_some_and(|ending| ending.then == Next::Gone)
    }

    pub fn is_stuck(&self) -> bool {
        self.ending().is_some_and(|ending| ending.killed && ending.due.is_none())
    }

    pub fn ending(&self) -> Option<&Ending> {
        self.life.as_ref().and_then(|life| life.ending.as_ref())
    }
}

/// News.
impl Book {
    pub fn spawned(&mut self, pid: Pid, desk: &mut Desk) {
        if let Some(life) = self.life.as_mut().filter(|life| life.made.is_none()) {
            (life.made, life.pid) = (Some(desk.now), Some(pid));
        }
    }

    pub fn exec_ok(&mut self, desk: &mut Desk) {
        let Some(life) = &mut self.life else { return };
        if life.executed {
            return;
        }
        life.executed = true;
        if life.ending.is_some_and(|ending| ending.killed) && !life.leader_gone {
            desk.expected.push(Effect::Signal { run: life.run, signal: Signal::KILL });
        }
        if life.ending.is_none() {
            self.begin_to_wait(desk);
        }
    }

    fn begin_to_wait(&mut self, desk: &mut Desk) {
        let Some(life) = &mut self.life else { return };
        let ready_by = Some(desk.now + self.policy.ready_timeout);
        match (self.policy.readiness, &self.policy.health) {
            (Readiness::Lived, _) | (Readiness::Checked, None) if self.policy.start_secs > Duration::ZERO => {}
            (Readiness::Lived, _) | (Readiness::Checked, None) => self.come_up(desk),
            (Readiness::Notified, _) => life.ready_by = ready_by,
            (Readiness::Checked, Some(_)) => {
                life.ready_by = ready_by;
                life.wait(Duration::from_millis(100), desk.now);
            }
        }
    }

    pub fn said_ready(&mut self, desk: &mut Desk) {
        let waits = self.life.as_ref().is_some_and(|life| life.ready_by.is_some() && life.ending.is_none());
        if waits && self.policy.readiness == Readiness::Notified {
            self.come_up(desk);
        }
    }

    pub fn pinged(&mut self, desk: &mut Desk) {
        let Some(life) = self.life.as_mut().filter(|life| life.up && life.ending.is_none()) else { return };
        if life.heard.is_none() {
            return;
        }
        (life.heard, life.hung, life.silence_renewed) = (Some(desk.now), false, false);
        if self.policy.health.is_none() {
            life.known = Some(true);
            self.sick = 0;
        }
    }

    /// What is waited for and has less than half of its time left gets all of it once more, once.
    pub fn nobody_listened(&mut self, now: Instant) {
        let Some(life) = self.life.as_mut().filter(|life| life.ending.is_none()) else { return };
        let short = |due: Instant, time: Duration| due.since(now) < time / 2;
        if let (Some(by), time, false) = (life.ready_by, self.policy.ready_timeout, life.ready_renewed)
            && short(by, time)
        {
            (life.ready_by, life.ready_renewed) = (Some(now + time), true);
        }
        if let (Asking::Open { probe, due, renewed: false }, Some(health)) = (life.asking, &self.policy.health)
            && short(due, health.timeout)
        {
            life.asking = Asking::Open { probe, due: now + health.timeout, renewed: true };
        }
        if let (Some(heard), Some(time), false) = (life.heard, self.policy.watchdog, life.silence_renewed)
            && !life.hung
            && short(heard + time, time)
        {
            (life.heard, life.silence_renewed) = (Some(now), true);
        }
    }

    pub fn spawn_failed(&mut self, error: SpawnError, desk: &mut Desk) {
        let Some(life) = &self.life else { return };
        match &life.ending {
            Some(_) if life.leader_gone => {}
            Some(ending) => self.over(ending.then, desk),
            None => {
                let next = self.after_failed_spawn(error);
                self.over(next, desk);
            }
        }
    }

    pub fn exited(&mut self, status: ExitStatus, leftovers: bool, desk: &mut Desk) {
        let Some(life) = self.life.as_mut().filter(|life| life.made.is_some() && !life.leader_gone) else { return };
        life.leader_gone = true;
        life.hush(desk);
        if let Some(ending) = life.ending {
            if !leftovers {
                self.over(ending.then, desk);
            }
            return;
        }
        let (run, up) = (life.run, life.up);
        let lived = life.made.map_or(Duration::ZERO, |made| desk.now.since(made));
        self.cause = Some(Cause::Exit(status));
        let again = wants_restart(&self.policy, status);
        let next = match (up, again) {
            (false, _) => self.after_failed_attempt(again),
            (true, false) => Next::Exited,
            (true, true) if lived >= SECOND => Next::Launch,
            (true, true) => Next::Backoff(1),
        };
        if !leftovers || self.policy.allow_leftover {
            return self.over(next, desk);
        }
        desk.reached.push((self.id, Reach::Failed(State::Exited)));
        desk.expected.push(Effect::Signal { run, signal: self.policy.stop_signal });
        let due = Some(desk.now + self.policy.stop_timeout);
        if let Some(life) = &mut self.life {
            life.ending = Some(Ending { then: next, killed: false, due });
        }
    }

    pub fn group_empty(&mut self, desk: &mut Desk) {
        if let Some(Life { ending: Some(ending), leader_gone: true, .. }) = self.life {
            self.over(ending.then, desk);
        }
    }

    pub fn asked(&mut self, probe: ProbeId, now: Instant) -> bool {
        let (Some(life), Some(health)) = (&mut self.life, &self.policy.health) else { return false };
        let Asking::Wait { from, .. } = life.asking else { return false };
        life.questions += 1;
        life.asking = Asking::Open { probe, due: now + health.timeout, renewed: false };
        from <= now && probe == ProbeId { run: life.run, serial: life.questions }
    }

    pub fn answered(&mut self, probe: ProbeId, result: ProbeResult, desk: &mut Desk) {
        let (Some(life), Some(health)) = (&mut self.life, &self.policy.health) else { return };
        if !matches!(life.asking, Asking::Open { probe: open, .. } if open == probe) {
            return;
        }
        let awaited = !life.up;
        let soon = result == ProbeResult::NoRoom || awaited && result == ProbeResult::Fail;
        let pause = if soon { SECOND } else { health.interval };
        life.wait(pause, desk.now);
        match result {
            ProbeResult::Pass => {
                (life.failures, life.known) = (0, Some(true));
                self.sick = 0;
                if awaited {
                    self.come_up(desk);
                }
            }
            ProbeResult::NoRoom => {}
            ProbeResult::Fail if awaited => {}
            ProbeResult::Fail => self.check_failed(desk),
        }
    }

    /// A question and its end fell into one moment.
    pub fn asked_in_vain(&mut self, probe: ProbeId, desk: &mut Desk) -> bool {
        let Some(life) = self.life.as_mut().filter(|life| life.cut_short == Some(desk.now)) else { return false };
        life.cut_short = None;
        life.questions += 1;
        desk.expected.push(Effect::CancelProbe { probe });
        probe == ProbeId { run: life.run, serial: life.questions }
    }

    /// Does one thing that is due; false when nothing is.
    pub fn due(&mut self, desk: &mut Desk) -> bool {
        let now = desk.now;
        let Some(life) = &mut self.life else { return false };
        if let Some(ending) = &mut life.ending {
            if ending.due.is_none_or(|due| due > now) {
                return false;
            }
            if !ending.killed {
                self.kill(desk);
                return true;
            }
            ending.due = None;
            let meant = ending.then;
            if ending.then != Next::Gone {
                ending.then = Next::Rest;
            }
            desk.reached.push((self.id, Reach::Stuck));
            self.may_end_all(meant, desk);
            return true;
        }
        let silent_until =
            life.heard.filter(|_| !life.hung).zip(self.policy.watchdog).map(|(heard, time)| heard + time);
        if let Asking::Open { probe, due, .. } = life.asking
            && due <= now
            && silent_until.is_none_or(|until| due < until)
            && let Some(health) = &self.policy.health
        {
            desk.expected.push(Effect::CancelProbe { probe });
            if life.up {
                life.wait(health.interval, now);
                self.check_failed(desk);
            } else {
                life.wait(SECOND, now);
            }
            return true;
        }
        if silent_until.is_some_and(|until| until <= now) {
            life.hung = true;
            life.note_cut_short(now);
            self.fall_ill(Cause::Hung, desk);
            return true;
        }
        if life.ready_by.is_some_and(|by| by <= now) {
            self.cause = Some(Cause::NotReady);
            life.note_cut_short(now);
            let next = self.after_failed_attempt(self.policy.autorestart != Autorestart::Never);
            self.end(next, false, desk);
            return true;
        }
        let Some(made) = life.made.filter(|_| !life.up) else { return false };
        if !life.executed && made + SECOND * 60 <= now {
            let error = SpawnError { stage: SpawnStage::Verdict, errno: 0, class: FailureClass::Ordinary };
            let next = self.after_failed_spawn(error);
            self.end(next, true, desk);
            return true;
        }
        if life.executed && life.ready_by.is_none() && life.gate(&self.policy) <= now {
            self.come_up(desk);
            return true;
        }
        false
    }

    /// What had to come by now.
    pub fn late(&self, now: Instant) -> Option<&'static str> {
        match (&self.life, self.rest) {
            (None, Rest::Backoff { until, .. }) if until <= now => Some("a retry"),
            (Some(Life { asking: Asking::Wait { until, .. }, .. }), _) if *until <= now => Some("a health check"),
            _ => None,
        }
    }

    pub fn launch(&mut self, desk: &mut Desk) {
        if let Some(policy) = self.pending.take() {
            self.policy = policy;
        }
        self.lives += 1;
        let run = RunId { instance: self.id, serial: self.lives };
        desk.expected.push(Effect::Spawn { run });
        self.life = Some(Life {
            run,
            pid: None,
            made: None,
            executed: false,
            up: false,
            leader_gone: false,
            ending: None,
            asking: Asking::Off,
            questions: 0,
            failures: 0,
            known: None,
            ready_by: None,
            ready_renewed: false,
            heard: None,
            silence_renewed: false,
            hung: false,
            cut_short: None,
        });
    }

    pub fn come_up(&mut self, desk: &mut Desk) {
        let Some(life) = &mut self.life else { return };
        (life.up, life.ready_by) = (true, None);
        life.heard = self.policy.watchdog.map(|_| desk.now);
        // One that came up by a check has its next one an interval later.
        if let Some(health) = self.policy.health.as_ref().filter(|_| life.known.is_none()) {
            life.wait_first(health, desk.now);
        }
        self.attempts = 0;
        desk.reached.push((self.id, Reach::Up));
    }

    pub fn over(&mut self, next: Next, desk: &mut Desk) {
        self.life = None;
        let (rest, reach) = match next {
            Next::Launch => return self.launch(desk),
            Next::Rest | Next::Gone => (Rest::Stopped, Reach::Down),
            Next::Backoff(count) => {
                let wait = SECOND * count.clamp(1, 30);
                let (from, until) = (desk.now + wait, desk.now + wait + wait / 10);
                (Rest::Backoff { from, until }, Reach::Failed(State::Backoff))
            }
            Next::Exited => (Rest::Exited, Reach::Failed(State::Exited)),
            Next::Fatal => (Rest::Fatal, Reach::Failed(State::Fatal)),
        };
        self.rest = rest;
        desk.reached.push((self.id, reach));
        self.may_end_all(next, desk);
        if next == Next::Gone {
            desk.expected.push(Effect::Forget { instance: self.id });
            desk.reached.push((self.id, Reach::Gone));
        }
    }

    fn may_end_all(&self, next: Next, desk: &mut Desk) {
        if next == Next::Exited && self.policy.on_exit == Consequence::Shutdown {
            desk.reached.push((self.id, Reach::Ended(State::Exited)));
        }
        if next == Next::Fatal && self.policy.on_fatal == Consequence::Shutdown {
            desk.reached.push((self.id, Reach::Ended(State::Fatal)));
        }
    }

    fn after_failed_spawn(&mut self, error: SpawnError) -> Next {
        self.cause = Some(Cause::Spawn(error));
        match error.class {
            FailureClass::Shortage => Next::Backoff(1),
            FailureClass::Permanent => Next::Fatal,
            FailureClass::Ordinary => self.after_failed_attempt(self.policy.autorestart != Autorestart::Never),
        }
    }

    fn after_failed_attempt(&mut self, again: bool) -> Next {
        self.attempts += u32::from(again);
        match again {
            false => Next::Exited,
            true if self.attempts <= self.policy.start_retries => Next::Backoff(self.attempts),
            true => Next::Fatal,
        }
    }

    fn check_failed(&mut self, desk: &mut Desk) {
        let (Some(life), Some(health)) = (&mut self.life, &self.policy.health) else { return };
        life.failures += 1;
        if life.failures < health.retries || life.known == Some(false) {
            return;
        }
        life.known = Some(false);
        self.fall_ill(Cause::Unhealthy, desk);
    }

    fn fall_ill(&mut self, cause: Cause, desk: &mut Desk) {
        self.cause = Some(cause);
        if self.policy.autorestart == Autorestart::Never {
            return;
        }
        self.restart_ill(desk);
    }

    pub fn restart_ill(&mut self, desk: &mut Desk) {
        self.sick += 1;
        let next = if self.sick > self.policy.start_retries { Next::Fatal } else { Next::Backoff(self.sick) };
        self.end(next, false, desk);
    }
}

impl Life {
    fn gate(&self, policy: &Policy) -> Instant {
        self.made.unwrap_or_default() + policy.start_secs
    }

    pub fn hush(&mut self, desk: &mut Desk) {
        if let Asking::Open { probe, .. } = self.asking {
            desk.expected.push(Effect::CancelProbe { probe });
        }
        self.asking = Asking::Off;
    }

    fn note_cut_short(&mut self, now: Instant) {
        if matches!(self.asking, Asking::Wait { from, .. } if from <= now) {
            self.cut_short = Some(now);
        }
    }

    pub fn wait(&mut self, time: Duration, now: Instant) {
        self.asking = Asking::Wait { from: now + time, until: now + time };
    }

    pub fn wait_first(&mut self, health: &HealthPolicy, now: Instant) {
        let from = now + health.start_period;
        self.asking = Asking::Wait { from, until: from + health.interval.min(SECOND) };
    }
}

/// `autorestart` and `exitcodes`, read from the contract and not from the code under test.
fn wants_restart(policy: &Policy, status: ExitStatus) -> bool {
    let listed = matches!(status, ExitStatus::Code(code) if policy.exitcodes.contains(&code));
    policy.autorestart == Autorestart::Always || (policy.autorestart == Autorestart::Unexpected && !listed)
}
