//! Users, against what the system's own tools say.

use std::process::Command;
use supervice::sys::user::lookup;

#[test]
fn groups_are_those_that_id_prints() {
    let names = std::fs::read_to_string("/etc/passwd").unwrap();
    for name in names.lines().filter_map(|line| line.split(':').next()).take(8) {
        let user = lookup(name).unwrap().unwrap();
        let said = Command::new("id").args(["-G", name]).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        let mut groups: Vec<u32> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        groups.sort_unstable();
        assert_eq!(user.groups, groups, "{name}");
        assert_eq!(user.name, name);
    }
}
