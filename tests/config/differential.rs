//! The same bytes read by us and by Python. What differs on purpose is in the oracle, and in `docs/CONFIGURATION.md`.

use crate::generator::{Random, mutant, pieces, soup};
use crate::oracle::{Answer, Kind, ask};
use std::collections::BTreeMap;
use supervice::config::document::{DEFAULT, Document};
use supervice::config::problems::Problems;
use supervice::config::{environment, reader, value, words};

/// A document in the words of the oracle, or the lines of its errors.
fn ours(text: &[u8]) -> Answer {
    let mut problems = Problems::default();
    let document = reader::read(text, &mut problems);
    let (errors, _) = problems.into_parts();
    match errors.is_empty() {
        true => Ok(told(&document)),
        false => Err(errors.iter().map(|problem| problem.line.to_string()).collect()),
    }
}

fn told(document: &Document) -> Vec<String> {
    let mut told = Vec::new();
    for section in document.sections().chain([DEFAULT]) {
        told.extend(["section".to_owned(), section.to_owned()]);
        for option in document.own_options(section) {
            told.extend(["option".to_owned(), option.name.to_owned(), option.text.to_owned()]);
        }
        for option in document.own_options(DEFAULT).filter(|_| section != DEFAULT) {
            let seen = document.get(section, option.name).map(|found| found.text).unwrap_or_default();
            told.extend(["sees".to_owned(), option.name.to_owned(), seen.to_owned()]);
        }
    }
    told
}

/// Both read the same, or both refuse; the lines that Python names are among ours, since it stops early.
fn compare_ini(texts: &[Vec<u8>]) {
    let Some(answers) = ask(Kind::Ini, texts) else { return };
    let (mut read, mut refused) = (0, 0);
    for (text, python) in texts.iter().zip(answers) {
        let shown = String::from_utf8_lossy(text);
        match (ours(text), python) {
            (Ok(ours), Ok(python)) => {
                assert_eq!(ours, python, "{shown:?}");
                read += 1;
            }
            (Err(ours), Err(python)) => {
                for line in python {
                    assert!(ours.contains(&line), "line {line} is not among {ours:?} of {shown:?}");
                }
                refused += 1;
            }
            (ours, python) => panic!("{shown:?}\n  we say {ours:?}\n  Python says {python:?}"),
        }
    }
    let many = texts.len() / 20;
    assert!(read > many && refused > many, "lopsided texts prove little: {read} read, {refused} refused");
}

#[test]
fn random_lines_read_as_configparser_reads_them() {
    let mut random = Random::new(1);
    compare_ini(&(0..6_000).map(|_| soup(&mut random)).collect::<Vec<_>>());
}

#[test]
fn mutants_of_real_configurations_read_as_configparser_reads_them() {
    let mut random = Random::new(2);
    compare_ini(&(0..4_000).map(|_| mutant(&mut random)).collect::<Vec<_>>());
}

/// Compares a parser of one text with the oracle.
fn compare(kind: Kind, texts: &[String], ours: impl Fn(&str) -> Option<Vec<String>>) {
    let questions: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    let Some(answers) = ask(kind, &questions) else { return };
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    for (text, python) in texts.iter().zip(answers) {
        assert_eq!(ours(text), python.ok(), "{text:?}");
    }
    let many = texts.len() / 20;
    assert!(accepted > many, "lopsided texts prove little: {accepted} of {} accepted", texts.len());
}

#[test]
fn commands_split_as_shlex_splits_them() {
    const HEAP: &[&str] = &[
        "a",
        "bc",
        " ",
        "  ",
        "\t",
        "\n",
        "\r",
        "'",
        "\"",
        "''",
        "\"\"",
        "\\",
        "\\\\",
        "\\\"",
        "#",
        "$x",
        ";",
        "|",
        "ä",
        "\u{a0}",
        "\u{2003}",
        "\u{b}",
        "%(process_num)s",
        "=",
        "'a b'",
        "\"a 'b\"",
    ];
    let mut random = Random::new(3);
    let texts: Vec<String> = (0..60_000).map(|_| pieces(&mut random, HEAP, 9)).collect();
    compare(Kind::Words, &texts, |text| words::split(text).ok());
}

