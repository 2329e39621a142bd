//! The order of a child's steps, as the kernel sees it.

use crate::probe;
use std::process::Command;

#[test]
fn a_child_takes_its_steps_in_the_one_right_order() {
    if !probe::is_root() || !probe::has("strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    // A file for each process: in a common one, calls are torn apart by those of others.
    strace.args(["-ff", "-qq", "-o"]).arg(&trace).arg(probe::path());
    strace.args(["spawn", "nobody", "/tmp", "/bin/true"]);
    let said = probe::said(strace);
    let pid = said.lines().find_map(|line| line.strip_prefix("pid ")).unwrap();
    let text = std::fs::read_to_string(trace.with_extension(pid)).unwrap();
    let end = text.lines().position(|line| line.starts_with("execve(")).unwrap();
    let calls: Vec<&str> = text.lines().take(end + 1).collect();
    assert_in_order(&calls, &steps());
    // Nothing but these may happen in a child: no allocation, no file but /dev/null.
    for call in &calls {
        let name = call.split('(').next().unwrap();
        assert!(known().contains(&name), "{call}");
    }
}

/// A start of each line, in the order in which they must come.
fn steps() -> Vec<&'static str> {
    let portable = cfg!(feature = "portable");
    let pick = |own, other| if portable { other } else { own };
    vec![
        "setsid()",
        // Ignored by every Rust program; what has its default already is left alone.
        "rt_sigaction(SIGPIPE, {sa_handler=SIG_DFL",
        "openat(AT_FDCWD, \"/dev/null\"",
        pick("dup3(", "dup2("),
        pick("dup3(", "dup2("),
        pick("dup3(", "dup2("),
        pick("dup3(", "dup2("),
        pick("close_range(4, 4294967295", "close("),
        "prlimit64(0, RLIMIT_NOFILE, {",
        "setgroups(",
        pick("setresgid(", "setgid("),
        pick("setresuid(", "setuid("),
        pick("getresuid(", "getuid("),
        "getgroups(",
        "setuid(0)",
        "prctl(PR_SET_NO_NEW_PRIVS, 1",
        "prctl(PR_SET_PDEATHSIG, SIGKILL",
        "getppid()",
        "chdir(\"/tmp\")",
        "umask(",
        "rt_sigprocmask(SIG_SETMASK, []",
        "newfstatat(AT_FDCWD, \"/bin/true\"",
        "execve(\"/bin/true\"",
    ]
}

fn known() -> Vec<&'static str> {
    let mut known: Vec<&str> = steps().iter().map(|step| step.split('(').next().unwrap()).collect();
    // libc's fork sets these for the new thread; the rest are the other halves of the checks.
    known.extend([
        "set_robust_list",
        "rseq",
        "gettid",
        "getresgid",
        "geteuid",
        "getgid",
        "getegid",
        "fcntl",
        "rt_sigprocmask",
    ]);
    known.extend(["exit_group", "close", "getpid"]);
    known
}

fn assert_in_order(calls: &[&str], steps: &[&str]) {
    let mut rest = calls.iter();
    for step in steps {
        assert!(rest.any(|call| call.starts_with(step)), "{step} is missing or too early in {calls:#?}");
    }
}
