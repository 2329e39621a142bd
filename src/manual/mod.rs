//! What the two programs say of themselves: their help texts, read as the tables that they are, become man pages and
//! completions. Text in, text out; who prints it, and whom a daemon knows, is not known here.

pub mod complete;
pub mod roff;
pub mod shell;
pub mod table;
