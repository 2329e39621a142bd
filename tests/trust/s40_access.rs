//! Who may talk to the daemon: the kernel's word against the list, whatever the socket's file lets through.

use crate::harness::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

const NOBODY: u32 = 65_534;

/// A home that others can enter, with a client for them.
fn open_home() -> Home {
    let home = Home::new();
    home.open_to_all();
    home.copy_program(supervicectl(), "ctl", 0o755);
    home
}

/// A command as somebody else, with these groups.
fn as_stranger(home: &Home, uid: u32, groups: &str, program: &str) -> Command {
    let mut command = home.command("setpriv");
    let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    command.args([uid.as_str(), gid.as_str()]);
    match groups {
        "" => command.arg("--clear-groups"),
        groups => command.arg(format!("--groups={groups}")),
    };
    command.arg(program);
    command
}

fn ctl(d: &Daemon, uid: u32, groups: &str, arguments: &[&str]) -> Ran {
    let program = d.home.join("ctl").display().to_string();
    let mut command = as_stranger(&d.home, uid, groups, &program);
    command.arg("-s").arg(d.home.socket()).args(arguments);
    run(&mut command, DEADLINE)
}

const PROGRAM: &str = "[program:a]\ncommand = {actor}\nstartsecs = 0\n";

#[test]
fn s5_the_socket_is_private_and_no_other_place_leads_to_it() {
    let d = Daemon::start(PROGRAM);
    assert_eq!(fs::metadata(d.home.socket()).unwrap().mode() & 0o7777, 0o600);
    let listeners: Vec<String> = fs::read_to_string("/proc/net/unix").unwrap().lines().map(str::to_owned).collect();
    let ours = d.home.path().display().to_string();
    let paths: Vec<&String> = listeners.iter().filter(|line| line.contains(&ours)).collect();
    assert!(!paths.is_empty() && paths.iter().all(|line| !line.contains('@')), "{paths:?}");
}

#[test]
fn s7_a_stranger_is_denied_whatever_the_file_lets_through() {
    if !is_root() {
        return skip("S7", "needs root");
    }
    let d = Daemon::start_in(open_home(), &format!("socket_mode = 666\n{PROGRAM}"));
    assert_eq!(fs::metadata(d.home.socket()).unwrap().mode() & 0o777, 0o666);
    for arguments in [&["status"][..], &["stop", "a"], &["reload"], &["reload", "--dry-run"], &["update"]] {
        let ran = ctl(&d, NOBODY, "", arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains("may ask"), "{ran:?}");
    }
    // Root's group is not root.
    assert_eq!(ctl(&d, NOBODY, "0", &["status"]).code, 1);
    d.wait_log(&format!("denied a control connection of uid {NOBODY}"));
    assert_eq!(d.state("a"), "RUNNING");
}

#[test]
fn s8_readers_read_and_admins_order() {
    if !is_root() {
        return skip("S8", "needs root");
    }
    let text =
        format!("socket_users = 4001, 4002:admin, @4100:read, @4101:admin\nstdout_logfile_maxbytes = 0\n{PROGRAM}");
    let text = text.replace("stdout_logfile_maxbytes = 0\n", "");
    let home = open_home();
    // Users are looked up by name; these are made of numbers that nobody bears, so `nobody` and `daemon` stand in.
    let text = text.replace("4001", "nobody").replace("4002", "daemon");
    let d = Daemon::start_in(home, &text);
    assert_eq!(fs::metadata(d.home.socket()).unwrap().mode() & 0o777, 0o666);
    let daemon = 1;
    let may = |uid: u32, groups: &str, arguments: &[&str]| ctl(&d, uid, groups, arguments).code == 0;
    for (who, uid, groups, reads, orders) in [
        ("a reader", NOBODY, "", true, false),
        ("an admin", daemon, "", true, true),
        ("a member of readers", 4003, "4100", true, false),
        ("a member of admins", 4003, "7,4101,9", true, true),
        ("a reader among admins", NOBODY, "4101", true, true),
        ("a stranger", 4003, "", false, false),
        ("a stranger in other groups", 4003, "4102", false, false),
    ] {
        assert_eq!(may(uid, groups, &["status"]), reads, "{who} asks\n{}", d.story());
        assert_eq!(may(uid, groups, &["restart", "a"]), orders, "{who} orders\n{}", d.story());
        assert_eq!(may(uid, groups, &["update"]), orders, "{who} updates\n{}", d.story());
        assert_eq!(may(uid, groups, &["reload", "--dry-run"]), orders, "what is configured is shown to {who}");
    }
    let refused = ctl(&d, NOBODY, "", &["stop", "a"]);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("takes the role admin"), "{refused:?}");
    assert_eq!(d.state("a"), "RUNNING");
    // A reload takes it back.
    d.home.configure(PROGRAM);
    assert_eq!(d.reload()["status"], "ok");
    assert!(!may(daemon, "", &["status"]));
}

