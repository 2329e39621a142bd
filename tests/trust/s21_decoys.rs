//! Processes that look like orphans and are not: nobody signals them, and the log says so once each.

use crate::harness::*;
use crate::machine::*;
use std::fs;
use std::time::Duration;
use supervice::daemon::state_file::{Process, Record, State, render};
use supervice::engine::message::Signal;
use supervice::spec::Reconcile;
use supervice::sys::identity::{self, Machine};

const PROGRAM: &str = "[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n";

/// A record of somebody, right in every part.
fn record(pid: i32) -> Record {
    Record {
        name: "a".into(),
        pid,
        start: Some(start_ticks(pid)),
        inode: None,
        run: None,
        pdeathsig: true,
        reconcile: Reconcile::Kill,
        stop_signal: Signal::KILL,
        stop_wait: Duration::from_secs(1),
    }
}

fn state(children: Vec<Record>) -> State {
    State {
        life: Some("l".into()),
        serial: 0,
        machine: identity::machine().ok(),
        daemon: None,
        closed: false,
        children,
    }
}

/// Starts a daemon on this state; its log once the program is up.
fn started_on(home: Home, state: &State) -> (Daemon, String) {
    home.write(".d.state.json", render(state));
    let d = Daemon::start_in(home, PROGRAM);
    d.wait_state("a", "RUNNING");
    let log = d.log();
    (d, log)
}

#[test]
fn the_control_a_right_record_is_killed() {
    let home = Home::new();
    let bystander = Bystander::new(&home);
    let pid = bystander.pid();
    let (_d, log) = started_on(home, &state(vec![record(pid)]));
    assert!(!process::alive(pid), "inconclusive: a right record was not believed\n{log}");
}

