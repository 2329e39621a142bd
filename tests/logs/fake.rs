//! A pretended file system in memory that fails any call it is told to.

use crate::dice::Dice;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use supervice::logs::place::{Flow, Place};
use supervice::sys::files::{FileIdentity, FileKind};
use supervice::sys::log_file::{Facts, OpenError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Open,
    Enter,
    Look,
    Shift,
    Create,
    Write,
    Truncate,
    Facts,
    Append,
    Waiting,
    Peek,
    Move,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and does nothing.
    Refused,
    /// It is done, but said to have failed, as network file systems do.
    DoneButDenied,
}

/// Which calls fail.
pub enum Plan {
    Never,
    /// The one with this number.
    Nth(u64, Fault),
    /// All from this number on.
    From(u64),
    /// One in so many.
    Randomly(Dice, u64),
}

const ENOSPC: i32 = 28;
const EINVAL: i32 = 22;
const EAGAIN: i32 = 11;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EINTR: i32 = 4;
const EDQUOT: i32 = 122;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

#[derive(Default)]
pub struct Files {
    /// Backup number to inode.
    pub names: BTreeMap<u32, usize>,
    pub inodes: Vec<Vec<u8>>,
    /// Files that grew while nobody could rotate.
    pub excused: Vec<usize>,
    /// What stood in files that were started over.
    pub tape: Vec<u8>,
    pub calls: u64,
    pub trace: Vec<Call>,
    /// Files that are not appended to, and where they are written next.
    pub blind: BTreeMap<usize, usize>,
    /// With this number each move out of a pipe is forbidden, as by a sandbox.
    pub forbids_moves: Option<i32>,
}

pub struct Disk {
    pub files: RefCell<Files>,
    pub plan: RefCell<Plan>,
}

#[derive(Clone)]
pub struct FakePlace(pub Rc<Disk>);

impl FakePlace {
    pub fn new(plan: Plan) -> FakePlace {
        FakePlace(Rc::new(Disk { files: RefCell::default(), plan: RefCell::new(plan) }))
    }

    pub fn set_plan(&self, plan: Plan) {
        *self.0.plan.borrow_mut() = plan;
    }

    pub fn calls(&self) -> u64 {
        self.0.files.borrow().calls
    }

    /// The kept files, from the oldest to the live one.
    pub fn kept(&self) -> Vec<(u32, usize, Vec<u8>)> {
        let files = self.0.files.borrow();
        files.names.iter().rev().map(|(name, inode)| (*name, *inode, files.inodes[*inode].clone())).collect()
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        let mut files = self.0.files.borrow_mut();
        files.calls += 1;
        files.trace.push(call);
        match &mut *self.0.plan.borrow_mut() {
            Plan::Never => None,
            Plan::Nth(number, fault) => (files.calls == *number).then_some(*fault),
            Plan::From(number) => (files.calls >= *number).then_some(Fault::Refused),
            Plan::Randomly(random, many) => {
                let fault = if random.one_in(4) { Fault::DoneButDenied } else { Fault::Refused };
                random.one_in(*many).then_some(fault)
            }
        }
    }

    fn errno(&self, choices: &[i32]) -> io::Error {
        let calls = self.0.files.borrow().calls as usize;
        io::Error::from_raw_os_error(choices[calls % choices.len()])
    }

    fn new_inode(&self) -> usize {
        let mut files = self.0.files.borrow_mut();
        files.inodes.push(Vec::new());
        let inode = files.inodes.len() - 1;
        files.names.insert(0, inode);
        inode
    }

    /// At the end, or for a file that is written blindly where its writer stands.
    fn put(&self, file: usize, bytes: &[u8]) {
        let mut files = self.0.files.borrow_mut();
        if let Some(at) = files.blind.get(&file).copied() {
            assert_eq!(at, files.inodes[file].len(), "written neither over others' bytes nor beyond the end");
            files.blind.insert(file, at + bytes.len());
        }
        files.inodes[file].extend_from_slice(bytes);
        files.tape.extend_from_slice(bytes);
    }

    fn check_name(&self) -> io::Result<()> {
        let taken = self.0.files.borrow().names.contains_key(&0);
        if taken { Err(io::Error::from_raw_os_error(EEXIST)) } else { Ok(()) }
    }
}

fn system(errno: i32) -> OpenError {
    OpenError::System { path: "fake".into(), errno, user: None }
}

impl Place for FakePlace {
    type File = usize;

    fn path(&self) -> &Path {
        Path::new("fake")
    }

    fn open(&mut self) -> Result<usize, OpenError> {
        let fault = self.fault(Call::Open);
        let there = self.0.files.borrow().names.get(&0).copied();
        let opened = || there.unwrap_or_else(|| self.new_inode());
        match fault {
            None => Ok(opened()),
            Some(Fault::Refused) => Err(system(ENOENT)),
            Some(Fault::DoneButDenied) => {
                opened();
                Err(system(EIO))
            }
        }
    }

