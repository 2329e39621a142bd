//! Forty-six texts that tell parsers of this dialect apart, with what Python makes of each, read as a file.

use supervice::config::document::DEFAULT;
use supervice::config::problems::Problems;
use supervice::config::reader;

/// What a text is about, the text, and what comes out: sections and options, or the lines of the errors.
#[rustfmt::skip]
const TEXTS: &[(&str, &str, &str)] = &[
    ("eq/colon delims", "[a]\nx=1\ny: 2\nz = 3\nw : 4\n", "[a] x=\"1\" y=\"2\" z=\"3\" w=\"4\""),
    ("delim in value", "[a]\nx=a:b=c\ny:a=b:c\n", "[a] x=\"a:b=c\" y=\"a=b:c\""),
    ("colon in key w/ space", "[a]\nenv key : A=1\n", "[a] env key=\"A=1\""),
    ("quotes literal", "[a]\nx=\"hi there\" 'x'\n", "[a] x=\"\\\"hi there\\\" 'x'\""),
    ("backslash literal", "[a]\nx=C:\\new\\table\\x41\n", "[a] x=\"C:\\\\new\\\\table\\\\x41\""),
    ("backslash at EOL + indent", "[a]\ncommand=/bin/sh -c \\\n  foo bar\ny=2\n", "[a] command=\"/bin/sh -c \\\\\\nfoo bar\" y=\"2\""),
    ("backslash at EOL, next key", "[a]\nx=foo\\\ny=2\n", "[a] x=\"foo\\\\\" y=\"2\""),
    ("percent literal", "[a]\nx=%(here)s/%%d %s\n", "[a] x=\"%(here)s/%%d %s\""),
    ("full-line # ; comments", "# c\n[a]\n; c\nx=1\n#y=2\n", "[a] x=\"1\""),
    ("indented comment", "[a]\nx=1\n  # c\n  ; c\ny=2\n", "[a] x=\"1\" y=\"2\""),
    ("indented comment 1st", "[a]\n  # c\nx=1\n", "[a] x=\"1\""),
    ("inline ; after value", "[a]\nx=1 ; c\ny=2 # c\nz=a;b\n", "[a] x=\"1 ; c\" y=\"2 # c\" z=\"a;b\""),
    ("inline after section", "[a] ; c\nx=1\n", "[a] x=\"1\""),
    ("multiline indented", "[a]\nx=one\n  two\n\tthree\ny=2\n", "[a] x=\"one\\ntwo\\nthree\" y=\"2\""),
    ("multiline w/ blank line", "[a]\nx=one\n\n  two\ny=2\n", "[a] x=\"one\\n\\ntwo\" y=\"2\""),
    ("multiline w/ comment line", "[a]\nx=one\n# c\n  two\ny=2\n", "[a] x=\"one\\ntwo\" y=\"2\""),
    ("multiline w/ indented comment", "[a]\nx=one\n  ; c\n  two\ny=2\n", "[a] x=\"one\\ntwo\" y=\"2\""),
    ("multiline, first empty", "[a]\nx=\n  A=1,\n  B=2\n", "[a] x=\"\\nA=1,\\nB=2\""),
    ("multiline cont. looks like key", "[a]\nx=one\n  b=2\ny=3\n", "[a] x=\"one\\nb=2\" y=\"3\""),
    ("multiline cont. looks like [sec]", "[a]\nx=one\n  [b]\ny=3\n", "[a] x=\"one\\n[b]\" y=\"3\""),
    ("trailing blanks after value", "[a]\nx=one\n\n\ny=2\n", "[a] x=\"one\" y=\"2\""),
    ("indented first key", "[a]\n  x=1\n  y=2\nz=3\n", "[a] x=\"1\" y=\"2\" z=\"3\""),
    ("deeper-indented section", "  [a]\n  x=1\n  [b]\n  y=1\n", "[a] x=\"1\" [b] y=\"1\""),
    ("dup option", "[a]\nx=1\nx=2\n", "error 3"),
    ("dup section", "[a]\nx=1\n[a]\ny=2\n", "error 3"),
    ("key case", "[a]\nFoo=1\n", "[a] foo=\"1\""),
    ("dup option by case", "[a]\nFoo=1\nfoo=2\n", "error 3"),
    ("section case", "[A]\nx=1\n[a]\nx=2\n", "[A] x=\"1\" [a] x=\"2\""),
    ("DEFAULT", "[DEFAULT]\nx=1\n[a]\ny=2\n", "[a] y=\"2\" [DEFAULT] x=\"1\""),
    ("key without section", "x=1\n[a]\ny=2\n", "error 1"),
    ("key without value", "[a]\nfoo\nbar=2\n", "error 2"),
    ("key w/o value at EOF", "[a]\nbar=2\nfoo\n", "error 3"),
    ("empty key", "[a]\n=1\n", "error 2"),
    ("empty value", "[a]\nx=\ny=2\n", "[a] x=\"\" y=\"2\""),
    ("section no close", "[a\nx=1\n", "error 1"),
    ("section with ] inside", "[a]b]\nx=1\n", "[a]b] x=\"1\""),
    ("section spaces", "[ a b ]\nx=1\n", "[ a b ] x=\"1\""),
    ("garbage after section", "[a] x=1\ny=2\n", "[a] y=\"2\""),
    ("empty section name", "[]\nx=1\n", "error 1"),
    ("BOM", "\u{feff}[a]\nx=1\n", "[a] x=\"1\""),
    ("CRLF", "[a]\r\nx=1\r\n  2\r\ny=3\r\n", "[a] x=\"1\\n2\" y=\"3\""),
    ("lone CR", "[a]\rx=1\r", "[a] x=\"1\""),
    ("no final newline", "[a]\nx=1", "[a] x=\"1\""),
    ("NUL & unicode", "[a]\nx=\u{e9}\u{a0}\ny=a\u{2028}b\n", "[a] x=\"\u{e9}\" y=\"a\u{2028}b\""),
    ("form feed / VT indent", "[a]\nx=1\n\u{c}2\ny=3\n", "[a] x=\"1\\n2\" y=\"3\""),
    ("unicode ws line sep in val", "[a]\nx=a\u{85}b\n", "[a] x=\"a\u{85}b\""),
];

