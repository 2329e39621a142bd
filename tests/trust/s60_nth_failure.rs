//! The nth failure: each system call of the daemon fails in turn, once alone and once from there on; afterwards it is well, its
//! children are as told, and no descriptor is lost.
//!
//! strace makes the calls fail, in the real kernel and the real daemon. The suite takes samples that are the same each time;
//! `NTH=all cargo test --test trust nth` takes every call.

use crate::harness::*;
use crate::machine::{Tracer, can_inject};
use nix::sys::signal::Signal;
use serde_json::json;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How each call fails. Not in it: those whose failure by strace is itself a leak (close), or the end of any program (memory).
const CALLS: [(&str, &str); 63] = [
    ("accept4", "EMFILE"),
    ("bind", "EACCES"),
    ("chmod", "EPERM"),
    ("chdir", "EIO"),
    ("clone", "EAGAIN"),
    ("clone3", "EAGAIN"),
    ("close_range", "EINVAL"),
    ("connect", "ECONNREFUSED"),
    ("dup", "EMFILE"),
    ("dup2", "EMFILE"),
    ("dup3", "EMFILE"),
    ("epoll_create1", "EMFILE"),
    ("epoll_ctl", "ENOMEM"),
    ("execve", "EIO"),
    ("faccessat2", "EIO"),
    ("fchmod", "EPERM"),
    ("fchown", "EPERM"),
    ("fcntl", "ENOMEM"),
    ("flock", "ENOLCK"),
    ("fork", "EAGAIN"),
    ("fstat", "EIO"),
    ("fstatfs", "EIO"),
    ("ftruncate", "EIO"),
    ("getcwd", "ENOENT"),
    ("getdents64", "EIO"),
    ("getsockopt", "ENOBUFS"),
    ("inotify_add_watch", "ENOSPC"),
    ("inotify_init1", "EMFILE"),
    ("inotify_rm_watch", "EINVAL"),
    ("ioctl", "EIO"),
    ("kill", "EPERM"),
    ("linkat", "EIO"),
    ("listen", "EADDRINUSE"),
    ("lseek", "EIO"),
    ("newfstatat", "EIO"),
    ("open", "EMFILE"),
    ("openat", "EMFILE"),
    ("pidfd_open", "EMFILE"),
    ("pidfd_send_signal", "EPERM"),
    ("pipe2", "EMFILE"),
    ("pread64", "EIO"),
    ("prctl", "EINVAL"),
    ("prlimit64", "EPERM"),
    ("pwrite64", "ENOSPC"),
    ("read", "EIO"),
    ("readlink", "EIO"),
    ("recvfrom", "EIO"),
    ("recvmsg", "EIO"),
    ("renameat", "ENOSPC"),
    ("renameat2", "ENOSPC"),
    ("rename", "ENOSPC"),
    ("sendmsg", "EIO"),
    ("sendto", "ENOBUFS"),
    ("setsid", "EPERM"),
    ("shutdown", "ENOTCONN"),
    ("signalfd4", "EMFILE"),
    ("socket", "EMFILE"),
    ("splice", "EIO"),
    ("statx", "EIO"),
    ("unlink", "EIO"),
    ("unlinkat", "EIO"),
    ("wait4", "ECHILD"),
    ("write", "ENOSPC"),
];

/// Those that a signal may interrupt, once in a while.
const INTERRUPTIBLE: [&str; 17] = [
    "accept4",
    "connect",
    "epoll_wait",
    "flock",
    "ftruncate",
    "open",
    "openat",
    "pread64",
    "pwrite64",
    "read",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "splice",
    "waitid",
    "write",
];

/// Calls in one scenario of the suite; all of them where `NTH=all` asks for it.
const SAMPLES: usize = 10;

/// Daemons that are made to fail side by side: most of the time is spent in waiting for them.
const LANES: usize = 4;

const PROGRAMS: &str = "[program:a]\ncommand = {actor} --fork-child plain\nstartsecs = 0\nstopwaitsecs = 1\nstdout_logfile = {dir}/a\n\
    [program:b]\ncommand = {actor} --lines 50\nstartsecs = 0\nstopwaitsecs = 1\nstdout_logfile = {dir}/b\nstdout_logfile_maxbytes = 1KB\n";

/// The same, and one that says itself that it is ready.
fn programs() -> String {
    let notifier = actor().with_file_name("notifier").display().to_string();
    format!(
        "{PROGRAMS}[program:n]\ncommand = {notifier} send READY=1\nready = notify\nready_timeout = 2\nstopwaitsecs = 1\n"
    )
}

const MORE: &str = "[program:c]\ncommand = {actor}\nstartsecs = 0\nstopwaitsecs = 1\n";

/// One call that is to fail.
#[derive(Debug, Clone)]
struct Fault {
    call: &'static str,
    errno: &'static str,
    nth: usize,
    from_there_on: bool,
}

