//! One connection of the control socket: bytes in, frames out, replies back. It knows no request.
//!
//! One request is under way at a time; the next frame is cut when the one before is answered and its reply is sent.

use super::ready::Served;
use crate::engine::id::{Stamp, Ticket};
use crate::engine::time::Instant;
use crate::wire::frame::{Decoder, TooLarge};
use std::io::{ErrorKind, Read, Write};

/// Bytes read in one serving.
pub const READ_BUDGET: usize = 16 * 1024;
/// Bytes written in one serving.
pub const WRITE_BUDGET: usize = 64 * 1024;
/// A sent buffer larger than this is given back.
const KEEP_CAPACITY: usize = 16 * 1024;

/// What a serving led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A request to answer.
    Frame(Vec<u8>),
    /// The peer announced a frame over the bound: tell it, then close.
    TooLarge(TooLarge),
    /// Nothing to do for the daemon.
    Rest(Served),
}

/// One control connection over any stream, so that tests can script it.
#[derive(Debug)]
pub struct Conn<S> {
    stream: S,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
    readable: bool,
    writable: bool,
    /// The peer closed its side: what is in the decoder still counts.
    ended: bool,
    /// Both directions are gone: nobody reads replies.
    gone: bool,
    closing: bool,
    /// In the ready list.
    pub queued: bool,
    /// The order under way.
    pub ticket: Option<Ticket>,
    /// The last time a byte came or went.
    pub active: Instant,
    /// The deadline it waits for: an unfinished frame, or a reply nobody reads.
    pub wait: Option<Stamp>,
}

impl<S: Read + Write> Conn<S> {
    /// A fresh connection. It may have bytes already, so it is taken as ready.
    pub fn new(stream: S, now: Instant) -> Conn<S> {
        Conn {
            stream,
            decoder: Decoder::new(),
            out: Vec::new(),
            sent: 0,
            readable: true,
            writable: true,
            ended: false,
            gone: false,
            closing: false,
            queued: false,
            ticket: None,
            active: now,
            wait: None,
        }
    }

    /// Notes what the kernel said.
    pub fn mark(&mut self, readable: bool, writable: bool, gone: bool) {
        self.readable |= readable || gone;
        self.writable |= writable || gone;
        self.gone |= gone;
    }

    /// Whether an order is under way whose asker has left.
    pub fn deserted(&self) -> bool {
        self.gone && self.ticket.is_some()
    }

