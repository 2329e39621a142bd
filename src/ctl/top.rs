//! `top`: what the processes use, looked at once a second while somebody looks on; on a pipe one table, or as many as
//! were asked for.

mod meter;
mod picture;

use super::args::UsageError;
use super::asking::ask;
use super::complaint;
use super::hints::of_refusal;
use super::outcome::{Outcome, no_answer, refusal};
use super::style::{Style, is_dumb};
use crate::client::Client;
use crate::sys::clock;
use crate::sys::proc_table::{self, Snapshot};
use crate::sys::terminal::{Heard, Screen};
use crate::wire::picture::{Shown, line};
use crate::wire::{Request, StatusQuery};
use meter::Meter;
use picture::{Frame, Order};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Who looks on does not wait longer for one look.
const PATIENCE: Duration = Duration::from_secs(5);

/// Wider and higher than any screen.
const ENDLESS: usize = 1 << 20;

/// What is to be watched, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Top {
    /// The socket of the daemon.
    pub socket: PathBuf,
    /// For each look.
    pub timeout: Duration,
    /// Only these; `None`: all.
    pub names: Option<Vec<String>>,
    /// No screen, only tables.
    pub batch: bool,
    /// Ends after so many looks.
    pub count: Option<u64>,
    /// How to tell it.
    pub style: Style,
}

impl Top {
    /// Nobody can look at no pictures.
    pub(super) fn checked(self, misplaced: bool) -> Result<Top, UsageError> {
        if misplaced {
            return Err(UsageError("top takes no --force and no -f".to_owned()));
        }
        if self.count == Some(0) {
            return Err(UsageError("top: -n takes a number of pictures above 0".to_owned()));
        }
        Ok(self)
    }

    /// Shows what is asked for, until it is shown, or until somebody has seen enough.
    pub(super) fn show(&self) -> Outcome {
        let on_screen = io::stdout().is_terminal() && !is_dumb() && !self.batch && !self.style.json;
        let mut view = View { top: self, meter: Meter::default(), rows: Vec::new(), order: Order::Given, seen: 0 };
        let shown = if on_screen { view.on_screen() } else { view.on_paper() };
        match shown {
            Ok(()) => Outcome::done(String::new()),
            Err(Trouble::Told(outcome)) => outcome,
            // A reader that has seen enough is no failure.
            Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::done(String::new()),
            Err(Trouble::Io(error)) => Outcome::failed(format!("Cannot write: {error}\n")),
        }
    }
}

/// Why there is no further look.
enum Trouble {
    Told(Outcome),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

/// One who looks on.
struct View<'a> {
    top: &'a Top,
    meter: Meter,
    rows: Vec<Shown>,
    order: Order,
    seen: u64,
}

impl View<'_> {
    /// Each table is about the second before it.
    fn on_paper(&mut self) -> Result<(), Trouble> {
        let on_and_on = self.top.batch || (io::stdout().is_terminal() && !self.top.style.json);
        let count = self.top.count.unwrap_or(if on_and_on { u64::MAX } else { 1 });
        self.look()?;
        for number in 0..count {
            clock::pause(EVERY);
            self.look()?;
            let mut out = io::stdout().lock();
            if self.top.style.json {
                out.write_all(line(&self.rows).as_bytes())?;
            } else {
                let coloured = self.top.style.colour.applies(io::stdout().is_terminal());
                let frame = Frame { columns: ENDLESS, lines: ENDLESS, coloured, keys: false };
                let lines = picture::draw(&self.rows, frame).join("\n");
                let gap = if number > 0 { "\n" } else { "" };
                out.write_all(format!("{gap}{lines}\n").as_bytes())?;
            }
            out.flush()?;
        }
        Ok(())
    }

    /// The screen is left before anything else is told.
    fn on_screen(&mut self) -> Result<(), Trouble> {
        self.look()?;
        let mut screen = Screen::open()?;
        self.watch(&mut screen)
    }

    fn watch(&mut self, screen: &mut Screen) -> Result<(), Trouble> {
        let mut next = clock::after(EVERY);
        loop {
            self.draw(screen)?;
            if self.top.count.is_some_and(|count| self.seen >= count) {
                return Ok(());
            }
            match screen.wait(clock::until(next))? {
                Heard::End | Heard::Key(b'q') => return Ok(()),
                Heard::Key(key) => self.order = chosen(key).unwrap_or(self.order),
                Heard::Resized | Heard::Resumed | Heard::Nothing => {}
            }
            if clock::until(next).is_zero() {
                self.look()?;
                next = clock::after(EVERY);
            }
        }
    }

    /// Asks the daemon who there is, and the kernel what they use.
    fn look(&mut self) -> Result<(), Trouble> {
        let query = StatusQuery { names: self.top.names.clone(), verbose: true, ..StatusQuery::default() };
        let client = Client::new(&self.top.socket, self.top.timeout.min(PATIENCE));
        let request = Request::Status(query);
        let asked = ask(&client, &request);
        let (answer, frame) = asked.map_err(|error| Trouble::Told(no_answer(&error, self.top.style)))?;
        if !answer.is_ok() && self.top.style.json {
            let told = Outcome::done(crate::wire::told::line(&frame));
            return Err(Trouble::Told(Outcome { code: refusal(&answer), ..told }));
        }
        if !answer.is_ok() {
            let near = of_refusal(&client, &request, &answer);
            let told = Outcome::failed(complaint(&answer) + &near);
            return Err(Trouble::Told(Outcome { code: refusal(&answer), ..told }));
        }
        // Without /proc there is nothing to measure, but still somebody to show.
        let seen = proc_table::snapshot(&Meter::groups(&answer.processes)).unwrap_or_else(|_| Snapshot::empty());
        self.rows = self.meter.measure(&answer.processes, &seen);
        self.seen += 1;
        Ok(())
    }

    fn draw(&mut self, screen: &Screen) -> Result<(), Trouble> {
        let (columns, lines) = screen.size();
        let coloured = self.top.style.colour.applies(true);
        let mut rows = self.rows.clone();
        picture::sort(&mut rows, self.order);
        let drawn = picture::draw(&rows, Frame { columns, lines, coloured, keys: true });
        // Drawn over what is there, so that nothing flickers; the rest of each line and of the screen is wiped.
        let text = format!("\x1b[H{}\x1b[K\x1b[J", drawn.join("\x1b[K\r\n"));
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

/// Only small letters: large ones are also the ends of what arrows and function keys send.
fn chosen(key: u8) -> Option<Order> {
    match key {
        b'c' => Some(Order::Cpu),
        b'm' => Some(Order::Memory),
        b'n' => Some(Order::Name),
        b'g' => Some(Order::Given),
        _ => None,
    }
}
