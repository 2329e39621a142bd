//! What orders and news add up to, told by facts and not by phases: who has a life, how far it came, what is to come after
//! it. It is kept apart from the engine, and says after each input which effects must come, and which may.

use crate::book::{Book, Desk, Next, Reach, Rest};
use crate::engine::Engine;
use crate::engine::id::{InstanceId, ProbeId, RunId, Ticket};
use crate::engine::message::{Command, Effect, Failure, Input, Outcome, Plan, State};
use crate::engine::policy::Policy;
use crate::engine::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// What an order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Up,
    Down,
    Gone,
}

#[derive(Debug)]
struct Order {
    want: Want,
    size: usize,
    open: BTreeSet<InstanceId>,
    up_before: usize,
    failures: Vec<Failure>,
}

#[derive(Debug)]
pub struct Closing {
    pub deadline: Instant,
    pub killed: bool,
    pub finished: bool,
    tickets: Vec<Ticket>,
}

#[derive(Debug, Default)]
pub struct Intent {
    pub books: BTreeMap<InstanceId, Book>,
    orders: BTreeMap<Ticket, Order>,
    pub closing: Option<Closing>,
    told_to_end: bool,
    desk: Desk,
}

impl Intent {
    pub fn add(&mut self, id: InstanceId, policy: Policy) {
        self.books.insert(id, Book::new(id, policy));
    }

    pub fn open_orders(&self) -> impl Iterator<Item = &Ticket> {
        self.orders.keys().chain(self.closing.iter().flat_map(|closing| &closing.tickets))
    }

    /// How far each order has come is told as it is.
    pub fn agrees_on_orders(&self, engine: &Engine) -> Result<(), String> {
        let differs = |(ticket, order): &(&Ticket, &Order)| engine.left_of(**ticket) != Some(order.open.len());
        match self.orders.iter().find(differs) {
            Some((ticket, order)) => {
                Err(format!("{ticket:?} waits for {}, told as {:?}", order.open.len(), engine.left_of(*ticket)))
            }
            None => Ok(()),
        }
    }

    pub fn hear(&mut self, now: Instant, input: &Input) {
        self.desk.now = now;
        match input {
            Input::Spawned { run, pid } => self.about(*run, |book, desk| book.spawned(*pid, desk)),
            Input::SpawnFailed { run, error } => self.about(*run, |book, desk| book.spawn_failed(*error, desk)),
            Input::ExecOk { run } => self.about(*run, |book, desk| book.exec_ok(desk)),
            Input::Ready { run } => self.about(*run, Book::said_ready),
            Input::Ping { run } => self.about(*run, Book::pinged),
            Input::Exited { run, status, leftovers } => {
                self.about(*run, |book, desk| book.exited(*status, *leftovers, desk));
            }
            Input::GroupEmpty { run } => self.about(*run, |book, desk| book.group_empty(desk)),
            Input::ProbeDone { probe, result } => {
                self.about(probe.run, |book, desk| book.answered(*probe, *result, desk));
            }
            Input::Command { ticket, command } => self.command(*ticket, command),
            Input::Withdrawn { ticket } => {
                self.orders.remove(ticket);
                if let Some(closing) = &mut self.closing {
                    closing.tickets.retain(|waiting| waiting != ticket);
                }
            }
            Input::Away => self.books.values_mut().for_each(|book| book.nobody_listened(now)),
        }
        self.settle();
    }

    /// Time has come to `now`, and the engine was told.
    pub fn tick(&mut self, now: Instant) {
        self.desk.now = now;
        for book in self.books.values_mut() {
            while book.due(&mut self.desk) {}
        }
        self.settle();
        let Some(closing) = &mut self.closing else { return };
        if closing.finished || now < closing.deadline {
            return;
        }
        if closing.killed { self.finish() } else { self.kill_all() }
    }

