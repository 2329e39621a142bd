//! The hands of the pretended daemon and the kernel under them: processes are made, run, die and are reaped, late or
//! together, as the knobs of the seed say.

use crate::engine::id::{ProbeId, RunId};
use crate::engine::message::{
    Command, Effect, ExitStatus, FailureClass, Input, ProbeResult, Signal, SpawnError, SpawnStage,
};
use crate::engine::time::Duration;
use crate::knobs::Knobs;
use crate::os::{Group, Os, Process, Victim};
use crate::world::{Happening, Verdict, World};

impl World {
    pub fn perform(&mut self, effect: Effect) -> Verdict {
        match effect {
            Effect::Spawn { run } => self.spawn(run),
            Effect::CancelSpawn { run } => match self.queue.remove(&run) {
                true => Ok(()),
                false => Err(format!("{run:?} is called off and was not waiting")),
            },
            Effect::Signal { run, signal } => self.signal(run, signal),
            Effect::StartProbe { probe } => self.probe(probe),
            Effect::Forget { instance } => {
                self.crashers.remove(&instance);
                Ok(())
            }
            Effect::ShutDown { .. } => {
                let wait = self.rng.within(self.knobs.wake_delay);
                self.after(wait, Happening::ShutDown);
                Ok(())
            }
            Effect::Finished { survivors } => {
                self.finished = Some(survivors);
                Ok(())
            }
            Effect::CancelProbe { .. } | Effect::Reply { .. } | Effect::Publish(_) => Ok(()),
        }
    }

    fn spawn(&mut self, run: RunId) -> Verdict {
        self.queue.insert(run);
        let delay = self.rng.within(self.knobs.queue_delay);
        if delay == Duration::ZERO || self.rng.percent(50) {
            return self.make(run);
        }
        self.after(delay, Happening::Make(run));
        Ok(())
    }

    fn make(&mut self, run: RunId) -> Verdict {
        if !self.queue.remove(&run) {
            return Ok(());
        }
        if self.harsh && (self.now < self.burst_until || self.rng.percent(self.knobs.spawn_error)) {
            let mut error = Knobs::error(&mut self.rng);
            if self.now < self.burst_until {
                error.class = FailureClass::Shortage;
            }
            self.maybe_again(Input::SpawnFailed { run, error });
            return self.feed(Input::SpawnFailed { run, error });
        }
        self.witness.made(run, &self.os)?;
        let pid = self.os.free_pid();
        let leader = self.process(self.knobs.deaf);
        let group = Group {
            pid,
            leader,
            members: Vec::new(),
            executed: false,
            verdict_read: false,
            reaped: false,
            speaks: false,
            may_stay: false,
        };
        self.os.groups.insert(run, group);
        self.plan_exec(run);
        self.maybe_again(Input::Spawned { run, pid });
        self.feed(Input::Spawned { run, pid })
    }

    fn plan_exec(&mut self, run: RunId) {
        let slow = self.harsh && self.rng.percent(self.knobs.exec_slow);
        let hangs = self.harsh && self.rng.percent(self.knobs.exec_hang);
        let error = (self.harsh && self.rng.percent(self.knobs.exec_error)).then(|| Knobs::error(&mut self.rng));
        let wait = if hangs {
            let wait = self.rng.millis(50_000, 90_000);
            if let Some(group) = self.os.groups.get_mut(&run) {
                group.leader.stuck_until = self.now + wait;
            }
            wait
        } else if slow {
            self.rng.millis(100, 10_000)
        } else {
            self.rng.within(Duration::from_millis(3))
        };
        self.after(wait, Happening::Exec(run, error));
    }

    fn process(&mut self, deaf: u32) -> Process {
        let stuck = self.harsh && self.rng.percent(self.knobs.unkillable);
        let sleep = if stuck { self.rng.millis(0, 30_000) } else { Duration::ZERO };
        Process {
            alive: true,
            deaf: self.rng.percent(deaf),
            reaction: if self.rng.percent(70) { self.rng.millis(0, 20) } else { self.rng.millis(0, 4000) },
            stuck_until: self.now + sleep,
            condemned: false,
        }
    }

    pub fn happen(&mut self, what: Happening) -> Verdict {
        self.trace.say(self.now, "  ", &what);
        match what {
            Happening::Make(run) => self.make(run),
            Happening::Exec(run, error) => {
                self.exec(run, error);
                Ok(())
            }
            Happening::Verdict(run, error) => self.read_verdict(run, error),
            Happening::Ready(run) => self.say_ready(run),
            Happening::Ping(run) => self.ping(run),
            Happening::Death(run, victim, status) => {
                self.die(run, victim, status);
                Ok(())
            }
            Happening::Reap(run) => self.reap(run),
            Happening::GroupGone(run) => self.group_gone(run),
            Happening::Answer(probe, result) => self.answer(probe, result),
            Happening::Again(input) => self.feed(input),
            Happening::Order => self.somebody_orders(),
            Happening::ShutDown if self.intent.closing.is_some() => Ok(()),
            Happening::ShutDown => {
                let timeout = self.rng.millis(0, 15_000);
                self.order(Command::Shutdown { timeout }).map(drop)
            }
            Happening::Leave(ticket) => {
                self.witness.left(ticket);
                self.feed(Input::Withdrawn { ticket })
            }
            Happening::Pause | Happening::Burst if !self.harsh => Ok(()),
            Happening::Pause => {
                let pause = self.rng.millis(0, 70_000);
                self.blind_until = self.now + pause;
                self.blind = true;
                if self.rng.percent(50) {
                    // One that has no processor goes on for a moment only.
                    let breath = self.rng.millis(0, 300);
                    self.after(pause + breath, Happening::Pause);
                }
                Ok(())
            }
            Happening::Burst => {
                let burst = self.rng.millis(0, 20_000);
                self.burst_until = self.now + burst;
                Ok(())
            }
        }
    }

