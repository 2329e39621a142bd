//! What must hold for any bytes at all. The fuzzers in fuzz/ call these, and the plain test replays their corpora.

use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use supervice::config::{self, environment, signal, url, value, words};
use supervice::daemon::state_file::{self, State};
use supervice::engine::message::Signal;
use supervice::sys::atomic_file::fnv;
use supervice::sys::identity::{PID_MAX, parse_stat};
use supervice::wire::frame::{Decoder, TooLarge, encode_frame};
use supervice::wire::{answer::Answer, notice, request, text};

type Oracle = fn(&[u8]);

/// Every target: its name, and what it does with bytes.
pub const TARGETS: [(&str, Oracle); 9] = [
    ("config", config),
    ("frames", frames),
    ("state", state),
    ("environment", env),
    ("words", shell_words),
    ("expand", expand),
    ("stat", stat),
    ("values", values),
    ("answers", answers),
];

/// A configuration: the same each time, the same with other line ends and more comments, and errors with a line.
pub fn config(bytes: &[u8]) {
    let folder = Path::new("/nowhere");
    let draft = config::draft(bytes, folder);
    assert_eq!(draft, config::draft(bytes, folder), "the same text reads otherwise the second time");
    let lines = bytes.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() + 1;
    for problem in draft.problems.iter().chain(&draft.config.warnings) {
        assert!(problem.line <= lines, "{problem:?} in a text of {lines} lines");
        assert!(!problem.render("f").contains(['\u{1b}', '\0']), "{problem:?}");
    }
    if !draft.problems.is_empty() || draft.config.instances.len() > 200 {
        return;
    }
    let same = |other: Vec<u8>, how: &str| {
        let other = config::draft(&other, folder);
        assert_eq!(other.problems, [], "{how}");
        assert_eq!(other.config.daemon, draft.config.daemon, "{how}");
        assert_eq!(other.config.instances, draft.config.instances, "{how}");
        assert_eq!(other.config.groups, draft.config.groups, "{how}");
    };
    if !bytes.contains(&b'\r') {
        let crlf = bytes.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] });
        same(crlf.collect(), "CRLF");
    }
    same([bytes, b"\n# a comment\n; another\n\n"].concat(), "comments at the end");
    if !bytes.starts_with(b"\xef\xbb\xbf") {
        same([b"\xef\xbb\xbf# a comment\n\n", bytes].concat(), "a mark and a comment at the start");
    }
}

type Pulled = Vec<Result<Vec<u8>, TooLarge>>;

fn pull_all(decoder: &mut Decoder, pulled: &mut Pulled) {
    while let Some(frame) = decoder.pull() {
        pulled.push(frame);
    }
}

/// A stream of frames: however it is cut, the same frames; each one a request or one well-formed refusal.
pub fn frames(bytes: &[u8]) {
    let mut whole = Decoder::new();
    let mut frames = Vec::new();
    whole.push(bytes);
    pull_all(&mut whole, &mut frames);
    for step in [1, 3, 1 + usize::from(bytes.first().copied().unwrap_or(0))] {
        let (mut cut, mut pieces) = (Decoder::new(), Vec::new());
        for piece in bytes.chunks(step) {
            cut.push(piece);
            pull_all(&mut cut, &mut pieces);
        }
        assert_eq!(pieces, frames, "cut into pieces of {step}");
        assert_eq!((cut.buffered(), cut.is_dead()), (whole.buffered(), whole.is_dead()));
    }
    frames.iter().flatten().for_each(|frame| one_request(frame));
    one_request(bytes);
}

fn one_request(frame: &[u8]) {
    let value = std::str::from_utf8(frame).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    match request::decode(frame) {
        Ok(envelope) => {
            assert!(value.is_some_and(|value| value.get().starts_with('{')), "taken, but no JSON object");
            let again = request::decode(&envelope.request.encode());
            assert_eq!(again.ok().map(|again| again.request), Some(envelope.request));
        }
        Err(refusal) => {
            let mut reply = Vec::new();
            refusal.reply().encode(refusal.id.as_ref(), &mut reply);
            assert!(reply.len() < 4096 + frame.len(), "a refusal longer than what it refuses");
            let body: serde_json::Value = serde_json::from_slice(&reply).unwrap();
            assert!(body["status"] == "error" && body["code"].is_string());
        }
    }
}

/// A state file: fewer records, never other ones; what was read is written and read as the same.
pub fn state(bytes: &[u8]) {
    one_state(bytes);
    // The sum keeps the deeper parts out of reach, so it is put right.
    let sum = fnv(bytes);
    one_state(&[bytes, format!(",\"sum\":\"{sum:016x}\"}}\n").as_bytes()].concat());
}

fn one_state(bytes: &[u8]) {
    const OWN: i32 = 77;
    let Ok(reading) = state_file::parse(bytes, OWN) else { return };
    let mut seen = HashSet::new();
    for record in &reading.state.children {
        assert!((2..=PID_MAX).contains(&record.pid) && record.pid != OWN && seen.insert(record.pid), "{record:?}");
        assert!((1..=64).contains(&record.stop_signal.0), "{record:?}");
        assert!(!record.name.is_empty() && !record.name.contains(char::is_control), "{record:?}");
    }
    assert!(reading.refused.iter().all(|line| !line.contains(char::is_control)), "{:?}", reading.refused);
    // Python's says less than ours.
    let state = State { life: reading.state.life.clone().or(Some(String::new())), ..reading.state };
    if state.machine.is_some() {
        let again = state_file::parse(&state_file::render(&state), OWN).unwrap();
        assert_eq!((again.state, again.refused), (state, Vec::new()));
    }
}

