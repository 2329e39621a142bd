//! Holds the house rules that no compiler holds: who may import whom, where the system is touched, how long a function
//! may be. Each rule is fed a planted offence first: a rule that was never seen to bite proves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A word, a sign or a string of Rust code, without comments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Sign,
    Literal,
}

/// A file, as the rules see it.
struct Source {
    /// From the root of the package.
    path: String,
    /// Without comments and without test modules.
    tokens: Vec<Token>,
    /// With them: comments as they stand.
    comments: Vec<(usize, String)>,
}

type Complaint = String;

// ---- Reading Rust -----------------------------------------------------------------------------------------------

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<(usize, String)>,
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn advance(&mut self, count: usize) -> String {
        let end = (self.at + count).min(self.bytes.len());
        let taken = &self.bytes[self.at..end];
        let text = String::from_utf8_lossy(taken).into_owned();
        self.line += taken.iter().filter(|&&byte| byte == b'\n').count();
        self.at = end;
        text
    }

    fn run(mut self) -> (Vec<Token>, Vec<(usize, String)>) {
        while self.at < self.bytes.len() {
            self.step();
        }
        (self.tokens, self.comments)
    }

    fn step(&mut self) {
        let rest = self.rest();
        let line = self.line;
        if rest[0].is_ascii_whitespace() {
            self.advance(1);
        } else if rest.starts_with(b"//") {
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let text = self.advance(length);
            self.comments.push((line, text));
        } else if rest.starts_with(b"/*") {
            let length = rest.windows(2).position(|pair| pair == b"*/").map_or(rest.len(), |end| end + 2);
            let text = self.advance(length);
            self.comments.push((line, text));
        } else if let Some(length) = literal_length(rest) {
            self.push(Kind::Literal, length);
        } else if is_word(rest[0]) {
            let length = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
            self.push(Kind::Word, length);
        } else {
            let length = if rest.starts_with(b"::") || rest.starts_with(b"=>") { 2 } else { 1 };
            self.push(Kind::Sign, length);
        }
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let line = self.line;
        let text = self.advance(length);
        self.tokens.push(Token { line, text, kind });
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of the string, byte string, raw string or character at the front; a lifetime is none.
fn literal_length(rest: &[u8]) -> Option<usize> {
    let prefix = rest.iter().position(|byte| !matches!(byte, b'b' | b'c' | b'r')).filter(|&length| length <= 2)?;
    let raw = rest[..prefix].contains(&b'r');
    match rest.get(prefix)? {
        b'"' if !raw => Some(quoted_length(&rest[prefix..], b'"') + prefix),
        b'"' | b'#' if raw => raw_length(&rest[prefix..]).map(|length| length + prefix),
        b'\'' if prefix <= 1 && !raw => character_length(&rest[prefix..]).map(|length| length + prefix),
        _ => None,
    }
}

fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_length(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &rest[..hashes]].concat();
    let body = &rest[hashes + 1..];
    let found = body.windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |found| hashes + 1 + found + end.len()))
}

fn character_length(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(quoted_length(rest, b'\''));
    }
    let close = rest.iter().skip(2).take(4).position(|&byte| byte == b'\'')?;
    let text = std::str::from_utf8(&rest[1..close + 2]).ok()?;
    (text.chars().count() == 1).then_some(close + 3)
}

impl Source {
    fn parse(path: &str, text: &str) -> Source {
        let lexer = Lexer { bytes: text.as_bytes(), at: 0, line: 1, tokens: Vec::new(), comments: Vec::new() };
        let (tokens, comments) = lexer.run();
        Source { path: path.to_owned(), tokens: without_tests(tokens), comments }
    }

    fn is(&self, index: usize, text: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| token.text == text && token.kind != Kind::Literal)
    }

    fn follows(&self, index: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| self.is(index + offset, text))
    }

    fn complain(&self, line: usize, what: &str) -> Complaint {
        format!("{}:{line}: {what}", self.path)
    }

    /// The first folder or file below src: `src/sys/kill.rs` is in `sys`.
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or(inside)
    }

    fn within(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || (place.ends_with('/') && self.path.starts_with(place)))
    }
}