    fn exec(&mut self, run: RunId, error: Option<SpawnError>) {
        let delay = self.rng.within(self.knobs.verdict_delay);
        let Some(group) = self.os.groups.get_mut(&run).filter(|group| group.leader.alive && !group.executed) else {
            return;
        };
        if error.is_some() {
            group.leader.alive = false;
        } else {
            group.executed = true;
            self.begin_program(run);
        }
        self.after(delay, Happening::Verdict(run, error));
    }

    /// What the program does with its life.
    fn begin_program(&mut self, run: RunId) {
        self.begin_to_speak(run);
        if !self.harsh {
            return;
        }
        if self.rng.percent(self.knobs.grandchildren) {
            let count = self.rng.between(1, 3);
            for index in 0..count {
                let member = self.process(self.knobs.deaf_grandchildren);
                let life = self.rng.millis(0, 60_000);
                self.after(life, Happening::Death(run, Victim::Member(index as usize), ExitStatus::Code(0)));
                if let Some(group) = self.os.groups.get_mut(&run) {
                    group.members.push(member);
                }
            }
        }
        let crashes = self.crashers.contains(&run.instance);
        let life = if crashes || self.rng.percent(self.knobs.exits_soon) {
            Some(self.rng.millis(0, 1200))
        } else if self.rng.percent(self.knobs.exits_later) {
            Some(self.rng.millis(0, 10_000))
        } else {
            None
        };
        if let Some(life) = life {
            let segv = ExitStatus::Signal { number: 11, core: true };
            let status = self.rng.pick(&[ExitStatus::Code(0), ExitStatus::Code(1), ExitStatus::Code(2), segv]);
            self.after(life, Happening::Death(run, Victim::Leader, status));
        }
    }

    /// Whether it was asked to or not: a word that nobody waits for is a fault too.
    fn begin_to_speak(&mut self, run: RunId) {
        if !self.harsh || !self.rng.percent(self.knobs.never_ready) {
            let wait = if self.harsh { self.rng.millis(0, 4000) } else { self.rng.millis(0, 1000) };
            self.after(wait, Happening::Ready(run));
        }
        let watched = self.engine.instance(run.instance).is_some_and(|instance| instance.policy().watchdog.is_some());
        if watched && let Some(group) = self.os.groups.get_mut(&run) {
            group.speaks = true;
            self.after(Duration::from_millis(100), Happening::Ping(run));
        }
    }

    fn say_ready(&mut self, run: RunId) -> Verdict {
        if self.os.groups.get(&run).is_none_or(|group| group.reaped) {
            return Ok(());
        }
        // Whoever speaks has been through its exec, and that is told first.
        self.read_verdict(run, None)?;
        self.witness.said_ready(run);
        self.maybe_again(Input::Ready { run });
        self.feed(Input::Ready { run })
    }

    fn ping(&mut self, run: RunId) -> Verdict {
        let silent = self.harsh && self.rng.percent(self.knobs.falls_silent);
        let period = self.engine.instance(run.instance).and_then(|instance| instance.policy().watchdog);
        let Some(group) = self.os.groups.get_mut(&run).filter(|group| !group.reaped) else { return Ok(()) };
        if silent {
            group.speaks = false;
            return Ok(());
        }
        if let Some(period) = period {
            self.after(period / 2, Happening::Ping(run));
        }
        self.read_verdict(run, None)?;
        self.maybe_again(Input::Ping { run });
        self.feed(Input::Ping { run })
    }

    fn read_verdict(&mut self, run: RunId, error: Option<SpawnError>) -> Verdict {
        let Some(group) = self.os.groups.get_mut(&run).filter(|group| !group.verdict_read && !group.reaped) else {
            return Ok(());
        };
        group.verdict_read = true;
        match error {
            None => self.feed(Input::ExecOk { run }),
            Some(error) => {
                self.os.groups.remove(&run);
                self.maybe_again(Input::SpawnFailed { run, error });
                self.feed(Input::SpawnFailed { run, error })
            }
        }
    }

