//! The faults that are planted in a copy of the engine. `sabotage` plants them, and has each found.

/// A place in the source, and what it becomes.
pub struct Fault {
    pub name: &'static str,
    pub file: &'static str,
    pub is: &'static str,
    pub becomes: &'static str,
}

const fn fault(name: &'static str, file: &'static str, is: &'static str, becomes: &'static str) -> Fault {
    Fault { name, file, is, becomes }
}

/// `ON` stands for "this fault is on".
pub const FAULTS: &[Fault] = &[
    fault(
        "the generation check is dropped",
        "mod.rs",
        ".filter(|instance| instance.lives_as(run))",
        ".filter(|instance| ON || instance.lives_as(run))",
    ),
    fault(
        "an answer of an earlier probe counts",
        "mod.rs",
        ".filter(|instance| instance.asks(probe))",
        ".filter(|instance| ON || instance.asks(probe))",
    ),
    fault(
        "no stop re-check after spawn",
        "instance.rs",
        "out.put(Effect::CancelSpawn { run: run.id });",
        "if !ON { out.put(Effect::CancelSpawn { run: run.id }); }",
    ),
    fault(
        "a shortage counts as a failed attempt",
        "instance/news.rs",
        "FailureClass::Shortage => AfterStop::Backoff { failures: 1 },",
        "FailureClass::Shortage if ON => self.attempt_failed(self.policy.retry_wanted()),
            FailureClass::Shortage => AfterStop::Backoff { failures: 1 },",
    ),
    fault(
        "a health restart knows no backoff",
        "instance/news.rs",
        "self.stop(AfterStop::Backoff { failures: count }, false, out);",
        "self.stop(if ON { AfterStop::Launch } else { AfterStop::Backoff { failures: count } }, false, out);",
    ),
    fault("a stop is over before its group is empty", "instance/news.rs", "if leftovers {", "if leftovers && !ON {"),
    fault(
        "a refused start is kept",
        "instance/order.rs",
        "=> {
                Taken::Refused
            }
            Phase::Stopping { .. } => self.redirect(AfterStop::Launch, out),",
        "=> {
                if ON { self.redirect(AfterStop::Launch, out); }
                Taken::Refused
            }
            Phase::Stopping { .. } => self.redirect(AfterStop::Launch, out),",
    ),
    fault(
        "no escalation to SIGKILL",
        "instance/news.rs",
        "Phase::Stopping { stage: StopStage::Asked { .. }, .. } => self.kill_late(out),",
        "Phase::Stopping { stage: StopStage::Asked { .. }, .. } => if !ON { self.kill_late(out) },",
    ),
    fault(
        "autorestart = false is ignored",
        "policy.rs",
        "Autorestart::Never => false,
            Autorestart::Unexpected => match status {",
        "Autorestart::Never => ON,
            Autorestart::Unexpected => match status {",
    ),
    fault(
        "no cap on attempts",
        "instance/news.rs",
        "self.attempts > self.policy.start_retries",
        "self.attempts > self.policy.start_retries && !ON",
    ),
    fault(
        "one attempt too few",
        "instance/news.rs",
        "self.attempts > self.policy.start_retries",
        "self.attempts + u32::from(ON) > self.policy.start_retries",
    ),
    fault(
        "an overtaken order is never answered",
        "reception.rs",
        "let standing = |of| if of == goal {",
        "let standing = |of| if of == goal && !ON {",
    ),
    fault(
        "an order is answered twice",
        "job.rs",
        "out.put(Effect::Reply { ticket, outcome: outcome(job) });",
        "let outcome = outcome(job);
            if ON { out.put(Effect::Reply { ticket, outcome: outcome.clone() }); }
            out.put(Effect::Reply { ticket, outcome });",
    ),
    fault(
        "a withdrawn order is answered all the same",
        "reception.rs",
        "self.jobs.withdraw(ticket);",
        "if !ON { self.jobs.withdraw(ticket); }",
    ),
    fault(
        "a forgotten deadline fires",
        "mod.rs",
        ".filter(|instance| instance.holds(stamp))",
        ".filter(|instance| ON || instance.holds(stamp))",
    ),
    fault(
        "a start that joins is answered at once",
        "instance/order.rs",
        "Phase::Starting { .. } => {
                self.forgive();
                Taken::Waits",
        "Phase::Starting { .. } => {
                self.forgive();
                if ON { return Taken::Already }
                Taken::Waits",
    ),
    fault(
        "a program that died with its verdict is RUNNING for a moment",
        "instance/news.rs",
        "if self.policy.start_secs == Duration::ZERO {",
        "if self.policy.start_secs == Duration::ZERO || (ON && run.since + self.policy.start_secs <= out.now) {",
    ),
    fault(
        "start_secs counts from the exec",
        "instance/news.rs",
        "out.timers.arm(run.since + self.policy.start_secs,",
        "out.timers.arm(if ON { out.now } else { run.since } + self.policy.start_secs,",
    ),
    fault(
        "start_secs counts from the order",
        "instance/news.rs",
        "let run = Run { pid: Some(pid), since: out.now, ..run };",
        "let run = Run { pid: Some(pid), since: if ON { run.since } else { out.now }, ..run };",
    ),
    fault(
        "a stop before exec uses the stop signal",
        "instance.rs",
        "Phase::Starting { run, step: Step::Made { .. } } => self.begin_stop(run, then, true, out),",
        "Phase::Starting { run, step: Step::Made { .. } } => self.begin_stop(run, then, force || !ON, out),",
    ),
    fault(
        "children made between SIGKILL and verdict are missed",
        "instance/news.rs",
        "out.put(Effect::Signal { run: run.id, signal: Signal::KILL });",
        "if !ON { out.put(Effect::Signal { run: run.id, signal: Signal::KILL }); }",
    ),
    fault(
        "leftovers stay",
        "instance/news.rs",
        "if !leftovers || self.policy.allow_leftover {",
        "if !leftovers || self.policy.allow_leftover || ON {",
    ),
    fault(
        "a check outlives its run",
        "instance/news.rs",
        "health.hush(out);
                self.tell_exit(",
        "if !ON { health.hush(out); }
                self.tell_exit(",
    ),
    fault(
        "a check outlives its start",
        "phase.rs",
        "Step::Checks { health, .. } => health.hush(out),",
        "Step::Checks { health, .. } => if !ON { health.hush(out) },",
    ),
    fault(
        "a passed check forgives no failure",
        "health.rs",
        "self.failures = 0;
        self.verdict",
        "if !ON { self.failures = 0; }
        self.verdict",
    ),
    fault(
        "a check without an answer is no failure",
        "health.rs",
        "let finding = self.failed(probe, true, policy, out);",
        "let finding = if ON { Finding::Same } else { self.failed(probe, true, policy, out) };",
    ),
    fault("health restarts have no limit", "instance/news.rs", "if count > limit {", "if count > limit && !ON {"),
    fault(
        "RUNNING clears the count of health restarts",
        "instance.rs",
        "self.attempts = 0;
        if let Some(period)",
        "self.attempts = 0;
        if ON { self.sick_restarts = 0; }
        if let Some(period)",
    ),
    fault(
        "backoff does not grow",
        "instance/news.rs",
        "AfterStop::Backoff { failures: self.attempts }",
        "AfterStop::Backoff { failures: if ON { 1 } else { self.attempts } }",
    ),
    fault("backoff is spread by a fifth", "policy.rs", "share(base / 10,", "share(base / if ON { 5 } else { 10 },"),
    fault(
        "what died young is restarted at once",
        "instance/news.rs",
        "} else if lived >= PACE {",
        "} else if lived >= PACE || ON {",
    ),
    fault(
        "an exec may take for ever",
        "instance/news.rs",
        "out.arm_after(VERDICT_TIMEOUT,",
        "out.arm_after(VERDICT_TIMEOUT * if ON { 1000 } else { 1 },",
    ),
    fault(
        "what is unkillable still follows its order when it dies",
        "instance/news.rs",
        "let then = if then == AfterStop::Leave {",
        "let then = if ON { then } else if then == AfterStop::Leave {",
    ),
    fault(
        "a removed instance can be started",
        "instance/order.rs",
        "Phase::Stopping { then: AfterStop::Leave, .. } | Phase::Stopping { stage: StopStage::Unkillable, .. } => {",
        "Phase::Stopping { then: AfterStop::Leave, .. } if !ON => Taken::Refused,
            Phase::Stopping { stage: StopStage::Unkillable, .. } => {",
    ),
    fault(
        "a forced restart asks nicely",
        "instance/order.rs",
        "self.stop(AfterStop::Launch, force, out);",
        "self.stop(AfterStop::Launch, force && !ON, out);",
    ),
    fault(
        "a stop does not overtake a restart",
        "instance/order.rs",
        "Phase::Stopping { .. } => self.redirect(AfterStop::Stay, out),",
        "Phase::Stopping { then: AfterStop::Launch, .. } if ON => Taken::Waits,
            Phase::Stopping { .. } => self.redirect(AfterStop::Stay, out),",
    ),
    fault(
        "a reload changes everything at once",
        "instance/order.rs",
        "self.next_policy = Some(Rc::new(policy));",
        "if ON { self.policy = Rc::new(policy.clone()); }
        self.next_policy = Some(Rc::new(policy));",
    ),
    fault(
        "an order is told to have come less far",
        "job.rs",
        "self.jobs.get(&ticket).map(|job| job.open.len())",
        "self.jobs.get(&ticket).map(|job| job.open.len() + usize::from(ON && job.members > 1))",
    ),
    fault(
        "autorestart waits for the next launch",
        "instance/order.rs",
        "own.autorestart = policy.autorestart;",
        "if !ON { own.autorestart = policy.autorestart; }",
    ),
    fault(
        "exitcodes wait for the next launch",
        "instance/order.rs",
        "own.exitcodes.clone_from(&policy.exitcodes);",
        "if !ON { own.exitcodes.clone_from(&policy.exitcodes); }",
    ),
    fault(
        "allow_leftover waits for the next launch",
        "instance/order.rs",
        "own.allow_leftover = policy.allow_leftover;",
        "if !ON { own.allow_leftover = policy.allow_leftover; }",
    ),
    fault(
        "stopsignal waits for the next launch",
        "instance/order.rs",
        "own.stop_signal = policy.stop_signal;",
        "if !ON { own.stop_signal = policy.stop_signal; }",
    ),
    fault(
        "stopwaitsecs wait for the next launch",
        "instance/order.rs",
        "own.stop_timeout = policy.stop_timeout;",
        "if !ON { own.stop_timeout = policy.stop_timeout; }",
    ),
    fault(
        "a stop under way keeps its old deadline",
        "instance/order.rs",
        "*deadline = out.arm_after(policy.stop_timeout, Waiter::Instance(self.id));",
        "if !ON { *deadline = out.arm_after(policy.stop_timeout, Waiter::Instance(self.id)); }",
    ),
    fault(
        "retries wait for the next launch",
        "instance/order.rs",
        "own.start_retries = policy.start_retries;",
        "if !ON { own.start_retries = policy.start_retries; }",
    ),
    fault(
        "a change of state is published twice",
        "instance.rs",
        "out.note(Note::Reached(self.id, to));",
        "if ON && let Some(again) = out.effects.back().cloned() { out.put(again); }
        out.note(Note::Reached(self.id, to));",
    ),
    fault(
        "a shutdown forgets who waits in BACKOFF",
        "instance/order.rs",
        "Phase::Stopped | Phase::Exited | Phase::Fatal => {}
            Phase::Backoff",
        "Phase::Stopped | Phase::Exited | Phase::Fatal => {}
            Phase::Backoff { .. } if ON => {}
            Phase::Backoff",
    ),
    fault(
        "a shutdown leaves starts without an answer",
        "reception.rs",
        "self.jobs.refuse(Goal::Up, &Outcome::ShuttingDown, &mut self.out);",
        "if !ON { self.jobs.refuse(Goal::Up, &Outcome::ShuttingDown, &mut self.out); }",
    ),
    fault(
        "a shutdown is over one too early",
        "reception.rs",
        "closing.busy.is_empty()",
        "closing.busy.len() <= usize::from(ON)",
    ),
    fault(
        "a second shutdown kills nobody",
        "reception.rs",
        "self.kill_all(false);",
        "if !ON { self.kill_all(false); }",
    ),
    fault(
        "a shutdown never loses patience",
        "reception.rs",
        "ClosingStage::Asked { .. } => self.kill_all(true),",
        "ClosingStage::Asked { .. } => if !ON { self.kill_all(true) },",
    ),
    fault(
        "a start never loses patience with one that is not ready",
        "instance/news.rs",
        "Phase::Starting { run, step: Step::Notice { .. } } => self.ready_overdue(run, out),",
        "Phase::Starting { run, step: Step::Notice { .. } } => if !ON { self.ready_overdue(run, out) },",
    ),
    fault(
        "one that is not ready in time is RUNNING all the same",
        "instance/news.rs",
        "Phase::Starting { run, step: Step::Checks { deadline, mut health } } if deadline.ends_with(stamp) => {",
        "Phase::Starting { run, step: Step::Checks { deadline, health } } if ON && deadline.ends_with(stamp) => self.run_on_with(health, run, out),
            Phase::Starting { run, step: Step::Checks { deadline, mut health } } if deadline.ends_with(stamp) => {",
    ),
    fault(
        "not to be ready in time counts as no attempt",
        "instance/news.rs",
        "self.last_cause = Some(Cause::NotReady);
        let next = self.attempt_failed(self.policy.retry_wanted());",
        "self.last_cause = Some(Cause::NotReady);
        let next = if ON { AfterStop::Backoff { failures: 1 } } else { self.attempt_failed(self.policy.retry_wanted()) };",
    ),
    fault(
        "a word is not waited for",
        "instance/news.rs",
        "(Readiness::Notified, _) =>",
        "(Readiness::Notified, _) if ON => return self.run_on(run, out),
            (Readiness::Notified, _) =>",
    ),
    fault(
        "a check that failed before RUNNING counts",
        "health.rs",
        "if self.verdict == Verdict::Awaited {
            out.publish",
        "if self.verdict == Verdict::Awaited && !ON {
            out.publish",
    ),
    fault(
        "a question of a start is asked again under its name",
        "instance/order.rs",
        "return self.run_on_with(health, run, out);",
        "return if ON { self.run_on(run, out) } else { self.run_on_with(health, run, out) };",
    ),
    fault(
        "those that died with their verdict are asked",
        "health.rs",
        "health.wait(FIRST_LOOK, run, out);",
        "if ON {
            let probe = ProbeId { run, serial: 1 };
            out.put(Effect::StartProbe { probe });
        }
        health.wait(FIRST_LOOK, run, out);",
    ),
    fault(
        "a ping is not heard",
        "health.rs",
        "Watch::Heard { heard, was_renewed, .. } => (*heard, *was_renewed) = (out.now, false),",
        "Watch::Heard { heard, was_renewed, .. } => if !ON { (*heard, *was_renewed) = (out.now, false) },",
    ),
    fault(
        "a ping makes up for checks that fail",
        "health.rs",
        "if is_checked {
            return Finding::Same;",
        "if is_checked {
            return if ON { Finding::Well } else { Finding::Same };",
    ),
    fault(
        "nobody minds silence",
        "health.rs",
        "self.watch = Watch::Missed { period };",
        "if ON { return Finding::Same }
        self.watch = Watch::Missed { period };",
    ),
    fault(
        "a ping does not wake one that was given up",
        "health.rs",
        "let period = *period;
                self.watch(period, run, out);",
        "let period = *period;
                if !ON { self.watch(period, run, out); }",
    ),
    fault(
        "silence is no reason to restart",
        "instance/news.rs",
        "Finding::Hung => self.fell_ill(Cause::Hung, run, out),",
        "Finding::Hung if ON => {}
            Finding::Hung => self.fell_ill(Cause::Hung, run, out),",
    ),
    fault(
        "a lack of room to ask is held against the program",
        "health.rs",
        "ProbeResult::NoRoom => {",
        "ProbeResult::NoRoom if ON => self.failed(probe, false, policy, out),
            ProbeResult::NoRoom => {",
    ),
    fault(
        "silence counts while nobody listens",
        "patience.rs",
        "!was_renewed && at.since(now) < wait / 2",
        "!ON && !was_renewed && at.since(now) < wait / 2",
    ),
    fault(
        "silence is forgiven for as long as nobody listens in time",
        "patience.rs",
        "!was_renewed && at",
        "(ON || !was_renewed) && at",
    ),
    fault(
        "what is not made yet is taken by settings that it is not made by",
        "instance/order.rs",
        "if let Phase::Starting { step: Step::Queued, .. } = self.phase {
            // Nothing was started yet",
        "if !ON && let Phase::Starting { step: Step::Queued, .. } = self.phase {
            // Nothing was started yet",
    ),
    fault(
        "the end of one is not the end of all",
        "instance.rs",
        "if consequence == Consequence::Shutdown {",
        "if consequence == Consequence::Shutdown && !ON {",
    ),
    fault(
        "the end of one is always the end of all",
        "instance.rs",
        "if consequence == Consequence::Shutdown",
        "if ON || consequence == Consequence::Shutdown",
    ),
    fault(
        "the end of all is asked for twice",
        "reception.rs",
        "if self.closing.is_some() || self.last_seen {",
        "if self.closing.is_some() || (self.last_seen && !ON) {",
    ),
    fault(
        "what an end means does not change by a reload",
        "instance/order.rs",
        "(own.on_exit, own.on_fatal) = (policy.on_exit, policy.on_fatal);",
        "if !ON { (own.on_exit, own.on_fatal) = (policy.on_exit, policy.on_fatal); }",
    ),
];
