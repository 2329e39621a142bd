//! Names as people give them: globs, `group:NAME` and `all`, turned into instances. A plain name is looked up, never
//! searched for.

use super::roster::Roster;
use crate::engine::id::InstanceId;
use std::collections::HashSet;

/// In one request; each is held against every name there is.
const MAX_PATTERNS: usize = 64;

/// Bytes of a pattern: what it costs to hold one against a name grows with both, and a name has 255 at most.
const MAX_PATTERN: usize = 1024;

/// What the names of a request stand for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each once, in the order in which they were named.
    pub members: Vec<InstanceId>,
    /// Names that nobody bears and patterns that nothing matches.
    pub unknown: Vec<String>,
}

/// What is wrong with the patterns of a request: there are too many, or one is too long.
pub(super) fn fault(names: &[String]) -> Option<String> {
    let patterns = || names.iter().filter(|name| is_pattern(name));
    if patterns().count() > MAX_PATTERNS {
        return Some(format!("\"names\" must hold at most {MAX_PATTERNS} patterns"));
    }
    patterns()
        .any(|pattern| pattern.len() > MAX_PATTERN)
        .then(|| format!("a pattern must have at most {MAX_PATTERN} bytes"))
}

/// Who can be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those that the configuration names.
    Staying,
    /// Also those that it names no longer, until they are gone.
    All,
}

/// Finds everybody that is meant.
pub(super) fn resolve(names: &[String], roster: &Roster, reach: Reach) -> Found {
    let (mut found, mut seen) = (Found::default(), HashSet::new());
    for name in names {
        let meant = meant(name, roster, reach);
        if meant.is_empty() {
            found.unknown.push(name.clone());
        }
        found.members.extend(meant.into_iter().filter(|&id| seen.insert(id)));
    }
    found
}

fn meant(name: &str, roster: &Roster, reach: Reach) -> Vec<InstanceId> {
    let exact = if reach == Reach::All { roster.find(name) } else { roster.by_name(name) };
    if let Some(id) = exact {
        return vec![id];
    }
    if let Some(group) = name.strip_prefix("group:") {
        return roster.group(group).map(<[InstanceId]>::to_vec).unwrap_or_default();
    }
    if !is_pattern(name) {
        return Vec::new();
    }
    let counts = |id: &&InstanceId| roster.entry(**id).is_some_and(|entry| reach == Reach::All || !entry.leaving);
    let all = roster.in_order().iter().filter(counts);
    all.filter(|&&id| name == "all" || matches(name.as_bytes(), roster.name(id).as_bytes())).copied().collect()
}

fn is_pattern(name: &str) -> bool {
    name == "all" || name.contains(['*', '?', '['])
}

/// One step of a pattern.
enum Step<'a> {
    Any,
    One,
    Among { set: &'a [u8], negated: bool },
    Exactly(u8),
}

/// The first step of a pattern and the rest; a `[` without its end stands for itself.
fn step(pattern: &[u8]) -> Option<(Step<'_>, &[u8])> {
    let (&first, rest) = pattern.split_first()?;
    Some(match first {
        b'*' => (Step::Any, rest),
        b'?' => (Step::One, rest),
        b'[' => {
            let negated = rest.first() == Some(&b'!');
            let body = &rest[usize::from(negated)..];
            match body.iter().skip(1).position(|&byte| byte == b']') {
                Some(end) => (Step::Among { set: &body[..=end], negated }, &body[end + 2..]),
                None => (Step::Exactly(b'['), rest),
            }
        }
        byte => (Step::Exactly(byte), rest),
    })
}

/// As a shell's: `*` any number of bytes, `?` one, `[a-c]` and `[!x]` one of a set.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on when the bytes after the last `*` do not fit: there, with one byte more in the `*`.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (step(pattern), name.split_first()) {
            (None, None) => return true,
            (Some((Step::Any, rest)), _) => {
                retry = Some((rest, name));
                pattern = rest;
                continue;
            }
            (Some((step, rest)), Some((&byte, after))) if fits(&step, byte) => {
                (pattern, name) = (rest, after);
                continue;
            }
            _ => {}
        }
        let Some((rest, [_, after @ ..])) = retry else { return false };
        retry = Some((rest, after));
        (pattern, name) = (rest, after);
    }
}

fn fits(step: &Step, byte: u8) -> bool {
    match step {
        Step::Any | Step::One => true,
        Step::Exactly(expected) => *expected == byte,
        Step::Among { set, negated } => among(set, byte) != *negated,
    }
}

fn among(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [from, b'-', to, rest @ ..] => {
                if (*from..=*to).contains(&byte) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == byte {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("web*", "web", true),
            ("web*", "web:01", true),
            ("web*", "we", false),
            ("*:0?", "worker:07", true),
            ("*:0?", "worker:17", false),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[ab", "[ab", true),
            ("[ab", "a", false),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_costs_no_more_than_its_length_times_the_name() {
        let pattern = "*a".repeat(2000) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(4000).as_bytes()));
    }
}
