//! Scenarios that this machine cannot play: told at once, and counted when the test program ends.

use std::io::Write;
use std::sync::{Mutex, Once};

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static SUMMARY: Once = Once::new();

/// Says that `what` is not tested here and why. The caller returns.
pub fn skip(what: &str, reason: &str) {
    SUMMARY.call_once(summarize_at_exit);
    say(&format!("SKIP {what}: {reason}\n"));
    SKIPPED.lock().expect("nobody panics while holding the list").push(what.to_owned());
}

/// Whether the tests may change users, limits and namespaces.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Past the capture of the test harness: a skip must be seen in a green run too.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn summarize_at_exit() {
    extern "C" fn summarize() {
        if let Ok(skipped) = SKIPPED.lock() {
            say(&format!("{} skipped: {}\n", skipped.len(), skipped.join(", ")));
        }
    }
    // SAFETY: the function only locks, formats and writes; atexit may call it at any time after.
    unsafe { libc::atexit(summarize) };
}
