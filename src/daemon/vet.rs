//! What only the machine knows about a configuration: files, folders, users, env files.
//!
//! Everything that is wrong is told at once, together with what the text alone has wrong. Nothing is made or changed
//! here; a problem that comes up later all the same is met where it does.

mod commands;
mod env_files;
mod folders;
mod trust;

use super::notices;
use crate::config::problems::{Place, Problems, quoted};
use crate::config::{self, Draft};
use crate::spec::{Config, DaemonSpec, InstanceSpec, LogTarget, Positions, Problem, Whom};
use crate::sys::socket::LONGEST_PATH;
use crate::sys::user;
use commands::Commands;
use env_files::EnvFiles;
use folders::Folders;
use std::io;
use std::path::Path;

/// Reads a configuration file and vets it. On errors all of them come back, with what is odd beside them.
pub fn load(path: &Path) -> Result<Config, Box<Draft>> {
    let draft = check(path);
    match draft.problems.is_empty() {
        true => Ok(draft.config),
        false => Err(Box::new(draft)),
    }
}

/// Reads a configuration file and vets it as far as it goes: errors in `problems`, warnings in the configuration.
pub fn check(path: &Path) -> Draft {
    let working_dir = std::env::current_dir().unwrap_or_default();
    match read_config(path) {
        Ok(text) => vet(config::draft(&text, &working_dir)),
        Err(problem) => {
            let mut draft = config::draft(b"", &working_dir);
            draft.problems.push(problem);
            draft
        }
    }
}

/// Reads the text of a configuration file, if it is one and nobody but its owner can write it. Never blocks.
pub fn read_config(path: &Path) -> Result<Vec<u8>, Problem> {
    let text = trust::read(path, config::reader::MAX_BYTES).map(|read| read.text);
    text.map_err(|message| Problem { line: 0, section: String::new(), option: String::new(), message })
}

/// One line for each error, `FILE:LINE: [SECTION] option: message`, then one for each warning, marked as such.
pub fn render(draft: &Draft, path: &Path) -> String {
    let file = path.to_string_lossy();
    let errors = draft.problems.iter().map(|problem| problem.render(&file));
    let warnings = draft.config.warnings.iter().map(|problem| problem.render_as_warning(&file));
    errors.chain(warnings).collect::<Vec<_>>().join("\n")
}

fn vet(draft: Draft) -> Draft {
    let Draft { mut config, problems: mut errors } = draft;
    let mut vetting = Vetting::default();
    vetting.daemon(&config);
    let notify_fits = notify_fits(&config.daemon.socket);
    let positions = std::mem::take(&mut config.positions);
    for instances in config.instances.chunk_by_mut(|one, next| one.program == next.program) {
        let Some(first) = instances.first() else { continue };
        let section = format!("program:{}", first.program);
        let at = At { section: &section, positions: &positions };
        vetting.program(&at, first);
        if !notify_fits && notices::speaks(first) {
            let message = format!("the path of the socket is too long (with .notify at most {LONGEST_PATH} bytes)");
            vetting.problems.error(at.option("ready"), message);
        }
        instances.iter_mut().for_each(|instance| vetting.instance(&at, instance));
    }
    config.positions = positions;
    let (wrong, odd) = vetting.problems.into_parts();
    errors.extend(wrong);
    errors.sort_by_key(|problem| problem.line);
    config.warnings.extend(odd);
    config.warnings.sort_by_key(|problem| problem.line);
    Draft { config, problems: errors }
}

/// The section at hand.
struct At<'a> {
    section: &'a str,
    positions: &'a Positions,
}

