//! What the tests share: launches, waiting for conditions with a deadline, a look at /proc.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use supervice::engine::message::{ExitStatus, Pid, Signal, SpawnError};
use supervice::spec::Launch;
use supervice::sys::kill::{signal_group, signal_process};
use supervice::sys::limits;
use supervice::sys::spawn::{ErrorOutput, Fresh, Inherited, Output, Plan, VerdictRead, resolve_user, spawn};
use supervice::sys::watch::{Reap, reap};

/// Far more than any of this takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A launch with nothing special about it.
pub fn launch(argv: &[&str]) -> Launch {
    Launch {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: BTreeMap::new(),
        env_files: Vec::new(),
        clean_env: false,
        directory: None,
        user: None,
        umask: None,
        pdeathsig: false,
        no_new_privs: false,
    }
}

/// `sh -c SCRIPT`.
pub fn shell(script: &str) -> Launch {
    launch(&["/bin/sh", "-c", script])
}

/// A start that has nothing to do with how the tests were started.
pub fn inherited() -> Inherited {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Inherited { environment: vec![("PATH".into(), path)], nofile: limits::nofile().unwrap(), umask: 0o022 }
}

/// A plan for this launch, the user looked up.
pub fn plan(launch: &Launch) -> Plan {
    let user = resolve_user(launch).unwrap();
    Plan::prepare(launch, &inherited(), user.as_ref()).unwrap()
}

/// A child that is killed with its group when the test is over.
pub struct Child {
    pub fresh: Fresh,
    pub ended: Option<ExitStatus>,
}

impl Child {
    pub fn spawn(launch: &Launch) -> Child {
        Child::from_plan(&plan(launch), Output::Null, ErrorOutput::SameAsStdout)
    }

    pub fn with_output(launch: &Launch) -> Child {
        Child::from_plan(&plan(launch), Output::Pipe, ErrorOutput::SameAsStdout)
    }

    pub fn from_plan(plan: &Plan, stdout: Output, stderr: ErrorOutput) -> Child {
        Child::from_fresh(spawn(plan, stdout, stderr, None).unwrap())
    }

    pub fn from_fresh(fresh: Fresh) -> Child {
        Child { fresh, ended: None }
    }

    pub fn pid(&self) -> Pid {
        self.fresh.pid
    }

    /// Waits for the verdict.
    pub fn verdict(&mut self) -> Result<(), SpawnError> {
        wait_for("a verdict", || match self.fresh.verdict.read().unwrap() {
            VerdictRead::Pending => None,
            VerdictRead::ExecOk => Some(Ok(())),
            VerdictRead::Failed(error) => Some(Err(error)),
        })
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let status = wait_for("an end", || match reap(self.fresh.pid, self.fresh.pidfd.as_ref()).unwrap() {
            Reap::Dry => None,
            Reap::Ended(status) => Some(status),
            Reap::Unknown => panic!("somebody else reaped {}", self.fresh.pid),
        });
        self.ended = Some(status);
        status
    }

    pub fn signal(&self, signal: i32) {
        let signal = Signal(u8::try_from(signal).unwrap());
        signal_process(self.fresh.pid, self.fresh.pidfd.as_ref(), signal).unwrap();
    }

    /// All of its stdout, to the end.
    pub fn output(&mut self) -> String {
        String::from_utf8(self.output_bytes()).unwrap()
    }

    /// All of its stdout, to the end.
    pub fn output_bytes(&mut self) -> Vec<u8> {
        let pipe = self.fresh.stdout.take().unwrap();
        let mut bytes = Vec::new();
        wait_for("the end of output", || drain(&pipe, &mut bytes).then_some(()));
        bytes
    }

    /// Its stdout up to and with the line that begins so.
    pub fn line_with(&mut self, start: &str) -> String {
        let pipe = self.fresh.stdout.as_ref().unwrap();
        let mut bytes = Vec::new();
        wait_for(start, || {
            drain(pipe, &mut bytes);
            let text = String::from_utf8(bytes.clone()).unwrap();
            text.split_inclusive('\n').any(|line| line.starts_with(start) && line.ends_with('\n')).then_some(text)
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pidfd = self.fresh.pidfd.as_ref();
        // Whoever is gone already cannot be signalled, which is as good.
        let _ = signal_group(self.fresh.pid, pidfd, Signal::KILL);
        if self.ended.is_none() {
            let _ = signal_process(self.fresh.pid, pidfd, Signal::KILL);
            if !std::thread::panicking() {
                self.end();
            }
        }
    }
}

/// Reads what there is; whether that was the end.
fn drain(pipe: &OwnedFd, into: &mut Vec<u8>) -> bool {
    use std::io::Read;
    let mut file = std::fs::File::from(pipe.try_clone().unwrap());
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => into.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(error) => panic!("descriptor {}: {error}", pipe.as_raw_fd()),
        }
    }
}

/// A line of /proc/PID/status.
pub fn status(pid: Pid, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {key} of {pid}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether there is such a process and it is no zombie.
pub fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|text| !matches!(text.rsplit(')').next().unwrap().trim_start().chars().next(), Some('Z' | 'X')))
}

/// Writes a script. By another process: a child that some other test forks meanwhile would else hold it open for
/// writing, and the kernel refuses to run what is being written.
pub fn script(path: &Path, mode: u32, text: &str) {
    let status = std::process::Command::new("sh")
        .args(["-c", "printf \"$1\\n\" > \"$0\" && chmod \"$2\" \"$0\""])
        .arg(path)
        .args([text, &format!("{mode:o}")])
        .status();
    assert!(status.unwrap().success());
}
