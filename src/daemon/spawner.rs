//! Making children: a queue with a bound on each turn and on how many execs are under way, and the making itself.
//!
//! Waiting here counts as no attempt: the engine hears nothing of a run until its child is there or cannot be.

use super::children::{Child, Trace};
use super::streams::Opened;
use super::{Alarm, Daemon, notices, source};
use crate::engine::id::{InstanceId, Key, RunId};
use crate::engine::message::{FailureClass, Input, SpawnError, SpawnStage};
use crate::engine::time::{Duration, Instant};
use crate::reactor::source::Kind;
use crate::spec::{InstanceSpec, Launch, LogTarget};
use crate::sys::clock;
use crate::sys::log_file::OpenError;
use crate::sys::spawn::{self, ErrorOutput, Fresh, Inherited, Output, Plan};
use crate::sys::user::User;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

/// Children made in one turn, so that a storm does not keep clients waiting.
const SPAWNS_PER_TURN: usize = 64;
/// Room for so many is kept in the queue.
const QUEUE_KEPT: usize = 16;
/// Execs under way at once.
const UNPROVEN_MAX: usize = 1024;
/// Descriptors kept free for control connections.
const RESERVE: usize = 64;
/// Descriptors one child takes while its exec is under way: pidfd, verdict, two pipes with both ends, two files.
const PER_CHILD: usize = 8;

/// So long a spawn waits for one of the places that spare a child the copy of a long table of descriptors. Most are free
/// again as soon as their child has had the processor once.
const PLACE_PATIENCE: Duration = Duration::from_millis(100);

/// When a child that could not be watched is tried again.
const WATCH_AGAIN: Duration = Duration::from_secs(1);

/// Runs that wait to be made.
#[derive(Debug)]
pub(super) struct Spawner {
    /// In the order they came. The first of them waits; others may have gone.
    queue: VecDeque<RunId>,
    waiting: HashSet<RunId>,
    left_this_turn: usize,
    inherited: Inherited,
    last_plan: Option<(Rc<Launch>, Rc<Plan>)>,
    /// The daemon's own limit of open files.
    nofile: usize,
    /// Since when there has been no place for the descriptors of another child.
    crowded: Option<Instant>,
    /// Nobody is made yet: what an earlier daemon left comes first.
    held: bool,
    /// Children of which the kernel could not be asked to tell.
    unwatched: Vec<(Key, Kind)>,
}

impl Spawner {
    pub(super) fn new(inherited: Inherited, nofile: usize) -> Spawner {
        let (queue, waiting) = (VecDeque::new(), HashSet::new());
        Spawner {
            queue,
            waiting,
            left_this_turn: SPAWNS_PER_TURN,
            inherited,
            last_plan: None,
            nofile,
            crowded: None,
            held: false,
            unwatched: Vec::new(),
        }
    }

    /// Whether somebody waits.
    pub(super) fn has_work(&self) -> bool {
        !self.held && !self.waiting.is_empty()
    }

    /// Makes everybody wait, or lets them go.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether everybody waits.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// What children inherit.
    pub(super) fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// A queued run waits no longer: it is made, or not wanted any more.
    pub(super) fn take_out(&mut self, run: RunId) {
        self.waiting.remove(&run);
        while self.queue.front().is_some_and(|run| !self.waiting.contains(run)) {
            self.queue.pop_front();
        }
    }

    /// After a start of many: what nobody waits in any more is given back.
    pub(super) fn rest(&mut self) {
        self.queue.shrink_to(QUEUE_KEPT);
        self.waiting.shrink_to(QUEUE_KEPT);
    }

    /// The prepared exec of a launch. Many share one, and follow each other.
    fn plan(&mut self, launch: &Rc<Launch>, user: Option<&User>) -> Result<Rc<Plan>, SpawnError> {
        let fits = |(known, plan): &&(Rc<Launch>, Rc<Plan>)| Rc::ptr_eq(known, launch) && plan.user() == user;
        if let Some((_, plan)) = self.last_plan.as_ref().filter(fits) {
            return Ok(Rc::clone(plan));
        }
        let plan = Rc::new(Plan::prepare(launch, &self.inherited, user)?);
        self.last_plan = Some((Rc::clone(launch), Rc::clone(&plan)));
        Ok(plan)
    }

