//! How far an order has come, told while it is under way to whoever asked for that.

use super::reply::framed;
use super::request::Id;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How many of how many are not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Those that are not there yet.
    pub left: usize,
    /// As many as it was about when it began.
    pub of: usize,
}

#[derive(Serialize)]
struct Written<'a> {
    progress: Progress,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Read {
    progress: Progress,
}

impl Progress {
    /// Appends it to `out` as one frame.
    pub fn encode_framed(self, id: Option<&Id>, out: &mut Vec<u8>) {
        let written = Written { progress: self, id: id.map(Id::raw) };
        framed(&written, out).expect("two numbers and a short mark fit into a frame");
    }

    /// Reads a frame that came before the answer; `None` if it is something else.
    pub fn decode(frame: &[u8]) -> Option<Progress> {
        serde_json::from_slice::<Read>(frame).ok().map(|read| read.progress)
    }
}
