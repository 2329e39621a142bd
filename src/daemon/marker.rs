//! `SUPERVICE_RUN`: what each child carries in its environment, and its descendants after it, so that a later daemon can
//! tell them from strangers.
//!
//! It has the form LIFE.SERIAL, where LIFE is PLACE-RANDOM: the place of the state file and the life of one daemon.
//! A child could change it, so it only ever confirms what the records say.

use crate::spec::{InstanceSpec, Reconcile};

/// The variable.
pub const VARIABLE: &str = "SUPERVICE_RUN";
const PLACE_LENGTH: usize = 16;
const LIFE_LENGTH: usize = PLACE_LENGTH + 1 + 16;

/// What becomes of a process whose daemon died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is stopped.
    Kill,
    /// It is told of.
    Warn,
    /// Nothing.
    Ignore,
}

impl Fate {
    /// The fate that a program was started with.
    pub fn of(reconcile: Reconcile, pdeathsig: bool) -> Fate {
        match reconcile {
            Reconcile::Kill => Fate::Kill,
            Reconcile::Auto if pdeathsig => Fate::Kill,
            Reconcile::Auto | Reconcile::Warn => Fate::Warn,
            Reconcile::Off => Fate::Ignore,
        }
    }

    fn letter(self) -> char {
        match self {
            Fate::Kill => 'k',
            Fate::Warn => 'w',
            Fate::Ignore => 'o',
        }
    }

    fn of_letter(letter: char) -> Option<Fate> {
        [Fate::Kill, Fate::Warn, Fate::Ignore].into_iter().find(|fate| fate.letter() == letter)
    }
}

/// The id of one daemon's life.
pub fn life(place: u64, random: u64) -> String {
    format!("{place:016x}-{random:016x}")
}

/// The value for one run. Its fate is part of it: a run that was never recorded has nothing else to go by.
pub fn run(life: &str, serial: u64, fate: Fate) -> String {
    format!("{life}.{serial}{}", fate.letter())
}

/// The value for a run of an instance.
pub fn of(life: &str, serial: u64, spec: &InstanceSpec) -> String {
    run(life, serial, Fate::of(spec.reconcile, spec.launch.pdeathsig))
}

/// A value, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The daemon's life.
    pub life: &'a str,
    /// Which of its runs; they are counted from one.
    pub serial: u64,
    /// What was to become of it.
    pub fate: Fate,
}

impl<'a> Run<'a> {
    /// Takes a value apart, if it is one of ours.
    pub fn parse(value: &'a str) -> Option<Run<'a>> {
        let (life, serial) = value.split_once('.')?;
        let (digits, letter) = serial.split_at_checked(serial.len().checked_sub(1)?)?;
        let hex = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (place, random) = life.split_once('-')?;
        let fits = life.len() == LIFE_LENGTH && hex(place) && hex(random);
        let serial = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let fate = Fate::of_letter(letter.chars().next()?)?;
        fits.then_some(Run { life, serial, fate })
    }

    /// Whether it comes from a daemon whose state file is in the same place as that of `life`.
    pub fn shares_place(&self, life: &str) -> bool {
        life.get(..PLACE_LENGTH) == self.life.get(..PLACE_LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_apart_as_it_was_put_together() {
        let life = life(7, u64::MAX);
        for fate in [Fate::Kill, Fate::Warn, Fate::Ignore] {
            let value = run(&life, 42, fate);
            assert_eq!(Run::parse(&value), Some(Run { life: &life, serial: 42, fate }));
        }
        assert!(Run::parse(&run(&life, 1, Fate::Kill)).unwrap().shares_place(&super::life(7, 1)));
        assert!(!Run::parse(&run(&life, 1, Fate::Kill)).unwrap().shares_place(&super::life(8, u64::MAX)));
    }

    #[test]
    fn other_values_are_nobodys() {
        let life = life(7, 7);
        let odd = [
            "",
            ".",
            "x.1k",
            &life,
            &format!("{life}."),
            &format!("{life}.k"),
            &format!("{life}.1"),
            &format!("{life}.1x"),
        ];
        for value in odd {
            assert_eq!(Run::parse(value), None, "{value}");
        }
        assert_eq!(Run::parse(&format!("{life}.1ü")), None);
        assert_eq!(Run::parse(&format!("{life}.{}k", "1".repeat(21))), None);
    }
}