    fn die(&mut self, run: RunId, victim: Victim, status: ExitStatus) {
        let now = self.now;
        let Some(group) = self.os.groups.get_mut(&run) else { return };
        let process = match victim {
            Victim::Leader => Some(&mut group.leader),
            Victim::Member(index) => group.members.get_mut(index),
        };
        let Some(process) = process.filter(|process| process.alive) else { return };
        if process.stuck_until > now {
            let wake = process.stuck_until;
            return self.at(wake, Happening::Death(run, victim, status));
        }
        process.alive = false;
        let wait = self.wake_delay();
        match victim {
            Victim::Leader => {
                self.witness.died(run, status);
                self.after(wait, Happening::Reap(run));
            }
            Victim::Member(_) if group_is_over(&self.os, run) => self.after(wait, Happening::GroupGone(run)),
            Victim::Member(_) => {}
        }
    }

    /// Deaths that come together are seen together.
    fn wake_delay(&mut self) -> Duration {
        let delay = self.rng.within(self.knobs.wake_delay);
        if !self.knobs.merged_exits {
            return delay;
        }
        let slot = Duration::from_millis(50).as_nanos() as u64;
        Duration::from_nanos(slot - (self.now.as_nanos() % slot))
    }

    fn reap(&mut self, run: RunId) -> Verdict {
        let Some(group) = self.os.groups.get_mut(&run) else { return Ok(()) };
        group.reaped = true;
        let (executed, told) = (group.executed, group.verdict_read);
        if !executed {
            self.os.groups.remove(&run);
            let error = SpawnError { stage: SpawnStage::Exec, errno: 0, class: FailureClass::Ordinary };
            return self.feed(Input::SpawnFailed { run, error });
        }
        if !told {
            group.verdict_read = true;
            self.feed(Input::ExecOk { run })?;
        }
        let Some(group) = self.os.groups.get_mut(&run) else { return Ok(()) };
        let leftovers = group.has_members();
        let status = self.witness.status_of(run);
        if !leftovers {
            self.os.groups.remove(&run);
        } else if self.engine.instance(run.instance).is_some_and(|instance| instance.policy().allow_leftover) {
            group.may_stay = true;
        }
        let input = Input::Exited { run, status, leftovers };
        self.maybe_again(input.clone());
        self.feed(input)
    }

    fn group_gone(&mut self, run: RunId) -> Verdict {
        if !group_is_over(&self.os, run) {
            return Ok(());
        }
        self.os.groups.remove(&run);
        self.maybe_again(Input::GroupEmpty { run });
        self.feed(Input::GroupEmpty { run })
    }

    fn signal(&mut self, run: RunId, signal: Signal) -> Verdict {
        let status = ExitStatus::Signal { number: signal.0, core: false };
        for (victim, at) in self.os.signal(run, signal, self.now) {
            self.at(at, Happening::Death(run, victim, status));
        }
        Ok(())
    }

    fn probe(&mut self, probe: ProbeId) -> Verdict {
        if self.harsh && self.rng.percent(self.knobs.probe_silent) {
            return Ok(());
        }
        let fails = self.harsh && self.rng.percent(self.knobs.probe_fails);
        let late = self.harsh && self.rng.percent(self.knobs.probe_late);
        let wait = if late { self.rng.millis(500, 6000) } else { self.rng.millis(0, 150) };
        let result = match (self.harsh && self.now < self.burst_until, fails) {
            (true, _) => ProbeResult::NoRoom,
            (false, true) => ProbeResult::Fail,
            (false, false) => ProbeResult::Pass,
        };
        self.after(wait, Happening::Answer(probe, result));
        Ok(())
    }

    fn answer(&mut self, probe: ProbeId, result: ProbeResult) -> Verdict {
        self.maybe_again(Input::ProbeDone { probe, result });
        if result == ProbeResult::NoRoom {
            self.witness.given_back(probe);
        }
        self.feed(Input::ProbeDone { probe, result })
    }

    /// Perhaps the same will be told once more, when it is past.
    pub fn maybe_again(&mut self, input: Input) {
        if self.harsh && self.rng.percent(self.knobs.repeats) {
            let wait = self.rng.millis(0, 5000);
            self.after(wait, Happening::Again(input));
        }
    }

    /// From here on the world is kind: what is stuck comes loose, and nothing fails any more.
    pub fn be_kind(&mut self) {
        self.harsh = false;
        self.blind_until = self.now;
        self.burst_until = self.now;
        let mut loose = Vec::new();
        for (run, group) in &mut self.os.groups {
            let members = group.members.iter_mut().enumerate().map(|(index, member)| (Victim::Member(index), member));
            for (victim, process) in std::iter::once((Victim::Leader, &mut group.leader)).chain(members) {
                process.stuck_until = self.now;
                if process.condemned && process.alive {
                    loose.push(Happening::Death(*run, victim, ExitStatus::Signal { number: 9, core: false }));
                }
            }
            if !group.executed && group.leader.alive {
                loose.push(Happening::Exec(*run, None));
            } else if group.leader.alive {
                loose.push(Happening::Ready(*run));
                if !group.speaks {
                    group.speaks = true;
                    loose.push(Happening::Ping(*run));
                }
            }
        }
        for what in loose {
            self.after(Duration::from_millis(1), what);
        }
    }
}

fn group_is_over(os: &Os, run: RunId) -> bool {
    os.groups.get(&run).is_some_and(|group| group.reaped && group.is_empty())
}
