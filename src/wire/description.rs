//! The effective configuration of one process, as the daemon tells it.

use serde::{Deserialize, Serialize};

/// What stands for a value that is a secret.
pub const MASK: &str = "***";

/// What one process is configured to be. A reader takes what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// The program it belongs to.
    pub program: String,
    /// The group it belongs to.
    pub group: String,
    /// The file that lines are counted in.
    pub file: String,
    /// Every option.
    pub options: Vec<Setting>,
    /// The variables that it gets on top of the daemon's environment.
    pub variables: Vec<Variable>,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Its name.
    pub option: String,
    /// As it is written, for this instance; `None`: it has none.
    pub value: Option<String>,
    /// What it means to have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// `section`, `DEFAULT` for what all sections inherit, or `default`.
    pub source: String,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// One variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or [`MASK`].
    pub value: String,
    /// The option it comes from.
    pub source: String,
}

/// Parts of names whose values are nobody's business.
const SECRET: [&str; 10] =
    ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "COOKIE", "SIGNATURE"];

/// Whether a variable looks like one that holds a secret: by its name, or as an address with a password in it.
pub fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let user = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user);
    SECRET.iter().any(|part| name.contains(part)) || user.is_some_and(|user| user.contains(':') && !user.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names_and_by_addresses_with_passwords() {
        for (name, value) in [
            ("DB_PASSWORD", ""),
            ("api_key", "x"),
            ("GITHUB_TOKEN", "x"),
            ("AWS_SECRET_ACCESS", "x"),
            ("DATABASE_URL", "postgres://web:hunter2@db/web"),
        ] {
            assert!(is_secret(name, value), "{name}");
        }
        for (name, value) in [("MODE", "production"), ("URL", "http://host:80/a@b"), ("URL", "http://me@host/")] {
            assert!(!is_secret(name, value), "{name}");
        }
    }
}
