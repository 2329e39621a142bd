//! Frames: four bytes of big-endian length, then that many bytes. Cuts a stream of bytes into them.
//!
//! Memory grows with the bytes that came, never with the length that was announced. How fast bytes are pushed, and
//! for how long an unfinished frame may wait, is the reader's business.

use std::fmt;

/// The longest body of a frame.
pub const MAX_FRAME: usize = 1 << 20;

const HEADER: usize = 4;

/// An idle decoder keeps no more than this.
const IDLE_CAPACITY: usize = 4 << 10;

/// A frame above [`MAX_FRAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// How long it is, or says it would be.
    pub length: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message too large: {} bytes (max {MAX_FRAME})", self.length)
    }
}

impl std::error::Error for TooLarge {}

/// Takes bytes as they come and gives back whole frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// So many bytes of `buffer` were given back already.
    start: usize,
    dead: bool,
}

impl Decoder {
    /// Empty, and without memory of its own.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Adds bytes as they came. A dead decoder drops them.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.dead {
            return;
        }
        // Moving what is left only once it is the smaller half keeps many small frames linear.
        if self.start > 0 && self.start >= self.buffer.len() - self.start {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The body of the next whole frame. One above the bound is an error, once; the decoder is dead from then on.
    pub fn pull(&mut self) -> Option<Result<Vec<u8>, TooLarge>> {
        let length = self.announced()?;
        if length > MAX_FRAME {
            self.dead = true;
            self.release();
            return Some(Err(TooLarge { length }));
        }
        if self.buffered() < HEADER + length {
            return None;
        }
        let body = self.start + HEADER;
        if self.buffered() == HEADER + length && length > IDLE_CAPACITY {
            // A large one that stands alone is given away as it lies here.
            let mut frame = std::mem::take(&mut self.buffer);
            frame.drain(..body);
            self.start = 0;
            return Some(Ok(frame));
        }
        let frame = self.buffer[body..body + length].to_vec();
        self.start = body + length;
        if self.start == self.buffer.len() {
            self.release();
        }
        Some(Ok(frame))
    }

    /// Bytes that wait here, headers included.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// A frame has begun and is not whole yet. While its peer is not read from, that is not the peer's fault.
    pub fn has_partial(&self) -> bool {
        self.buffered() > 0 && self.announced().is_none_or(|length| self.buffered() < HEADER + length)
    }

    /// A frame above the bound came; there is no way to find the next one.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    fn announced(&self) -> Option<usize> {
        let header = self.buffer[self.start..].first_chunk::<HEADER>()?;
        Some(u32::from_be_bytes(*header) as usize)
    }

    fn release(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(if self.dead { 0 } else { IDLE_CAPACITY });
        self.start = 0;
    }
}

/// Appends `body` to `out` as one frame; leaves `out` alone if it is too long for one.
pub fn encode_frame(body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    out.extend_from_slice(&header(body.len())?);
    out.extend_from_slice(body);
    Ok(())
}

