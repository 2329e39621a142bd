//! The control socket: accepting, serving, and the bounds on clients that are slow, silent, half-gone or hostile.

mod doors;

use super::doorkeeper::{Doorkeeper, Guest};
use super::events::Listening;
use super::readers::Follow;
use super::{Alarm, Daemon, source};
use crate::engine::id::{Key, Stamp, Ticket};
use crate::engine::message::Input;
use crate::engine::slots::Slots;
use crate::engine::time::Duration;
use crate::reactor::Mark;
use crate::reactor::conn::{Conn, READ_BUDGET, Step};
use crate::reactor::ready::{ReadyList, Served};
use crate::reactor::source::{Kind, SourceId};
use crate::spec::Role;
use crate::sys::inotify::PathWatch;
use crate::sys::socket::BoundSocket;
use crate::wire::reply::{ErrorCode, Reply};
use crate::wire::request::Id;
use crate::wire::{Chunk, EventPiece};
use mio::Interest;
use mio::net::{UnixListener, UnixStream};
use std::io::{self, ErrorKind};
use std::net::Shutdown;

/// One more closes the one idle longest.
const CONNECTIONS_MAX: usize = 256;
/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 16;
/// So many connections stay, even idle ones, when descriptors are short.
const IDLE_KEPT: usize = 8;
/// Requests answered on one connection in one turn.
const REQUESTS_PER_TURN: usize = 16;
/// Connections of one user who may not order.
const CROWD_MAX: usize = 8;
/// For the rest of a frame.
const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// For a reply to be read.
const REPLY_DEADLINE: Duration = Duration::from_secs(30);
/// Until accepting is tried again when descriptors are short.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
struct Peer {
    conn: Conn<UnixStream>,
    /// The log it is shown as it grows.
    follow: Option<Follow>,
    /// It is told of events as they come.
    listening: Option<Listening>,
    guest: Guest,
    /// It has not asked anything yet.
    silent: bool,
}

impl Peer {
    fn follows(&self) -> bool {
        self.follow.is_some() || self.listening.is_some()
    }

    /// The id of the request by which it follows.
    fn id(&self) -> Option<&Id> {
        let follow = self.follow.as_ref().map(|follow| &follow.id);
        follow.or(self.listening.as_ref().map(|listening| &listening.id))?.as_ref()
    }
}

/// The listener, where it stands, and everybody who is connected.
pub(super) struct Connections {
    pub(super) doorkeeper: Doorkeeper,
    table: Slots<Peer>,
    socket: BoundSocket,
    listener: Option<UnixListener>,
    place: Option<PathWatch>,
    place_lost: bool,
    listener_queued: bool,
    accept_armed: bool,
    rebind_armed: bool,
    /// Why the socket could not be bound again, as it was told.
    rebind_trouble: Option<String>,
    /// Connections closed because there was no room or no progress.
    pub(super) evicted: u64,
    scratch: Vec<u8>,
}

