//! Every message a configuration can draw, errors and warnings, each with the line it points at.

use std::path::Path;
use supervice::config::{Draft, draft};
use supervice::spec::Problem;

pub fn read(text: &str) -> Draft {
    draft(text.as_bytes(), Path::new("/srv"))
}

pub fn rendered(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.render("conf")).collect()
}

fn errors(text: &str) -> Vec<String> {
    rendered(&read(text).problems)
}

fn warnings(text: &str) -> Vec<String> {
    let draft = read(text);
    assert_eq!(draft.problems, [], "{text}");
    rendered(&draft.config.warnings)
}

#[test]
fn what_is_no_configuration_is_an_error() {
    for (text, expected) in [
        ("x=1\ny=2\n", "conf:1: text before the first section (a line such as [supervice] comes first)"),
        (
            "[supervice]\njunk\n",
            "conf:2: [supervice] `junk` has no `=` or `:` (OPTION = VALUE; a line that continues a value is indented)",
        ),
        ("[supervice]\n[oops\n", "conf:2: [supervice] `[oops` is no section header ([NAME])"),
        ("[supervice]\n=1\n", "conf:2: [supervice] `=1` names no option (OPTION = VALUE)"),
        (
            "[supervice]\nlogfile=a\nLogfile=b\n",
            "conf:3: [supervice] logfile: given twice (line 2 has it already; keep one)",
        ),
        (
            "[supervice]\n[supervice]\n",
            "conf:2: [supervice] the section is given twice (line 1 has it already; keep one)",
        ),
        ("[supervice]\nlogfile=a\0b\n", "conf:2: [supervice] the line contains a NUL byte (plain text without it)"),
    ] {
        assert_eq!(errors(text)[0], expected, "{text:?}");
    }
    let latin = draft(b"[supervice]\nlogfile=\xe9\n", Path::new("/srv"));
    assert_eq!(rendered(&latin.problems), ["conf:2: [supervice] the line is not UTF-8 (save the file as UTF-8)"]);
}

