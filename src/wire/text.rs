//! Text of others, made fit to be shown: on a terminal, in a log line, in a message.

/// The most bytes of a stranger's text that are repeated to anybody.
pub const MAX_ECHO: usize = 200;

/// `text` with everything that could steer a terminal or hide what is written made visible as `\x1b` or `\u{202e}`.
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    show(text, &mut out);
    out
}

/// The same at the end of a text.
pub fn show(text: &str, out: &mut String) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.push_str(text);
    } else {
        text.chars().for_each(|c| push_shown(c, out));
    }
}

/// As [`shown`], cut to [`MAX_ECHO`] bytes; `…` tells that there was more.
pub fn echoed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let before = out.len();
        push_shown(c, &mut out);
        if out.len() > MAX_ECHO {
            out.truncate(before);
            out.push('…');
            break;
        }
    }
    out
}

/// Whether a sign shows itself and does nothing else.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_control() && !steers(c)
}

fn push_shown(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if steers(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        c => out.push(c),
    }
}

/// Line separators, and marks that turn the direction of writing.
fn steers(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_becomes_visible() {
        assert_eq!(shown("a\x1b[2J\n\u{9b}\u{202e}é"), "a\\x1b[2J\\n\\x9b\\u{202e}é");
        assert_eq!(shown("web:00 \"quoted\" \\ backslash"), "web:00 \"quoted\" \\ backslash");
    }

    #[test]
    fn an_echo_is_short_whatever_it_repeats() {
        assert_eq!(echoed("short"), "short");
        for text in ["x".repeat(1 << 20), "\x1b".repeat(1 << 20), "é".repeat(500)] {
            let echo = echoed(&text);
            assert!(echo.len() <= MAX_ECHO + '…'.len_utf8() && echo.ends_with('…'), "{echo}");
        }
        assert_eq!(echoed(&"x".repeat(MAX_ECHO)), "x".repeat(MAX_ECHO));
    }
}
