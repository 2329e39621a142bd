//! Long work on a terminal: one line that tells how many are left, and is gone when they are done.

use super::args::Order;
use super::asking::again;
use super::style::is_dumb;
use crate::client::{Client, ClientError};
use crate::wire::{Answer, Progress, Request, Verb};
use std::io::{self, IsTerminal, Write};

/// Back to the begin of the line, and nothing in it.
const WIPE: &str = "\r\x1b[K";

/// What is under way, for requests that may take long; one plain name goes on the wire as ever.
fn title(request: &Request) -> Option<&'static str> {
    match request {
        Request::Many { verb: Verb::Start, .. } | Request::StartGroup { .. } => Some("Starting"),
        Request::Many { verb: Verb::Stop, .. } | Request::StopGroup { .. } | Request::Shutdown => Some("Stopping"),
        Request::Reload => Some("Reloading"),
        Request::Many { verb: Verb::Restart { .. }, .. } | Request::Update { .. } => Some("Restarting"),
        _ => None,
    }
}

/// Whether somebody looks on, and wants to.
pub(super) fn is_wanted(order: &Order) -> bool {
    let looks = io::stdout().is_terminal() && io::stderr().is_terminal();
    looks && !is_dumb() && !order.style.json && !order.style.quiet && title(&order.request).is_some()
}

/// Asks, and shows how far it has come until the answer is there.
pub(super) fn ask(client: &Client, request: &Request) -> Result<(Answer, Vec<u8>), ClientError> {
    let title = title(request).unwrap_or("Waiting");
    let mut shown = false;
    let told = client.call_watched(request, |Progress { left, of }| {
        shown = true;
        show(&format!("{WIPE}{title}: {left} of {of} left"));
    });
    if shown {
        show(WIPE);
    }
    again(client, request, told?)
}

/// A line that cannot be shown is nobody's loss.
fn show(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
