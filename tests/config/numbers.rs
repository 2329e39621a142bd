//! Odd numbers in every option that takes a number: an error in its line, or exactly that value.

use std::path::Path;
use std::time::Duration;
use supervice::config::options::{Kind, OPTIONS, OptionRow, Section};
use supervice::config::parse;
use supervice::config::value::Least;
use supervice::spec::{Config, ProbeTarget};

const ODD: &[&str] = &[
    "-1",
    "0",
    "1",
    "2147483648",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999",
    "1e30",
    "1_000",
    "٣",
    "５",
    " 5 ",
    "",
    "+5",
    "-0",
    "0x10",
    "1.5",
    "inf",
    "nan",
    "NaN",
    "-inf",
    "5 5",
    "5,",
    "1000000",
    "1000001",
    "31536000",
    "31536001",
];

fn text(option: &OptionRow, value: &str) -> String {
    let health = "healthcheck_type = tcp\n";
    let port = if option.name == "healthcheck_port" { "" } else { "healthcheck_port = 1\n" };
    match option.section {
        Section::Supervice => format!("[supervice]\n{} = {value}\n", option.name),
        _ => format!("[program:x]\n{} = {value}\ncommand = sleep 1\n{health}{port}", option.name),
    }
}

/// What the text means if it is accepted: a whole number, or nanoseconds.
fn meaning(kind: Kind, value: &str) -> Option<u128> {
    let value = value.trim();
    match (kind, value) {
        (Kind::Seconds(_), "1.5") => Some(1_500_000_000),
        (Kind::Seconds(_), _) => {
            value.parse::<u128>().ok().or((value == "-0").then_some(0)).map(|seconds| seconds * 1_000_000_000)
        }
        _ => value.parse::<u128>().ok().or((value == "-0").then_some(0)),
    }
}

fn bounds(kind: Kind) -> Option<(u128, u128)> {
    const SECOND: u128 = 1_000_000_000;
    match kind {
        Kind::Count(min, max) => Some((min.into(), max.into())),
        Kind::Size => Some((0, 1 << 40)),
        Kind::Seconds(Least::Zero) => Some((0, 31_536_000 * SECOND)),
        Kind::Seconds(Least::AboveZero) => Some((1, 31_536_000 * SECOND)),
        Kind::Seconds(Least::One) => Some((SECOND, 31_536_000 * SECOND)),
        Kind::Port => Some((1, 65_535)),
        _ => None,
    }
}

/// What came out of an option.
fn value(config: &Config, name: &str) -> u128 {
    let nanos = |time: Duration| time.as_nanos();
    let daemon = &config.daemon;
    match name {
        "shutdown_timeout" => return nanos(daemon.shutdown_timeout),
        "log_maxbytes" => return daemon.log_maxbytes.into(),
        "log_backups" => return daemon.log_backups.into(),
        _ => {}
    }
    let instance = &config.instances[0];
    let health = instance.policy.health.as_ref().unwrap();
    match name {
        "numprocs" => config.instances.len() as u128,
        "startsecs" => nanos(instance.policy.start_secs),
        "ready_timeout" => nanos(instance.policy.ready_timeout),
        "watchdog_sec" => instance.policy.watchdog.map_or(0, nanos),
        "startretries" => instance.policy.start_retries.into(),
        "stopwaitsecs" => nanos(instance.policy.stop_timeout),
        "stdout_logfile_maxbytes" => instance.stdout.maxbytes.into(),
        "stdout_logfile_backups" => instance.stdout.backups.into(),
        "stderr_logfile_maxbytes" => instance.stderr.maxbytes.into(),
        "stderr_logfile_backups" => instance.stderr.backups.into(),
        "healthcheck_interval" => nanos(health.interval),
        "healthcheck_timeout" => nanos(health.timeout),
        "healthcheck_retries" => health.retries.into(),
        "healthcheck_start_period" => nanos(health.start_period),
        "healthcheck_port" => match instance.probe.as_deref() {
            Some(ProbeTarget::Tcp { port, .. }) => (*port).into(),
            other => panic!("a tcp check asks {other:?}"),
        },
        other => panic!("{other} takes a number and is not looked at here"),
    }
}

#[test]
fn an_odd_number_is_an_error_or_exactly_that() {
    let mut options = 0;
    for option in OPTIONS {
        let Some((min, max)) = bounds(option.kind) else { continue };
        options += 1;
        for odd in ODD {
            let read = parse(text(option, odd).as_bytes(), Path::new("/"));
            let meant = meaning(option.kind, odd).filter(|meant| (min..=max).contains(meant));
            match (read, meant) {
                (Ok(config), Some(meant)) => {
                    let meant = if option.name == "healthcheck_retries" { meant.max(1) } else { meant };
                    assert_eq!(value(&config, option.name), meant, "{} = {odd}", option.name);
                }
                (Err(problems), None) => {
                    assert_eq!((problems[0].line, problems[0].option.as_str()), (2, option.name), "{odd}");
                }
                (read, meant) => panic!("{} = {odd} should be {meant:?}, and is {read:?}", option.name),
            }
        }
    }
    assert_eq!(options, 18);
}

#[test]
fn lists_of_numbers_refuse_odd_ones() {
    for option in ["exitcodes", "umask", "stopsignal", "healthcheck_status"] {
        for odd in ["-1", "9223372036854775808", "99999999999999999999", "1e30", "1_000", "٣", "", "inf"] {
            let text = format!("[program:x]\n{option} = {odd}\ncommand = a\n");
            let problems = parse(text.as_bytes(), Path::new("/")).unwrap_err();
            assert_eq!((problems[0].line, problems[0].option.as_str()), (2, option), "{odd}");
        }
    }
}
