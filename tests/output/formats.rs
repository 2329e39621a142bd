//! `log_format`: whole lines with a time, a name, or as JSON, whatever the programs do to them.

use crate::harness::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes its lines in odd bites, so that most reads end in the middle of one.
const BITES: &str = "import os,sys\nname=sys.argv[1]\ntext=''.join('%s %d %s\\n' % (name,n,'x'*(n%300)) for n in range(2000)).encode()\n\
at=0\nwhile at<len(text):\n    size=1+(at*7919)%4000\n    os.write(1,text[at:at+size])\n    at+=size\n";

fn expected(name: &str) -> Vec<String> {
    (0..2000).map(|n| format!("{name} {n} {}", "x".repeat(n % 300))).collect()
}

/// A program whose lines go to the daemon's stdout, its name before each.
fn prefixed(name: &str, script: &Path) -> String {
    format!(
        "[program:{name}]\ncommand = python3 {} {name}\nstdout_logfile = /dev/stdout\nlog_format = prefix\n\
         startsecs = 0\nautorestart = no\n",
        script.display()
    )
}

#[test]
fn many_programs_share_one_stdout_line_by_line() {
    let home = Home::new();
    let script = home.write("bites.py", BITES);
    let d = Daemon::start_in(home, &["a", "b", "c"].map(|name| prefixed(name, &script)).concat());
    d.wait_all("EXITED");
    // The daemon's own stdout is a file here: nothing may be missing.
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    d.wait("all lines are there", || (d.log().matches(" | ").count() >= 6000).then_some(()));
    for line in d.log().lines() {
        match line.split_once(" | ") {
            Some((name, line)) => of.entry(name.to_owned()).or_default().push(line.to_owned()),
            None => assert!(line.starts_with("20"), "neither a line of a program nor of the daemon: {line}"),
        }
    }
    for name in ["a", "b", "c"] {
        assert_eq!(of[name], expected(name));
    }
}

#[test]
fn lines_through_a_pipe_that_is_read_slowly_are_never_torn() {
    let home = Home::new();
    let script = home.write("bites.py", BITES);
    home.configure(&format!(
        "[program:p]\ncommand = python3 {} x\nnumprocs = 4\nstdout_logfile = /dev/stdout\nlog_format = json\n\
         startsecs = 0\nautorestart = no\n",
        script.display()
    ));
    let mut command = home.command(supervice());
    let (read, write) = std::io::pipe().unwrap();
    command.args(["-n", "-c"]).arg(home.config_path()).stdout(write);
    let mut child = command.spawn().unwrap();
    drop(command);
    let socket = home.socket();
    let exited = || {
        let mut client = Client::connect(&socket).ok()?;
        let reply = client.ask(&serde_json::json!({"command": "status"})).ok()?;
        (reply.to_string().matches("EXITED").count() == 4).then_some(())
    };
    wait_until(DEADLINE, "all have written", || exited().is_some());
    let reader = std::thread::spawn(move || std::io::read_to_string(read).unwrap());
    // Time for the backlog to go out before the end.
    wait_for(std::time::Duration::from_millis(1500), || None::<()>);
    process::signal(child.id() as i32, nix::sys::signal::Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (mut objects, mut last) = (0, BTreeMap::new());
    let text = reader.join().unwrap();
    for line in text.lines().filter(|line| !line.starts_with("20")) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|problem| panic!("{problem}: {line}"));
        let (name, line) = (value["name"].as_str().unwrap().to_owned(), value["line"].as_str().unwrap().to_owned());
        let number: i64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(line, expected("x")[number as usize]);
        assert!(last.insert(name, number).is_none_or(|before| before < number), "in order");
        objects += 1;
    }
    assert!(objects > 100, "{objects} lines");
}

#[test]
fn a_line_is_written_when_it_is_whole_or_when_it_cannot_be_any_more() {
    let d = Daemon::start(
        "[program:a]\ncommand = sh -c 'printf begun; sleep 0.3; printf \" done\\nno end\"; exec sleep 1000'\n\
         stdout_logfile = {dir}/o\nlog_format = timestamp\nstartsecs = 0\nautorestart = no\n\
         [program:j]\ncommand = printf 'out\\377\\n'\nstdout_logfile = {dir}/j\nlog_format = json\nstartsecs = 0\nautorestart = no\n",
    );
    let line = d.wait_file("o");
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, "begun done\n");
    assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    d.done("stop", "a");
    d.wait("the rest", || d.home.read("o").ends_with(" no end\n").then_some(()));
    let object: Value = serde_json::from_str(&d.wait_file("j")).unwrap();
    assert_eq!((object["name"].as_str(), object["stream"].as_str()), (Some("j"), Some("stdout")));
    assert_eq!(object["line"], "out\\xff");
}

