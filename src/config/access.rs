//! Who else may talk to the daemon: `socket_users`, `socket_mode`.

use super::problems::quoted;
use super::reader::strip;
use crate::spec::{Grant, Role, Whom};

/// Reads `alice, bob:admin, @ops:read`; without a role it is `read`.
pub fn grants(text: &str) -> Result<Vec<Grant>, String> {
    text.split([',', '\n']).map(strip).filter(|item| !item.is_empty()).map(grant).collect()
}

fn grant(item: &str) -> Result<Grant, String> {
    let wrong = || format!("{} grants nothing (NAME:ROLE or @GROUP:ROLE, where ROLE is read or admin)", quoted(item));
    let (name, role) = item.split_once(':').unwrap_or((item, "read"));
    let role = match strip(role).to_ascii_lowercase().as_str() {
        "read" => Role::Read,
        "admin" => Role::Admin,
        _ => return Err(wrong()),
    };
    let name = strip(name);
    let group = name.strip_prefix('@');
    let bare = super::value::user(group.unwrap_or(name)).ok().filter(|bare| !bare.is_empty()).ok_or_else(wrong)?;
    let whom = if group.is_some() { Whom::Group(bare) } else { Whom::User(bare) };
    Ok(Grant { whom, role })
}

/// Reads the mode of the socket: octal, and its owner can always use it.
pub fn mode(text: &str) -> Result<u32, String> {
    let right = "octal from 600 to 777, such as 660";
    let octal = !text.is_empty() && text.len() <= 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    let mode = mode.filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600);
    mode.ok_or_else(|| format!("{} is no mode of a socket ({right})", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read() {
        let user = |name: &str, role| Grant { whom: Whom::User(name.into()), role };
        let group = |name: &str, role| Grant { whom: Whom::Group(name.into()), role };
        let text = "alice, bob:ADMIN,\n @ops : read,@wheel:admin,,1000";
        let expected = vec![
            user("alice", Role::Read),
            user("bob", Role::Admin),
            group("ops", Role::Read),
            group("wheel", Role::Admin),
            user("1000", Role::Read),
        ];
        assert_eq!(grants(text), Ok(expected));
        for text in ["alice:root", "alice:", ":admin", "@", "@:read", "a b", "alice:read:admin", "a/b"] {
            assert!(grants(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mode_lets_at_least_its_owner_in() {
        for (text, expected) in [("600", 0o600), ("0660", 0o660), ("0777", 0o777), ("666", 0o666)] {
            assert_eq!(mode(text), Ok(expected));
        }
        for text in ["", "0", "060", "400", "1777", "9", "rw", "-600", "0000000600000", "\u{0663}00"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
