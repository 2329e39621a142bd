//! A process of its own for the tests of the kernel layer: what concerns a whole process (signals, descriptors, orphans,
//! death) cannot be tried inside a test runner with its threads. `sysprobe ROLE [ARGUMENT…]`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use supervice::engine::message::{ExitStatus, Pid, Signal, SpawnError};
use supervice::spec::Launch;
use supervice::sys::daemonize::{Side, daemonize};
use supervice::sys::identity;
use supervice::sys::kill::{GroupState, group_only_zombies, group_state, signal_group, signal_process};
use supervice::sys::lock::PidLock;
use supervice::sys::signals::{Arrival, Signals};
use supervice::sys::spawn::{ErrorOutput, Fresh, Inherited, Output, Plan, VerdictRead, describe, resolve_user, spawn};
use supervice::sys::watch::{Reap, next_dead, reap};
use supervice::sys::{guard, limits};

type Answer = Result<i32, Box<dyn Error>>;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["signals"] => signals(),
        ["spawn", user, directory, argv @ ..] => spawn_one(user, directory, argv),
        ["spawn-time", command] => spawn_time(command),
        ["shortage"] => shortage(),
        ["pdeathsig", user] => pdeathsig(user),
        ["mixed", count] => mixed(count),
        ["unheard", count] => unheard(count),
        ["killed-early"] => killed_early(),
        ["places", count] => places(count, "ls -x --width=80 /proc/self/fd"),
        ["places-lost", count] => places(count, "exit 1"),
        ["failures", count] => failures(count),
        ["subreaper"] => subreaper(),
        ["group"] => group(),
        ["process"] => process(),
        ["daemonize", how, path] => background(how, Path::new(path)),
        ["stdio", path] => stdio(Path::new(path)),
        ["die-unready"] => die_unready(),
        _ => Err("no such role".into()),
    };
    std::process::exit(answer.unwrap_or_else(|error| {
        eprintln!("sysprobe: {error}");
        99
    }))
}

