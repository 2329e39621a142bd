//! What goes over the control socket: frames, requests, replies. Bytes in, types out, and back.
//!
//! Nothing here opens or reads a socket. Everything from outside ends as a value: a request, or a rejection with a
//! code, never a panic, and never more memory or time than a small multiple of one frame.

pub mod answer;
pub mod base64;
pub mod chunk;
pub mod frame;
mod json;
pub mod notice;
pub mod reply;
pub mod request;
pub mod text;

pub use answer::{Answer, Row};
pub use chunk::Chunk;
pub use frame::{Decoder, MAX_FRAME, TooLarge, encode_frame};
pub use reply::{ErrorCode, HealthDetail, ProcessRow, Reply, RowDetail};
pub use request::{Envelope, Id, Rejection, Request, StatusQuery, Stream, TailQuery, decode};