impl Fault {
    fn injection(&self) -> String {
        let more = if self.from_there_on { "+" } else { "" };
        format!("inject={}:error={}:when={}{more}", self.call, self.errno, self.nth)
    }
}

/// Which calls a scenario made, and how often; then each of them as a fault, or a sample of these.
fn faults(trace: &str) -> Vec<Fault> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in trace.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        *counts.entry(line.split('(').next().unwrap_or("")).or_default() += 1;
    }
    // There a signal handler tells of a signal by a write to a pipe of our own, which can only fail where it is full; strace
    // would lose the signal for good.
    let can_fail = |call: &str| !(cfg!(feature = "portable") && call == "write");
    let calls = CALLS.iter().filter(|(call, _)| can_fail(call));
    let made = calls.filter_map(|&(call, errno)| Some((call, errno, *counts.get(call)?)));
    let refused = made
        .flat_map(|(call, errno, count)| (1..=count).map(move |nth| (call, errno, nth)))
        .flat_map(|(call, errno, nth)| [false, true].map(|from_there_on| Fault { call, errno, nth, from_there_on }));
    let interruptible = INTERRUPTIBLE.iter().filter(|call| can_fail(call));
    let interrupted = interruptible
        .flat_map(|&call| (1..=counts.get(call).copied().unwrap_or(0)).map(move |nth| (call, nth)))
        .map(|(call, nth)| Fault { call, errno: "EINTR", nth, from_there_on: false });
    let all: Vec<Fault> = refused.chain(interrupted).collect();
    if std::env::var("NTH").is_ok_and(|word| word == "all") {
        return all;
    }
    // An odd step, so that both kinds of failure are in the sample.
    let step = (all.len() / SAMPLES).max(1) | 1;
    all.into_iter().step_by(step).collect()
}

fn which_calls() -> String {
    let names = CALLS.iter().map(|(call, _)| *call).chain(INTERRUPTIBLE);
    format!("trace={}", names.map(|call| format!("?{call}")).collect::<Vec<_>>().join(","))
}

/// Asks, and does not mind what becomes of it: the calls that would answer are those that fail.
fn ask(d: &Daemon, request: &serde_json::Value) {
    let Ok(mut client) = Client::connect(&d.home.socket()) else { return };
    client.patience(Duration::from_millis(700));
    let _ = client.ask(request);
}

/// Open descriptors, without the pipe in which the daemon looks at what lies in others: it is made when it is first needed.
fn descriptors_of(pid: i32) -> usize {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    process::descriptors(pid).into_values().for_each(|target| *ends.entry(target).or_default() += 1);
    ends.iter().filter(|(target, count)| !(target.starts_with("pipe:") && **count == 2)).map(|(_, count)| count).sum()
}

/// Everything is as it would be if nothing had failed.
fn assert_as_before(d: &mut Daemon, descriptors: usize, what: &str) {
    assert_eq!(d.try_exit(), None, "{what}: the daemon ended\n{}", d.story());
    d.wait_ready();
    // A reload that was not heard is given once more.
    d.home.configure(&programs());
    assert_eq!(d.reload()["status"], "ok", "{what}\n{}", d.story());
    d.wait("what was removed is gone", || d.rows().iter().all(|row| row.name != "c").then_some(()));
    let names: Vec<String> = d.rows().into_iter().map(|row| row.name).collect();
    for name in &names {
        ask_until_up(d, name, what);
    }
    let daemon = d.pid();
    let mut seen = String::new();
    let alike = wait_for(DEADLINE, || {
        let leaders: Vec<i32> = d.rows().iter().filter_map(|row| row.pid).collect();
        let groups = d.home.processes().into_iter().filter(|&pid| pid != daemon);
        let mut groups: Vec<i32> = groups.filter_map(process::stat).map(|stat| stat.group).collect();
        groups.sort();
        groups.dedup();
        seen = format!("{leaders:?} are told, {groups:?} are there");
        (groups.len() == leaders.len() && leaders.iter().all(|pid| groups.contains(pid))).then_some(())
    });
    assert!(alike.is_some(), "{what}: {seen}\n{}", d.story());
    let count = || descriptors_of(daemon);
    if count() > descriptors {
        // The pipe of a child whose end could not be seen is let go at the next spawn.
        d.done("restart", "b");
    }
    let flat = wait_for(DEADLINE, || (count() <= descriptors).then_some(()));
    assert!(
        flat.is_some(),
        "{what}: {} descriptors, {descriptors} before: {:?}\n{}",
        count(),
        process::descriptors(daemon),
        d.story()
    );
    d.assert_well();
}

fn ask_until_up(d: &Daemon, name: &str, what: &str) {
    let up = wait_for(DEADLINE, || {
        if d.state(name) == "RUNNING" {
            return Some(());
        }
        d.order("start", name);
        None
    });
    assert!(up.is_some(), "{what}: {name} does not come up\n{}", d.story());
}