    fn push(&mut self, run: RunId) {
        self.queue.push_back(run);
        self.waiting.insert(run);
    }

    /// Who is made next.
    fn next(&self) -> Option<RunId> {
        self.queue.front().filter(|_| !self.held).copied()
    }

    /// Whether one more has to wait for a place. Who becomes another user needs none: it is a copy of the daemon, with a
    /// table of descriptors of its own.
    fn is_crowded_for(&self, launch: &Launch, now: Instant) -> bool {
        launch.user.is_none() && self.crowded.is_some_and(|since| now.since(since) < PLACE_PATIENCE)
    }
}

impl Daemon {
    /// Makes the child now, or puts it in the queue.
    pub(super) fn launch(&mut self, run: RunId) -> Option<Input> {
        self.look_for_place();
        if self.spawner.has_work() || !self.may_spawn(run) {
            self.spawner.push(run);
            return None;
        }
        Some(self.spawn_now(run))
    }

    /// Step 6 of the turn: those that waited, as far as the bounds allow.
    pub(super) fn launch_queued(&mut self) {
        self.spawner.left_this_turn = SPAWNS_PER_TURN;
        self.look_for_place();
        while let Some(run) = self.spawner.next().filter(|run| self.may_spawn(*run)) {
            self.spawner.take_out(run);
            let answer = self.spawn_now(run);
            self.feed(answer);
            self.look_for_place();
        }
    }

    fn look_for_place(&mut self) {
        let is_crowded = !spawn::has_place(self.open_descriptors());
        self.spawner.crowded = is_crowded.then(|| self.spawner.crowded.unwrap_or(self.now));
    }

    /// When those that wait for a place are made without one.
    pub(super) fn next_launch(&self) -> Option<Instant> {
        let waits = self.spawner.has_work() && !self.can_launch();
        self.spawner.crowded.filter(|_| waits).map(|since| since + PLACE_PATIENCE).filter(|at| *at > self.now)
    }

    /// Whether somebody waits who can be served in the next turn. Where too many execs are under way their verdicts wake
    /// the daemon.
    pub(super) fn can_launch(&self) -> bool {
        self.spawner.next().is_some_and(|run| self.has_room_to_spawn(run))
    }

    fn may_spawn(&self, run: RunId) -> bool {
        self.spawner.left_this_turn > 0 && self.has_room_to_spawn(run)
    }

    fn has_room_to_spawn(&self, run: RunId) -> bool {
        let unproven = self.children.unproven();
        let entry = self.roster.entry(run.instance);
        let is_crowded = entry.is_some_and(|entry| self.spawner.is_crowded_for(&entry.spec.launch, self.now));
        // Whoever is on the way wakes the daemon by what its exec came to, and before that when its place is free.
        !self.spawner.held && (unproven == 0 || unproven < self.unproven_limit() && !is_crowded)
    }

    fn unproven_limit(&self) -> usize {
        UNPROVEN_MAX.min(self.free_descriptors() / PER_CHILD).max(1)
    }

    /// How many descriptors may still be opened, those kept for control connections left aside.
    pub(super) fn free_descriptors(&self) -> usize {
        self.spawner.nofile.saturating_sub(self.open_descriptors() + RESERVE)
    }

    fn open_descriptors(&self) -> usize {
        // A pidfd each, and a pipe until the verdict is there.
        let children = self.children.len() + self.children.unproven();
        children + self.streams.descriptors() + self.connections.len() + self.probes.descriptors()
    }

    fn spawn_now(&mut self, run: RunId) -> Input {
        self.spawner.left_this_turn = self.spawner.left_this_turn.saturating_sub(1);
        let begun = clock::monotonic();
        match self.try_spawn(run) {
            Ok(pid) => {
                self.metrics.note_spawn(run.instance, begun);
                Input::Spawned { run, pid }
            }
            Err(error) => Input::SpawnFailed { run, error },
        }
    }

