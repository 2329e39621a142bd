//! `[program:NAME]` turned into its instances; `%(process_num)s` is expanded here, once.

use super::health::{self, Health};
use super::options::{AUTORESTART, CONSEQUENCE, READY, RECONCILE};
use super::problems::quoted;
use super::section::Reading;
use super::streams::{self, Limits};
use super::{environment, signal, value, words};
use crate::engine::message::Signal;
use crate::engine::policy::{Autorestart, Consequence, Policy, Readiness};
use crate::spec::{InstanceSpec, Launch, LogSpec, LogTarget, ProbeTarget, Reconcile};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Words and variables of all instances together take at most so many bytes.
pub const MAX_EXPANDED: usize = 256 << 20;

/// What is left for further programs.
pub(super) struct Room {
    pub(super) instances: u32,
    pub(super) bytes: usize,
}

/// Reads a program. Where something is wrong with an instance, those after it are left out.
pub(super) fn read(section: &mut Reading<'_>, name: &str, room: &mut Room) -> Vec<InstanceSpec> {
    let numprocs = section.count("numprocs");
    let program = Program::read(section, name);
    if numprocs > room.instances {
        let most = super::options::MAX_INSTANCES;
        section.error("numprocs", format!("all programs together have more than {most} instances (that is the limit)"));
        return Vec::new();
    }
    room.instances -= numprocs;
    let mut instances: Vec<InstanceSpec> = Vec::new();
    for slot in 0..numprocs {
        section.slot = slot;
        let before = section.problems.errors();
        instances.extend(program.instance(section, numprocs, instances.last(), room));
        if section.problems.errors() > before {
            break;
        }
    }
    warn_same_target(section, &instances);
    instances
}

/// What is the same for all instances.
struct Program {
    name: Rc<str>,
    policy: Rc<Policy>,
    limits: Limits,
    health: Health,
    launch: Launch,
    environment: BTreeMap<String, String>,
    reconcile: Reconcile,
    varies: Varies,
}

/// Where the number of the instance stands, so that it is to be read anew for each.
struct Varies {
    argv: bool,
    probe: bool,
    streams: bool,
}

impl Varies {
    fn read(section: &Reading<'_>) -> Varies {
        let any = |options: &[&str]| options.iter().any(|option| section.varies(option));
        Varies { argv: any(&["command"]), probe: any(health::TARGET), streams: any(streams::TARGETS) }
    }
}

impl Program {
    fn read(section: &mut Reading<'_>, name: &str) -> Program {
        let health = Health::read(section);
        let environment = match section.raw("environment").map(environment::list) {
            Some(Ok(variables)) => variables,
            Some(Err(message)) => {
                section.error("environment", message);
                BTreeMap::new()
            }
            None => BTreeMap::new(),
        };
        let launch = launch(section);
        let reconcile = reconcile(section);
        let (policy, limits) = (policy(section, &health), Limits::read(section));
        let (name, policy) = (name.into(), Rc::new(policy));
        Program { name, policy, limits, health, launch, environment, reconcile, varies: Varies::read(section) }
    }

    /// What does not depend on the number is as in the instance `before`.
    fn instance(
        &self,
        section: &mut Reading<'_>,
        numprocs: u32,
        before: Option<&InstanceSpec>,
        room: &mut Room,
    ) -> Option<InstanceSpec> {
        let same = |varies: bool| before.filter(|_| !varies);
        let argv = same(self.varies.argv).map_or_else(|| argv(section), |before| before.launch.argv.clone());
        let probe = match same(self.varies.probe) {
            Some(before) => before.probe.clone(),
            None => self.health.target(section).map(Box::new),
        };
        let (stdout, stderr) = match same(self.varies.streams) {
            Some(before) => (before.stdout.clone(), before.stderr.clone()),
            None => self.limits.streams(section),
        };
        let env =
            self.environment.iter().map(|(name, text)| (name.clone(), value::expand(text, section.slot))).collect();
        let launch = Launch { argv, env, ..self.launch.clone() };
        let bytes = footprint(&launch) + spoken(probe.as_deref()) + written(&stdout) + written(&stderr);
        if bytes > room.bytes {
            section.error(
                "numprocs",
                "commands, environments, paths and checks of all instances together are too large (256 MiB is the limit)"
                    .to_owned(),
            );
            return None;
        }
        room.bytes -= bytes;
        Some(InstanceSpec {
            name: instance_name(&self.name, section.slot, numprocs),
            program: Rc::clone(&self.name),
            group: Rc::clone(&self.name),
            policy: Rc::clone(&self.policy),
            launch: Rc::new(launch),
            stdout,
            stderr,
            probe,
            reconcile: self.reconcile,
        })
    }
}

fn instance_name(program: &Rc<str>, slot: u32, numprocs: u32) -> Rc<str> {
    match numprocs {
        1 => Rc::clone(program),
        _ => format!("{program}:{slot:02}").into(),
    }
}

/// What a start needs in bytes, as far as the text of the configuration decides it.
pub(crate) fn footprint(launch: &Launch) -> usize {
    let words: usize = launch.argv.iter().map(|word| word.len() + 32).sum();
    let variables: usize = launch.env.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    let paths: usize = launch.env_files.iter().chain(&launch.directory).map(|path| path.as_os_str().len() + 64).sum();
    words + variables + paths + launch.user.as_deref().map_or(0, str::len)
}

