//! What `--help` and `help COMMAND` say.

use super::nearest::nearest;
use crate::manual::table::Program;

/// One line, for usage errors.
pub const USAGE: &str = "usage: supervicectl [-h] [--version] [-s SOCKET] [--timeout SECS] COMMAND ...";

/// What `--help` prints below the usage line.
pub const HELP: &str = "
Controls a running supervice.

commands:
  status [NAME...]        Show processes (--check: fail unless all are well)
  health [NAME...]        Fail unless all are RUNNING and healthy
  start NAME...           Start processes
  stop NAME...            Stop processes
  restart NAME... [--force]
                          Stop processes (with SIGKILL) and start them again
  wait NAME=CONDITION...  Wait until each is running, healthy, stopped, exited,
                          exited:CODE or fatal
  signal SIGNAL NAME...   Send a signal to process groups (--leader: not to all)
  why NAME                Tell what led a process to where it is
  describe NAME           Show the configuration of a process: each value, and from where
  events [-f] [--since N] Show what happened to all processes (-f: and what follows)
  top [NAME...]           Show what processes use, live (-b: as tables; -n COUNT)
  pid [NAME...]           Print pids; without a name the daemon's
  info                    Show the daemon itself: uptime, counts, memory, losses
  metrics                 Print every number there is, as Prometheus reads it
  version                 Print the versions of both sides
  shutdown                Stop all processes, then the daemon
  startgroup GROUP        Start all processes of a group
  stopgroup GROUP         Stop all processes of a group
  reload                  Read the configuration again and apply what changed
                          (--dry-run: only tell what would; --restart: as update)
  update [NAME...]        Reload, then restart what changed (of these only)
  tail NAME... [stdout|stderr]
                          Show the end of logs (-f: and what follows; -n LINES)
  maintail                Show the end of the daemon's own log (-f, -n LINES)
  clearlog NAME...        Empty the logs of processes
  rotate NAME...          Rotate the logs of processes now
  reopen                  Open all log files anew, after others moved them
  completion SHELL        Print the completion for bash, zsh or fish
  help [COMMAND]          Print this help, or explain a command with examples

  NAME is the name of a process, a pattern ('web*', 'worker:0?'), group:GROUP or all.

options:
  -s, --socket SOCKET     Socket of the daemon (default: /tmp/supervice.sock,
                          else /run/supervice/supervice.sock)
      --timeout SECS      Give up after so many seconds (default: 30)
  -f, --follow            tail, maintail, events: go on until Ctrl-C
      --since NUMBER      events: those after the one with this number
  -n, --lines LINES       tail, maintail: so many lines (default: 10); top: so
                          many pictures
  -b, --batch             top: tables one after the other, no screen
      --json              Print the answer as one JSON object on one line, also what
                          is wrong
  -q, --quiet             Print only what went wrong
      --color WHEN        auto (default), always or never; NO_COLOR is heeded
      --man               Print the man page
      --version           Print the version
  -h, --help              Print this help

exit status: 0 done, 1 failed or no daemon, 2 wrong usage,
             3 impossible and 4 timed out (wait), 10 changes (reload --dry-run)
";

/// One command, explained.
struct Topic {
    command: &'static str,
    text: &'static str,
}

