//! Holds docs/STATES.md to the code: the tables there are printed by the engine, phase by phase and stimulus by stimulus.
//! `UPDATE_STATES=1 cargo test --test states` writes them anew.

use std::collections::BTreeSet;
use supervice::engine::Engine;
use supervice::engine::id::{InstanceId, ProbeId, RunId, Ticket};
use supervice::engine::message::{
    Command, Effect, Event, ExitStatus, FailureClass, Input, Outcome, Plan, ProbeResult, Signal, SpawnError,
    SpawnStage, State,
};
use supervice::engine::policy::{Autorestart, Consequence, HealthPolicy, Policy, Readiness};
use supervice::engine::time::{Duration, Instant};

/// One instance in one phase.
struct Stage {
    engine: Engine,
    id: InstanceId,
    now: Instant,
    run: RunId,
    probe: ProbeId,
    tickets: u64,
}

fn policy() -> Policy {
    Policy {
        autostart: true,
        autorestart: Autorestart::Always,
        exitcodes: BTreeSet::from([0]),
        start_secs: Duration::from_secs(1),
        readiness: Readiness::Lived,
        ready_timeout: Duration::from_secs(60),
        watchdog: None,
        start_retries: 3,
        stop_signal: Signal::TERM,
        stop_timeout: Duration::from_secs(10),
        allow_leftover: false,
        on_exit: Consequence::Nothing,
        on_fatal: Consequence::Nothing,
        health: Some(HealthPolicy {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            retries: 1,
            start_period: Duration::from_secs(1),
        }),
    }
}

fn never() -> Policy {
    Policy { autorestart: Autorestart::Never, ..policy() }
}

const BAD: ExitStatus = ExitStatus::Code(1);

impl Stage {
    fn stopped(policy: Policy) -> Stage {
        let now = Instant::from_millis(1_000_000);
        let mut engine = Engine::new(now, 0);
        let id = engine.add(policy);
        let run = RunId { instance: id, serial: 1 };
        Stage { engine, id, now, run, probe: ProbeId { run, serial: 1 }, tickets: 0 }
    }

    fn queued(policy: Policy) -> Stage {
        let mut stage = Stage::stopped(policy);
        stage.start();
        stage
    }

    fn made(policy: Policy) -> Stage {
        let mut stage = Stage::queued(policy);
        stage.spawned();
        stage
    }

    fn gate(policy: Policy) -> Stage {
        let mut stage = Stage::made(policy);
        stage.exec_ok();
        stage
    }

    fn unready(readiness: Readiness) -> Stage {
        Stage::gate(Policy { readiness, ..policy() })
    }

    fn running(policy: Policy) -> Stage {
        let mut stage = Stage::gate(policy);
        stage.deadline();
        stage
    }

    fn unhealthy() -> Stage {
        let mut stage = Stage::running(never());
        stage.check(ProbeResult::Fail);
        stage
    }

    fn backoff() -> Stage {
        let mut stage = Stage::gate(policy());
        stage.exited(false);
        stage
    }

    fn exited_one() -> Stage {
        let mut stage = Stage::running(never());
        stage.exited(false);
        stage
    }

    fn fatal() -> Stage {
        let mut stage = Stage::queued(policy());
        stage.spawn_failed(FailureClass::Permanent);
        stage
    }

    fn stopping() -> Stage {
        let mut stage = Stage::running(policy());
        stage.stop();
        stage
    }

    /// Of a run whose leader was reaped.
    fn leftovers() -> Stage {
        let mut stage = Stage::running(policy());
        stage.exited(true);
        stage
    }

    fn restarting() -> Stage {
        let mut stage = Stage::running(policy());
        stage.restart();
        stage
    }

    fn killed() -> Stage {
        let mut stage = Stage::stopping();
        stage.deadline();
        stage
    }

    fn unkillable() -> Stage {
        let mut stage = Stage::killed();
        stage.deadline();
        stage
    }

    fn leaving() -> Stage {
        let mut stage = Stage::running(policy());
        stage.remove();
        stage
    }

    fn hear(&mut self, input: Input) -> Vec<Effect> {
        self.engine.handle(self.now, input);
        self.effects()
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.engine.check_invariants();
        let effects: Vec<Effect> = std::iter::from_fn(|| self.engine.poll_effect()).collect();
        for effect in &effects {
            if let Effect::Spawn { run } = effect {
                self.run = *run;
            }
            if let Effect::StartProbe { probe } = effect {
                self.probe = *probe;
            }
        }
        effects
    }

