//! The records of the children, as they stand on the disk: typed, versioned, with a sum over all of it.
//!
//! Only the text; when it is written is `memory`'s business, and what follows from it `orphans`'. Whatever is wrong with
//! a text gives fewer records, never other ones: a torn or tampered file is no file, an impossible record is left out.

use crate::engine::message::{Pid, Signal};
use crate::spec::Reconcile;
use crate::sys::atomic_file::fnv;
use crate::sys::identity::{Machine, PID_MAX};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

/// A longer file is not read.
pub const MAX_BYTES: usize = 64 << 20;
/// Ours.
const VERSION: u64 = 2;
/// Python supervice 0.4's.
const PYTHONS: u64 = 1;
const NAME_MAX: usize = 255;

/// One process, beyond its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Clock ticks from the boot to its start.
    pub start: u64,
}

/// One child and what is to become of it when its daemon dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The instance.
    pub name: String,
    /// Its number, which is that of its process group and of its session as well.
    pub pid: Pid,
    /// Clock ticks from the boot to its start. `None`: it was gone before anybody looked.
    pub start: Option<u64>,
    /// Of its pidfd, where that is unique.
    pub inode: Option<u64>,
    /// What its environment says in `SUPERVICE_RUN`. Python's children have none.
    pub run: Option<String>,
    /// It was to be killed with its daemon.
    pub pdeathsig: bool,
    /// What the configuration said.
    pub reconcile: Reconcile,
    /// How its stop begins.
    pub stop_signal: Signal,
    /// From there to SIGKILL.
    pub stop_wait: Duration,
}

#[cfg(test)]
impl Record {
    /// One like most.
    pub fn sample(name: &str, pid: Pid) -> Record {
        Record {
            name: name.to_owned(),
            pid,
            start: Some(1),
            inode: None,
            run: None,
            pdeathsig: true,
            reconcile: Reconcile::Auto,
            stop_signal: Signal::TERM,
            stop_wait: Duration::ZERO,
        }
    }
}

/// Everything a daemon leaves to the next one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The id of the daemon's life. Python's have none.
    pub life: Option<String>,
    /// The last run that it had made by then: one that is not younger and none of the children's is over.
    pub serial: u64,
    /// Where the numbers mean something. Python does not say.
    pub machine: Option<Machine>,
    /// The daemon itself.
    pub daemon: Option<Process>,
    /// It ended in order, after its children.
    pub closed: bool,
    /// The children.
    pub children: Vec<Record>,
}

/// A state, and what had to be left out of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What is left.
    pub state: State,
    /// A sentence for each record that cannot be one.
    pub refused: Vec<String>,
}

/// Why a text is no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Torn, tampered with, or of a version nobody here knows.
    Torn(String),
    /// Somebody else's text.
    Foreign,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Torn(why) => f.write_str(why),
            Damage::Foreign => f.write_str("it has something else in it than our records"),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct File<'a> {
    version: u64,
    life: Cow<'a, str>,
    /// Files of before have none.
    #[serde(default)]
    serial: u64,
    boot: Cow<'a, str>,
    namespace: Option<u64>,
    daemon: Option<Process>,
    closed: bool,
    #[serde(borrow)]
    children: Vec<Child<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Child<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    pid: i64,
    pgid: i64,
    session: i64,
    start: Option<u64>,
    inode: Option<u64>,
    run: Option<Cow<'a, str>>,
    pdeathsig: bool,
    reconcile: Cow<'a, str>,
    stopsignal: u8,
    stopwait_ms: u64,
}

#[derive(Deserialize)]
struct PythonFile<'a> {
    #[serde(borrow)]
    children: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct PythonChild {
    name: String,
    pid: i64,
    pgid: i64,
    token: String,
    pdeathsig: bool,
    #[serde(default)]
    reconcile: Option<String>,
}

/// The text of a state.
pub fn render(state: &State) -> Vec<u8> {
    let machine = state.machine.as_ref();
    let file = File {
        version: VERSION,
        life: Cow::Borrowed(state.life.as_deref().unwrap_or_default()),
        serial: state.serial,
        boot: Cow::Borrowed(machine.map_or("", |machine| &machine.boot)),
        namespace: machine.and_then(|machine| machine.namespace),
        daemon: state.daemon,
        closed: state.closed,
        children: state.children.iter().map(child).collect(),
    };
    let mut text = serde_json::to_vec(&file).expect("plain data with text for keys always has a JSON form");
    text.pop();
    let sum = fnv(&text);
    text.extend_from_slice(format!(",\"sum\":\"{sum:016x}\"}}\n").as_bytes());
    text
}