/// The index after the group that opens at `open`.
fn after_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match (token.kind, token.text.as_str()) {
            (Kind::Sign, "{" | "(" | "[") => depth += 1,
            (Kind::Sign, "}" | ")" | "]") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The index after the item at `start`: its block, or its semicolon.
fn after_item(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    while index < tokens.len() {
        match tokens[index].text.as_str() {
            ";" => return index + 1,
            "{" => return after_group(tokens, index),
            "(" | "[" => index = after_group(tokens, index),
            _ => index += 1,
        }
    }
    index
}

/// Leaves out every item under `#[cfg(test)]` and every `#[test]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let attribute = tokens[index].text == "#" && tokens.get(index + 1).is_some_and(|next| next.text == "[");
        if !attribute {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        }
        let end = after_group(&tokens, index + 1);
        let text: String = tokens[index..end].iter().map(|token| token.text.as_str()).collect();
        if matches!(text.as_str(), "#[cfg(test)]" | "#[test]") {
            index = after_item(&tokens, end);
        } else {
            kept.extend_from_slice(&tokens[index..end]);
            index = end;
        }
    }
    kept
}

// ---- Paths: `use` trees and paths in the code, spelled out --------------------------------------------------------

/// Every path of the file, with its line. `use a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths(source: &Source) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < source.tokens.len() {
        if source.tokens[index].kind == Kind::Word {
            index = read_tree(source, index, Vec::new(), &mut found);
        } else {
            index += 1;
        }
    }
    found
}

/// Reads a path that begins at `index`, trees included; the index after it.
fn read_tree(
    source: &Source,
    mut index: usize,
    mut prefix: Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let line = source.tokens[index].line;
    loop {
        prefix.push(source.tokens[index].text.clone());
        index += 1;
        if !source.is(index, "::") {
            break;
        }
        index += 1;
        if source.is(index, "{") {
            let end = after_group(&source.tokens, index);
            let mut inner = index + 1;
            while inner < end {
                let word = source.tokens[inner].kind == Kind::Word;
                inner = if word { read_tree(source, inner, prefix.clone(), found) } else { inner + 1 };
            }
            return end;
        }
        if source.tokens.get(index).is_none_or(|next| next.kind != Kind::Word) {
            break;
        }
    }
    found.push((line, prefix));
    index
}

/// `crate::x` and, from one of the programs, `supervice::x`; `super` is resolved. `None`: not a path into our house.
fn room_of_path(source: &Source, path: &[String]) -> Option<String> {
    let first = path.first()?.as_str();
    if first == "crate" || (first == "supervice" && source.path.starts_with("src/bin/")) {
        return path.get(1).cloned();
    }
    let ups = path.iter().take_while(|part| *part == "super").count();
    let depth = module_depth(&source.path);
    (ups > 0 && ups == depth).then(|| path.get(ups).cloned()).flatten()
}

/// How many `super` lead to the root: `src/sys/kill.rs` is two deep, `src/sys/mod.rs` and `src/client.rs` one.
fn module_depth(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let inside = inside.strip_suffix("/mod.rs").or_else(|| inside.strip_suffix(".rs")).unwrap_or(inside);
    inside.split('/').count()
}

// ---- The rules ----------------------------------------------------------------------------------------------------

/// Whom each room may import from, besides itself.
const LAYERS: [(&str, &[&str]); 11] = [
    ("engine", &[]),
    ("manual", &[]),
    ("spec", &["engine"]),
    ("config", &["engine", "spec", "manual"]),
    ("wire", &["engine", "spec"]),
    ("sys", &["engine", "spec", "config", "wire"]),
    ("reactor", &["engine", "spec", "wire", "sys"]),
    ("logs", &["engine", "spec", "sys"]),
    ("client", &["engine", "spec", "wire", "sys"]),
    ("ctl", &["manual", "wire", "sys", "client"]),
    ("daemon", &["engine", "spec", "config", "manual", "wire", "sys", "reactor", "logs", "client"]),
];

/// What of the engine the reactor shares: containers and time, no decision.
const ENGINE_FOR_REACTOR: [&str; 4] = ["slots", "timer", "time", "id"];

