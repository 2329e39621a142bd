//! The engine decides; it does nothing. Inputs and the time go in, effects and the next deadline come out.

pub mod id;
pub mod message;
pub mod policy;
pub mod time;
