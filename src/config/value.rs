//! One parser for each kind of value. Each says what is wrong and what would be right, and none ever guesses.

use super::problems::quoted;
use super::reader::{is_blank, strip};
use std::collections::BTreeSet;
use std::time::Duration;

/// The longest time an option can ask for: a year.
pub const MAX_SECONDS: u64 = 31_536_000;
/// The largest size an option can ask for: one TiB.
pub const MAX_SIZE: u64 = 1 << 40;
/// What stands for the number of an instance.
pub const PROCESS_NUM: &str = "%(process_num)s";

/// The least value of an option in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    /// Zero has a meaning.
    Zero,
    /// Any time but none.
    AboveZero,
    /// A second.
    One,
}

impl Least {
    /// What a value looks like.
    pub(super) fn expects(self) -> String {
        let (from, example) = match self {
            Least::Zero => ("from 0", "0.5"),
            Least::AboveZero => ("above 0", "0.5"),
            Least::One => ("from 1", "1.5"),
        };
        format!("seconds {from} to {MAX_SECONDS}, such as 10 or {example}")
    }
}

/// Puts the number of an instance in place of `%(process_num)s`.
pub fn expand(text: &str, slot: u32) -> String {
    match text.contains(PROCESS_NUM) {
        true => text.replace(PROCESS_NUM, &format!("{slot:02}")),
        false => text.to_owned(),
    }
}

/// `true`, `1`, `yes`, `on`, `false`, `0`, `no`, `off`, in any case.
pub fn flag(text: &str) -> Result<bool, String> {
    let is_any_of = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match (is_any_of(["true", "1", "yes", "on"]), is_any_of(["false", "0", "no", "off"])) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(format!("{} is neither yes nor no (true, 1, yes, on, false, 0, no or off)", quoted(text))),
    }
}

/// The place of a word among `words`, in any case.
pub fn choice(text: &str, words: &[&str]) -> Result<usize, String> {
    let found = words.iter().position(|word| word.eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("{} is none of the choices ({})", quoted(text), any_of(words)))
}

/// `a, b or c`.
pub(super) fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A whole number from `min` to `max`.
pub fn count(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let wrong = match whole(text) {
        Some(number) if (min..=max).contains(&number) => return Ok(number),
        Some(number) if number > max => "is too large",
        Some(_) => "is too small",
        None if is_negative(text) => "is negative",
        None => "is no whole number",
    };
    Err(format!("{} {wrong} (a whole number from {min} to {max})", quoted(text)))
}

/// Seconds, with a fraction if wanted, up to a year.
pub fn seconds(text: &str, least: Least) -> Result<Duration, String> {
    let lowest = match least {
        Least::Zero => Duration::ZERO,
        Least::AboveZero => Duration::from_nanos(1),
        Least::One => Duration::from_secs(1),
    };
    let wrong = match fraction(text) {
        Some(time) if time > Duration::from_secs(MAX_SECONDS) => "is too long",
        Some(time) if time < lowest => "is too short",
        Some(time) => return Ok(time),
        None if is_negative(text) => "is negative",
        None => "is no number of seconds",
    };
    Err(format!("{} {wrong} ({})", quoted(text), least.expects()))
}

/// Bytes, with `KB`, `MB` or `GB` (in any case) for multiples of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    const RIGHT: &str = "bytes up to 1024GB, such as 1048576, 500KB, 50MB or 1GB; 0 for no rotation";
    let units = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)];
    let unit =
        units.into_iter().find_map(|(unit, factor)| Some((before_unit(text, unit)?.trim_end_matches(' '), factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    let Some(number) = whole(number) else {
        let what = if is_negative(number) { "is negative" } else { "is no size" };
        return Err(format!("{} {what} ({RIGHT})", quoted(text)));
    };
    let bytes = number.checked_mul(factor).filter(|bytes| *bytes <= MAX_SIZE);
    bytes.ok_or_else(|| format!("{} is too large ({RIGHT})", quoted(text)))
}

/// What stands before a unit, in any case.
fn before_unit<'a>(text: &'a str, unit: &str) -> Option<&'a str> {
    let (number, end) = text.split_at_checked(text.len().checked_sub(unit.len())?)?;
    end.eq_ignore_ascii_case(unit).then_some(number)
}

