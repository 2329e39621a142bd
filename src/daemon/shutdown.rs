//! The order of death: all programs, then what they wrote, then the answers, then the socket, and the lock last.

use super::Daemon;
use crate::engine::id::InstanceId;
use crate::engine::time::Duration;
use crate::sys::clock;

/// How long clients get to take the answers they are owed.
const FAREWELL: Duration = Duration::from_secs(1);

impl Daemon {
    /// Everything is down, or cannot be killed: the rest of the daemon's own life.
    pub(super) fn end(&mut self, survivors: &[InstanceId]) -> i32 {
        for &id in survivors {
            log::error!("{} could not be killed and is left behind", self.roster.name(id));
        }
        self.streams.drain(self.now);
        self.tell_losses();
        self.refuse_waits();
        self.abandon_presses();
        self.say_farewell();
        self.close_doors();
        self.close_all();
        self.close_memory();
        self.write_annals();
        self.notices.withdraw();
        self.settings.release_lock();
        log::info!("Shutdown complete");
        log::logger().flush();
        i32::from(!survivors.is_empty())
    }

    /// Answers what was asked before the end and lets clients take their replies.
    fn say_farewell(&mut self) {
        let until = clock::monotonic() + FAREWELL;
        // One round at least, for requests that lie unread in their sockets.
        loop {
            if self.reactor.wait(self.now, Some(self.now)).is_err() {
                return;
            }
            self.mark();
            self.serve();
            self.wake_followers();
            self.now = clock::monotonic();
            if self.now >= until || (!self.any_unsent() && self.reactor.ready.is_empty()) {
                return;
            }
            if self.reactor.wait(self.now, Some(until)).is_err() {
                return;
            }
            self.mark();
        }
    }
}