fn layers(source: &Source) -> Vec<Complaint> {
    let room = source.room();
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == room) else { return Vec::new() };
    let mut complaints = Vec::new();
    for (line, path) in paths(source) {
        let Some(target) = room_of_path(source, &path) else { continue };
        let known = LAYERS.iter().any(|(name, _)| *name == target);
        if known && target != room && !allowed.contains(&target.as_str()) {
            complaints.push(source.complain(line, &format!("{room} must not import from {target}")));
        }
        let part = path.iter().skip_while(|part| **part != "engine").nth(1);
        let decides = part.is_some_and(|part| !ENGINE_FOR_REACTOR.contains(&part.as_str()));
        if room == "reactor" && target == "engine" && decides {
            complaints.push(source.complain(line, "the reactor knows only the engine's containers and time"));
        }
    }
    complaints
}

/// A path that begins so, and the only places that may say it.
const HOMES: [(&[&str], &[&str]); 10] = [
    (&["mio"], &["src/reactor/", "src/daemon/"]),
    (&["libc"], &["src/sys/"]),
    (&["nix"], &["src/sys/"]),
    (
        &["std", "fs"],
        &[
            "src/logs/",
            "src/sys/",
            "src/daemon/boot.rs",
            "src/daemon/vet.rs",
            "src/daemon/vet/",
            "src/daemon/state_file.rs",
        ],
    ),
    (&["serde_json"], &["src/wire/", "src/daemon/state_file.rs"]),
    (&["ini"], &["src/config/"]),
    (&["fern"], &["src/daemon/boot.rs", "src/daemon/settings.rs"]),
    (&["std", "process", "Command"], &["src/sys/"]),
    (&["std", "thread"], &["src/sys/"]),
    (&["rand"], &[]),
];

fn homes(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (line, path) in paths(source) {
        for (start, places) in HOMES {
            let said = path.len() >= start.len() && path.iter().zip(start).all(|(part, wanted)| part == wanted);
            // A word alone is a name of somebody's own, unless it is imported.
            let meant = path.len() > 1 || is_import(source, line);
            if said && meant && !source.within(places) {
                complaints.push(source.complain(line, &format!("{} is for {places:?} only", start.join("::"))));
            }
        }
    }
    complaints
}

fn is_import(source: &Source, line: usize) -> bool {
    source.tokens.iter().any(|token| token.line == line && matches!(token.text.as_str(), "use" | "extern"))
}

fn pure_engine(source: &Source) -> Vec<Complaint> {
    if source.room() != "engine" {
        return Vec::new();
    }
    let outside = paths(source).into_iter().filter(|(_, path)| path[0] == "std" && path.len() > 1);
    outside.map(|(line, _)| source.complain(line, "the engine lives on core and alloc")).collect()
}

fn clocks(source: &Source) -> Vec<Complaint> {
    if source.within(&["src/sys/clock.rs", "src/client.rs"]) {
        return Vec::new();
    }
    let read = |(line, path): (usize, Vec<String>)| {
        let tail = path.len() >= 2 && matches!(path[path.len() - 2].as_str(), "Instant" | "SystemTime");
        let now = path.last().is_some_and(|last| last == "now") && tail;
        let call = path.iter().any(|part| matches!(part.as_str(), "clock_gettime" | "gettimeofday"));
        (now || call).then(|| source.complain(line, "only sys/clock.rs and client.rs read a clock"))
    };
    paths(source).into_iter().filter_map(read).collect()
}

fn words(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Word) {
        let mut complain = |what: &str| complaints.push(source.complain(token.line, what));
        let macro_call = source.is(index + 1, "!");
        match token.text.as_str() {
            "unsafe" if !source.path.starts_with("src/sys/") => complain("unsafe is for sys/ only"),
            "unwrap" if index > 0 && source.is(index - 1, ".") => complain("no unwrap outside tests"),
            "dbg" | "todo" | "unimplemented" if macro_call => complain("unfinished"),
            "expect" if !expect_has_sentence(source, index) => complain("expect says the invariant as a sentence"),
            _ => {}
        }
    }
    complaints
}

