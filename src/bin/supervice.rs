//! The daemon's entry.

fn main() {
    std::process::exit(supervice::daemon::boot::main());
}
