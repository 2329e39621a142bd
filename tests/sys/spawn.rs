//! Children: how they are made, what they find, how they fail.

use crate::arena::{Child, shell};
use supervice::engine::message::ExitStatus;

#[test]
fn a_child_runs_and_its_output_comes_back() {
    let mut child = Child::with_output(&shell("echo hello; exit 3"));
    assert_eq!(child.verdict(), Ok(()));
    assert_eq!(child.output(), "hello\n");
    assert_eq!(child.end(), ExitStatus::Code(3));
}