/// A file mode mask in octal.
pub fn umask(text: &str) -> Result<u32, String> {
    let octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7')) && text.len() <= 8;
    let mask = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| format!("{} is no umask (octal from 000 to 777, such as 022)", quoted(text)))
}

/// Exit codes separated by commas.
pub fn exit_codes(text: &str) -> Result<BTreeSet<u8>, String> {
    let code = |item: &str| whole(item).and_then(|code| u8::try_from(code).ok());
    let wrong = |item: &str| format!("{} is no exit code (numbers from 0 to 255, separated by commas)", quoted(item));
    text.split(',').map(strip).map(|item| code(item).ok_or_else(|| wrong(item))).collect()
}

/// HTTP statuses separated by commas: `204`, `200-299`, `2xx`.
pub fn statuses(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let wrong = |item: &str| {
        format!("{} is no HTTP status (100 to 599, such as 204, 200-299 or 2xx, separated by commas)", quoted(item))
    };
    text.split(',').map(strip).map(|item| status_range(item).ok_or_else(|| wrong(item))).collect()
}

fn status_range(item: &str) -> Option<(u16, u16)> {
    if let Some(class) = item.strip_suffix(['x', 'X']).and_then(|item| item.strip_suffix(['x', 'X'])) {
        let class = u16::try_from(whole(class)?).ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let number = |text: &str| u16::try_from(whole(strip(text))?).ok().filter(|status| (100..=599).contains(status));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// A path as it is written; relative ones mean the folder the user stood in.
pub fn path(text: &str) -> Result<std::path::PathBuf, String> {
    match text.contains(char::is_control) {
        true => Err(format!("{} holds a line break or another control character (one path)", quoted(text))),
        false => Ok(text.into()),
    }
}

/// Paths separated by commas.
pub fn paths(text: &str) -> Result<Vec<std::path::PathBuf>, String> {
    text.split(',').map(strip).filter(|item| !item.is_empty()).map(path).collect()
}

/// Names separated by commas or line breaks.
pub fn names(text: &str) -> Vec<&str> {
    text.split([',', '\n']).map(strip).filter(|name| !name.is_empty()).collect()
}

/// The name of a user, as the system may know it.
pub fn user(text: &str) -> Result<String, String> {
    match text.contains(|c: char| is_blank(c) || c.is_control() || matches!(c, ':' | '/' | ',')) {
        true => Err(format!("{} is no name of a user (one name, as `id -un` prints it)", quoted(text))),
        false => Ok(text.to_owned()),
    }
}

/// ASCII digits, with a sign that Python also takes. Whatever exceeds 64 bits saturates: it is beyond every maximum.
fn whole(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_zero = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte == b'0');
    if text.strip_prefix('-').is_some_and(is_zero) {
        return Some(0);
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// `10` or `0.5`, to the nanosecond.
fn fraction(text: &str) -> Option<Duration> {
    let Some((seconds, fraction)) = text.split_once('.') else {
        return whole(text).map(Duration::from_secs);
    };
    if fraction.is_empty()
        || fraction.len() > 9
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
        || is_negative(seconds)
    {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::from_secs(whole(seconds)?).saturating_add(Duration::from_nanos(nanos.into())))
}

fn is_negative(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or("");
    rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_reads_them_or_refused() {
        for (text, number) in [("0", 0), ("-0", 0), ("+5", 5), ("007", 7), ("1000000", 1_000_000)] {
            assert_eq!(count(text, 0, 1_000_000), Ok(number), "{text}");
        }
        for (text, what) in [
            ("-1", "is negative"),
            ("1000001", "is too large"),
            ("99999999999999999999", "is too large"),
            ("0", "is too small"),
            ("1_000", "is no whole number"),
            ("٣", "is no whole number"),
            ("1e3", "is no whole number"),
            ("1.0", "is no whole number"),
            ("", "is no whole number"),
            ("+", "is no whole number"),
            ("--1", "is no whole number"),
        ] {
            assert_eq!(count(text, 1, 1_000_000), Err(format!("`{text}` {what} (a whole number from 1 to 1000000)")));
        }
    }

    #[test]
    fn seconds_keep_their_fraction() {
        let read = |text| seconds(text, Least::Zero);
        assert_eq!(read("0"), Ok(Duration::ZERO));
        assert_eq!(read("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(read("0.000000001"), Ok(Duration::from_nanos(1)));
        assert_eq!(read("31536000.0"), Ok(Duration::from_secs(MAX_SECONDS)));
        for (text, what) in [
            ("31536000.000000001", "is too long"),
            ("18446744073709551616.5", "is too long"),
            ("-0.5", "is negative"),
            ("0.0000000001", "is no number of seconds"),
            ("1.", "is no number of seconds"),
            (".5", "is no number of seconds"),
            ("inf", "is no number of seconds"),
            ("nan", "is no number of seconds"),
            ("1e30", "is no number of seconds"),
            ("1_0", "is no number of seconds"),
        ] {
            assert_eq!(read(text), Err(format!("`{text}` {what} (seconds from 0 to 31536000, such as 10 or 0.5)")));
        }
        let right = "(seconds above 0 to 31536000, such as 10 or 0.5)";
        assert_eq!(seconds("0", Least::AboveZero), Err(format!("`0` is too short {right}")));
        let right = "(seconds from 1 to 31536000, such as 10 or 1.5)";
        assert_eq!(seconds("0.9", Least::One), Err(format!("`0.9` is too short {right}")));
    }

    #[test]
    fn sizes_take_three_units() {
        for (text, bytes) in [("0", 0), ("50MB", 50 << 20), ("1 gb", 1 << 30), ("2Kb", 2 << 10), ("1024GB", MAX_SIZE)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        let right = "(bytes up to 1024GB, such as 1048576, 500KB, 50MB or 1GB; 0 for no rotation)";
        for (text, what) in [
            ("1025GB", "is too large"),
            ("18446744073709551615GB", "is too large"),
            ("-1", "is negative"),
            ("-1MB", "is negative"),
            ("1.5MB", "is no size"),
            ("10M", "is no size"),
            ("MB", "is no size"),
            ("1_000", "is no size"),
        ] {
            assert_eq!(size(text), Err(format!("`{text}` {what} {right}")));
        }
    }

    #[test]
    fn flags_and_choices_are_words() {
        assert_eq!(flag("YES"), Ok(true));
        assert_eq!(flag("off"), Ok(false));
        let wrong = "`ture` is neither yes nor no (true, 1, yes, on, false, 0, no or off)";
        assert_eq!(flag("ture"), Err(wrong.to_owned()));
        assert_eq!(choice("KILL", &["auto", "kill"]), Ok(1));
        assert_eq!(choice("x", &["a", "b", "c"]), Err("`x` is none of the choices (a, b or c)".to_owned()));
    }

    #[test]
    fn masks_codes_and_statuses() {
        assert_eq!(umask("022"), Ok(0o22));
        for text in ["1000", "8", "-1", "0o22", "rwx", "00000000022"] {
            assert_eq!(umask(text), Err(format!("`{text}` is no umask (octal from 000 to 777, such as 022)")));
        }
        assert_eq!(exit_codes("0, 2,255"), Ok(BTreeSet::from([0, 2, 255])));
        let right = "is no exit code (numbers from 0 to 255, separated by commas)";
        for (text, item) in [("0,256", "256"), ("0,", ""), ("-1", "-1"), ("1 2", "1 2")] {
            assert_eq!(exit_codes(text), Err(format!("`{item}` {right}")));
        }
        assert_eq!(statuses("2xx, 301-302,404"), Ok(vec![(200, 299), (301, 302), (404, 404)]));
        let right = "is no HTTP status (100 to 599, such as 204, 200-299 or 2xx, separated by commas)";
        for text in ["99", "600", "300-200", "6xx", "0xx", "xx", "200-", "abc"] {
            assert_eq!(statuses(text), Err(format!("`{text}` {right}")));
        }
    }

    #[test]
    fn paths_and_names() {
        assert_eq!(paths(" a.env, /b ,").unwrap().len(), 2);
        assert!(path("a\nb").unwrap_err().starts_with("`a\\nb` holds a line break"));
        assert_eq!(names("a, b\nc,,"), ["a", "b", "c"]);
        assert_eq!(user("www-data"), Ok("www-data".to_owned()));
        let wrong = "`a b` is no name of a user (one name, as `id -un` prints it)";
        assert_eq!(user("a b"), Err(wrong.to_owned()));
    }
}
