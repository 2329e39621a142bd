//! The dialect: lines turned into sections and options exactly as Python's `configparser.ConfigParser(interpolation=None)`
//! reads a file opened as `utf-8-sig`. Where Python stops at the first error, this notes it and reads on.
//!
//! It knows no option by name; what the options mean is the business of the rest of `config`.

use super::document::{DEFAULT, Document};
use super::problems::{Place, Problems, quoted};
use std::borrow::Cow;
use std::collections::HashMap;

/// A larger file is refused unread.
pub const MAX_BYTES: usize = 4 << 20;
/// A longer line is refused.
pub const MAX_LINE: usize = 1 << 20;
/// More sections are refused.
pub const MAX_SECTIONS: usize = 10_000;
/// A section header holds a kind, a colon and a name of at most 255 bytes.
pub const MAX_HEADER: usize = 300;

/// Reads a whole file. What is wrong with it goes to `problems`; the document holds the rest.
pub fn read(text: &[u8], problems: &mut Problems) -> Document {
    if text.len() > MAX_BYTES {
        problems.error(Place::FILE, format!("is larger than {MAX_BYTES} bytes (a configuration has at most 4 MiB)"));
        return Document::default();
    }
    let mut reader = Reader::new(problems);
    for (index, line) in Lines::of(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).enumerate() {
        reader.line(index + 1, line);
    }
    reader.finish()
}

/// Whether Python's `str.isspace` holds for the character.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Python's `str.strip`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Lines as Python's text files give them: ended by LF, CR LF or CR.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a [u8]) -> Lines<'a> {
        Lines { rest: text }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        let ending = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
        self.rest = &rest[ending..];
        Some(line)
    }
}

struct Section {
    name: String,
    line: usize,
    options: Vec<Opt>,
    /// Empty as long as the options are few.
    index: HashMap<String, usize>,
}

/// So many options are searched one by one, which is quicker than to hash them.
const FEW: usize = 16;

impl Section {
    fn find(&self, name: &str) -> Option<usize> {
        match self.options.len() <= FEW {
            true => self.options.iter().position(|option| option.name == name),
            false => self.index.get(name).copied(),
        }
    }

    /// Adds one of another name than all before.
    fn add(&mut self, option: Opt) {
        self.options.push(option);
        if self.options.len() > FEW {
            let known = self.index.len();
            let others = self.options.iter().enumerate().skip(known);
            self.index.extend(others.map(|(place, option)| (option.name.clone(), place)));
        }
    }
}

struct Opt {
    name: String,
    line: usize,
    value: String,
}

struct Reader<'a> {
    problems: &'a mut Problems,
    sections: Vec<Section>,
    index: HashMap<String, usize>,
    section: Option<usize>,
    option: Option<usize>,
    indent: usize,
    headless: bool,
    full: bool,
}

