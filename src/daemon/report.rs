//! The only wording of events and causes: log lines for people, reasons for replies.

use super::probes::Probes;
use super::roster::Roster;
use crate::config::signal;
use crate::engine::id::InstanceId;
use crate::engine::message::{Cause, Event, ExitStatus, Signal, SpawnError, State};
use crate::engine::time::Duration;
use crate::logs::sink::Notice;
use crate::sys::spawn;
use log::Level;

/// The log line of an event, if a person would want one.
pub fn line(event: &Event, roster: &Roster, probes: &Probes) -> Option<(Level, String)> {
    match *event {
        Event::Spawned { run, pid } => {
            let entry = roster.entry(run.instance)?;
            let command = entry.spec.launch.argv.join(" ");
            Some((Level::Info, format!("Spawned {} (pid {pid}): {command}", entry.spec.name)))
        }
        Event::StateChanged { instance, from, to, pid, delay, cause, attempts } => {
            let change = Change { from, to, pid, delay, cause, attempts };
            change.line(roster.name(instance), instance, roster)
        }
        Event::Exited { run, status, expected, leftovers, .. } => {
            let level = if expected { Level::Info } else { Level::Warn };
            let rest = if leftovers && !expected { "; members of its process group live on" } else { "" };
            Some((level, format!("{} {}{rest}", roster.name(run.instance), exit_text(status))))
        }
        Event::SpawnFailed { run, error } => {
            let text = spawn_text(&error, run.instance, roster);
            Some((Level::Error, format!("{} could not be started: {text}", roster.name(run.instance))))
        }
        Event::StopTimedOut { run } => {
            let text = "did not stop in time: SIGKILL to its process group";
            Some((Level::Warn, format!("{} {text}", roster.name(run.instance))))
        }
        Event::Unkillable { run } => {
            let text = "is still there two seconds after SIGKILL; it stays STOPPING until the kernel lets go of it";
            Some((Level::Error, format!("{} {text}", roster.name(run.instance))))
        }
        Event::ProbePassed { probe, after_failures } => (after_failures > 0).then(|| {
            let name = roster.name(probe.run.instance);
            (Level::Info, format!("{name}: health check passed after {after_failures} failures"))
        }),
        Event::ProbeFailed { probe, failures, retries, .. } => {
            let name = roster.name(probe.run.instance);
            let message = probes.record(probe.run.instance).map_or("", |record| &record.message);
            Some((Level::Warn, format!("{name}: health check failed ({failures}/{retries}): {message}")))
        }
        Event::NotReadyYet { probe, .. } => {
            let name = roster.name(probe.run.instance);
            let message = probes.record(probe.run.instance).map_or("", |record| &record.message);
            Some((Level::Debug, format!("{name}: not ready yet: {message}")))
        }
        Event::ReadyTimedOut { run, within } => {
            let (name, within) = (roster.name(run.instance), within.as_secs_f64());
            Some((Level::Warn, format!("{name} was not ready within {within}s")))
        }
        Event::WatchdogMissed { run } => {
            Some((Level::Warn, format!("{}: no WATCHDOG=1 came in time", roster.name(run.instance))))
        }
        Event::HealthRestart { run, count, limit } => {
            let name = roster.name(run.instance);
            Some((Level::Warn, format!("{name}: restarting because it is unhealthy (restart {count}/{limit})")))
        }
    }
}

/// Why something is down or did not come up, for the `reason` of a reply.
pub fn cause_text(cause: Cause, instance: InstanceId, roster: &Roster) -> String {
    match cause {
        Cause::Exit(status) => exit_text(status),
        Cause::Spawn(error) => spawn_text(&error, instance, roster),
        Cause::Unhealthy => "its health checks failed".to_owned(),
        Cause::NotReady => "it was not ready in time".to_owned(),
        Cause::Hung => "it missed its watchdog".to_owned(),
    }
}

/// `exited with code 1`, `killed by SIGSEGV (core dumped)`.
pub fn exit_text(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal { number, core } => {
            let dump = if core { " (core dumped)" } else { "" };
            format!("killed by {}{dump}", signal_name(Signal(number)))
        }
    }
}

/// `SIGTERM`, `SIGRTMIN+1`.
pub fn signal_name(signal: Signal) -> String {
    format!("SIG{}", signal::name(signal))
}

/// The log line of a log file's trouble.
pub fn notice_line(notice: &Notice) -> (Level, String) {
    match notice {
        Notice::Failing { path, cause, dropped_bytes, .. } => {
            let lost = if *dropped_bytes > 0 { format!("; {dropped_bytes} bytes dropped") } else { String::new() };
            let text = format!("writing {} failed: {cause}{lost}", path.display());
            (Level::Error, text)
        }
        Notice::Recovered { path, outage_bytes, .. } => {
            let text = format!("writing {} works again; {outage_bytes} bytes were dropped in all", path.display());
            (Level::Warn, text)
        }
        Notice::RotationFailing { path, cause } => {
            (Level::Error, format!("rotating {} failed: {cause}; it grows beyond its limit meanwhile", path.display()))
        }
        Notice::RotationRecovered { path } => (Level::Info, format!("rotating {} works again", path.display())),
    }
}

struct Change {
    from: State,
    to: State,
    pid: Option<i32>,
    delay: Option<Duration>,
    cause: Option<Cause>,
    attempts: u32,
}

impl Change {
    fn line(&self, name: &str, instance: InstanceId, roster: &Roster) -> Option<(Level, String)> {
        let pid = self.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        let why = || self.cause.map_or_else(String::new, |cause| format!(": {}", cause_text(cause, instance, roster)));
        Some(match self.to {
            State::Running if self.from == State::Unhealthy => (Level::Info, format!("{name} is healthy again")),
            State::Running => (Level::Info, format!("Started {name}{pid}")),
            State::Unhealthy => (Level::Error, format!("{name} is unhealthy")),
            State::Stopping if self.from == State::Exited => (Level::Info, format!("Stopping what {name} left behind")),
            State::Stopping => (Level::Info, format!("Stopping {name}{pid}")),
            State::Stopped => (Level::Info, format!("Stopped {name}")),
            State::Backoff => {
                let delay = self.delay.unwrap_or_default().as_secs_f64();
                (Level::Info, format!("Backoff {name}: next attempt in {delay:.1} s"))
            }
            State::Fatal if self.attempts == 0 => (Level::Error, format!("{name}: giving up{}", why())),
            State::Fatal => {
                let after = match self.attempts {
                    0 => String::new(),
                    1 => " after 1 failed attempt".to_owned(),
                    many => format!(" after {many} failed attempts"),
                };
                (Level::Error, format!("{name}: giving up{after}{}", why()))
            }
            State::Exited if self.from == State::Stopping => (Level::Info, format!("Nothing of {name} is left")),
            State::Starting | State::Exited => return None,
        })
    }
}

/// The kept words of the last failed start; without them, what the error alone says.
fn spawn_text(error: &SpawnError, instance: InstanceId, roster: &Roster) -> String {
    let Some(entry) = roster.entry(instance) else { return spawn::describe(error, "") };
    match (&entry.fault, &entry.plan) {
        (Some(fault), _) => fault.to_string(),
        (None, Some(plan)) => spawn::describe(error, &plan.subject(error, None)),
        (None, None) => spawn::describe(error, entry.spec.launch.user.as_deref().unwrap_or("")),
    }
}
