//! The socket on which programs say of themselves that they are ready (sd_notify(3)), and who it was that said so. It
//! needs credentials with each datagram, as Linux has them.

use super::trusted_folder::{FileId, kind_of};
use super::user::effective_uid;
use crate::engine::message::Pid;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A datagram, in the buffer of whoever received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    /// Who sent it, as the kernel says.
    pub sender: Pid,
    /// How much of the buffer it takes.
    pub length: usize,
    /// It was longer than the buffer.
    pub is_cut: bool,
}

/// A datagram socket at its path.
#[derive(Debug)]
pub struct NotifySocket {
    fd: OwnedFd,
    path: PathBuf,
    id: FileId,
    open_to_others: bool,
}

impl NotifySocket {
    /// Binds at `path`. A dead socket there is replaced if it is ours or root's; nobody else may be there.
    ///
    /// # Errors
    /// What the kernel says, or what is in the way.
    pub fn bind(path: &Path) -> io::Result<NotifySocket> {
        make_room(path)?;
        let fd = bound_at(path)?;
        let id = FileId::at(path)?.ok_or(io::ErrorKind::NotFound)?;
        let socket = NotifySocket { fd, path: path.to_owned(), id, open_to_others: false };
        socket.set_mode(0o600)?;
        Ok(socket)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to it.
    ///
    /// # Errors
    /// What the kernel says; nobody knows then.
    pub fn is_in_place(&self) -> io::Result<bool> {
        Ok(FileId::at(&self.path)? == Some(self.id))
    }

    /// Whether programs of other users may write to it.
    pub fn is_open_to_others(&self) -> bool {
        self.open_to_others
    }

    /// Lets programs of other users write to it, or no longer.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open_to_others(&mut self, open: bool) -> io::Result<()> {
        if open != self.open_to_others {
            self.set_mode(if open { 0o622 } else { 0o600 })?;
            self.open_to_others = open;
        }
        Ok(())
    }

    /// The next datagram; `None` if there is none now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Letter>> {
        loop {
            match receive(self.fd.as_raw_fd(), buffer) {
                Ok(letter) => return Ok(Some(letter)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes it from its path, unless something else is there by now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self) -> io::Result<()> {
        if self.is_in_place()? { std::fs::remove_file(&self.path) } else { Ok(()) }
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        std::fs::set_permissions(&self.path, PermissionsExt::from_mode(mode))
    }
}

impl AsRawFd for NotifySocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// The process group of a process that is there, be it a zombie.
pub fn group_of(pid: Pid) -> Option<Pid> {
    if pid <= 0 {
        return None;
    }
    nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).ok().map(nix::unistd::Pid::as_raw)
}

/// The caller holds the control socket beside it, so no living daemon's is taken away.
fn make_room(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other(format!("{} is there, which is not replaced", kind_of(found.file_type()))));
    }
    if found.uid() != effective_uid() && found.uid() != 0 {
        return Err(io::Error::other(format!("a socket of uid {} is there", found.uid())));
    }
    std::fs::remove_file(path)
}

#[cfg(target_os = "linux")]
fn bound_at(path: &Path) -> io::Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::PassCred, &true)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

#[cfg(not(target_os = "linux"))]
fn bound_at(_path: &Path) -> io::Result<OwnedFd> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not say who sent a datagram"))
}