/// `.expect("…")` with several words; a method of another kind that is called expect is not meant.
fn expect_has_sentence(source: &Source, index: usize) -> bool {
    let call = index > 0 && source.is(index - 1, ".") && source.is(index + 1, "(");
    let Some(text) = source.tokens.get(index + 2).filter(|token| call && token.kind == Kind::Literal) else {
        return true;
    };
    text.text.split_whitespace().count() >= 3
}

fn leftovers(source: &Source) -> Vec<Complaint> {
    let marks = ["FIXME", "XXX", "HACK"];
    let marked = source.comments.iter().filter(|(_, text)| marks.iter().any(|mark| text.contains(mark)));
    let mut complaints: Vec<_> = marked.map(|(line, _)| source.complain(*line, "unfinished")).collect();
    for index in 0..source.tokens.len() {
        if source.follows(index, &["#", "[", "ignore"]) {
            complaints.push(source.complain(source.tokens[index].line, "an ignored test is a defect"));
        }
    }
    complaints
}

const LONGEST_FUNCTION: usize = 70;

fn short_functions(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let named = source.tokens.get(index + 1).is_some_and(|next| next.kind == Kind::Word);
        if !source.is(index, "fn") || !named {
            continue;
        }
        let end = after_item(&source.tokens, index);
        let lines = source.tokens[end - 1].line - token.line + 1;
        if lines > LONGEST_FUNCTION {
            let name = &source.tokens[index + 1].text;
            complaints.push(source.complain(token.line, &format!("{name} has {lines} lines, more than 70")));
        }
    }
    complaints
}

/// Enums whose every match names every case.
const CLOSED: [&str; 2] = ["Phase", "Effect"];

fn no_catch_all(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if !source.is(index, "match") || token.kind != Kind::Word {
            continue;
        }
        let patterns = arm_patterns(&source.tokens, index);
        let about = |name: &&&str| patterns.iter().any(|pattern| names_variant(pattern, name));
        let catch_all = patterns.iter().any(|pattern| pattern.first().is_some_and(|first| first.text == "_"));
        if let Some(name) = CLOSED.iter().find(about).filter(|_| catch_all) {
            complaints.push(source.complain(token.line, &format!("a match on {name} names every case, no `_`")));
        }
    }
    complaints
}

fn names_variant(pattern: &[Token], name: &str) -> bool {
    pattern.windows(2).any(|pair| pair[0].text == name && pair[1].text == "::")
}

/// The patterns of the arms of the match at `start`.
fn arm_patterns(tokens: &[Token], start: usize) -> Vec<&[Token]> {
    let mut open = start + 1;
    while open < tokens.len() && tokens[open].text != "{" {
        open = if matches!(tokens[open].text.as_str(), "(" | "[") { after_group(tokens, open) } else { open + 1 };
    }
    let end = after_group(tokens, open).saturating_sub(1);
    let mut patterns = Vec::new();
    let mut index = open + 1;
    while index < end {
        let begin = index;
        while index < end && tokens[index].text != "=>" {
            index = if matches!(tokens[index].text.as_str(), "(" | "[" | "{") {
                after_group(tokens, index)
            } else {
                index + 1
            };
        }
        patterns.push(&tokens[begin..index.min(end)]);
        index = after_arm(tokens, index + 1, end);
    }
    patterns
}

/// The index after the body of an arm that begins at `index`.
fn after_arm(tokens: &[Token], mut index: usize, end: usize) -> usize {
    if index < end && tokens[index].text == "{" {
        index = after_group(tokens, index);
        return if index < end && tokens[index].text == "," { index + 1 } else { index };
    }
    while index < end && tokens[index].text != "," {
        let group = matches!(tokens[index].text.as_str(), "(" | "[" | "{");
        index = if group { after_group(tokens, index) } else { index + 1 };
    }
    index + 1
}

const EMPTY_WORDS: [&str; 11] =
    ["Manager", "Handler", "Helper", "Util", "Utils", "Service", "Worker", "Context", "Data", "Info", "Base"];