#[test]
fn a_wrong_value_is_an_error_in_its_line() {
    for (option, expected) in [
        ("command =", "command: is empty (a program and its arguments, quoted as in a shell)"),
        ("command = ''", "command: `''` names no program (a program and its arguments)"),
        (
            "command = 'a",
            "command: `'a` has no closing quotation mark (close it, or write \\' or \\\" for the character itself)",
        ),
        (
            "command = a\\",
            "command: `a\\` ends in a backslash that escapes nothing (write \\\\ for the character itself)",
        ),
        ("numprocs = 0", "numprocs: `0` is too small (a whole number from 1 to 100000)"),
        ("numprocs = 100001", "numprocs: `100001` is too large (a whole number from 1 to 100000)"),
        ("numprocs = two", "numprocs: `two` is no whole number (a whole number from 1 to 100000)"),
        ("startretries = -1", "startretries: `-1` is negative (a whole number from 0 to 1000000)"),
        ("autostart = ture", "autostart: `ture` is neither yes nor no (true, 1, yes, on, false, 0, no or off)"),
        ("autostart =", "autostart: is empty (true, 1, yes, on, false, 0, no or off)"),
        (
            "autorestart = maybe",
            "autorestart: `maybe` is none of the choices (true, 1, yes, on, false, 0, no, off or unexpected)",
        ),
        ("exitcodes = 256", "exitcodes: `256` is no exit code (numbers from 0 to 255, separated by commas)"),
        ("startsecs = 1e3", "startsecs: `1e3` is no number of seconds (seconds from 0 to 31536000, such as 10 or 0.5)"),
        ("startsecs = 31536001", "startsecs: `31536001` is too long (seconds from 0 to 31536000, such as 10 or 0.5)"),
        ("startsecs = -0.1", "startsecs: `-0.1` is negative (seconds from 0 to 31536000, such as 10 or 0.5)"),
        (
            "healthcheck_interval = 0.5",
            "healthcheck_interval: `0.5` is too short (seconds from 1 to 31536000, such as 10 or 1.5)",
        ),
        (
            "stopsignal = FOO",
            "stopsignal: `FOO` is no signal of this system (a name such as TERM, SIGHUP or RTMIN+1, or its number)",
        ),
        (
            "stdout_logfile_maxbytes = 1T",
            "stdout_logfile_maxbytes: `1T` is no size (bytes up to 1024GB, such as 1048576, 500KB, 50MB or 1GB; 0 for no rotation)",
        ),
        (
            "stderr_logfile = a\n  b",
            "stderr_logfile: `a\\nb` holds a line break or another control character (one path)",
        ),
        ("environment = A=1,B", "environment: `B` has no `=` (NAME=VALUE,NAME2=\"VALUE, TWO\")"),
        ("env_file = a\n  b", "env_file: `a\\nb` holds a line break or another control character (one path)"),
        ("user =", "user: is empty (the name of a user)"),
        ("user = a b", "user: `a b` is no name of a user (one name, as `id -un` prints it)"),
        ("umask = 9", "umask: `9` is no umask (octal from 000 to 777, such as 022)"),
        ("reconcile = never", "reconcile: `never` is none of the choices (auto, kill, warn or off)"),
        ("ready = soon", "ready: `soon` is none of the choices (startsecs, notify or healthcheck)"),
        (
            "ready = healthcheck",
            "ready: there is no health check to wait for (ready = healthcheck needs healthcheck_type = tcp, script or http)",
        ),
        ("ready_timeout = 0", "ready_timeout: `0` is too short (seconds above 0 to 31536000, such as 10 or 0.5)"),
        ("healthcheck_type = udp", "healthcheck_type: `udp` is none of the choices (none, tcp, script or http)"),
        ("healthcheck_port = 0", "healthcheck_port: `0` is too small (a whole number from 1 to 65535)"),
        (
            "healthcheck_host = a b",
            "healthcheck_host: `a b` is no host (a name such as localhost, or an address such as 127.0.0.1 or ::1)",
        ),
        (
            "healthcheck_url = https://x",
            "healthcheck_url: https is not supported (an http:// address, or healthcheck_type = script with a client of your choice)",
        ),
        (
            "healthcheck_path = x",
            "healthcheck_path: `x` is no path of a request (begins with /, without blanks; others as %XX)",
        ),
        (
            "healthcheck_status = ok",
            "healthcheck_status: `ok` is no HTTP status (100 to 599, such as 204, 200-299 or 2xx, separated by commas)",
        ),
    ] {
        let command = if option.starts_with("command") { "" } else { "command = sleep 1\n" };
        let line = if command.is_empty() { 2 } else { 3 };
        let text = format!("[program:x]\n{command}{option}\n");
        assert_eq!(errors(&text), [format!("conf:{line}: [program:x] {expected}")], "{option}");
    }
}

#[test]
fn what_is_missing_is_an_error_at_its_section() {
    for (text, expected) in [
        ("[program:x]", "command: is missing (a program and its arguments)"),
        (
            "[program:x]\ncommand=a\nhealthcheck_type=tcp",
            "healthcheck_port: is missing (healthcheck_type = tcp needs a port, 1 to 65535)",
        ),
        (
            "[program:x]\ncommand=a\nhealthcheck_type=script",
            "healthcheck_command: is missing (healthcheck_type = script needs a command for /bin/sh -c)",
        ),
        (
            "[program:x]\ncommand=a\nhealthcheck_type=http",
            "healthcheck_url: is missing (healthcheck_type = http needs http://HOST:PORT/PATH, or healthcheck_port)",
        ),
    ] {
        assert_eq!(errors(text), [format!("conf:1: [program:x] {expected}")], "{text:?}");
    }
    // An empty port means that none is given; an empty command is an error of its own.
    let text = "[program:x]\ncommand=a\nhealthcheck_type=tcp\nhealthcheck_port=";
    assert_eq!(
        errors(text),
        ["conf:4: [program:x] healthcheck_port: is missing (healthcheck_type = tcp needs a port, 1 to 65535)"]
    );
    let text = "[program:x]\ncommand=a\nhealthcheck_type=script\nhealthcheck_command=";
    assert_eq!(errors(text), ["conf:4: [program:x] healthcheck_command: is empty (a command line for /bin/sh -c)"]);
}