    /// The request under way is answered by a frame that `write` appends; `serve` sends it.
    pub fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.ticket = None;
        write(&mut self.out);
    }

    /// The request under way is answered by this frame. Where nothing waits to be sent before it, as much as one write takes
    /// is gone already; the rest, and whatever is wrong with the connection, is for `serve`.
    pub fn answer_at_once(&mut self, frame: &[u8], now: Instant) {
        self.ticket = None;
        let at_once = &frame[..frame.len().min(WRITE_BUDGET)];
        let written = match self.unsent() == 0 && self.writable {
            true => self.stream.write(at_once).unwrap_or(0),
            false => 0,
        };
        if written > 0 {
            self.active = now;
        }
        self.out.extend_from_slice(&frame[written..]);
    }

    /// The request under way is not answered, but there is something to tell meanwhile; `serve` sends it.
    pub fn tell(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.out);
    }

    /// Closes once everything is sent.
    pub fn close_after_send(&mut self) {
        self.closing = true;
    }

    /// Whether the peer owes the rest of a frame, or has to read a reply.
    pub fn owes(&self) -> bool {
        self.unsent() > 0 || (self.ticket.is_none() && self.decoder.has_partial())
    }

    /// Sends, then reads, within the budgets; returns at the first frame.
    pub fn serve(&mut self, now: Instant, scratch: &mut [u8]) -> Step {
        match self.flush(now) {
            Served::Dry if self.unsent() == 0 => {}
            other => return Step::Rest(other),
        }
        if self.closing || self.deserted() {
            return Step::Rest(Served::Closed);
        }
        if self.ticket.is_some() {
            return Step::Rest(Served::Dry);
        }
        self.next_frame(now, scratch)
    }

    /// The stream, to register and deregister it.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Bytes waiting to be sent.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    fn next_frame(&mut self, now: Instant, scratch: &mut [u8]) -> Step {
        let mut has_read = false;
        loop {
            match self.decoder.pull() {
                Some(Ok(frame)) => return Step::Frame(frame),
                Some(Err(error)) => return Step::TooLarge(error),
                None => {}
            }
            if self.ended {
                return Step::Rest(Served::Closed);
            }
            if !self.readable {
                return Step::Rest(Served::Dry);
            }
            if has_read {
                return Step::Rest(Served::More);
            }
            let room = scratch.len().min(READ_BUDGET);
            match self.stream.read(&mut scratch[..room]) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.decoder.push(&scratch[..count]);
                    self.active = now;
                    has_read = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Step::Rest(Served::Closed),
            }
        }
    }

    fn flush(&mut self, now: Instant) -> Served {
        let mut budget = WRITE_BUDGET;
        while self.unsent() > 0 {
            if !self.writable {
                return Served::Dry;
            }
            if budget == 0 {
                return Served::More;
            }
            let end = self.out.len().min(self.sent + budget);
            match self.stream.write(&self.out[self.sent..end]) {
                Ok(0) => return Served::Closed,
                Ok(count) => {
                    self.sent += count;
                    self.active = now;
                    budget -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Served::Closed,
            }
        }
        self.out.clear();
        self.sent = 0;
        if self.out.capacity() > KEEP_CAPACITY {
            self.out = Vec::new();
        }
        Served::Dry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::encode_frame;
    use std::collections::VecDeque;
    use std::io;

    /// A stream that answers from a script.
    #[derive(Debug, Default)]
    struct Script {
        input: VecDeque<io::Result<Vec<u8>>>,
        accepts: VecDeque<io::Result<usize>>,
        written: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.input.pop_front() {
                Some(Ok(bytes)) => {
                    buf[..bytes.len()].copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                Some(Err(error)) => Err(error),
                None => Err(ErrorKind::WouldBlock.into()),
            }
        }
    }

    impl Write for Script {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let count = match self.accepts.pop_front() {
                Some(result) => result?.min(buf.len()),
                None => buf.len(),
            };
            self.written.extend_from_slice(&buf[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn framed(body: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode_frame(body.as_bytes(), &mut out).expect("it is short");
        out
    }

    fn conn(input: Vec<io::Result<Vec<u8>>>) -> Conn<Script> {
        Conn::new(Script { input: input.into(), ..Script::default() }, Instant::ZERO)
    }

    fn serve(conn: &mut Conn<Script>) -> Step {
        conn.serve(Instant::ZERO, &mut [0; READ_BUDGET])
    }

    #[test]
    fn a_frame_in_pieces_is_one_frame() {
        let bytes = framed("{}");
        let mut conn = conn(bytes.iter().map(|byte| Ok(vec![*byte])).collect());
        for _ in 0..bytes.len() - 1 {
            assert_eq!(serve(&mut conn), Step::Rest(Served::More));
        }
        assert_eq!(serve(&mut conn), Step::Frame(b"{}".to_vec()));
        assert_eq!(serve(&mut conn), Step::Rest(Served::Dry));
    }

    #[test]
    fn the_next_frame_waits_for_the_answer_to_the_one_before() {
        let mut both = framed("1");
        both.extend(framed("2"));
        let mut conn = conn(vec![Ok(both)]);
        assert_eq!(serve(&mut conn), Step::Frame(b"1".to_vec()));
        conn.ticket = Some(Ticket(1));
        assert_eq!(serve(&mut conn), Step::Rest(Served::Dry));
        conn.answer(|out| out.extend(framed("one")));
        assert_eq!(serve(&mut conn), Step::Frame(b"2".to_vec()));
        assert_eq!(conn.stream.written, framed("one"));
    }

    #[test]
    fn a_reply_goes_out_in_short_writes() {
        let mut conn = conn(vec![]);
        conn.stream.accepts = VecDeque::from([Ok(1), Ok(2), Err(ErrorKind::WouldBlock.into())]);
        conn.answer(|out| out.extend(framed("hello")));
        assert_eq!(serve(&mut conn), Step::Rest(Served::Dry));
        assert!(conn.owes());
        conn.mark(false, true, false);
        assert_eq!(serve(&mut conn), Step::Rest(Served::Dry));
        assert_eq!(conn.stream.written, framed("hello"));
        assert!(!conn.owes());
    }

    #[test]
    fn what_is_not_taken_at_once_follows() {
        let whole = framed("hello");
        let refused: [io::Result<usize>; 4] =
            [Ok(3), Ok(0), Err(ErrorKind::WouldBlock.into()), Err(ErrorKind::Interrupted.into())];
        for first in refused {
            let mut conn = conn(vec![]);
            conn.ticket = Some(Ticket(1));
            conn.stream.accepts = VecDeque::from([first]);
            conn.answer_at_once(&whole, Instant::ZERO);
            assert!(conn.owes() && conn.ticket.is_none());
            conn.answer_at_once(&whole, Instant::ZERO);
            assert_eq!(serve(&mut conn), Step::Rest(Served::Dry));
            assert_eq!(conn.stream.written, [whole.clone(), whole.clone()].concat());
        }
        let mut conn = conn(vec![]);
        conn.answer_at_once(&whole, Instant::ZERO);
        assert_eq!((conn.stream.written.clone(), conn.owes()), (whole.clone(), false));
        conn.stream.accepts = (0..2).map(|_| Err(ErrorKind::BrokenPipe.into())).collect();
        conn.answer_at_once(&whole, Instant::ZERO);
        assert_eq!(serve(&mut conn), Step::Rest(Served::Closed));
    }

    #[test]
    fn what_came_before_the_end_is_still_heard() {
        let mut conn = conn(vec![Ok(framed("last")), Ok(vec![])]);
        conn.mark(true, true, true);
        assert_eq!(serve(&mut conn), Step::Frame(b"last".to_vec()));
        conn.ticket = Some(Ticket(1));
        assert_eq!(serve(&mut conn), Step::Rest(Served::Closed));
    }

    #[test]
    fn a_half_closed_peer_gets_its_answer() {
        let mut conn = conn(vec![Ok(framed("q")), Ok(vec![])]);
        assert_eq!(serve(&mut conn), Step::Frame(b"q".to_vec()));
        conn.answer(|out| out.extend(framed("a")));
        assert_eq!(serve(&mut conn), Step::Rest(Served::Closed));
        assert_eq!(conn.stream.written, framed("a"));
    }

    #[test]
    fn a_broken_pipe_closes() {
        let mut conn = conn(vec![]);
        conn.stream.accepts = VecDeque::from([Err(ErrorKind::BrokenPipe.into())]);
        conn.answer(|out| out.extend(framed("x")));
        assert_eq!(serve(&mut conn), Step::Rest(Served::Closed));
    }

    #[test]
    fn an_announced_frame_over_the_bound_is_told() {
        let mut conn = conn(vec![Ok(vec![0xff; 4])]);
        assert!(matches!(serve(&mut conn), Step::TooLarge(_)));
    }
}
