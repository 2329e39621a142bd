//! The kernel layer against the real kernel: real children, real locks, real sockets.

mod arena;
mod spawn;