#[test]
fn both_streams_of_many_instances_in_one_file() {
    let d = Daemon::start(
        "[program:p]\ncommand = sh -c 'for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; done'\nnumprocs = 5\n\
         stdout_logfile = {dir}/o\nstderr_logfile = {dir}/o\nlog_format = json\nstartsecs = 0\nautorestart = no\n\
         stdout_logfile_maxbytes = 1000\nstdout_logfile_backups = 99\n",
    );
    d.wait_all("EXITED");
    let files = || {
        let mut text = (1..99).rev().map(|n| d.home.read(&format!("o.{n}"))).collect::<String>();
        text.push_str(&d.home.read("o"));
        text
    };
    let text = d.wait("all lines", || Some(files()).filter(|text| text.lines().count() == 90));
    let mut of: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| object[name].as_str().unwrap().to_owned();
        of.entry((field("name"), field("stream"))).or_default().push(field("line"));
    }
    assert_eq!(of.len(), 10);
    for ((_, stream), lines) in of {
        let word = if stream == "stdout" { "out" } else { "err" };
        assert_eq!(lines, (1..10).map(|n| format!("{word} {n}")).collect::<Vec<_>>());
    }
}

#[test]
fn long_lines_of_many_share_one_stdout_in_marked_pieces() {
    const SAYS: &str = "import os,sys\nname=sys.argv[1].encode()\nfor n in (1,65536,65537,200000,3,131072,400000,0):\n    text=name*n+b'\\n'\n\
        \x20   while text:\n        text=text[os.write(1,text[:30000]):]\n";
    let home = Home::new();
    let script = home.write("long.py", SAYS);
    let d = Daemon::start_in(home, &["a", "b", "c", "d"].map(|name| prefixed(name, &script)).concat());
    d.wait_all("EXITED");
    d.wait("the last lines are there", || {
        (d.log().lines().filter(|line| line.ends_with(" | ")).count() == 4).then_some(())
    });
    let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let log = d.log();
    for line in log.lines().filter(|line| !line.starts_with("20")) {
        let (name, (mark, text)) = (&line[..1], line[1..].split_at(3));
        assert!(text.len() <= 64 << 10 && text.bytes().all(|byte| byte == name.as_bytes()[0]), "{name}: mixed or torn");
        let lines = of.entry(name).or_default();
        match mark {
            " | " => lines.push(text.to_owned()),
            " + " => lines.last_mut().unwrap().push_str(text),
            other => panic!("{other:?}"),
        }
    }
    for name in ["a", "b", "c", "d"] {
        let lengths: Vec<usize> = of[name].iter().map(String::len).collect();
        assert_eq!(lengths, [1, 65536, 65537, 200_000, 3, 131_072, 400_000, 0], "{name}");
    }
}

#[test]
fn long_lines_and_bytes_that_are_no_text_in_json() {
    let d = Daemon::start(
        "[program:j]\ncommand = python3 -c 'import os; os.write(1, b\"x\" * 70000 + bytes([255, 0xe2, 0x82, 10, 0xc3, 0xa9, 10]))'\n\
         stdout_logfile = {dir}/j\nlog_format = json\nstartsecs = 0\nautorestart = no\n",
    );
    let text = d.wait("three objects", || Some(d.home.read("j")).filter(|text| text.lines().count() == 3));
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[0]["line"], "x".repeat(64 << 10));
    assert_eq!(objects[1]["line"], format!("{}\\xff\\xe2\\x82", "x".repeat(70_000 - (64 << 10))));
    assert_eq!(objects[2]["line"], "é");
    let partial: Vec<bool> = objects.iter().map(|object| object["partial"] == true).collect();
    assert_eq!(partial, [true, false, false]);
    for object in &objects {
        let time = object["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.as_bytes()[19] == b'.' && time.ends_with('Z'), "{time}");
    }
}