    /// Compares what came with what had to come. Retries and first checks have a window in place of a moment.
    pub fn compare(&mut self, effects: &[Effect]) -> Result<(), String> {
        for effect in effects {
            if let Effect::Publish(_) = effect {
                continue;
            }
            if let Some(place) = self.desk.expected.iter().position(|expected| expected == effect) {
                self.desk.expected.swap_remove(place);
                continue;
            }
            let allowed = match effect {
                Effect::Spawn { run } => self.may_retry(*run),
                Effect::StartProbe { probe } => self.may_ask(*probe),
                Effect::CancelSpawn { .. }
                | Effect::Signal { .. }
                | Effect::CancelProbe { .. }
                | Effect::Reply { .. }
                | Effect::Publish(_)
                | Effect::Forget { .. }
                | Effect::ShutDown { .. }
                | Effect::Finished { .. } => false,
            };
            if !allowed {
                return Err(format!("nothing called for {effect:?}"));
            }
        }
        match self.desk.expected.first() {
            None => Ok(()),
            Some(missing) => Err(format!("{missing:?} had to come and did not")),
        }
    }

    /// After a tick: whether something with a window is late.
    pub fn late(&self, now: Instant) -> Option<String> {
        self.books.values().find_map(|book| book.late(now).map(|what| format!("{:?}: {what} is late", book.id)))
    }

    /// Whether the engine shows of an instance what it should.
    pub fn agrees(&self, engine: &Engine, id: InstanceId) -> Result<(), String> {
        let (book, instance) = match (self.books.get(&id), engine.instance(id)) {
            (None, None) => return Ok(()),
            (Some(book), Some(instance)) => (book, instance),
            (book, _) => return Err(format!("{id:?} should {}be there", if book.is_some() { "" } else { "not " })),
        };
        let shown = (instance.state(), instance.run().map(|run| (run.id, run.pid)), instance.healthy());
        let meant = (book.state(), book.life.as_ref().map(|life| (life.run, life.pid)), book.healthy());
        if shown != meant {
            return Err(format!("{id:?} shows {shown:?} and should show {meant:?}"));
        }
        let shown = (instance.attempts(), instance.last_cause(), instance.is_leaving(), instance.is_unkillable());
        let meant = (book.attempts, book.cause, book.is_leaving(), book.is_stuck());
        if shown != meant {
            return Err(format!("{id:?} tells {shown:?} and should tell {meant:?}"));
        }
        let window = match book.rest {
            Rest::Backoff { from, until } if book.life.is_none() => Some((from, until)),
            Rest::Backoff { .. } | Rest::Stopped | Rest::Exited | Rest::Fatal => None,
        };
        match (instance.retry_at(), window) {
            (None, None) => Ok(()),
            (Some(at), Some((from, until))) if from <= at && at <= until => Ok(()),
            (at, window) => Err(format!("{id:?} retries at {at:?} and should within {window:?}")),
        }
    }

    fn about(&mut self, run: RunId, tell: impl FnOnce(&mut Book, &mut Desk)) {
        if let Some(book) = self.books.get_mut(&run.instance)
            && book.life.as_ref().is_some_and(|life| life.run == run)
        {
            tell(book, &mut self.desk);
        }
    }

    fn may_retry(&mut self, run: RunId) -> bool {
        let now = self.desk.now;
        let Some(book) = self.books.get_mut(&run.instance) else { return false };
        let Rest::Backoff { from, .. } = book.rest else { return false };
        if book.life.is_some() || now < from {
            return false;
        }
        book.launch(&mut self.desk);
        self.desk.expected.pop() == Some(Effect::Spawn { run })
    }

    fn may_ask(&mut self, probe: ProbeId) -> bool {
        let now = self.desk.now;
        let Some(book) = self.books.get_mut(&probe.run.instance) else { return false };
        book.asked(probe, now) || book.asked_in_vain(probe, &mut self.desk)
    }
}

