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

impl What {
    pub(super) fn told(event: impl Into<Cow<'static, str>>, text: &str) -> What {
        What::Told(Box::new(Told { event: event.into(), text: text::echoed(text).into() }))
    }
}

impl Record {
    /// When it happened, in milliseconds since 1970.
    pub(in crate::daemon) fn unix_ms(&self) -> u64 {
        self.at.0
    }

    /// Of which kind it is.
    pub(in crate::daemon) fn event(&self) -> &str {
        match &self.what {
            What::Started(_) => "started",
            What::Running => "running",
            What::Told(told) => &told.event,
        }
    }

    /// What people are told.
    pub(in crate::daemon) fn text(&self) -> Cow<'_, str> {
        match &self.what {
            What::Started(pid) => format!("started (pid {pid})").into(),
            What::Running => "is RUNNING".into(),
            What::Told(told) => told.text.as_ref().into(),
        }
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