fn pairs(variables: BTreeMap<String, String>) -> BTreeMap<String, String> {
    variables
}

fn sorted(strings: Vec<String>) -> BTreeMap<String, String> {
    strings.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// Compares what variables come out; Python keeps their order, which means nothing.
fn compare_variables(kind: Kind, texts: &[Vec<u8>], ours: impl Fn(&[u8]) -> Option<BTreeMap<String, String>>) {
    let Some(answers) = ask(kind, texts) else { return };
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    for (text, python) in texts.iter().zip(answers) {
        assert_eq!(ours(text).map(pairs), python.ok().map(sorted), "{:?}", String::from_utf8_lossy(text));
    }
    let many = texts.len() / 20;
    assert!(accepted > many, "lopsided texts prove little: {accepted} of {} accepted", texts.len());
}

#[test]
fn environment_lists_read_as_the_reference_reads_them() {
    const HEAP: &[&str] = &[
        "A",
        "B",
        "=",
        "=",
        "1",
        ",",
        ",",
        " ",
        "\t",
        "\n",
        "\"",
        "'",
        "\"x,y\"",
        "'q'",
        "C=2",
        "D=\"\",",
        "\u{a0}",
        "\u{1f}",
        "\\",
        "%(process_num)s",
    ];
    let mut random = Random::new(4);
    let item = |random: &mut Random| {
        let name = random.pick(&["A", "B2", "c.d", " E", "F ", "\nG", "", "H I"]);
        let value = random.pick(&["1", "", " x y ", "\"q, r\"", "'s'", "\"t", "u\"v", "a=b", "\"w\"x"]);
        format!("{name}={value}")
    };
    let texts: Vec<Vec<u8>> = (0..30_000)
        .map(|i| match i % 2 {
            0 => pieces(&mut random, HEAP, 8),
            _ => (0..random.below(4))
                .map(|_| item(&mut random) + random.pick(&[",", ", ", ",\n", "", " ", ",,"]))
                .collect(),
        })
        .map(String::into_bytes)
        .collect();
    compare_variables(Kind::Environment, &texts, |text| environment::list(str::from_utf8(text).unwrap()).ok());
}

#[test]
fn env_files_read_as_the_reference_reads_them() {
    const HEAP: &[&str] = &[
        "A",
        "B=1",
        "=",
        "# c",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "\"",
        "'",
        "C=\"x\"",
        "D='y\"",
        "E = z ",
        "export F=1",
        "\u{a0}",
        "\u{85}",
        "\0",
        "G=a#b",
        "\u{feff}",
    ];
    let mut random = Random::new(5);
    const LINES: &[&str] = &["A=1", "B = \"x y\"", "C='", "D=''", "# c", "", "E=\"'\"", "f.g=é", " H=1 "];
    let mut texts = Vec::new();
    for i in 0..30_000 {
        let lines = |random: &mut Random| {
            (0..random.below(5)).map(|_| random.pick(LINES).to_owned() + random.pick(&["\n", "\r\n", "\n\n"])).collect()
        };
        let text: String = if i % 2 == 0 { pieces(&mut random, HEAP, 8) } else { lines(&mut random) };
        let mut bytes = text.into_bytes();
        if random.one_in(50) {
            bytes.push(0xc3);
        }
        texts.push(bytes);
    }
    compare_variables(Kind::EnvFile, &texts, |text| environment::file(text).ok());
}

#[test]
fn process_num_expands_as_python_replaces_it() {
    const HEAP: &[&str] = &[
        "%(process_num)s",
        "%(process_num)",
        "%",
        "%%",
        "(process_num)s",
        "%(x)s",
        "a",
        "%(process_num)s%(process_num)s",
        "%(%(process_num)s)s",
    ];
    let mut random = Random::new(6);
    let texts: Vec<String> = (0..5_000).map(|_| pieces(&mut random, HEAP, 6)).collect();
    compare(Kind::Expand, &texts, |text| Some([0, 7, 123].map(|number| value::expand(text, number)).to_vec()));
}
