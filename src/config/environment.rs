//! Environment variables: the list in `environment`, and the text of an `env_file`.
//!
//! Reading the files is the daemon's business; this only reads their text.

use super::problems::quoted;
use super::reader::{Lines, is_blank, strip};
use std::collections::BTreeMap;

/// A larger env file is refused.
pub const MAX_ENV_FILE: usize = 1 << 20;

/// Reads `K=V,K2="a,b"`: either quote, no escapes, a later key wins.
pub fn list(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return Err(format!("{} has no `=` (NAME=VALUE,NAME2=\"VALUE, TWO\")", quoted(rest)));
        };
        let name = strip(name);
        check_name(name)?;
        if let Some(comma) = name.find(',') {
            return Err(format!("{} has no `=` (NAME=VALUE,NAME2=\"VALUE, TWO\")", quoted(&name[..comma])));
        }
        let (value, after) = list_value(name, after.trim_start_matches([' ', '\t']))?;
        variables.insert(name.to_owned(), value.to_owned());
        rest = after.trim_start_matches([' ', '\t']);
    }
    Ok(variables)
}

/// The value at the start of `text`, and what follows it and its comma.
fn list_value<'a>(name: &str, text: &'a str) -> Result<(&'a str, &'a str), String> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return Ok((strip(value), rest));
    };
    match text[1..].split_once(quote) {
        Some((value, rest)) => Ok((value, rest.trim_start_matches([',', ' ', '\t']))),
        None => Err(format!(
            "the value of {} has no closing {quote} (there are no escapes; the other quote may hold it)",
            quoted(name)
        )),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a variable has no name (NAME=VALUE)".to_owned());
    }
    if name.contains(is_blank) {
        return Err(format!("{} is no name of a variable (a name has no blanks)", quoted(name)));
    }
    Ok(())
}

/// What is wrong with a line of an env file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1; 0 if it concerns the file as a whole.
    pub line: usize,
    /// What is wrong (what would be right). Never the value: it may be a secret.
    pub message: String,
}

/// Reads `K=V` lines: blank lines and whole-line `#` comments are skipped, one pair of quotes around a value is taken off.
pub fn file(text: &[u8]) -> Result<BTreeMap<String, String>, BadLine> {
    if text.len() > MAX_ENV_FILE {
        return Err(BadLine { line: 0, message: "is larger than 1 MiB (that is the limit of an env file)".to_owned() });
    }
    let mut variables = BTreeMap::new();
    for (index, line) in Lines::of(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).enumerate() {
        match file_line(line) {
            Ok(Some((name, value))) => variables.insert(name.to_owned(), value.to_owned()),
            Ok(None) => continue,
            Err(message) => return Err(BadLine { line: index + 1, message }),
        };
    }
    Ok(variables)
}

fn file_line(line: &[u8]) -> Result<Option<(&str, &str)>, String> {
    let line = str::from_utf8(line).map_err(|_| "the line is not UTF-8 (save the file as UTF-8)")?;
    if line.contains('\0') {
        return Err("the line contains a NUL byte (plain text without it)".to_owned());
    }
    let line = strip(line);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or("malformed line without `=` (NAME=VALUE)")?;
    let name = strip(name);
    check_name(name).map_err(|message| match name.strip_prefix("export ") {
        Some(_) => "a variable is written without `export` (NAME=VALUE)".to_owned(),
        None => message,
    })?;
    Ok(Some((name, unquoted(strip(value)))))
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(variables: BTreeMap<String, String>) -> Vec<(String, String)> {
        variables.into_iter().collect()
    }

    fn of(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_list_takes_either_quote_and_blanks() {
        let text = "A=1, B=\"x,y\" C='q\"', D= , E=a b ,\nF=";
        let read = pairs(list(text).unwrap());
        assert_eq!(read, of(&[("A", "1"), ("B", "x,y"), ("C", "q\""), ("D", ""), ("E", "a b"), ("F", "")]));
    }

    #[test]
    fn a_malformed_list_is_an_error() {
        for (text, wrong) in [
            ("A=1,B", "`B` has no `=` (NAME=VALUE,NAME2=\"VALUE, TWO\")"),
            ("A=1,B,C=2", "`B` has no `=` (NAME=VALUE,NAME2=\"VALUE, TWO\")"),
            ("A=\"x\"junk", "`junk` has no `=` (NAME=VALUE,NAME2=\"VALUE, TWO\")"),
            ("=1", "a variable has no name (NAME=VALUE)"),
            ("A B=1", "`A B` is no name of a variable (a name has no blanks)"),
            ("A='x", "the value of `A` has no closing ' (there are no escapes; the other quote may hold it)"),
        ] {
            assert_eq!(list(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_env_file_loses_one_pair_of_quotes() {
        let text = b"\xef\xbb\xbf# c\r\n\r\n A = ' x ' \rB=\"\"y\"\"\nC=\"z'\nD=\"\nE=a=b # c";
        let read = pairs(file(text).unwrap());
        assert_eq!(read, of(&[("A", " x "), ("B", "\"y\""), ("C", "\"z'"), ("D", "\""), ("E", "a=b # c")]));
    }

    #[test]
    fn a_bad_line_of_an_env_file_is_named() {
        let wrong = |text: &[u8]| file(text).map_err(|bad| (bad.line, bad.message)).unwrap_err();
        assert_eq!(wrong(b"A=1\n\nB"), (3, "malformed line without `=` (NAME=VALUE)".to_owned()));
        assert_eq!(wrong(b"=1"), (1, "a variable has no name (NAME=VALUE)".to_owned()));
        assert_eq!(wrong(b"A=1\nexport B=2"), (2, "a variable is written without `export` (NAME=VALUE)".to_owned()));
        assert_eq!(wrong(b"A=1\nB=\xff"), (2, "the line is not UTF-8 (save the file as UTF-8)".to_owned()));
        assert_eq!(wrong(b"A=\0"), (1, "the line contains a NUL byte (plain text without it)".to_owned()));
        assert_eq!(wrong(&vec![b'\n'; MAX_ENV_FILE + 1]).0, 0);
    }
}
