//! Script checks: whose they are, what they may say, and that nothing of them stays.

use super::{checked, first_message, message_of, verbose};
use crate::harness::{Daemon, Home, is_root, process, skip};

fn script(command: &str) -> String {
    format!("healthcheck_type = script\nhealthcheck_command = {command}\nhealthcheck_timeout = 1")
}

fn wait_checks(daemon: &Daemon, name: &str, count: u64) {
    daemon.wait(&format!("{name} is asked {count} times"), || {
        (verbose(daemon, name)["health"]["checks"].as_u64() >= Some(count)).then_some(())
    });
}

#[test]
fn the_exit_code_decides() {
    assert_eq!(first_message(&script("exit 0")), "Health check script exited with code 0");
    assert_eq!(first_message(&script("exit 7")), "Health check script exited with code 7");
    assert_eq!(first_message(&script("kill -9 $$")), "Health check script killed by SIGKILL");
}

#[test]
fn what_it_says_about_a_failure_is_told() {
    let told = first_message(&script("echo fine; echo no database >&2; exit 1"));
    assert_eq!(told, "Health check script exited with code 1: no database");
    let told = first_message(&script("echo /tmp:5432 - no response; exit 2"));
    assert_eq!(told, "Health check script exited with code 2: /tmp:5432 - no response");
}

#[test]
fn of_what_it_says_one_kilobyte_is_kept() {
    let told = first_message(&script("head -c 50000 /dev/zero | tr '\\0' e >&2; exit 1"));
    let kept = told.strip_prefix("Health check script exited with code 1: ").unwrap_or_else(|| panic!("{told}"));
    assert_eq!(kept, "e".repeat(1024));
}

#[test]
fn it_cannot_write_lines_of_its_own_into_the_log() {
    let daemon = Daemon::start(&checked("p", &script("printf 'one\\n2026 ERROR two\\033[2J' >&2; exit 1")));
    let line = daemon.wait_log("health check failed");
    assert!(line.ends_with("exited with code 1: one\\n2026 ERROR two\\x1b[2J"), "{line:?}");
}

#[test]
fn it_runs_where_and_with_what_its_program_runs() {
    let home = Home::new();
    std::fs::create_dir(home.join("work")).unwrap();
    let options = "directory = {dir}/work\nenvironment = COLOUR=blue\numask = 027\n".to_owned()
        + &script("echo $COLOUR ${NOTIFY_SOCKET:-none} $(pwd) $(umask) $(ps -o sid= -p $$ | tr -d ' ') $$ >&2; exit 1");
    let daemon = Daemon::start_in(home, &checked("p", &options));
    let told = message_of(&daemon, "p");
    let said = told.rsplit(": ").next().unwrap();
    let words: Vec<&str> = said.split(' ').collect();
    let work = daemon.home.join("work").display().to_string();
    assert_eq!(words[..4], ["blue", "none", work.as_str(), "0027"], "{told}");
    assert_eq!(words[4], words[5], "it leads a session of its own: {told}");
}

#[test]
fn it_runs_as_the_user_of_its_program() {
    if !is_root() {
        return skip("it_runs_as_the_user_of_its_program", "needs root");
    }
    let home = Home::new();
    home.open_to_all();
    let options = "user = nobody\n".to_owned() + &script("id -un >&2; grep CapEff /proc/self/status >&2; exit 1");
    let daemon = Daemon::start_in(home, &checked("p", &options));
    let told = message_of(&daemon, "p");
    assert_eq!(told, "Health check script exited with code 1: nobody\nCapEff:\t0000000000000000");
}

#[test]
fn one_that_hangs_is_ended_with_all_it_made() {
    let daemon = Daemon::start(&checked("p", &script("trap '' TERM; echo $$ >> {dir}/pids; sleep 1000 & sleep 1000")));
    assert_eq!(message_of(&daemon, "p"), "Health check script timed out after 1s");
    wait_checks(&daemon, "p", 2);
    for pid in daemon.home.pids("pids").into_iter().take(2) {
        daemon.wait(&format!("nothing of {pid} is left"), || process::group(pid).is_empty().then_some(()));
    }
    daemon.assert_well();
}

#[test]
fn one_that_would_have_passed_after_its_time_has_failed() {
    let daemon = Daemon::start(&checked("p", &script("sleep 1.3; exit 0")));
    wait_checks(&daemon, "p", 2);
    let health = &verbose(&daemon, "p")["health"];
    assert_eq!((health["failures"].as_u64() >= Some(2), daemon.state("p").as_str()), (true, "UNHEALTHY"));
    assert_eq!(daemon.log_count("is healthy again"), 0);
}

#[test]
fn it_is_judged_by_itself_and_what_it_left_behind_goes() {
    // The background process holds both pipes.
    let daemon = Daemon::start(&checked("p", &script("sleep 1000 & echo $! >> {dir}/pids; exit 0")));
    assert_eq!(message_of(&daemon, "p"), "Health check script exited with code 0");
    wait_checks(&daemon, "p", 3);
    for pid in daemon.home.pids("pids").into_iter().take(3) {
        process::wait_gone(pid);
    }
    daemon.assert_well();
}