/// The same of what a health check asks.
fn spoken(probe: Option<&ProbeTarget>) -> usize {
    match probe {
        None => 0,
        Some(ProbeTarget::Tcp { host, .. }) => host.len(),
        Some(ProbeTarget::Script { command }) => command.len(),
        Some(ProbeTarget::Http { host, path, statuses, .. }) => host.len() + path.len() + 4 * statuses.len(),
    }
}

/// The same of where a stream goes.
fn written(stream: &LogSpec) -> usize {
    match &stream.target {
        LogTarget::File(path) => path.as_os_str().len(),
        LogTarget::Null | LogTarget::DaemonStdout | LogTarget::DaemonStderr | LogTarget::SameAsStdout => 0,
    }
}

/// The words of the command; none where something is wrong with it.
fn argv(section: &mut Reading<'_>) -> Vec<String> {
    if !section.has("command") {
        section.error("command", "is missing (a program and its arguments)".to_owned());
    }
    let Some(text) = section.text("command") else { return Vec::new() };
    match words::split(&text) {
        Ok(words) if words.first().is_some_and(|program| !program.is_empty()) => return words,
        Ok(_) => section.error("command", format!("{} names no program (a program and its arguments)", quoted(&text))),
        Err(wrong) => section.error("command", format!("{} {}", quoted(&text), wrong.message())),
    }
    Vec::new()
}

fn launch(section: &mut Reading<'_>) -> Launch {
    Launch {
        argv: Vec::new(),
        env: BTreeMap::new(),
        env_files: section.value("env_file", value::paths).unwrap_or_default(),
        clean_env: section.flag("clean_env"),
        directory: section.path("directory"),
        user: section.value("user", value::user),
        umask: section.value("umask", value::umask),
        pdeathsig: section.flag("pdeathsig"),
        no_new_privs: section.flag("no_new_privs"),
    }
}

fn policy(section: &mut Reading<'_>, health: &Health) -> Policy {
    let autorestart = autorestart(section);
    if section.gives("exitcodes") && autorestart != Autorestart::Unexpected {
        section.warn("exitcodes", "decides about restarts only with autorestart = unexpected".to_owned());
    }
    let on_exit = consequence(section, "on_exit");
    if on_exit == Consequence::Shutdown && autorestart == Autorestart::Always {
        let text =
            "has no effect with autorestart = true: a restart follows every exit (on_fatal, or autorestart = false)";
        section.warn("on_exit", text.to_owned());
    }
    let watchdog = section.seconds("watchdog_sec");
    Policy {
        autostart: section.flag("autostart"),
        autorestart,
        exitcodes: section.value("exitcodes", value::exit_codes).unwrap_or_default(),
        start_secs: section.seconds("startsecs"),
        readiness: readiness(section, health),
        ready_timeout: section.seconds("ready_timeout"),
        watchdog: (!watchdog.is_zero()).then_some(watchdog),
        start_retries: section.count("startretries"),
        stop_signal: section.value("stopsignal", signal::signal).unwrap_or(Signal::TERM),
        stop_timeout: section.seconds("stopwaitsecs"),
        allow_leftover: section.flag("allow_leftover"),
        on_exit,
        on_fatal: consequence(section, "on_fatal"),
        health: health.policy.clone(),
    }
}

fn autorestart(section: &mut Reading<'_>) -> Autorestart {
    let word = AUTORESTART[section.choice("autorestart", AUTORESTART)];
    match (word, value::flag(word)) {
        ("unexpected", _) => Autorestart::Unexpected,
        (_, Ok(false)) => Autorestart::Never,
        _ => Autorestart::Always,
    }
}

fn consequence(section: &mut Reading<'_>, option: &str) -> Consequence {
    match CONSEQUENCE[section.choice(option, CONSEQUENCE)] {
        "shutdown" => Consequence::Shutdown,
        _ => Consequence::Nothing,
    }
}

fn readiness(section: &mut Reading<'_>, health: &Health) -> Readiness {
    let word = READY[section.choice("ready", READY)];
    let unused: &[&str] = match word {
        "notify" => &["startsecs"],
        "healthcheck" => &["startsecs", "healthcheck_start_period"],
        _ => &["ready_timeout"],
    };
    for option in unused.iter().filter(|option| section.gives(option)).collect::<Vec<_>>() {
        section.warn(option, format!("has no effect with ready = {word}"));
    }
    match word {
        "notify" => Readiness::Notified,
        "healthcheck" if health.policy.is_none() => {
            let right = "ready = healthcheck needs healthcheck_type = tcp, script or http";
            section.error("ready", format!("there is no health check to wait for ({right})"));
            Readiness::Lived
        }
        "healthcheck" => Readiness::Checked,
        _ => Readiness::Lived,
    }
}

fn reconcile(section: &mut Reading<'_>) -> Reconcile {
    match RECONCILE[section.choice("reconcile", RECONCILE)] {
        "kill" => Reconcile::Kill,
        "warn" => Reconcile::Warn,
        "off" => Reconcile::Off,
        _ => Reconcile::Auto,
    }
}

/// Several instances that are all asked at one address say nothing about each.
fn warn_same_target(section: &mut Reading<'_>, instances: &[InstanceSpec]) {
    let [first, second, ..] = instances else { return };
    let shared = matches!(
        first.probe.as_deref(),
        Some(crate::spec::ProbeTarget::Tcp { .. } | crate::spec::ProbeTarget::Http { .. })
    );
    if shared && first.probe == second.probe {
        let option = if section.has("healthcheck_url") { "healthcheck_url" } else { "healthcheck_port" };
        section.warn(
            option,
            "all instances are asked at the same address (%(process_num)s gives each its own)".to_owned(),
        );
    }
}