#[test]
fn the_daemons_own_section_is_checked() {
    for (option, expected) in [
        ("loglevel = loud", "loglevel: `loud` is none of the choices (DEBUG, INFO, WARNING, WARN, ERROR or CRITICAL)"),
        ("shutdown_timeout = 0", "shutdown_timeout: `0` is too short (seconds above 0 to 31536000, such as 10 or 0.5)"),
        ("log_backups = x", "log_backups: `x` is no whole number (a whole number from 0 to 1000000)"),
        ("socket =", "socket: is empty (a path)"),
        ("state_file =", "state_file: is empty (a path)"),
    ] {
        assert_eq!(errors(&format!("[supervice]\n{option}")), [format!("conf:2: [supervice] {expected}")]);
    }
    let most = supervice::config::daemon_section::MAX_SOCKET_PATH;
    assert_eq!(errors(&format!("[supervice]\nsocket=/{}", "s".repeat(most - 1))), [""; 0]);
    let expected = format!("the path has {} bytes (at most {most}: the kernel takes no more)", most + 1);
    assert_eq!(
        errors(&format!("[supervice]\nsocket=/{}", "s".repeat(most))),
        [format!("conf:2: [supervice] socket: {expected}")]
    );
}

#[test]
fn names_are_checked() {
    for (text, expected) in [
        ("[program:]\ncommand=a", "conf:1: [program:] the section has no name ([program:NAME] or [group:NAME])"),
        ("[program: ]\ncommand=a", "conf:1: [program: ] the section has no name ([program:NAME] or [group:NAME])"),
        (
            "[program:a\tb]\ncommand=a",
            "conf:1: [program:a\\tb] the name `a\\tb` holds a control character (plain text)",
        ),
        (
            "[group:\x1b]\nprograms=\n",
            "conf:1: [group:\\u{1b}] the name `\\u{1b}` holds a control character (plain text)",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text:?}");
    }
    let (good, bad) = ("n".repeat(255), "n".repeat(256));
    assert_eq!(errors(&format!("[program:{good}]\ncommand=a")), [""; 0]);
    assert_eq!(
        errors(&format!("[program:{bad}]\ncommand=a")),
        [format!("conf:1: [program:{bad}] the name has 256 bytes (at most 255)")]
    );
    let huge = errors(&format!("[program:{}]\ncommand=a", "n".repeat(1000)));
    assert!(
        huge[0].starts_with("conf:1: `program:nnnn")
            && huge[0].ends_with("…` is too long a section name (at most 255 bytes)"),
        "{huge:?}"
    );
}

#[test]
fn two_processes_with_one_name_are_an_error() {
    let text = "[program:a]\ncommand=x\nnumprocs=2\n[program:a:01]\ncommand=y\n";
    assert_eq!(
        errors(text),
        ["conf:4: [program:a:01] process `a:01` is there already (from line 1; one name for one process)"]
    );
}

#[test]
fn groups_are_checked() {
    let program = "[program:web]\ncommand=a\n";
    for (group, expected) in [
        ("[group:g]", "conf:3: [group:g] programs: is missing (the programs of the group, separated by commas)"),
        ("[group:g]\nprograms=web,wbe", "conf:4: [group:g] programs: there is no program `wbe` (nearest: `web`)"),
    ] {
        assert_eq!(errors(&format!("{program}{group}")), [expected]);
    }
    assert_eq!(
        errors("[group:g]\nprograms=x"),
        ["conf:2: [group:g] programs: there is no program `x` (there is none)"]
    );
}

#[test]
fn limits_hold_at_their_edge() {
    let program = |numprocs: u32, name: &str| format!("[program:{name}]\ncommand=a\nnumprocs={numprocs}\n");
    assert_eq!(errors(&program(100_000, "a")), [""; 0]);
    let together = errors(&(program(99_999, "a") + &program(2, "b")));
    assert_eq!(
        together,
        ["conf:6: [program:b] numprocs: all programs together have more than 100000 instances (that is the limit)"]
    );
    let large = format!("[program:a]\nnumprocs=300\ncommand=a\nenvironment=A={}\n", "x".repeat(1_000_000));
    assert_eq!(
        errors(&large),
        [
            "conf:2: [program:a] numprocs: commands, environments, paths and checks of all instances together are too large (256 MiB is the limit)"
        ]
    );
    let large = "x".repeat(1_000_000);
    for option in ["healthcheck_type=script\nhealthcheck_command", "stdout_logfile", "directory", "env_file"] {
        let told = errors(&format!("[program:a]\nnumprocs=300\ncommand=a\n{option}={large}\n"));
        assert!(told.len() == 1 && told[0].contains("256 MiB is the limit"), "{option}: {told:?}");
    }
    let sections = |count: usize| (0..count).map(|i| format!("[group:{i}]\nprograms=\n")).collect::<String>();
    assert_eq!(errors(&sections(10_000)), [""; 0]);
    assert_eq!(
        errors(&sections(10_001)),
        ["conf:20001: [group:9999] more than 10000 sections (the rest was not read)"]
    );
    let line = |length: usize| format!("[supervice]\n#{}\n", "c".repeat(length - 1));
    assert_eq!(errors(&line(1 << 20)), [""; 0]);
    assert_eq!(
        errors(&line((1 << 20) + 1)),
        ["conf:2: [supervice] the line is longer than 1048576 bytes (1 MiB is the limit)"]
    );
    assert_eq!(errors(&"\n".repeat(4 << 20)), [""; 0]);
    assert_eq!(
        errors(&"\n".repeat((4 << 20) + 1)),
        ["conf: is larger than 4194304 bytes (a configuration has at most 4 MiB)"]
    );
}

