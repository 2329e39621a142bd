//! A folder of its own for each test, and the mark by which everything it started is found and ended.

use super::turn::Turn;
use super::wait::wait_for;
use super::{Ran, actor, process, run, supervice, wait::DEADLINE};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The folder, gone with all its processes when dropped.
pub struct Home {
    folder: TempDir,
    mark: String,
    /// Last: the next scenario begins when this one has cleaned up.
    _turn: Turn,
}

impl Home {
    pub fn new() -> Home {
        Home::in_turn(Turn::shared())
    }

    /// With no other scenario beside it.
    pub fn alone() -> Home {
        Home::in_turn(Turn::alone())
    }

    fn in_turn(turn: Turn) -> Home {
        // Not $TMPDIR: a socket path has about 100 bytes.
        let folder = tempfile::Builder::new().prefix("sv-").tempdir_in("/tmp").expect("/tmp is writable");
        let mark = format!("E2E_MARK={}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        Home { folder, mark, _turn: turn }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.join("s.sock")
    }

    pub fn config_path(&self) -> PathBuf {
        self.join("c.conf")
    }

    /// The content of a file; empty where there is none.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.join(name)).unwrap_or_default()).into_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        path
    }

    /// The pids that actors appended to a file (`--touch`, `--child-pid`).
    pub fn pids(&self, name: &str) -> Vec<i32> {
        self.read(name).lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// `{dir}` and `{actor}` filled in.
    pub fn fill(&self, text: &str) -> String {
        let text = text.replace("{dir}", &self.path().display().to_string());
        if text.contains("{actor}") { text.replace("{actor}", &self.actor_path()) } else { text }
    }

    fn actor_path(&self) -> String {
        let copy = self.join("actor");
        (if copy.exists() { copy } else { actor() }).display().to_string()
    }

    /// Lets other users in, and gives them an actor that they can reach.
    pub fn open_to_all(&self) {
        fs::set_permissions(self.path(), Permissions::from_mode(0o755)).expect("the folder is ours");
        self.copy_program(actor(), "actor", 0o755);
    }

    /// A copy of a program, to be run. Another process makes it: a descriptor open for writing in this one would be
    /// inherited by whatever another test is just forking, and the kernel runs no file that is open for writing.
    #[track_caller]
    pub fn copy_program(&self, program: impl AsRef<Path>, name: &str, mode: u32) -> PathBuf {
        let copy = self.join(name);
        let ran = run(Command::new("cp").arg(program.as_ref()).arg(&copy), DEADLINE);
        assert_eq!(ran.code, 0, "{ran:?}");
        fs::set_permissions(&copy, Permissions::from_mode(mode)).expect("the copy is ours");
        copy
    }

    /// Writes the configuration: socket and pidfile in this folder, then `text`, which goes on inside `[supervice]`.
    pub fn configure(&self, text: &str) -> PathBuf {
        self.configure_raw(&format!("[supervice]\nsocket = {{dir}}/s.sock\npidfile = {{dir}}/d.pid\n{text}"))
    }

    /// Writes exactly this configuration.
    pub fn configure_raw(&self, text: &str) -> PathBuf {
        self.write("c.conf", self.fill(text))
    }

    /// A command whose processes, and theirs, are ended with this home. It runs in the folder.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let (key, value) = self.mark.split_once('=').expect("the mark is an assignment");
        command.env(key, value).current_dir(self.path());
        command
    }

    /// The daemon with these arguments, to its end.
    #[track_caller]
    pub fn run_daemon(&self, arguments: &[&str]) -> Ran {
        run(self.command(supervice()).args(arguments), DEADLINE)
    }

    /// `supervice -t` on this configuration.
    #[track_caller]
    pub fn test_config(&self, text: &str) -> Ran {
        self.configure(text);
        self.run_daemon(&["-t", "-c", "c.conf"])
    }

    /// Every process that this home's commands led to.
    pub fn processes(&self) -> Vec<i32> {
        process::carrying(&self.mark)
    }

    /// Ends them all; those that a dying daemon was just making are found by looking again.
    pub fn end_processes(&self) {
        let gone = wait_for(Duration::from_secs(5), || {
            let left = self.processes();
            left.iter().for_each(|&pid| process::kill(pid));
            left.is_empty().then_some(())
        });
        if gone.is_none() {
            eprintln!("left behind: {:?} carry {}", self.processes(), self.mark);
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.end_processes();
    }
}
