//! Numbered events as they go over the wire: in pieces that fit into a frame, with the number of those that were missed.

use super::reply::framed;
use super::request::Id;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// From where on events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventQuery {
    /// Only those after the one with this number; `None`: all that are kept, or to follow, only what comes.
    pub since: Option<u64>,
    /// And everything that comes after them.
    pub follow: bool,
}

/// One event. A reader takes what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Occurrence {
    /// Counted from 1 since the daemon began.
    pub number: u64,
    /// When, in the local time of the daemon.
    pub at: String,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Which, such as `PROCESS_STATE_RUNNING`.
    pub event: String,
    /// Of which process.
    pub processname: String,
    /// The group it belongs to.
    pub groupname: String,
    /// The state before, where this is about a state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_state: Option<String>,
    /// The live leader, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// What a health check said, or what led here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Failed health checks in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
}

/// Some events in a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPiece {
    /// The answer to a request, and not a piece that follows it.
    pub is_answer: bool,
    /// The events.
    pub events: Vec<Occurrence>,
    /// The number of the last one, or what to ask for next where there are none.
    pub last: u64,
    /// So many before these are not kept any more.
    pub missed: u64,
    /// There are more; ask for those since `last`.
    pub truncated: bool,
    /// What was asked for was counted by an earlier daemon: numbers began at 1 again.
    pub restarted: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    events: &'a [Occurrence],
    last: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
}

impl EventPiece {
    /// Appends it as one frame.
    pub fn encode_framed(&self, id: Option<&Id>, out: &mut Vec<u8>) {
        let said = |said: bool| said.then_some(true);
        let written = Written {
            status: self.is_answer.then_some("ok"),
            events: &self.events,
            last: self.last,
            missed: (self.missed > 0).then_some(self.missed),
            truncated: said(self.truncated),
            restarted: said(self.restarted),
            id: id.map(Id::raw),
        };
        framed(&written, out).expect("a piece holds at most as many bounded events as fit into a frame");
    }
}

impl Occurrence {
    /// At most how many bytes of JSON its texts take.
    pub fn weight(&self) -> usize {
        let texts = [&self.at, &self.event, &self.processname, &self.groupname];
        let optional = [&self.from_state, &self.message].into_iter().flatten();
        256 + 6 * texts.into_iter().chain(optional).map(String::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Answer, Decoder, MAX_FRAME};

    fn frame_of(piece: &EventPiece) -> Vec<u8> {
        let mut out = Vec::new();
        piece.encode_framed(None, &mut out);
        let mut decoder = Decoder::new();
        decoder.push(&out);
        decoder.pull().unwrap().unwrap()
    }

    #[test]
    fn a_piece_says_what_there_is_to_say() {
        let text = |piece: &EventPiece| String::from_utf8(frame_of(piece)).unwrap();
        let empty = EventPiece { last: 7, ..EventPiece::default() };
        assert_eq!(text(&empty), r#"{"events":[],"last":7}"#);
        let event =
            Occurrence { number: 3, event: "PROCESS_SPAWNED".to_owned(), pid: Some(5), ..Occurrence::default() };
        let piece = EventPiece { is_answer: true, events: vec![event.clone()], last: 3, missed: 2, ..empty };
        let told = text(&piece);
        assert!(
            told.starts_with(r#"{"status":"ok","events":[{"number":3,"#) && told.ends_with(r#"],"last":3,"missed":2}"#)
        );
        let answer = Answer::decode(&frame_of(&piece)).unwrap();
        assert_eq!((answer.events, answer.missed, answer.last), (vec![event], 2, 3));
    }

    #[test]
    fn the_weight_is_never_too_small() {
        for text in ["\x01".repeat(200), "é".repeat(100), "\"".repeat(255), String::new()] {
            let event = Occurrence {
                number: u64::MAX,
                at: text.clone(),
                unix_ms: u64::MAX,
                event: text.clone(),
                processname: text.clone(),
                groupname: text.clone(),
                from_state: Some(text.clone()),
                pid: Some(i32::MIN),
                message: Some(text.clone()),
                failures: Some(u32::MAX),
            };
            let frame = frame_of(&EventPiece { events: vec![event.clone()], ..EventPiece::default() });
            assert!(frame.len() <= event.weight() + 32 && frame.len() < MAX_FRAME, "{}", frame.len());
        }
    }
}