/// Tries each fault once, in several lanes with a scene of their own each, and tells all that was found. Whoever calls holds
/// no home meanwhile: a lane may have to wait until a scenario is over that runs alone.
fn try_each<T>(
    name: &str,
    faults: Vec<Fault>,
    begin: impl Fn() -> T + Sync,
    attempt: impl Fn(&mut T, &Fault) + Sync,
    end: impl Fn(T) + Sync,
) {
    assert!(faults.len() > 5, "{name}: {faults:?}");
    let (begun, count) = (Instant::now(), faults.len());
    let (queue, found) = (Mutex::new(faults.into_iter()), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().next();
    let lane = || {
        let mut scene = None;
        while let Some(fault) = next() {
            let tried = catch_unwind(AssertUnwindSafe(|| attempt(scene.get_or_insert_with(&begin), &fault)));
            if let Err(panic) = tried {
                found.lock().unwrap().push(format!("{name}, {fault:?}: {}", words_of(panic)));
                // What is left of it proves nothing about the next one.
                scene = None;
            }
        }
        scene.into_iter().for_each(&end);
    };
    std::thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    let found = found.into_inner().unwrap();
    println!("{name}: {count} failures in {:?}, {} of them not survived", begun.elapsed(), found.len());
    assert!(found.is_empty(), "{name}: {} of {count}\n{}", found.len(), found.join("\n"));
}

fn words_of(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

/// A daemon that has lived through the deed, and how many descriptors it has since.
fn settled(name: &str, before: fn(&Daemon), deed: fn(&Daemon)) -> (Daemon, usize) {
    let mut d = Daemon::start(&programs());
    d.wait_all("RUNNING");
    before(&d);
    deed(&d);
    assert_as_before(&mut d, usize::MAX, name);
    let descriptors = descriptors_of(d.pid());
    (d, descriptors)
}

/// A deed with each of its calls failing, on daemons that have to live through it all.
fn each_call_fails(name: &str, before: fn(&Daemon), deed: fn(&Daemon)) {
    if !can_inject() {
        return skip(&format!("nth failure: {name}"), "no strace with fault injection, or no ptrace");
    }
    let (d, _) = settled(name, before, deed);
    before(&d);
    let trace = d.home.join("trace").display().to_string();
    let tracer = Tracer::attach(&d, &["-f", "-o", &trace, "-e", &which_calls()]);
    deed(&d);
    tracer.detach();
    let faults = faults(&d.home.read("trace"));
    drop(d);
    let attempt = |(d, descriptors): &mut (Daemon, usize), fault: &Fault| {
        assert_as_before(d, usize::MAX, name);
        before(d);
        let call = format!("trace={}", fault.call);
        let tracer = Tracer::attach(d, &["-f", "-o", "/dev/null", "-e", &call, "-e", &fault.injection()]);
        deed(d);
        tracer.detach();
        assert_as_before(d, *descriptors, &format!("{name}, {fault:?}"));
    };
    let end = |(mut d, _): (Daemon, usize)| assert_eq!(d.terminate(), 0, "{}", d.story());
    try_each(name, faults, || settled(name, before, deed), attempt, end);
}

fn nothing(_: &Daemon) {}

#[test]
fn nth_failure_of_a_spawn_and_of_the_record_of_it() {
    each_call_fails("spawn", |d| drop(d.order("stop", "a")), |d| ask(d, &json!({"command": "start", "name": "a"})));
}

#[test]
fn nth_failure_of_a_death_and_what_follows() {
    each_call_fails("death", nothing, |d| {
        // Its log, its leftovers, its record, and the next run, which has its say.
        let ends = [&b"--lines\x0050\0"[..], &b"READY=1\0"[..]];
        let is_one = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            ends.iter().any(|end| line.ends_with(end))
        };
        let both = || process::children(d.pid()).into_iter().filter(is_one).collect::<Vec<_>>();
        let dying = both();
        dying.iter().copied().for_each(process::kill);
        // A run of less than a second is not followed by the next one at once.
        wait_for(Duration::from_millis(1500), || both().iter().all(|pid| !dying.contains(pid)).then_some(()));
        let next = || Some(both()).filter(|alive| alive.len() == ends.len());
        wait_for(Duration::from_millis(1500), next);
    });
}

#[test]
fn nth_failure_of_a_rotation_and_of_a_reopening() {
    each_call_fails("rotate", nothing, |d| {
        ask(d, &json!({"command": "rotate", "name": "b"}));
        ask(d, &json!({"command": "reopen"}));
    });
}

#[test]
fn nth_failure_of_an_accept() {
    each_call_fails("accept", nothing, |d| {
        ask(d, &json!({"command": "status"}));
        ask(d, &json!({"command": "tail", "name": "b"}));
    });
}

#[test]
fn nth_failure_of_a_reload() {
    each_call_fails(
        "reload",
        |d| {
            d.home.configure(&programs());
            d.reload();
        },
        |d| {
            d.home.configure(&format!("{}{MORE}", programs()));
            ask(d, &json!({"command": "reload"}));
            d.home.configure(&programs());
            ask(d, &json!({"command": "reload"}));
        },
    );
}

/// It ended in time, told why if not with success, left nobody alive, and the next one starts as ever.
fn assert_ended(mut d: Daemon, what: &str) {
    let code = d.wait_exit();
    let told = d.log().contains(" ERROR ") || !d.home.read("err").is_empty();
    assert!(code == 0 || told, "{what}: ended with {code} and no word\n{}", d.story());
    assert!(code < 128, "{what}: ended with {code}\n{}", d.story());
    let left = wait_for(DEADLINE, || d.home.processes().is_empty().then_some(()));
    assert!(left.is_some(), "{what}: {:?} outlive it\n{}", d.home.processes(), d.story());
    let mut next = Daemon::launch(d.murder());
    ask_until_up(&next, "a", what);
    assert_eq!(next.terminate(), 0, "{what}: {}", next.story());
}

#[test]
fn nth_failure_of_a_shutdown() {
    if !can_inject() {
        return skip("nth failure: shutdown", "no strace with fault injection, or no ptrace");
    }
    let d = Daemon::start(&programs());
    d.wait_all("RUNNING");
    let trace = d.home.join("trace").display().to_string();
    let tracer = Tracer::attach(&d, &["-f", "-o", &trace, "-e", &which_calls()]);
    d.signal(Signal::SIGTERM);
    let text = wait_for(DEADLINE, || Some(d.home.read("trace")).filter(|_| d.log().contains("Shutdown complete")));
    tracer.detach();
    assert_ended(d, "shutdown");
    try_each("shutdown", faults(&text.unwrap_or_default()), || (), |(), fault| shut_down_with(fault), drop);
}

fn shut_down_with(fault: &Fault) {
    let d = Daemon::start(&format!("shutdown_timeout = 2\n{}", programs()));
    d.wait_all("RUNNING");
    let call = format!("trace={}", fault.call);
    let tracer = Tracer::attach(&d, &["-f", "-o", "/dev/null", "-e", &call, "-e", &fault.injection()]);
    d.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    tracer.detach();
    // Where the signal itself could not be read, it is given once more.
    if process::alive(d.pid()) {
        d.signal(Signal::SIGTERM);
    }
    assert_ended(d, &format!("shutdown, {fault:?}"));
}

/// A daemon that strace starts.
fn start_under(arguments: &[&str]) -> Daemon {
    let home = Home::new();
    home.configure(&programs());
    let mut command = home.command("strace");
    command.args(["-qq"]).args(arguments).arg(supervice());
    Daemon::spawn(home, command)
}

#[test]
fn nth_failure_of_a_startup() {
    if !can_inject() {
        return skip("nth failure: startup", "no strace with fault injection, or no ptrace");
    }
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("trace");
    let d = start_under(&["-o", &trace.display().to_string(), "-e", &which_calls()]);
    d.wait("it runs", || d.log().contains("Started n").then_some(()));
    let text = std::fs::read_to_string(&trace).unwrap();
    drop(d);
    try_each("startup", faults(&text), || (), |(), fault| start_with(fault), drop);
}

fn start_with(fault: &Fault) {
    let call = format!("trace={}", fault.call);
    let mut d = start_under(&["-o", "/dev/null", "-e", &call, "-e", &fault.injection()]);
    let what = format!("startup, {fault:?}");
    // It gives up, or it runs all the same.
    let settled = wait_for(DEADLINE, || {
        let answers = Client::connect(&d.home.socket()).and_then(|mut client| {
            client.patience(Duration::from_millis(300));
            client.ask(&json!({"command": "status"}))
        });
        (d.try_exit().is_some() || answers.is_ok() || d.log().contains("Started b")).then_some(())
    });
    let wrapper = d.pid();
    if d.try_exit().is_none() {
        assert!(settled.is_some() || fault.from_there_on, "{what}: neither up nor down\n{}", d.story());
        if let Some(daemon) = process::children(wrapper).first() {
            process::signal(*daemon, Signal::SIGTERM);
        }
    }
    // A daemon whose every read fails hears no signal either.
    let patience = if fault.from_there_on { Duration::from_secs(3) } else { DEADLINE };
    if wait_for(patience, || d.try_exit()).is_none() {
        assert!(fault.from_there_on, "{what}: does not end\n{}", d.story());
        process::children(wrapper).into_iter().for_each(process::kill);
        d.wait_exit();
        return;
    }
    assert_ended(d, &what);
}
