//! Running a program to its end, with a deadline.

use super::process;
use super::wait::wait_for;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Ran {
    /// 128 + signal if a signal ended it, as a shell counts.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// Files, not pipes: a grandchild that keeps a pipe must not keep the test.
#[track_caller]
pub fn run(command: &mut Command, deadline: Duration) -> Ran {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
    let file = |path| File::create(path).expect("a temporary file can be made");
    let begun = Instant::now();
    command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
    let mut child = command.spawn().unwrap_or_else(|problem| panic!("{command:?}: {problem}"));
    let status = wait_for(deadline, || child.try_wait().expect("our own child can be waited for"));
    let took = begun.elapsed();
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let Some(status) = status else {
        process::kill(child.id() as i32);
        let _ = child.wait();
        panic!("{command:?} did not end within {deadline:?}; it said {:?} {:?}", read(&out), read(&err));
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ran { code, stdout: read(&out), stderr: read(&err), took }
}