/// Environments: good names, no NUL, what is written is read back, later words win.
pub fn env(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() + 1;
    match environment::file(bytes) {
        Ok(variables) => good_variables(&variables, true),
        Err(bad) => assert!(bad.line <= lines, "{bad:?}"),
    }
    let Ok(list) = std::str::from_utf8(bytes) else { return };
    let Ok(variables) = environment::list(list) else { return };
    good_variables(&variables, false);
    if variables.values().all(|value| !value.contains('"')) {
        let written: Vec<String> = variables.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        assert_eq!(environment::list(&written.join(",")), Ok(variables));
    }
}

fn good_variables(variables: &BTreeMap<String, String>, from_file: bool) {
    for (key, value) in variables {
        assert!(!key.is_empty() && !key.contains(['=', ' ', '\t', '\n']), "{key:?}");
        assert!(!from_file || !(key.contains('\0') || value.contains('\0')), "{key:?}");
    }
}

/// Shell words: words that are quoted and split are the same words.
pub fn shell_words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(split) = words::split(text) else { return };
    let quoted: Vec<String> = split.iter().map(|word| format!("'{}'", word.replace('\'', r#"'"'"'"#))).collect();
    assert_eq!(words::split(&quoted.join(" ")), Ok(split));
}

/// Expansion: as Python's `str.replace`, in one pass.
pub fn expand(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let slot = u32::try_from(bytes.len() % 101).unwrap_or(0);
    let expanded = value::expand(text, slot);
    let hits = text.matches(value::PROCESS_NUM).count();
    assert_eq!(expanded, text.split(value::PROCESS_NUM).collect::<Vec<_>>().join(&format!("{slot:02}")));
    assert!(expanded.len() <= text.len() + 8 * hits);
}

/// /proc/PID/stat: no command can pretend to be fields.
pub fn stat(bytes: &[u8]) {
    if let Some(stat) = parse_stat(bytes) {
        let close = bytes.iter().rposition(|byte| *byte == b')').unwrap();
        let fields: Vec<&str> = std::str::from_utf8(&bytes[close + 1..]).unwrap().split_ascii_whitespace().collect();
        let number = |text: &str| text.parse::<i128>().unwrap();
        assert_eq!((i128::from(stat.group), i128::from(stat.session)), (number(fields[2]), number(fields[3])));
        assert_eq!(i128::from(stat.start), number(fields[19]));
    }
    let command = &bytes[..bytes.len().min(15)];
    let line =
        [b"321 (".as_slice(), command, b") S 1 322 323 0 -1 4194560 7 0 0 0 1 2 0 0 20 0 1 0 4711 1000 1\n"].concat();
    let read = parse_stat(&line).unwrap();
    assert_eq!((read.pid, read.state, read.group, read.session, read.start), (321, b'S', 322, 323, 4711));
}

/// Single values: what is accepted has one meaning, in its bounds, in every spelling.
pub fn values(bytes: &[u8]) {
    let Ok(word) = std::str::from_utf8(bytes) else { return };
    if let Ok(Signal(number)) = signal::signal(word) {
        let name = signal::name(Signal(number));
        for spelling in [name.clone(), name.to_lowercase(), format!("SIG{name}"), number.to_string()] {
            assert_eq!(signal::signal(&spelling), Ok(Signal(number)), "{word:?} is {spelling}");
        }
        assert!((1..=64).contains(&number));
    }
    if let Ok(size) = value::size(word) {
        assert!(size <= 1 << 40 && value::size(&size.to_string()) == Ok(size), "{word:?}");
    }
    if let Ok(count) = value::count(word, 3, 1_000_000) {
        assert!((3..=1_000_000).contains(&count) && value::count(&count.to_string(), 3, 1_000_000) == Ok(count));
    }
    if let Ok(seconds) = value::seconds(word, value::Least::Zero) {
        assert!(seconds.as_secs() <= 31_536_000, "{word:?}");
    }
    if let Ok(flag) = value::flag(word) {
        let lower = word.to_ascii_lowercase();
        assert!(if flag { ["true", "1", "yes", "on"] } else { ["false", "0", "no", "off"] }.contains(&lower.as_str()));
    }
    assert!(value::umask(word).is_ok_and(|mask| mask <= 0o777) || value::umask(word).is_err());
    assert!(value::exit_codes(word).map_or(true, |codes| !codes.is_empty()));
    for (first, last) in value::statuses(word).unwrap_or_default() {
        assert!((100..=599).contains(&first) && first <= last && last <= 599, "{word:?}");
    }
    if let Ok(address) = url::url(word) {
        assert!(address.port > 0 && address.path.starts_with('/') && !address.host.is_empty(), "{word:?}: {address:?}");
        assert!(!address.path.contains(['\r', '\n', ' ']) && !address.host.contains(['\r', '\n', ' ']), "{word:?}");
    }
    let shown = text::shown(word);
    assert!(!shown.contains(char::is_control) && text::echoed(word).len() <= text::MAX_ECHO + 3, "{shown:?}");
}

/// What others say to the client and to the daemon: answers, and datagrams of sd_notify.
pub fn answers(bytes: &[u8]) {
    for answer in [Answer::decode(bytes), Answer::decode_piece(bytes)].into_iter().flatten() {
        let _ = answer.bytes();
    }
    assert!(notice::parse(bytes).len() <= 64);
    let mut framed = Vec::new();
    if encode_frame(bytes, &mut framed).is_ok() {
        let mut decoder = Decoder::new();
        decoder.push(&framed);
        assert_eq!(decoder.pull(), Some(Ok(bytes.to_vec())));
    }
}