/// Orders.
impl Intent {
    fn command(&mut self, ticket: Ticket, command: &Command) {
        let closing = self.closing.is_some();
        match command {
            Command::Shutdown { timeout } => self.shutdown(ticket, *timeout),
            Command::Stop(ids) => self.each(ticket, Want::Down, ids, |book, desk| book.order_down(desk)),
            Command::Start(_) | Command::Restart { .. } | Command::Reload(_) if closing => {
                self.desk.expected.push(Effect::Reply { ticket, outcome: Outcome::ShuttingDown });
            }
            Command::Start(ids) => self.each(ticket, Want::Up, ids, |book, desk| book.order_up(desk)),
            Command::Restart { instances, force } => {
                self.each(ticket, Want::Up, instances, |book, desk| book.order_again(*force, desk));
            }
            Command::Reload(plan) => self.reload(ticket, plan),
        }
    }

    fn each(
        &mut self,
        ticket: Ticket,
        want: Want,
        ids: &[InstanceId],
        mut tell: impl FnMut(&mut Book, &mut Desk) -> Answer,
    ) {
        let mut order = Order::new(want);
        for id in ids.iter().collect::<BTreeSet<_>>() {
            order.open.insert(*id);
            order.size += 1;
            let Some(book) = self.books.get_mut(id) else {
                order.open.remove(id);
                if want == Want::Up {
                    order.failures.push(Failure {
                        instance: *id,
                        state: State::Stopped,
                        superseded: false,
                        cause: None,
                    });
                }
                continue;
            };
            let answer = tell(book, &mut self.desk);
            let (state, cause) = (book.state(), book.cause);
            let failure = |superseded| Failure { instance: *id, state, superseded, cause };
            for overtaken in answer.overtakes {
                self.judge(*id, *overtaken, Err(failure(true)));
            }
            match answer.now {
                Now::Waits => continue,
                Now::AsWished => order.up_before += usize::from(want == Want::Up),
                Now::Refused => order.failures.push(failure(false)),
            }
            order.open.remove(id);
        }
        self.orders.insert(ticket, order);
        self.answer_complete(ticket);
    }

    fn reload(&mut self, ticket: Ticket, plan: &Plan) {
        self.each(ticket, Want::Gone, &plan.removed, |book, desk| book.order_gone(desk));
        for (id, policy) in &plan.changed {
            if let Some(book) = self.books.get_mut(id) {
                book.changed(policy, &mut self.desk);
            }
        }
        for id in &plan.added {
            if let Some(book) = self.books.get_mut(id)
                && book.policy.autostart
            {
                book.order_up(&mut self.desk);
            }
        }
    }

    fn shutdown(&mut self, ticket: Ticket, timeout: Duration) {
        if let Some(closing) = &mut self.closing {
            if closing.finished {
                self.desk.expected.push(Effect::Reply { ticket, outcome: Outcome::Done });
                return;
            }
            closing.tickets.push(ticket);
            if !closing.killed {
                self.kill_all();
            }
            return;
        }
        let ups: Vec<Ticket> =
            self.orders.iter().filter(|(_, order)| order.want == Want::Up).map(|(t, _)| *t).collect();
        for ticket in ups {
            self.orders.remove(&ticket);
            self.desk.expected.push(Effect::Reply { ticket, outcome: Outcome::ShuttingDown });
        }
        let deadline = self.desk.now + timeout;
        self.closing = Some(Closing { deadline, killed: false, finished: false, tickets: vec![ticket] });
        for book in self.books.values_mut() {
            if book.life.is_some() || matches!(book.rest, Rest::Backoff { .. }) {
                book.order_down(&mut self.desk);
            }
        }
    }

    fn kill_all(&mut self) {
        for book in self.books.values_mut() {
            book.kill(&mut self.desk);
        }
        if let Some(closing) = &mut self.closing {
            closing.killed = true;
            closing.deadline = self.desk.now + Duration::from_secs(2);
        }
    }

