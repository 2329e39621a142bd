//! A command split into words exactly as Python's `shlex.split(text, posix=True)` does it.
//!
//! No comments, no operators, no variables: only quotes, backslashes and blanks have a meaning.

/// Why a command has no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsplittable {
    /// A `'` or `"` is never closed.
    OpenQuote,
    /// A backslash is the last character.
    LoneBackslash,
}

impl Unsplittable {
    /// What is wrong, and what would be right.
    pub fn message(self) -> &'static str {
        match self {
            Unsplittable::OpenQuote => {
                "has no closing quotation mark (close it, or write \\' or \\\" for the character itself)"
            }
            Unsplittable::LoneBackslash => {
                "ends in a backslash that escapes nothing (write \\\\ for the character itself)"
            }
        }
    }
}

enum Mode {
    Between,
    Word,
    Single,
    Double,
}

/// Splits `text` at blanks (space, tab, CR and LF only), with quotes taken off.
pub fn split(text: &str) -> Result<Vec<String>, Unsplittable> {
    let (mut words, mut word, mut mode) = (Vec::new(), String::new(), Mode::Between);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (&mode, c) {
            (Mode::Between, ' ' | '\t' | '\r' | '\n') => {}
            (Mode::Word, ' ' | '\t' | '\r' | '\n') => {
                words.push(std::mem::take(&mut word));
                mode = Mode::Between;
            }
            (Mode::Between | Mode::Word, '\'') => mode = Mode::Single,
            (Mode::Between | Mode::Word, '"') => mode = Mode::Double,
            (Mode::Single, '\'') | (Mode::Double, '"') => mode = Mode::Word,
            (Mode::Single, c) => word.push(c),
            (Mode::Double, '\\') => match rest.next().ok_or(Unsplittable::LoneBackslash)? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            (Mode::Double, c) => word.push(c),
            (Mode::Between | Mode::Word, '\\') => {
                word.push(rest.next().ok_or(Unsplittable::LoneBackslash)?);
                mode = Mode::Word;
            }
            (Mode::Between | Mode::Word, c) => {
                word.push(c);
                mode = Mode::Word;
            }
        }
    }
    match mode {
        Mode::Between => Ok(words),
        Mode::Word => {
            words.push(word);
            Ok(words)
        }
        Mode::Single | Mode::Double => Err(Unsplittable::OpenQuote),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_taken_off_once() {
        let words = split(r#"sh -c "a \"b\" \$c \\" 'd "e\' f\ g '' h#i # j"#).unwrap();
        assert_eq!(words, ["sh", "-c", r#"a "b" \$c \"#, r#"d "e\"#, "f g", "", "h#i", "#", "j"]);
    }

    #[test]
    fn what_is_never_closed_is_an_error() {
        assert_eq!(split("a 'b"), Err(Unsplittable::OpenQuote));
        assert_eq!(split("a \"b"), Err(Unsplittable::OpenQuote));
        assert_eq!(split("a \\"), Err(Unsplittable::LoneBackslash));
        assert_eq!(split("\"a\\"), Err(Unsplittable::LoneBackslash));
    }

    #[test]
    fn only_four_characters_are_blank() {
        assert_eq!(split(" \t\r\n").unwrap(), Vec::<String>::new());
        assert_eq!(split("a\u{a0}b\u{b}c\u{2003}d").unwrap(), ["a\u{a0}b\u{b}c\u{2003}d"]);
    }
}
