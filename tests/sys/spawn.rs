//! Children that start: what they find.

use crate::arena::{self, Child, launch, plan, shell, status};
use crate::probe;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use supervice::engine::message::ExitStatus;
use supervice::sys::spawn::{ErrorOutput, Inherited, Output, Plan, spawn};
use supervice::sys::user::lookup;

#[test]
fn a_child_runs_and_its_output_comes_back() {
    let mut child = Child::with_output(&shell("echo hello; echo world >&2; exit 3"));
    assert_eq!(child.verdict(), Ok(()));
    assert_eq!(child.output(), "hello\nworld\n");
    assert_eq!(child.end(), ExitStatus::Code(3));
}

#[test]
fn stdout_and_stderr_can_go_separate_ways() {
    let plan = plan(&shell("echo out; echo err >&2"));
    let mut child = Child::from_plan(&plan, Output::Pipe, ErrorOutput::Separate(Output::Pipe));
    let mut error = Child::from_plan(&plan, Output::Null, ErrorOutput::Separate(Output::Pipe));
    assert_eq!(child.output(), "out\n");
    error.fresh.stdout = error.fresh.stderr.take();
    assert_eq!(error.output(), "err\n");
    child.fresh.stdout = child.fresh.stderr.take();
    assert_eq!(child.output(), "err\n");
}

#[test]
fn streams_can_be_the_daemons_own_descriptors() {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let plan = plan(&shell("echo out; echo err >&2"));
    let separate = ErrorOutput::Separate(Output::Inherit(err.as_raw_fd()));
    Child::from_plan(&plan, Output::Inherit(out.as_raw_fd()), separate).end();
    let mut text = String::new();
    out.rewind().unwrap();
    err.rewind().unwrap();
    out.read_to_string(&mut text).unwrap();
    text.push('|');
    err.read_to_string(&mut text).unwrap();
    assert_eq!(text, "out\n|err\n");
}

#[test]
fn a_child_has_a_session_three_descriptors_and_a_clean_slate_of_signals() {
    // Open in us and not to be closed on exec.
    let leaks: Vec<_> = (0..40).map(|_| nix::unistd::dup(std::io::stdin()).unwrap()).collect();
    let mut child = Child::spawn(&launch(&["sleep", "1000"]));
    assert_eq!(child.verdict(), Ok(()));
    drop(leaks);
    let pid = child.pid();
    // Its own loader opens libraries for a moment.
    arena::wait_for("three descriptors", || {
        (open_in(pid) == ["0 /dev/null", "1 /dev/null", "2 /dev/null"]).then_some(())
    });
    for key in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(status(pid, key), "0000000000000000", "{key}");
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!([fields[2], fields[3], fields[4]], [&pid.to_string(), &pid.to_string(), "0"], "pgrp, session, tty");
}

#[cfg(target_os = "linux")]
#[test]
fn the_clock_tells_the_start_of_a_child_as_proc_does() {
    use supervice::sys::identity;
    let mut told = 0;
    for _ in 0..20 {
        let child = Child::spawn(&launch(&["sleep", "1000"]));
        let seen = identity::stat(child.pid()).unwrap().unwrap().start;
        // A child that began as one tick became another has none.
        told += usize::from(child.fresh.start.is_some());
        assert_eq!(child.fresh.start.unwrap_or(seen), seen);
        assert_eq!(identity::start(child.pid(), child.fresh.start).unwrap(), Some(seen));
    }
    assert!(told > 0);
}

/// What a process has open, sorted.
fn open_in(pid: i32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(Result::unwrap);
    let described = entries.filter_map(|entry| {
        // It may be closed by now.
        let target = std::fs::read_link(entry.path()).ok()?;
        Some(format!("{} {}", entry.file_name().display(), target.display()))
    });
    let mut open: Vec<String> = described.collect();
    open.sort();
    open
}

#[test]
fn umask_and_limits_are_those_of_the_start_unless_set() {
    let mut launch = shell("umask; ulimit -Sn; ulimit -Hn");
    let hard = arena::inherited().nofile.hard;
    let mut inherited = Inherited { umask: 0o027, ..arena::inherited() };
    inherited.nofile.soft = 123;
    let run = |launch: &_| {
        let plan = Plan::prepare(launch, &inherited, None).unwrap();
        Child::from_plan(&plan, Output::Pipe, ErrorOutput::SameAsStdout).output()
    };
    assert_eq!(run(&launch), format!("0027\n123\n{hard}\n"));
    launch.umask = Some(0);
    assert_eq!(run(&launch), format!("0000\n123\n{hard}\n"));
}

#[test]
fn the_environment_is_composed_and_scrubbed() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let mut inherited = arena::inherited();
    inherited.environment.push(("X".into(), OsString::from_vec(vec![0xff, b'x'])));
    inherited.environment.push(("OVER".into(), "old".into()));
    let mut launch = launch(&["/usr/bin/env", "-0"]);
    launch.env.insert("OVER".into(), "new = with = signs".into());
    launch.env.insert("EMPTY".into(), String::new());
    let environment = |launch: &_, marker| {
        let plan = Plan::prepare(launch, &inherited, None).unwrap();
        let fresh = spawn(&plan, Output::Pipe, ErrorOutput::SameAsStdout, marker).unwrap();
        let mut child = Child::from_fresh(fresh);
        let mut lines: Vec<Vec<u8>> = child.output_bytes().split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        lines.retain(|line| !line.is_empty() && !line.starts_with(b"PATH="));
        lines
    };
    let over = b"OVER=new = with = signs".to_vec();
    let empty = b"EMPTY=".to_vec();
    let all = [empty.clone(), over.clone(), b"X=\xffx".to_vec(), b"SUPERVICE_RUN=a.1".to_vec()];
    assert_eq!(environment(&launch, Some("a.1")), all);
    launch.clean_env = true;
    assert_eq!(environment(&launch, None), [empty, over]);
}

