//! The order of birth: arguments, configuration, lock, socket, log, children. Whatever fails is told to the person who
//! typed the command, also when the daemon has left the terminal by then.

use super::annals::Annals;
use super::children::Children;
use super::connections::Connections;
use super::doorkeeper::{Doorkeeper, openness};
use super::duty::Duty;
use super::events::Events;
use super::history::History;
use super::memory::Memory;
use super::metrics::Metrics;
use super::notices::Notices;
use super::options::{self, Asked, Options, Page};
use super::orders::{Order, Orders};
use super::orphans::Orphans;
use super::page;
use super::presses::Presses;
use super::probes::Probes;
use super::progress::Watchers;
use super::recorder::Recorder;
use super::roster::Roster;
use super::settings::Settings;
use super::spawner::Spawner;
use super::status::LastReply;
use super::streams::Streams;
use super::waits::Waits;
use super::{Daemon, PIDFILE_PLACE, vet};
use crate::config::{self, starter};
use crate::engine::Engine;
use crate::engine::message::Command;
use crate::engine::time::Instant;
use crate::engine::timer::TimerQueue;
use crate::reactor::Reactor;
use crate::reactor::source::{Kind, SourceId};
use crate::spec::{Config, InstanceSpec};
use crate::sys::daemonize::{self, Readiness, Side};
use crate::sys::lock::PidLock;
use crate::sys::signals::Signals;
use crate::sys::spawn::{self, Inherited};
use crate::sys::{clock, files, guard, limits, socket, user};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// With so many instances the table of descriptors is so long that copying it is felt at each spawn.
const MANY_INSTANCES: usize = 100;

