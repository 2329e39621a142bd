//! Asks Python, in one process for the whole run, what it makes of the same bytes.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// What Python's answer is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ini,
    Words,
    Environment,
    EnvFile,
    Expand,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Ini => b'i',
            Kind::Words => b'w',
            Kind::Environment => b'e',
            Kind::EnvFile => b'f',
            Kind::Expand => b'x',
        }
    }
}

/// An answer: the list of strings after `ok`, or those after `error`.
pub type Answer = Result<Vec<String>, Vec<String>>;

/// Answers to all questions, or `None` without a Python, which is told on the real stderr.
pub fn ask(kind: Kind, questions: &[Vec<u8>]) -> Option<Vec<Answer>> {
    static PYTHON: OnceLock<Option<Mutex<Child>>> = OnceLock::new();
    let python = PYTHON.get_or_init(start).as_ref()?;
    let mut python = python.lock().expect("no asker panics while it holds Python");
    let mut asking = python.stdin.take().expect("Python was started with a pipe");
    let mut answering = python.stdout.take().expect("Python was started with a pipe");
    let answers = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for question in questions {
                asking.write_all(&[kind.byte()]).unwrap();
                asking.write_all(&(question.len() as u32).to_be_bytes()).unwrap();
                asking.write_all(question).unwrap();
            }
            asking.flush().unwrap();
            asking
        });
        let answers = questions.iter().map(|_| answer(&mut answering)).collect();
        (answers, writer.join().unwrap())
    });
    python.stdin = Some(answers.1);
    python.stdout = Some(answering);
    Some(answers.0)
}

fn start() -> Option<Mutex<Child>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/oracle.py");
    let mut command = Command::new("python3");
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    match command.spawn() {
        Ok(child) => Some(Mutex::new(child)),
        Err(error) => {
            // Not by a macro: the harness would hide it.
            let _ = writeln!(io::stderr(), "SKIPPED: comparisons with Python, python3 does not start: {error}");
            None
        }
    }
}

fn answer(from: &mut impl Read) -> Answer {
    let mut bytes = vec![0; length(from)];
    from.read_exact(&mut bytes).expect("Python answers in full");
    let (mut rest, mut strings) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let mut text = vec![0; length(&mut rest)];
        rest.read_exact(&mut text).expect("an answer is made of whole strings");
        strings.push(String::from_utf8(text).expect("Python answers in UTF-8"));
    }
    let verdict = strings.remove(0);
    if verdict == "ok" { Ok(strings) } else { Err(strings) }
}

fn length(from: &mut impl Read) -> usize {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes).expect("Python answers every question");
    u32::from_be_bytes(bytes) as usize
}
