//! The service manager that started us, where one did: sd_notify(3), towards it. It is told and never waited for.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the service manager listens.
#[derive(Debug)]
pub struct Superior {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Superior {
    /// The one that `NOTIFY_SOCKET` names, if it names one.
    ///
    /// # Errors
    /// It names something that is no address here, or there is no socket to be had.
    pub fn from_environment() -> io::Result<Option<Superior>> {
        let value = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        if value.is_empty() { Ok(None) } else { Superior::at(&value).map(Some) }
    }

    fn at(value: &OsStr) -> io::Result<Superior> {
        let address = match value.as_bytes() {
            [b'@', name @ ..] => in_no_folder(name)?,
            [b'/', ..] => SocketAddr::from_pathname(value)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Superior { socket, address })
    }

    /// Tells it some `NAME=VALUE` lines, all or nothing.
    ///
    /// # Errors
    /// It is gone, or does not read what it is told.
    pub fn tell(&self, lines: &str) -> io::Result<()> {
        self.socket.send_to_addr(lines.as_bytes(), &self.address).map(drop)
    }
}

#[cfg(target_os = "linux")]
fn in_no_folder(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn in_no_folder(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no abstract sockets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_where_it_listens() {
        let folder = tempfile::Builder::new().prefix("sv-").tempdir_in("/tmp").unwrap();
        let path = folder.path().join("n");
        let ear = UnixDatagram::bind(&path).unwrap();
        Superior::at(path.as_os_str()).unwrap().tell("READY=1\nSTATUS=x").unwrap();
        let mut buffer = [0; 64];
        let length = ear.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=x");
    }

    #[test]
    fn one_that_does_not_read_holds_nobody_up() {
        let folder = tempfile::Builder::new().prefix("sv-").tempdir_in("/tmp").unwrap();
        let path = folder.path().join("n");
        let ear = UnixDatagram::bind(&path).unwrap();
        let superior = Superior::at(path.as_os_str()).unwrap();
        let full = (0..100_000).find_map(|_| superior.tell("WATCHDOG=1").err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(ear);
        assert_eq!(superior.tell("READY=1").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for value in ["vsock:2:1234", "relative", "@"] {
            // An abstract name may be empty, and then nobody listens there.
            let told = Superior::at(OsStr::new(value)).and_then(|superior| superior.tell("READY=1"));
            assert!(told.is_err(), "{value}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert!(Superior::at(OsStr::new(&long)).is_err());
    }
}
