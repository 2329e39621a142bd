//! What one can wait for: `NAME=CONDITION`.

use std::fmt;

/// Somebody, and what is to become of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// A name or a pattern.
    pub name: String,
    /// What is waited for.
    pub goal: Goal,
}

/// What an instance is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// RUNNING or UNHEALTHY.
    Running,
    /// RUNNING, and its last health check passed.
    Healthy,
    /// Down: STOPPED, EXITED or FATAL.
    Stopped,
    /// Its program ended, with this code if one is given.
    Exited(Option<u8>),
    /// FATAL.
    Fatal,
}

impl Condition {
    /// Reads `web=running` or `job=exited:0`; a name may hold a `=` itself.
    pub fn from_text(text: &str) -> Result<Condition, String> {
        let (name, goal) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} is not NAME=CONDITION"))?;
        if name.is_empty() {
            return Err(format!("{text:?} has no name"));
        }
        Ok(Condition { name: name.to_owned(), goal: Goal::from_text(goal)? })
    }
}

impl Goal {
    fn from_text(text: &str) -> Result<Goal, String> {
        let right = "running, healthy, stopped, exited, exited:CODE, fatal";
        match text {
            "running" => Ok(Goal::Running),
            "healthy" => Ok(Goal::Healthy),
            "stopped" => Ok(Goal::Stopped),
            "exited" => Ok(Goal::Exited(None)),
            "fatal" => Ok(Goal::Fatal),
            other => match other.strip_prefix("exited:").and_then(|code| code.parse().ok()) {
                Some(code) => Ok(Goal::Exited(Some(code))),
                None => Err(format!("{other:?} is none of {right}")),
            },
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Running => f.write_str("running"),
            Goal::Healthy => f.write_str("healthy"),
            Goal::Stopped => f.write_str("stopped"),
            Goal::Exited(None) => f.write_str("exited"),
            Goal::Exited(Some(code)) => write!(f, "exited:{code}"),
            Goal::Fatal => f.write_str("fatal"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.goal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["web=running", "a=b=healthy", "w*=stopped", "all=exited", "job=exited:255", "x=fatal"] {
            assert_eq!(Condition::from_text(text).unwrap().to_string(), text);
        }
        for text in ["web", "=running", "web=", "web=up", "web=exited:256", "web=exited:", "web=exited:x"] {
            assert!(Condition::from_text(text).is_err(), "{text}");
        }
    }
}
