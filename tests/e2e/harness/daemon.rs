//! The daemon under test: started, asked, watched, ended.

use super::client::Client;
use super::{DEADLINE, Home, Ran, process, run, supervice, supervicectl, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running daemon in the foreground, and its folder.
pub struct Daemon {
    child: Child,
    /// The daemon itself, also where `child` is a wrapper.
    pid: i32,
    pub home: Home,
}

/// One line of `status`.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub state: String,
    pub pid: Option<i32>,
    pub raw: Value,
}

impl Daemon {
    /// In the foreground, with `text` after the first lines of `[supervice]`, until its socket answers.
    #[track_caller]
    pub fn start(text: &str) -> Daemon {
        Daemon::start_in(Home::new(), text)
    }

    #[track_caller]
    pub fn start_in(home: Home, text: &str) -> Daemon {
        home.configure(text);
        Daemon::launch(home)
    }

    /// With the configuration that stands in the folder already.
    #[track_caller]
    pub fn launch(home: Home) -> Daemon {
        let command = home.command(supervice());
        Daemon::launch_by(home, command)
    }

    /// By a command that ends in the daemon itself (`supervice`, or a wrapper that execs it).
    #[track_caller]
    pub fn launch_by(home: Home, command: Command) -> Daemon {
        let mut daemon = Daemon::spawn(home, command);
        daemon.wait_ready();
        daemon
    }

    /// Like `launch_by`, without waiting for the socket.
    #[track_caller]
    pub fn spawn(home: Home, mut command: Command) -> Daemon {
        let log = |name: &str| {
            let file = File::options().create(true).append(true).open(home.join(name));
            file.expect("the folder is ours")
        };
        command.args(["-n", "-c"]).arg(home.config_path());
        let child = command.stdin(Stdio::null()).stdout(log("out")).stderr(log("err")).spawn();
        let child = child.unwrap_or_else(|problem| panic!("{command:?}: {problem}"));
        Daemon { pid: child.id() as i32, child, home }
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// For a wrapper that forks: the pid of the daemon itself.
    pub fn set_pid(&mut self, pid: i32) {
        self.pid = pid;
    }

    #[track_caller]
    pub fn wait_ready(&mut self) {
        let socket = self.home.socket();
        let ready = wait_for(DEADLINE, || {
            if let Some(code) = self.try_exit() {
                panic!("the daemon ended with {code} before it answered\n{}", self.story());
            }
            Client::connect(&socket).and_then(|mut client| client.ask(&json!({"command": "status"}))).ok()
        });
        assert!(ready.is_some(), "the daemon does not answer\n{}", self.story());
    }

    /// All that it said.
    pub fn log(&self) -> String {
        self.home.read("out")
    }

    /// What a failure message wants to show.
    pub fn story(&self) -> String {
        format!("--- log\n{}--- stderr\n{}--- config\n{}", self.log(), self.home.read("err"), self.home.read("c.conf"))
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.home.socket()).unwrap_or_else(|problem| panic!("connect: {problem}\n{}", self.story()))
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: Value) -> Value {
        let reply = self.client().ask(&request);
        reply.unwrap_or_else(|problem| panic!("{request}: {problem}\n{}", self.story()))
    }

    /// `{"command": command, "name": name}`.
    #[track_caller]
    pub fn order(&self, command: &str, name: &str) -> Value {
        self.ask(json!({"command": command, "name": name}))
    }

    /// An order that must succeed.
    #[track_caller]
    pub fn done(&self, command: &str, name: &str) -> String {
        let reply = self.order(command, name);
        assert_eq!(reply["status"], "ok", "{command} {name}: {reply}\n{}", self.story());
        reply["message"].as_str().unwrap_or("").to_owned()
    }

    /// An order that must fail: its message.
    #[track_caller]
    pub fn refused(&self, command: &str, name: &str) -> String {
        let reply = self.order(command, name);
        assert_eq!(reply["status"], "error", "{command} {name}: {reply}\n{}", self.story());
        reply["message"].as_str().unwrap_or("").to_owned()
    }

    #[track_caller]
    pub fn reload(&self) -> Value {
        self.ask(json!({"command": "reload"}))
    }