const TOPICS: &[Topic] = &[
    Topic {
        command: "status",
        text: "usage: supervicectl status [--check] [NAME...]

Shows processes in the order of the configuration, or as they are named. Names that nobody bears are told,
and the others shown. With --check the exit status is 1 unless each of them is RUNNING and no health check
of it fails.

examples:
  supervicectl status                       all
  supervicectl status 'web*' group:jobs     some
  supervicectl status --check -q || page me
  supervicectl status --json | jq -r '.processes[] | select(.state == \"FATAL\") | .name'
",
    },
    Topic {
        command: "health",
        text: "usage: supervicectl health [NAME...]

Ends with 0 if all (of these) processes are RUNNING and no health check fails, else with 1 and
a line for each that is not well. A process without health checks counts by its state.

examples:
  HEALTHCHECK CMD supervicectl -q health                        Docker
  exec: {command: [supervicectl, --timeout, '2', health, web]}  a probe of Kubernetes
",
    },
    Topic {
        command: "start",
        text: "usage: supervicectl start NAME...

Waits until each is RUNNING, or its first attempt failed.

examples:
  supervicectl start web
  supervicectl start 'worker:0?' group:jobs
  supervicectl start all
",
    },
    Topic {
        command: "stop",
        text: "usage: supervicectl stop NAME...

Waits until nothing of them is left. What does not heed its stop signal is killed after stopwaitsecs.

examples:
  supervicectl stop web
  supervicectl --timeout 120 stop all
",
    },
    Topic {
        command: "restart",
        text: "usage: supervicectl restart [--force] NAME...

Stops and starts each as one order; changes of the configuration that was reloaded apply. With --force
SIGKILL comes first. Several are restarted at the same time.

examples:
  supervicectl restart web
  supervicectl restart --force 'worker:*'
",
    },
    Topic {
        command: "wait",
        text: "usage: supervicectl wait [--timeout SECS] NAME=CONDITION...

Returns when all conditions hold. It is the daemon that watches; nothing is asked twice.

  running       RUNNING (or UNHEALTHY)
  healthy       RUNNING, and the last health check passed
  stopped       down: STOPPED, EXITED or FATAL
  exited        the program ended, now or while we wait
  exited:CODE   the same, with this code
  fatal         FATAL

exit status: 0 all hold, 3 one has become impossible (told at once), 4 not within --timeout (30);
a daemon that has not answered a second later hangs, which is 4 too

examples:
  supervicectl wait db=healthy cache=running && supervicectl start web
  supervicectl --timeout 600 wait migration=exited:0
",
    },
    Topic {
        command: "signal",
        text: "usage: supervicectl signal [--leader] SIGNAL NAME...

Sends a signal (HUP, SIGUSR1, 10, RTMIN+1) to the process group of each, or to its leader only.

examples:
  supervicectl signal HUP nginx
  supervicectl signal --leader USR1 'worker:*'
",
    },
    Topic {
        command: "why",
        text: "usage: supervicectl why NAME

Tells in one line why a process is as it is, then what happened to it, the oldest first: starts, exits,
failed starts, health checks, retries, reloads, lost output, and orders with the user and the pid of who
gave them; last, what it wrote before its last unasked end. The last 64 records are kept, also when the
daemon is started anew; of the last 8 unasked ends the last 4 KiB of stdout and stderr as well (--json).

examples:
  supervicectl why web
  supervicectl why web --json | jq -r '.history[] | select(.event == \"exited\") | .text'
",
    },
    Topic {
        command: "top",
        text: "usage: supervicectl top [-b] [-n COUNT] [NAME...]

Shows once a second what each process and its process group use: processor time (in percent of one
processor), resident memory, bytes of output a second; and how often it was started again. Ends with q, or
with Ctrl-C; c, m, n and g order by processor time, memory, name, or as the configuration does.

On a pipe it takes a second and prints one table of it; with -b it prints tables until -n are printed, also
on a terminal, and so it does with TERM=dumb; with --json one object a line.

examples:
  supervicectl top
  supervicectl top 'web*' group:jobs
  supervicectl top --json | jq '.processes | max_by(.rss_bytes).name'
",
    },
    Topic {
        command: "describe",
        text: "usage: supervicectl describe NAME

Shows every option of a process as the daemon knows it: its value, and the line of the file it stands on, or
that it is the default. After a reload that changed it, this is what applies from its next start on.

Values of environment variables whose names look like secrets (PASS, PWD, SECRET, TOKEN, KEY, CREDENTIAL,
AUTH, PRIVATE, COOKIE, SIGNATURE), or that are addresses with a password in them, are shown as ***. Who may
only ask (socket_users) sees no values of the environment at all.

examples:
  supervicectl describe web
  supervicectl describe web --json | jq -r '.description.options[] | select(.source != \"default\") | .option'
",
    },
    Topic {
        command: "events",
        text: "usage: supervicectl events [-f] [--since NUMBER]

Shows what happened to all processes: each child that was made, each change of state, each result of a
health check, with a number that counts from 1 since the daemon began. The last 4096 are kept. With -f it
goes on until Ctrl-C, and without --since begins with what comes next; --since 0 begins with all that is
kept. What is not kept any more, or was too much for a reader that did not keep up, is told as a gap. If the
daemon ends first, that is said, and the exit status is 1.

With --json each event is one object on a line of its own, and a gap is {\"missed\":COUNT}.

examples:
  supervicectl events
  supervicectl events -f --since 1200
  supervicectl events -f --json | jq -r 'select(.event == \"PROCESS_STATE_FATAL\") | .processname'
",
    },
    Topic {
        command: "pid",
        text: "usage: supervicectl pid [NAME...]

Prints the pid of each, one a line, or the daemon's. For what does not live it prints - and ends with 1.

examples:
  gdb -p $(supervicectl pid web)
",
    },
    Topic {
        command: "info",
        text: "usage: supervicectl info

Shows the daemon itself: uptime, processes by state, its own memory and processor time, how long it was
at work at most before it listened again (of late, and ever), connections, output that was dropped, and
events for somebody who was gone.

examples:
  supervicectl info --json | jq .info.rss_bytes
",
    },
    Topic {
        command: "metrics",
        text: "usage: supervicectl metrics

Prints counters, gauges and histograms in the text format of Prometheus, for the textfile collector of
node_exporter. Give it a finished file: write beside it and rename. Up to 1000 processes have series of
their own; with more of them only sums are told, and supervice_process_series_omitted is 1.

examples:
  supervicectl metrics > supervice.tmp && mv supervice.tmp /var/lib/node_exporter/supervice.prom
",
    },
    Topic {
        command: "version",
        text: "usage: supervicectl version

Prints the versions of supervicectl and of the daemon, and warns if they differ.
",
    },
    Topic {
        command: "shutdown",
        text: "usage: supervicectl shutdown

Stops all processes and ends the daemon, as SIGTERM does; returns when all are down.

examples:
  supervicectl --timeout 90 shutdown
",
    },
    Topic {
        command: "startgroup",
        text: "usage: supervicectl startgroup GROUP

Starts all processes of a group; `start group:GROUP` also tells of each.
",
    },
    Topic {
        command: "stopgroup",
        text: "usage: supervicectl stopgroup GROUP

Stops all processes of a group; `stop group:GROUP` also tells of each.
",
    },
    Topic {
        command: "reload",
        text: "usage: supervicectl reload [--dry-run | --restart]

Reads the configuration again. New processes are started, and those that are gone are stopped. What decides
about a process that runs already (stopsignal, stopwaitsecs, autorestart, retries, health checks, sizes of
logs) applies at once, all else at its next start. A file with errors changes nothing.

  --dry-run   changes nothing: a line for each process and option tells what would happen, and when
              it would apply; exit status 0: nothing, 10: something
  --restart   as update

examples:
  supervicectl reload --dry-run && echo nothing new
  supervice -t -c /etc/supervice.conf && supervicectl reload
",
    },
    Topic {
        command: "update",
        text: "usage: supervicectl update [NAME...]

Reloads the configuration, then restarts every process with changes that wait for its next start, and
tells of each. What was stopped, or has exited and is to stay so, stays down. The whole file is taken on in
any case; with names (patterns, group:GROUP) only these are restarted.

examples:
  supervicectl update
  supervicectl reload --dry-run; supervicectl update 'web*'
",
    },
    Topic {
        command: "tail",
        text: "usage: supervicectl tail [-f] [-n LINES] NAME... [stdout|stderr]

Shows the end of logs, also across their rotations; with -f what comes as well, until Ctrl-C. If the daemon
ends first, that is said, and the exit status is 1.
A pattern means the processes that there are when you ask.

examples:
  supervicectl tail web
  supervicectl tail -f 'worker:*'
  supervicectl tail -f -n 0 web worker:00 stderr
",
    },
    Topic {
        command: "maintail",
        text: "usage: supervicectl maintail [-f] [-n LINES]

Shows the end of the daemon's own log.
",
    },
    Topic {
        command: "clearlog",
        text: "usage: supervicectl clearlog NAME...

Empties both logs of each process; rotated ones stay.

examples:
  supervicectl clearlog web 'worker:*'
",
    },
    Topic {
        command: "rotate",
        text: "usage: supervicectl rotate NAME...

Rotates both logs of each process now, whatever their size; empty ones stay.

examples:
  supervicectl rotate all
",
    },
    Topic {
        command: "reopen",
        text: "usage: supervicectl reopen

Opens every log file anew by its name, after logrotate moved it (SIGUSR2 does the same).
",
    },
    Topic {
        command: "completion",
        text: "usage: supervicectl completion SHELL

Prints the completion for bash, zsh or fish. It knows commands, options, and the names that the daemon knows
at that moment; where no daemon answers within a second it is silent. `supervice --completion SHELL` prints
that of the daemon.

examples:
  eval \"$(supervicectl completion bash)\"              in ~/.bashrc
  source <(supervicectl completion zsh)                in ~/.zshrc, below compinit
  supervicectl completion fish | source                in ~/.config/fish/config.fish
",
    },
    Topic {
        command: "help",
        text: "usage: supervicectl help [COMMAND]

Prints what there is, or explains a command with examples.
",
    },
];

/// The usage and all commands.
pub fn all() -> String {
    format!("{USAGE}\n{HELP}")
}

/// What there is to say about a command.
pub fn about(command: &str) -> Option<&'static str> {
    TOPICS.iter().find(|topic| topic.command == command).map(|topic| topic.text)
}

/// The program, as these texts tell.
pub fn program() -> Program {
    Program::read(HELP, about)
}

/// Every command there is.
pub fn commands() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|topic| topic.command)
}

/// The long option that somebody may have meant, of the program or of a command.
pub(super) fn nearest_option(word: &str) -> Option<String> {
    let word = word.split('=').next().filter(|word| word.starts_with("--"))?;
    let program = program();
    let flags = program.commands.iter().flat_map(|command| &command.flags).chain(&program.flags);
    nearest(word, flags.flat_map(|flag| &flag.names).map(String::as_str).filter(|name| name.starts_with("--")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_of_the_list_is_explained() {
        let (_, list) = HELP.split_once("commands:\n").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        let lines = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let listed: Vec<&str> = lines.map(|line| line.split_whitespace().next().unwrap()).collect();
        let explained: Vec<&str> = commands().collect();
        for command in &listed {
            let text = about(command).unwrap_or_else(|| panic!("{command} is not explained"));
            assert!(text.starts_with(&format!("usage: supervicectl {command}")), "{text}");
            assert!(text.lines().all(|line| line.len() <= 110), "{text}");
        }
        assert_eq!(listed.len(), explained.len());
    }
}