    fn finish(&mut self) {
        let survivors: Vec<InstanceId> =
            self.books.values().filter(|book| book.life.is_some()).map(|book| book.id).collect();
        for id in &survivors {
            let Some(book) = self.books.get(id) else { continue };
            let failure = Failure { instance: *id, state: State::Stopping, superseded: false, cause: book.cause };
            for want in [Want::Up, Want::Down, Want::Gone] {
                self.judge(*id, want, Err(failure));
            }
        }
        let Some(closing) = &mut self.closing else { return };
        closing.finished = true;
        for ticket in closing.tickets.drain(..) {
            self.desk.expected.push(Effect::Reply { ticket, outcome: Outcome::Done });
        }
        self.desk.expected.push(Effect::Finished { survivors });
    }
}

/// Answers.
impl Intent {
    fn settle(&mut self) {
        for (id, reach) in std::mem::take(&mut self.desk.reached) {
            let cause = self.books.get(&id).and_then(|book| book.cause);
            let failure = |state| Err(Failure { instance: id, state, superseded: false, cause });
            match reach {
                Reach::Up => self.judge(id, Want::Up, Ok(())),
                Reach::Failed(state) => self.judge(id, Want::Up, failure(state)),
                Reach::Ended(_) if self.closing.is_some() || self.told_to_end => {}
                Reach::Ended(state) => {
                    self.told_to_end = true;
                    self.desk.expected.push(Effect::ShutDown { instance: id, state, cause });
                }
                Reach::Down => self.judge(id, Want::Down, Ok(())),
                Reach::Gone => {
                    self.books.remove(&id);
                    for want in [Want::Up, Want::Down, Want::Gone] {
                        self.judge(id, want, Ok(()));
                    }
                }
                Reach::Stuck => {
                    for want in [Want::Up, Want::Down, Want::Gone] {
                        self.judge(id, want, failure(State::Stopping));
                    }
                }
            }
        }
        let over = self.closing.as_ref().is_some_and(|closing| !closing.finished)
            && self.books.values().all(|book| book.life.is_none());
        if over {
            self.finish();
        }
    }

    fn judge(&mut self, id: InstanceId, want: Want, verdict: Result<(), Failure>) {
        let mut complete = Vec::new();
        for (ticket, order) in self.orders.iter_mut().filter(|(_, order)| order.want == want) {
            if !order.open.remove(&id) {
                continue;
            }
            order.failures.extend(verdict.err());
            complete.push(*ticket);
        }
        for ticket in complete {
            self.answer_complete(ticket);
        }
    }

    fn answer_complete(&mut self, ticket: Ticket) {
        if self.orders.get(&ticket).is_some_and(|order| order.open.is_empty())
            && let Some(order) = self.orders.remove(&ticket)
        {
            self.desk.expected.push(Effect::Reply { ticket, outcome: order.outcome() });
        }
    }
}

impl Order {
    fn new(want: Want) -> Order {
        Order { want, size: 0, open: BTreeSet::new(), up_before: 0, failures: Vec::new() }
    }

    fn outcome(mut self) -> Outcome {
        self.failures.sort_by_key(|failure| failure.instance);
        match self.failures.first() {
            None if self.size == 1 && self.up_before == 1 => Outcome::AlreadyUp,
            None => Outcome::Done,
            Some(failure) if self.size == 1 && failure.superseded => Outcome::Superseded,
            Some(_) => Outcome::Failed(self.failures),
        }
    }
}

/// What an order meets.
pub struct Answer {
    pub now: Now,
    pub overtakes: &'static [Want],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    AsWished,
    Waits,
    Refused,
}

/// What a life leads to, for those who ask from outside.
pub fn is_wanted_up(book: &Book) -> bool {
    match (&book.life, &book.rest) {
        (Some(life), _) => match &life.ending {
            None => true,
            Some(ending) => matches!(ending.then, Next::Launch | Next::Backoff(_)),
        },
        (None, Rest::Backoff { .. }) => true,
        (None, Rest::Stopped | Rest::Exited | Rest::Fatal) => false,
    }
}