impl Connections {
    pub(super) fn new(socket: BoundSocket, doorkeeper: Doorkeeper) -> Connections {
        Connections {
            doorkeeper,
            table: Slots::default(),
            socket,
            listener: None,
            place: None,
            place_lost: false,
            listener_queued: false,
            accept_armed: false,
            rebind_armed: false,
            rebind_trouble: None,
            evicted: 0,
            scratch: vec![0; READ_BUDGET],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether a connection still waits for this deadline.
    pub(super) fn waits_for(&self, key: Key, stamp: Stamp) -> bool {
        self.table.get(key).is_some_and(|peer| peer.conn.wait == Some(stamp))
    }

    pub(super) fn mark(&mut self, mark: Mark, ready: &mut ReadyList) -> bool {
        let Some(peer) = self.table.get_mut(mark.id.key) else { return false };
        peer.conn.mark(mark.readable, mark.writable, mark.gone);
        ready.push(mark.id, &mut peer.conn.queued);
        true
    }

    pub(super) fn mark_listener(&mut self, ready: &mut ReadyList) -> bool {
        ready.push(SourceId::single(Kind::Listener), &mut self.listener_queued);
        true
    }

    pub(super) fn mark_place(&mut self) -> bool {
        self.place_lost = true;
        true
    }

    /// Watches the socket's place no longer; at the end, where only SIGUSR1 asks for it again.
    pub(super) fn let_go_of_place(&self) {
        if let Some(place) = &self.place {
            place.let_go();
        }
    }

    /// Whether the socket is gone from where clients look for it.
    pub(super) fn place_lost(&mut self) -> bool {
        if !std::mem::take(&mut self.place_lost) {
            return false;
        }
        match self.place.as_mut().map(|place| place.lost()) {
            Some(Ok(_)) | None => !self.in_place(),
            Some(Err(error)) => {
                log::error!("watching the socket's folder failed: {error}");
                !self.in_place()
            }
        }
    }

    /// Whether clients find our socket where they look for it. One that cannot be looked at is taken as there.
    fn in_place(&self) -> bool {
        self.socket.is_in_place().unwrap_or(true)
    }

    /// Takes back a socket that nobody has been served on.
    pub(super) fn withdraw(&self) {
        if let Err(error) = self.socket.remove_if_ours() {
            log::warn!("removing the socket {} failed: {error}", self.socket.path().display());
        }
    }

    /// Who is behind a connection, in words.
    pub(super) fn asker(&self, key: Key) -> String {
        match self.table.get(key).map(|peer| (peer.guest.uid, peer.guest.pid)) {
            Some((Some(uid), Some(pid))) => format!("uid {uid} (pid {pid})"),
            Some((Some(uid), None)) => format!("uid {uid}"),
            _ => "somebody who left".to_owned(),
        }
    }

    /// The order under way on a connection.
    pub(super) fn ticket(&self, key: Key) -> Option<Ticket> {
        self.table.get(key)?.conn.ticket
    }

    /// Tells something before the answer, to a client that has taken all that was sent.
    pub(super) fn tell(&mut self, key: Key, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Some(peer) = self.table.get_mut(key).filter(|peer| peer.conn.unsent() == 0) else { return false };
        peer.conn.tell(write);
        true
    }

    /// What a connection follows.
    pub(super) fn follow_mut(&mut self, key: Key) -> Option<&mut Option<Follow>> {
        self.table.get_mut(key).map(|peer| &mut peer.follow)
    }

    /// Whether a connection has taken all that was sent.
    pub(super) fn has_taken_all(&self, key: Key) -> bool {
        self.table.get(key).is_some_and(|peer| peer.conn.unsent() == 0)
    }

    /// How far a connection has heard of events, if it listens.
    pub(super) fn listening(&mut self, key: Key) -> Option<&mut Listening> {
        self.table.get_mut(key)?.listening.as_mut()
    }

    /// From now on a connection is told of events.
    pub(super) fn listen(&mut self, key: Key, listening: Listening) {
        if let Some(peer) = self.table.get_mut(key) {
            peer.listening = Some(listening);
        }
    }

    /// A connection is told of events no longer.
    pub(super) fn stop_listening(&mut self, key: Key) {
        if let Some(peer) = self.table.get_mut(key) {
            peer.listening = None;
        }
    }

    /// Everybody who follows a log or events.
    pub(super) fn followers(&self) -> Vec<Key> {
        self.table.iter().filter(|(_, peer)| peer.follows()).map(|(key, _)| key).collect()
    }

    /// Those that have taken all they were sent.
    pub(super) fn idle_followers(&self) -> Vec<Key> {
        let idle = |peer: &Peer| peer.follows() && peer.conn.unsent() == 0;
        self.table.iter().filter(|(_, peer)| idle(peer)).map(|(key, _)| key).collect()
    }

    /// Connections of a user who may not order.
    fn crowd(&self, uid: Option<u32>) -> usize {
        self.table.iter().filter(|(_, peer)| peer.guest.uid == uid && !peer.guest.may(Role::Admin)).count()
    }

    /// The connection to make room with: the one idle longest, without an order under way if there is such a one.
    fn idlest(&self) -> Option<Key> {
        let rank = |peer: &Peer| (peer.conn.ticket.is_some() || peer.follows(), peer.conn.active);
        self.table.iter().min_by_key(|(_, peer)| rank(peer)).map(|(key, _)| key)
    }
}

impl Daemon {
    /// Time to accept again, after descriptors were short.
    pub(super) fn accept_again(&mut self) {
        self.connections.accept_armed = false;
        self.connections.mark_listener(&mut self.reactor.ready);
    }

    pub(super) fn accept(&mut self) {
        self.connections.listener_queued = false;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.connections.listener else { return };
            match listener.accept() {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return self.no_room(&error),
            }
        }
        self.connections.mark_listener(&mut self.reactor.ready);
    }

    pub(super) fn serve_conn(&mut self, key: Key) {
        // Once: what is put into the list meanwhile stands there once as well.
        if let Some(peer) = self.connections.table.get_mut(key) {
            peer.conn.queued = false;
        }
        for _ in 0..REQUESTS_PER_TURN {
            let Connections { table, scratch, .. } = &mut self.connections;
            let Some(peer) = table.get_mut(key) else { return };
            match peer.conn.serve(self.now, scratch) {
                Step::Frame(frame) => {
                    peer.conn.wait = None;
                    peer.silent = false;
                    self.on_frame(key, &frame);
                }
                Step::TooLarge(error) => {
                    peer.conn.close_after_send();
                    self.answer_conn(key, &Reply::error(ErrorCode::MessageTooLarge, error.to_string(), None), None);
                }
                Step::Rest(Served::Dry) if self.send_next_piece(key) => {}
                Step::Rest(Served::Dry) => return self.watch_debt(key),
                Step::Rest(Served::More) => break,
                Step::Rest(Served::Closed) => return self.close_conn(key),
            }
        }
        self.requeue(key);
    }

    /// A deadline of a connection is over; one that was met in the meantime is forgotten.
    pub(super) fn conn_overdue(&mut self, key: Key, stamp: Stamp) {
        if self.connections.waits_for(key, stamp) {
            self.connections.evicted += 1;
            self.close_conn(key);
        }
    }

    /// Sends a reply on a connection that may have left in the meantime.
    pub(super) fn answer_conn(&mut self, key: Key, reply: &Reply, id: Option<&Id>) {
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        peer.conn.answer(|out| reply.encode_bounded(id, out));
        self.requeue(key);
    }

    /// Sends a piece of a log. Whoever takes it has time anew for it.
    pub(super) fn send_chunk(&mut self, key: Key, chunk: &Chunk, id: Option<&Id>) {
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        peer.conn.wait = None;
        peer.conn.answer(|out| chunk.encode_framed(id, out));
        self.requeue(key);
    }

    /// Sends events. Whoever takes them has time anew for it.
    pub(super) fn send_events(&mut self, key: Key, piece: &EventPiece, id: Option<&Id>) {
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        peer.conn.wait = None;
        peer.conn.answer(|out| piece.encode_framed(id, out));
        self.requeue(key);
    }

    /// The same for a reply that is a frame already; what the kernel takes at once is not copied.
    pub(super) fn send_frame(&mut self, key: Key, frame: &[u8]) {
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        peer.conn.answer_at_once(frame, self.now);
        self.requeue(key);
    }

    pub(super) fn note_ticket(&mut self, key: Key, ticket: Ticket) {
        if let Some(peer) = self.connections.table.get_mut(key) {
            peer.conn.ticket = Some(ticket);
        }
    }

    /// Whether the client on this connection may do what takes this role.
    pub(super) fn is_let(&self, key: Key, needed: Role) -> bool {
        self.connections.table.get(key).is_some_and(|peer| peer.guest.may(needed))
    }

    /// Asks again who everybody is, by a new list. Who follows or waits and may no longer ask is told so; others hear it when
    /// they ask. An order that was given stays one, and is answered.
    pub(super) fn judge_anew(&mut self, doorkeeper: Doorkeeper) {
        self.connections.doorkeeper = doorkeeper;
        let keys: Vec<Key> = self.connections.table.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Connections { doorkeeper, table, .. } = &mut self.connections;
            let Some(peer) = table.get_mut(key) else { continue };
            let role = doorkeeper.role_of(peer.conn.stream_mut());
            if role == peer.guest.role {
                continue;
            }
            peer.guest.role = role;
            let waits = peer.conn.ticket.is_some_and(|ticket| self.waits.holds(ticket));
            if role.is_none() && (peer.follows() || waits) {
                self.turn_away(key);
            }
        }
    }

