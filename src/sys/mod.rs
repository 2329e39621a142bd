//! (room to be furnished)
pub mod connect;
