//! Identities. Each holds what it belongs to, so a stale one shows in the name itself and finds nobody.

/// A place in a [`Slots`](super::slots::Slots) table and the generation that lives there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Index into the table.
    pub slot: u32,
    /// How often the slot had been re-let when this key was handed out.
    pub generation: u32,
}

/// One numprocs slot of a program: the thing with a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub Key);

/// One life of an instance, from spawn to reap. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// Whose life it is.
    pub instance: InstanceId,
    /// Counts the lives of this instance.
    pub serial: u32,
}

/// One health question put to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId {
    /// The run that is asked.
    pub run: RunId,
    /// Counts the questions to this run.
    pub serial: u32,
}

/// The shell's claim check for a reply. The shell makes them; the engine only hands them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One armed deadline. Unique for the life of its queue, so it also serves as a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);
