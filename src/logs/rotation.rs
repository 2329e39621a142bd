//! Where to cut a stream of bytes between two files, and which renames make room for a new file, one step at a time.
//!
//! Pure: nothing is touched here. A rotation goes
//!
//! ```text
//! Compare ── same ──► Survey 1, 2, … ── first free number, or the last ──► Shift … 2, 1, 0 ──► Create ──► done
//!    │                (backups 0: Truncate ──► done)
//!    ├── absent: somebody moved the file away ──► Create
//!    └── foreign: and put another one there ──► Reopen ──► done
//! ```
//!
//! Each step leaves the files in a state in which nothing is lost and from which Compare and Survey find back to the step
//! that comes next: a number that was freed is the gap up to which the others still have to move. So a rotation that was
//! interrupted by an error, or by the end of the daemon, goes on where it stood.

/// How far below the limit a line end is looked for.
pub(super) const LINE_ZONE: usize = 4096;

/// How many of `bytes` still go into a file with `room` bytes left under its limit: up to the last line end in the last
/// 4 KiB, else exactly `room`. `at_line_end`: the file ends with a line end, so 0 is one of the places.
pub fn cut(bytes: &[u8], room: usize, at_line_end: bool) -> usize {
    let Some(fitting) = bytes.get(..room) else { return bytes.len() };
    if fitting.len() == bytes.len() {
        return bytes.len();
    }
    let zone = room.saturating_sub(LINE_ZONE);
    let line_end = fitting.iter().skip(zone).rposition(|byte| *byte == b'\n');
    match line_end {
        Some(at) => zone.saturating_add(at).saturating_add(1),
        None if at_line_end && room < LINE_ZONE => 0,
        None => room,
    }
}

/// The next thing to do in a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Is the file at the path still the open one?
    Compare,
    /// Is this number taken?
    Survey {
        /// From 1.
        backup: u32,
    },
    /// Rename this number to the next.
    Shift {
        /// 0 is the log itself.
        from: u32,
    },
    /// Make the log anew.
    Create,
    /// Go on in the file that somebody put at the path.
    Reopen,
    /// Start the file over.
    Truncate,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Compare: the open file.
    Same,
    /// Compare, Survey: nothing there.
    Absent,
    /// Compare: another file. Survey: a file.
    Taken,
    /// The step is done.
    Done,
}

impl Step {
    /// What comes after this step; `None` when the rotation is complete.
    pub fn after(self, finding: Finding, backups: u32) -> Option<Step> {
        match (self, finding) {
            (Step::Compare, Finding::Absent) => Some(Step::Create),
            (Step::Compare, Finding::Taken) => Some(Step::Reopen),
            (Step::Compare, Finding::Same | Finding::Done) if backups == 0 => Some(Step::Truncate),
            (Step::Compare, Finding::Same | Finding::Done) => Some(Step::Survey { backup: 1 }),
            (Step::Survey { backup }, Finding::Taken) if backup < backups => Some(Step::Survey { backup: backup + 1 }),
            // The first free number ends the chain: what lies beyond a gap need not move. The last one is overwritten.
            (Step::Survey { backup }, _) => Some(Step::Shift { from: backup.saturating_sub(1) }),
            (Step::Shift { from: 0 }, _) => Some(Step::Create),
            (Step::Shift { from }, _) => Some(Step::Shift { from: from - 1 }),
            (Step::Create | Step::Reopen | Step::Truncate, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fits() {
        assert_eq!(cut(b"abc", 3, false), 3);
        assert_eq!(cut(b"abc", 4, true), 3);
        assert_eq!(cut(b"", 0, true), 0);
    }

    #[test]
    fn cuts_after_the_last_line_end_that_fits() {
        assert_eq!(cut(b"ab\ncd\nef", 7, false), 6);
        assert_eq!(cut(b"ab\ncd\nef", 5, false), 3);
    }

    #[test]
    fn cuts_exactly_where_no_line_ends_in_the_zone() {
        assert_eq!(cut(b"abcdef", 4, false), 4);
        let mut far = vec![b'x'; 3 * LINE_ZONE];
        far[0] = b'\n';
        assert_eq!(cut(&far, 2 * LINE_ZONE, true), 2 * LINE_ZONE);
        far[LINE_ZONE] = b'\n';
        assert_eq!(cut(&far, 2 * LINE_ZONE, true), LINE_ZONE + 1, "the first place inside the zone");
    }

    #[test]
    fn leaves_a_whole_line_for_the_next_file() {
        assert_eq!(cut(b"abcdef\n", 4, true), 0);
        assert_eq!(cut(b"abcdef\n", 0, false), 0);
        assert_eq!(cut(b"abcdef\n", LINE_ZONE, true), 7);
    }

    fn steps(findings: &[Finding], backups: u32) -> Vec<Step> {
        let mut step = Some(Step::Compare);
        let mut seen = Vec::new();
        for finding in findings.iter().chain(std::iter::repeat(&Finding::Done)) {
            let Some(now) = step else { return seen };
            seen.push(now);
            step = now.after(*finding, backups);
        }
        unreachable!("the chain above never ends")
    }

    #[test]
    fn renames_from_the_oldest_down_as_python_does() {
        use Finding::{Same, Taken};
        let expected = [
            Step::Compare,
            Step::Survey { backup: 1 },
            Step::Survey { backup: 2 },
            Step::Survey { backup: 3 },
            Step::Shift { from: 2 },
            Step::Shift { from: 1 },
            Step::Shift { from: 0 },
            Step::Create,
        ];
        assert_eq!(steps(&[Same, Taken, Taken, Taken], 3), expected);
    }

    #[test]
    fn stops_at_the_first_gap() {
        use Finding::{Absent, Same, Taken};
        let seen = steps(&[Same, Taken, Absent], 9);
        assert_eq!(
            seen[2..],
            [Step::Survey { backup: 2 }, Step::Shift { from: 1 }, Step::Shift { from: 0 }, Step::Create]
        );
    }

    #[test]
    fn no_backups_start_the_file_over() {
        assert_eq!(steps(&[Finding::Same], 0), [Step::Compare, Step::Truncate]);
    }

    #[test]
    fn leaves_files_alone_that_others_moved() {
        assert_eq!(steps(&[Finding::Absent], 5), [Step::Compare, Step::Create]);
        assert_eq!(steps(&[Finding::Taken], 0), [Step::Compare, Step::Reopen]);
    }
}
