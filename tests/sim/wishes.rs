//! What people's orders mean for what is known of one instance.

use crate::book::{Asking, Book, Desk, Ending, Life, Next, Reach, Rest};
use crate::engine::message::{Effect, Signal};
use crate::engine::policy::{Autorestart, Policy, Readiness};
use crate::engine::time::Duration;
use crate::intent::{Answer, Now, Want};

impl Book {
    pub fn order_up(&mut self, desk: &mut Desk) -> Answer {
        if self.is_stuck() || self.is_leaving() {
            return Answer { now: Now::Refused, overtakes: &[] };
        }
        (self.attempts, self.sick) = (0, 0);
        if self.life.as_ref().is_some_and(|life| life.up && life.ending.is_none()) {
            return Answer { now: Now::AsWished, overtakes: &[] };
        }
        self.cause = None;
        match &mut self.life {
            None => self.launch(desk),
            Some(Life { ending: Some(ending), .. }) => ending.then = Next::Launch,
            Some(_) => {}
        }
        Answer { now: Now::Waits, overtakes: &[Want::Down] }
    }

    pub fn order_again(&mut self, force: bool, desk: &mut Desk) -> Answer {
        if self.is_stuck() || self.is_leaving() {
            return Answer { now: Now::Refused, overtakes: &[] };
        }
        let joins = self.ending().is_some_and(|ending| ending.then == Next::Launch);
        (self.attempts, self.sick, self.cause) = (0, 0, None);
        if self.life.is_none() {
            self.launch(desk);
        } else {
            self.end(Next::Launch, force, desk);
        }
        Answer { now: Now::Waits, overtakes: if joins { &[Want::Down] } else { &[Want::Down, Want::Up] } }
    }

    pub fn order_down(&mut self, desk: &mut Desk) -> Answer {
        (self.attempts, self.sick) = (0, 0);
        let refused = self.is_stuck();
        if self.life.is_none() {
            self.rest = Rest::Stopped;
        } else if !self.is_leaving() && !refused {
            self.end(Next::Rest, false, desk);
        }
        let now = match (&self.life, refused) {
            (None, _) => Now::AsWished,
            (Some(_), true) => Now::Refused,
            (Some(_), false) => Now::Waits,
        };
        Answer { now, overtakes: &[Want::Up] }
    }

    pub fn order_gone(&mut self, desk: &mut Desk) -> Answer {
        let mut answer = self.order_down(desk);
        match &mut self.life {
            Some(Life { ending: Some(ending), .. }) => ending.then = Next::Gone,
            Some(_) | None => {
                answer.now = Now::Waits;
                desk.expected.push(Effect::Forget { instance: self.id });
                desk.reached.push((self.id, Reach::Gone));
            }
        }
        answer
    }

    pub fn changed(&mut self, policy: &Policy, desk: &mut Desk) {
        let was_left_alone = self.policy.autorestart == Autorestart::Never;
        self.taken_up(policy, desk);
        // One that is ill and was left alone is restarted from now on.
        let ill = |life: &Life| life.up && life.ending.is_none() && (life.known == Some(false) || life.hung);
        if was_left_alone && policy.autorestart != Autorestart::Never && self.life.as_ref().is_some_and(ill) {
            self.restart_ill(desk);
        }
    }

    fn taken_up(&mut self, policy: &Policy, desk: &mut Desk) {
        if self.life.as_ref().is_some_and(|life| life.made.is_none()) {
            // It is made by what is wished now.
            (self.policy, self.pending) = (policy.clone(), None);
            return;
        }
        let health_changed = self.policy.health != policy.health;
        if let Some(ending) = self.life.as_mut().and_then(|life| life.ending.as_mut()).filter(|ending| !ending.killed)
            && self.policy.stop_timeout != policy.stop_timeout
        {
            ending.due = Some(desk.now + policy.stop_timeout);
        }
        self.policy = Policy {
            autostart: policy.autostart,
            autorestart: policy.autorestart,
            exitcodes: policy.exitcodes.clone(),
            allow_leftover: policy.allow_leftover,
            stop_signal: policy.stop_signal,
            on_exit: policy.on_exit,
            on_fatal: policy.on_fatal,
            stop_timeout: policy.stop_timeout,
            start_retries: policy.start_retries,
            health: policy.health.clone(),
            ..self.policy.clone()
        };
        self.pending = Some(policy.clone());
        let Some(life) = self.life.as_mut().filter(|life| health_changed && life.ending.is_none()) else { return };
        if !life.up {
            return self.changed_before_up(desk);
        }
        match (&policy.health, life.asking) {
            (None, _) => {
                life.hush(desk);
                (life.failures, life.known) = (0, None);
            }
            (Some(_), Asking::Open { .. }) => {}
            (Some(health), Asking::Wait { .. }) if life.questions > 0 => life.wait(health.interval, desk.now),
            (Some(health), Asking::Off | Asking::Wait { .. }) => life.wait_first(health, desk.now),
        }
    }

    /// A start that waits for checks goes on with the new ones; without any, nothing is left to wait for.
    fn changed_before_up(&mut self, desk: &mut Desk) {
        let Some(life) = self.life.as_mut().filter(|life| life.ready_by.is_some()) else { return };
        if self.policy.readiness != Readiness::Checked {
            return;
        }
        match (&self.policy.health, life.asking) {
            (None, _) => {
                life.hush(desk);
                self.come_up(desk);
            }
            (Some(_), Asking::Wait { .. } | Asking::Open { .. } | Asking::Off) => {}
        }
    }

    /// SIGKILL now, if it did not go out yet.
    pub fn kill(&mut self, desk: &mut Desk) {
        if let Some(Life { run, ending: Some(ending), .. }) = &mut self.life
            && !ending.killed
        {
            (ending.killed, ending.due) = (true, Some(desk.now + Duration::from_secs(2)));
            desk.expected.push(Effect::Signal { run: *run, signal: Signal::KILL });
        }
    }

    pub fn end(&mut self, then: Next, force: bool, desk: &mut Desk) {
        let Some(life) = &mut self.life else { return };
        if let Some(ending) = &mut life.ending {
            ending.then = then;
            if force {
                self.kill(desk);
            }
            return;
        }
        if life.made.is_none() {
            desk.expected.push(Effect::CancelSpawn { run: life.run });
            return self.over(then, desk);
        }
        life.hush(desk);
        life.ending = Some(Ending { then, killed: false, due: Some(desk.now + self.policy.stop_timeout) });
        if force || !life.executed {
            self.kill(desk);
        } else {
            desk.expected.push(Effect::Signal { run: life.run, signal: self.policy.stop_signal });
        }
    }
}