#[test]
fn many_problems_are_counted() {
    let many = errors(&("[supervice]\n".to_owned() + &"junk\n".repeat(5_000)));
    assert_eq!(many.len(), 1_001);
    assert_eq!(many[1_000], "conf: 4000 more errors are not listed");
}

#[test]
fn all_problems_come_at_once_and_in_order() {
    let text = "[DEFAULT]\nstartsecs=x\n[supervice]\nloglevel=loud\n[program:a]\ncommand='\nnumprocs=0\njunk\n[program:b]\n[group:g]\nprograms=c\n";
    let lines: Vec<usize> = read(text).problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 4, 6, 7, 8, 9, 11]);
    let inherited = errors(text).remove(0);
    assert_eq!(
        inherited,
        "conf:2: [DEFAULT] startsecs: `x` is no number of seconds (seconds from 0 to 31536000, such as 10 or 0.5)"
    );
}

#[test]
fn a_wrong_instance_is_told_once() {
    let text = "[program:a]\nnumprocs=50\ncommand=x\nhealthcheck_type=tcp\nhealthcheck_port=9%(process_num)s9\n";
    assert_eq!(errors(text), [""; 0]);
    let text = text.replace("=9%", "=9999%");
    assert_eq!(
        errors(&text),
        ["conf:5: [program:a] healthcheck_port: `9999009` is too large (a whole number from 1 to 65535)"]
    );
}

#[test]
fn names_nobody_knows_are_warned_of() {
    for (text, expected) in [
        (
            "[program:x]\ncommand=a\ncomand=b",
            "conf:3: [program:x] comand: nobody knows this option, it is left out (nearest: `command`)",
        ),
        (
            "[supervice]\nstartsecs=1",
            "conf:2: [supervice] startsecs: nobody knows this option, it is left out (it belongs into [program:NAME])",
        ),
        (
            "[DEFAULT]\nlog_level=1",
            "conf:2: [DEFAULT] log_level: nobody knows this option, it is left out (nearest: `loglevel`)",
        ),
        (
            "[supervisord]\nx=1",
            "conf:1: [supervisord] nobody knows this section, it is left out (nearest: `[supervice]`)",
        ),
        ("[Program:x]", "conf:1: [Program:x] nobody knows this section, it is left out (nearest: `[program:x]`)"),
        ("[groups]", "conf:1: [groups] nobody knows this section, it is left out (nearest: `[group:NAME]`)"),
        ("[default]", "conf:1: [default] nobody knows this section, it is left out (nearest: `[DEFAULT]`)"),
    ] {
        assert_eq!(warnings(text), [expected], "{text:?}");
    }
    // Whatever some section may inherit is known in [DEFAULT].
    assert_eq!(warnings("[DEFAULT]\nautostart=no\nloglevel=INFO\nprograms=\n"), [""; 0]);
}

