//! What a source registered with mio is called: a kind and a generational key. The only conversion to and from tokens.
//!
//! An event that names a generation that is gone finds nobody: a slot re-let inside a batch is never woken by mistake.

use crate::engine::id::Key;
use mio::Token;

/// What a source is; it selects the table its key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The signal source. One of it.
    Signals = 1,
    /// The listening control socket. One of it.
    Listener,
    /// A watch on a place in the file system: the sockets', the pidfile's.
    Place,
    /// A control connection.
    Conn,
    /// A child's pidfd.
    Child,
    /// A fresh child's verdict pipe.
    Verdict,
    /// A child's stdout or stderr.
    Output,
    /// A health check: its connection, or the pidfd and the pipes of its script.
    Probe,
    /// Answers about host names.
    Names,
    /// The socket on which programs speak of themselves. One of it.
    Notify,
}

/// A source registered with mio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId {
    /// Its table.
    pub kind: Kind,
    /// Its place in the table.
    pub key: Key,
}

#[cfg(target_pointer_width = "64")]
mod layout {
    pub const KIND_SHIFT: u32 = 56;
    pub const SLOT_SHIFT: u32 = 32;
    pub const SLOT_MASK: usize = 0xff_ffff;
    pub const GENERATION_MASK: usize = 0xffff_ffff;
}

#[cfg(target_pointer_width = "32")]
mod layout {
    pub const KIND_SHIFT: u32 = 28;
    pub const SLOT_SHIFT: u32 = 16;
    pub const SLOT_MASK: usize = 0xfff;
    pub const GENERATION_MASK: usize = 0xffff;
}

impl SourceId {
    /// A source of which there is only one.
    pub const fn single(kind: Kind) -> SourceId {
        SourceId { kind, key: Key { slot: 0, generation: 0 } }
    }

    /// The token mio is given.
    pub fn token(self) -> Token {
        let slot = self.key.slot as usize & layout::SLOT_MASK;
        let generation = self.key.generation as usize & layout::GENERATION_MASK;
        Token((self.kind as usize) << layout::KIND_SHIFT | slot << layout::SLOT_SHIFT | generation)
    }

    /// The source a token stands for; `None` for a token that was never handed out.
    pub fn from_token(token: Token) -> Option<SourceId> {
        let kind = match token.0 >> layout::KIND_SHIFT {
            1 => Kind::Signals,
            2 => Kind::Listener,
            3 => Kind::Place,
            4 => Kind::Conn,
            5 => Kind::Child,
            6 => Kind::Verdict,
            7 => Kind::Output,
            8 => Kind::Probe,
            9 => Kind::Names,
            10 => Kind::Notify,
            _ => return None,
        };
        let slot = (token.0 >> layout::SLOT_SHIFT & layout::SLOT_MASK) as u32;
        let generation = (token.0 & layout::GENERATION_MASK) as u32;
        Some(SourceId { kind, key: Key { slot, generation } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_survives_the_way_through_a_token() {
        let kinds = [
            Kind::Signals,
            Kind::Listener,
            Kind::Place,
            Kind::Conn,
            Kind::Child,
            Kind::Verdict,
            Kind::Output,
            Kind::Probe,
            Kind::Names,
            Kind::Notify,
        ];
        for kind in kinds {
            for (slot, generation) in [(0, 0), (1, 7), (4095, 65_535)] {
                let id = SourceId { kind, key: Key { slot, generation } };
                assert_eq!(SourceId::from_token(id.token()), Some(id));
            }
        }
        assert_eq!(SourceId::from_token(Token(0)), None);
        assert_eq!(SourceId::from_token(Token(usize::MAX)), None);
    }
}
