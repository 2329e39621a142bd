//! What a service manager hears, as systemd would with `Type=notify`.

use crate::harness::*;
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const ONE: &str =
    "[program:web]\ncommand = sh -c 'echo \"[$NOTIFY_SOCKET]\" > {dir}/env; exec sleep 1000'\nstartsecs = 0\n";

/// The next message, as its lines.
#[track_caller]
fn heard(ear: &UnixDatagram) -> Vec<String> {
    ear.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut buffer = [0; 4096];
    let length = ear.recv(&mut buffer).expect("the daemon says something in time");
    String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
}

#[track_caller]
fn serving(address: &str, home: Home) -> Daemon {
    home.configure(ONE);
    let mut command = home.command(supervice());
    command.env("NOTIFY_SOCKET", address);
    Daemon::launch_by(home, command)
}

#[track_caller]
fn whole_life(ear: &UnixDatagram, mut d: Daemon) {
    let own = format!("MAINPID={}", d.pid());
    assert_eq!(heard(ear), ["READY=1", own.as_str(), "STATUS=Supervising 1 process"]);
    d.wait_state("web", "RUNNING");
    assert_eq!(d.wait_file("env"), "[]\n", "a program is told nothing of it");
    d.signal(Signal::SIGHUP);
    let begun = heard(ear);
    assert_eq!((begun[0].as_str(), begun.len()), ("RELOADING=1", 3), "{begun:?}");
    let at: u64 = begun[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(at > 0);
    assert_eq!(heard(ear), ["READY=1", "STATUS=Supervising 1 process"]);
    d.home.configure("[program:web]\ncommand =\n");
    assert_eq!(d.reload()["status"], "error");
    assert_eq!(heard(ear)[0], "RELOADING=1");
    assert_eq!(heard(ear)[0], "READY=1", "a reload that is refused is over too");
    assert_eq!(d.terminate(), 0);
    assert_eq!(heard(ear), ["STOPPING=1", "EXTEND_TIMEOUT_USEC=40000000", "STATUS=Stopping all processes"]);
}

#[test]
fn it_hears_the_whole_life() {
    let home = Home::new();
    let address = home.join("notify");
    let ear = UnixDatagram::bind(&address).unwrap();
    let d = serving(&address.display().to_string(), home);
    whole_life(&ear, d);
}

#[cfg(target_os = "linux")]
#[test]
fn it_may_listen_in_no_folder() {
    use std::os::linux::net::SocketAddrExt;
    let home = Home::new();
    let name = format!("supervice-test{}", home.path().display());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let ear = UnixDatagram::bind_addr(&address).unwrap();
    let d = serving(&format!("@{name}"), home);
    whole_life(&ear, d);
}

#[test]
fn in_the_background_it_hears_who_stays() {
    let home = Home::new();
    let address = home.join("notify");
    let ear = UnixDatagram::bind(&address).unwrap();
    home.configure(ONE);
    let mut command = home.command(supervice());
    let ran = run(command.args(["-c", "c.conf"]).env("NOTIFY_SOCKET", &address), DEADLINE);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ready = heard(&ear);
    assert_eq!(ready[1], format!("MAINPID={}", home.read("d.pid").trim()), "{ready:?}");
}

/// One that is gone, deaf or not to be understood is no reason not to work.
#[test]
fn nobody_has_to_hear_it() {
    for address in ["vsock:2:1", "/nowhere/at/all"] {
        let mut d = serving(address, Home::new());
        d.wait_state("web", "RUNNING");
        assert_eq!(d.terminate(), 0, "{address}");
        assert!(d.log().contains("NOTIFY_SOCKET leads nowhere") || d.log().contains("was not told READY=1"));
    }
    let home = Home::new();
    let address = home.join("notify");
    let _deaf = UnixDatagram::bind(&address).unwrap();
    let mut d = serving(&address.display().to_string(), home);
    // More than any system keeps for somebody who does not read.
    for _ in 0..300 {
        assert_eq!(d.reload()["status"], "ok");
    }
    assert!(d.log_count("the service manager was not told") > 0 || !Path::new("/proc").exists());
    assert_eq!(d.terminate(), 0);
}