#[test]
fn s8_readers_look_back_and_see_no_values_of_the_environment() {
    if !is_root() {
        return skip("S8, describe", "needs root");
    }
    let text = format!("socket_users = nobody\n{PROGRAM}environment = MODE=production,DB_PASSWORD=hunter2\n");
    let d = Daemon::start_in(open_home(), &text);
    for arguments in [&["why", "a"][..], &["events"], &["info"], &["metrics"]] {
        assert_eq!(ctl(&d, NOBODY, "", arguments).code, 0, "{arguments:?}");
    }
    let ran = ctl(&d, NOBODY, "", &["describe", "a"]);
    assert!(ran.code == 0 && ran.stdout.contains("MODE=\"***\"") && !ran.stdout.contains("production"), "{ran:?}");
    let own = d.ctl(&["describe", "a"]).stdout;
    assert!(own.contains("MODE=\"production\"") && !own.contains("hunter2"), "{own}");
}

#[test]
fn s5_mode_and_group_are_as_asked_and_the_group_alone_grants_nothing() {
    if !is_root() {
        return skip("S5, group", "needs root");
    }
    let d = Daemon::start_in(open_home(), &format!("socket_group = 4100\n{PROGRAM}"));
    let found = fs::metadata(d.home.socket()).unwrap();
    assert_eq!((found.mode() & 0o777, found.gid(), found.uid()), (0o660, 4100, 0));
    assert_eq!(ctl(&d, 4003, "4100", &["status"]).code, 1);
    fs::remove_file(d.home.socket()).unwrap();
    if cfg!(feature = "portable") {
        d.signal(nix::sys::signal::Signal::SIGUSR1);
    }
    d.wait("it is bound again, as open as before", || {
        fs::metadata(d.home.socket()).ok().filter(|found| (found.mode() & 0o777, found.gid()) == (0o660, 4100))
    });
}

/// Mode and group of the socket's file.
fn openness(d: &Daemon) -> (u32, u32) {
    let found = fs::symlink_metadata(d.home.socket()).unwrap();
    (found.mode() & 0o7777, found.gid())
}

#[test]
fn s5_a_reload_opens_and_closes_the_door_while_the_daemon_runs() {
    let d = Daemon::start(PROGRAM);
    let (_, own) = openness(&d);
    for (lines, expected) in [("socket_mode = 660\n", 0o660), ("socket_users = root\n", 0o666), ("", 0o600)] {
        d.home.configure(&format!("{lines}{PROGRAM}"));
        let told = d.ctl(&["reload", "--dry-run"]);
        assert!(told.stdout.contains("[supervice]: socket_mode applies now\n"), "{told:?}");
        assert_eq!(d.reload()["status"], "ok");
        assert_eq!(openness(&d), (expected, own));
        assert_eq!(d.ctl(&["reload", "--dry-run"]).code, 0, "all of it is in force");
    }
    assert_eq!(d.log_count("takes effect when the daemon is started anew"), 0);
}

