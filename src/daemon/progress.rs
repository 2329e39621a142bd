//! How far orders have come, for clients that want to be told while they wait: at most ten times a second, and only to
//! who has taken what was sent before.

use super::{Alarm, Daemon};
use crate::engine::id::Key;
use crate::engine::time::{Duration, Instant};
use crate::wire::Progress;
use crate::wire::request::Id;

/// From one word to the next, and to the first: what is done sooner needs none.
const EVERY: Duration = Duration::from_millis(100);

/// A client that watches its order.
#[derive(Debug)]
struct Watcher {
    conn: Key,
    id: Option<Id>,
    progress: Progress,
    /// As many as were left when it was told last.
    told: Option<usize>,
    next: Instant,
}

/// Everybody who watches an order.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    list: Vec<Watcher>,
    is_armed: bool,
}

impl Watchers {
    /// The next request of this client is another matter.
    pub(super) fn forget(&mut self, conn: Key) {
        self.list.retain(|watcher| watcher.conn != conn);
    }
}

impl Daemon {
    /// The client on this connection wants to be told of the order that it just gave.
    pub(super) fn watch_order(&mut self, conn: Key, id: Option<Id>) {
        let Some(ticket) = self.connections.ticket(conn) else { return };
        let left = self.engine.left_of(ticket).unwrap_or(0);
        let progress = Progress { left, of: left };
        self.watchers.list.push(Watcher { conn, id, progress, told: None, next: self.now + EVERY });
    }

    /// Tells those for whom something changed since they were told last.
    pub(super) fn tell_progress(&mut self) {
        if self.watchers.list.is_empty() {
            return;
        }
        let mut list = std::mem::take(&mut self.watchers.list);
        list.retain_mut(|watcher| self.tell_watcher(watcher));
        let has_news = |watcher: &&Watcher| watcher.progress.of > 0 && watcher.told != Some(watcher.progress.left);
        let news = list.iter().filter(has_news);
        if let Some(next) = news.map(|watcher| watcher.next).min()
            && !self.watchers.is_armed
        {
            self.watchers.is_armed = true;
            self.alarms.arm(next.max(self.now + EVERY / 10), Alarm::Progress);
        }
        self.watchers.list = list;
    }

    /// The alarm only wakes the loop up.
    pub(super) fn progress_due(&mut self) {
        self.watchers.is_armed = false;
    }

    /// False when its order is answered, or it has left.
    fn tell_watcher(&mut self, watcher: &mut Watcher) -> bool {
        let Some(ticket) = self.connections.ticket(watcher.conn) else { return false };
        let progress = &mut watcher.progress;
        // Between the two halves of an update nothing is under way.
        progress.left = self.engine.left_of(ticket).unwrap_or(progress.left);
        progress.of = progress.of.max(progress.left);
        if watcher.told == Some(progress.left) || self.now < watcher.next || progress.of == 0 {
            return true;
        }
        if self.connections.tell(watcher.conn, |out| progress.encode_framed(watcher.id.as_ref(), out)) {
            watcher.told = Some(progress.left);
            watcher.next = self.now + EVERY;
            self.requeue(watcher.conn);
        }
        true
    }
}
