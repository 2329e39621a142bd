//! What follows from checks: unhealthy, healthy again, restarted, given up.

use super::{checked, verbose};
use crate::harness::{Daemon, Home};
use serde_json::json;

/// Healthy as long as there is a file.
const IF_FILE: &str = "healthcheck_type = script\nhealthcheck_command = test -e {dir}/well";

#[test]
fn it_is_unhealthy_after_so_many_failures_and_healthy_after_one_pass() {
    let home = Home::new();
    home.write("well", "");
    let daemon = Daemon::start_in(home, &checked("p", &format!("{IF_FILE}\nhealthcheck_retries = 2")));
    daemon.wait("it is healthy", || (daemon.row("p").raw["healthy"] == true).then_some(()));
    std::fs::remove_file(daemon.home.join("well")).unwrap();
    daemon.wait_log("p: health check failed (1/2): Health check script exited with code 1");
    daemon.wait_state("p", "UNHEALTHY");
    let health = verbose(&daemon, "p")["health"].clone();
    assert!(health["failures"].as_u64() >= Some(2) && health["checks"].as_u64() >= Some(3), "{health}");
    assert!(health["last_checked_ms_ago"].is_u64(), "{health}");
    assert_eq!(daemon.ctl(&["status"]).stdout.lines().nth(2).unwrap().split_whitespace().last(), Some("FAIL"));
    daemon.home.write("well", "");
    daemon.wait_log("p is healthy again");
    assert_eq!(daemon.state("p"), "RUNNING");
    assert_eq!(verbose(&daemon, "p")["health"]["failures"], 0);
}

#[test]
fn row_14_one_that_stays_unhealthy_is_restarted_a_few_times_then_given_up() {
    let options = "healthcheck_type = script\nhealthcheck_command = exit 1\nstartretries = 1\nautorestart = true";
    let daemon = Daemon::start(&checked("p", options));
    daemon.wait_state("p", "FATAL");
    assert_eq!(daemon.log_count("Spawned p "), 2);
    assert_eq!(daemon.log_count("restarting because it is unhealthy (restart 1/1)"), 1);
    daemon.wait_log("p: giving up: its health checks failed");
    assert_eq!(daemon.row("p").raw["reason"], "its health checks failed");
}

#[test]
fn without_checks_nothing_is_said_of_health() {
    let daemon = Daemon::start("[program:p]\ncommand = {actor}\n");
    daemon.wait_state("p", "RUNNING");
    let row = verbose(&daemon, "p");
    assert!(row.get("healthy").is_none() && row.get("health").is_none(), "{row}");
}

#[test]
fn a_reload_changes_checks_at_once() {
    let home = Home::new();
    let config = |options: &str| {
        format!("[supervice]\nsocket = {{dir}}/s.sock\npidfile = {{dir}}/d.pid\n{}", checked("p", options))
    };
    home.configure_raw(&config(
        &format!("{IF_FILE}\nhealthcheck_retries = 1").replace("\nhealthcheck_retries = 1", ""),
    ));
    let daemon = Daemon::launch(home);
    daemon.wait_state("p", "UNHEALTHY");
    let pid = daemon.pid_of("p");
    daemon.home.configure_raw(&config("healthcheck_type = script\nhealthcheck_command = true"));
    assert_eq!(daemon.reload()["changed"], json!(["p"]));
    daemon.wait_state("p", "RUNNING");
    assert_eq!(daemon.pid_of("p"), pid);
    daemon.home.configure_raw("[supervice]\nsocket = {dir}/s.sock\npidfile = {dir}/d.pid\n[program:p]\ncommand = {actor}\nstartsecs = 0\nautorestart = false\n");
    assert_eq!(daemon.reload()["changed"], json!(["p"]));
    let row = verbose(&daemon, "p");
    assert!(row.get("healthy").is_none() && row.get("health").is_none(), "{row}");
    assert_eq!(daemon.pid_of("p"), pid);
}