/// Types that may end in an empty word, each with its reason.
const EXCUSED: [(&str, &str); 0] = [];

fn telling_names(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let defines = matches!(token.text.as_str(), "struct" | "enum" | "trait" | "type" | "union");
        let Some(name) = source.tokens.get(index + 1).filter(|next| defines && next.kind == Kind::Word) else {
            continue;
        };
        let excused = EXCUSED.iter().any(|(excused, _)| *excused == name.text);
        let last = name.text.rfind(|letter: char| letter.is_ascii_uppercase()).map_or("", |at| &name.text[at..]);
        if EMPTY_WORDS.contains(&last) && !excused {
            complaints.push(source.complain(token.line, &format!("{} says nothing: {last}", name.text)));
        }
    }
    complaints
}

// ---- The house is held to them ------------------------------------------------------------------------------------

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} has Rust files");
    let parse = |path: PathBuf| {
        let name = path.strip_prefix(root).expect("the file is below the root").display().to_string();
        Source::parse(&name, &fs::read_to_string(&path).expect("the file is readable"))
    };
    files.into_iter().map(parse).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[track_caller]
fn holds(rule: fn(&Source) -> Vec<Complaint>, folder: &str) {
    let complaints: Vec<_> = sources(folder).iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Each planted text gives exactly so many complaints.
#[track_caller]
fn bites(rule: fn(&Source) -> Vec<Complaint>, planted: &[(&str, &str, usize)]) {
    for (path, text, expected) in planted {
        let complaints = rule(&Source::parse(path, text));
        assert_eq!(complaints.len(), *expected, "{path}: {text}: {complaints:?}");
    }
}

#[test]
fn layers_import_only_downward() {
    bites(
        layers,
        &[
            ("src/engine/job.rs", "use crate::sys::clock;", 1),
            ("src/engine/job.rs", "use super::id::Key; use crate::engine::time::Instant;", 0),
            ("src/engine/job.rs", "use super::super::sys::clock;", 1),
            ("src/wire/mod.rs", "use super::client::Client;", 1),
            ("src/config/value.rs", "use crate::{spec::Config, logs::{self, Sink}};", 2),
            ("src/sys/kill.rs", "fn f() { crate::reactor::poll() }", 1),
            ("src/reactor/mod.rs", "use crate::engine::{slots::Slots, time::Instant};", 0),
            ("src/reactor/mod.rs", "use crate::engine::message::Input;", 1),
            ("src/ctl/mod.rs", "use crate::daemon::rpc;", 1),
            ("src/daemon/mod.rs", "use crate::{reactor, engine, sys};", 0),
            ("src/daemon/mod.rs", "// crate::ctl\nconst A: &str = \"crate::ctl\"; use crate::ctl;", 1),
            ("src/engine/job.rs", "#[cfg(test)] mod tests { use crate::sys::clock; }", 0),
        ],
    );
    holds(layers, "src");
}

#[test]
fn every_crate_has_its_home() {
    bites(
        homes,
        &[
            ("src/wire/mod.rs", "use mio::Token;", 1),
            ("src/reactor/mod.rs", "use mio::Token;", 0),
            ("src/daemon/rpc.rs", "fn f() { libc::getpid(); nix::unistd::getpid(); }", 2),
            ("src/daemon/rpc.rs", "use std::{fs, io};", 1),
            ("src/daemon/rpc.rs", "use std::{fs::File, io};", 1),
            ("src/daemon/boot.rs", "use std::{fs, io}; use fern::Dispatch;", 0),
            ("src/ctl/render.rs", "fn f(v: serde_json::Value) {}", 1),
            ("src/spec.rs", "use ini::Ini;", 1),
            ("src/config/mod.rs", "use ini::Ini;", 0),
            ("src/daemon/rpc.rs", "fn f(fern: u8) { std::process::Command::new(\"a\"); std::thread::spawn(g); }", 2),
            ("src/wire/mod.rs", "extern crate mio;", 1),
        ],
    );
    holds(homes, "src");
}

#[test]
fn the_engine_needs_no_std() {
    bites(
        pure_engine,
        &[
            ("src/engine/job.rs", "use std::collections::BTreeMap;", 1),
            ("src/engine/job.rs", "use alloc::collections::BTreeMap; #[cfg(test)] mod tests { use std::fs; }", 0),
        ],
    );
    holds(pure_engine, "src");
}

#[test]
fn clocks_are_read_in_one_place() {
    bites(
        clocks,
        &[
            ("src/daemon/mod.rs", "let now = std::time::Instant::now();", 1),
            ("src/daemon/mod.rs", "let now = SystemTime::now();", 1),
            ("src/sys/files.rs", "libc::clock_gettime(0, &mut t)", 1),
            ("src/sys/clock.rs", "let now = Instant::now();", 0),
            ("src/client.rs", "let now = Instant::now();", 0),
        ],
    );
    holds(clocks, "src");
}

#[test]
fn words_of_haste_stay_out() {
    bites(
        words,
        &[
            ("src/daemon/mod.rs", "fn f() { unsafe { g() } }", 1),
            ("src/sys/kill.rs", "fn f() { unsafe { g() } }", 0),
            ("src/wire/mod.rs", "fn f() { g().unwrap(); h().unwrap_or(1); }", 1),
            ("src/wire/mod.rs", "#[cfg(test)] mod tests { fn f() { g().unwrap(); } }", 0),
            ("src/wire/mod.rs", "fn f() { dbg!(1); todo!(); unimplemented!() }", 3),
            ("src/wire/mod.rs", "fn f() { a.expect(\"ok\"); b.expect(\"the queue is never empty here\") }", 1),
            (
                "src/wire/mod.rs",
                "// unsafe\nconst A: &str = \"unsafe\"; const B: char = '\"'; fn f<'a>(x: &'a u8) {}",
                0,
            ),
        ],
    );
    holds(words, "src");
}

#[test]
fn nothing_is_left_for_later() {
    bites(
        leftovers,
        &[
            ("src/wire/mod.rs", "// FIXME: later\nfn f() {}", 1),
            ("tests/a.rs", "#[ignore] fn f() {}", 1),
            ("tests/a.rs", "const A: &str = \"#[ignore] FIXME\";", 0),
        ],
    );
    holds(leftovers, "src");
    holds(leftovers, "tests");
    holds(leftovers, "examples");
}

#[test]
fn functions_fit_a_screen() {
    let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(69));
    let right = format!("fn right() {{\n{}}}\n", "    step();\n".repeat(68));
    bites(short_functions, &[("src/wire/mod.rs", &long, 1), ("src/wire/mod.rs", &right, 0)]);
    bites(short_functions, &[("src/wire/mod.rs", "trait T { fn f(&self) -> [u8; 2]; } fn g(f: fn(u8)) {}", 0)]);
    for folder in ["src", "tests", "examples"] {
        holds(short_functions, folder);
    }
}

