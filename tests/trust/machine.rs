//! What of the machine these tests bend: cgroups, small file systems, strace. Each is put right when dropped.

use crate::harness::*;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A cgroup-v1 folder of one controller.
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// `Err`: why there is none.
    pub fn new(controller: &str, file: &str) -> Result<Cgroup, String> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("supervice-trust-{}-{number}", std::process::id());
        let folder = Path::new("/sys/fs/cgroup").join(controller).join(name);
        if fs::create_dir(&folder).is_ok() && folder.join(file).exists() {
            return Ok(Cgroup { folder });
        }
        let _ = fs::remove_dir(folder);
        Err(format!("no writable cgroup-v1 {controller}"))
    }

    pub fn take(&self, pid: i32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    pub fn set(&self, file: &str, value: &str) {
        fs::write(self.folder.join(file), value).unwrap();
    }

    /// Everybody in it is in state D, and SIGKILL has no effect until `thaw`.
    pub fn freeze(&self) {
        self.set("freezer.state", "FROZEN");
        let frozen = || fs::read_to_string(self.folder.join("freezer.state")).is_ok_and(|text| text.trim() == "FROZEN");
        wait_until(DEADLINE, "it is frozen", frozen);
    }

    pub fn thaw(&self) {
        self.set("freezer.state", "THAWED");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("freezer.state"), "THAWED");
        let _ = fs::write(self.folder.join("pids.max"), "max");
        // Whoever is still in it goes back to the root of the hierarchy.
        for pid in fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(self.folder.join("../cgroup.procs"), pid);
        }
        wait_for(Duration::from_secs(5), || fs::remove_dir(&self.folder).ok());
    }
}

/// A mounted file system.
pub struct Mount {
    place: PathBuf,
}

impl Mount {
    /// A tmpfs of so many KiB.
    pub fn tmpfs(place: &Path, kib: u32) -> Result<Mount, String> {
        fs::create_dir_all(place).unwrap();
        let option = format!("size={kib}k,mode=0755");
        Mount::by(place, Command::new("mount").args(["-t", "tmpfs", "-o", &option, "none"]).arg(place))
    }

    pub fn by(place: &Path, command: &mut Command) -> Result<Mount, String> {
        let ran = command.stderr(Stdio::null()).status();
        match ran {
            Ok(status) if status.success() => Ok(Mount { place: place.to_owned() }),
            _ => Err("no right to mount".to_owned()),
        }
    }

    pub fn remount(&self, option: &str) {
        let ran = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.place).status();
        assert!(ran.unwrap().success(), "remount,{option}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        wait_for(Duration::from_secs(5), || {
            Command::new("umount")
                .arg(&self.place)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|it| it.success())
                .then_some(())
        });
    }
}

/// Whether strace can make a system call of ours fail.
pub fn can_inject() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-qq", "-o", "/dev/null", "-e", "trace=chmod", "-e", "inject=chmod:error=EIO", "true"]);
    probe.output().is_ok_and(|output| output.status.success())
}

/// strace on a daemon that runs, with what it is to do there.
pub struct Tracer(Child);

impl Tracer {
    pub fn attach(d: &Daemon, arguments: &[&str]) -> Tracer {
        let mut command = Command::new("strace");
        command.args(["-qq", "-p", &d.pid().to_string()]).args(arguments);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = child.id().to_string();
        d.wait("strace is attached", || (process::status(d.pid(), "TracerPid") == pid).then_some(()));
        Tracer(child)
    }

    pub fn detach(mut self) {
        process::signal(self.0.id() as i32, Signal::SIGTERM);
        if wait_for(Duration::from_secs(5), || self.0.try_wait().unwrap()).is_none() {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// A daemon that makes its first calls under strace already, until `let_go`.
pub fn launch_traced(home: Home, arguments: &[&str]) -> Daemon {
    let mut command = home.command("strace");
    // The daemon is the parent and strace the child, which heeds SIGTERM.
    command.args(["-D", "-I", "2", "-qq"]).args(arguments).arg(supervice());
    Daemon::launch_by(home, command)
}

/// Lets go of a daemon that was launched traced.
pub fn let_go(d: &Daemon) {
    let tracer = || process::status(d.pid(), "TracerPid").parse::<i32>().unwrap();
    process::signal(tracer(), Signal::SIGTERM);
    d.wait("strace lets go", || (tracer() == 0).then_some(()));
}

/// A process that has nothing to do with any daemon, leading a session of its own, ended when dropped.
pub struct Bystander {
    child: Child,
}

impl Bystander {
    pub fn new(home: &Home) -> Bystander {
        Bystander::with_marker(home, None)
    }

    pub fn with_marker(home: &Home, marker: Option<&str>) -> Bystander {
        let mut command = home.command(actor());
        command.args(["--setsid"]).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(marker) = marker {
            command.env("SUPERVICE_RUN", marker);
        }
        let bystander = Bystander { child: command.spawn().unwrap() };
        wait_until(DEADLINE, "it leads a session", || {
            process::stat(bystander.pid()).is_some_and(|stat| stat.session == bystander.pid())
        });
        bystander
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Alive, and signalled by nobody.
    #[track_caller]
    pub fn assert_unharmed(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the bystander was killed");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clock ticks from the boot to the start of a process.
pub fn start_ticks(pid: i32) -> u64 {
    let text = fs::read(format!("/proc/{pid}/stat")).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    text[text.rfind(')').unwrap() + 2..].split(' ').nth(19).unwrap().parse().unwrap()
}
