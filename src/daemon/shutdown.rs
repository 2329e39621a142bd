//! The order of death: all programs, then what they wrote, then the answers, then the socket, and the lock last.

use super::{Daemon, report};
use crate::engine::id::InstanceId;
use crate::engine::message::{Cause, ExitStatus, Signal, State};
use crate::engine::time::Duration;
use crate::sys::{clock, spawn};

/// A command that is not there, as shells tell it.
const NOT_FOUND: i32 = 127;

/// One that could not be run.
const NOT_RUN: i32 = 126;

/// How long clients get to take the answers they are owed.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long somebody who came just now has for a question.
const HEARING: Duration = Duration::from_millis(50);

/// A program whose end is to be the daemon's, and how it ended.
#[derive(Debug)]
pub(super) struct LastWord {
    pub(super) instance: InstanceId,
    pub(super) state: State,
    pub(super) cause: Option<Cause>,
}

/// What a shell would say of it. Of one that was given up, or that we ended ourselves, success is never told.
fn exit_code(state: State, cause: Option<Cause>) -> i32 {
    match cause {
        Some(Cause::Exit(ExitStatus::Code(0))) => i32::from(state == State::Fatal),
        Some(Cause::Exit(ExitStatus::Code(code))) => i32::from(code),
        Some(Cause::Exit(ExitStatus::Signal { number, .. })) => 128 + i32::from(number),
        Some(Cause::Spawn(error)) if spawn::is_not_found(&error) => NOT_FOUND,
        Some(Cause::Spawn(_)) => NOT_RUN,
        Some(Cause::Unhealthy | Cause::NotReady | Cause::Hung) | None => 1,
    }
}

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
        // Nobody finds the way here any more; who is here already gets an answer.
        self.connections.withdraw();
        self.say_farewell();
        self.close_doors();
        self.close_all();
        self.close_memory();
        self.write_annals();
        self.notices.withdraw();
        self.settings.release_lock();
        log::info!("Shutdown complete");
        log::logger().flush();
        match self.exit_code {
            Some(code) if code != 0 => code,
            Some(_) | None => i32::from(!survivors.is_empty()),
        }
    }

    /// Shuts down because a program ended whose end is to be ours, and remembers to end as it did.
    pub(super) fn obey_programs(&mut self) {
        let Some(LastWord { instance, state, cause }) = self.last_word.take().filter(|_| !self.closing) else { return };
        let code = exit_code(state, cause);
        self.exit_code = Some(code);
        let option = if state == State::Fatal { "on_fatal" } else { "on_exit" };
        let why = format!("{} is {state} and has {option} = shutdown (exit status {code})", self.roster.name(instance));
        self.close_down(&why, None);
    }

    /// Stops everything; a second signal kills. Whoever signals while a program's end shuts all down already cannot know of
    /// that, as a container's runtime and systemd signal all processes at once: his first signal is not a second one.
    pub(super) fn terminate(&mut self, signal: Signal) {
        let word = report::signal_name(signal);
        let is_first = !std::mem::replace(&mut self.terminated, true);
        if is_first && self.closing && self.exit_code.is_some() {
            return log::info!("Received {word}, shutting down already: the next one kills what is left");
        }
        self.close_down(&format!("Received {word}"), None);
    }

    /// Answers what was asked before the end and lets clients take their replies.
    fn say_farewell(&mut self) {
        let (patience, until) = (clock::monotonic() + HEARING, clock::monotonic() + FAREWELL);
        // One round at least, for requests that lie unread in their sockets.
        loop {
            if self.reactor.wait(self.now, Some(self.now)).is_err() {
                return;
            }
            self.mark();
            self.serve();
            self.wake_followers();
            self.now = clock::monotonic();
            let listens = self.any_silent() && self.now < patience;
            let busy = self.any_unsent() || !self.reactor.ready.is_empty();
            if self.now >= until || !(listens || busy) {
                return;
            }
            if self.reactor.wait(self.now, Some(if busy { until } else { patience })).is_err() {
                return;
            }
            self.mark();
        }
    }
}
