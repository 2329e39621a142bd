//! All sinks by id: one for each place, however many streams go there.

use super::rotating_file::{Limits, Passed, RotatingFile};
use super::shared::SharedStream;
use super::sink::{Notice, Sink, Written};
use crate::engine::time::Instant;
use crate::spec::{LogSpec, LogTarget};
use crate::sys::files::FileIdentity;
use crate::sys::fsuid::Owner;
use crate::sys::log_file::{LogPlace, OpenError};
use crate::sys::pipe::Pipe;
use crate::sys::standard::Standard;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// A sink. Never used again after its last release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkId(u64);

/// What makes two targets the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Stdout,
    Stderr,
    Path(PathBuf),
    /// A path may be spelt in many ways; its folder and name are one.
    Name(FileIdentity, OsString),
}

#[derive(Debug)]
struct Entry {
    sink: Sink,
    users: usize,
    /// Its backups are compressed, and how many files had been begun when that was last thought of.
    compressed: Option<u64>,
    addresses: Vec<Address>,
    /// How often it had been opened anew when its name was last asked for.
    named: u64,
}

/// The registry.
#[derive(Debug)]
pub struct Sinks {
    umask: u32,
    /// The daemon's stdout, where its own log goes there too.
    console: Option<SharedStream>,
    entries: BTreeMap<SinkId, Entry>,
    by_address: BTreeMap<Address, SinkId>,
    /// Those that may have a deadline; all others have none.
    restless: BTreeSet<SinkId>,
    /// Those that may have backups to compress: where they are, and how many.
    rotated: BTreeMap<SinkId, (LogPlace, u32)>,
    last_id: u64,
}

impl Entry {
    /// Whether it was opened anew since its name was last asked for.
    fn may_have_moved(&self) -> bool {
        matches!(&self.sink, Sink::File(file) if file.reopened() != self.named)
    }

    /// Where its backups are, if a new file was begun since the last question; never where nobody compresses.
    fn rotated(&mut self) -> Option<(LogPlace, u32)> {
        let (Some(seen), Sink::File(file)) = (&mut self.compressed, &self.sink) else { return None };
        let is_new = std::mem::replace(seen, file.begun()) != file.begun();
        is_new.then(|| (file.place().again(), file.limits().backups))
    }
}

impl From<&LogSpec> for Limits {
    fn from(spec: &LogSpec) -> Limits {
        Limits { maxbytes: spec.maxbytes, backups: spec.backups }
    }
}

impl Sinks {
    /// An empty registry; new files get 0640 less `umask`, the one that the daemon was started with.
    /// `console`: the daemon's stdout, if its own log goes there.
    pub fn new(umask: u32, console: Option<SharedStream>) -> Sinks {
        let (entries, by_address) = (BTreeMap::new(), BTreeMap::new());
        Sinks { umask, console, entries, by_address, restless: BTreeSet::new(), rotated: BTreeMap::new(), last_id: 0 }
    }

    /// How many there are; each holds one descriptor at the most.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// One more user for the sink that a stream goes to; `None` where it needs no sink (nowhere, or wherever stdout goes).
    /// One that is there already takes over what this start brings: with whose rights, how large, whether compressed.
    pub fn open(&mut self, spec: &LogSpec, owner: Option<&Owner>) -> Result<Option<SinkId>, OpenError> {
        let id = match &spec.target {
            LogTarget::Null | LogTarget::SameAsStdout => return Ok(None),
            LogTarget::DaemonStdout => self.open_standard(Address::Stdout)?,
            LogTarget::DaemonStderr => self.open_standard(Address::Stderr)?,
            LogTarget::File(path) => match standard_address(path) {
                Some(address) => self.open_standard(address)?,
                None => self.open_file(path, spec.into(), owner)?,
            },
        };
        self.set_limits(id, spec.into());
        self.compress(id, spec.compress);
        Ok(Some(id))
    }

    /// One more user who only reads or tidies: one that is there stays as the last start made it.
    pub fn join(&mut self, spec: &LogSpec, owner: Option<&Owner>) -> Result<Option<SinkId>, OpenError> {
        match self.find(spec).filter(|id| self.retain(*id)) {
            Some(id) => self.check(id, false).map(Some),
            None => self.open(spec, owner),
        }
    }

    /// Whether its backups are compressed from now on; some may wait for it since an earlier daemon.
    fn compress(&mut self, id: SinkId, wanted: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !wanted {
            entry.compressed = None;
            self.rotated.remove(&id);
        } else if let Sink::File(file) = &mut entry.sink {
            file.place_mut().set_pressed();
            entry.compressed = Some(file.begun());
            self.rotated.insert(id, (file.place().again(), file.limits().backups));
        }
    }

    /// Sinks that may have backups to compress, since the last call: where they are, and how many.
    pub fn take_rotated(&mut self) -> BTreeMap<SinkId, (LogPlace, u32)> {
        std::mem::take(&mut self.rotated)
    }