impl<'a> Reader<'a> {
    fn new(problems: &'a mut Problems) -> Reader<'a> {
        Reader {
            problems,
            sections: Vec::new(),
            index: HashMap::new(),
            section: None,
            option: None,
            indent: 0,
            headless: false,
            full: false,
        }
    }

    fn line(&mut self, number: usize, bytes: &[u8]) {
        if self.full {
            return;
        }
        let Some(line) = self.decode(number, bytes) else { return };
        let value = strip(&line);
        if value.is_empty() {
            return self.blank();
        }
        if value.starts_with(['#', ';']) {
            return;
        }
        let indent = line.chars().take_while(|c| is_blank(*c)).count();
        if indent > self.indent
            && let Some(option) = self.current()
        {
            option.value.push('\n');
            option.value.push_str(value);
            return;
        }
        self.indent = indent;
        match header(value) {
            Some(name) => self.begin_section(number, name),
            None => self.begin_option(number, value),
        }
    }

    /// The text of a line; what is wrong with its bytes is noted.
    fn decode<'b>(&mut self, number: usize, bytes: &'b [u8]) -> Option<Cow<'b, str>> {
        if bytes.len() > MAX_LINE {
            self.error(number, "", format!("the line is longer than {MAX_LINE} bytes (1 MiB is the limit)"));
            return None;
        }
        if bytes.contains(&0) {
            self.error(number, "", "the line contains a NUL byte (plain text without it)".to_owned());
        }
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            self.error(number, "", "the line is not UTF-8 (save the file as UTF-8)".to_owned());
        }
        Some(text)
    }

    /// An empty line is part of the value it may turn out to stand in.
    fn blank(&mut self) {
        if let Some(option) = self.current() {
            option.value.push('\n');
        }
    }

    fn current(&mut self) -> Option<&mut Opt> {
        self.sections.get_mut(self.section?)?.options.get_mut(self.option?)
    }

    fn begin_section(&mut self, number: usize, name: &str) {
        self.option = None;
        if name.len() > MAX_HEADER {
            let at = Place { line: number, section: "", option: "" };
            self.problems.error(at, format!("{} is too long a section name (at most 255 bytes)", quoted(name)));
        }
        let name = shortened(name);
        if let Some(&known) = self.index.get(name) {
            self.section = Some(known);
            // Python knows the defaults apart from the sections, and lets them be continued.
            if name != DEFAULT {
                let first = self.sections[known].line;
                self.error(number, "", format!("the section is given twice (line {first} has it already; keep one)"));
            }
            return;
        }
        if self.sections.len() == MAX_SECTIONS {
            self.error(number, "", format!("more than {MAX_SECTIONS} sections (the rest was not read)"));
            self.full = true;
            return;
        }
        self.section = Some(self.sections.len());
        self.index.insert(name.to_owned(), self.sections.len());
        let (options, index) = (Vec::new(), HashMap::new());
        self.sections.push(Section { name: name.to_owned(), line: number, options, index });
    }

    fn begin_option(&mut self, number: usize, value: &str) {
        let Some(section) = self.section else {
            if !self.headless {
                self.error(
                    number,
                    "",
                    "text before the first section (a line such as [supervice] comes first)".to_owned(),
                );
            }
            self.headless = true;
            return;
        };
        let Some(delimiter) = value.find(['=', ':']) else {
            return self.no_delimiter(number, value);
        };
        let name = strip(&value[..delimiter]).to_lowercase();
        if name.is_empty() {
            self.option = None;
            return self.error(number, "", format!("{} names no option (OPTION = VALUE)", quoted(value)));
        }
        let text = strip(&value[delimiter + 1..]);
        if let Some(known) = self.sections[section].find(&name) {
            let first = self.sections[section].options[known].line;
            self.option = Some(known);
            return self.error(number, &name, format!("given twice (line {first} has it already; keep one)"));
        }
        let section = &mut self.sections[section];
        self.option = Some(section.options.len());
        section.add(Opt { name, line: number, value: text.to_owned() });
    }

    fn no_delimiter(&mut self, number: usize, value: &str) {
        let right = match value.starts_with('[') {
            true => "is no section header ([NAME])",
            false => "has no `=` or `:` (OPTION = VALUE; a line that continues a value is indented)",
        };
        self.error(number, "", format!("{} {right}", quoted(value)));
    }

    fn error(&mut self, line: usize, option: &str, message: String) {
        let section = self.section.and_then(|section| self.sections.get(section)).map_or("", |section| &section.name);
        self.problems.error(Place { line, section, option }, message);
    }

    fn finish(self) -> Document {
        let mut document = Document::default();
        for section in self.sections {
            let options = section.options.into_iter().map(|mut option| {
                option.value.truncate(option.value.trim_end_matches(is_blank).len());
                (option.name, option.line, option.value)
            });
            document.add(section.name, section.line, options);
        }
        document
    }
}

/// The name in `[NAME]`; it may hold brackets itself, and whatever follows the last one is ignored.
fn header(value: &str) -> Option<&str> {
    let inside = value.strip_prefix('[')?;
    let name = &inside[..inside.rfind(']')?];
    (!name.is_empty()).then_some(name)
}

/// At most [`MAX_HEADER`] bytes, cut between characters, so that a refused name is not carried through everything.
fn shortened(name: &str) -> &str {
    let end = (0..=name.len().min(MAX_HEADER)).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}
