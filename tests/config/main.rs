//! Configurations: the dialect against Python, every option, every message, and what the machine has to say.
#![allow(clippy::unwrap_used)]

mod dialect;
mod differences;
mod differential;
mod docs;
mod generator;
mod machine;
mod messages;
mod numbers;
mod oracle;
mod properties;
mod specs;