/// The header of a body of this length.
pub(super) fn header(length: usize) -> Result<[u8; HEADER], TooLarge> {
    match u32::try_from(length) {
        Ok(announced) if length <= MAX_FRAME => Ok(announced.to_be_bytes()),
        _ => Err(TooLarge { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for body in bodies {
            encode_frame(body, &mut bytes).unwrap();
        }
        bytes
    }

    fn drain(decoder: &mut Decoder, into: &mut Vec<Vec<u8>>) {
        while let Some(frame) = decoder.pull() {
            into.push(frame.unwrap());
        }
    }

    /// xorshift: cuts that look random and are the same in each run.
    fn next(seed: &mut u64) -> usize {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 33) as usize
    }

    #[test]
    fn frames_come_out_the_same_however_the_bytes_are_cut() {
        let long = vec![b'x'; 70_000];
        let bodies: [&[u8]; 6] = [b"{}", b"", b"", &long, b"[1,2]", b"\0\0\0\xff"];
        let bytes = framed(&bodies);
        for seed in 1..200u64 {
            let (mut decoder, mut frames, mut rest) = (Decoder::new(), Vec::new(), &bytes[..]);
            let mut state = seed * 0x9e37_79b9;
            while !rest.is_empty() {
                let widest = [3, 40, 5_000, 200_000][seed as usize % 4];
                let cut = (1 + next(&mut state) % widest).min(rest.len());
                decoder.push(&rest[..cut]);
                rest = &rest[cut..];
                // Pulling at odd moments must not matter either.
                if next(&mut state).is_multiple_of(3) {
                    drain(&mut decoder, &mut frames);
                }
            }
            drain(&mut decoder, &mut frames);
            assert_eq!(frames, bodies.map(<[u8]>::to_vec), "seed {seed}");
            assert_eq!((decoder.buffered(), decoder.has_partial()), (0, false));
        }
    }

    #[test]
    fn one_byte_at_a_time() {
        let bytes = framed(&[b"abc", b"", b"de"]);
        let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
        for byte in &bytes {
            decoder.push(std::slice::from_ref(byte));
            drain(&mut decoder, &mut frames);
        }
        assert_eq!(frames, [b"abc".to_vec(), b"".to_vec(), b"de".to_vec()]);
    }

    #[test]
    fn a_frame_is_partial_from_its_first_byte_to_its_last_but_one() {
        let bytes = framed(&[b"abc"]);
        let mut decoder = Decoder::new();
        assert!(!decoder.has_partial());
        for byte in &bytes[..bytes.len() - 1] {
            decoder.push(std::slice::from_ref(byte));
            assert!(decoder.has_partial());
            assert_eq!(decoder.pull(), None);
        }
        decoder.push(&bytes[bytes.len() - 1..]);
        assert!(!decoder.has_partial());
        assert_eq!(decoder.pull(), Some(Ok(b"abc".to_vec())));
    }

    #[test]
    fn the_longest_frame_passes_and_one_byte_more_is_refused_once() {
        let mut decoder = Decoder::new();
        decoder.push(&framed(&[&vec![7; MAX_FRAME]]));
        assert_eq!(decoder.pull().unwrap().unwrap().len(), MAX_FRAME);
        assert!(decoder.buffer.capacity() <= IDLE_CAPACITY, "{}", decoder.buffer.capacity());

        decoder.push(&[0, 16, 0, 1]);
        let refusal = decoder.pull().unwrap().unwrap_err();
        assert_eq!(refusal.to_string(), "Message too large: 1048577 bytes (max 1048576)");
        assert!(decoder.is_dead());
        decoder.push(&framed(&[b"{}"]));
        assert_eq!((decoder.pull(), decoder.buffered(), decoder.has_partial()), (None, 0, false));
    }

    #[test]
    fn an_announced_length_costs_nothing() {
        let mut decoder = Decoder::new();
        decoder.push(&[0, 16, 0, 0, b'{']);
        assert_eq!(decoder.pull(), None);
        assert!(decoder.buffer.capacity() < 100);
        let mut greedy = Decoder::new();
        greedy.push(&[0xff; 5]);
        assert_eq!(greedy.pull(), Some(Err(TooLarge { length: 0xffff_ffff })));
    }

    #[test]
    fn what_was_given_back_is_not_kept_however_long_the_stream() {
        let mut decoder = Decoder::new();
        let bytes = framed(&[&[7; 996]]);
        decoder.push(&bytes[..500]);
        // Never empty at the end of a push: half a frame always waits.
        for _ in 0..1000 {
            decoder.push(&bytes[500..]);
            decoder.push(&bytes[..500]);
            assert_eq!(decoder.pull().unwrap().unwrap().len(), 996);
            assert_eq!(decoder.buffered(), 500);
        }
        assert!(decoder.buffer.capacity() < 8 * bytes.len(), "{}", decoder.buffer.capacity());
    }

    #[test]
    fn what_is_too_long_is_not_encoded() {
        let mut out = b"before".to_vec();
        assert_eq!(encode_frame(&vec![0; MAX_FRAME + 1], &mut out), Err(TooLarge { length: MAX_FRAME + 1 }));
        assert_eq!(out, b"before");
    }
}
