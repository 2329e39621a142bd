//! One thing that happened to an instance, as small as it can be kept.

use crate::daemon::moment::Moment;
use crate::daemon::recorder::RecordingId;
use crate::engine::message::Pid;
use crate::sys::clock;
use crate::wire::history::{Happening, LastWords};
use crate::wire::text;
use std::borrow::Cow;

/// One thing that happened.
#[derive(Debug)]
pub(in crate::daemon) struct Record {
    pub(super) at: Moment,
    pub(super) what: What,
    pub(in crate::daemon) recording: Option<RecordingId>,
}

/// What happened. The two that happen to each are kept without their words.
#[derive(Debug)]
pub(super) enum What {
    Started(Pid),
    Running,
    Told(Box<Told>),
}

#[derive(Debug)]
pub(super) struct Told {
    event: Cow<'static, str>,
    text: Box<str>,
}

/// What the kinds of the others are called.
const KINDS: [&str; 15] = [
    "backoff",
    "daemon",
    "exited",
    "failed",
    "fatal",
    "health",
    "healthy",
    "killed",
    "loss",
    "order",
    "reload",
    "unhealthy",
    "unkillable",
    "unready",
    "watchdog",
];

impl What {
    pub(super) fn told(event: impl Into<Cow<'static, str>>, text: &str) -> What {
        What::Told(Box::new(Told { event: event.into(), text: text::echoed(text).into() }))
    }

    /// What an earlier daemon put down, kept as small as what happens under this one.
    pub(super) fn recalled(event: &str, text: &str) -> What {
        let short = match event {
            "started" => pid_of(text).map(What::Started),
            "running" => Some(What::Running),
            _ => None,
        };
        short.filter(|short| short.text() == text).unwrap_or_else(|| {
            let known = KINDS.iter().find(|kind| **kind == event);
            What::told(known.map_or_else(|| event.to_owned().into(), |kind| Cow::Borrowed(*kind)), text)
        })
    }

    fn event(&self) -> &str {
        match self {
            What::Started(_) => "started",
            What::Running => "running",
            What::Told(told) => &told.event,
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            What::Started(pid) => format!("started (pid {pid})").into(),
            What::Running => "is RUNNING".into(),
            What::Told(told) => told.text.as_ref().into(),
        }
    }
}

fn pid_of(text: &str) -> Option<Pid> {
    text.strip_prefix("started (pid ")?.strip_suffix(')')?.parse().ok()
}

impl Record {
    /// When it happened, in milliseconds since 1970.
    pub(in crate::daemon) fn unix_ms(&self) -> u64 {
        self.at.0
    }

    /// Of which kind it is.
    pub(in crate::daemon) fn event(&self) -> &str {
        self.what.event()
    }

    /// What people are told.
    pub(in crate::daemon) fn text(&self) -> Cow<'_, str> {
        self.what.text()
    }

    pub(super) fn told(&self, output: Vec<LastWords>) -> Happening {
        Happening {
            at: clock::local_timestamp(self.at.time()),
            unix_ms: self.unix_ms(),
            event: self.event().to_owned(),
            text: self.text().into_owned(),
            output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recalled_reads_as_it_was_written_and_is_small() {
        let cases = [
            ("started", "started (pid 7)", true),
            ("running", "is RUNNING", true),
            ("started", "started (pid +7)", false),
            ("started", "started (pid 07)", false),
            ("started", "started", false),
            ("running", "is running", false),
            ("exited", "exited with status 1 after 2.0 s", false),
            ("of a later version", "something", false),
        ];
        for (event, text, is_small) in cases {
            let what = What::recalled(event, text);
            assert_eq!((what.event(), what.text().as_ref()), (event, text));
            assert_eq!(!matches!(what, What::Told(_)), is_small, "{event}: {text}");
        }
        for kind in KINDS {
            let What::Told(told) = What::recalled(kind, "") else { panic!("{kind} has words") };
            assert!(matches!(told.event, Cow::Borrowed(_)), "{kind}");
        }
    }
}