#[test]
fn row_21_decoys_live_and_each_refusal_is_one_line() {
    type Arm = (&'static str, fn(&mut State));
    let arms: [Arm; 6] = [
        ("another start", |state| state.children[0].start = state.children[0].start.map(|start| start - 1)),
        ("another inode", |state| state.children[0].inode = Some(1)),
        ("another boot", |state| {
            let machine = state.machine.take().unwrap();
            state.machine = Some(Machine { boot: "11111111-2222-3333-4444-555555555555".into(), ..machine });
        }),
        ("another namespace", |state| {
            let machine = state.machine.take().unwrap();
            state.machine = Some(Machine { namespace: Some(1), ..machine });
        }),
        ("no start and no marker", |state| state.children[0].start = None),
        ("no start and another's marker", |state| {
            state.children[0].start = None;
            state.children[0].run = Some("0123456789abcdef-0123456789abcdef.1k".into());
        }),
    ];
    for (what, change) in arms {
        if what == "another inode" && !has_pidfs() {
            skip("row 21, inode", "pidfds have no inodes of their own here");
            continue;
        }
        let home = Home::new();
        let mut decoy = Bystander::new(&home);
        let mut state = state(vec![record(decoy.pid())]);
        change(&mut state);
        let (_d, log) = started_on(home, &state);
        decoy.assert_unharmed();
        let refusals = log.lines().filter(|line| line.contains("left alone")).count();
        assert_eq!(refusals, 1, "{what}\n{log}");
    }
}

fn has_pidfs() -> bool {
    let own = std::process::id() as i32;
    !cfg!(feature = "portable")
        && supervice::sys::watch::open_pidfd(own).is_ok_and(|pidfd| identity::unique_inode(&pidfd).is_some())
}

#[test]
fn row_21_groups_that_mean_everybody_or_us() {
    let home = Home::new();
    let mut decoy = Bystander::new(&home);
    let text = String::from_utf8(render(&state(vec![record(decoy.pid())]))).unwrap();
    let body = text.rsplit_once(",\"sum\"").unwrap().0.to_owned();
    let pid = decoy.pid();
    for number in ["0", "1", "-1", "2", "99999999999999999"] {
        for key in ["pid", "pgid", "session"] {
            let forged = body.replace(&format!("\"{key}\":{pid}"), &format!("\"{key}\":{number}"));
            assert_ne!(forged, body);
            let sum = supervice::sys::atomic_file::fnv(forged.as_bytes());
            let reading =
                supervice::daemon::state_file::parse(format!("{forged},\"sum\":\"{sum:016x}\"}}\n").as_bytes(), 77);
            assert!(reading.is_ok_and(|reading| reading.state.children.iter().all(|record| record.pid == 2)), "{key}");
        }
    }
    // And one of them all the way.
    let forged = body.replace(&format!("\"pgid\":{pid}"), "\"pgid\":-1");
    let sum = supervice::sys::atomic_file::fnv(forged.as_bytes());
    home.write(".d.state.json", format!("{forged},\"sum\":\"{sum:016x}\"}}\n"));
    let d = Daemon::start_in(home, PROGRAM);
    d.wait_state("a", "RUNNING");
    decoy.assert_unharmed();
    assert_eq!(d.log_count("a record is not used"), 1, "{}", d.story());
}

#[test]
fn row_21_a_marker_alone_proves_nothing() {
    let home = Home::new();
    // The place of the state file is known to whoever can stat its folder; the life is not.
    home.configure(PROGRAM);
    let d = Daemon::launch(home);
    d.wait_file("t");
    let marker = process::given(d.pid_of("a"), "SUPERVICE_RUN");
    let home = d.murder();
    fs::remove_file(home.join(".d.state.json")).unwrap();
    let mut decoy = Bystander::with_marker(&home, Some(&marker));
    let d = Daemon::launch(home);
    d.wait("the second run", || (d.home.pids("t").len() == 2).then_some(()));
    decoy.assert_unharmed();
    let line = d.wait_log("nothing proves whose these are");
    assert!(line.contains("WARNING") && line.contains(&decoy.pid().to_string()), "{line}");
}

/// A number given away for real: in a pid namespace the next one can be chosen.
#[test]
fn row_21_a_number_given_away_in_a_namespace() {
    let home = Home::new();
    let mut probe = home.command("unshare");
    probe.args(["-m", "-p", "-f", "--mount-proc", "sh", "-c", "echo 100 > /proc/sys/kernel/ns_last_pid"]);
    if !run(&mut probe, DEADLINE).code.eq(&0) {
        return skip("row 21, a number given away", "no pid namespace with ns_last_pid");
    }
    home.configure("[program:a]\ncommand = {actor} --touch {dir}/t\nstartsecs = 0\n");
    let script = r#"
        set -u
        wait_for() { for _ in $(seq 1000); do eval "$1" && return 0; sleep 0.01; done; echo "never: $1"; exit 1; }
        "$BIN" -n -c c.conf >> log 2>&1 & D=$!
        wait_for '[ -s t ]'; P=$(head -1 t); wait_for 'grep -q "\"pid\":$P,.*\"start\":[0-9]" .d.state.json'
        kill -9 $D; wait $D 2>/dev/null
        wait_for '! [ -e /proc/$P ]'
        for _ in 1 2 3 4 5; do
            echo $((P-1)) > /proc/sys/kernel/ns_last_pid; setsid "$ACTOR" & Q=$!
            [ $Q = $P ] && break
            kill -9 $Q
        done
        [ $Q = $P ] || { echo "the decoy is $Q and not $P"; exit 3; }
        "$BIN" -n -c c.conf >> log 2>&1 & D=$!
        wait_for '[ $(wc -l < t) = 2 ]'
        kill -0 $Q || { echo "the decoy was killed"; exit 1; }
        grep -c "process $P is left alone" log
        kill $D; wait $D
    "#;
    let mut command = home.command("unshare");
    command.args(["-m", "-p", "-f", "--mount-proc", "bash", "-c", script]);
    command.env("BIN", supervice()).env("ACTOR", actor());
    let ran = run(&mut command, DEADLINE + DEADLINE);
    if ran.code == 3 {
        return skip("row 21, a number given away", &ran.stdout);
    }
    assert_eq!((ran.code, ran.stdout.trim()), (0, "1"), "{ran:?}\n{}", home.read("log"));
}

#[test]
fn a_state_file_of_a_living_daemon_is_not_taken_over() {
    let first = Daemon::start(PROGRAM);
    first.wait_file("t");
    crate::s20_crash::wait_recorded(&first.home, first.pid_of("a"));
    let before = first.home.read(".d.state.json");
    let second = Home::new();
    let state_file = first.home.join(".d.state.json");
    let text = format!("state_file = {}\n{PROGRAM}", state_file.display());
    second.configure(&text);
    let ran = second.run_daemon(&["-n", "-c", "c.conf"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains(&format!("in use by the supervice with pid {}", first.pid())), "{ran:?}");
    assert!(!second.join("t").exists() && !second.socket().exists() && !second.join("d.pid").exists());
    assert_eq!(first.home.read(".d.state.json"), before);
    first.assert_well();
}

#[test]
fn the_writer_is_told_from_another_process_with_its_number() {
    let home = Home::new();
    let mut decoy = Bystander::new(&home);
    let mut state = state(Vec::new());
    state.daemon = Some(Process { pid: decoy.pid(), start: start_ticks(decoy.pid()) - 1 });
    let (d, _) = started_on(home, &state);
    decoy.assert_unharmed();
    d.assert_well();
}