    fn order(&mut self, command: Command) -> Vec<Effect> {
        self.tickets += 1;
        self.hear(Input::Command { ticket: Ticket(self.tickets), command })
    }

    fn start(&mut self) -> Vec<Effect> {
        self.order(Command::Start(vec![self.id]))
    }

    fn stop(&mut self) -> Vec<Effect> {
        self.order(Command::Stop(vec![self.id]))
    }

    fn restart(&mut self) -> Vec<Effect> {
        self.order(Command::Restart { instances: vec![self.id], force: false })
    }

    fn force(&mut self) -> Vec<Effect> {
        self.order(Command::Restart { instances: vec![self.id], force: true })
    }

    fn remove(&mut self) -> Vec<Effect> {
        self.order(Command::Reload(Plan { removed: vec![self.id], ..Plan::default() }))
    }

    fn shutdown(&mut self) -> Vec<Effect> {
        self.order(Command::Shutdown { timeout: Duration::from_secs(30) })
    }

    fn spawned(&mut self) -> Vec<Effect> {
        self.hear(Input::Spawned { run: self.run, pid: 100 })
    }

    fn exec_ok(&mut self) -> Vec<Effect> {
        self.hear(Input::ExecOk { run: self.run })
    }

    fn ready(&mut self) -> Vec<Effect> {
        self.hear(Input::Ready { run: self.run })
    }

    fn spawn_failed(&mut self, class: FailureClass) -> Vec<Effect> {
        let error = SpawnError { stage: SpawnStage::Exec, errno: 2, class };
        self.hear(Input::SpawnFailed { run: self.run, error })
    }

    fn exited(&mut self, leftovers: bool) -> Vec<Effect> {
        self.hear(Input::Exited { run: self.run, status: BAD, leftovers })
    }

    fn group_empty(&mut self) -> Vec<Effect> {
        self.hear(Input::GroupEmpty { run: self.run })
    }

    /// The next deadline that somebody waits for, if there is one within two minutes.
    fn deadline(&mut self) -> Vec<Effect> {
        let end = self.now + Duration::from_secs(120);
        while let Some(next) = self.engine.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.engine.handle_timeout(next);
            let effects = self.effects();
            if !effects.is_empty() {
                return effects;
            }
        }
        Vec::new()
    }

    /// A check is asked and answered, where anybody asks.
    fn check(&mut self, result: ProbeResult) -> Vec<Effect> {
        if matches!(self.state(), Some(State::Running | State::Unhealthy)) {
            self.deadline();
        }
        self.hear(Input::ProbeDone { probe: self.probe, result })
    }

    fn state(&self) -> Option<State> {
        self.engine.instance(self.id).map(|instance| instance.state())
    }

    /// Where its stop leads: what comes when nothing of the run is left.
    fn then(mut self) -> Option<String> {
        if self.state() != Some(State::Stopping) {
            return None;
        }
        let mut effects = self.exited(false);
        effects.extend(self.group_empty());
        match (self.state(), effects.iter().any(|effect| matches!(effect, Effect::Forget { .. }))) {
            (None, true) => Some("then gone".into()),
            (state, _) => state.map(|state| format!("then {state}")),
        }
    }
}

type Bring = fn() -> Stage;
type Stimulus = fn(&mut Stage) -> Vec<Effect>;

const PHASES: [(&str, Bring); 17] = [
    ("STOPPED", || Stage::stopped(policy())),
    ("BACKOFF", Stage::backoff),
    ("STARTING, no process yet", || Stage::queued(policy())),
    ("STARTING, exec not confirmed", || Stage::made(policy())),
    ("STARTING, `startsecs` not over", || Stage::gate(policy())),
    ("STARTING, to say that it is ready", || Stage::unready(Readiness::Notified)),
    ("STARTING, to pass a check", || Stage::unready(Readiness::Checked)),
    ("RUNNING", || Stage::running(policy())),
    ("UNHEALTHY", Stage::unhealthy),
    ("STOPPING, asked to", Stage::stopping),
    ("STOPPING, to start again", Stage::restarting),
    ("STOPPING, only leftovers", Stage::leftovers),
    ("STOPPING, after SIGKILL", Stage::killed),
    ("STOPPING, unkillable", Stage::unkillable),
    ("STOPPING, removed by a reload", Stage::leaving),
    ("EXITED", Stage::exited_one),
    ("FATAL", Stage::fatal),
];

