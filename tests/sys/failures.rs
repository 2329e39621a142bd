//! Children that do not start: where it failed, what follows, and how it reads.

use crate::arena::{Child, launch, plan, script, shell};
use crate::probe;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use supervice::engine::message::FailureClass::{Ordinary, Permanent, Shortage};
use supervice::engine::message::{ExitStatus, FailureClass, SpawnStage};
use supervice::spec::Launch;
use supervice::sys::spawn::{ErrorOutput, Output, Plan, describe, resolve_user};

/// Stage, error number, class and text of a start that fails.
fn failure(launch: &Launch) -> (SpawnStage, i32, FailureClass, String) {
    let plan = plan(launch);
    let mut child = Child::from_plan(&plan, Output::Null, ErrorOutput::SameAsStdout);
    let error = child.verdict().unwrap_err();
    let text = describe(&error, &plan.subject(&error, child.fresh.verdict.candidate()));
    assert_eq!(child.end(), ExitStatus::Code(127));
    (error.stage, error.errno, error.class, text)
}

fn assert_fails(launch: &Launch, stage: SpawnStage, errno: i32, class: FailureClass, text: &str) {
    let (found_stage, found_errno, found_class, found_text) = failure(launch);
    assert_eq!((found_stage, found_errno, found_class), (stage, errno, class), "{found_text}");
    assert_eq!(found_text, text);
}

#[test]
fn each_way_to_fail_has_its_stage_its_class_and_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let exec = SpawnStage::Exec;

    let path = at("missing");
    let text = format!("exec of {path}: ENOENT (No such file or directory)");
    assert_fails(&launch(&[&path]), exec, libc::ENOENT, Ordinary, &text);

    let path = at("plain");
    script(folder.path().join("plain").as_path(), 0o644, "#!/bin/sh");
    assert_fails(
        &launch(&[&path]),
        exec,
        libc::EACCES,
        Permanent,
        &format!("exec of {path}: EACCES (Permission denied)"),
    );

    let path = at("garbage");
    script(folder.path().join("garbage").as_path(), 0o755, "garbage");
    let text = format!("exec of {path}: ENOEXEC (Exec format error)");
    assert_fails(&launch(&[&path]), exec, libc::ENOEXEC, Permanent, &text);

    let path = at("loop");
    symlink(&path, &path).unwrap();
    assert_eq!(failure(&launch(&[&path])).1, libc::ELOOP);
    assert_eq!(failure(&launch(&[&path])).2, Permanent);

    let path = at("orphaned");
    script(folder.path().join("orphaned").as_path(), 0o755, "#!/no/such/interpreter");
    let text = format!("exec of {path}: the file is there, its interpreter is not");
    assert_fails(&launch(&[&path]), SpawnStage::Interpreter, libc::ENOENT, Permanent, &text);

    let mut nowhere = shell("true");
    nowhere.directory = Some(at("missing").into());
    let text = format!("change to directory {}: ENOENT (No such file or directory)", at("missing"));
    assert_fails(&nowhere, SpawnStage::Directory, libc::ENOENT, Ordinary, &text);
    nowhere.directory = Some(at("plain").into());
    assert_eq!(failure(&nowhere).1, libc::ENOTDIR);

    let huge = "x".repeat(200_000);
    let text = "exec of /bin/true: E2BIG (Argument list too long)";
    assert_fails(&launch(&["/bin/true", &huge]), exec, libc::E2BIG, Permanent, text);
}

#[test]
fn a_binary_that_is_being_written_is_tried_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("busy");
    std::fs::copy("/bin/true", &path).unwrap();
    let writer = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let (stage, errno, class, _) = failure(&launch(&[path.to_str().unwrap()]));
    drop(writer);
    assert_eq!((stage, errno, class), (SpawnStage::Exec, libc::ETXTBSY, Shortage));
}

#[test]
fn a_search_goes_on_after_a_file_that_may_not_be_run_and_remembers_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    script(&first.join("tool"), 0o644, "#!/bin/sh");
    let mut search = launch(&["tool"]);
    let path = format!("/no/such:/etc/passwd:{}:{}", first.display(), second.display());
    search.env.insert("PATH".into(), path);
    let text = format!("exec of {}/tool: EACCES (Permission denied)", first.display());
    assert_fails(&search, SpawnStage::Exec, libc::EACCES, Permanent, &text);

    script(&second.join("tool"), 0o755, "#!/bin/sh\\nexit 6");
    let mut child = Child::spawn(&search);
    assert_eq!(child.verdict(), Ok(()));
    assert_eq!(child.end(), ExitStatus::Code(6));
}