    /// The sink that a stream goes to, if it is open already.
    pub fn find(&self, spec: &LogSpec) -> Option<SinkId> {
        let LogTarget::File(path) = &spec.target else { return None };
        self.by_address.get(&Address::Path(path.clone())).copied()
    }

    /// The file behind a sink, if it is one.
    pub fn file_mut(&mut self, id: SinkId) -> Option<&mut RotatingFile<LogPlace>> {
        self.get_mut(id).and_then(Sink::file_mut)
    }

    /// A place for a file that no sink is open for.
    pub fn place(&self, path: &Path, owner: Option<&Owner>) -> LogPlace {
        LogPlace::new(path, owner.cloned(), self.umask)
    }

    /// One more user for a sink that is known.
    pub fn retain(&mut self, id: SinkId) -> bool {
        self.entries.get_mut(&id).map(|entry| entry.users += 1).is_some()
    }

    /// One user less. With the last one the sink is closed; what nobody was told of yet is told then.
    pub fn release(&mut self, id: SinkId, now: Instant) -> Option<Notice> {
        let entry = self.entries.get_mut(&id)?;
        entry.users = entry.users.saturating_sub(1);
        if entry.users > 0 {
            return None;
        }
        let mut entry = self.entries.remove(&id)?;
        self.restless.remove(&id);
        for address in &entry.addresses {
            self.forget(address, id);
        }
        entry.sink.last_notice(now)
    }

    /// A sink to look at.
    pub fn get(&self, id: SinkId) -> Option<&Sink> {
        self.entries.get(&id).map(|entry| &entry.sink)
    }

    /// A sink to do something with.
    pub fn get_mut(&mut self, id: SinkId) -> Option<&mut Sink> {
        let entry = self.entries.get_mut(&id)?;
        self.restless.insert(id);
        Some(&mut entry.sink)
    }

