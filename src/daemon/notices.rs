//! What programs say of themselves, and whether it is them who say so: a sender counts if it is a member of the process
//! group of a run that was given the address.

use super::{Alarm, Daemon, NOTICES_PLACE};
use crate::engine::id::{InstanceId, Key, RunId};
use crate::engine::message::Input;
use crate::engine::policy::Readiness;
use crate::engine::time::{Duration, Instant};
use crate::reactor::source::{Kind, SourceId};
use crate::spec::{InstanceSpec, Launch};
use crate::sys::inotify::PathWatch;
use crate::sys::notify::{self, Letter, NotifySocket};
use crate::wire::notice::{self, MAX_NOTICE, Notice};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Lost sockets that are still read.
const LOST_KEPT: usize = 4;
/// Letters read in one turn.
const LETTERS_PER_TURN: usize = 64;
/// How often strangers, and the same word of a program, are told of at most.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// When letters that could not be read are read again.
const LETTERS_AGAIN: Duration = Duration::from_secs(1);

/// What a run said last.
#[derive(Debug)]
struct Told {
    run: RunId,
    status: String,
}

/// The notification socket, made when the first program needs it, and what came over it.
#[derive(Debug)]
pub(super) struct Notices {
    socket: Option<NotifySocket>,
    /// Tells that somebody removed it.
    place: Option<PathWatch>,
    /// Removed by somebody, and replaced. Whoever connected before still writes there.
    lost: Vec<NotifySocket>,
    /// It could not be made anew, and that is told.
    complained: bool,
    marked: bool,
    told: HashMap<InstanceId, Told>,
    changes: u64,
    /// When a word of a program was last put into the log, and how often it was said since.
    words: HashMap<(InstanceId, &'static str), (Instant, u64)>,
    warned_at: Option<Instant>,
    /// Letters that nobody answers for, since the last warning.
    refused: u64,
    buffer: Vec<u8>,
}

impl Notices {
    pub(super) fn new() -> Notices {
        let (told, words, buffer) = (HashMap::new(), HashMap::new(), Vec::new());
        Notices {
            socket: None,
            place: None,
            lost: Vec::new(),
            complained: false,
            marked: false,
            told,
            changes: 0,
            words,
            warned_at: None,
            refused: 0,
            buffer,
        }
    }

    /// Whether the socket is not where programs look for it. Where that cannot be seen it is taken to be there.
    fn is_lost(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| !socket.is_in_place().unwrap_or(true))
    }

    /// Watches its place no longer; at the end, where it is not made anew.
    pub(super) fn let_go_of_place(&self) {
        self.place.iter().for_each(PathWatch::let_go);
    }

    /// The next letter, wherever it lies.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Letter>> {
        for socket in self.lost.iter().chain(&self.socket) {
            if let Some(letter) = socket.receive(buffer)? {
                return Ok(Some(letter));
            }
        }
        Ok(None)
    }

    /// Notes that there are letters.
    pub(super) fn mark(&mut self) -> bool {
        self.marked = true;
        true
    }

    /// Whether letters were left for the next turn.
    pub(super) fn has_work(&self) -> bool {
        self.marked
    }

    /// What this run says it is doing.
    pub(super) fn status(&self, run: RunId) -> Option<&str> {
        let told = self.told.get(&run.instance).filter(|told| told.run == run)?;
        Some(told.status.as_str()).filter(|status| !status.is_empty())
    }

    /// A number that is another one whenever somebody may have said something else.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Drops what is known of an instance that is gone.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.changes += 1;
        self.told.remove(&id);
        self.words.retain(|(owner, _), _| *owner != id);
    }

    /// What to put into the log of a word that a program said; `None` if it stood there a moment ago.
    fn worded(&mut self, id: InstanceId, word: &'static str, now: Instant) -> Option<String> {
        let Some((at, unsaid)) = self.words.get_mut(&(id, word)) else {
            self.words.insert((id, word), (now, 0));
            return Some(word.to_owned());
        };
        if now.since(*at) < WARN_EVERY {
            *unsaid += 1;
            return None;
        }
        *at = now;
        let more = std::mem::take(unsaid);
        Some(if more > 0 { format!("{word} (said {more} times more before)") } else { word.to_owned() })
    }

    /// Removes the socket from its place.
    pub(super) fn withdraw(&mut self) {
        if let Some(Err(error)) = self.socket.take().map(|socket| socket.remove()) {
            log::warn!("removing the notification socket failed: {error}");
        }
    }
}