#[test]
fn row_15_a_flood_costs_neither_memory_nor_the_daemon() {
    let options = script("sleep 1000 & yes >&2");
    let daemon = Daemon::start(&checked("p", &options));
    let before = (process::resident(daemon.pid()), process::stat(daemon.pid()).unwrap().ticks);
    assert_eq!(message_of(&daemon, "p"), "Health check script timed out after 1s");
    wait_checks(&daemon, "p", 3);
    let after = (process::resident(daemon.pid()), process::stat(daemon.pid()).unwrap().ticks);
    assert!(after.0 < before.0 + 1024, "{} KiB, then {} KiB", before.0, after.0);
    // Three seconds of flood; without a brake each would take a whole core.
    assert!(after.1 - before.1 < 100, "{} ticks of the processor", after.1 - before.1);
    daemon.assert_well();
}

#[test]
fn one_that_says_a_lot_and_ends_well_is_healthy() {
    let told = first_message(&script("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 0"));
    assert_eq!(told, "Health check script exited with code 0");
}

#[test]
fn one_that_closes_its_output_is_waited_for() {
    let told = first_message(&script("exec >&- 2>&-; sleep 0.3; exit 3"));
    assert_eq!(told, "Health check script exited with code 3");
}

#[test]
fn it_ends_with_the_run_it_asks_about() {
    let options = script("echo $$ >> {dir}/pids; exec sleep 1000").replace("timeout = 1", "timeout = 100");
    let daemon = Daemon::start(&checked("p", &options));
    daemon.wait_file("pids");
    let pid = daemon.home.pids("pids")[0];
    daemon.done("stop", "p");
    process::wait_gone(pid);
    daemon.assert_well();
}

#[test]
fn after_a_thousand_checks_everything_is_as_it_was() {
    let home = Home::alone();
    let options = script("exit 0") + "\nnumprocs = 100";
    let daemon = Daemon::start_in(home, &checked("p", &options));
    daemon.wait_all("RUNNING");
    let done = || daemon.rows().len().min(100) as u64 * 10;
    assert_eq!(done(), 1000);
    let quiet = || {
        let scripts = process::children(daemon.pid()).len() - 100;
        (scripts == 0).then(|| process::descriptors(daemon.pid()).len())
    };
    let checks = |least: u64| {
        (0..100)
            .all(|n| verbose(&daemon, &format!("p:{n:02}"))["health"]["checks"].as_u64() >= Some(least))
            .then_some(())
    };
    daemon.wait("all were asked once", || checks(1));
    let before = daemon.wait("a moment without a check", quiet);
    let begun = std::time::Instant::now();
    daemon.wait_within(std::time::Duration::from_secs(60), "all were asked eleven times", || checks(11));
    let took = begun.elapsed();
    // A control connection more or less.
    daemon.wait("as many descriptors as before", || quiet().filter(|now| now.abs_diff(before) <= 2));
    daemon.assert_well();
    println!("1000 checks in {took:?}, {before} descriptors");
}

fn with_words(words: &str, place: &str, command: &str) -> String {
    let options = format!("directory = {{dir}}/{place}\nenvironment = WORDS={words}\n") + &script(command);
    checked("p", &options)
}

#[test]
fn after_a_reload_it_asks_the_new_question_with_what_its_run_was_given() {
    let home = Home::new();
    for folder in ["one", "two"] {
        std::fs::create_dir(home.join(folder)).unwrap();
    }
    let ask = |file: &str| format!("echo $WORDS $(basename $(pwd)) >> {{dir}}/{file}; test $WORDS = blue");
    let daemon = Daemon::start_in(home, &with_words("blue", "one", &ask("first")));
    let answers = |file: &str, count: usize| {
        daemon.wait(&format!("{file} has {count} answers"), || {
            let lines: Vec<String> = daemon.home.read(file).lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
    };
    answers("first", 1);
    let pid = daemon.pid_of("p");
    daemon.home.configure(&with_words("red", "two", &ask("second")));
    assert_eq!(daemon.reload()["changed"], serde_json::json!(["p"]));
    assert_eq!(answers("second", 2)[..2], ["blue one", "blue one"], "the run is the old one");
    assert_eq!((daemon.state("p").as_str(), daemon.pid_of("p")), ("RUNNING", pid));
    daemon.home.configure(&with_words("red", "two", &ask("third")));
    daemon.reload();
    daemon.done("restart", "p");
    daemon.wait("the new run is asked with what it was given", || {
        daemon.home.read("third").lines().any(|line| line == "red two").then_some(())
    });
}

#[test]
fn after_a_reload_it_runs_as_the_user_of_its_run() {
    if !is_root() {
        return skip("after_a_reload_it_runs_as_the_user_of_its_run", "needs root");
    }
    let home = Home::new();
    home.open_to_all();
    let daemon = Daemon::start_in(home, &checked("p", &("user = nobody\n".to_owned() + &script("id -un >&2; exit 1"))));
    assert_eq!(message_of(&daemon, "p"), "Health check script exited with code 1: nobody");
    daemon.home.configure(&checked("p", &script("echo anew $(id -un) >&2; exit 1")));
    daemon.reload();
    let told = daemon.wait("the new question is answered", || {
        let told = message_of(&daemon, "p");
        told.contains("anew").then_some(told)
    });
    assert_eq!(told, "Health check script exited with code 1: anew nobody");
}
