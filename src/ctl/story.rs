//! What happened, as people read it: histories with what was written last.

use super::render::message;
use crate::wire::Answer;
use crate::wire::history::{Happening, LastWords};
use crate::wire::text::shown;

/// The sum of it, then what happened, the oldest first, then what the last one that died unasked had to say.
pub fn history(answer: &Answer) -> String {
    let line = |record: &Happening| format!("  {}  {}\n", shown(&record.at), shown(&record.text));
    let mut out = message(answer.message.as_deref().unwrap_or_default());
    out.extend(answer.history.iter().map(line));
    if let Some(last) = answer.history.iter().rfind(|record| !record.output.is_empty()) {
        out.push_str(&format!("last output before {} ({}):\n", shown(&last.at), shown(&last.text)));
        out.extend(last.output.iter().map(words));
    }
    out
}

fn words(words: &LastWords) -> String {
    let stream = shown(&words.stream);
    let bytes = words.bytes();
    let text = bytes.as_deref().map(String::from_utf8_lossy);
    match (text.as_deref(), words.note.as_deref()) {
        (Some(""), _) => format!("  {stream} | (nothing)\n"),
        (Some(text), _) => text.lines().map(|line| format!("  {stream} | {}\n", shown(line))).collect(),
        (None, note) => format!("  {stream} {}\n", shown(note.unwrap_or("cannot be shown"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_come_after_the_records() {
        let record = |text: &str, output| Happening {
            at: "2026-01-31 12:00:00".to_owned(),
            text: text.to_owned(),
            output,
            ..Happening::default()
        };
        let output =
            vec![LastWords::bytes_of("stdout", b"a\x1b[2J\nb"), LastWords::none_of("stderr", "is kept nowhere")];
        let history_of = |history: Vec<Happening>| {
            super::history(&Answer { message: Some("web is FATAL".to_owned()), history, ..Answer::default() })
        };
        let told = history_of(vec![record("exited", output), record("fatal", vec![])]);
        let expected = "\
web is FATAL
  2026-01-31 12:00:00  exited
  2026-01-31 12:00:00  fatal
last output before 2026-01-31 12:00:00 (exited):
  stdout | a\\x1b[2J
  stdout | b
  stderr is kept nowhere
";
        assert_eq!(told, expected);
        let told = history_of(vec![record("exited", vec![LastWords::bytes_of("stderr", b"")])]);
        assert!(told.ends_with("  stderr | (nothing)\n"), "{told}");
    }
}