    fn try_spawn(&mut self, run: RunId) -> Result<i32, SpawnError> {
        let (spec, plan) = self.prepare(run.instance)?;
        if let Some(text) = self.orphans.in_the_way(&spec.name) {
            return Err(self.in_the_way(run, text));
        }
        let opened = match self.streams.open(&spec, plan.user(), self.now) {
            Ok(opened) => opened,
            Err(error) => return Err(self.log_refused(run, &error)),
        };
        let (serial, marker) = self.memory.next_run(&spec);
        match spawn::spawn(&plan, stdout_of(&spec), stderr_of(&spec), Some(&marker)) {
            Ok(fresh) => {
                let pid = fresh.pid;
                let trace = Trace::new(spec, plan, serial, fresh.start);
                self.take_in(run, fresh, opened, trace);
                Ok(pid)
            }
            Err(error) => {
                self.streams.give_back(opened, self.now);
                Err(error)
            }
        }
    }

    /// The prepared exec of an instance, made anew when its configuration or its account changed.
    fn prepare(&mut self, id: InstanceId) -> Result<(Rc<InstanceSpec>, Rc<Plan>), SpawnError> {
        let gone = SpawnError { stage: SpawnStage::User, errno: 0, class: FailureClass::Permanent };
        let entry = self.roster.entry_mut(id).ok_or(gone)?;
        entry.fault = None;
        // Looked up again at each start: an account that went away must not be used.
        let user = spawn::resolve_user(&entry.spec.launch)?;
        let (spec, known) = (Rc::clone(&entry.spec), entry.plan.clone());
        // Also with a plan that is known: the socket may have been removed meanwhile.
        let addressed = match notices::speaks(&spec).then(|| self.with_address(&spec)) {
            Some(Err(error)) => return Err(self.unaddressed(id, &error)),
            Some(Ok(launch)) => Some(launch),
            None => None,
        };
        if let Some(plan) = known.filter(|plan| plan.user() == user.as_ref()) {
            return Ok((spec, plan));
        }
        let plan = match &addressed {
            Some(launch) => Rc::new(Plan::prepare(launch, &self.spawner.inherited, user.as_ref())?),
            None => self.spawner.plan(&spec.launch, user.as_ref())?,
        };
        if let Some(entry) = self.roster.entry_mut(id) {
            entry.plan = Some(Rc::clone(&plan));
        }
        Ok((spec, plan))
    }

    /// A program that is to speak and cannot would never be ready; the reason is kept for whoever asks.
    fn unaddressed(&mut self, id: InstanceId, error: &io::Error) -> SpawnError {
        if let Some(entry) = self.roster.entry_mut(id) {
            entry.fault = Some(format!("the notification socket could not be made: {error}").into());
        }
        let errno = error.raw_os_error().unwrap_or(0);
        SpawnError { stage: SpawnStage::Pipe, errno, class: spawn::classify(SpawnStage::Pipe, errno) }
    }

    /// A start without its log is a failed one; the reason is kept for whoever asks.
    fn log_refused(&mut self, run: RunId, error: &OpenError) -> SpawnError {
        if let Some(entry) = self.roster.entry_mut(run.instance) {
            entry.fault = Some(error.to_string().into());
        }
        let errno = match error {
            OpenError::System { errno, .. } => *errno,
            OpenError::Refused { .. } => 0,
        };
        SpawnError { stage: SpawnStage::OpenLog, errno, class: spawn::classify(SpawnStage::OpenLog, errno) }
    }

    /// A copy that an earlier daemon left and that nothing can kill: there is no room until it is gone.
    fn in_the_way(&mut self, run: RunId, text: String) -> SpawnError {
        if let Some(entry) = self.roster.entry_mut(run.instance) {
            entry.fault = Some(text.into());
        }
        SpawnError { stage: SpawnStage::Fork, errno: 0, class: FailureClass::Shortage }
    }