    /// Sends an order and leaves the reply for later.
    #[track_caller]
    pub fn begin(&self, request: Value) -> Client {
        let mut client = self.client();
        client.send(&request).expect("the daemon takes requests");
        client
    }

    #[track_caller]
    pub fn rows(&self) -> Vec<Row> {
        let reply = self.ask(json!({"command": "status"}));
        let rows = reply["processes"].as_array().unwrap_or_else(|| panic!("{reply}"));
        let row = |raw: &Value| Row {
            name: raw["name"].as_str().expect("a name").to_owned(),
            state: raw["state"].as_str().expect("a state").to_owned(),
            pid: raw["pid"].as_i64().map(|pid| pid as i32),
            raw: raw.clone(),
        };
        rows.iter().map(row).collect()
    }

    #[track_caller]
    pub fn row(&self, name: &str) -> Row {
        let rows = self.rows();
        let found = rows.iter().find(|row| row.name == name).cloned();
        found.unwrap_or_else(|| panic!("no {name} in {rows:?}"))
    }

    #[track_caller]
    pub fn state(&self, name: &str) -> String {
        self.row(name).state
    }

    /// The pid of a process that must have one.
    #[track_caller]
    pub fn pid_of(&self, name: &str) -> i32 {
        let row = self.row(name);
        row.pid.unwrap_or_else(|| panic!("{row:?} has no pid\n{}", self.story()))
    }

    #[track_caller]
    pub fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.wait_within(DEADLINE, what, look)
    }

    #[track_caller]
    pub fn wait_within<T>(&self, deadline: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
        let found = wait_for(deadline, look);
        found.unwrap_or_else(|| panic!("not within {deadline:?}: {what}\n{}", self.story()))
    }

    /// Waits until `name` is in `state`; its line then.
    #[track_caller]
    pub fn wait_state(&self, name: &str, state: &str) -> Row {
        self.wait(&format!("{name} is {state}"), || Some(self.row(name)).filter(|row| row.state == state))
    }

    /// Waits until every process is in `state`.
    #[track_caller]
    pub fn wait_all(&self, state: &str) {
        self.wait(&format!("all are {state}"), || self.rows().iter().all(|row| row.state == state).then_some(()));
    }

    /// Waits for a RUNNING `name` with another pid than `old`.
    #[track_caller]
    pub fn wait_new_run(&self, name: &str, old: i32) -> i32 {
        self.wait(&format!("{name} runs anew"), || {
            let row = self.row(name);
            row.pid.filter(|&pid| pid != old && row.state == "RUNNING")
        })
    }

    /// Waits until a line of the log contains `text`; that line.
    #[track_caller]
    pub fn wait_log(&self, text: &str) -> String {
        self.wait(&format!("the log says {text:?}"), || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// How often `text` stands in the log.
    pub fn log_count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until a file in the folder has something in it.
    #[track_caller]
    pub fn wait_file(&self, name: &str) -> String {
        self.wait(&format!("{name} is written"), || Some(self.home.read(name)).filter(|text| !text.is_empty()))
    }

    /// `supervicectl` on this daemon.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Ran {
        let mut command = self.home.command(supervicectl());
        command.arg("-s").arg(self.home.socket()).args(arguments);
        run(&mut command, DEADLINE + DEADLINE)
    }

    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid, signal);
    }

    /// The exit code, if it has ended (128 + signal if by one).
    pub fn try_exit(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("our own child can be waited for")?;
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        let code = wait_for(DEADLINE, || self.try_exit());
        code.unwrap_or_else(|| panic!("the daemon does not end\n{}", self.story()))
    }

    /// SIGTERM, and its exit code.
    #[track_caller]
    pub fn terminate(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait_exit()
    }

    /// SIGKILL; the folder, for the next one.
    pub fn murder(mut self) -> Home {
        process::kill(self.pid);
        let _ = self.child.wait();
        self.home
    }

    /// What must hold after any storm: the same daemon, no zombie, a quick answer.
    #[track_caller]
    pub fn assert_well(&self) {
        assert!(process::alive(self.pid), "the daemon is gone\n{}", self.story());
        self.rows();
        self.wait("no zombie is left", || process::zombies(self.pid).is_empty().then_some(()));
    }
}
