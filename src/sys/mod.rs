//! System calls and every `unsafe` of the house.

pub mod connect;
pub mod files;
pub mod folder;
pub mod fsuid;
pub mod log_file;
pub mod standard;
