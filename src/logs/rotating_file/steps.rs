//! The rotation of a file, step by step as `rotation` plans it.

use super::{RETRY, RotatingFile, Rotation};
use crate::engine::time::Instant;
use crate::logs::loss::Cause;
use crate::logs::place::Place;
use crate::logs::rotation::{Finding, Step};
use crate::sys::files::{FileIdentity, FileKind};

impl<P: Place> RotatingFile<P> {
    /// Goes on with a rotation whose next try is due.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Rotation::Stuck { retry } = self.rotation
            && now >= retry
        {
            self.go_on(now);
        }
    }

    /// Makes room by a new file; false if that has to wait.
    pub(super) fn rotate(&mut self, now: Instant) -> bool {
        match self.rotation {
            Rotation::Stuck { retry } if now < retry => false,
            Rotation::Stuck { .. } => self.go_on(now),
            Rotation::Idle => self.was_truncated() || self.go_on(now),
        }
    }

    /// Somebody made room already.
    fn was_truncated(&mut self) -> bool {
        match (self.place.facts(&self.file), self.size) {
            (Ok(Some(facts)), Some(size)) => {
                if facts.size != size {
                    self.share();
                }
                self.resize(Some(facts.size));
                facts.size < size
            }
            _ => false,
        }
    }

    /// Whether the open file is not what stands at its name any more: removed, or moved away.
    pub fn is_astray(&mut self) -> bool {
        match self.place.facts(&self.file) {
            Ok(Some(facts)) => facts.links == 0 || self.identity_at_name() != Some(facts.identity),
            // A device is not moved.
            Ok(None) => false,
            // Whoever opens it anew is told why.
            Err(_) => true,
        }
    }

    /// What cannot be written may be on a disk that is no longer the one in its place: then the file of its name there takes
    /// over. Where there is none it is waited for, because the place may be that of a disk which is still away.
    pub(super) fn follow_name(&mut self) {
        let ours = self.place.facts(&self.file).ok().flatten().map(|facts| facts.identity);
        let there = self.identity_at_name();
        if self.size.is_some() && there.is_some() && there != ours {
            // If it cannot be opened either, the write that follows tells what is wrong.
            let _ = self.reopen();
        }
    }

    fn identity_at_name(&mut self) -> Option<FileIdentity> {
        self.place.enter().ok()?;
        let found = self.place.look(0);
        self.place.leave();
        found.ok().flatten().map(|(_, identity)| identity)
    }

    pub(super) fn go_on(&mut self, now: Instant) -> bool {
        let result = self.take_steps();
        self.place.leave();
        match result {
            Ok(()) => {
                self.rotation = Rotation::Idle;
                self.stuck.recover();
                true
            }
            Err(cause) => {
                self.rotation = Rotation::Stuck { retry: now + RETRY };
                self.stuck.fail(cause, 0);
                false
            }
        }
    }

    fn take_steps(&mut self) -> Result<(), Cause> {
        self.place.enter()?;
        let mut ahead = Some(Step::Compare);
        while let Some(step) = ahead {
            let finding = self.take_step(step)?;
            ahead = step.after(finding, self.limits.backups);
        }
        Ok(())
    }

    /// One call to the file system.
    fn take_step(&mut self, step: Step) -> Result<Finding, Cause> {
        match step {
            Step::Compare => self.compare(),
            Step::Survey { backup } => self.survey(backup),
            Step::Shift { from } => self.shift(from),
            Step::Create => self.create(),
            Step::Reopen => self.reopen().map(|()| Finding::Done).map_err(Cause::from),
            Step::Truncate => self.truncate(),
        }
    }

    fn compare(&mut self) -> Result<Finding, Cause> {
        let ours = self.place.facts(&self.file)?;
        Ok(match (self.place.look(0)?, ours) {
            (None, _) => Finding::Absent,
            (Some((_, there)), Some(ours)) if there == ours.identity => Finding::Same,
            (Some(_), _) => Finding::Taken,
        })
    }

    fn survey(&mut self, backup: u32) -> Result<Finding, Cause> {
        match self.place.look(backup)? {
            None => Ok(Finding::Absent),
            Some((FileKind::Regular, _)) => Ok(Finding::Taken),
            Some((kind, _)) => Err(Cause::InTheWay { backup, what: kind.describe() }),
        }
    }

    fn shift(&mut self, from: u32) -> Result<Finding, Cause> {
        // One that somebody removed in between is no special case: the next try will find the gap.
        self.place.shift(from)?;
        Ok(Finding::Done)
    }

    fn create(&mut self) -> Result<Finding, Cause> {
        self.file = self.place.create()?;
        self.begun += 1;
        self.appending = true;
        self.at_line_end = Some(true);
        self.resize(Some(0));
        Ok(Finding::Done)
    }

    fn truncate(&mut self) -> Result<Finding, Cause> {
        self.place.truncate(&mut self.file)?;
        self.at_line_end = Some(true);
        self.resize(Some(0));
        Ok(Finding::Done)
    }
}
