//! The daemon's own log: a file rotated by size as Python's RotatingFileHandler does it, and stdout in the foreground.
//!
//! It can be written to as `Box<dyn Write + Send>`; its handle serves what the loop has to do for it. Nothing here fails or
//! panics: a log that cannot be written is counted, and said as soon as it can be.

use super::loss::Cause;
use super::rotating_file::{Limits, RotatingFile};
use super::shared::SharedStream;
use super::sink::Notice;
use crate::engine::time::Instant;
use crate::spec::LogLevel;
use crate::sys::log_file::{LogPlace, OpenError};
use crate::sys::standard::Standard;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record that is longer goes out in parts.
const RECORD_MAX: usize = 1024 * 1024;

/// Where log lines go.
#[derive(Debug, Default)]
struct Outputs {
    file: Option<RotatingFile<LogPlace>>,
    console: Option<SharedStream>,
}

impl Outputs {
    fn write_record(&mut self, record: &[u8], now: Instant) {
        // What is not written is counted by each, and comes back as a notice.
        if let Some(file) = &mut self.file {
            let _counted = file.write_record(record, now);
        }
        if let Some(console) = &mut self.console {
            let _counted = console.write(record, now);
        }
    }
}

/// The handle of the daemon's log.
#[derive(Debug, Clone)]
pub struct DaemonLog {
    outputs: Arc<Mutex<Outputs>>,
    clock: fn() -> Instant,
}

impl DaemonLog {
    /// A log that goes nowhere yet, with the clock by which failures are tried again.
    pub fn new(clock: fn() -> Instant) -> DaemonLog {
        DaemonLog { outputs: Arc::default(), clock }
    }

    /// Lets lines go to a file, made with 0640 less `umask` if it is not there.
    pub fn open_file(&self, path: &Path, limits: Limits, umask: u32) -> Result<(), OpenError> {
        let file = RotatingFile::open(LogPlace::new(path, None, umask), limits)?;
        self.outputs().file = Some(file);
        Ok(())
    }

    /// Lets lines go to stdout. Without a usable stdout it just stays away.
    pub fn open_stdout(&self) -> io::Result<()> {
        self.outputs().console = Some(SharedStream::new("/dev/stdout", Standard::stdout()?));
        Ok(())
    }

    /// The stdout that lines go to, for others who write there.
    pub fn console(&self) -> Option<SharedStream> {
        self.outputs().console.clone()
    }

    /// What a logger writes to; one record from one flush to the next.
    pub fn writer(&self) -> Box<dyn Write + Send> {
        Box::new(RecordWriter { log: self.clone(), record: Vec::new() })
    }

    /// Changes when the file is rotated.
    pub fn set_limits(&self, limits: Limits) {
        if let Some(file) = &mut self.outputs().file {
            file.set_limits(limits);
        }
    }

    /// Opens the file anew, after somebody moved it away; keeps the old one if that fails.
    pub fn reopen(&self) -> Result<(), OpenError> {
        match &mut self.outputs().file {
            Some(file) => file.reopen(),
            None => Ok(()),
        }
    }

    /// Does something with the file, if lines go to one. Nothing may be logged meanwhile.
    pub fn with_file<T>(&self, deed: impl FnOnce(&mut RotatingFile<LogPlace>) -> T) -> Option<T> {
        self.outputs().file.as_mut().map(deed)
    }

    /// When `on_deadline` wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let outputs = self.outputs();
        let file = outputs.file.as_ref().and_then(RotatingFile::deadline);
        let console = outputs.console.as_ref().and_then(SharedStream::deadline);
        [file, console].into_iter().flatten().min()
    }

    /// Tries again what failed, and returns what is to be logged about the log.
    pub fn on_deadline(&self, now: Instant) -> Vec<Notice> {
        let mut outputs = self.outputs();
        let mut notices = Vec::new();
        if let Some(file) = &mut outputs.file {
            file.on_deadline(now);
            notices.extend(std::iter::from_fn(|| file.take_notice(now)));
        }
        if let Some(console) = &mut outputs.console {
            console.on_deadline(now);
            notices.extend(std::iter::from_fn(|| console.take_notice(now)));
        }
        notices
    }

    /// Bytes of log lines that were lost.
    pub fn dropped_bytes(&self) -> u64 {
        let outputs = self.outputs();
        let file = outputs.file.as_ref().map_or(0, RotatingFile::dropped_bytes);
        let console = outputs.console.as_ref().map_or(0, SharedStream::dropped_bytes);
        file.saturating_add(console)
    }

    /// Why the file cannot be written at present.
    pub fn failing(&self) -> Option<Cause> {
        self.outputs().file.as_ref().and_then(|file| file.failing().cloned())
    }

    fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gathers the pieces of a record, so that it is written whole.
struct RecordWriter {
    log: DaemonLog,
    record: Vec<u8>,
}

impl Write for RecordWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.record.extend_from_slice(bytes);
        if self.record.len() > RECORD_MAX {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.record.is_empty() {
            let now = (self.log.clock)();
            self.log.outputs().write_record(&self.record, now);
            self.record.clear();
        }
        Ok(())
    }
}

impl Drop for RecordWriter {
    fn drop(&mut self) {
        // It cannot fail: what is lost is counted.
        let _infallible = self.flush();
    }
}

/// `2026-01-31 12:00:00 INFO     message`, without the line end.
pub fn format_line(timestamp: &str, level: LogLevel, message: &str) -> String {
    let level = match level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARNING",
        LogLevel::Error => "ERROR",
        LogLevel::Critical => "CRITICAL",
    };
    format!("{timestamp} {level:<8} {}", escape(message))
}

/// The text with its control characters made visible, so that no name can forge a line or steer a terminal.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().saturating_mul(2));
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            other if is_steering(other) => push_code(&mut escaped, u32::from(other)),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

fn push_code(escaped: &mut String, code: u32) {
    let written = if code < 0x100 { write!(escaped, "\\x{code:02x}") } else { write!(escaped, "\\u{code:04x}") };
    debug_assert!(written.is_ok(), "a String takes everything");
}

/// Control characters, line ends of Unicode, and what turns the direction of writing around.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_pythons() {
        let line = |level| format_line("2026-01-31 12:00:00", level, "m");
        assert_eq!(line(LogLevel::Debug), "2026-01-31 12:00:00 DEBUG    m");
        assert_eq!(line(LogLevel::Info), "2026-01-31 12:00:00 INFO     m");
        assert_eq!(line(LogLevel::Warning), "2026-01-31 12:00:00 WARNING  m");
        assert_eq!(line(LogLevel::Error), "2026-01-31 12:00:00 ERROR    m");
        assert_eq!(line(LogLevel::Critical), "2026-01-31 12:00:00 CRITICAL m");
    }

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(escape("a\nb\r\tc\x1b[0m\0\x7f\u{85}\u{202e}é"), "a\\nb\\r\\tc\\x1b[0m\\x00\\x7f\\x85\\u202eé");
        assert!(matches!(escape("plain \\n"), Cow::Borrowed("plain \\n")));
    }
}
