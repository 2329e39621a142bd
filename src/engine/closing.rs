//! The end of the daemon as the engine sees it: who is still busy, who waits for the end, and how far the escalation is.

use super::id::{InstanceId, Stamp, Ticket};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClosingStage {
    /// Everything was told to stop.
    Asked { deadline: Stamp },
    /// SIGKILL went to whatever was left.
    Killed { deadline: Stamp },
    /// Told to the shell.
    Finished,
}

/// A shutdown that has begun. There is no way back.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) stage: ClosingStage,
    pub(super) tickets: Vec<Ticket>,
    pub(super) busy: BTreeSet<InstanceId>,
}

impl Closing {
    /// Whether it waits for `stamp`.
    pub(super) fn holds(&self, stamp: Stamp) -> bool {
        match self.stage {
            ClosingStage::Asked { deadline } | ClosingStage::Killed { deadline } => deadline == stamp,
            ClosingStage::Finished => false,
        }
    }
}
