//! What the machine has to say about a configuration: files, folders, users, env files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use supervice::daemon::vet;
use supervice::spec::Config;
use tempfile::TempDir;

/// A folder of its own, with a configuration in it. `DIR` in a text stands for the folder.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().expect("a folder can be made in the temporary one"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
        self.path(name)
    }

    /// Puts the daemon's own files into the folder, then `text`.
    fn config(&self, text: &str) -> PathBuf {
        let daemon = "[supervice]\npidfile=DIR/p.pid\nsocket=DIR/s.sock\n";
        let dir = self.0.path().to_str().unwrap();
        self.write("conf", format!("{daemon}{text}").replace("DIR", dir))
    }

    fn load(&self, text: &str) -> Config {
        vet::load(&self.config(text)).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// The errors, one a line, with `DIR` for the folder.
    fn errors(&self, text: &str) -> Vec<String> {
        let path = self.config(text);
        self.shown(&vet::render(&vet::load(&path).expect_err("something is wrong"), &path))
    }

    fn shown(&self, text: &str) -> Vec<String> {
        text.replace(self.0.path().to_str().unwrap(), "DIR").lines().map(str::to_owned).collect()
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("there is an id on every Unix");
    id.stdout == b"0\n"
}

#[test]
fn a_good_configuration_loads() {
    let folder = Folder::new();
    let config = folder.load("[program:x]\ncommand=sleep 1\ndirectory=/\nstdout_logfile=DIR/x.log\n");
    assert_eq!((config.instances.len(), config.warnings), (1, vec![]));
    assert_eq!(config.positions.line("program:x", "directory"), 6);
}

#[test]
fn what_is_not_there_is_told_at_once() {
    let folder = Folder::new();
    folder.write("file", "");
    let text = "logfile=DIR/no/l\nstate_file=DIR/no/s\n[program:x]\ncommand=a\nuser=no-such-user\ndirectory=DIR/nowhere\n\
                stdout_logfile=DIR/file/x.log\nstderr_logfile=DIR/none/x.log\nenv_file=DIR/none.env\nstartsecs=x\n[program:y]\ncommand=a\ndirectory=DIR/file\n";
    assert_eq!(
        folder.errors(text),
        [
            "DIR/conf:4: [supervice] logfile: the folder `DIR/no` does not exist (make it first)",
            "DIR/conf:5: [supervice] state_file: the folder `DIR/no` does not exist (make it first)",
            "DIR/conf:8: [program:x] user: there is no user `no-such-user` here (a name that `id` knows)",
            "DIR/conf:9: [program:x] directory: the folder `DIR/nowhere` does not exist (make it first)",
            "DIR/conf:10: [program:x] stdout_logfile: `DIR/file` is no folder (a folder that exists)",
            "DIR/conf:11: [program:x] stderr_logfile: the folder `DIR/none` does not exist (make it first)",
            "DIR/conf:12: [program:x] env_file: `DIR/none.env` cannot be read: No such file or directory",
            "DIR/conf:13: [program:x] startsecs: `x` is no number of seconds (seconds from 0 to 31536000, such as 10 or 0.5)",
            "DIR/conf:16: [program:y] directory: `DIR/file` is no folder (a folder that exists)",
        ]
    );
    let path = folder.write("other", "[supervice]\npidfile=/nowhere/p\nsocket=/nowhere/s\n");
    let problems = vet::load(&path).unwrap_err().problems;
    assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_device_needs_no_folder_to_write_in() {
    let folder = Folder::new();
    folder.load("[program:x]\ncommand=a\nstdout_logfile=/dev/full\nstderr_logfile=/dev/stdout\n");
}

#[test]
fn env_files_are_merged_below_the_environment() {
    let folder = Folder::new();
    folder.write("a.env", "\u{feff}A=a\r\nB=a\r\nC=a%(process_num)s\r\n");
    folder.write("b.env", "# later\nB=b\nD='d'\n");
    let config = folder.load(
        "[program:x]\nnumprocs=2\ncommand=a\nenv_file=DIR/a.env, DIR/b.env\nenvironment=D=own,E=%(process_num)s\n",
    );
    let env = |instance: usize| {
        let env = &config.instances[instance].launch.env;
        env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(env(0), "A=a B=b C=a00 D=own E=00");
    assert_eq!(env(1), "A=a B=b C=a01 D=own E=01");
}

#[test]
fn a_bad_env_file_is_named_with_its_line_and_not_its_secret() {
    let folder = Folder::new();
    for (text, expected) in [
        (&b"A=1\nsecret\n"[..], "DIR/x.env:2: malformed line without `=` (NAME=VALUE)"),
        (b"A=1\n\nB=\xff\n", "DIR/x.env:3: the line is not UTF-8 (save the file as UTF-8)"),
        (b"A=\0\n", "DIR/x.env:1: the line contains a NUL byte (plain text without it)"),
        (b"=secret\n", "DIR/x.env:1: a variable has no name (NAME=VALUE)"),
        (&[b'\n'; (1 << 20) + 1], "`DIR/x.env` is larger than 1048576 bytes (that is the limit)"),
    ] {
        folder.write("x.env", text);
        let two = "[program:x]\ncommand=a\nenv_file=DIR/x.env\n[program:y]\ncommand=a\nenv_file=DIR/x.env\n";
        assert_eq!(folder.errors(two), [format!("DIR/conf:6: [program:x] env_file: {expected}")]);
    }
}

#[test]
fn an_env_file_that_others_may_read_is_warned_of() {
    let folder = Folder::new();
    let path = folder.write("x.env", "A=1\n");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let config = folder.load("[program:x]\ncommand=a\nenv_file=DIR/x.env\n");
    let warning = folder.shown(&config.warnings[0].render("conf")).remove(0);
    assert_eq!(warning, "conf:6: [program:x] env_file: others may read `DIR/x.env` (chmod o-r keeps its secrets)");
}

#[test]
fn what_is_no_file_is_refused_and_never_waited_for() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("fifo")).status().unwrap().success());
    for name in ["fifo", "."] {
        let path = folder.path(name);
        assert_eq!(vet::read_config(&path).unwrap_err().message, "is no regular file (a text file)");
        let text = format!("[program:x]\ncommand=a\nenv_file=DIR/{name}\n");
        assert_eq!(
            folder.errors(&text),
            [format!("DIR/conf:6: [program:x] env_file: `DIR/{name}` is no regular file (a text file)")]
        );
    }
    let problem = vet::read_config(Path::new("/no/such/file")).unwrap_err();
    assert_eq!(problem.render("f"), "f: cannot be read: No such file or directory");
    let device = vet::read_config(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(device.message, "is no regular file (a text file)");
    let path = folder.path("missing");
    assert_eq!(
        folder.shown(&vet::render(&vet::load(&path).unwrap_err(), &path)),
        ["DIR/missing: cannot be read: No such file or directory"]
    );
}

#[test]
fn a_configuration_is_as_large_as_it_may_be() {
    let folder = Folder::new();
    let most = 4 << 20;
    assert_eq!(vet::read_config(&folder.write("big", vec![b'\n'; most])).unwrap().len(), most);
    let problem = vet::read_config(&folder.write("big", vec![b'\n'; most + 1])).unwrap_err();
    assert_eq!(problem.message, "is larger than 4194304 bytes (that is the limit)");
}

#[test]
fn a_configuration_that_others_may_write_is_refused() {
    let folder = Folder::new();
    let path = folder.config("");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let expected = "may be written by others, mode 0666 (chmod go-w; it says what is run)";
    assert_eq!(vet::read_config(&path).unwrap_err().message, expected);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    vet::read_config(&path).unwrap();
}

#[test]
fn a_folder_that_others_may_write_is_refused_for_root() {
    if !is_root() {
        return skipped("folders are only judged for root");
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("open")).unwrap();
    let path = folder.write("open/conf", "");
    let mode = |mode| fs::set_permissions(folder.path("open"), Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    let message = vet::read_config(&path).unwrap_err().message;
    let expected = ["lies in the folder `DIR/open`, where others may write, mode 0777 (chmod go-w, or the sticky bit)"];
    assert_eq!(folder.shown(&message), expected);
    // A link from a good place does not make it better.
    symlink(&path, folder.path("link")).unwrap();
    assert_eq!(folder.shown(&vet::read_config(&folder.path("link")).unwrap_err().message), expected);
    mode(0o1777);
    vet::read_config(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    let expected = "is owned by user 65534 (it must belong to root, since it says what is run)";
    assert_eq!(vet::read_config(&path).unwrap_err().message, expected);
    std::os::unix::fs::chown(folder.path("open"), Some(65_534), None).unwrap();
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    let message = vet::read_config(&path).unwrap_err().message;
    assert_eq!(
        folder.shown(&message),
        ["lies in the folder `DIR/open`, which user 65534 owns (run as root, it must be root's)"]
    );
}

#[test]
fn another_user_needs_root() {
    let folder = Folder::new();
    let text = "[program:x]\ncommand=a\nuser=root\n";
    if is_root() {
        assert_eq!(folder.load(text).instances[0].launch.user.as_deref(), Some("root"));
    } else {
        let expected = "DIR/conf:6: [program:x] user: to run as `root` needs root (without `user` it runs as you do)";
        assert_eq!(folder.errors(text), [expected]);
    }
}

#[test]
fn a_folder_without_rights_is_told() {
    if is_root() {
        return skipped("root may write and enter any folder");
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("shut")).unwrap();
    fs::set_permissions(folder.path("shut"), Permissions::from_mode(0o400)).unwrap();
    assert_eq!(
        folder.errors("[program:x]\ncommand=a\nstdout_logfile=DIR/shut/log\ndirectory=DIR/shut\n"),
        [
            "DIR/conf:6: [program:x] stdout_logfile: the folder `DIR/shut` is not writable: Permission denied",
            "DIR/conf:7: [program:x] directory: the folder `DIR/shut` cannot be entered: Permission denied",
        ]
    );
}

#[test]
fn a_setuid_command_loses_its_parent_death_signal() {
    let folder = Folder::new();
    let program = folder.write("tool", "#!/bin/sh\n");
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    let mode = fs::metadata(&program).unwrap().permissions().mode();
    assert_eq!(mode & 0o4000, 0o4000, "the file system keeps the bit");
    let expected = "conf:5: [program:x] command: `DIR/tool` is setuid or setgid: the kernel clears pdeathsig there, it outlives a daemon that dies";
    for command in ["command=DIR/tool", "command=tool\nenvironment=PATH=relative:DIR", "command=./tool\ndirectory=DIR"]
    {
        let config = folder.load(&format!("[program:x]\n{command}\n"));
        let warnings: Vec<String> = config.warnings.iter().map(|problem| problem.render("conf")).collect();
        assert_eq!(folder.shown(&warnings.join("\n").replace("/./", "/")), [expected], "{command}");
    }
    for harmless in ["command=DIR/tool\npdeathsig=no", "command=tool\nclean_env=yes", "command=true"] {
        assert_eq!(folder.load(&format!("[program:x]\n{harmless}\n")).warnings, [], "{harmless}");
    }
}

#[test]
fn loading_twice_gives_the_same() {
    let folder = Folder::new();
    folder.write("a.env", "A=1\n");
    let path = folder.config("[program:x]\ncommand=a\nenv_file=DIR/a.env\nnumprocs=3\n");
    assert_eq!(vet::load(&path).unwrap(), vet::load(&path).unwrap());
}

/// Not by a macro: the harness would hide it.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
