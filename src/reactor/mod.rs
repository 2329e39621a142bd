//! The event loop's hands: mio's poll, sources by token, the ready list. It marks and it serves; it decides nothing.

pub mod conn;
pub mod output;
pub mod probe;
pub mod ready;
pub mod source;

use crate::engine::time::{Duration, Instant};
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use ready::ReadyList;
use source::SourceId;
use std::io;
use std::os::fd::RawFd;

/// Events taken from the kernel in one turn.
const EVENTS_PER_TURN: usize = 256;

/// What the kernel said of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which source.
    pub id: SourceId,
    /// There may be something to read.
    pub readable: bool,
    /// There may be room to write.
    pub writable: bool,
    /// Nothing more will come.
    pub read_closed: bool,
    /// Nobody reads any more.
    pub gone: bool,
}

/// mio's poll and the list of sources that wait to be served.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    /// Sources to serve.
    pub ready: ReadyList,
}

impl Reactor {
    /// A poll of its own.
    ///
    /// # Errors
    /// What the kernel says when it has no room for another epoll or kqueue.
    pub fn new() -> io::Result<Reactor> {
        let events = Events::with_capacity(EVENTS_PER_TURN);
        Ok(Reactor { poll: Poll::new()?, events, ready: ReadyList::default() })
    }

    /// Watches a descriptor for reading.
    ///
    /// # Errors
    /// What the kernel says (no memory, too many watches).
    pub fn watch(&self, fd: RawFd, id: SourceId) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), id.token(), Interest::READABLE)
    }

    /// Watches a descriptor no longer; before it is closed, because a copy in a child would keep it alive.
    pub fn forget(&self, fd: RawFd) {
        // Fails only for a descriptor that is not watched, which is what is wanted.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
    }

    /// Watches a mio source for reading and, where `interest` says so, for writing.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&self, source: &mut impl Source, id: SourceId, interest: Interest) -> io::Result<()> {
        let registered = self.poll.registry().register(source, id.token(), interest);
        if registered.is_err() {
            // Else a debug build takes the next try for a second registration.
            self.deregister(source);
        }
        registered
    }

    /// Watches a mio source no longer.
    pub fn deregister(&self, source: &mut impl Source) {
        let _ = self.poll.registry().deregister(source);
    }

    /// Waits until something happens or `deadline` is reached; at once if a source waits to be served.
    ///
    /// # Errors
    /// What the kernel says, an interruption excepted.
    pub fn wait(&mut self, now: Instant, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = if self.ready.is_empty() { deadline.map(|at| at.since(now)) } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// Whether the last wait may have left some of what happened to the next.
    pub fn has_more(&self) -> bool {
        self.events.iter().nth(EVENTS_PER_TURN - 1).is_some()
    }

    /// What the last wait brought.
    pub fn marks(&self) -> impl Iterator<Item = Option<Mark>> {
        self.events.iter().map(|event| {
            SourceId::from_token(event.token()).map(|id| Mark {
                id,
                readable: event.is_readable(),
                writable: event.is_writable(),
                read_closed: event.is_read_closed(),
                gone: event.is_write_closed() || event.is_error(),
            })
        })
    }
}
