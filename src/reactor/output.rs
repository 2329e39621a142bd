//! One stream of a child: bytes from its pipe into a sink. The stream lives until its end, not until the child's.

use super::ready::Served;
use crate::engine::id::InstanceId;
use std::io::{ErrorKind, Read};

/// Bytes taken from one stream in one serving, where nobody waits for something else.
pub const OUTPUT_BUDGET: usize = 128 * 1024;

/// What became of bytes that were to pass without being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// So many did; more may have come meanwhile.
    Some(usize),
    /// None waits: only this is a pipe whose next bytes are an event. A writer that was let go on while others of its bytes were
    /// still in the pipe makes none.
    Nothing,
    /// They have to be read.
    Refused,
}

/// Takes what a stream brings; it never blocks and never refuses (what it cannot keep it counts).
pub trait Taker<R> {
    /// Takes all of `bytes`.
    fn take(&mut self, bytes: &[u8]);

    /// Takes up to `most` bytes straight from the reader.
    fn pass(&mut self, _reader: &mut R, _most: usize) -> Passed {
        Passed::Refused
    }
}

/// The daemon's end of one stream, over any reader, so that tests can script it.
#[derive(Debug)]
pub struct Output<R> {
    /// Whose stream it is.
    pub instance: InstanceId,
    reader: R,
    ready: bool,
    /// The writers are gone: a short read is not the end, only 0 is.
    ended: bool,
    /// In the ready list.
    pub queued: bool,
    /// Bytes that the last serving moved.
    pub moved: usize,
}

impl<R: Read> Output<R> {
    /// A fresh stream, taken as ready.
    pub fn new(instance: InstanceId, reader: R) -> Output<R> {
        Output { instance, reader, ready: true, ended: false, queued: false, moved: 0 }
    }

    /// Notes what the kernel said.
    pub fn mark(&mut self, ended: bool) {
        self.ready = true;
        self.ended |= ended;
    }

    /// The reader, to register and deregister it.
    pub fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The reader, to ask it something.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Moves bytes until the pipe is empty, at its end, or so many were moved.
    pub fn serve(&mut self, most: usize, scratch: &mut [u8], taker: &mut dyn Taker<R>) -> Served {
        self.moved = 0;
        while self.ready {
            let budget = most.saturating_sub(self.moved);
            if budget == 0 {
                return Served::More;
            }
            match taker.pass(&mut self.reader, budget) {
                Passed::Some(count) if count > 0 => self.moved += count,
                Passed::Nothing if !self.ended => self.ready = false,
                // At the end only a read tells whether it is one.
                Passed::Some(_) | Passed::Nothing | Passed::Refused => {
                    if let Some(served) = self.read_some(scratch, taker, budget) {
                        return served;
                    }
                }
            }
        }
        Served::Dry
    }

