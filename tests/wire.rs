//! What strangers may send, and the code each of it is refused with; and that we read JSON as Python does, except
//! where Python guesses.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "written for the end-to-end tests, borrowed here")]
#[path = "e2e/harness/dice.rs"]
mod dice;

use dice::Dice;
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use supervice::wire::{MAX_FRAME, Request, decode};

fn verdict(body: &[u8]) -> &'static str {
    decode(body).map_or_else(|rejection| rejection.code.name(), |_| "ok")
}

#[test]
fn hostile_bodies_have_stable_codes_and_are_cheap() {
    let megabyte = |unit: &str| unit.repeat(MAX_FRAME / unit.len());
    let wrapped = |start: &str, unit: &str, end: &str| {
        format!("{start}{}{end}", unit.repeat((MAX_FRAME - start.len() - end.len()) / unit.len()))
    };
    let keys: Vec<String> = (0..90_000).map(|n| format!("\"{n}\":0")).collect();
    let rows: Vec<(String, &str)> = vec![
        ("[".repeat(100_000), "INVALID_JSON"),
        (megabyte("["), "INVALID_JSON"),
        (megabyte("{\"a\":"), "INVALID_JSON"),
        (wrapped("{\"command\":", "[", ""), "INVALID_JSON"),
        (wrapped("{\"id\":", "[", ""), "INVALID_JSON"),
        (format!("{{\"id\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000)), "INVALID_JSON"),
        (megabyte("9"), "INVALID_JSON"),
        (wrapped("{\"command\":\"status\",\"offset\":", "9", "}"), "INVALID_JSON"),
        (wrapped("{\"command\":\"status\",\"x\":", "9", "}"), "INVALID_JSON"),
        (wrapped("{\"command\":\"status\",\"x\":0.", "9", "}"), "ok"),
        (wrapped("{\"command\":\"status\",\"x\":\"", "\\u0000", "\"}"), "ok"),
        (wrapped("{\"command\":\"", "\\u001b", "\"}"), "UNKNOWN_COMMAND"),
        (wrapped("{\"command\":\"start\",\"name\":\"", "n", "\"}"), "ok"),
        (wrapped("{\"command\":\"reload\",\"id\":\"", "n", "\"}"), "INVALID_REQUEST"),
        (wrapped("{\"command\":\"status\",\"names\":[\"\"", ",\"\"", "]}"), "ok"),
        (wrapped("{\"command\":\"status\",\"names\":[0", ",0", "]}"), "INVALID_REQUEST"),
        (format!("{{\"command\":\"status\",{}}}", keys.join(",")), "ok"),
        (format!("{{\"command\":\"status\",{},\"0\":1}}", keys.join(",")), "INVALID_JSON"),
        (megabyte(" "), "INVALID_JSON"),
        (megabyte("\""), "INVALID_JSON"),
        (megabyte("\0"), "INVALID_JSON"),
        ("{\"command\":[]}".into(), "UNKNOWN_COMMAND"),
        ("{\"command\":\"start\",\"name\":{}}".into(), "INVALID_REQUEST"),
        ("{\"command\":\"status\",\"command\":\"stop\",\"name\":\"a\"}".into(), "INVALID_JSON"),
        ("{\"command\":\"start\",\"name\":NaN}".into(), "INVALID_JSON"),
        ("{\"command\":\"status\",\"x\":Infinity}".into(), "INVALID_JSON"),
        ("{\"command\":\"status\",\"x\":-Infinity}".into(), "INVALID_JSON"),
        ("{\"command\":\"start\",\"name\":\"\\ud800\"}".into(), "INVALID_JSON"),
        ("\u{feff}{\"command\":\"status\"}".into(), "INVALID_JSON"),
        ("{\"command\":\"status\"}\0".into(), "INVALID_JSON"),
        ("{\"command\":\"status\"}{}".into(), "INVALID_JSON"),
        (String::new(), "EMPTY_REQUEST"),
    ];
    for (body, code) in &rows {
        assert!(body.len() <= MAX_FRAME);
        let start = Instant::now();
        assert_eq!(verdict(body.as_bytes()), *code, "{:.60}", body);
        // Far above what it takes, far below what anything quadratic would take.
        assert!(start.elapsed() < Duration::from_secs(30), "{:.60}: {:?}", body, start.elapsed());
    }
    assert_eq!(verdict(b"{\"command\":\"start\",\"name\":\"\xff\"}"), "INVALID_JSON");
    assert_eq!(verdict(b"\xff\xfe{\0}\0"), "INVALID_JSON");
}

#[test]
fn every_message_is_short_and_printable() {
    let nasty = "\\u001b]0;x\\u0007\\u202e".repeat(10_000);
    for body in [
        format!("{{\"command\":\"{nasty}\"}}"),
        format!("{{\"{nasty}\":1,\"{nasty}\":2}}"),
        format!("{{\"command\":\"start\",\"name\":[\"{nasty}\"]}}"),
        format!("{{\"command\":\"reload\",\"id\":\"{nasty}\"}}"),
    ] {
        let message = decode(body.as_bytes()).unwrap_err().message;
        assert!(message.len() < 300 && !message.contains(char::is_control) && !message.contains('\u{202e}'));
    }
}

/// Texts near JSON, the same in each run.
struct Writer(Dice);

impl Writer {
    fn below(&mut self, n: usize) -> usize {
        self.0.roll(n as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn value(&mut self, depth: usize) -> String {
        const STRINGS: &[&str] = &["a", "b", "name", "é", "\\u0041", "\\ud83d\\ude00", "\\n", "\\/", "\u{7f}", ""];
        const ODD: &[&str] = &["\\ud800", "\\udc00", "\\x41", "\t", "\\u00e", "\0"];
        const SCALARS: &[&str] = &[
            "0",
            "-0",
            "1",
            "-1.5",
            "1e5",
            "1E-7",
            "1e-400",
            "0e999999",
            "18446744073709551616",
            "123456789012345678901234567890",
            "null",
            "true",
            "false",
        ];
        const WRONG: &[&str] = &[
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e400",
            "-1e400",
            "nul",
            "NaN",
            "Infinity",
            "-Infinity",
            "True",
            "0x10",
            "1_000",
            "\u{661}",
            "",
        ];
        let odd = self.below(30) == 0;
        match self.below(if depth == 0 { 2 } else { 4 }) {
            0 => self.pick(if odd { WRONG } else { SCALARS }).to_owned(),
            1 => format!("\"{}{}\"", self.pick(STRINGS), self.pick(if odd { ODD } else { STRINGS })),
            2 => format!("[{}]", self.joined(|writer| writer.value(depth - 1))),
            _ => format!(
                "{{{}}}",
                self.joined(|writer| {
                    format!("\"{}\"{}:{}", writer.pick(STRINGS), writer.space(), writer.value(depth - 1))
                })
            ),
        }
    }

    fn space(&mut self) -> &'static str {
        let odd = self.below(100) == 0;
        self.pick(if odd { &["\u{a0}", "\u{b}", "\u{feff}"] } else { &["", "", " ", "\n", "\t", "\r"] })
    }

    fn joined(&mut self, mut part: impl FnMut(&mut Writer) -> String) -> String {
        let parts: Vec<String> = (0..self.below(4)).map(|_| part(self)).collect();
        parts.join(",") + self.space()
    }

    fn text(&mut self) -> Vec<u8> {
        let levels = 50 + self.below(20);
        let fields = [
            format!("\"command\":{}", self.pick(&["\"start\"", "\"status\"", "\"x\"", "7", "null", "\"st\\u0061rt\""])),
            format!("\"name\":{}", self.value(1)),
            format!("\"x\":{}", self.value(4)),
            format!("\"id\":{}", self.value(1)),
            format!("\"y\":{}{}", "[".repeat(levels), "]".repeat(levels)),
        ];
        let count = 1 + self.below(fields.len());
        let mut bytes = format!("{}{{{}}}{}", self.space(), fields[..count].join(","), self.space()).into_bytes();
        if self.below(3) == 0 {
            bytes = self.value(5).into_bytes();
        }
        for _ in 0..self.below(6).saturating_sub(3) {
            self.damage(&mut bytes);
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        match self.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, self.below(256) as u8),
            2 if at < bytes.len() => bytes[at] = *b"\"{}[]:,\\u0\x00\xff\xc3 -e".get(self.below(16)).unwrap_or(&b'x'),
            _ => drop(bytes.splice(at..at, self.pick(&["null", "\"a\":1,", "[", "}", "\\u", "\u{feff}"]).bytes())),
        }
    }
}

/// Python's `json.loads`, and after it the guesses we do not share: each line of stdin is a text in hex, each line of
/// stdout is `bad`, or `ok` with the kind of its top and the name in it.
const PYTHON: &str = r#"
import json, math, sys
class Guess(Exception): pass
def constant(text): raise Guess(text)
def pairs(items):
    if len({k for k, _ in items}) != len(items): raise Guess("duplicate")
    for k, _ in items: k.encode()
    return dict(items)
def check(value, depth):
    if isinstance(value, (dict, list)):
        if depth == 0: raise Guess("depth")
        for inner in (value.values() if isinstance(value, dict) else value): check(inner, depth - 1)
    elif isinstance(value, str): value.encode()
    elif isinstance(value, float):
        if math.isinf(value): raise Guess("range")
    elif isinstance(value, int): float(value)
def judge(raw):
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=constant, object_pairs_hook=pairs)
        check(value, 64)
    except (ValueError, Guess, OverflowError, RecursionError):
        return {"top": "bad"}
    if not isinstance(value, dict): return {"top": "other"}
    name = value.get("name")
    return {"top": "object", "command": value.get("command"), "name": name if isinstance(name, str) else None}
for line in sys.stdin:
    print(json.dumps(judge(bytes.fromhex(line))))
"#;

fn python(texts: &[Vec<u8>]) -> Option<Vec<serde_json::Value>> {
    let mut child =
        Command::new("python3").args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let lines: String =
        texts.iter().map(|text| text.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n").collect();
    let feeder = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn json_is_read_as_python_reads_it_where_python_does_not_guess() {
    let mut writer = Writer(Dice::new(0x5eed));
    let texts: Vec<Vec<u8>> = (0..30_000).map(|_| writer.text()).collect();
    let Some(judgements) = python(&texts) else {
        println!("skipped: no python3 here");
        return;
    };
    assert_eq!(judgements.len(), texts.len());
    let mut tally = std::collections::BTreeMap::<String, usize>::new();
    for (text, judgement) in texts.iter().zip(&judgements) {
        let shown = String::from_utf8_lossy(text);
        let ours = verdict(text);
        let top = if text.is_empty() { "empty" } else { judgement["top"].as_str().unwrap() };
        *tally.entry(format!("{top} {ours}")).or_default() += 1;
        match top {
            "empty" => assert_eq!(ours, "EMPTY_REQUEST"),
            "bad" => assert_eq!(ours, "INVALID_JSON", "{shown}"),
            "other" => assert_eq!(ours, "INVALID_REQUEST", "{shown}"),
            _ => assert!(ours != "INVALID_JSON", "{shown}: {:?}", decode(text)),
        }
        if let Ok(Request::Start { name }) = decode(text).map(|envelope| envelope.request) {
            assert_eq!(judgement["command"], json!("start"), "{shown}");
            assert_eq!(name, judgement["name"].as_str().unwrap_or_default(), "{shown}");
        }
    }
    println!("{tally:?}");
    for kind in ["bad INVALID_JSON", "other INVALID_REQUEST", "object ok", "object UNKNOWN_COMMAND"] {
        assert!(tally.get(kind).is_some_and(|count| *count > 500), "too few of {kind}: {tally:?}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut writer = Writer(Dice::new(0xdead));
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..writer.below(60)).map(|_| writer.below(256) as u8).collect();
        let _ = decode(&bytes);
    }
}
