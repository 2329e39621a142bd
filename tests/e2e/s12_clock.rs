//! The wall clock jumps. The machine's own is left alone: the daemon is shown another one, moved by what a file says.

use crate::harness::{Daemon, Home, skip, supervice};
use serde_json::json;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// A library that is loaded before libc and moves `clock_gettime(CLOCK_REALTIME)` by the seconds in $WALL_OFFSET_FILE.
const MOVED_CLOCK: &str = r#"
use std::ffi::{c_int, c_long, c_void};
#[repr(C)]
pub struct Timespec { seconds: i64, nanos: c_long }
unsafe extern "C" { fn syscall(number: c_long, ...) -> c_long; }
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;
fn offset() -> i64 {
    let path = std::env::var_os("WALL_OFFSET_FILE");
    path.and_then(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok()).unwrap_or(0)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, at: *mut Timespec) -> c_int {
    let answer = unsafe { syscall(SYS_CLOCK_GETTIME, c_long::from(clock), at.cast::<c_void>()) };
    if answer == 0 && clock == 0 {
        unsafe { (*at).seconds += offset() };
    }
    answer as c_int
}
"#;

/// A daemon under a clock of its own, or why there is none.
fn start_under_moved_clock(text: &str) -> Result<Daemon, &'static str> {
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        return Err("the moved clock is written for Linux on x86-64 and aarch64");
    }
    let home = Home::new();
    home.configure(text);
    home.write("offset", "0");
    let source = home.write("moved.rs", MOVED_CLOCK);
    let library = home.join("moved.so");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(compiler);
    compile.args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"]).arg(&library).arg(&source);
    if !compile.output().is_ok_and(|output| output.status.success()) {
        return Err("rustc makes no shared library here");
    }
    let mut command = home.command(supervice());
    command.env("LD_PRELOAD", &library).env("WALL_OFFSET_FILE", home.join("offset"));
    Ok(Daemon::launch_by(home, command))
}

/// Moves the daemon's clock; it sees the whole file or the one before.
fn jump(d: &Daemon, seconds: i64) {
    let fresh = d.home.write("offset.new", seconds.to_string());
    fs::rename(fresh, d.home.join("offset")).unwrap();
}

#[test]
fn row_53_the_wall_clock_jumps() {
    let started = start_under_moved_clock(
        "[program:a]\ncommand = {actor}\nstartsecs = 2\n\
         [program:deaf]\ncommand = {actor} --ignore TERM --touch {dir}/deaf\nstartsecs = 0\nstopwaitsecs = 2\n\
         [program:bad]\ncommand = {actor} --exit 1\nautostart = no\nstartretries = 1\n",
    );
    let d = match started {
        Ok(daemon) => daemon,
        Err(reason) => return skip("row 53", reason),
    };
    d.wait_file("deaf");
    let year = |line: &str| line[..4].parse::<i32>().unwrap();
    let now = year(&d.wait_log("starting"));
    // A day back, ten days on, past 2038, past 2106, before 1901.
    for seconds in [-86_400, 864_000, 600_000_000, 3_000_000_000, -4_000_000_000] {
        let begun = Instant::now();
        let mut restart = d.begin(json!({"command": "restart", "name": "a"}));
        let mut stop = d.begin(json!({"command": "stop", "name": "deaf"}));
        d.wait_state("deaf", "STOPPING");
        d.refused("start", "bad");
        jump(&d, seconds);
        assert_eq!(stop.receive().unwrap()["message"], "Stopped deaf");
        let stopped = begun.elapsed();
        assert_eq!(restart.receive().unwrap()["message"], "Restarted a");
        let took = begun.elapsed();
        d.wait_state("bad", "FATAL");
        for (what, time) in [("STOPPING", stopped), ("STARTING", took), ("BACKOFF", begun.elapsed())] {
            assert!(time > Duration::from_millis(900) && time < Duration::from_secs(40), "{seconds}: {what} {time:?}");
        }
        assert!(stopped >= Duration::from_millis(1900) && took >= Duration::from_millis(1900), "{stopped:?} {took:?}");
        let uptime = d.row("a").raw["uptime"].as_u64().unwrap();
        assert!((2..=40).contains(&uptime), "{seconds}: uptime {uptime}");
        fs::remove_file(d.home.join("deaf")).unwrap();
        d.done("start", "deaf");
        d.wait_file("deaf");
    }
    let last = year(d.log().lines().last().unwrap());
    assert!(last < now - 100, "the daemon did see the other clock: {last}");
    jump(&d, 0);
    d.assert_well();
}
