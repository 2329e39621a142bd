//! Which options differ between two configurations, by the names under which people know them.

use super::options::{OptionRow, Section, find};
use crate::spec::{DaemonSpec, InstanceSpec, LogTarget, ProbeTarget};

/// An option, and whether it differs.
type Compared<T> = (&'static str, fn(&T, &T) -> bool);

#[rustfmt::skip]
const PROGRAM: &[Compared<InstanceSpec>] = &[
    ("command", |a, b| a.launch.argv != b.launch.argv),
    ("numprocs", |a, b| a.program != b.program),
    ("autostart", |a, b| a.policy.autostart != b.policy.autostart),
    ("autorestart", |a, b| a.policy.autorestart != b.policy.autorestart),
    ("exitcodes", |a, b| a.policy.exitcodes != b.policy.exitcodes),
    ("startsecs", |a, b| a.policy.start_secs != b.policy.start_secs),
    ("ready", |a, b| a.policy.readiness != b.policy.readiness),
    ("ready_timeout", |a, b| a.policy.ready_timeout != b.policy.ready_timeout),
    ("watchdog_sec", |a, b| a.policy.watchdog != b.policy.watchdog),
    ("startretries", |a, b| a.policy.start_retries != b.policy.start_retries),
    ("stopsignal", |a, b| a.policy.stop_signal != b.policy.stop_signal),
    ("stopwaitsecs", |a, b| a.policy.stop_timeout != b.policy.stop_timeout),
    ("allow_leftover", |a, b| a.policy.allow_leftover != b.policy.allow_leftover),
    ("on_exit", |a, b| a.policy.on_exit != b.policy.on_exit),
    ("on_fatal", |a, b| a.policy.on_fatal != b.policy.on_fatal),
    ("stdout_logfile", |a, b| a.stdout.target != b.stdout.target),
    ("stdout_logfile_maxbytes", |a, b| a.stdout.maxbytes != b.stdout.maxbytes),
    ("stdout_logfile_backups", |a, b| a.stdout.backups != b.stdout.backups),
    ("stdout_logfile_compress", |a, b| a.stdout.compress != b.stdout.compress),
    ("stderr_logfile", |a, b| a.stderr.target != b.stderr.target && !is_redirected(a) && !is_redirected(b)),
    ("stderr_logfile_maxbytes", |a, b| a.stderr.maxbytes != b.stderr.maxbytes),
    ("stderr_logfile_backups", |a, b| a.stderr.backups != b.stderr.backups),
    ("stderr_logfile_compress", |a, b| a.stderr.compress != b.stderr.compress),
    ("log_format", |a, b| (a.stdout.format, a.stderr.format) != (b.stdout.format, b.stderr.format)),
    ("redirect_stderr", |a, b| is_redirected(a) != is_redirected(b)),
    ("environment", |a, b| a.launch.env != b.launch.env),
    ("env_file", |a, b| a.launch.env_files != b.launch.env_files),
    ("clean_env", |a, b| a.launch.clean_env != b.launch.clean_env),
    ("directory", |a, b| a.launch.directory != b.launch.directory),
    ("user", |a, b| a.launch.user != b.launch.user),
    ("umask", |a, b| a.launch.umask != b.launch.umask),
    ("no_new_privs", |a, b| a.launch.no_new_privs != b.launch.no_new_privs),
    ("pdeathsig", |a, b| a.launch.pdeathsig != b.launch.pdeathsig),
    ("reconcile", |a, b| a.reconcile != b.reconcile),
    ("healthcheck_type", |a, b| kind(a) != kind(b)),
    ("healthcheck_interval", |a, b| differ(a, b, |spec| spec.policy.health.as_ref().map(|health| health.interval))),
    ("healthcheck_timeout", |a, b| differ(a, b, |spec| spec.policy.health.as_ref().map(|health| health.timeout))),
    ("healthcheck_retries", |a, b| differ(a, b, |spec| spec.policy.health.as_ref().map(|health| health.retries))),
    ("healthcheck_start_period", |a, b| differ(a, b, |spec| spec.policy.health.as_ref().map(|health| health.start_period))),
    ("healthcheck_host", |a, b| differ(a, b, |spec| address(spec).map(|(host, _)| host))),
    ("healthcheck_port", |a, b| differ(a, b, |spec| address(spec).map(|(_, port)| port))),
    ("healthcheck_command", |a, b| differ(a, b, command)),
    ("healthcheck_path", |a, b| differ(a, b, |spec| page(spec).map(|(path, _)| path))),
    ("healthcheck_status", |a, b| differ(a, b, |spec| page(spec).map(|(_, statuses)| statuses))),
];

#[rustfmt::skip]
const DAEMON: &[Compared<DaemonSpec>] = &[
    ("logfile", |a, b| a.logfile != b.logfile),
    ("loglevel", |a, b| a.loglevel != b.loglevel),
    ("log_maxbytes", |a, b| a.log_maxbytes != b.log_maxbytes),
    ("log_backups", |a, b| a.log_backups != b.log_backups),
    ("pidfile", |a, b| a.pidfile != b.pidfile),
    ("socket", |a, b| a.socket != b.socket),
    ("socket_mode", |a, b| a.socket_mode() != b.socket_mode()),
    ("socket_group", |a, b| a.socket_group != b.socket_group),
    ("socket_users", |a, b| a.socket_users != b.socket_users),
    ("shutdown_timeout", |a, b| a.shutdown_timeout != b.shutdown_timeout),
    ("state_file", |a, b| a.state_file != b.state_file),
];

/// The options of its program in which one instance differs. What came from an env file counts as `environment`; what
/// `healthcheck_url` says, as host, port and path.
pub fn of_instance(old: &InstanceSpec, new: &InstanceSpec) -> Vec<&'static OptionRow> {
    let differing = PROGRAM.iter().filter(|(_, differs)| differs(old, new));
    differing.filter_map(|(name, _)| find(Section::Program, name)).collect()
}

