//! Configurations: the dialect against Python, every option, every message, and what the machine has to say.

mod dialect;
mod differential;
mod generator;
mod oracle;
