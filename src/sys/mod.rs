//! System calls, and every `unsafe` of the house. Turns what the kernel says into types; decides nothing.
//!
//! Two backends where the systems differ: Linux's own (pidfd, signalfd, inotify), and with the feature `portable` or on
//! any other Unix what all of them have (self-pipe, waitid by pid).

pub mod atomic_file;
pub mod clock;
pub mod connect;
pub mod daemonize;
pub(crate) mod descriptor;
pub mod files;
pub mod folder;
pub mod fsuid;
pub mod guard;
pub mod identity;
#[cfg_attr(not(all(target_os = "linux", not(feature = "portable"))), path = "no_inotify.rs")]
pub mod inotify;
pub mod journal;
pub mod kill;
pub mod limits;
pub mod lock;
pub mod log_file;
pub mod notify;
#[cfg_attr(not(all(target_os = "linux", not(feature = "portable"))), path = "no_splice.rs")]
pub mod pipe;
pub mod proc_table;
pub mod resolve;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod standard;
pub mod superior;
pub mod terminal;
pub mod trusted_folder;
pub mod usage;
pub mod user;
pub mod watch;

// What the standard library needs to print a backtrace, put into the programs: a library less to find, map and relocate at each
// start, a tenth of what `supervicectl status` takes. With `-bundle` it comes before the shared one, which is then left out.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
unsafe extern "C" {}
