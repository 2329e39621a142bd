//! The client's entry.
fn main() {}
