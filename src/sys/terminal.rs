//! A terminal that is drawn on: keys without a line around them, its size, and the signals that concern it. What was
//! there before is there again when the screen is dropped.

use super::descriptor::{check, pipe, read_now, set_nonblocking};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use std::io::{self, IsTerminal, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Another page of the terminal, and no cursor on it.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Those that would leave the terminal as it is, and the one that tells of another size.
const HEARD: [libc::c_int; 6] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP, libc::SIGWINCH];

/// Where the handler writes; -1 while nobody listens.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// What there is to react to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The time is over.
    Nothing,
    /// Somebody pressed a key.
    Key(u8),
    /// The terminal may have another size.
    Resized,
    /// It is to end.
    End,
    /// It was stopped, and goes on now.
    Resumed,
}

/// The terminal, drawn on.
#[derive(Debug)]
pub struct Screen {
    /// How the keyboard was set; `None` where stdin is none.
    saved: Option<Termios>,
    signals: OwnedFd,
    /// Held open for the handler.
    _wake: OwnedFd,
}

impl Screen {
    /// Takes over the terminal behind stdin and stdout. One at a time.
    pub fn open() -> io::Result<Screen> {
        let (signals, wake) = pipe()?;
        set_nonblocking(&signals)?;
        set_nonblocking(&wake)?;
        if WAKE.compare_exchange(-1, wake.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err(io::Error::other("the screen is taken already"));
        }
        let mut screen = Screen { saved: None, signals, _wake: wake };
        HEARD.into_iter().try_for_each(|signal| dispose(signal, on_signal as *const () as libc::sighandler_t))?;
        screen.enter()?;
        Ok(screen)
    }

    /// Columns and lines; 80 and 24 where nobody knows.
    pub fn size(&self) -> (usize, usize) {
        let mut size = MaybeUninit::<libc::winsize>::zeroed();
        // SAFETY: the kernel writes one winsize into memory that is one; zeroed is a valid winsize too.
        let size = unsafe {
            libc::ioctl(io::stdout().as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr());
            size.assume_init()
        };
        match (size.ws_col, size.ws_row) {
            (0, _) | (_, 0) => (80, 24),
            (columns, lines) => (columns.into(), lines.into()),
        }
    }

    /// Waits for a key, a signal, or until the time is over.
    pub fn wait(&mut self, time: Duration) -> io::Result<Heard> {
        let stdin = io::stdin();
        let mut asked = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if self.saved.is_some() {
            asked.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        // Rounded up, so that no time is left that nobody waits for.
        let millis = u16::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match poll(&mut asked, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let has_key = asked.get(1).is_some_and(|keys| keys.any().unwrap_or(true));
        match self.next_signal()? {
            Some(signal) => self.obey(signal),
            None if has_key => next_key(stdin.as_fd()),
            None => Ok(Heard::Nothing),
        }
    }

    fn next_signal(&self) -> io::Result<Option<libc::c_int>> {
        let mut byte = [0; 1];
        Ok(read_now(&self.signals, &mut byte)?.map(|_| libc::c_int::from(byte[0])))
    }

    fn obey(&mut self, signal: libc::c_int) -> io::Result<Heard> {
        match signal {
            libc::SIGWINCH => Ok(Heard::Resized),
            libc::SIGTSTP => {
                self.leave()?;
                // SAFETY: no pointer is involved; the process stops here and goes on after SIGCONT.
                check(unsafe { libc::raise(libc::SIGSTOP) })?;
                self.enter()?;
                Ok(Heard::Resumed)
            }
            _ => Ok(Heard::End),
        }
    }

    fn enter(&mut self) -> io::Result<()> {
        if io::stdin().is_terminal() {
            let saved = termios::tcgetattr(io::stdin())?;
            let mut bare = saved.clone();
            bare.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            bare.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
            bare.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
            termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &bare)?;
            self.saved = Some(saved);
        }
        write(ENTER)
    }

    fn leave(&mut self) -> io::Result<()> {
        let drawn = write(LEAVE);
        if let Some(saved) = self.saved.take() {
            termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &saved)?;
        }
        drawn
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing restored.
        let _ = self.leave();
        for signal in HEARD {
            let _ = dispose(signal, libc::SIG_DFL);
        }
        WAKE.store(-1, Ordering::SeqCst);
    }
}

/// The end of the keyboard is the end of who looks on.
fn next_key(stdin: BorrowedFd<'_>) -> io::Result<Heard> {
    let mut byte = [0; 1];
    match nix::unistd::read(stdin, &mut byte) {
        Ok(0) | Err(Errno::EIO) => Ok(Heard::End),
        Ok(_) => Ok(Heard::Key(byte[0])),
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(Heard::Nothing),
        Err(errno) => Err(errno.into()),
    }
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

fn dispose(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed sigaction is valid: no flags, an empty mask.
    let mut action = unsafe {
        libc::sigemptyset(&raw mut (*action.as_mut_ptr()).sa_mask);
        action.assume_init()
    };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is complete, and the handler is SIG_DFL or an async-signal-safe function.
    check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Only what a handler may do: an atomic, one write, and errno as it was before.
extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    let wake = WAKE.load(Ordering::SeqCst);
    if wake >= 0 {
        // SAFETY: one byte from the stack; a full pipe says EAGAIN, and then there is enough to react to already.
        unsafe { libc::write(wake, [number as u8].as_ptr().cast(), 1) };
    }
    Errno::set_raw(errno);
}
