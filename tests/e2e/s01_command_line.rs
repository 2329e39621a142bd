//! Command lines and exit codes of both programs.

use crate::harness::*;

#[test]
fn smoke() {
    let mut d = Daemon::start("[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n");
    d.wait_state("a", "RUNNING");
    d.wait_file("t");
    assert_eq!(d.terminate(), 0);
}
