//! The health options of a program turned into a policy and, for each instance, a target.

use super::options::PROBE_TYPES;
use super::section::Reading;
use super::{url, value};
use crate::engine::policy::HealthPolicy;
use crate::spec::ProbeTarget;

/// `healthcheck_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeType {
    None,
    Tcp,
    Script,
    Http,
}

/// The options that say what is asked.
pub(super) const TARGET: &[&str] = &[
    "healthcheck_host",
    "healthcheck_port",
    "healthcheck_path",
    "healthcheck_status",
    "healthcheck_url",
    "healthcheck_command",
];

/// What is the same for all instances of a program.
pub(super) struct Health {
    pub(super) policy: Option<HealthPolicy>,
    kind: ProbeType,
}

impl Health {
    pub(super) fn read(section: &mut Reading<'_>) -> Health {
        let kind = match PROBE_TYPES[section.choice("healthcheck_type", PROBE_TYPES)] {
            "tcp" => ProbeType::Tcp,
            "script" => ProbeType::Script,
            "http" => ProbeType::Http,
            _ => ProbeType::None,
        };
        warn_unused(section, kind);
        let policy = policy(section, kind);
        Health { policy: (kind != ProbeType::None).then_some(policy), kind }
    }

    /// What the checks of the instance at hand ask. All options are looked at, so that a wrong one is told in any case;
    /// where nothing is checked, once is enough.
    pub(super) fn target(&self, section: &mut Reading<'_>) -> Option<ProbeTarget> {
        if self.kind == ProbeType::None && section.slot > 0 {
            return None;
        }
        let host = section.value("healthcheck_host", url::host).unwrap_or_default();
        let port = section.value("healthcheck_port", url::port);
        let path = section.value("healthcheck_path", url::path).unwrap_or_default();
        let statuses = section.value("healthcheck_status", value::statuses).unwrap_or_default();
        let address = section.value("healthcheck_url", url::url);
        let command = section.text("healthcheck_command");
        match self.kind {
            ProbeType::None => None,
            ProbeType::Tcp => {
                require(section, &["healthcheck_port"], "healthcheck_type = tcp needs a port, 1 to 65535");
                Some(ProbeTarget::Tcp { host, port: port.unwrap_or_default() })
            }
            ProbeType::Script => {
                require(section, &["healthcheck_command"], "healthcheck_type = script needs a command for /bin/sh -c");
                Some(ProbeTarget::Script { command: command.unwrap_or_default().into_owned() })
            }
            ProbeType::Http => {
                let given = ["healthcheck_url", "healthcheck_port"];
                require(section, &given, "healthcheck_type = http needs http://HOST:PORT/PATH, or healthcheck_port");
                Some(match address {
                    Some(url::Url { host, port, path }) => ProbeTarget::Http { host, port, path, statuses },
                    None => ProbeTarget::Http { host, port: port.unwrap_or_default(), path, statuses },
                })
            }
        }
    }
}

fn policy(section: &mut Reading<'_>, kind: ProbeType) -> HealthPolicy {
    let interval = section.seconds("healthcheck_interval");
    let timeout = section.seconds("healthcheck_timeout");
    let retries = section.count("healthcheck_retries");
    let start_period = section.seconds("healthcheck_start_period");
    if kind != ProbeType::None && timeout.is_zero() {
        section.warn("healthcheck_timeout", "every check fails at once (a time above 0)".to_owned());
    }
    if kind != ProbeType::None && retries == 0 {
        section.warn("healthcheck_retries", "0 is taken as 1 (one failure is the least there can be)".to_owned());
    }
    HealthPolicy { interval, timeout, retries: retries.max(1), start_period }
}

/// An option that is given empty counts as missing only where empty means not given; else it was told already.
fn require(section: &mut Reading<'_>, options: &[&str], message: &str) {
    let refused = |option: &str| section.has(option) && option != "healthcheck_port";
    let given =
        |option: &&str| refused(option) || section.sheet.entry(option).is_some_and(|entry| !entry.text.is_empty());
    if !options.iter().any(given) {
        section.error(options[0], format!("is missing ({message})"));
    }
}

/// Inherited options are not looked at: `[DEFAULT]` may serve programs of every type.
fn warn_unused(section: &mut Reading<'_>, kind: ProbeType) {
    use ProbeType::{Http, Script, Tcp};
    const USES: &[(&str, &[ProbeType])] = &[
        ("healthcheck_interval", &[Tcp, Script, Http]),
        ("healthcheck_timeout", &[Tcp, Script, Http]),
        ("healthcheck_retries", &[Tcp, Script, Http]),
        ("healthcheck_start_period", &[Tcp, Script, Http]),
        ("healthcheck_host", &[Tcp, Http]),
        ("healthcheck_port", &[Tcp, Http]),
        ("healthcheck_command", &[Script]),
        ("healthcheck_url", &[Http]),
        ("healthcheck_path", &[Http]),
        ("healthcheck_status", &[Http]),
    ];
    for (option, types) in USES {
        if section.gives(option) && !types.contains(&kind) {
            let word = ["none", "tcp", "script", "http"][kind as usize];
            let right: Vec<&str> = types.iter().map(|kind| ["none", "tcp", "script", "http"][*kind as usize]).collect();
            section.warn(
                option,
                format!("has no effect with healthcheck_type = {word} (it is for {})", value::any_of(&right)),
            );
        }
    }
    if kind == Http && section.gives("healthcheck_url") {
        for option in ["healthcheck_host", "healthcheck_port", "healthcheck_path"] {
            if section.gives(option) {
                section.warn(option, "has no effect beside healthcheck_url".to_owned());
            }
        }
    }
}
