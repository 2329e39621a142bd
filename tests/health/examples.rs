//! What stands in examples/health works.

use crate::harness::{Daemon, Home, run, supervice};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/health")
}

/// A copy that nobody else may write.
fn copy(home: &Home, name: &str) {
    home.write(name, std::fs::read(folder().join(name)).unwrap());
}

#[test]
fn each_configuration_is_one_without_a_warning() {
    for name in ["web.conf", "database.conf", "worker.conf"] {
        let home = Home::new();
        copy(&home, name);
        let ran = run(home.command(supervice()).args(["-t", "-c", name]), Duration::from_secs(60));
        let lines = |line: &&str| !line.contains("there is no user postgres here");
        assert_eq!(ran.stderr.lines().filter(lines).collect::<Vec<_>>(), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn the_worker_works() {
    if !Command::new("python3").arg("--version").status().is_ok_and(|status| status.success()) {
        return crate::harness::skip("the_worker_works", "there is no python3 here");
    }
    let home = Home::new();
    copy(&home, "worker.py");
    let text = std::fs::read_to_string(folder().join("worker.conf")).unwrap();
    let text =
        text.replace("worker.sock", "s.sock").replace("worker.pid", "d.pid").replace("logfile = worker.log\n", "");
    home.configure_raw(&text);
    let daemon = Daemon::launch(home);
    for name in ["worker:00", "worker:01"] {
        daemon.wait_state(name, "RUNNING");
        daemon.wait("it has done something", || {
            let row = daemon.row(name).raw;
            (row["healthy"] == true && row["status_text"].as_str()?.ends_with(" pieces done")).then_some(())
        });
    }
}
