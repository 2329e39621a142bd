//! What goes over the control socket: frames, requests, replies. Bytes in, types out, and back.
//!
//! Nothing here opens or reads a socket. Everything from outside ends as a value: a request, or a rejection with a
//! code, never a panic, and never more memory or time than a small multiple of one frame.

pub mod answer;
pub mod base64;
pub mod chunk;
pub mod condition;
pub mod description;
pub mod exposition;
pub mod frame;
pub mod history;
pub mod info;
mod json;
pub mod notice;
pub mod occurrence;
pub mod picture;
pub mod progress;
pub mod reload;
pub mod reply;
pub mod request;
mod rows;
mod spoken;
pub mod text;
pub mod told;
mod verb;

pub use answer::{Answer, Row, Verdict};
pub use chunk::Chunk;
pub use condition::{Condition, Goal};
pub use description::{Description, Setting, Variable};
pub use frame::{Decoder, MAX_FRAME, TooLarge, encode_frame};
pub use info::SelfPortrait;
pub use occurrence::{EventPiece, EventQuery, Occurrence};
pub use progress::Progress;
pub use reply::{ErrorCode, HealthDetail, ProcessRow, Reply, RowDetail, Told};
pub use request::{
    Envelope, Id, LogDeed, Rejection, Request, SignalOrder, StatusQuery, Stream, TailQuery, Verb, decode,
};
pub use rows::encode_status;
