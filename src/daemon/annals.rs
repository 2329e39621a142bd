//! The histories on the disk: each record is one line more beside the state file, read once by the next daemon.
//!
//! Nothing is rewritten, so that an event costs what it says, however many processes there are; the end of a turn writes
//! what came in it. A line that cannot be read is one record fewer. What cannot be written is counted and told of.

use super::Daemon;
use super::history::Record;
use crate::engine::id::InstanceId;
use crate::engine::time::{Duration, Instant};
use crate::sys::clock;
use crate::sys::journal::Journal;
use crate::wire::history::Entry;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// The lines of a turn that is busier than this are written before it ends.
const BUFFER_MAX: usize = 256 << 10;

/// Room for so many bytes is kept from turn to turn.
const BUFFER_KEPT: usize = 4 << 10;

/// From one complaint to the next.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// Where histories are kept, and what is still to be written.
#[derive(Debug, Default)]
pub(super) struct Annals {
    /// `None`: nowhere.
    journal: Option<Journal>,
    lines: Vec<u8>,
    records: u64,
    /// Records that found no place since the trouble began.
    lost: u64,
    /// The trouble was told of, and when one was told of last.
    is_told: bool,
    complained: Option<Instant>,
}

impl Annals {
    /// Beside the state file. Where that cannot be, histories end with the daemon.
    pub(super) fn beside(state_file: &Path) -> Annals {
        let mut path = state_file.as_os_str().to_owned();
        path.push(".history");
        let journal = Journal::at(Path::new(&path)).map_err(|error| log::warn!("no history is kept: {error}")).ok();
        Annals { journal, ..Annals::default() }
    }

    /// Takes a record, to write it with the others of this turn.
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        if self.journal.is_none() {
            return;
        }
        entry.write(&mut self.lines);
        self.records += 1;
        if self.lines.len() > BUFFER_MAX {
            self.write();
        }
    }

    /// Writes what came in.
    pub(super) fn write(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|_| !self.lines.is_empty()) else { return };
        let written = journal.append(&self.lines);
        let path = journal.path().display().to_string();
        self.lines.clear();
        self.lines.shrink_to(BUFFER_KEPT);
        let records = std::mem::take(&mut self.records);
        match written {
            Ok(()) if std::mem::take(&mut self.is_told) => {
                let lost = std::mem::take(&mut self.lost);
                log::info!("the history {path} is written again; {lost} records are missing in it");
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += records;
                self.complain(&path, &error);
            }
        }
    }

    /// A disk that comes and goes is told of once a minute.
    fn complain(&mut self, path: &str, error: &io::Error) {
        let now = clock::monotonic();
        if !self.is_told && self.complained.is_none_or(|at| now.since(at) >= COMPLAINT_EVERY) {
            log::warn!("the history {path} cannot be written: {error}");
            (self.is_told, self.complained) = (true, Some(now));
        }
    }

    /// What an earlier daemon wrote, as lines.
    fn read(&self) -> (Vec<u8>, Vec<io::Error>) {
        self.journal.as_ref().map(Journal::read).unwrap_or_default()
    }
}

impl Daemon {
    /// Takes up the histories where an earlier daemon left them; of those who are no more nothing is kept.
    pub(super) fn recall(&mut self) {
        let (bytes, errors) = self.annals.read();
        for error in errors {
            log::warn!("a part of the history cannot be read: {error}");
        }
        let mut damaged = 0u64;
        let mut of: HashMap<String, Option<InstanceId>> = HashMap::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Some(entry) = Entry::read(line) else {
                damaged += 1;
                continue;
            };
            let id = match of.get(entry.name.as_ref()) {
                Some(id) => *id,
                None => {
                    let id = self.roster.by_name(&entry.name);
                    of.insert(entry.name.clone().into_owned(), id);
                    id
                }
            };
            if let Some(id) = id {
                self.recall_one(id, &entry);
            }
        }
        if damaged > 0 {
            log::warn!("{damaged} lines of the history are damaged and left out");
        }
    }

    /// The last step of a turn but for what serves others: what happened goes to the disk.
    pub(super) fn write_annals(&mut self) {
        self.annals.write();
    }

    /// Puts the newest record of an instance down.
    pub(super) fn put_down(&mut self, id: InstanceId, record: &Record) {
        let output = self.recorder.told(record.recording);
        let entry = Entry {
            name: self.roster.name(id).into(),
            unix_ms: record.unix_ms(),
            event: record.event().into(),
            text: record.text(),
            output,
        };
        self.annals.add(&entry);
    }
}