    fn take_in(&mut self, run: RunId, fresh: Fresh, opened: Opened, trace: Trace) {
        let Fresh { pid, pidfd, verdict, stdout, stderr, .. } = fresh;
        let key = self.children.insert(Child::new(run, pid, pidfd, verdict, Some(trace)));
        self.watch_child(key, Kind::Child);
        self.watch_child(key, Kind::Verdict);
        self.streams.attach(run.instance, opened, (stdout, stderr), (&mut self.reactor, self.now));
    }

    /// A child that nobody watches would never be seen to run, nor to die.
    fn watch_child(&mut self, key: Key, kind: Kind) {
        let Some(child) = self.children.get(key) else { return };
        let fd = match kind {
            Kind::Verdict => child.verdict.as_ref().map(AsRawFd::as_raw_fd),
            _ => child.pidfd.as_ref().filter(|_| child.reaped.is_none()).map(AsRawFd::as_raw_fd),
        };
        let Some(Err(error)) = fd.map(|fd| self.reactor.watch(fd, source(kind, key))) else { return };
        log::error!("watching process {} failed, it is tried again in a second: {error}", child.pid);
        if self.spawner.unwatched.is_empty() {
            self.arm(WATCH_AGAIN, Alarm::Watch);
        }
        self.spawner.unwatched.push((key, kind));
    }

    /// Those that could not be watched; whatever they have to say is heard at once.
    pub(super) fn watch_again(&mut self) {
        for (key, kind) in std::mem::take(&mut self.spawner.unwatched) {
            self.watch_child(key, kind);
        }
    }
}

fn stdout_of(spec: &InstanceSpec) -> Output {
    output(&spec.stdout.target)
}

fn stderr_of(spec: &InstanceSpec) -> ErrorOutput {
    match &spec.stderr.target {
        LogTarget::SameAsStdout => ErrorOutput::SameAsStdout,
        other => ErrorOutput::Separate(output(other)),
    }
}

fn output(target: &LogTarget) -> Output {
    match target {
        LogTarget::Null => Output::Null,
        LogTarget::SameAsStdout | LogTarget::DaemonStdout | LogTarget::DaemonStderr | LogTarget::File(_) => {
            Output::Pipe
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::limits::NofileLimit;
    use std::collections::BTreeMap;

    fn spawner() -> Spawner {
        let nofile = NofileLimit { soft: 1024, hard: 1024 };
        Spawner::new(Inherited { environment: Vec::new(), nofile, umask: 0o022 }, 1024)
    }

    fn launch(user: Option<&str>) -> Launch {
        Launch {
            argv: vec!["true".to_owned()],
            env: BTreeMap::new(),
            env_files: Vec::new(),
            clean_env: false,
            directory: None,
            user: user.map(str::to_owned),
            umask: None,
            pdeathsig: true,
            no_new_privs: false,
        }
    }

    #[test]
    fn whoever_becomes_another_user_waits_for_no_place() {
        let mut spawner = spawner();
        let now = Instant::from_millis(1_000);
        for (since, own, others) in [(None, false, false), (Some(1_000), true, false), (Some(900), false, false)] {
            spawner.crowded = since.map(Instant::from_millis);
            assert_eq!(spawner.is_crowded_for(&launch(None), now), own, "{since:?}");
            assert_eq!(spawner.is_crowded_for(&launch(Some("nobody")), now), others, "{since:?}");
        }
    }

    #[test]
    fn the_next_one_is_always_somebody_who_waits() {
        let mut spawner = spawner();
        let run = |serial| RunId { instance: InstanceId(Key { slot: 0, generation: 0 }), serial };
        (1..=5).for_each(|serial| spawner.push(run(serial)));
        spawner.take_out(run(2));
        assert_eq!(spawner.next(), Some(run(1)));
        spawner.take_out(run(1));
        assert_eq!(spawner.next(), Some(run(3)));
        spawner.hold(true);
        assert_eq!((spawner.next(), spawner.has_work()), (None, false));
        spawner.hold(false);
        [5, 3, 4].into_iter().for_each(|serial| spawner.take_out(run(serial)));
        assert_eq!((spawner.next(), spawner.has_work(), spawner.queue.len()), (None, false, 0));
        spawner.push(run(6));
        assert_eq!(spawner.next(), Some(run(6)));
    }
}
