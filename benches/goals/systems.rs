//! A system under measurement: ours, the bare loop, or a peer. All are started, watched and stopped in the same way.

use super::programs::{Programs, own_path, peers};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nobody waits longer for a start.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Supervice,
    Bare,
    Python,
    Supervisord,
    Circus,
    Runit,
    S6,
    Daemontools,
}

impl Kind {
    pub const PEERS: [Kind; 6] =
        [Kind::Python, Kind::Supervisord, Kind::Circus, Kind::Runit, Kind::S6, Kind::Daemontools];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Supervice => "supervice",
            Kind::Bare => "bare",
            Kind::Python => "supervice 0.4.2",
            Kind::Supervisord => "supervisord",
            Kind::Circus => "circus",
            Kind::Runit => "runit",
            Kind::S6 => "s6",
            Kind::Daemontools => "daemontools",
        }
    }

    /// A start of a thousand takes them many seconds.
    pub fn is_slow(self) -> bool {
        matches!(self, Kind::Python | Kind::Supervisord | Kind::Circus)
    }

    fn program(self) -> PathBuf {
        let debian = |path: &str| peers().join("debian").join(path);
        match self {
            Kind::Supervice => supervice(),
            Kind::Bare => own_path().into(),
            Kind::Python => peers().join("supervice-0.4.2/bin/supervice"),
            Kind::Supervisord => peers().join("supervisord/bin/supervisord"),
            Kind::Circus => peers().join("circus/bin/circusd"),
            Kind::Runit => debian("usr/bin/runsvdir"),
            Kind::S6 => debian("usr/bin/s6-svscan"),
            Kind::Daemontools => debian("usr/bin/svscan"),
        }
    }

    pub fn is_here(self) -> bool {
        self.program().exists()
    }
}

/// Our daemon, or the one that the environment names.
pub fn supervice() -> PathBuf {
    std::env::var_os("SUPERVICE").map_or_else(|| env!("CARGO_BIN_EXE_supervice").into(), PathBuf::from)
}

/// Where the output of the children goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    None,
    Files,
}

pub struct Running<'p> {
    kind: Kind,
    programs: &'p Programs,
    process: Child,
    folder: tempfile::TempDir,
    pids: BTreeSet<i32>,
    has_ended: bool,
    /// From the start of the system until all children have begun.
    pub started_ms: f64,
}

impl<'p> Running<'p> {
    /// Starts it; `None` if its children do not begin in time.
    pub fn start(kind: Kind, count: usize, logs: Logs, programs: &'p Programs) -> Option<Running<'p>> {
        let folder = folder();
        programs.drain();
        let mut command = prepare(kind, count, logs, programs, folder.path());
        let begin = Instant::now();
        let process = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        let mut running =
            Running { kind, programs, process, folder, pids: BTreeSet::new(), has_ended: false, started_ms: 0.0 };
        let pids = programs.births(count, PATIENCE)?;
        running.started_ms = ms(begin);
        running.pids.extend(pids);
        Some(running)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("pids are small"))
    }

    /// CPU time of the system itself, and none of its children's.
    pub fn cpu_ms(&self) -> f64 {
        self.family().iter().map(|pid| cpu_ms(*pid)).sum()
    }

    /// Resident memory of all its own processes; what they share counts once for each.
    pub fn rss_mib(&self) -> f64 {
        self.family().iter().map(|pid| field(*pid, "VmRSS:")).sum::<f64>() / 1024.0
    }

    /// CPU milliseconds and sleeps in two seconds, once it is quiet.
    pub fn idle(&self) -> (f64, f64) {
        let slept = || self.family().iter().map(|pid| field(*pid, "voluntary_ctxt_switches:")).sum::<f64>();
        std::thread::sleep(Duration::from_secs(1));
        let before = (self.cpu_ms(), slept());
        std::thread::sleep(Duration::from_secs(2));
        (self.cpu_ms() - before.0, slept() - before.1)
    }