#[cfg(target_os = "linux")]
fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<Letter> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // Room for the credentials and nothing else: descriptors that come along are dropped by the kernel and never ours to
    // close, which a file system of the sender could make last.
    let mut control = [0_u64; 4];
    // SAFETY: computes a length from a length.
    let room = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) } as usize;
    // SAFETY: zeroed is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = room.min(size_of_val(&control)) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header names one buffer and one control buffer, both valid for writes of the lengths it tells.
    let length = unsafe { libc::recvmsg(fd, &mut header, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok(Letter { sender: sender(&header), length, is_cut: header.msg_flags & libc::MSG_TRUNC != 0 })
}

#[cfg(not(target_os = "linux"))]
fn receive(_fd: RawFd, _buffer: &mut [u8]) -> io::Result<Letter> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The pid in the credentials of a received message; 0, which is nobody's, if there are none.
#[cfg(target_os = "linux")]
fn sender(header: &libc::msghdr) -> Pid {
    // SAFETY: the kernel filled the control buffer that the header names, and its length.
    let first = unsafe { libc::CMSG_FIRSTHDR(header) };
    if first.is_null() {
        return 0;
    }
    // SAFETY: a first header that is not null lies in the control buffer, which is aligned for it.
    let told = unsafe { &*first };
    // SAFETY: computes a length from a length.
    let least = unsafe { libc::CMSG_LEN(size_of::<libc::ucred>() as u32) } as usize;
    if told.cmsg_level != libc::SOL_SOCKET
        || told.cmsg_type != libc::SCM_CREDENTIALS
        || (told.cmsg_len as usize) < least
    {
        return 0;
    }
    // SAFETY: its length says that it holds credentials, wherever they are aligned.
    unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(first).cast::<libc::ucred>()) }.pid
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn socket() -> (tempfile::TempDir, NotifySocket, UnixDatagram) {
        let folder = tempfile::Builder::new().prefix("sv-").tempdir_in("/tmp").unwrap();
        let socket = NotifySocket::bind(&folder.path().join("n")).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(socket.path()).unwrap();
        (folder, socket, sender)
    }

    #[test]
    fn a_letter_comes_with_its_sender() {
        let (_folder, socket, sender) = socket();
        let mut buffer = [0; 64];
        assert_eq!(socket.receive(&mut buffer).unwrap(), None);
        sender.send(b"READY=1").unwrap();
        let own = nix::unistd::getpid().as_raw();
        let letter = Letter { sender: own, length: 7, is_cut: false };
        assert_eq!(socket.receive(&mut buffer).unwrap(), Some(letter));
        assert_eq!(&buffer[..7], b"READY=1");
        assert_eq!(group_of(own), Some(nix::unistd::getpgrp().as_raw()));
    }

    #[test]
    fn empty_and_oversized_letters_are_survived() {
        let (_folder, socket, sender) = socket();
        sender.send(b"").unwrap();
        sender.send(&[b'x'; 100]).unwrap();
        let mut buffer = [0; 64];
        let letter = socket.receive(&mut buffer).unwrap().unwrap();
        assert_eq!((letter.length, letter.is_cut), (0, false));
        let letter = socket.receive(&mut buffer).unwrap().unwrap();
        assert_eq!((letter.length, letter.is_cut), (64, true));
        assert_eq!(socket.receive(&mut buffer).unwrap(), None);
    }

    #[test]
    fn descriptors_that_come_along_are_let_go_at_once() {
        use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
        let (_folder, socket, sender) = socket();
        let (read, write) = super::super::descriptor::pipe().unwrap();
        let rights = [write.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&rights)];
        let bytes = [io::IoSlice::new(b"BARRIER=1")];
        sendmsg::<()>(sender.as_raw_fd(), &bytes, &message, MsgFlags::empty(), None).unwrap();
        drop(write);
        let letter = socket.receive(&mut [0; 64]).unwrap().unwrap();
        assert_eq!((letter.sender, letter.length), (nix::unistd::getpid().as_raw(), 9));
        // The writing end is nowhere any more.
        assert_eq!(super::super::descriptor::read_now(&read, &mut [0]).unwrap(), Some(0));
    }

    #[test]
    fn it_is_private_until_it_is_opened() {
        let (_folder, mut socket, _sender) = socket();
        let mode = |socket: &NotifySocket| std::fs::metadata(socket.path()).unwrap().mode() & 0o777;
        assert_eq!(mode(&socket), 0o600);
        socket.open_to_others(true).unwrap();
        assert_eq!(mode(&socket), 0o622);
        socket.open_to_others(false).unwrap();
        assert_eq!(mode(&socket), 0o600);
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let (folder, socket, _sender) = socket();
        let path = socket.path().to_owned();
        drop(socket);
        let again = NotifySocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!again.is_in_place().unwrap());
        std::fs::write(&path, "somebody's").unwrap();
        let told = NotifySocket::bind(&path).unwrap_err().to_string();
        assert_eq!(told, "a regular file is there, which is not replaced");
        again.remove().unwrap();
        assert!(path.exists() && folder.path().exists());
    }
}