#[test]
fn a_command_in_the_working_directory_is_not_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    script(&folder.path().join("planted"), 0o755, "#!/bin/sh");
    let mut planted = launch(&["planted"]);
    planted.directory = Some(folder.path().into());
    for path in ["", ":", ".", "./", "::.:"] {
        planted.env.insert("PATH".into(), path.into());
        let text = "exec of planted: ENOENT (No such file or directory)";
        assert_fails(&planted, SpawnStage::Exec, libc::ENOENT, Ordinary, text);
    }
}

#[test]
fn root_runs_nothing_that_others_may_write() {
    if !probe::is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    script(&path, 0o757, "#!/bin/sh");
    let text = format!("refused to run {} as root: others may write it", path.display());
    let command = launch(&[path.to_str().unwrap()]);
    assert_fails(&command, SpawnStage::UnsafeCommand, libc::EPERM, Permanent, &text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Child::spawn(&command).verdict(), Ok(()));
}

#[test]
fn a_user_nobody_knows_never_becomes_root() {
    let mut unknown = shell("true");
    for name in ["0day", "999999", ""] {
        unknown.user = Some(name.into());
        let error = resolve_user(&unknown).unwrap_err();
        assert_eq!((error.stage, error.class), (SpawnStage::User, Permanent), "{name}");
        let error = Plan::prepare(&unknown, &crate::arena::inherited(), None).unwrap_err();
        assert_eq!(error.stage, SpawnStage::User, "{name}");
    }
}

#[test]
fn a_switch_that_the_kernel_only_pretends_is_noticed() {
    if !probe::is_root() || !probe::has("strace") {
        return;
    }
    // Which calls switch, differs between the two builds.
    let calls = if cfg!(feature = "portable") { ["setuid", "setgid"] } else { ["setresuid", "setresgid"] };
    for call in calls.into_iter().chain(["setgroups"]) {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:retval=0")]);
        strace.arg(probe::path()).args(["spawn", "nobody", "-", "sh", "-c", "echo ran"]);
        let said = probe::said(strace);
        assert!(said.contains("verdict VerifyUser 1 Permanent: the switch to user nobody did not take"), "{said}");
        assert!(!said.contains("ran"), "{said}");
    }
}

#[test]
fn a_refused_switch_is_told_with_its_stage() {
    if !probe::is_root() || !probe::has("strace") {
        return;
    }
    let calls = if cfg!(feature = "portable") { ["setuid", "setgid"] } else { ["setresuid", "setresgid"] };
    for (call, stage) in calls.into_iter().zip(["UserId", "GroupId"]).chain([("setgroups", "Groups")]) {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:error=EINVAL")]);
        strace.arg(probe::path()).args(["spawn", "nobody", "-", "true"]);
        let said = probe::said(strace);
        assert!(said.contains(&format!("verdict {stage} 22 Permanent")), "{said}");
    }
}

#[test]
fn a_child_killed_on_the_way_tells_how_far_it_came() {
    if !probe::has("strace") {
        return;
    }
    // The child is killed by the tracer as it enters the call.
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=chdir:signal=KILL"]);
    strace.arg(probe::path()).args(["spawn", "-", "/tmp", "true"]);
    let said = probe::said(strace);
    let text = "verdict Directory 0 Ordinary: change to directory /tmp: the process ended before it was done";
    assert!(said.contains(text), "{said}");
    assert!(said.contains("end Signal { number: 9"), "{said}");
}

#[test]
fn a_child_whose_daemon_is_gone_already_does_not_start() {
    if !probe::has("strace") {
        return;
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=getppid:retval=1"]);
    strace.arg(probe::path()).args(["spawn", "-", "-", "echo", "ran"]);
    let said = probe::said(strace);
    assert!(said.contains("verdict ParentDeath 3 Ordinary") && !said.contains("ran"), "{said}");
}

#[test]
fn a_slow_exec_holds_nobody_up() {
    if !probe::has("strace") {
        return;
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-P", "/bin/true", "-e", "trace=execve"]);
    strace.args(["-e", "inject=execve:delay_enter=1000000", "-r"]);
    strace.arg(probe::path()).args(["spawn-time", "/bin/true"]);
    let said = probe::said(strace);
    let millis: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(millis[0] < 500 && millis[1] >= 900, "spawn {} ms, verdict {} ms", millis[0], millis[1]);
}

#[test]
fn a_thousand_failed_starts_leave_no_descriptor_behind() {
    let said = probe::said(probe::command(&["failures", "1000"]));
    let (least, most) = said.trim().split_once(' ').unwrap();
    assert_eq!(least, most);
}

#[test]
fn no_room_for_a_descriptor_is_a_shortage() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 5; exec \"$0\" shortage"]).arg(probe::path());
    assert_eq!(probe::said(command), "Pipe Shortage\n");
}
