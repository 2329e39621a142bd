//! Who may use the machine now: scenarios that load it run alone, all others side by side.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard};

struct Occupancy {
    sharing: usize,
    alone: bool,
    waiting_alone: usize,
}

static OCCUPANCY: Mutex<Occupancy> = Mutex::new(Occupancy { sharing: 0, alone: false, waiting_alone: 0 });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// A test with two homes must not wait for itself.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// A place on the machine until dropped.
pub struct Turn {
    alone: bool,
}

fn occupancy() -> MutexGuard<'static, Occupancy> {
    OCCUPANCY.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Turn {
    /// Together with others.
    pub fn shared() -> Turn {
        let mut now = occupancy();
        while HELD.get() == 0 && (now.alone || now.waiting_alone > 0) {
            now = CHANGED.wait(now).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        now.sharing += 1;
        HELD.set(HELD.get() + 1);
        Turn { alone: false }
    }

    /// With nobody else. The first turn of its test.
    pub fn alone() -> Turn {
        let mut now = occupancy();
        now.waiting_alone += 1;
        while now.alone || now.sharing > 0 {
            now = CHANGED.wait(now).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        now.waiting_alone -= 1;
        now.alone = true;
        HELD.set(HELD.get() + 1);
        Turn { alone: true }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut now = occupancy();
        if self.alone {
            now.alone = false;
        } else {
            now.sharing -= 1;
        }
        HELD.set(HELD.get().saturating_sub(1));
        CHANGED.notify_all();
    }
}
