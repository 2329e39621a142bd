//! Names and numbers of signals, as this platform counts them.

use super::problems::quoted;
use crate::engine::message::Signal;

/// Signals that every supported platform numbers alike.
const COMMON: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("FPE", 8),
    ("KILL", 9),
    ("SEGV", 11),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("TTIN", 21),
    ("TTOU", 22),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
];

#[cfg(any(target_os = "linux", target_os = "android"))]
const OWN: &[(&str, u8)] = &[
    ("BUS", 7),
    ("USR1", 10),
    ("USR2", 12),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("URG", 23),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const OWN: &[(&str, u8)] = &[
    ("EMT", 7),
    ("BUS", 10),
    ("SYS", 12),
    ("URG", 16),
    ("STOP", 17),
    ("TSTP", 18),
    ("CONT", 19),
    ("CHLD", 20),
    ("IO", 23),
    ("INFO", 29),
    ("USR1", 30),
    ("USR2", 31),
];

/// The first and the last real-time signal that programs may use; the C library keeps those below for itself.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(target_env = "musl")))]
const REAL_TIME: Option<(u8, u8)> = Some((34, 64));
#[cfg(all(any(target_os = "linux", target_os = "android"), target_env = "musl"))]
const REAL_TIME: Option<(u8, u8)> = Some((35, 64));
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const REAL_TIME: Option<(u8, u8)> = None;

/// Reads `USR1`, `SIGUSR1`, `usr1`, `10`, `RTMIN+1` or `RTMAX-1`.
pub fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = match name.bytes().all(|byte| byte.is_ascii_digit()) {
        true => name.parse().ok().filter(|number| is_usable(*number)),
        false => by_name(name).or_else(|| real_time(name)),
    };
    let right = "a name such as TERM, SIGHUP or RTMIN+1, or its number";
    number.map(Signal).ok_or_else(|| format!("{} is no signal of this system ({right})", quoted(text)))
}

/// The name of a signal without `SIG`; real-time signals as `RTMIN+n`.
pub fn name(signal: Signal) -> String {
    let known = COMMON.iter().chain(OWN).find(|(_, number)| *number == signal.0);
    match (known, REAL_TIME) {
        (Some((name, _)), _) => (*name).to_owned(),
        (None, Some((first, last))) if (first..=last).contains(&signal.0) => match signal.0 - first {
            0 => "RTMIN".to_owned(),
            offset => format!("RTMIN+{offset}"),
        },
        (None, _) => signal.0.to_string(),
    }
}

fn by_name(name: &str) -> Option<u8> {
    COMMON.iter().chain(OWN).find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn is_usable(number: u8) -> bool {
    let named = COMMON.iter().chain(OWN).any(|(_, known)| *known == number);
    named || REAL_TIME.is_some_and(|(first, last)| (first..=last).contains(&number))
}

fn real_time(name: &str) -> Option<u8> {
    let (first, last) = REAL_TIME?;
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => first,
        (_, Some("")) => last,
        (Some(offset), _) => first.checked_add(digits(offset.strip_prefix('+')?)?)?,
        (_, Some(offset)) => last.checked_sub(digits(offset.strip_prefix('-')?)?)?,
        (None, None) => return None,
    };
    (first..=last).contains(&number).then_some(number)
}

fn digits(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_means_what_is_sent() {
        for (spelling, expected) in
            [("TERM", "TERM"), ("SIGUSR1", "USR1"), ("usr1", "USR1"), ("SigHup", "HUP"), ("15", "TERM")]
        {
            assert_eq!(name(signal(spelling).unwrap()), expected, "{spelling}");
        }
        assert_eq!(signal("9").unwrap(), Signal::KILL);
    }

    #[test]
    fn names_and_numbers_go_both_ways() {
        for number in (1..=64).filter(|number| is_usable(*number)) {
            assert_eq!(signal(&name(Signal(number))).unwrap(), Signal(number));
            assert_eq!(signal(&number.to_string()).unwrap(), Signal(number));
        }
    }

    #[cfg(all(target_os = "linux", not(target_env = "musl")))]
    #[test]
    fn real_time_signals_count_from_either_end() {
        for (spelling, number) in [("RTMIN", 34), ("rtmin+1", 35), ("SIGRTMAX", 64), ("RTMAX-14", 50), ("RTMIN+30", 64)]
        {
            assert_eq!(signal(spelling).unwrap(), Signal(number), "{spelling}");
        }
    }

    #[test]
    fn what_is_no_signal_is_an_error() {
        for text in [
            "",
            "SIG",
            "0",
            "65000",
            "-1",
            "+1",
            "32",
            "FOO",
            "SIGSIGTERM",
            "RTMIN+31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN++1",
            "1_0",
        ] {
            let right = "a name such as TERM, SIGHUP or RTMIN+1, or its number";
            assert_eq!(signal(text), Err(format!("`{text}` is no signal of this system ({right})")));
        }
    }
}
