//! The child that the tests supervise: each flag is one habit of real programs, good or bad.
//!
//! Without flags it lives until a signal ends it. It tells what it did by files, so that a test waits for a fact.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::SignalFd;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio, exit};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// What the command line asks for.
#[derive(Default)]
struct Script {
    exit: Option<i32>,
    die_of: Option<Signal>,
    after: Option<Duration>,
    ignore: Vec<Signal>,
    on_term_print: Option<usize>,
    on_term_exit: Option<i32>,
    on_term_delay: Duration,
    note_signals: Option<String>,
    lines: usize,
    bytes: usize,
    say: Vec<String>,
    complain: Vec<String>,
    say_late: Option<String>,
    fork_child: Vec<String>,
    child_pid: Option<String>,
    report: Option<String>,
    touch: Option<String>,
    setsid: bool,
    setpgid: bool,
    close_stdout: bool,
    listen: Option<String>,
    number: Option<String>,
    ask: Option<String>,
}

const USAGE: &str = "\
actor: a program with habits, for tests
  --exit CODE --after MS        end with CODE (after a while)
  --die-of SIGNAL               end by a signal
  --ignore SIGNAL               be deaf to it
  --on-term-print N             at TERM print N bytes, then end
  --on-term-exit CODE           at TERM end with CODE
  --on-term-delay MS            at TERM wait first
  --note-signals FILE           append the name of each caught signal; only TERM, INT and QUIT end it
  --lines N  --bytes N          print numbered lines, or bytes of a known pattern
  --say TEXT  --complain TEXT   a line on stdout, on stderr
  --say-late TEXT               a line on stdout just before the end
  --fork-child KIND             deaf | leaver | holder | plain | brief: a grandchild with that habit
  --child-pid FILE              where the grandchildren's pids go
  --report FILE                 what it is and has, as JSON
  --touch FILE                  append a line with the pid
  --setsid  --setpgid           leave the session, the process group
  --close-stdout                close stdout and stderr
  --listen tcp:PORT|unix:PATH   accept connections
  --number FILE                 write numbered lines on both streams as fast as it can, and note in FILE how many
  --become PROGRAM ARGUMENTS…   block TERM, INT and CHLD, then exec it
  --                            whatever follows means nothing
  --ask SOCKET                  ask a daemon to stop `a`, print its reply, end";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "--become") {
        eprintln!("actor: {}", r#become(arguments));
        exit(66);
    }
    let script = parse(std::env::args().skip(1)).unwrap_or_else(|problem| {
        eprintln!("actor: {problem}\n{USAGE}");
        exit(64);
    });
    if let Err(problem) = play(&script) {
        eprintln!("actor: {problem}");
        exit(65);
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Script, String> {
    let mut script = Script::default();
    while let Some(flag) = arguments.next().filter(|flag| flag != "--") {
        if take_switch(&mut script, &flag) {
            continue;
        }
        let value = arguments.next().ok_or(format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--exit" => script.exit = Some(number(&value)?),
            "--die-of" => script.die_of = Some(signal(&value)?),
            "--after" => script.after = Some(Duration::from_millis(number(&value)?)),
            "--ignore" => script.ignore.push(signal(&value)?),
            "--on-term-print" => script.on_term_print = Some(number(&value)?),
            "--on-term-exit" => script.on_term_exit = Some(number(&value)?),
            "--on-term-delay" => script.on_term_delay = Duration::from_millis(number(&value)?),
            "--note-signals" => script.note_signals = Some(value),
            "--lines" => script.lines = number(&value)?,
            "--bytes" => script.bytes = number(&value)?,
            "--say" => script.say.push(value),
            "--say-late" => script.say_late = Some(value),
            "--complain" => script.complain.push(value),
            "--fork-child" => script.fork_child.push(value),
            "--child-pid" => script.child_pid = Some(value),
            "--report" => script.report = Some(value),
            "--touch" => script.touch = Some(value),
            "--number" => script.number = Some(value),
            "--listen" => script.listen = Some(value),
            "--ask" => script.ask = Some(value),
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(script)
}

fn take_switch(script: &mut Script, flag: &str) -> bool {
    match flag {
        "--setsid" => script.setsid = true,
        "--setpgid" => script.setpgid = true,
        "--close-stdout" => script.close_stdout = true,
        _ => return false,
    }
    true
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

fn signal(text: &str) -> Result<Signal, String> {
    Signal::from_str(&format!("SIG{text}")).map_err(|_| format!("not a signal: {text}"))
}

/// A careless parent: the signals it blocks stay blocked over the exec. Returns only when that fails.
fn r#become(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let blocked: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD, Signal::SIGUSR1].into_iter().collect();
    if let Err(problem) = blocked.thread_block() {
        return problem.into();
    }
    let Some(program) = arguments.next() else { return io::Error::other("--become needs a program") };
    Command::new(program).args(arguments).exec()
}

/// What was inherited is read first; the signals are caught before anything shows that the actor is up.
fn play(script: &Script) -> io::Result<()> {
    if let Some(socket) = &script.ask {
        return ask(socket);
    }
    let report = script.report.as_ref().map(|_| report());
    if script.setsid {
        nix::unistd::setsid()?;
    }
    if script.setpgid {
        nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
    }
    for kind in &script.fork_child {
        fork_child(kind, script.child_pid.as_deref())?;
    }
    let caught = catch_signals(script)?;
    print_output(script)?;
    if let (Some(path), Some(text)) = (&script.report, report) {
        write_whole(path, &text)?;
    }
    if let Some(path) = &script.touch {
        append(path, &std::process::id().to_string())?;
    }
    let _listener = script.listen.as_deref().map(listen).transpose()?;
    if let Some(path) = &script.number {
        return number_lines(path);
    }
    if script.close_stdout {
        nix::unistd::close(1)?;
        nix::unistd::close(2)?;
    }
    live(script, caught)
}

/// Catching is blocking and reading: no handler, hence no unsafe code.
fn catch_signals(script: &Script) -> io::Result<Option<SignalFd>> {
    let wants_term = script.on_term_print.is_some() || script.on_term_exit.is_some() || !script.on_term_delay.is_zero();
    let mut set: SigSet = script.ignore.iter().copied().collect();
    if wants_term {
        set.add(Signal::SIGTERM);
    }
    if script.note_signals.is_some() {
        set = SigSet::all();
    }
    set.thread_block()?;
    if wants_term || script.note_signals.is_some() { Ok(Some(SignalFd::new(&set)?)) } else { Ok(None) }
}

/// The grandchildren are actors too; made before any signal is blocked, for they inherit the mask. Whoever reads of one in
/// the file of pids finds it deaf, or gone from its session, already.
fn fork_child(kind: &str, pid_file: Option<&str>) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    match kind {
        "deaf" => command.args(["--ignore", "TERM"]).stdout(Stdio::null()).stderr(Stdio::null()),
        "leaver" => command.args(["--setsid"]).stdout(Stdio::null()).stderr(Stdio::null()),
        "holder" => command.args(["--setsid", "--after", "2000", "--exit", "0", "--say-late", "late"]),
        "plain" => command.stdout(Stdio::null()).stderr(Stdio::null()),
        "brief" => command.args(["--after", "300", "--exit", "0"]).stdout(Stdio::null()).stderr(Stdio::null()),
        _ => return Err(io::Error::other(format!("unknown kind of child: {kind}"))),
    };
    command.stdin(Stdio::null());
    let child = if kind == "deaf" { spawn_deaf(&mut command)? } else { command.spawn()? };
    if matches!(kind, "leaver" | "holder") {
        wait_left(nix::unistd::Pid::from_raw(child.id() as i32))?;
    }
    if let Some(path) = pid_file {
        append(path, &child.id().to_string())?;
    }
    Ok(())
}

/// Deaf from its first moment.
fn spawn_deaf(command: &mut Command) -> io::Result<Child> {
    let term: SigSet = [Signal::SIGTERM].into_iter().collect();
    term.thread_block()?;
    let child = command.spawn();
    term.thread_unblock()?;
    child
}

/// Until it leads a session of its own.
fn wait_left(pid: nix::unistd::Pid) -> io::Result<()> {
    let begun = Instant::now();
    while nix::unistd::getsid(Some(pid))? != pid {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(io::Error::other(format!("process {pid} does not leave its session")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn print_output(script: &Script) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for text in &script.say {
        writeln!(out, "{text}")?;
    }
    for index in 0..script.lines {
        writeln!(out, "line {index:08}")?;
    }
    write_pattern(&mut out, script.bytes)?;
    out.flush()?;
    for text in &script.complain {
        writeln!(io::stderr(), "{text}")?;
    }
    Ok(())
}

/// Until it is killed, or nobody reads any more. The notes hold for each run the lines of stdout and of stderr that were
/// written whole, as little-endian numbers of eight bytes.
fn number_lines(path: &str) -> io::Result<()> {
    let notes = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let run = notes.metadata()?.len() / 16;
    notes.write_all_at(&[0; 16], run * 16)?;
    let (out, err) = (io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?);
    let other = notes.try_clone()?;
    let errors = std::thread::spawn(move || number_stream(err.into(), &other, run, run * 16 + 8));
    number_stream(out.into(), &notes, run, run * 16)?;
    errors.join().map_err(|_| io::Error::other("a writer panicked"))?
}

/// A letter that tells the run, the number, and something to make lines of many lengths; a few of them in one write.
fn number_stream(mut out: fs::File, notes: &fs::File, run: u64, place: u64) -> io::Result<()> {
    let (letter, mut number, mut lines) = (char::from(b'A' + (run % 26) as u8), 0u64, Vec::new());
    loop {
        lines.clear();
        for _ in 0..1 + number % 41 {
            number += 1;
            writeln!(lines, "{letter}{number:08} {}", "x".repeat((number * 31 % 150) as usize))?;
        }
        out.write_all(&lines)?;
        notes.write_all_at(&number.to_le_bytes(), place)?;
    }
}

/// Letters that follow from the place alone, so that a reader can tell whether a byte is missing.
fn write_pattern(out: &mut impl Write, length: usize) -> io::Result<()> {
    let bytes: Vec<u8> = (0..length).map(|place| b'a' + ((place / 7 + place) % 26) as u8).collect();
    out.write_all(&bytes)
}

fn append(path: &str, line: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}

fn write_whole(path: &str, text: &str) -> io::Result<()> {
    let temporary = format!("{path}.new");
    fs::write(&temporary, text)?;
    fs::rename(temporary, path)
}

/// The listener lives as long as what is returned; connections wait in its backlog.
fn listen(address: &str) -> io::Result<Box<dyn std::any::Any>> {
    match address.split_once(':') {
        Some(("tcp", port)) => Ok(Box::new(TcpListener::bind(format!("127.0.0.1:{port}"))?)),
        Some(("unix", path)) => Ok(Box::new(UnixListener::bind(path)?)),
        _ => Err(io::Error::other("--listen needs tcp:PORT or unix:PATH")),
    }
}

/// A client that may be somebody the daemon does not serve, so a failed write is part of the play.
fn ask(socket: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let body = br#"{"command":"stop","name":"a"}"#;
    let _ = stream.write_all(&[&(body.len() as u32).to_be_bytes(), &body[..]].concat());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    println!("{}", String::from_utf8_lossy(reply.get(4..).unwrap_or_default()));
    Ok(())
}

fn live(script: &Script, caught: Option<SignalFd>) -> io::Result<()> {
    let ends = script.exit.is_some() || script.die_of.is_some();
    let end = ends.then(|| Instant::now() + script.after.unwrap_or_default());
    loop {
        let left = end.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return finish(script);
        }
        match &caught {
            Some(descriptor) => hear(script, descriptor, left)?,
            None => std::thread::sleep(left.unwrap_or(Duration::from_secs(3600))),
        }
    }
}

fn finish(script: &Script) -> io::Result<()> {
    if let Some(text) = &script.say_late {
        writeln!(io::stdout(), "{text}")?;
    }
    if let Some(signal) = script.die_of {
        kill(nix::unistd::getpid(), signal)?;
    }
    exit(script.exit.unwrap_or(0))
}

fn hear(script: &Script, caught: &SignalFd, left: Option<Duration>) -> io::Result<()> {
    let millis = left.map_or(-1, |left| left.as_millis().min(60_000) as i32 + 1);
    let timeout = PollTimeout::try_from(millis).map_err(io::Error::other)?;
    let mut polled = [PollFd::new(caught.as_fd(), PollFlags::POLLIN)];
    if poll(&mut polled, timeout)? == 0 {
        return Ok(());
    }
    let Some(heard) = caught.read_signal()? else { return Ok(()) };
    let Ok(signal) = Signal::try_from(heard.ssi_signo as i32) else { return Ok(()) };
    obey(script, signal)
}

fn obey(script: &Script, signal: Signal) -> io::Result<()> {
    if let Some(path) = &script.note_signals {
        append(path, signal.as_str())?;
    }
    if script.ignore.contains(&signal) || !matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT) {
        return Ok(());
    }
    std::thread::sleep(script.on_term_delay);
    if let Some(length) = script.on_term_print {
        let mut out = io::stdout().lock();
        write_pattern(&mut out, length)?;
        out.flush()?;
    }
    exit(script.on_term_exit.unwrap_or(0))
}

fn report() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        quote(line.unwrap_or("").trim().as_bytes())
    };
    let id = |value: nix::Result<nix::unistd::Pid>| value.map_or(-1, |pid| pid.as_raw());
    let mut out = String::from("{");
    out.push_str(&format!("\"pid\":{},", std::process::id()));
    out.push_str(&format!("\"pgid\":{},", nix::unistd::getpgrp()));
    out.push_str(&format!("\"sid\":{},", id(nix::unistd::getsid(None))));
    for name in ["SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Gid", "Groups", "CapEff", "NoNewPrivs"] {
        out.push_str(&format!("\"{name}\":{},", field(name)));
    }
    let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").err().and_then(|e| e.raw_os_error());
    out.push_str(&format!("\"tty_errno\":{},", tty.unwrap_or(0)));
    let cwd = std::env::current_dir().unwrap_or_default();
    out.push_str(&format!("\"cwd\":{},", quote(cwd.as_os_str().as_bytes())));
    out.push_str(&format!("\"limits\":{},", quote(&fs::read("/proc/self/limits").unwrap_or_default())));
    let argv: Vec<String> = std::env::args_os().map(|one| quote(one.as_bytes())).collect();
    out.push_str(&format!("\"argv\":[{}],", argv.join(",")));
    out.push_str(&format!("\"fds\":{{{}}},", descriptors()));
    out.push_str(&format!("\"env\":{{{}}}}}", environment()));
    out
}

/// The descriptor that lists them is left out.
fn descriptors() -> String {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return String::new() };
    let open = entries.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let name = entry.file_name();
        let own = target.as_os_str().as_bytes().ends_with(b"/fd");
        (!own).then(|| format!("{}:{}", quote(name.as_bytes()), quote(target.as_os_str().as_bytes())))
    });
    open.collect::<Vec<_>>().join(",")
}

fn environment() -> String {
    let pairs =
        std::env::vars_os().map(|(key, value)| format!("{}:{}", quote(key.as_bytes()), quote(value.as_bytes())));
    pairs.collect::<Vec<_>>().join(",")
}

/// A JSON string; bytes that are no ASCII come out as code points of the same number.
fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            0x20..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("\\u{:04x}", byte)),
        }
    }
    out.push('"');
    out
}