/// Whether a program is given the address.
pub(super) fn speaks(spec: &InstanceSpec) -> bool {
    spec.policy.readiness == Readiness::Notified || spec.policy.watchdog.is_some()
}

/// Whether a program writes to the socket as somebody else than the daemon.
fn speaks_as_other(spec: &InstanceSpec) -> bool {
    spec.launch.user.is_some() && speaks(spec)
}

/// Beside the control socket.
pub(super) fn place(socket: &Path) -> PathBuf {
    let mut path = OsString::from(socket);
    path.push(".notify");
    PathBuf::from(path)
}

impl Daemon {
    /// A launch with the address of the socket in its environment, for a program that is to speak.
    pub(super) fn with_address(&mut self, spec: &InstanceSpec) -> io::Result<Launch> {
        let mut launch = Launch::clone(&spec.launch);
        let address = self.notify_address(Some(spec))?;
        launch.env.insert("NOTIFY_SOCKET".to_owned(), address);
        if let Some(period) = spec.policy.watchdog {
            launch.env.insert("WATCHDOG_USEC".to_owned(), period.as_micros().to_string());
        }
        Ok(launch)
    }

    /// The path of the socket, which is made, or made anew where it was removed. It is open to others for a `newcomer` that
    /// needs it, and for as long as such a one lives, whatever a reload says of its next start.
    fn notify_address(&mut self, newcomer: Option<&InstanceSpec>) -> io::Result<String> {
        let path = std::path::absolute(place(&self.settings.spec().socket))?;
        // Whoever lives found it open.
        let was_open = self.notices.socket.as_ref().is_some_and(NotifySocket::is_open_to_others);
        let open = newcomer.is_some_and(speaks_as_other) || was_open && self.children.living().any(speaks_as_other);
        let is_lost = self.notices.is_lost();
        match &mut self.notices.socket {
            Some(socket) if !is_lost => socket.open_to_others(open)?,
            _ => self.bind_notices(&path, open)?,
        }
        path.into_os_string().into_string().map_err(|_| io::Error::other("its path is not UTF-8"))
    }

    fn bind_notices(&mut self, path: &Path, open: bool) -> io::Result<()> {
        let mut socket = NotifySocket::bind(path)?;
        self.reactor.watch(socket.as_raw_fd(), SourceId::single(Kind::Notify))?;
        socket.open_to_others(open)?;
        self.notices.place = self.watch_place(path, NOTICES_PLACE);
        if let Some(lost) = self.notices.socket.replace(socket) {
            log::warn!("the notification socket {} was removed; it is made anew", path.display());
            self.keep_lost(lost);
        }
        Ok(())
    }

    fn keep_lost(&mut self, lost: NotifySocket) {
        self.notices.lost.push(lost);
        if self.notices.lost.len() > LOST_KEPT {
            let oldest = self.notices.lost.remove(0);
            self.reactor.forget(oldest.as_raw_fd());
        }
    }

    /// Empties the watch, so that its next event is heard; somebody may only have changed who may write there.
    pub(super) fn take_notices_news(&mut self) -> bool {
        match self.notices.place.as_mut().map(PathWatch::lost) {
            Some(Ok(false)) | None => {}
            Some(Ok(true)) => self.suspect_losses(),
            Some(Err(error)) => {
                log::error!("watching the notification socket's folder failed: {error}");
                self.suspect_losses();
            }
        }
        true
    }

