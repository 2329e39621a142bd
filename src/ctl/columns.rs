//! Text in columns, by the cells that it takes on a terminal: some signs take two of them, some none.

use unicode_width::UnicodeWidthStr;

/// How many cells it takes.
pub(super) fn width(text: &str) -> usize {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) { text.len() } else { text.width() }
}

/// Blanks behind what stands from `start` on, until it is so wide.
pub(super) fn fill(line: &mut String, start: usize, room: usize) {
    let blanks = room.saturating_sub(width(&line[start..]));
    line.extend(std::iter::repeat_n(' ', blanks));
}

/// With blanks behind it until it is so wide.
pub(super) fn to_the_left(text: &str, room: usize) -> String {
    format!("{text}{}", " ".repeat(room.saturating_sub(width(text))))
}

/// With blanks before it until it is so wide.
pub(super) fn to_the_right(text: &str, room: usize) -> String {
    format!("{}{text}", " ".repeat(room.saturating_sub(width(text))))
}

/// As much of its begin as fits.
pub(super) fn cut(text: &str, room: usize) -> &str {
    // No sign takes more cells than bytes.
    if text.len() <= room {
        return text;
    }
    let ends = text.char_indices().map(|(start, sign)| start + sign.len_utf8());
    let end = ends.take_while(|end| width(&text[..*end]) <= room).last();
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_not_signs() {
        for (text, cells) in [("web", 3), ("\u{65e5}\u{672c}", 4), ("e\u{301}", 1), ("é", 1), ("\u{ff76}", 1), ("", 0)]
        {
            assert_eq!(width(text), cells, "{text}");
        }
        assert_eq!(to_the_left("\u{65e5}", 4), "\u{65e5}  ");
        assert_eq!(to_the_right("e\u{301}", 3), "  e\u{301}");
        assert_eq!(to_the_left("longer", 3), "longer");
    }

    #[test]
    fn half_a_sign_is_none() {
        let wide = "\u{65e5}\u{672c}";
        assert_eq!((cut(wide, 4), cut(wide, 3), cut(wide, 1)), (wide, "\u{65e5}", ""));
        assert_eq!(cut("e\u{301}x", 1), "e\u{301}");
        assert_eq!((cut("web", 2), cut("web", 0), cut("web", 9)), ("we", "", "web"));
    }
}