const DONE: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// The whole life of the program; returns its exit code.
pub fn main() -> i32 {
    match options::parse(std::env::args_os().skip(1).collect()) {
        Ok(Asked::Run(options)) if options.test => check(&options),
        Ok(Asked::Run(options)) => run(&options),
        Ok(Asked::Help) => say(options::HELP),
        Ok(Asked::HelpConfig) => say(&starter::listing()),
        Ok(Asked::Init(path)) => init(&path),
        Ok(Asked::Page(Page::Daemon)) => say(&page::page()),
        Ok(Asked::Page(Page::Configuration)) => say(&config::page::page()),
        Ok(Asked::Completion(shell)) => say(&options::script(shell)),
        Ok(Asked::Complete(words)) => say(&options::completion(&words).render()),
        Ok(Asked::Version) => say(concat!("supervice ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(text) => {
            complain(&format!("supervice: {text}\nTry 'supervice --help'."));
            USAGE
        }
    }
}

/// Logs what is odd in a configuration.
pub(super) fn log_warnings(config: &Config, path: &Path) {
    for warning in &config.warnings {
        log::warn!("{}", warning.render(&path.display().to_string()));
    }
}

/// `-t`: every error and every warning, nothing touched.
fn check(options: &Options) -> i32 {
    let path = &options.configuration;
    let draft = vet::check(path);
    let told = vet::render(&draft, path);
    if !told.is_empty() {
        complain(&told);
    }
    if !draft.problems.is_empty() {
        return USAGE;
    }
    let count = draft.config.instances.len();
    let noun = if count == 1 { "instance" } else { "instances" };
    say(&format!("{}: {count} {noun}, no errors\n", path.display()))
}

/// `init`: a configuration to begin with, where nothing is yet.
fn init(path: &Path) -> i32 {
    if path == Path::new("-") {
        return say(&starter::starter());
    }
    let shown = path.display();
    match files::write_new(path, starter::starter().as_bytes()) {
        Ok(()) => {
            say(&format!("Wrote {shown}\nCheck it: supervice -t -c {shown}\nRun it:   supervice -n -c {shown}\n"))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            refuse(&format!("supervice: {shown} is there already and stays as it is"), FAILED)
        }
        Err(error) => refuse(&format!("supervice: writing {shown} failed: {error}"), FAILED),
    }
}

fn run(options: &Options) -> i32 {
    limits::keep_no_large_memory();
    limits::close_inherited();
    if let Err(error) = limits::ensure_stdio() {
        return refuse(&error.to_string(), FAILED);
    }
    let inherited = match Inherited::capture() {
        Ok(inherited) => inherited,
        Err(error) => return refuse(&format!("supervice: reading our own limits failed: {error}"), FAILED),
    };
    limits::set_umask(0o077);
    let config = match vet::load(&options.configuration) {
        Ok(config) => config,
        Err(draft) => return refuse(&vet::render(&draft, &options.configuration), USAGE),
    };
    // While the low numbers are still free. A few programs never make so long a table that its copies are felt.
    let shares = |spec: &&InstanceSpec| spec.launch.user.is_none();
    if config.instances.iter().filter(shares).count() >= MANY_INSTANCES
        && let Err(error) = spawn::reserve_places()
    {
        complain(&format!("supervice: reserving descriptors failed, programs start more slowly: {error}"));
    }
    if options.nodaemon {
        return match bear(options, &config, inherited) {
            Ok(mut daemon) => daemon.live(config),
            Err(text) => refuse(&format!("supervice: {text}"), FAILED),
        };
    }
    match daemonize::daemonize() {
        Ok(Side::Launcher(launcher)) => {
            let (code, text) = launcher.wait();
            if !text.is_empty() {
                complain(&text);
            }
            code
        }
        Ok(Side::Daemon(readiness)) => as_daemon(options, config, inherited, readiness),
        Err(error) => refuse(&format!("supervice: becoming a daemon failed: {error}"), FAILED),
    }
}

fn as_daemon(options: &Options, config: Config, inherited: Inherited, readiness: Readiness) -> i32 {
    match bear(options, &config, inherited) {
        Ok(mut daemon) => match readiness.ready() {
            Ok(()) => daemon.live(config),
            Err(error) => {
                log::error!("leaving the terminal failed: {error}");
                daemon.end(&[]);
                FAILED
            }
        },
        Err(text) => {
            // Whoever typed the command is gone if this fails, and there is nobody else to tell.
            let _ = readiness.fail(FAILED, &format!("supervice: {text}"));
            FAILED
        }
    }
}

/// Everything up to the first child: whoever else is at work on this configuration is found here, before any harm.
fn bear(options: &Options, config: &Config, inherited: Inherited) -> Result<Daemon, String> {
    let spec = &config.daemon;
    let signals = Signals::install().map_err(|error| format!("installing signal handlers failed: {error}"))?;
    let lock = match &spec.pidfile {
        Some(path) => Some(PidLock::acquire(path).map_err(|error| error.to_string())?),
        None => None,
    };
    let bound = match socket::bind(&spec.socket, lock.is_some(), openness(spec)) {
        Ok(bound) => bound,
        Err(error) => {
            give_back(lock);
            return Err(error.to_string());
        }
    };
    let connections = Connections::new(bound, Doorkeeper::new(spec));
    let memory = match Memory::open(&spec.state_file) {
        Ok(memory) => memory,
        Err(text) => {
            connections.withdraw();
            give_back(lock);
            return Err(text);
        }
    };
    let settings = match Settings::new(options, spec, lock, inherited.umask) {
        Ok(settings) => settings,
        Err((text, lock)) => {
            connections.withdraw();
            give_back(lock);
            return Err(text);
        }
    };
    log::info!("supervice {} starting (pid {})", env!("CARGO_PKG_VERSION"), std::process::id());
    log_warnings(config, &options.configuration);
    guard_ourselves(config);
    assemble(options, signals, settings, connections, memory, inherited).map_err(|error| error.to_string())
}

fn assemble(
    options: &Options,
    signals: Signals,
    settings: Settings,
    connections: Connections,
    memory: Memory,
    inherited: Inherited,
) -> io::Result<Daemon> {
    let now = clock::monotonic();
    let nofile = usize::try_from(limits::nofile()?.soft).unwrap_or(usize::MAX).saturating_sub(spawn::reserved());
    let annals = Annals::beside(memory.path());
    let mut daemon = Daemon {
        now,
        asked_at: Instant::ZERO,
        born: now,
        reactor: Reactor::new()?,
        engine: Engine::new(now, now.as_nanos() ^ u64::from(std::process::id())),
        alarms: TimerQueue::default(),
        alarms_kept: 0,
        roster: Roster::default(),
        children: Children::default(),
        streams: Streams::new(inherited.umask, settings.log().console()),
        spawner: Spawner::new(inherited, nofile),
        memory,
        orphans: Orphans::default(),
        connections,
        orders: Orders::default(),
        watchers: Watchers::default(),
        waits: Waits::default(),
        history: History::default(),
        recorder: Recorder::default(),
        annals,
        events: Events::default(),
        metrics: Metrics::default(),
        probes: Probes::new(),
        presses: Presses::default(),
        notices: Notices::new(),
        signals,
        settings,
        duty: Duty::begin(),
        pidfile_place: None,
        config_path: options.configuration.clone(),
        reloads: VecDeque::new(),
        reload_under_way: false,
        renewals: VecDeque::new(),
        closing: false,
        last_word: None,
        terminated: false,
        exit_code: None,
        finished: None,
        deaths: Vec::new(),
        verdicts: Vec::new(),
        arrivals: Vec::new(),
        sweep_armed: false,
        linger: None,
        stale_events: 0,
        marks: Vec::new(),
        last_reply: LastReply::default(),
        losses_armed: false,
    };
    daemon.reactor.watch(daemon.signals.as_raw_fd(), SourceId::single(Kind::Signals))?;
    daemon.open_doors()?;
    let pidfile = daemon.settings.pidfile().map(Path::to_owned);
    daemon.pidfile_place = pidfile.and_then(|path| daemon.watch_place(&path, PIDFILE_PLACE));
    Ok(daemon)
}

fn give_back(lock: Option<PidLock>) {
    if let Some(Err(error)) = lock.map(PidLock::release) {
        complain(&format!("supervice: removing the pidfile failed: {error}"));
    }
}

/// What a supervisor does for itself; none of it is worth not starting for.
fn guard_ourselves(config: &Config) {
    if let Err(error) = limits::raise_nofile() {
        log::warn!("raising the limit of open files failed: {error}");
    }
    match guard::set_subreaper() {
        Ok(true) => {}
        Ok(false) => log::debug!("this system knows no subreaper: orphaned grandchildren go to init"),
        Err(error) => log::warn!("orphaned grandchildren will not be reaped here: {error}"),
    }
    if user::is_root()
        && let Err(error) = guard::set_not_dumpable()
    {
        log::warn!("the daemon's memory stays readable for its user: {error}");
    }
    let wants = |spec: &&InstanceSpec| spec.launch.pdeathsig;
    if let Some(first) = config.instances.iter().find(wants) {
        match guard::pdeathsig_works() {
            Ok(true) => {}
            Ok(false) => log::warn!("pdeathsig does not work here: {} would outlive a killed daemon", first.name),
            Err(error) => log::warn!("whether pdeathsig works cannot be told: {error}"),
        }
    }
}

impl Daemon {
    /// Starts the programs and turns until the end.
    fn live(&mut self, config: Config) -> i32 {
        self.now = clock::monotonic();
        // What is kept from here on comes to lie together, and not between pieces of what is dropped.
        limits::give_back_memory();
        let plan = self.roster.adopt(&config, &mut self.engine);
        // What reading it took is much, and is not needed again until the next reload.
        drop(config);
        self.prepare_history();
        self.recall();
        limits::give_back_memory();
        self.reconcile();
        self.order(None, Order::Boot, Command::Reload(plan));
        self.report_ready();
        self.run()
    }
}

/// Prints what was asked for; a reader that is gone does not matter, but one that could not be served does.
fn say(text: &str) -> i32 {
    use std::io::Write;
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => DONE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE,
        Err(error) => refuse(&format!("supervice: writing to stdout failed: {error}"), FAILED),
    }
}

fn refuse(text: &str, code: i32) -> i32 {
    complain(text);
    code
}

fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}