    /// Makes the socket anew where it was removed: whoever has to feed a watchdog through it would be taken for dead. Tells
    /// whether it is there, if it has to be.
    pub(super) fn restore_notices(&mut self) -> bool {
        if !self.notices.is_lost() {
            return true;
        }
        match self.notify_address(None) {
            Ok(_) => {
                self.notices.complained = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.notices.complained, true) {
                    log::error!("making the notification socket anew failed, tried again every 5 s: {error}");
                }
                false
            }
        }
    }

    /// Step 3 of the turn, before the deaths: a sender that is reaped is nobody's member any more.
    pub(super) fn hear_notices(&mut self) {
        if !std::mem::take(&mut self.notices.marked) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.notices.buffer);
        buffer.resize(MAX_NOTICE, 0);
        for left in (0..LETTERS_PER_TURN).rev() {
            match self.notices.receive(&mut buffer) {
                Ok(Some(letter)) => self.on_letter(letter, &buffer),
                Ok(None) => break,
                Err(error) => {
                    log::error!("reading the notification socket failed, tried again in a second: {error}");
                    // What waits there already is not announced twice.
                    self.arm(LETTERS_AGAIN, Alarm::Letters);
                    break;
                }
            }
            self.notices.marked = left == 0;
        }
        self.notices.buffer = buffer;
    }

    fn on_letter(&mut self, letter: Letter, buffer: &[u8]) {
        let Some(group) = notify::group_of(letter.sender) else {
            return self.refuse_letter(&format!("process {} was gone before it was heard", letter.sender));
        };
        let Some(key) = self.speaker(group) else {
            return self.refuse_letter(&format!("process {} is no member of a program that speaks", letter.sender));
        };
        if letter.is_cut {
            return self.refuse_letter(&format!("process {} sent more than {MAX_NOTICE} bytes", letter.sender));
        }
        // A program that speaks has been through its exec, whatever was read of that so far.
        self.hear_verdict(key);
        for notice in notice::parse(&buffer[..letter.length]) {
            self.on_notice(key, notice);
        }
    }

    /// The child that leads this process group, if it was given the address.
    fn speaker(&self, group: i32) -> Option<Key> {
        let key = self.children.of_pid(group)?;
        // What it was started with counts: a reload may say otherwise of its next start.
        speaks(&self.children.get(key)?.trace.as_ref()?.spec).then_some(key)
    }

    fn on_notice(&mut self, key: Key, notice: Notice) {
        let Some((run, pid)) = self.children.get(key).map(|child| (child.run, child.pid)) else { return };
        let name = self.roster.name(run.instance);
        let mut worded = |word| self.notices.worded(run.instance, word, self.now);
        match notice {
            Notice::Ready => self.feed(Input::Ready { run }),
            Notice::Watchdog => {
                self.feed(Input::Ping { run });
                // Nothing is published of it, and the first one may be what somebody waits for.
                self.settle_waits_of(run.instance, None);
            }
            Notice::Reloading => worded("is reloading").iter().for_each(|text| log::info!("{name} {text}")),
            Notice::Stopping => worded("says that it is stopping").iter().for_each(|text| log::info!("{name} {text}")),
            Notice::Status(status) => {
                log::debug!("{name} says: {status}");
                self.notices.changes += 1;
                self.notices.told.insert(run.instance, Told { run, status });
            }
            Notice::MainPid(claimed) if claimed == Some(pid) => {}
            Notice::MainPid(_) => worded("named another main process, which is ignored")
                .iter()
                .for_each(|text| log::warn!("{name} (pid {pid}) {text}")),
        }
    }

    /// Anybody may write to the socket where programs have users of their own: nobody's letters fill the log.
    fn refuse_letter(&mut self, why: &str) {
        self.notices.refused += 1;
        if self.notices.warned_at.is_none_or(|at| self.now.since(at) >= WARN_EVERY) {
            self.notices.warned_at = Some(self.now);
            let count = std::mem::take(&mut self.notices.refused);
            log::warn!("refused {count} notifications, the last because {why}");
        }
    }
}