/// Names what comes, until it is told to end.
fn signals() -> Answer {
    let mut signals = Signals::install()?;
    println!("ready");
    loop {
        let mut entry = [nix::poll::PollFd::new(signals.as_fd(), nix::poll::PollFlags::POLLIN)];
        match nix::poll::poll(&mut entry, nix::poll::PollTimeout::NONE) {
            Err(nix::Error::EINTR) | Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        while let Some(arrival) = signals.next()? {
            println!("{arrival:?}");
            if let Arrival::Terminate(_) = arrival {
                return Ok(0);
            }
        }
    }
}

fn launch(user: &str, directory: &str, argv: &[&str]) -> Launch {
    Launch {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: BTreeMap::new(),
        env_files: Vec::new(),
        clean_env: false,
        directory: Some(directory).filter(|path| *path != "-").map(Into::into),
        user: Some(user).filter(|name| *name != "-").map(ToOwned::to_owned),
        umask: None,
        pdeathsig: true,
        no_new_privs: true,
    }
}

/// Behaves as a daemon does from its start to its first child, and tells how that went.
fn spawn_one(user: &str, directory: &str, argv: &[&str]) -> Answer {
    let inherited = Inherited::capture()?;
    limits::set_umask(0o077);
    limits::raise_nofile()?;
    let _signals = Signals::install()?;
    let launch = launch(user, directory, argv);
    let user = resolve_user(&launch).map_err(|error| describe(&error, user))?;
    let plan = Plan::prepare(&launch, &inherited, user.as_ref()).map_err(|error| format!("{error:?}"))?;
    let made = spawn(&plan, Output::Inherit(1), ErrorOutput::SameAsStdout, Some("life.1"));
    let mut fresh = made.map_err(|error| format!("{error:?}"))?;
    println!("pid {}", fresh.pid);
    match verdict(&mut fresh)? {
        Ok(()) => println!("verdict ok"),
        Err(error) => {
            let subject = plan.subject(&error, fresh.verdict.candidate());
            println!("verdict {:?} {} {:?}: {}", error.stage, error.errno, error.class, describe(&error, &subject));
        }
    }
    println!("end {:?}", end(fresh.pid, fresh.pidfd.as_ref())?);
    Ok(0)
}

fn verdict(fresh: &mut Fresh) -> Result<Result<(), SpawnError>, Box<dyn Error>> {
    wait_for(|| match fresh.verdict.read()? {
        VerdictRead::Pending => Ok(None),
        VerdictRead::ExecOk => Ok(Some(Ok(()))),
        VerdictRead::Failed(error) => Ok(Some(Err(error))),
    })
}

fn end(pid: Pid, pidfd: Option<&OwnedFd>) -> Result<ExitStatus, Box<dyn Error>> {
    wait_for(|| match reap(pid, pidfd)? {
        Reap::Dry => Ok(None),
        Reap::Ended(status) => Ok(Some(status)),
        Reap::Unknown => Err("somebody else reaped it".into()),
    })
}

fn wait_for<T>(mut ask: impl FnMut() -> Result<Option<T>, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err("waited in vain".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How long a spawn took and how long its verdict, in milliseconds.
fn spawn_time(command: &str) -> Answer {
    let plan = Plan::prepare(&launch("-", "-", &[command]), &Inherited::capture()?, None);
    let plan = plan.map_err(|error| format!("{error:?}"))?;
    let start = Instant::now();
    let made = spawn(&plan, Output::Null, ErrorOutput::SameAsStdout, None);
    let mut fresh = made.map_err(|error| format!("{error:?}"))?;
    let spawned = start.elapsed();
    verdict(&mut fresh)?.map_err(|error| format!("{error:?}"))?;
    println!("{} {}", spawned.as_millis(), start.elapsed().as_millis());
    end(fresh.pid, fresh.pidfd.as_ref())?;
    Ok(0)
}

/// A spawn with no descriptor left for it.
fn shortage() -> Answer {
    let plan = Plan::prepare(&launch("-", "-", &["true"]), &Inherited::capture()?, None);
    let plan = plan.map_err(|error| format!("{error:?}"))?;
    match spawn(&plan, Output::Pipe, ErrorOutput::Separate(Output::Pipe), None) {
        Ok(_) => Err("there was room".into()),
        Err(error) => {
            println!("{:?} {:?}", error.stage, error.class);
            Ok(0)
        }
    }
}

/// A child that is to die with us, and then nothing until we are killed.
fn pdeathsig(user: &str) -> Answer {
    let inherited = Inherited::capture()?;
    let launch = launch(user, "-", &["sleep", "1000"]);
    let user = resolve_user(&launch).map_err(|error| describe(&error, user))?;
    let plan = Plan::prepare(&launch, &inherited, user.as_ref()).map_err(|error| format!("{error:?}"))?;
    let made = spawn(&plan, Output::Null, ErrorOutput::SameAsStdout, None);
    let mut fresh = made.map_err(|error| format!("{error:?}"))?;
    verdict(&mut fresh)?.map_err(|error| format!("{error:?}"))?;
    println!("{}", fresh.pid);
    // Until the tests let go of us, whether they kill us or die.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(0)
}

fn prepared(user: &str, argv: &[&str]) -> Result<Plan, Box<dyn Error>> {
    let launch = launch(user, "-", argv);
    let user = resolve_user(&launch).map_err(|error| describe(&error, user))?;
    Ok(Plan::prepare(&launch, &Inherited::capture()?, user.as_ref()).map_err(|error| format!("{error:?}"))?)
}

fn made(plan: &Plan, stdout: Output) -> Result<Fresh, Box<dyn Error>> {
    Ok(spawn(plan, stdout, ErrorOutput::SameAsStdout, None).map_err(|error| format!("{error:?}"))?)
}

/// All that comes out of a pipe, to its end.
fn output(fresh: &mut Fresh) -> Result<String, Box<dyn Error>> {
    let mut pipe = std::fs::File::from(fresh.stdout.take().ok_or("it has no pipe")?);
    let mut bytes = Vec::new();
    wait_for(|| match pipe.read_to_end(&mut bytes) {
        Ok(_) => Ok(Some(())),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    })?;
    Ok(String::from_utf8(bytes)?)
}

/// Children with and without a switch of user in turn, in a daemon that nobody may look into.
fn mixed(count: &str) -> Answer {
    guard::set_not_dumpable()?;
    let plans = [prepared("-", &["true"])?, prepared("nobody", &["true"])?];
    let mut ran = 0;
    for index in 0..count.parse()? {
        let mut fresh = made(&plans[index % 2], Output::Null)?;
        if index % 3 > 0 {
            verdict(&mut fresh)?.map_err(|error| format!("{error:?}"))?;
        }
        ran += usize::from(end(fresh.pid, fresh.pidfd.as_ref())? == ExitStatus::Code(0));
    }
    println!("dumpable {}, {ran} ran", nix::sys::prctl::get_dumpable()?);
    Ok(0)
}

/// Children whose verdict is let go of at once, each with a word of its own to say.
fn unheard(count: &str) -> Answer {
    let mut children = Vec::new();
    for index in 0..count.parse()? {
        let word = format!("{index} {}", "x".repeat(index));
        let Fresh { pid, pidfd, stdout, .. } = made(&prepared("-", &["echo", &word])?, Output::Pipe)?;
        children.push((word, pid, pidfd, stdout));
    }
    let mut ran = 0;
    for (word, pid, pidfd, stdout) in children {
        let status = end(pid, pidfd.as_ref())?;
        let mut said = String::new();
        std::fs::File::from(stdout.ok_or("it has no pipe")?).read_to_string(&mut said)?;
        ran += usize::from(status == ExitStatus::Code(0) && said.trim_end() == word.trim_end());
    }
    println!("{ran} ran as told");
    Ok(0)
}

/// A child that somebody ends on its way to its exec.
fn killed_early() -> Answer {
    let mut fresh = made(&prepared("-", &["true"])?, Output::Null)?;
    let status = end(fresh.pid, fresh.pidfd.as_ref())?;
    println!("{status:?}: {:?}", fresh.verdict.read_of_the_dead()?);
    Ok(0)
}

/// Children of a daemon with a long table of descriptors; none of their pipes may stay open.
fn places(count: &str, script: &str) -> Answer {
    limits::raise_nofile()?;
    supervice::sys::spawn::reserve_places()?;
    let _held: Vec<_> = (0..600).map(|_| std::fs::File::open("/dev/null")).collect::<Result<_, _>>()?;
    let plan = prepared("-", &["sh", "-c", script])?;
    let open = || -> Result<usize, Box<dyn Error>> { Ok(std::fs::read_dir("/proc/self/fd")?.count()) };
    let before = open()?;
    let mut children = (0..count.parse()?).map(|_| made(&plan, Output::Pipe)).collect::<Result<Vec<_>, _>>()?;
    let (mut said, mut failed) = (BTreeMap::new(), 0);
    for fresh in &mut children {
        end(fresh.pid, fresh.pidfd.as_ref())?;
        failed += usize::from(matches!(fresh.verdict.read_of_the_dead()?, VerdictRead::Failed(_)));
        let words = output(fresh)?.split_whitespace().filter(|word| *word != "3").collect::<Vec<_>>().join(" ");
        *said.entry(words).or_insert(0) += 1;
    }
    drop(children);
    let rest = if open()? == before { "nothing is" } else { "descriptors are" };
    match (failed, said.pop_first()) {
        (0, Some((words, count))) => println!("{count} said {words}, {rest} left over"),
        _ => println!("{failed} failed, {rest} left over"),
    }
    Ok(0)
}

/// Starts what cannot start, and tells how many descriptors are open before and after.
fn failures(count: &str) -> Answer {
    let inherited = Inherited::capture()?;
    let launch = launch("-", "-", &["/no/such/command"]);
    let plan = Plan::prepare(&launch, &inherited, None).map_err(|error| format!("{error:?}"))?;
    let mut opened = Vec::new();
    for _ in 0..count.parse::<usize>()? {
        let made = spawn(&plan, Output::Pipe, ErrorOutput::Separate(Output::Pipe), None);
        let mut fresh = made.map_err(|error| format!("{error:?}"))?;
        if verdict(&mut fresh)?.is_ok() {
            return Err("it started".into());
        }
        end(fresh.pid, fresh.pidfd.as_ref())?;
        drop(fresh);
        opened.push(std::fs::read_dir("/proc/self/fd")?.count());
    }
    println!("{} {}", opened.iter().min().unwrap_or(&0), opened.iter().max().unwrap_or(&0));
    Ok(0)
}

/// An orphaned grandchild falls to us and is reaped, and so is a child that we know.
fn subreaper() -> Answer {
    if !guard::set_subreaper()? {
        return Ok(77);
    }
    let inherited = Inherited::capture()?;
    let launch = launch("-", "-", &["sh", "-c", "(sh -c 'exit 7' & sh -c 'kill -9 $$' &) ; exit 3"]);
    let plan = Plan::prepare(&launch, &inherited, None).map_err(|error| format!("{error:?}"))?;
    let made = spawn(&plan, Output::Null, ErrorOutput::SameAsStdout, None);
    let fresh = made.map_err(|error| format!("{error:?}"))?;
    let first = wait_for(|| Ok(next_dead()?))?;
    if next_dead()?.is_none() {
        return Err(format!("{first} was only to be looked at").into());
    }
    let mut dead: Vec<(Pid, ExitStatus)> = Vec::new();
    wait_for(|| {
        while let Some(pid) = next_dead()? {
            if let Reap::Ended(status) = reap(pid, None)? {
                dead.push((pid, status));
            }
        }
        Ok((dead.len() == 3).then_some(()))
    })?;
    let known = dead.iter().any(|(pid, status)| *pid == fresh.pid && *status == ExitStatus::Code(3));
    let code = dead.iter().any(|(pid, status)| *pid != fresh.pid && *status == ExitStatus::Code(7));
    let killed = dead.iter().any(|(_, status)| matches!(status, ExitStatus::Signal { number: 9, .. }));
    println!("{known} {code} {killed} {:?} {:?}", reap(fresh.pid, fresh.pidfd.as_ref())?, next_dead()?);
    Ok(0)
}

/// A group whose leader is gone and whose member is deaf to TERM, to its end.
fn group() -> Answer {
    guard::set_subreaper()?;
    let inherited = Inherited::capture()?;
    let script = "sh -c 'trap \"\" TERM; echo deaf; sleep 100' & read line";
    let launch = launch("-", "-", &["sh", "-c", script]);
    let plan = Plan::prepare(&launch, &inherited, None).map_err(|error| format!("{error:?}"))?;
    let made = spawn(&plan, Output::Pipe, ErrorOutput::SameAsStdout, None);
    let mut fresh = made.map_err(|error| format!("{error:?}"))?;
    verdict(&mut fresh)?.map_err(|error| format!("{error:?}"))?;
    let mut output = std::fs::File::from(fresh.stdout.take().ok_or("no pipe")?);
    wait_for(|| Ok((output.read(&mut [0; 5]).unwrap_or(0) > 0).then_some(())))?;
    println!("leader {:?}", end(fresh.pid, fresh.pidfd.as_ref())?);
    let pidfd = fresh.pidfd.as_ref();
    signal_group(fresh.pid, pidfd, Signal::TERM)?;
    println!("after TERM {:?} {:?}", group_state(fresh.pid, pidfd)?, group_only_zombies(fresh.pid)?);
    signal_group(fresh.pid, pidfd, Signal::KILL)?;
    wait_for(|| Ok((group_state(fresh.pid, pidfd)? == GroupState::Empty).then_some(())))?;
    println!(
        "after KILL Empty {:?} {:?}",
        group_only_zombies(fresh.pid)?,
        signal_group(fresh.pid, pidfd, Signal::KILL)
    );
    Ok(0)
}

/// How a child of ours ends that is signalled, and how one does that was taken hold of by its number and its start.
fn process() -> Answer {
    let plan = prepared("-", &["sleep", "1000"])?;
    let mut ends = Vec::new();
    for takes_hold in [false, true] {
        let mut fresh = made(&plan, Output::Null)?;
        verdict(&mut fresh)?.map_err(|error| format!("{error:?}"))?;
        let (pid, pidfd) = (fresh.pid, fresh.pidfd.as_ref());
        if takes_hold {
            let start = identity::stat(pid)?.ok_or("it is not there")?.start;
            identity::grip(pid, start, None)?.ok_or("it cannot be held")?.signal(Signal::KILL)?;
        } else {
            signal_process(pid, pidfd, Signal::TERM)?;
        }
        ends.push(end(pid, pidfd)?);
    }
    println!("{:?} {:?}", ends[0], ends[1]);
    Ok(0)
}

/// Into the background; the daemon writes to `path` who it is.
fn background(how: &str, path: &Path) -> Answer {
    let before = std::process::id();
    match daemonize()? {
        Side::Launcher(launcher) => {
            let (code, message) = launcher.wait();
            println!("{message}");
            Ok(code)
        }
        Side::Daemon(_) if how == "die" => std::process::abort(),
        Side::Daemon(word) if how == "fail" => {
            word.fail(42, "the socket is taken\nby another")?;
            Ok(0)
        }
        Side::Daemon(word) => {
            let lock = PidLock::acquire(path)?;
            eprintln!("an early word");
            word.ready()?;
            eprintln!("a late word");
            let facts = format!("{before} {} {:?}", std::process::id(), std::env::current_dir()?);
            std::fs::write(path.with_extension("facts"), facts)?;
            wait_for(|| Ok(path.with_extension("end").exists().then_some(())))?;
            lock.release()?;
            Ok(0)
        }
    }
}

/// With nothing open at 0, 1 and 2.
fn stdio(path: &Path) -> Answer {
    for place in 0..=2 {
        nix::unistd::close(place)?;
    }
    limits::ensure_stdio()?;
    let links: Vec<_> = (0..=2).map(|place| std::fs::read_link(format!("/proc/self/fd/{place}"))).collect();
    std::fs::write(path, format!("{links:?}"))?;
    Ok(0)
}

/// Dies between the fork and the daemon's word.
fn die_unready() -> Answer {
    match daemonize()? {
        Side::Launcher(launcher) => Ok(launcher.wait().0),
        Side::Daemon(word) => {
            drop(word);
            Ok(0)
        }
    }
}
