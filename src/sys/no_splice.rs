//! The twin of `pipe` where bytes cannot be moved between descriptors: everything is read and written.

use super::log_file::LogFile;
use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

/// What is not needed here.
#[derive(Debug, Default)]
pub struct Spyglass {}

/// A pipe whose bytes could be moved; there is none.
#[derive(Debug)]
pub struct Pipe<'a> {
    never: Infallible,
    of: PhantomData<&'a Spyglass>,
}

impl<'a> Pipe<'a> {
    /// Always none.
    pub fn new(_fd: BorrowedFd<'a>, _spyglass: &'a mut Spyglass) -> Option<Pipe<'a>> {
        None
    }

    /// There is no pipe that could be asked.
    pub fn waiting(&mut self) -> io::Result<usize> {
        match self.never {}
    }

    /// There is no pipe to look into.
    pub fn peek(&mut self, _most: usize) -> io::Result<&[u8]> {
        match self.never {}
    }

    /// There is no pipe to move from.
    pub fn move_into(&mut self, _file: &mut LogFile, _length: usize) -> io::Result<usize> {
        match self.never {}
    }
}

/// Always `Unsupported`.
pub fn capacity(_pipe: &impl AsFd) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Always `Unsupported`.
pub fn set_capacity(_pipe: &impl AsFd, _size: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