    /// Writes to a sink; for one that is gone, all is dropped.
    pub fn write(&mut self, id: SinkId, bytes: &[u8], now: Instant) -> Written {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Written { written: 0, dropped: bytes.len() };
        };
        let written = entry.sink.write(bytes, now);
        self.rotated.extend(entry.rotated().map(|backups| (id, backups)));
        if entry.sink.deadline().is_some() || entry.may_have_moved() {
            self.restless.insert(id);
        }
        written
    }

    /// Lets up to `most` bytes pass from a pipe into a sink.
    pub fn pass(&mut self, id: SinkId, pipe: &mut Pipe<'_>, most: usize, now: Instant) -> Passed {
        let Some(entry) = self.entries.get_mut(&id) else { return Passed::Refused };
        let passed = entry.sink.pass(pipe, most, now);
        self.rotated.extend(entry.rotated().map(|backups| (id, backups)));
        if entry.sink.deadline().is_some() || entry.may_have_moved() {
            self.restless.insert(id);
        }
        passed
    }

    /// Changes when a file is rotated.
    pub fn set_limits(&mut self, id: SinkId, limits: Limits) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.sink.set_limits(limits);
        }
    }

    /// Opens every file anew, after somebody moved them away. Those that fail keep the old file and are returned.
    pub fn reopen_all(&mut self) -> Vec<OpenError> {
        self.restless.extend(self.entries.keys());
        let ids: Vec<SinkId> = self.entries.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.reopen(id).err()).collect()
    }

    /// The earliest deadline of all sinks; one in the past means now.
    pub fn deadline(&mut self) -> Option<Instant> {
        let moved = |id: &&SinkId| self.entries.get(id).is_some_and(Entry::may_have_moved);
        let moved: Vec<SinkId> = self.restless.iter().filter(moved).copied().collect();
        moved.into_iter().for_each(|id| self.rename(id));
        let rotated = |id: &SinkId| Some((*id, self.entries.get_mut(id)?.rotated()?));
        self.rotated.extend(self.restless.iter().filter_map(rotated));
        let entries = &self.entries;
        let deadline = |id: &SinkId| entries.get(id).and_then(|entry| entry.sink.deadline());
        self.restless.retain(|id| deadline(id).is_some());
        self.restless.iter().filter_map(deadline).min()
    }

    /// Does all that is due, and returns what a person has to hear.
    pub fn on_deadline(&mut self, now: Instant) -> Vec<(SinkId, Notice)> {
        let mut notices = Vec::new();
        for id in &self.restless {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            self.rotated.extend(entry.rotated().map(|backups| (*id, backups)));
            if entry.sink.deadline().is_some_and(|deadline| deadline <= now) {
                entry.sink.on_deadline(now);
                notices.extend(std::iter::from_fn(|| entry.sink.take_notice(now)).map(|notice| (*id, notice)));
            }
        }
        notices
    }

    fn open_standard(&mut self, address: Address) -> Result<SinkId, OpenError> {
        if let Some(id) = self.known(&address) {
            return Ok(id);
        }
        if let Some(console) = self.console.clone().filter(|_| address == Address::Stdout) {
            return Ok(self.insert(Sink::Standard(console), vec![address]));
        }
        let (name, opened) = match address {
            Address::Stderr => ("/dev/stderr", Standard::stderr()),
            _ => ("/dev/stdout", Standard::stdout()),
        };
        let failed = |error: io::Error| OpenError::System {
            path: name.into(),
            errno: error.raw_os_error().unwrap_or(0),
            user: None,
        };
        let stream = SharedStream::new(name, opened.map_err(failed)?);
        Ok(self.insert(Sink::Standard(stream), vec![address]))
    }

    fn open_file(&mut self, path: &Path, limits: Limits, owner: Option<&Owner>) -> Result<SinkId, OpenError> {
        let by_path = Address::Path(path.to_owned());
        if let Some(id) = self.known(&by_path) {
            let changes_hands = self.hand_over(id, owner);
            return self.check(id, changes_hands);
        }
        let mut file = RotatingFile::open(LogPlace::new(path, owner.cloned(), self.umask), limits)?;
        let by_name = name_of(&file)?;
        match self.by_address.get(&by_name).copied().filter(|&id| self.writes_to(id, &mut file)) {
            Some(id) if self.retain(id) => {
                let changes_hands = self.hand_over(id, owner);
                self.check(id, changes_hands)
            }
            _ => Ok(self.insert(Sink::File(Box::new(file)), vec![by_path, by_name])),
        }
    }

    /// Whether this is the file behind a sink. A name alone does not tell: another folder can have the number of one that was
    /// removed, and a link on the way to the sink's file can lead elsewhere by now.
    fn writes_to(&mut self, id: SinkId, file: &mut RotatingFile<LogPlace>) -> bool {
        // First: what it writes to now it leaves as soon as somebody starts to use it.
        let is_astray = self.entries.get_mut(&id).is_some_and(|entry| entry.sink.is_astray());
        if is_astray && self.reopen(id).is_err() {
            // Another file then, and whoever writes there is told by the sink itself.
            return false;
        }
        self.identity(id) == file.live().map(|live| live.identity)
    }

    fn identity(&mut self, id: SinkId) -> Option<FileIdentity> {
        let Some(Sink::File(file)) = self.entries.get_mut(&id).map(|entry| &mut entry.sink) else { return None };
        file.live().map(|live| live.identity)
    }

    /// Opens the file of a sink anew; its name is where it is then.
    fn reopen(&mut self, id: SinkId) -> Result<(), OpenError> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(()) };
        entry.sink.reopen()?;
        self.rename(id);
        Ok(())
    }

    /// Notes where a file is that was opened anew, by us or by itself.
    fn rename(&mut self, id: SinkId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Sink::File(file) = &entry.sink else { return };
        entry.named = file.reopened();
        // It is open; without a name it is at worst opened a second time.
        let Ok(name) = name_of(file) else { return };
        if !entry.addresses.contains(&name) {
            let (stale, kept) = entry.addresses.drain(..).partition(|address| matches!(address, Address::Name(..)));
            entry.addresses = kept;
            entry.addresses.push(name.clone());
            let stale: Vec<Address> = stale;
            stale.iter().for_each(|address| self.forget(address, id));
            self.by_address.entry(name).or_insert(id);
        }
    }

    /// An address that meanwhile leads to another sink stays.
    fn forget(&mut self, address: &Address, id: SinkId) {
        if self.by_address.get(address) == Some(&id) {
            self.by_address.remove(address);
        }
    }

    /// Counts one user more for a sink that is there.
    fn known(&mut self, address: &Address) -> Option<SinkId> {
        let id = *self.by_address.get(address)?;
        self.retain(id).then_some(id)
    }

    /// With whose rights a file is touched from now on; whether they were others before.
    fn hand_over(&mut self, id: SinkId, owner: Option<&Owner>) -> bool {
        self.file_mut(id).is_some_and(|file| file.place_mut().set_owner(owner))
    }

    /// A place that fails at the moment, or whose file was taken away, must prove itself to a new user, as a place of its
    /// own would have to.
    fn check(&mut self, id: SinkId, changes_hands: bool) -> Result<SinkId, OpenError> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(id) };
        if !changes_hands && entry.sink.failing().is_none() && !entry.sink.is_astray() {
            return Ok(id);
        }
        let reopened = self.reopen(id);
        if reopened.is_err()
            && let Some(entry) = self.entries.get_mut(&id)
        {
            entry.users = entry.users.saturating_sub(1);
        }
        reopened.map(|()| id)
    }

    fn insert(&mut self, sink: Sink, addresses: Vec<Address>) -> SinkId {
        self.last_id += 1;
        let id = SinkId(self.last_id);
        self.by_address.extend(addresses.iter().map(|address| (address.clone(), id)));
        self.entries.insert(id, Entry { sink, users: 1, compressed: None, addresses, named: 0 });
        id
    }
}

fn name_of(file: &RotatingFile<LogPlace>) -> Result<Address, OpenError> {
    let (folder, name) = file.place().address()?;
    Ok(Address::Name(folder, name))
}

/// Other names of the daemon's own streams.
fn standard_address(path: &Path) -> Option<Address> {
    match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Address::Stdout),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Address::Stderr),
        _ => None,
    }
}
