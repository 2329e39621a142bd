//! The client's entry.
fn main() -> std::process::ExitCode {
    supervice::ctl::run(std::env::args_os().skip(1).collect()).into()
}