/// The options of `[supervice]` that differ.
pub fn of_daemon(old: &DaemonSpec, new: &DaemonSpec) -> Vec<&'static OptionRow> {
    let differing = DAEMON.iter().filter(|(_, differs)| differs(old, new));
    differing.filter_map(|(name, _)| find(Section::Supervice, name)).collect()
}

fn is_redirected(spec: &InstanceSpec) -> bool {
    spec.stderr.target == LogTarget::SameAsStdout
}

/// Where one of them has no such thing, its type is what differs.
fn differ<'a, T: PartialEq>(
    old: &'a InstanceSpec,
    new: &'a InstanceSpec,
    what: impl Fn(&'a InstanceSpec) -> Option<T>,
) -> bool {
    what(old).zip(what(new)).is_some_and(|(old, new)| old != new)
}

fn kind(spec: &InstanceSpec) -> Option<std::mem::Discriminant<ProbeTarget>> {
    spec.probe.as_deref().map(std::mem::discriminant)
}

fn address(spec: &InstanceSpec) -> Option<(&str, u16)> {
    match spec.probe.as_deref()? {
        ProbeTarget::Tcp { host, port } | ProbeTarget::Http { host, port, .. } => Some((host, *port)),
        ProbeTarget::Script { .. } => None,
    }
}

fn command(spec: &InstanceSpec) -> Option<&str> {
    match spec.probe.as_deref()? {
        ProbeTarget::Script { command } => Some(command),
        ProbeTarget::Tcp { .. } | ProbeTarget::Http { .. } => None,
    }
}

fn page(spec: &InstanceSpec) -> Option<(&str, &[(u16, u16)])> {
    match spec.probe.as_deref()? {
        ProbeTarget::Http { path, statuses, .. } => Some((path, statuses)),
        ProbeTarget::Tcp { .. } | ProbeTarget::Script { .. } => None,
    }
}