    /// From the killing of so many until as many others have begun.
    pub fn storm_ms(&mut self, count: usize) -> Option<f64> {
        let victims: Vec<i32> = self.pids.iter().copied().filter(|pid| self.is_ours(*pid)).take(count).collect();
        let begin = Instant::now();
        for pid in &victims {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).expect("it lives");
        }
        let born = self.programs.births(victims.len(), PATIENCE)?;
        let took = ms(begin);
        victims.iter().for_each(|pid| _ = self.pids.remove(pid));
        self.pids.extend(born);
        Some(took)
    }

    /// What was born meanwhile, for whatever reason.
    pub fn expect_births(&mut self, count: usize) {
        let born = self.programs.births(count, PATIENCE).expect("they were asked for");
        self.pids.extend(born);
    }

    /// From the request to end until it and all children are gone.
    pub fn stop_ms(mut self) -> f64 {
        let begin = Instant::now();
        match self.kind {
            Kind::Runit => self.signal(Signal::SIGHUP),
            Kind::Daemontools => {
                self.signal(Signal::SIGTERM);
                self.tell_services("usr/bin/svc", &["-dx"]);
            }
            _ => self.signal(Signal::SIGTERM),
        }
        if self.kind == Kind::Circus {
            self.insist();
        }
        self.process.wait().expect("it is our own");
        self.has_ended = true;
        while self.pids.iter().any(|pid| self.is_ours(*pid)) && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(500));
        }
        ms(begin)
    }

    /// Circus forgets a SIGTERM that comes while it looks after its children, and then never ends.
    fn insist(&mut self) {
        let mut asked = Instant::now();
        while self.process.try_wait().expect("it is our own").is_none() {
            if asked.elapsed() > Duration::from_secs(1) {
                self.signal(Signal::SIGTERM);
                asked = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is our own");
    }

    fn tell_services(&self, program: &str, words: &[&str]) {
        let folders = std::fs::read_dir(self.folder.path().join("services")).expect("it was made");
        let folders = folders.map(|folder| folder.expect("it can be read").path());
        let told = Command::new(peers().join("debian").join(program)).args(words).args(folders).status();
        assert!(told.is_ok_and(|status| status.success()), "{program} reaches them all");
    }

    /// Whether a number still is one of the children, and not somebody else's by now.
    fn is_ours(&self, pid: i32) -> bool {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == Path::new(&self.programs.pauser()[0]))
    }

    /// Its own processes: itself, and those under it that are no children of the measurement.
    fn family(&self) -> Vec<i32> {
        self.tree().into_iter().filter(|pid| !self.pids.contains(pid)).collect()
    }

    /// Itself and all that are under it.
    fn tree(&self) -> Vec<i32> {
        let mut under: HashMap<i32, Vec<i32>> = HashMap::new();
        let processes = std::fs::read_dir("/proc").expect("there is a /proc");
        for pid in processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let rest = stat.rsplit(") ").next().unwrap_or_default();
            let parent = rest.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
            under.entry(parent).or_default().push(pid);
        }
        let mut tree = vec![self.pid().as_raw()];
        let mut seen = 0;
        while let Some(parent) = tree.get(seen) {
            let found = under.remove(parent).unwrap_or_default();
            tree.extend(found);
            seen += 1;
        }
        tree
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        for pid in self.tree() {
            // One of them may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

/// In memory, where there is such a place. On a disk a start would pay for the rounds before it: ext4 passes over each inode
/// that was freed in the last minutes, one by one, for each file that is made.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("there is room for a folder")
}

fn prepare(kind: Kind, count: usize, logs: Logs, programs: &Programs, folder: &Path) -> Command {
    let mut command = Command::new(kind.program());
    let at = |name: &str| folder.join(name);
    let write = |text: &str| std::fs::write(at("c"), text).expect("there is room for a file");
    match kind {
        Kind::Bare => {
            command.arg("bare-keep").arg(count.to_string()).args(programs.pauser());
        }
        Kind::Supervice => {
            write(&own_configuration(count, logs, programs, folder));
            command.args(["-n", "-l"]).arg(at("log")).arg("-c").arg(at("c"));
        }
        Kind::Python => {
            let socket = at("s").display().to_string();
            let command_line = programs.pauser().join(" ");
            write(&format!(
                "[supervice]\nsocket = {socket}\npidfile = {}\n[program:p]\ncommand = {command_line}\nnumprocs = {count}\nstartsecs = 0\n",
                at("p").display()
            ));
            command.args(["-n", "-l"]).arg(at("log")).arg("-c").arg(at("c"));
        }
        Kind::Supervisord => {
            let command_line = programs.pauser().join(" ");
            write(&format!(
                "[supervisord]\nnodaemon = true\nuser = root\nminfds = 9000\nlogfile = {}\npidfile = {}\n[program:p]\ncommand = {command_line}\n\
                 numprocs = {count}\nprocess_name = %(program_name)s_%(process_num)d\nautorestart = true\nstartsecs = 0\n\
                 stdout_logfile = NONE\nstderr_logfile = NONE\n",
                at("log").display(),
                at("p").display()
            ));
            command.args(["-n", "-c"]).arg(at("c"));
        }
        Kind::Circus => {
            let command_line = programs.pauser().join(" ");
            let endpoint = |name: &str| format!("ipc://{}", at(name).display());
            write(&format!(
                "[circus]\nendpoint = {}\npubsub_endpoint = {}\nstatsd = False\n[watcher:p]\ncmd = {command_line}\nnumprocesses = {count}\nwarmup_delay = 0\n",
                endpoint("e"),
                endpoint("q")
            ));
            command.arg(at("c"));
        }
        Kind::Runit | Kind::S6 | Kind::Daemontools => {
            services(count, programs, &at("services"));
            let debian = peers().join("debian");
            let path = std::env::var("PATH").unwrap_or_default();
            command
                .env("PATH", format!("{0}/usr/bin:{0}/usr/sbin:{path}", debian.display()))
                .env("LD_LIBRARY_PATH", debian.join("usr/lib/x86_64-linux-gnu"));
            if kind == Kind::S6 {
                let bin = at("services/.bin");
                std::fs::create_dir(&bin).expect("there is room for a folder");
                std::os::unix::fs::symlink(debian.join("usr/bin/s6-supervise"), bin.join("s6-supervise"))
                    .expect("there is room for a link");
                command.args(["-c", "9000", "-t", "0"]);
            }
            command.arg(at("services"));
        }
    }
    command
}

/// A folder for each service, with the child itself as its program, so that no shell comes in between.
fn services(count: usize, programs: &Programs, folder: &Path) {
    for index in 0..count {
        let service = folder.join(format!("p{index}"));
        std::fs::create_dir_all(&service).expect("there is room for a folder");
        std::os::unix::fs::symlink(&programs.pauser()[0], service.join("run")).expect("there is room for a link");
    }
}

fn own_configuration(count: usize, logs: Logs, programs: &Programs, folder: &Path) -> String {
    let mut text = format!("[supervice]\nsocket = {0}/s\npidfile = {0}/p\n", folder.display());
    let command = programs.pauser().join(" ");
    for index in 0..count {
        write!(text, "[program:p{index}]\ncommand = {command}\nstartsecs = 0\n").expect("memory takes it");
        for stream in ["stdout", "stderr"] {
            match logs {
                Logs::None => writeln!(text, "{stream}_logfile = none"),
                Logs::Files => writeln!(text, "{stream}_logfile = {}/p{index}.{stream}", folder.display()),
            }
            .expect("memory takes it");
        }
    }
    text
}

fn cpu_ms(pid: i32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let of_thread = |path: PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.filter_map(|thread| of_thread(thread.ok()?.path())).sum::<f64>() / 1e6
}

fn field(pid: i32, key: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Milliseconds since then.
pub fn ms(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