#[test]
fn s5_a_group_that_cannot_be_given_refuses_the_reload() {
    if is_root() {
        return skip("S5, a group of others", "needs a plain user");
    }
    let d = Daemon::start(PROGRAM);
    let before = openness(&d);
    d.home.configure(&format!("socket_group = root\nsocket_mode = 666\n{PROGRAM}[program:b]\ncommand = {{actor}}\n"));
    let reply = d.reload();
    assert_eq!(reply["code"], "FAILED", "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("change of its group"), "{reply}");
    assert_eq!(openness(&d), before);
    assert_eq!(d.rows().len(), 1, "nothing changed");
}

#[test]
fn s8_a_reload_counts_for_those_who_are_connected_already() {
    if !is_root() {
        return skip("S8, reload", "needs root");
    }
    let d = Daemon::start_in(open_home(), PROGRAM);
    assert_eq!(ctl(&d, NOBODY, "", &["status"]).code, 1);
    d.home.configure(&format!("socket_users = nobody, @4100:read\n{PROGRAM}"));
    assert_eq!(d.reload()["status"], "ok");
    assert_eq!(ctl(&d, NOBODY, "", &["status"]).code, 0, "{}", d.story());
    // One follows events, one waits; both are known to be at it when they are turned away.
    let program = d.home.join("ctl").display().to_string();
    let begin = |arguments: &[&str], groups: &str, file: &str| {
        let out = fs::File::create(d.home.join(file)).unwrap();
        let mut command = as_stranger(&d.home, NOBODY, groups, &program);
        command.arg("-s").arg(d.home.socket()).args(arguments);
        command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap()
    };
    let mut follower = begin(&["events", "-f"], "", "events");
    let mut member = begin(&["events", "-f"], "4100", "member");
    d.wait("both follow", || {
        d.done("restart", "a");
        let has_heard = |file| d.home.read(file).contains("RUNNING");
        (has_heard("events") && has_heard("member")).then_some(())
    });
    d.home.configure(&format!("socket_users = @4100:read\nsocket_group = 4100\n{PROGRAM}"));
    assert_eq!(d.reload()["status"], "ok");
    assert_eq!(openness(&d), (0o660, 4100));
    let ended = d.wait("the follower is turned away", || follower.try_wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    assert!(d.home.read("events").contains("may ask"), "{}", d.home.read("events"));
    d.wait("the member goes on", || {
        d.done("restart", "a");
        (d.home.read("member").matches("RUNNING").count() > 2).then_some(())
    });
    assert!(member.try_wait().unwrap().is_none());
    d.home.configure(PROGRAM);
    assert_eq!(d.reload()["status"], "ok");
    assert_eq!(openness(&d), (0o600, nix::unistd::getegid().as_raw()));
    assert_eq!(d.wait("the member is turned away", || member.try_wait().unwrap()).code(), Some(1));
    assert_eq!(ctl(&d, NOBODY, "4100", &["status"]).code, 1);
}

#[test]
fn unknown_guests_and_odd_modes_are_errors() {
    for (line, part) in [
        ("socket_users = no-such-user-here", "there is no user"),
        ("socket_users = @no-such-group", "there is no group"),
        ("socket_users = nobody:root", "grants nothing"),
        ("socket_group = no-such-group", "there is no group"),
        ("socket_mode = 7777", "no mode of a socket"),
        ("socket_mode = 066", "no mode of a socket"),
    ] {
        let home = Home::new();
        let ran = home.test_config(&format!("{line}\n{PROGRAM}"));
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        let option = line.split(' ').next().unwrap();
        assert!(
            ran.stderr.contains(&format!("c.conf:4: [supervice] {option}:")) && ran.stderr.contains(part),
            "{ran:?}"
        );
    }
}

#[test]
fn s10_those_who_may_not_order_take_few_places() {
    if !is_root() {
        return skip("S10", "needs root");
    }
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skip("S10", "no /usr/bin/python3");
    }
    let d = Daemon::start_in(open_home(), &format!("socket_users = nobody\n{PROGRAM}"));
    let script = "import socket,sys,struct,json\n\
        all=[]\n\
        for i in range(40):\n s=socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); all.append(s)\n\
        def ask(s):\n b=b'{\"command\":\"status\"}'\n\
        \x20try:\n  s.sendall(struct.pack('>I',len(b))+b); return s.recv(4)!=b''\n\
        \x20except OSError: return False\n\
        print(sum(ask(s) for s in all))\n";
    let script = d.home.write("many.py", script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = as_stranger(&d.home, NOBODY, "", "/usr/bin/python3");
    let ran = run(command.arg(&script).arg(d.home.socket()), DEADLINE);
    assert_eq!((ran.code, ran.stdout.trim()), (0, "8"), "{ran:?}");
    d.assert_well();
}

#[test]
fn s8_whoever_is_turned_away_is_told_to_which_request() {
    if !is_root() {
        return skip("S8, ids", "needs root");
    }
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skip("S8, ids", "no /usr/bin/python3");
    }
    let text = format!("{PROGRAM}stdout_logfile = {{dir}}/o\n");
    let d = Daemon::start_in(open_home(), &format!("socket_users = nobody\n{text}"));
    d.wait_state("a", "RUNNING");
    let script = "import socket,sys,struct,json\n\
        def reply(s):\n\
        \x20n=struct.unpack('>I',s.recv(4,socket.MSG_WAITALL))[0]; return json.loads(s.recv(n,socket.MSG_WAITALL))\n\
        def ask(**request):\n\
        \x20s=socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1])\n\
        \x20b=json.dumps(request).encode(); s.sendall(struct.pack('>I',len(b))+b); return s\n\
        all=[ask(command='wait',conditions=['a=fatal'],id='waits')]\n\
        all.append(ask(command='tail',name='a',follow=True,id='reads')); reply(all[1])\n\
        all.append(ask(command='events',follow=True,id='listens')); reply(all[2])\n\
        reply(ask(command='status'))\n\
        print('begun',flush=True)\n\
        for s in all:\n\
        \x20told=reply(s)\n\
        \x20print(told.get('code'),told.get('id'),s.recv(1)==b'')\n";
    let script = d.home.write("ids.py", script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let out = fs::File::create(d.home.join("told")).unwrap();
    let mut command = as_stranger(&d.home, NOBODY, "", "/usr/bin/python3");
    command.arg(&script).arg(d.home.socket()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut client = command.spawn().unwrap();
    d.wait_file("told");
    d.home.configure(&text);
    assert_eq!(d.reload()["status"], "ok");
    d.wait("all are told", || client.try_wait().unwrap());
    let expected = "begun\nDENIED waits True\nDENIED reads True\nDENIED listens True\n";
    assert_eq!(d.home.read("told"), expected, "{}", d.story());
}