    fn enter(&mut self) -> Result<(), OpenError> {
        if self.fault(Call::Enter).is_some() { Err(system(ENOENT)) } else { Ok(()) }
    }

    fn leave(&mut self) {}

    fn look(&mut self, backup: u32) -> io::Result<Option<(FileKind, FileIdentity)>> {
        if self.fault(Call::Look).is_some() {
            return Err(self.errno(&[EIO, EACCES]));
        }
        let found = self.0.files.borrow().names.get(&backup).copied();
        Ok(found.map(|inode| (FileKind::Regular, FileIdentity { device: 1, inode: inode as u64 })))
    }

    fn shift(&mut self, from: u32) -> io::Result<()> {
        let fault = self.fault(Call::Shift);
        if fault == Some(Fault::Refused) {
            return Err(self.errno(&[EIO, ENOSPC, EACCES]));
        }
        let mut files = self.0.files.borrow_mut();
        let inode = files.names.remove(&from).ok_or_else(|| io::Error::from_raw_os_error(ENOENT))?;
        files.names.insert(from + 1, inode);
        if fault.is_some() { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    fn create(&mut self) -> io::Result<usize> {
        match self.fault(Call::Create) {
            Some(Fault::Refused) => Err(self.errno(&[ENOSPC, EDQUOT, EACCES])),
            Some(Fault::DoneButDenied) => {
                self.check_name()?;
                self.new_inode();
                Err(io::Error::from_raw_os_error(EIO))
            }
            None => {
                self.check_name()?;
                Ok(self.new_inode())
            }
        }
    }

    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "an empty write asks for nothing");
        let taken = match self.fault(Call::Write) {
            Some(Fault::Refused) => return Err(self.errno(&[ENOSPC, EIO, EDQUOT, EINTR])),
            // A part of it fits.
            Some(Fault::DoneButDenied) => bytes.len().div_ceil(2),
            None => bytes.len(),
        };
        self.put(*file, &bytes[..taken]);
        Ok(taken)
    }

    fn truncate(&mut self, file: &mut usize) -> io::Result<()> {
        let fault = self.fault(Call::Truncate);
        if fault != Some(Fault::Refused) {
            let mut files = self.0.files.borrow_mut();
            files.inodes[*file].clear();
            files.blind.entry(*file).and_modify(|at| *at = 0);
        }
        if fault.is_some() { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    fn set_appending(&mut self, file: &mut usize, appending: bool) -> io::Result<()> {
        if self.fault(Call::Append).is_some() {
            return Err(self.errno(&[EIO, EACCES]));
        }
        let mut files = self.0.files.borrow_mut();
        let end = files.inodes[*file].len();
        if appending {
            files.blind.remove(file);
        } else {
            files.blind.insert(*file, end);
        }
        Ok(())
    }

    fn last_byte(&mut self, file: &usize) -> io::Result<Option<u8>> {
        if self.fault(Call::Look).is_some() {
            return Err(self.errno(&[EIO, EACCES]));
        }
        Ok(self.0.files.borrow().inodes[*file].last().copied())
    }

    fn facts(&mut self, file: &usize) -> io::Result<Option<Facts>> {
        if self.fault(Call::Facts).is_some() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let files = self.0.files.borrow();
        let links = files.names.values().filter(|inode| *inode == file).count() as u64;
        let identity = FileIdentity { device: 1, inode: *file as u64 };
        Ok(Some(Facts { size: files.inodes[*file].len() as u64, links, identity }))
    }
}

/// A pretended pipe on the same disk.
pub struct FakeFlow<'a> {
    pub place: FakePlace,
    pub bytes: &'a mut Vec<u8>,
}

impl Flow<usize> for FakeFlow<'_> {
    fn waiting(&mut self) -> io::Result<usize> {
        if self.place.fault(Call::Waiting).is_some() {
            return Err(self.place.errno(&[EIO, EINVAL]));
        }
        Ok(self.bytes.len())
    }

    fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        match self.place.fault(Call::Peek) {
            Some(Fault::Refused) => Err(self.place.errno(&[EIO, EAGAIN])),
            // The kernel shows less where there are many small pieces.
            Some(Fault::DoneButDenied) => Ok(&self.bytes[..self.bytes.len().min(most).div_ceil(2)]),
            None => Ok(&self.bytes[..self.bytes.len().min(most)]),
        }
    }

    fn move_into(&mut self, file: &mut usize, length: usize) -> io::Result<usize> {
        assert!(length > 0, "a move of nothing asks for nothing");
        if let Some(errno) = self.place.0.files.borrow().forbids_moves {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let length = length.min(self.bytes.len());
        let moved = match self.place.fault(Call::Move) {
            Some(Fault::Refused) => return Err(self.place.errno(&[ENOSPC, EIO, EDQUOT, EINTR, EINVAL, EAGAIN])),
            Some(Fault::DoneButDenied) => length.div_ceil(2),
            None => length,
        };
        let taken: Vec<u8> = self.bytes.drain(..moved).collect();
        self.place.put(*file, &taken);
        Ok(moved)
    }
}
