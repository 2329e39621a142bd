//! Addresses of hosts: what is an address already, what was looked up within the interval, or an answer to come.

use super::super::source;
use crate::engine::id::Key;
use crate::engine::time::{Duration, Instant};
use crate::reactor::Reactor;
use crate::reactor::source::Kind;
use crate::sys::resolve::{Answer, Resolver};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// Beyond so many names, those that are out of date are forgotten.
const KNOWN_MAX: usize = 1024;

/// The addresses of a host.
pub(super) enum Lookup {
    /// With port 0.
    Known(Vec<SocketAddr>),
    /// The answer comes as an event.
    Asked,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

/// Hosts by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    resolver: Option<Resolver>,
    known: HashMap<String, Known>,
    asked: HashSet<String>,
}

impl Names {
    /// What is known of `host`; asks where nothing is.
    pub(super) fn look_up(&mut self, host: &str, now: Instant, reactor: &Reactor) -> io::Result<Lookup> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Lookup::Known(vec![SocketAddr::new(address, 0)]));
        }
        if let Some(known) = self.known.get(host).filter(|known| now < known.until) {
            return Ok(Lookup::Known(known.addresses.clone()));
        }
        if !self.asked.contains(host) {
            self.resolver(reactor)?.ask(host)?;
            self.asked.insert(host.to_owned());
        }
        Ok(Lookup::Asked)
    }

    /// What was answered since.
    pub(super) fn answers(&mut self) -> io::Result<Vec<Answer>> {
        let Some(resolver) = &self.resolver else { return Ok(Vec::new()) };
        let answers = resolver.answers()?;
        for answer in &answers {
            self.asked.remove(&answer.host);
        }
        Ok(answers)
    }

    /// Keeps the addresses of a host for an interval of whoever asked.
    pub(super) fn keep(&mut self, host: &str, addresses: &[SocketAddr], now: Instant, interval: Duration) {
        if self.known.len() >= KNOWN_MAX {
            self.known.retain(|_, known| now < known.until);
        }
        if self.known.len() < KNOWN_MAX {
            let known = Known { addresses: addresses.to_vec(), until: now + interval };
            self.known.insert(host.to_owned(), known);
        }
    }

    fn resolver(&mut self, reactor: &Reactor) -> io::Result<&Resolver> {
        let resolver = match self.resolver.take() {
            Some(resolver) => resolver,
            None => {
                let resolver = Resolver::new()?;
                reactor.watch(resolver.as_raw_fd(), source(Kind::Names, Key { slot: 0, generation: 0 }))?;
                resolver
            }
        };
        Ok(self.resolver.insert(resolver))
    }
}