#[test]
fn what_is_odd_is_warned_of() {
    for (options, expected) in [
        ("stdout_logfile =", "conf:3: [program:x] stdout_logfile: is empty, which means: not given"),
        ("environment =", "conf:3: [program:x] environment: is empty, which means: not given"),
        ("directory =", "conf:3: [program:x] directory: is empty, which means: not given"),
        ("exitcodes = 0,1", "conf:3: [program:x] exitcodes: decides about restarts only with autorestart = unexpected"),
        (
            "stderr_logfile = e\nredirect_stderr = yes",
            "conf:3: [program:x] stderr_logfile: has no effect with redirect_stderr = true",
        ),
        (
            "healthcheck_port = 80",
            "conf:3: [program:x] healthcheck_port: has no effect with healthcheck_type = none (it is for tcp or http)",
        ),
        (
            "healthcheck_interval = 1",
            "conf:3: [program:x] healthcheck_interval: has no effect with healthcheck_type = none (it is for tcp, script or http)",
        ),
        ("ready_timeout = 5", "conf:3: [program:x] ready_timeout: has no effect with ready = startsecs"),
        ("startsecs = 5\nready = notify", "conf:3: [program:x] startsecs: has no effect with ready = notify"),
        (
            "healthcheck_start_period = 5\nready = healthcheck\nhealthcheck_type = tcp\nhealthcheck_port = 1",
            "conf:3: [program:x] healthcheck_start_period: has no effect with ready = healthcheck",
        ),
        (
            "healthcheck_path = /x\nhealthcheck_type = tcp\nhealthcheck_port = 1",
            "conf:3: [program:x] healthcheck_path: has no effect with healthcheck_type = tcp (it is for http)",
        ),
        (
            "healthcheck_port = 80\nhealthcheck_type = http\nhealthcheck_url = http://x/",
            "conf:3: [program:x] healthcheck_port: has no effect beside healthcheck_url",
        ),
        (
            "healthcheck_timeout = 0\nhealthcheck_type = tcp\nhealthcheck_port = 1",
            "conf:3: [program:x] healthcheck_timeout: every check fails at once (a time above 0)",
        ),
        (
            "healthcheck_retries = 0\nhealthcheck_type = tcp\nhealthcheck_port = 1",
            "conf:3: [program:x] healthcheck_retries: 0 is taken as 1 (one failure is the least there can be)",
        ),
        (
            "healthcheck_port = 80\nhealthcheck_type = tcp\nnumprocs = 2",
            "conf:3: [program:x] healthcheck_port: all instances are asked at the same address (%(process_num)s gives each its own)",
        ),
        (
            "stdout_logfile = a.log\nnumprocs = 3",
            "conf:3: [program:x] stdout_logfile: `a.log` is written by `x:00` and by `x:01` (a file of its own for each, by %(process_num)s or another name)",
        ),
    ] {
        assert_eq!(warnings(&format!("[program:x]\ncommand=a\n{options}\n")), [expected], "{options}");
    }
    let blank = "conf:1: [program: x] the name ` x` has a blank at its end, which is part of it";
    assert_eq!(warnings("[program: x]\ncommand=a"), [blank]);
}

#[test]
fn a_file_that_two_write_is_warned_of() {
    let text = "[supervice]\nlogfile=d.log\n[program:a]\ncommand=x\nstdout_logfile=/srv/d.log\nstderr_logfile=a.log\n[program:b]\ncommand=x\nstdout_logfile=./a.log\nstderr_logfile=a.log\n";
    let hint = "(a file of its own for each, by %(process_num)s or another name)";
    assert_eq!(
        warnings(text),
        [
            format!("conf:5: [program:a] stdout_logfile: `/srv/d.log` is written by `the daemon` and by `a` {hint}"),
            format!("conf:9: [program:b] stdout_logfile: `./a.log` is written by `a` and by `b` {hint}"),
        ]
    );
    // Both streams of one instance in one file, and what is no file, are nobody's trouble.
    let text = "[program:a]\ncommand=x\nstdout_logfile=a\nstderr_logfile=a\n[program:b]\ncommand=x\nstdout_logfile=/dev/stdout\n[program:c]\ncommand=x\nstdout_logfile=/dev/stdout\n";
    assert_eq!(warnings(text), [""; 0]);
}

#[test]
fn odd_groups_are_warned_of() {
    let programs = "[program:a]\ncommand=x\n[program:b]\ncommand=x\n";
    for (groups, expected) in [
        ("[group:g]\nprograms=", "conf:6: [group:g] programs: is empty, which means: not given"),
        ("[group:g]\nprograms=,", "conf:6: [group:g] programs: names no program, so there is no such group"),
        (
            "[group:g]\nprograms=a\n[group:h]\nprograms=b,a",
            "conf:8: [group:h] programs: program `a` is in group `g` too; it belongs to `h`, the last",
        ),
        ("[group:a]\nprograms=b", "conf:1: [program:a] is in no group, and so joins the group `a` of its own name"),
    ] {
        assert_eq!(warnings(&format!("{programs}{groups}")), [expected], "{groups}");
    }
}