impl<'a> At<'a> {
    fn option(&self, option: &'a str) -> Place<'a> {
        Place { line: self.positions.line(self.section, option), section: self.section, option }
    }
}

#[derive(Default)]
struct Vetting {
    problems: Problems,
    folders: Folders,
    env_files: EnvFiles,
    commands: Commands,
}

impl Vetting {
    fn daemon(&mut self, config: &Config) {
        let at = At { section: "supervice", positions: &config.positions };
        let daemon = &config.daemon;
        if let Some(path) = &daemon.logfile {
            self.parent(&at, "logfile", path);
        }
        if let Some(path) = &daemon.pidfile {
            self.parent(&at, "pidfile", path);
        }
        self.parent(&at, "socket", &daemon.socket);
        self.guests(&at, daemon);
        let beside_pidfile = daemon.pidfile.as_deref().and_then(Path::parent) == daemon.state_file.parent();
        if !beside_pidfile {
            self.parent(&at, "state_file", &daemon.state_file);
        }
    }

    /// What is the same for all instances.
    fn program(&mut self, at: &At<'_>, instance: &InstanceSpec) {
        if let Some(directory) = &instance.launch.directory
            && let Err(message) = folders::enterable(directory)
        {
            self.problems.error(at.option("directory"), message);
        }
        if let Some(user) = &instance.launch.user
            && let Err(message) = check_user(user)
        {
            self.problems.error(at.option("user"), message);
        }
        if instance.launch.pdeathsig
            && let Some(program) = self.commands.setuid_program(instance)
        {
            let program = quoted(&program.to_string_lossy());
            let message = format!(
                "{program} is setuid or setgid: the kernel clears pdeathsig there, it outlives a daemon that dies"
            );
            self.problems.warn(at.option("command"), message);
        }
    }

    fn instance(&mut self, at: &At<'_>, instance: &mut InstanceSpec) {
        for (option, stream) in [("stdout_logfile", &instance.stdout), ("stderr_logfile", &instance.stderr)] {
            if let LogTarget::File(path) = &stream.target {
                self.parent(at, option, path);
            }
        }
        let place = at.option("env_file");
        self.env_files.merge(instance, place, &mut self.problems);
    }

    /// Everybody who is to be let in is somebody here.
    fn guests(&mut self, at: &At<'_>, daemon: &DaemonSpec) {
        let group = daemon.socket_group.as_deref().map(|name| ("socket_group", "group", name, known_group(name)));
        let grants = daemon.socket_users.iter().map(|grant| match &grant.whom {
            Whom::User(name) => ("socket_users", "user", name.as_str(), known_user(name)),
            Whom::Group(name) => ("socket_users", "group", name.as_str(), known_group(name)),
        });
        for (option, kind, name, known) in group.into_iter().chain(grants) {
            let message = match known {
                Ok(true) => continue,
                Ok(false) => format!("there is no {kind} {} here (a name that `id` knows)", quoted(name)),
                Err(error) => format!("{kind} {} could not be looked up: {}", quoted(name), reason(&error)),
            };
            self.problems.error(at.option(option), message);
        }
    }

    fn parent(&mut self, at: &At<'_>, option: &str, path: &Path) {
        if let Err(message) = self.folders.parent_is_writable(path) {
            let place = At { section: at.section, positions: at.positions };
            self.problems.error(place.option(option), message);
        }
    }
}

/// Whether the socket that programs speak on has a path that the kernel takes.
fn notify_fits(socket: &Path) -> bool {
    std::path::absolute(notices::place(socket)).is_ok_and(|path| path.as_os_str().len() <= LONGEST_PATH)
}

fn known_user(name: &str) -> io::Result<bool> {
    Ok(user::lookup(name)?.is_some())
}

fn known_group(name: &str) -> io::Result<bool> {
    Ok(user::group_id(name)?.is_some())
}

/// Only root may become somebody else.
fn check_user(name: &str) -> Result<(), String> {
    match user::lookup(name) {
        Ok(Some(found)) if user::is_root() || found.uid == user::effective_uid() => Ok(()),
        Ok(Some(_)) => Err(format!("to run as {} needs root (without `user` it runs as you do)", quoted(name))),
        Ok(None) => Err(format!("there is no user {} here (a name that `id` knows)", quoted(name))),
        Err(error) => Err(format!("user {} could not be looked up: {}", quoted(name), reason(&error))),
    }
}

/// What went wrong, without the number of the error.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
