//! The listening socket and its place in the file system: opened, closed, and bound anew where somebody removed it.

use crate::daemon::doorkeeper::openness;
use crate::daemon::{Alarm, Daemon};
use crate::engine::time::Duration;
use crate::reactor::source::{Kind, SourceId};
use crate::spec::DaemonSpec;
use crate::sys::inotify::PathWatch;
use crate::sys::socket;
use mio::Interest;
use mio::net::UnixListener;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Until binding the socket is tried again.
const REBIND_RETRY: Duration = Duration::from_secs(1);

impl Daemon {
    /// Starts to listen on the bound socket.
    pub(in crate::daemon) fn open_doors(&mut self) -> io::Result<()> {
        let mut listener = UnixListener::from_std(self.connections.socket.listener.try_clone()?);
        self.reactor.register(&mut listener, SourceId::single(Kind::Listener), Interest::READABLE)?;
        self.connections.listener = Some(listener);
        let path = self.connections.socket.path().to_owned();
        self.connections.place = self.watch_place(&path, SourceId::single(Kind::Place));
        // A client may have connected between bind and registration.
        self.connections.mark_listener(&mut self.reactor.ready);
        Ok(())
    }

    /// Stops listening and removes the socket, if it is still ours.
    pub(in crate::daemon) fn close_doors(&mut self) {
        if let Some(mut listener) = self.connections.listener.take() {
            self.reactor.deregister(&mut listener);
        }
        if let Some(place) = self.connections.place.take() {
            self.reactor.forget(place.as_raw_fd());
        }
        self.connections.withdraw();
    }

    /// Makes the socket's file as open as a new configuration has it.
    pub(in crate::daemon) fn set_doors(&mut self, spec: &DaemonSpec) -> Result<(), String> {
        self.connections.socket.set_openness(openness(spec))
    }

    /// Binds the socket anew where it is gone from its place, and listens where nobody does. What goes wrong is told once and
    /// tried again.
    pub(in crate::daemon) fn rebind(&mut self) {
        if self.closing || self.connections.in_place() && self.connections.listener.is_some() {
            return;
        }
        let path = self.connections.socket.path().to_owned();
        match self.bind_and_listen(&path) {
            Ok(()) => {
                self.connections.rebind_trouble = None;
                log::warn!("the socket {} was gone; bound again", path.display());
            }
            Err(trouble) => {
                if self.connections.rebind_trouble.as_ref() != Some(&trouble) {
                    log::error!("the socket {} {trouble}", path.display());
                    self.connections.rebind_trouble = Some(trouble);
                }
                if !std::mem::replace(&mut self.connections.rebind_armed, true) {
                    self.arm(REBIND_RETRY, Alarm::Rebind);
                }
            }
        }
    }

    fn bind_and_listen(&mut self, path: &Path) -> Result<(), String> {
        if !self.connections.in_place() {
            let bound = socket::bind(path, self.settings.has_lock(), openness(self.settings.spec()))
                .map_err(|error| format!("is gone and cannot be bound again: {error}"))?;
            if let Some(mut old) = self.connections.listener.take() {
                self.reactor.deregister(&mut old);
            }
            self.connections.socket = bound;
        }
        self.open_doors().map_err(|error| format!("was gone; it is back, and cannot be listened to yet: {error}"))
    }

    /// Time to bind again, after that failed.
    pub(in crate::daemon) fn rebind_again(&mut self) {
        self.connections.rebind_armed = false;
        self.rebind();
    }

    /// Watches the place of a file of ours. Without a watch its loss is only noticed on SIGUSR1.
    pub(in crate::daemon) fn watch_place(&self, path: &Path, id: SourceId) -> Option<PathWatch> {
        let place = match PathWatch::new(path) {
            Ok(place) => place,
            Err(error) if error.kind() == ErrorKind::Unsupported => return None,
            Err(error) => {
                log::warn!("{} cannot be watched (SIGUSR1 makes the daemon look): {error}", path.display());
                return None;
            }
        };
        match self.reactor.watch(place.as_raw_fd(), id) {
            Ok(()) => Some(place),
            Err(error) => {
                log::warn!("{} cannot be watched (SIGUSR1 makes the daemon look): {error}", path.display());
                None
            }
        }
    }
}
