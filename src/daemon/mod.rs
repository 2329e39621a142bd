//! (room to be furnished)

pub mod vet;