#[test]
fn matches_on_the_machine_name_every_case() {
    bites(
        no_catch_all,
        &[
            ("src/engine/instance.rs", "match p { Phase::Stopped => a(), _ => b() }", 1),
            ("src/engine/instance.rs", "match p { Phase::Starting { run, .. } if x => { a() } _ if y => b(), }", 1),
            (
                "src/engine/instance.rs",
                "match p { Phase::Stopped => match q { 1 => a(), _ => b() }, Phase::Fatal => c() }",
                0,
            ),
            ("src/daemon/perform.rs", "match f(|e| { e }) { Effect::Spawn { run: _ } => 1, _ => 2 }", 1),
            ("src/daemon/perform.rs", "match n { 1 => Effect::Finished, _ => Effect::Other }", 0),
        ],
    );
    holds(no_catch_all, "src");
}

#[test]
fn types_have_telling_names() {
    bites(
        telling_names,
        &[
            ("src/wire/mod.rs", "struct ConnectionManager; enum Info {} trait LogHandler {}", 3),
            ("src/wire/mod.rs", "struct Conn; enum Informed {} type Databank = u8;", 0),
        ],
    );
    let names: BTreeSet<_> = EXCUSED.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), EXCUSED.len(), "each excuse is given once");
    holds(telling_names, "src");
}