#[test]
fn a_program_of_a_user_has_all_ids_the_groups_no_rights_and_its_own_stdout() {
    if !probe::is_root() {
        return;
    }
    let nobody = lookup("nobody").unwrap().unwrap();
    let mut launch = shell("echo $HOME $USER $LOGNAME $SHELL > /dev/stdout; echo late >&2; exec sleep 1000");
    launch.user = Some("nobody".into());
    launch.env.insert("SHELL".into(), "given".into());
    let mut child = Child::with_output(&launch);
    assert_eq!(child.verdict(), Ok(()));
    let (uid, gid) = (nobody.uid, nobody.gid);
    assert_eq!(child.line_with("late"), format!("{} nobody nobody given\nlate\n", nobody.home.display()));
    let pid = child.pid();
    assert_eq!(status(pid, "Uid"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(status(pid, "Gid"), format!("{gid} {gid} {gid} {gid}"));
    let groups: Vec<String> = nobody.groups.iter().map(u32::to_string).collect();
    assert_eq!(status(pid, "Groups"), groups.join(" "));
    for key in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status(pid, key), "0000000000000000", "{key}");
    }
}

#[test]
fn no_new_privs_only_where_it_was_asked_for() {
    let mut launch = launch(&["sleep", "1000"]);
    for (wish, shown) in [(true, "1"), (false, "0")] {
        launch.no_new_privs = wish;
        let mut child = Child::spawn(&launch);
        assert_eq!(child.verdict(), Ok(()));
        assert_eq!(status(child.pid(), "NoNewPrivs"), shown);
    }
}

#[test]
fn the_command_is_found_in_the_directory_and_on_the_childs_own_path() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("tool");
    arena::script(&tool, 0o755, "#!/bin/sh\\npwd; echo \"$0\"");
    let mut by_path = launch(&["tool"]);
    by_path.env.insert("PATH".into(), format!("relative::{}", folder.path().display()));
    by_path.directory = Some("/".into());
    assert_eq!(Child::with_output(&by_path).output(), format!("/\n{}\n", tool.display()));
    let mut by_folder = launch(&["./tool"]);
    by_folder.directory = Some(folder.path().into());
    assert_eq!(Child::with_output(&by_folder).output(), format!("{}\n./tool\n", folder.path().display()));
}

#[test]
fn a_daemon_started_in_a_poisoned_world_starts_clean_children() {
    if !probe::has("env") {
        return;
    }
    let words = "umask 000; ulimit -Sn 333; exec 5</dev/null 6</dev/null 9</dev/null; exec env \
                 --block-signal=TERM,USR1,CHLD --ignore-signal=HUP,PIPE,CHLD,USR2,XFSZ NOTIFY_SOCKET=/x LISTEN_FDS=3 \
                 LISTEN_PID=$$ JOURNAL_STREAM=1:2 WATCHDOG_USEC=1 INVOCATION_ID=1 SUPERVICE_OLD=1 KEPT=yes \
                 X=\"$(printf '\\377')\" \"$0\" spawn - - sh -c \
                 'grep -E \"Sig(Blk|Ign|Cgt)\" /proc/self/status; umask; ulimit -Sn; for n in $(seq 0 40); do test ! -e /proc/$$/fd/$n || echo open $n; done; env'";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", words]).arg(probe::path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "0000", "333", "KEPT=yes", "verdict ok"] {
        assert!(said.lines().any(|found| found == line), "{line}: {output:?}");
    }
    let open: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("open ")).collect();
    assert_eq!(open, ["0", "1", "2"]);
    for name in ["NOTIFY_SOCKET", "LISTEN_", "JOURNAL_STREAM", "WATCHDOG_", "INVOCATION_ID", "SUPERVICE_OLD"] {
        assert!(!said.lines().any(|line| line.starts_with(name)), "{name}");
    }
    assert!(said.contains("end Code(0)"), "{said}");
}

#[test]
fn a_child_dies_with_its_daemon_also_as_another_user() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    for user in ["-", "nobody"] {
        if user != "-" && !probe::is_root() {
            continue;
        }
        let mut command = probe::command(&["pdeathsig", user]);
        let mut daemon = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().to_owned();
        assert!(arena::is_alive(&pid), "{user}: {line:?}");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        arena::wait_for("the death of the child", || (!arena::is_alive(&pid)).then_some(()));
    }
}

#[test]
fn a_plan_serves_many_spawns_and_a_null_in_a_marker_is_an_error() {
    let plan = plan(&shell("exit 5"));
    for _ in 0..20 {
        assert_eq!(Child::from_plan(&plan, Output::Null, ErrorOutput::SameAsStdout).end(), ExitStatus::Code(5));
    }
    assert!(spawn(&plan, Output::Null, ErrorOutput::SameAsStdout, Some("a\0b")).is_err());
}