fn child(record: &Record) -> Child<'_> {
    let pid = i64::from(record.pid);
    Child {
        name: Cow::Borrowed(&record.name),
        pid,
        pgid: pid,
        session: pid,
        start: record.start,
        inode: record.inode,
        run: record.run.as_deref().map(Cow::Borrowed),
        pdeathsig: record.pdeathsig,
        reconcile: Cow::Borrowed(word(record.reconcile)),
        stopsignal: record.stop_signal.0,
        stopwait_ms: u64::try_from(record.stop_wait.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Reads a text. `own` is the number that can be no child's: our own.
pub fn parse(text: &[u8], own: Pid) -> Result<Reading, Damage> {
    if !looks_like_ours(text) {
        return Err(Damage::Foreign);
    }
    let torn = |error: serde_json::Error| Damage::Torn(format!("it is torn: {error}"));
    let version: Version = serde_json::from_slice(text).map_err(torn)?;
    match version.version {
        VERSION => parse_own(text, own),
        PYTHONS => parse_pythons(text, own),
        other => Err(Damage::Torn(format!("it has version {other}, which is not known here"))),
    }
}

/// A file system that was cut off may leave an empty file or one full of zeros.
fn looks_like_ours(text: &[u8]) -> bool {
    let start = text.iter().find(|byte| !byte.is_ascii_whitespace());
    start.is_none_or(|start| *start == b'{') || text.iter().all(|byte| *byte == 0)
}

fn parse_own(text: &[u8], own: Pid) -> Result<Reading, Damage> {
    let Some(body) = summed(text) else {
        return Err(Damage::Torn("its sum does not fit: it was torn or changed".to_owned()));
    };
    let whole = [body, b"}"].concat();
    let file: File<'_> =
        serde_json::from_slice(&whole).map_err(|error| Damage::Torn(format!("it makes no sense: {error}")))?;
    let mut checks = Checks::new(own);
    let mut children = Vec::with_capacity(file.children.len());
    for child in file.children {
        children.extend(checks.keep(&child.name, child.pid, [child.pgid, child.session]).and_then(|pid| {
            let reconcile = checks.policy(&child.name, &child.reconcile)?;
            checks.signal(&child.name, child.stopsignal)?;
            Some(record(child, pid, reconcile))
        }));
    }
    let state = State {
        life: Some(file.life.into_owned()),
        serial: file.serial,
        machine: Some(Machine { boot: file.boot.into_owned(), namespace: file.namespace }),
        daemon: file.daemon,
        closed: file.closed,
        children,
    };
    Ok(Reading { state, refused: checks.refused })
}

/// The text before the sum, if the sum is right.
fn summed(text: &[u8]) -> Option<&[u8]> {
    let (body, sum) = text.strip_suffix(b"\"}\n")?.split_last_chunk::<16>()?;
    let body = body.strip_suffix(b",\"sum\":\"")?;
    (format!("{:016x}", fnv(body)).as_bytes() == sum).then_some(body)
}

fn record(child: Child<'_>, pid: Pid, reconcile: Reconcile) -> Record {
    Record {
        name: child.name.into_owned(),
        pid,
        start: child.start,
        inode: child.inode,
        run: child.run.map(Cow::into_owned),
        pdeathsig: child.pdeathsig,
        reconcile,
        stop_signal: Signal(child.stopsignal),
        stop_wait: Duration::from_millis(child.stopwait_ms),
    }
}

/// How Python's children are stopped: it has no other word for it than its defaults.
const PYTHONS_STOP: (Signal, Duration) = (Signal::TERM, Duration::from_secs(10));

fn parse_pythons(text: &[u8], own: Pid) -> Result<Reading, Damage> {
    let file: PythonFile<'_> =
        serde_json::from_slice(text).map_err(|error| Damage::Torn(format!("it makes no sense: {error}")))?;
    let mut checks = Checks::new(own);
    let mut state = State::default();
    for raw in file.children {
        match serde_json::from_str::<PythonChild>(raw.get()) {
            Ok(child) => state.children.extend(pythons_record(&child, &mut checks)),
            Err(error) => checks.refused.push(format!("a record of Python's makes no sense: {error}")),
        }
    }
    Ok(Reading { state, refused: checks.refused })
}

fn pythons_record(child: &PythonChild, checks: &mut Checks) -> Option<Record> {
    let pid = checks.keep(&child.name, child.pid, [child.pgid, child.pgid])?;
    let reconcile = checks.policy(&child.name, child.reconcile.as_deref().unwrap_or("auto"))?;
    let Some(start) = pythons_start(&child.token, pid) else {
        return checks.refuse(&child.name, "its start is in no form that is known here");
    };
    Some(Record {
        name: child.name.clone(),
        pid,
        start: Some(start),
        inode: None,
        run: None,
        pdeathsig: child.pdeathsig,
        reconcile,
        stop_signal: PYTHONS_STOP.0,
        stop_wait: PYTHONS_STOP.1,
    })
}

/// `starttime:TICKS pgid:GROUP`.
fn pythons_start(token: &str, pid: Pid) -> Option<u64> {
    let (start, group) = token.strip_prefix("starttime:")?.split_once(" pgid:")?;
    (group == pid.to_string()).then(|| start.parse().ok())?
}

/// What a record must be to be taken for one.
struct Checks {
    own: Pid,
    seen: HashSet<Pid>,
    refused: Vec<String>,
}

impl Checks {
    fn new(own: Pid) -> Checks {
        Checks { own, seen: HashSet::new(), refused: Vec::new() }
    }

    /// The number, if it can be that of a child of ours: above 1, not our own, leader of its group and of its session.
    fn keep(&mut self, name: &str, pid: i64, leads: [i64; 2]) -> Option<Pid> {
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return self.refuse(name, "that is no name");
        }
        let Some(number) = Pid::try_from(pid).ok().filter(|pid| (2..=PID_MAX).contains(pid) && *pid != self.own) else {
            return self.refuse(name, &format!("{pid} is no child's process number"));
        };
        if let Some(other) = leads.iter().find(|leads| **leads != pid) {
            return self
                .refuse(name, &format!("process {pid} was no leader of its own group and session, but of {other}"));
        }
        if !self.seen.insert(number) {
            return self.refuse(name, &format!("process {pid} is recorded twice"));
        }
        Some(number)
    }

    fn policy(&mut self, name: &str, word: &str) -> Option<Reconcile> {
        match word {
            "auto" => Some(Reconcile::Auto),
            "kill" => Some(Reconcile::Kill),
            "warn" => Some(Reconcile::Warn),
            "off" => Some(Reconcile::Off),
            _ => self.refuse(name, "its reconcile is no word that is known here"),
        }
    }

    fn signal(&mut self, name: &str, number: u8) -> Option<()> {
        if (1..=64).contains(&number) { Some(()) } else { self.refuse(name, "its stop signal is none") }
    }

    fn refuse<T>(&mut self, name: &str, why: &str) -> Option<T> {
        let short: String = name.chars().take(NAME_MAX).flat_map(char::escape_debug).collect();
        self.refused.push(format!("{short}: {why}"));
        None
    }
}

fn word(reconcile: Reconcile) -> &'static str {
    match reconcile {
        Reconcile::Auto => "auto",
        Reconcile::Kill => "kill",
        Reconcile::Warn => "warn",
        Reconcile::Off => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Pid = 77;

    fn web() -> Record {
        Record {
            name: "web:00".into(),
            pid: 1234,
            start: Some(99),
            inode: Some(5),
            run: Some("l.1k".into()),
            pdeathsig: true,
            reconcile: Reconcile::Auto,
            stop_signal: Signal(10),
            stop_wait: Duration::from_millis(1500),
        }
    }

    fn state() -> State {
        let other = Record { name: "ü\"\\".into(), pid: 1235, start: None, inode: None, run: None, ..web() };
        State {
            life: Some("l".into()),
            serial: 7,
            machine: Some(Machine { boot: "b".into(), namespace: Some(3) }),
            daemon: Some(Process { pid: 9, start: 8 }),
            closed: false,
            children: vec![web(), other],
        }
    }

    #[test]
    fn what_is_saved_is_what_is_read() {
        for state in [state(), State { children: Vec::new(), closed: true, ..state() }] {
            assert_eq!(parse(&render(&state), OWN), Ok(Reading { state, refused: Vec::new() }));
        }
    }

    #[test]
    fn a_cut_or_a_changed_bit_gives_no_records() {
        let text = render(&state());
        for length in 0..text.len() {
            assert!(parse(&text[..length], OWN).is_err(), "cut at {length}");
        }
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let children = parse(&changed, OWN).map(|reading| reading.state.children).unwrap_or_default();
            assert!(children.is_empty(), "bit {bit}: {children:?}");
        }
    }

    #[test]
    fn odd_texts_give_no_records_and_no_end_of_the_stack() {
        let deep = "[".repeat(200_000);
        let nested = format!("{{\"version\":2,\"x\":{deep}");
        for text in ["", "  \n", "\0\0\0", "{}", "{\"version\":3}", "{\"version\":\"2\"}", "{\"version\":2}", &nested] {
            assert!(matches!(parse(text.as_bytes(), OWN), Err(Damage::Torn(_))), "{text:.40}");
        }
        for text in ["[]", "null", "root:x:0:0:", &deep, "\u{feff}{}"] {
            assert_eq!(parse(text.as_bytes(), OWN), Err(Damage::Foreign), "{text:.40}");
        }
        assert_eq!(parse(b"\xff{}", OWN), Err(Damage::Foreign));
    }

    #[test]
    fn numbers_that_can_be_no_childs_are_refused_and_the_rest_is_kept() {
        for pid in [i32::MIN, -1, 0, 1, OWN, PID_MAX + 1, i32::MAX] {
            let state = State { children: vec![Record { pid, ..web() }, web()], ..state() };
            let reading = parse(&render(&state), OWN).unwrap();
            assert_eq!(reading.state.children, [web()], "{pid}");
            assert_eq!(reading.refused.len(), 1, "{pid}: {:?}", reading.refused);
        }
        let twice = State { children: vec![web(), web()], ..state() };
        assert_eq!(parse(&render(&twice), OWN).unwrap().state.children, [web()]);
        for name in ["", "a\u{1b}[2J", &"x".repeat(256)] {
            let state = State { children: vec![Record { name: name.into(), ..web() }], ..state() };
            let reading = parse(&render(&state), OWN).unwrap();
            assert!(reading.state.children.is_empty() && !reading.refused[0].contains('\u{1b}'), "{name}");
        }
    }

    fn pythons(children: &str) -> Reading {
        parse(format!("{{\"version\": 1, \"children\": [{children}]}}").as_bytes(), OWN).unwrap()
    }

    #[test]
    fn pythons_file_is_read() {
        let reading = pythons(
            r#"{"name": "a", "pid": 12, "pgid": 12, "token": "starttime:4711 pgid:12", "pdeathsig": false, "reconcile": "kill"},
               {"name": "b", "pid": 13, "pgid": 13, "token": "starttime:4712 pgid:13", "pdeathsig": true}"#,
        );
        assert_eq!(reading.refused, Vec::<String>::new());
        let [a, b] = reading.state.children.as_slice() else { panic!("{reading:?}") };
        assert_eq!(
            (a.name.as_str(), a.pid, a.start, a.pdeathsig, a.reconcile),
            ("a", 12, Some(4711), false, Reconcile::Kill)
        );
        assert_eq!((b.pid, b.reconcile, b.run.as_deref()), (13, Reconcile::Auto, None));
        assert_eq!(reading.state.machine, None);
    }

    #[test]
    fn of_pythons_records_the_odd_ones_are_left_out() {
        let good = r#"{"name": "a", "pid": 12, "pgid": 12, "token": "starttime:4711 pgid:12", "pdeathsig": true}"#;
        let odd = [
            r#"{"name": "a", "pid": 14, "pgid": 0, "token": "starttime:1 pgid:14", "pdeathsig": true}"#,
            r#"{"name": "a", "pid": 14, "pgid": 14, "token": "starttime:1 pgid:15", "pdeathsig": true}"#,
            r#"{"name": "a", "pid": 14, "pgid": 14, "token": "ps:Mon pgid:14", "pdeathsig": true}"#,
            r#"{"name": "a", "pid": 99999999999999999999, "pgid": 14, "token": "", "pdeathsig": true}"#,
            r#"{"name": "a", "pid": "14", "pgid": 14, "token": "", "pdeathsig": true}"#,
            r#"{"name": "a"}"#,
            "7",
            "null",
        ];
        for odd in odd {
            let reading = pythons(&format!("{odd}, {good}"));
            assert_eq!(reading.state.children.len(), 1, "{odd}");
            assert_eq!(reading.refused.len(), 1, "{odd}");
        }
    }
}