    fn read_some(&mut self, scratch: &mut [u8], taker: &mut dyn Taker<R>, budget: usize) -> Option<Served> {
        let room = scratch.len().min(budget);
        match self.reader.read(&mut scratch[..room]) {
            Ok(0) => return Some(Served::Closed),
            Ok(count) => {
                taker.take(&scratch[..count]);
                self.moved += count;
                // A short read empties the pipe; but with the end in the same event no other event follows.
                self.ready = count == room || self.ended;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Some(Served::Closed),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::Key;
    use std::collections::VecDeque;
    use std::io;

    struct Script(VecDeque<io::Result<Vec<u8>>>);

    impl Read for Script {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let Some(next) = self.0.pop_front() else { return Err(ErrorKind::WouldBlock.into()) };
            let mut bytes = next?;
            let count = bytes.len().min(buf.len());
            buf[..count].copy_from_slice(&bytes[..count]);
            if count < bytes.len() {
                self.0.push_front(Ok(bytes.split_off(count)));
            }
            Ok(count)
        }
    }

    struct Bytes(Vec<u8>);

    impl Taker<Script> for Bytes {
        fn take(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }

    fn output(script: Vec<io::Result<Vec<u8>>>) -> Output<Script> {
        let instance = InstanceId(Key { slot: 0, generation: 0 });
        Output::new(instance, Script(script.into()))
    }

    #[test]
    fn a_short_read_waits_for_the_next_edge() {
        let (mut output, mut sink) = (output(vec![Ok(b"one".to_vec()), Ok(b"two".to_vec())]), Bytes(Vec::new()));
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 1024], &mut sink), Served::Dry);
        assert_eq!(sink.0, b"one");
        output.mark(false);
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 1024], &mut sink), Served::Dry);
        assert_eq!(sink.0, b"onetwo");
    }

    #[test]
    fn a_short_read_with_the_end_in_one_event_reads_on_to_the_end() {
        let (mut output, mut sink) = (output(vec![Ok(b"last".to_vec()), Ok(vec![])]), Bytes(Vec::new()));
        output.mark(true);
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 1024], &mut sink), Served::Closed);
        assert_eq!(sink.0, b"last");
    }

    #[test]
    fn a_flood_stops_at_the_budget() {
        let (mut output, mut sink) = (output(vec![Ok(vec![7; 3 * OUTPUT_BUDGET])]), Bytes(Vec::new()));
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut vec![0; OUTPUT_BUDGET], &mut sink), Served::More);
        assert_eq!(sink.0.len(), OUTPUT_BUDGET);
    }

    /// Lets bytes pass as the script says, and takes what is read.
    struct Passing(VecDeque<Passed>, Bytes);

    impl Taker<Script> for Passing {
        fn take(&mut self, bytes: &[u8]) {
            self.1.take(bytes);
        }

        fn pass(&mut self, _reader: &mut Script, most: usize) -> Passed {
            assert!((1..=OUTPUT_BUDGET).contains(&most));
            self.0.pop_front().unwrap_or(Passed::Nothing)
        }
    }

    #[test]
    fn bytes_that_pass_are_not_read() {
        let mut output = output(vec![Ok(b"read".to_vec())]);
        let mut taker = Passing([Passed::Some(5), Passed::Some(7)].into(), Bytes(Vec::new()));
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 16], &mut taker), Served::Dry);
        assert_eq!((output.moved, taker.1.0.len()), (12, 0));
        output.mark(false);
        taker.0.push_back(Passed::Refused);
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 16], &mut taker), Served::Dry);
        assert_eq!((output.moved, taker.1.0.as_slice()), (4, b"read".as_slice()));
    }

    #[test]
    fn the_end_is_read_even_where_bytes_pass() {
        let mut output = output(vec![Ok(vec![])]);
        output.mark(true);
        let mut taker = Passing([Passed::Some(3), Passed::Nothing].into(), Bytes(Vec::new()));
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 16], &mut taker), Served::Closed);
        assert_eq!(output.moved, 3);
    }

    #[test]
    fn it_is_dry_only_where_nothing_waited() {
        let mut taker = Passing([Passed::Some(3), Passed::Nothing, Passed::Some(9)].into(), Bytes(Vec::new()));
        let mut output = output(vec![]);
        assert_eq!(output.serve(OUTPUT_BUDGET, &mut [0; 16], &mut taker), Served::Dry);
        assert_eq!((output.moved, taker.0.len()), (3, 1), "asked until there was nothing, and not again");
    }

    #[test]
    fn passing_stops_at_the_budget() {
        let mut taker = Passing(vec![Passed::Some(OUTPUT_BUDGET / 2); 9].into(), Bytes(Vec::new()));
        assert_eq!(output(vec![]).serve(OUTPUT_BUDGET, &mut [0; 16], &mut taker), Served::More);
        assert_eq!(taker.0.len(), 7);
    }

    #[test]
    fn an_empty_pipe_is_dry() {
        assert_eq!(output(vec![]).serve(OUTPUT_BUDGET, &mut [0; 16], &mut Bytes(Vec::new())), Served::Dry);
    }
}
