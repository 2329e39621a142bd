//! What the children run, and the client that ours is compared with: a few lines of C, compiled here.
//!
//! A child tells its birth over a FIFO, so that all systems are watched in the same way, and none is asked.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PAUSER: &str = r#"
#include <fcntl.h>
#include <unistd.h>
int main(void) {
    int pid = getpid(), fd = open(FIFO, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, &pid, sizeof pid) != sizeof pid) return 1;
    close(fd);
    for (;;) pause();
}
"#;

const CLIENT: &str = r#"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char question[] = "\0\0\0\x14{\"command\":\"status\"}";
    unsigned length, seen = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(at.sun_path, argv[argc - 1], sizeof at.sun_path - 1);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) || write(fd, question, 24) != 24) return 1;
    if (read(fd, &length, 4) != 4) return 1;
    length = ntohl(length);
    char *reply = malloc(length);
    for (long got; seen < length; seen += got)
        if ((got = read(fd, reply + seen, length - seen)) <= 0) return 1;
    return write(1, reply, length) != length;
}
"#;

/// The folder of the programs, and the FIFO into which the children tell their pids.
pub struct Programs {
    folder: tempfile::TempDir,
    births: File,
    compiled: bool,
}

impl Programs {
    /// Compiles them; without a compiler this program itself is the child, which costs more than all the rest.
    pub fn make() -> Programs {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let fifo = folder.path().join("births");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("there is room for a FIFO");
        let births = File::options().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo);
        let mut made = Programs { births: births.expect("it was just made"), folder, compiled: true };
        let fifo = format!("-DFIFO=\"{}\"", fifo.display());
        let is_made = |flags: &[&str]| made.compile("pauser", PAUSER, flags);
        made.compiled = is_made(&["-static", &fifo]) || is_made(&[&fifo]);
        if !made.compiled {
            eprintln!("no C compiler: children run this program itself, there are no peers and no C client");
        }
        if !made.compile("client", CLIENT, &[]) && made.compiled {
            eprintln!("the C client could not be made");
        }
        made
    }

    fn compile(&self, name: &str, source: &str, flags: &[&str]) -> bool {
        let (from, to) = (self.folder.path().join(format!("{name}.c")), self.folder.path().join(name));
        std::fs::write(&from, source).expect("there is room for a file");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let output = Command::new(compiler).args(["-O2", "-s"]).args(flags).arg("-o").arg(&to).arg(&from).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Whether there was a compiler.
    pub fn are_compiled(&self) -> bool {
        self.compiled
    }

    /// What a child runs.
    pub fn pauser(&self) -> Vec<String> {
        match self.compiled {
            true => vec![self.folder.path().join("pauser").display().to_string()],
            false => vec![own_path(), "pauser".to_owned(), self.folder.path().join("births").display().to_string()],
        }
    }

    /// The C client, if it could be made.
    pub fn client(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("client")).filter(|path| path.exists())
    }

    /// The pids of so many that begin from now on; `None` if they do not within that time.
    pub fn births(&self, count: usize, patience: Duration) -> Option<Vec<i32>> {
        let end = Instant::now() + patience;
        let mut pids = Vec::with_capacity(count);
        let mut bytes = [0; 4096];
        while pids.len() < count {
            if Instant::now() > end {
                return None;
            }
            let mut watched = [PollFd::new(self.births.as_fd(), PollFlags::POLLIN)];
            poll(&mut watched, PollTimeout::from(100u16)).expect("it is open");
            if let Ok(length) = (&self.births).read(&mut bytes) {
                let told = bytes[..length].chunks_exact(4);
                pids.extend(told.map(|pid| i32::from_ne_bytes(pid.try_into().expect("there are four of them"))));
            }
        }
        Some(pids)
    }

    /// Forgets births that nobody waited for.
    pub fn drain(&self) {
        let mut bytes = [0; 4096];
        while (&self.births).read(&mut bytes).is_ok_and(|length| length > 0) {}
    }
}

/// The child, where there is no compiler.
pub fn pause(fifo: &str) {
    let pid = i32::try_from(std::process::id()).expect("pids are small");
    let told = File::options().write(true).open(fifo).and_then(|mut fifo| {
        use std::io::Write;
        fifo.write_all(&pid.to_ne_bytes())
    });
    told.expect("the FIFO is there");
    loop {
        nix::unistd::pause();
    }
}

/// This very program.
pub fn own_path() -> String {
    std::env::current_exe().expect("a program knows its own path").display().to_string()
}

/// Where the peers were installed.
pub fn peers() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    std::env::var_os("PEERS").map_or(path, PathBuf::from)
}