const ORDERS: [(&str, Stimulus); 6] = [
    ("start", Stage::start),
    ("stop", Stage::stop),
    ("restart", Stage::restart),
    ("restart --force", Stage::force),
    ("removed by reload", Stage::remove),
    ("shutdown", Stage::shutdown),
];

const NEWS: [(&str, Stimulus); 8] = [
    ("process made", Stage::spawned),
    ("exec worked", Stage::exec_ok),
    ("says it is ready", Stage::ready),
    ("start failed", |stage| stage.spawn_failed(FailureClass::Ordinary)),
    ("can never work", |stage| stage.spawn_failed(FailureClass::Permanent)),
    ("no room now", |stage| stage.spawn_failed(FailureClass::Shortage)),
    ("exited", |stage| stage.exited(false)),
    ("exited, leftovers", |stage| stage.exited(true)),
];

const LATER: [(&str, Stimulus); 4] = [
    ("group empty", Stage::group_empty),
    ("its deadline", Stage::deadline),
    ("last check allowed fails", |stage| stage.check(ProbeResult::Fail)),
    ("check passes", |stage| stage.check(ProbeResult::Pass)),
];

/// What came of a stimulus, in a few words.
fn told(effects: &[Effect]) -> Vec<String> {
    let mut words = Vec::new();
    for effect in effects {
        match effect {
            Effect::Publish(Event::StateChanged { to, .. }) => words.push(format!("→ {to}")),
            Effect::Spawn { .. } => words.push("spawn".into()),
            Effect::CancelSpawn { .. } => words.push("call off".into()),
            Effect::Signal { signal: Signal::KILL, .. } => words.push("KILL".into()),
            Effect::Signal { .. } => words.push("stop signal".into()),
            Effect::StartProbe { .. } => words.push("check".into()),
            Effect::CancelProbe { .. } => words.push("drop check".into()),
            Effect::Forget { .. } => words.push("forget".into()),
            Effect::Publish(Event::Unkillable { .. }) => words.push("unkillable".into()),
            Effect::Reply { outcome: Outcome::Failed(failures), .. }
                if failures.iter().all(|failure| !failure.superseded) =>
            {
                words.push("answer: failed".into());
            }
            Effect::ShutDown { .. } => words.push("shut down".into()),
            Effect::Reply { .. } | Effect::Publish(_) | Effect::Finished { .. } => {}
        }
    }
    words
}

fn cell(bring: Bring, give: Stimulus, is_order: bool) -> String {
    let mut stage = bring();
    let mut words = told(&give(&mut stage));
    if is_order || !words.is_empty() {
        words.extend(stage.then());
    }
    if words.is_empty() { "–".into() } else { words.join(", ") }
}

fn table(stimuli: &[(&str, Stimulus)], is_order: bool) -> String {
    let heads: Vec<&str> = stimuli.iter().map(|(name, _)| *name).collect();
    let mut text = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for (name, bring) in PHASES {
        let cells: Vec<String> = stimuli.iter().map(|(_, give)| cell(bring, *give, is_order)).collect();
        text += &format!("| **{name}** | {} |\n", cells.join(" | "));
    }
    text
}

/// Replaces what stands between the marks of a table.
fn put(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: printed by tests/states.rs -->\n"), format!("<!-- end of {name} -->"));
    let from = page.find(&begin).unwrap_or_else(|| panic!("docs/STATES.md has no place for {name}")) + begin.len();
    let to = from + page[from..].find(&end).unwrap_or_else(|| panic!("{name} has no end in docs/STATES.md"));
    format!("{}{table}{}", &page[..from], &page[to..])
}

#[test]
fn the_page_tells_what_the_code_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/STATES.md");
    let page = std::fs::read_to_string(&path).expect("docs/STATES.md can be read");
    let mut printed = page.clone();
    for (name, stimuli) in [("orders", &ORDERS[..]), ("news", &NEWS[..]), ("later", &LATER[..])] {
        printed = put(&printed, name, &table(stimuli, name == "orders"));
    }
    if std::env::var_os("UPDATE_STATES").is_some() {
        std::fs::write(&path, &printed).expect("docs/STATES.md can be written");
        return;
    }
    let differing = page.lines().zip(printed.lines()).find(|(written, meant)| written != meant);
    assert!(page == printed, "docs/STATES.md is not what the code does (UPDATE_STATES=1 writes it): {differing:?}");
}

#[test]
fn each_phase_is_the_one_it_is_called() {
    for (name, bring) in PHASES {
        let stage = bring();
        let state = stage.state().map(State::name);
        assert_eq!(state, name.split(',').next(), "{name}");
    }
}