fn read(text: &str) -> String {
    let mut problems = Problems::default();
    let document = reader::read(text.as_bytes(), &mut problems);
    let (errors, _) = problems.into_parts();
    if !errors.is_empty() {
        let lines: Vec<String> = errors.iter().map(|problem| problem.line.to_string()).collect();
        return format!("error {}", lines.join(","));
    }
    let mut sections = Vec::new();
    for section in document.sections().chain([DEFAULT]) {
        let options = document.own_options(section);
        let options: String = options.map(|option| format!(" {}={}", option.name, quoted(option.text))).collect();
        if section != DEFAULT || !options.is_empty() {
            sections.push(format!("[{section}]{options}"));
        }
    }
    sections.join(" ")
}

/// As JSON writes a string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn the_texts_read_as_python_reads_them() {
    assert_eq!(TEXTS.len(), 46);
    for (about, text, expected) in TEXTS {
        assert_eq!(&read(text), expected, "{about}: {text:?}");
    }
}

#[test]
fn the_table_is_what_this_python_says() {
    let texts: Vec<Vec<u8>> = TEXTS.iter().map(|(_, text, _)| text.as_bytes().to_vec()).collect();
    let Some(answers) = crate::oracle::ask(crate::oracle::Kind::Ini, &texts) else { return };
    for ((about, text, expected), answer) in TEXTS.iter().zip(answers) {
        assert_eq!(answer.is_err(), expected.starts_with("error"), "{about}: {text:?}");
    }
}

#[test]
fn options_and_sections_have_their_lines() {
    let mut problems = Problems::default();
    let text = b"\xef\xbb\xbf# c\r\n[DEFAULT]\rx=1\n\n[a]\ny=\n  2\n# c\nz=3\n[b]\n";
    let document = reader::read(text, &mut problems);
    let line = |section, option| document.get(section, option).map(|found| found.line);
    assert_eq!((line("a", "y"), line("a", "z"), line("b", "x"), line("b", "y")), (Some(6), Some(9), Some(3), None));
    assert_eq!((document.header_line("a"), document.header_line("b"), document.header_line("c")), (5, 10, 0));
    assert_eq!(document.ini().section(Some("a")).and_then(|options| options.get("y")), Some("\n2"));
}

#[test]
fn among_many_options_each_is_known_by_its_name() {
    let many: String = (0..40).map(|number| format!("x{number}={number}\n")).collect();
    let text = format!("[a]\n{many}X0=twice\nx15=twice\n  on\nx16=twice\nx39=twice\n");
    let mut problems = Problems::default();
    let document = reader::read(text.as_bytes(), &mut problems);
    let (errors, _) = problems.into_parts();
    let told: Vec<String> = errors.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(told, [2, 17, 18, 41].map(|line| format!("given twice (line {line} has it already; keep one)")));
    let said = |option| document.get("a", option).map(|found| found.text);
    assert_eq!((said("x0"), said("x15"), said("x39"), said("x40")), (Some("0"), Some("15\non"), Some("39"), None));
}
