//! What programs say of themselves: the datagrams of sd_notify(3), read line by line. What nobody here needs is left out.

use super::text::echoed;

/// The longest datagram that is read.
pub const MAX_NOTICE: usize = 4096;
/// Beyond so many lines of one datagram, the rest is left out.
const MAX_LINES: usize = 64;

/// One line of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`: it is up, or done with a reload.
    Ready,
    /// `RELOADING=1`: it reads its configuration anew.
    Reloading,
    /// `STOPPING=1`: it is about to end by itself.
    Stopping,
    /// `WATCHDOG=1`: it does not hang.
    Watchdog,
    /// `STATUS=`: in its own words, made fit to be shown and cut.
    Status(String),
    /// `MAINPID=`: it wants another process to be taken for it.
    MainPid(Option<i32>),
}

/// The lines of a datagram that mean something. One that is not UTF-8 is read as far as it goes.
pub fn parse(datagram: &[u8]) -> Vec<Notice> {
    let lines = datagram.split(|byte| *byte == b'\n' || *byte == 0);
    lines.take(MAX_LINES).filter_map(|line| parse_line(&String::from_utf8_lossy(line))).collect()
}

fn parse_line(line: &str) -> Option<Notice> {
    let (key, value) = line.split_once('=')?;
    match (key, value) {
        ("READY", "1") => Some(Notice::Ready),
        ("RELOADING", "1") => Some(Notice::Reloading),
        ("STOPPING", "1") => Some(Notice::Stopping),
        ("WATCHDOG", "1") => Some(Notice::Watchdog),
        ("STATUS", text) => Some(Notice::Status(echoed(text))),
        ("MAINPID", pid) => Some(Notice::MainPid(pid.parse().ok())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_word_of_its_own() {
        let told =
            parse(b"READY=1\nSTATUS=Serving 3 clients\nMAINPID=77\nWATCHDOG=1\nERRNO=2\nRELOADING=1\nSTOPPING=1\n");
        let status = Notice::Status("Serving 3 clients".to_owned());
        use Notice::{MainPid, Ready, Reloading, Stopping, Watchdog};
        assert_eq!(told, [Ready, status, MainPid(Some(77)), Watchdog, Reloading, Stopping]);
    }

    #[test]
    fn what_means_nothing_is_left_out() {
        for text in ["", "\n\n", "READY", "READY=", "READY=0", "ready=1", " READY=1", "READY=1 ", "X=1", "=1", "\0"] {
            assert!(parse(text.as_bytes()).is_empty(), "{text:?}");
        }
        assert!(parse(&[0xff; 4096]).is_empty());
    }

    #[test]
    fn a_status_cannot_steer_a_terminal_nor_fill_memory() {
        let told = parse(b"STATUS=\x1b[2J=\xff");
        assert_eq!(told, [Notice::Status("\\x1b[2J=\u{fffd}".to_owned())]);
        let long = [b"STATUS=".to_vec(), vec![b'x'; 4000]].concat();
        let [Notice::Status(text)] = &parse(&long)[..] else { panic!("one line") };
        assert!(text.len() < 210 && text.ends_with('…'));
    }

    #[test]
    fn endless_lines_are_cut() {
        assert_eq!(parse(&b"WATCHDOG=1\n".repeat(400)).len(), MAX_LINES);
    }
}
