//! Ten thousand TCP checks a second: `cargo bench --bench probes [-- INSTANCES SECONDS]`.
//!
//! Each instance has a listener of its own in another process, which notes when it is asked. The next check is due one
//! second after the end of the last, so whatever is more than a second between two of them is lateness, the connect and its
//! answer included. Printed are percentiles of that, the daemon's CPU, and what it holds open at the beginning and at the end.

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Below the ports that the kernel hands out by itself.
const FIRST_PORT: usize = 10_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", count] => serve(number(count)),
        ["sleep"] => loop {
            nix::unistd::pause();
        },
        [] => measure(10_000, 30),
        [count] => measure(number(count), 30),
        [count, seconds] => measure(number(count), number(seconds)),
        _ => panic!("unknown arguments {words:?}"),
    }
}

fn number(word: &str) -> usize {
    word.parse().expect("the argument is a number")
}

fn own_path() -> String {
    std::env::current_exe().expect("a program knows its own path").display().to_string()
}

/// Listens, and notes when each port is asked. A line on stdin begins anew; the next one ends it and has it told.
fn serve(count: usize) {
    let mut poll = Poll::new().expect("there is room for an epoll");
    let mut listeners: Vec<TcpListener> = Vec::new();
    for index in 0..count {
        let port = u16::try_from(FIRST_PORT + index).expect("there are so many ports");
        let mut listener =
            TcpListener::bind(([127, 0, 0, 1], port).into()).unwrap_or_else(|error| panic!("{port}: {error}"));
        poll.registry().register(&mut listener, Token(index), Interest::READABLE).expect("there is room");
        listeners.push(listener);
    }
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || std::io::stdin().lines().for_each(|_| tell.send(()).expect("it is listened to")));
    println!("listening");
    let (mut events, begin) = (Events::with_capacity(1024), Instant::now());
    let mut asked: Vec<Vec<Instant>> = vec![Vec::new(); count];
    let mut lines = 0;
    while lines < 2 {
        poll.poll(&mut events, Some(Duration::from_millis(20))).expect("it waits");
        let now = Instant::now();
        for event in &events {
            while listeners[event.token().0].accept().is_ok() {
                asked[event.token().0].push(now);
            }
        }
        if told.try_recv().is_ok() {
            lines += 1;
            if lines == 1 {
                asked.iter_mut().for_each(Vec::clear);
            }
        }
    }
    tell_lateness(&asked, begin);
}

fn tell_lateness(asked: &[Vec<Instant>], begin: Instant) {
    let second = Duration::from_secs(1);
    let pairs = asked.iter().flat_map(|times| times.windows(2));
    let mut late: Vec<f64> = pairs.map(|pair| (pair[1] - pair[0]).saturating_sub(second).as_secs_f64() * 1e3).collect();
    let early = asked.iter().flat_map(|times| times.windows(2)).filter(|pair| pair[1] - pair[0] < second).count();
    late.sort_by(f64::total_cmp);
    let at =
        |share: f64| late.get(((late.len() as f64 * share) as usize).min(late.len() - 1)).copied().unwrap_or(f64::NAN);
    let never = asked.iter().filter(|times| times.is_empty()).count();
    println!(
        "{} checks; lateness p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms; {early} came too soon, {never} ports were never asked ({:.0} s)",
        late.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        begin.elapsed().as_secs_f64()
    );
}

struct Server {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(count: usize) -> Server {
        let mut command = Command::new(own_path());
        command.args(["serve", &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it runs");
        let lines = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut server = Server { process, lines };
        assert_eq!(server.line(), "listening");
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it tells");
        line.trim().to_owned()
    }

    fn ring(&mut self) {
        let input = self.process.stdin.as_mut().expect("it is piped");
        input.write_all(b"\n").expect("it listens");
    }
}

fn config(count: usize, folder: &std::path::Path) -> String {
    let mut text = format!("[supervice]\nsocket = {0}/s\npidfile = {0}/p\n", folder.display());
    let command = std::env::var("PAUSER").unwrap_or_else(|_| format!("{} sleep", own_path()));
    // A hundred to a program: their number is the end of the port.
    for first in (0..count).step_by(100) {
        let (port, instances) = ((FIRST_PORT + first) / 100, (count - first).min(100));
        let health =
            "healthcheck_type = tcp\nhealthcheck_interval = 1\nhealthcheck_timeout = 5\nhealthcheck_start_period = 0";
        write!(
            text,
            "[program:p{first}]\ncommand = {command}\nnumprocs = {instances}\nstartsecs = 0\n{health}\n\
             healthcheck_port = {port}%(process_num)s\n"
        )
        .expect("memory takes it");
    }
    text
}

fn measure(count: usize, seconds: usize) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut server = Server::start(count);
    std::fs::write(folder.path().join("c"), config(count, folder.path())).expect("there is room for a file");
    let mut daemon = Command::new(program())
        .args(["-n", "-c"])
        .arg(folder.path().join("c"))
        .current_dir(folder.path())
        .stdout(std::fs::File::create(folder.path().join("log")).expect("there is room for a file"))
        .spawn()
        .expect("the daemon is built");
    wait_until_all_run(count, &folder.path().join("log"));
    std::thread::sleep(Duration::from_secs(5));
    server.ring();
    let (cpu, held, begin) = (cpu_seconds(daemon.id()), held(daemon.id()), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let share = (cpu_seconds(daemon.id()) - cpu) / begin.elapsed().as_secs_f64();
    let after = self::held(daemon.id());
    server.ring();
    println!("{count} instances, {seconds} s: {}", server.line());
    println!(
        "daemon CPU {:.1} % of one core; descriptors {} then {}, zombies {} then {}, RSS {} KiB then {} KiB",
        share * 100.0,
        held.0,
        after.0,
        held.1,
        after.1,
        held.2,
        after.2
    );
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).expect("pids are small"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it lives");
    daemon.wait().expect("it is our own");
    server.process.wait().expect("it is our own");
}

fn wait_until_all_run(count: usize, log: &std::path::Path) {
    let end = Instant::now() + Duration::from_secs(300);
    loop {
        let started = std::fs::read_to_string(log).unwrap_or_default().matches(" Started ").count();
        if started >= count {
            return;
        }
        assert!(Instant::now() < end, "{started} of {count} run");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it lives");
    text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).expect("it is a number") / 1e9
}

/// Open descriptors, zombies among its children, memory in KiB.
fn held(pid: u32) -> (usize, usize, String) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    let mine = |stat: &str| {
        let rest =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
        rest.first() == Some(&"Z") && rest.get(1) == Some(&pid.to_string().as_str())
    };
    let entries = std::fs::read_dir("/proc").expect("it is mounted").flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let zombies = stats.filter(|stat| mine(stat)).count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("?");
    (descriptors, zombies, memory.trim().trim_end_matches(" kB").to_owned())
}

fn program() -> std::path::PathBuf {
    std::env::var_os("SUPERVICE").map_or_else(|| env!("CARGO_BIN_EXE_supervice").into(), Into::into)
}