    /// To a stranger there is one answer. Of what it asks nothing is read; what it asked before it became one is known.
    pub(super) fn turn_away(&mut self, key: Key) {
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        peer.conn.close_after_send();
        let ticket = peer.conn.ticket;
        let waits = ticket.and_then(|ticket| self.orders.asker(ticket)?.id.as_ref());
        let id = waits.or(peer.id()).cloned();
        self.stop_following(key);
        let reply = Reply::error(ErrorCode::Denied, "Only root, the daemon's own user and socket_users may ask", None);
        self.answer_conn(key, &reply, id.as_ref());
        if let Some(ticket) = ticket {
            self.desert(ticket);
        }
    }

    /// Bytes that clients have still to take.
    pub(super) fn any_unsent(&self) -> bool {
        self.connections.table.iter().any(|(_, peer)| peer.conn.unsent() > 0)
    }

    /// Clients who came and have not asked yet.
    pub(super) fn any_silent(&self) -> bool {
        self.connections.table.iter().any(|(_, peer)| peer.silent)
    }

    /// Closes every connection; both directions are shut down first, because a child may hold a copy.
    pub(super) fn close_all(&mut self) {
        let keys: Vec<Key> = self.connections.table.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.close_conn(key);
        }
    }

    fn welcome(&mut self, stream: UnixStream) {
        if self.connections.len() >= CONNECTIONS_MAX {
            self.evict();
        }
        let guest = self.connections.doorkeeper.judge(&stream, self.now);
        if !guest.may(Role::Admin) && self.connections.crowd(guest.uid) >= CROWD_MAX {
            self.connections.evicted += 1;
            return;
        }
        let key = self.connections.table.insert(Peer {
            conn: Conn::new(stream, self.now),
            silent: true,
            follow: None,
            listening: None,
            guest,
        });
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.reactor.register(peer.conn.stream_mut(), source(Kind::Conn, key), both) {
            log::error!("watching a control connection failed: {error}");
            self.connections.table.remove(key);
            return;
        }
        self.requeue(key);
    }

    /// Out of descriptors: an idle connection makes room, else accepting is tried again soon. The clients wait in the
    /// kernel's queue; no new event would tell of them.
    fn no_room(&mut self, error: &io::Error) {
        if self.connections.len() > IDLE_KEPT {
            self.evict();
            self.connections.mark_listener(&mut self.reactor.ready);
        } else if !self.connections.accept_armed {
            log::debug!("accepting a control connection failed: {error}");
            self.connections.accept_armed = true;
            self.arm(ACCEPT_RETRY, Alarm::Accept);
        }
    }

    fn evict(&mut self) {
        if let Some(key) = self.connections.idlest() {
            self.connections.evicted += 1;
            self.close_conn(key);
        }
    }

    pub(super) fn requeue(&mut self, key: Key) {
        if let Some(peer) = self.connections.table.get_mut(key) {
            self.reactor.ready.push(source(Kind::Conn, key), &mut peer.conn.queued);
        }
    }

    /// Arms the deadline of a connection that owes something and has none.
    fn watch_debt(&mut self, key: Key) {
        let Some(peer) = self.connections.table.get_mut(key) else { return };
        if !peer.conn.owes() {
            peer.conn.wait = None;
        } else if peer.conn.wait.is_none() {
            let patience = if peer.conn.unsent() > 0 { REPLY_DEADLINE } else { FRAME_DEADLINE };
            peer.conn.wait = Some(self.alarms.arm(self.now + patience, Alarm::Conn(key)));
        }
    }

    fn close_conn(&mut self, key: Key) {
        self.stop_following(key);
        let Some(mut peer) = self.connections.table.remove(key) else { return };
        self.reactor.deregister(peer.conn.stream_mut());
        // Fails when the peer is gone already, which is what is wanted.
        let _ = peer.conn.stream_mut().shutdown(Shutdown::Both);
        if let Some(ticket) = peer.conn.ticket {
            self.desert(ticket);
        }
    }

    /// Nobody waits for the answer to this order any more.
    fn desert(&mut self, ticket: Ticket) {
        self.waits.forget(ticket);
        if self.orders.desert(ticket) {
            self.feed(Input::Withdrawn { ticket });
        }
    }
}
