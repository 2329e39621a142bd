//! How a process is configured, and where each value comes from.

use crate::harness::*;
use serde_json::{Value, json};

fn described(d: &Daemon, name: &str) -> Value {
    let reply = d.order("describe", name);
    assert_eq!(reply["status"], "ok", "{reply}");
    reply["description"].clone()
}

fn option(description: &Value, name: &str) -> Value {
    let options = description["options"].as_array().unwrap();
    let found = options.iter().find(|option| option["option"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {description}")).clone()
}

fn variable(description: &Value, name: &str) -> (String, String) {
    let found = description["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
    let text = |key: &str| found.unwrap()[key].as_str().unwrap().to_owned();
    (text("value"), text("source"))
}

/// The line of the file that begins so.
fn line_of(d: &Daemon, start: &str) -> usize {
    let text = d.home.read("c.conf");
    text.lines().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}")) + 1
}

#[test]
fn each_value_is_told_with_the_line_it_stands_on() {
    let home = Home::new();
    home.write("env", "FROM_FILE=1\nMODE=of the file\nFILE_TOKEN=hidden\n");
    let d = Daemon::start_in(
        home,
        "[DEFAULT]\nstopwaitsecs = 7\n[program:web]\ncommand = {actor} --say %(process_num)s\nnumprocs = 2\n\
         startsecs = 0\nautostart = no\nenv_file = {dir}/env\n\
         environment = MODE=\"of %(process_num)s\",DB_PASSWORD=hunter2,URL=\"http://u:hunter2@h/\"\n[group:g]\nprograms = web\n",
    );
    let told = described(&d, "web:01");
    assert_eq!((&told["program"], &told["group"]), (&json!("web"), &json!("g")));
    assert_eq!(told["file"], d.home.config_path().display().to_string());
    let command = option(&told, "command");
    assert!(command["value"].as_str().unwrap().ends_with(" --say 01"), "{command}");
    assert_eq!((&command["source"], &command["line"]), (&json!("section"), &json!(line_of(&d, "command"))));
    let line = line_of(&d, "stopwaitsecs");
    let inherited = json!({"option": "stopwaitsecs", "value": "7", "source": "DEFAULT", "line": line});
    assert_eq!(option(&told, "stopwaitsecs"), inherited);
    let plain = json!({"option": "startretries", "value": "3", "source": "default"});
    assert_eq!(option(&told, "startretries"), plain);
    let unset = json!({"option": "user", "value": null, "meaning": "the daemon's", "source": "default"});
    assert_eq!(option(&told, "user"), unset);
    assert_eq!(
        told["options"].as_array().unwrap().len(),
        supervice::config::options::of(supervice::config::options::Section::Program).count()
    );

    assert_eq!(variable(&told, "MODE"), ("of 01".to_owned(), "environment".to_owned()));
    assert_eq!(variable(&told, "FROM_FILE"), ("1".to_owned(), "env_file".to_owned()));
    for name in ["DB_PASSWORD", "URL", "FILE_TOKEN"] {
        assert_eq!(variable(&told, name).0, "***");
    }
    assert_eq!(option(&told, "environment")["value"], "DB_PASSWORD=\"***\",MODE=\"of 01\",URL=\"***\"");
    assert!(!told.to_string().contains("hunter2") && !told.to_string().contains("hidden"));
}

#[test]
fn a_reload_is_told_of_and_lines_alone_change_nothing() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nautostart = no\n");
    d.home.configure("# one line more\n[program:a]\ncommand = {actor}\nautostart = no\n");
    assert_eq!(d.reload()["changed"], json!([]));
    assert_eq!(option(&described(&d, "a"), "command")["line"], line_of(&d, "command"));
    d.home.configure(
        "[program:a]\ncommand = {actor} --say new\nautostart = no\nstartsecs = 2\n[program:b]\ncommand = {actor}\n",
    );
    d.reload();
    let told = described(&d, "a");
    assert!(option(&told, "command")["value"].as_str().unwrap().ends_with("--say new"));
    assert_eq!(option(&told, "startsecs")["line"], line_of(&d, "startsecs"));
    assert_eq!(option(&described(&d, "b"), "startsecs")["source"], "default");
}

#[test]
fn on_a_pipe_it_is_a_list() {
    let d = Daemon::start("[program:a]\ncommand = {actor}\nautostart = no\nenvironment = API_KEY=hunter2\n");
    let ran = d.ctl(&["describe", "a"]);
    let place = format!("# {}:{}", d.home.config_path().display(), line_of(&d, "command"));
    let command = ran.stdout.lines().find(|line| line.starts_with("  command ")).unwrap();
    assert!(ran.code == 0 && command.ends_with(&place), "{ran:?}");
    assert!(ran.stdout.ends_with("  API_KEY=***  # environment\n") && !ran.stdout.contains("hunter2"), "{ran:?}");
    assert!(!ran.stdout.contains('\x1b'));
    let ran = d.ctl(&["describe", "a", "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &told["description"]), (0, &described(&d, "a")));
    let missing = d.ctl(&["describe", "aa"]);
    assert_eq!((missing.code, missing.stderr.as_str()), (1, "Process not found\nDid you mean a?\n"));
    assert_eq!((d.ctl(&["describe"]).code, d.ctl(&["describe", "a", "b"]).code), (2, 2));
    assert!(d.ctl(&["help", "describe"]).stdout.contains("examples:"));
}
