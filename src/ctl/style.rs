//! How answers are told: for people or for programs, in colour or not, or not at all.

use super::args::UsageError;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` says otherwise.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// What the options say about the output of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// One JSON object, or one a line where more follow.
    pub json: bool,
    /// Only what went wrong.
    pub quiet: bool,
    /// `--color`.
    pub colour: Colour,
}

impl Colour {
    /// Reads the value of `--color`.
    pub fn from_word(word: &str) -> Result<Colour, UsageError> {
        match word {
            "auto" => Ok(Colour::Auto),
            "always" => Ok(Colour::Always),
            "never" => Ok(Colour::Never),
            other => Err(UsageError(format!("--color: {other:?} is none of auto, always, never"))),
        }
    }

    /// Whether to use colours on something that is a terminal or not.
    pub fn applies(self, is_terminal: bool) -> bool {
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                is_terminal && !unwanted && !is_dumb()
            }
        }
    }
}

/// Whether the terminal says that it can only write on: no colours, and no way back.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|kind| kind == "dumb")
}

/// What a text stands for, as a colour that is readable on dark and on light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// All is well.
    Good,
    /// On its way.
    Changing,
    /// Somebody should look.
    Bad,
    /// Nothing to say.
    Plain,
}

impl Mood {
    /// Of a state.
    pub fn of_state(state: &str) -> Mood {
        match state {
            "RUNNING" => Mood::Good,
            "STARTING" | "STOPPING" | "BACKOFF" => Mood::Changing,
            "FATAL" | "UNHEALTHY" => Mood::Bad,
            _ => Mood::Plain,
        }
    }

    /// Of the verdict of a health check.
    pub fn of_health(healthy: Option<bool>) -> Mood {
        match healthy {
            Some(true) => Mood::Good,
            Some(false) => Mood::Bad,
            None => Mood::Plain,
        }
    }

    /// The text in its colour.
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Mood::Good => "32",
            Mood::Changing => "33",
            Mood::Bad => "31",
            Mood::Plain => return text.to_owned(),
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
