//! A poller's listeners: it accepts for itself, or for whom a load balancer chooses, or is given what others have accepted.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use mio::Interest;

use super::acceptor::{ACCEPT_BUDGET, AcceptTrouble, Accepted, Acceptor, Destination};
use super::assigned::{AssignedConnection, Load, LoadShare};
use super::endpoint::Endpoint;
use super::load_balancer::LoadBalancer;
use super::slots::Occupant;
use super::turn::Poller;
use crate::address::Address;
use crate::batch::Batch;
use crate::id::Id;
use crate::listener::{Listen, Listener};
use crate::reason::errno;
use crate::settings::Settings;
use crate::socket::Stream;
use crate::tls::{Excess, Tls};

/// Connections that are accepted before a listener closes, at most: peers that come without end
/// must not keep it.
const MAX_WAITING: usize = 65_536;

impl Poller {
    /// Binds and listens. Records of the listener say `tag`.
    ///
    /// # Errors
    /// The system's, such as an address in use.
    pub fn listen(&mut self, listen: &Listen, settings: Arc<Settings>, tag: u32) -> io::Result<Id> {
        self.attend(Listener::bind(listen)?, Destination::Here(settings), tag)
    }

    /// Listens on a duplicate of `descriptor`: see [`Listener::adopt`]. Otherwise as [`Self::listen`].
    ///
    /// # Errors
    /// As there.
    pub fn adopt(
        &mut self,
        descriptor: BorrowedFd<'_>,
        settings: Arc<Settings>,
        tag: u32,
    ) -> io::Result<Id> {
        let listener = Listener::adopt(descriptor)?;
        self.attend(listener, Destination::Here(settings), tag)
    }

    /// Assigns the connections of a listener; to this poller, too, if it is a member. The members are
    /// told when accepting pauses.
    ///
    /// # Errors
    /// The system's.
    pub fn attend_for(&mut self, listener: Listener, balancer: LoadBalancer) -> io::Result<Id> {
        // The listener's own records are given to the driver of this poller alone, which knows the
        // slot.
        let tag = self.next_id()?.slot;
        self.attend(listener, Destination::Balanced(balancer), tag)
    }

    fn attend(
        &mut self,
        mut listener: Listener,
        destination: Destination,
        tag: u32,
    ) -> io::Result<Id> {
        let id = self.next_id()?;
        self.poll
            .registry()
            .register(&mut listener, id.token(), Interest::READABLE)?;
        let acceptor = Acceptor::new(listener, destination, tag);
        self.slots.occupy(id, Occupant::Acceptor(acceptor));
        Ok(id)
    }

    /// Stops listening. Connections that wait to be accepted are reset by the system, unless
    /// another owner listens on the same socket.
    pub fn unlisten(&mut self, id: Id) {
        if let Some(Occupant::Acceptor(acceptor)) = self.slots.find(id) {
            // Closing ends the watch only where no other owner shares the socket. Should this fail,
            // an event of it finds no listener.
            let _ = self.poll.registry().deregister(acceptor.listener_mut());
            self.rest(id.slot);
        }
    }

    /// Closes the connections of a listener with TLS that are in their handshake: no record has told of them. Each poller has
    /// those that a load balancer has given it.
    pub fn abandon_handshakes(&mut self, tag: u32) {
        for slot in 0..self.slots.count() as u32 {
            if let Occupant::Endpoint(endpoint) = self.slots.at(slot)
                && endpoint.is_introduced_after_handshake(tag)
            {
                endpoint.unwatch(self.poll.registry());
                self.rest(slot);
            }
        }
    }

    /// Where a listener listens.
    ///
    /// # Errors
    /// The system's; `NotFound` where `id` is no listener any more.
    pub fn listener_address(&mut self, id: Id) -> io::Result<Address> {
        match self.slots.find(id) {
            Some(Occupant::Acceptor(acceptor)) => acceptor.listener().local_address(),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The driver of this poller has found that it cannot go on, and drops it. The servers that get
    /// connections of its listeners are told that no poller accepts any more. What comes of its own
    /// connections its driver says.
    pub fn tell_failed(&self) {
        for occupant in self.slots.occupants() {
            if let Occupant::Acceptor(acceptor) = occupant
                && let Destination::Balanced(balancer) = acceptor.destination()
            {
                balancer.tell_failed();
            }
        }
    }

    /// As [`Self::unlisten`], but peers that wait to be accepted are taken on before. Returns how
    /// many connections the listener has accepted in all. Of each a record tells, sooner or later,
    /// that it was accepted or that this has failed.
    pub fn accept_and_unlisten(&mut self, id: Id, now: Instant) -> u64 {
        let mut accepted = 0;
        for _ in 0..MAX_WAITING {
            let Some(Occupant::Acceptor(acceptor)) = self.slots.find(id) else {
                break;
            };
            let outcome = acceptor.accept(now);
            accepted = acceptor.accepted();
            match outcome {
                Accepted::Connection(stream, peer) => match acceptor.destination() {
                    Destination::Balanced(balancer) => balancer.assign(stream, peer),
                    Destination::Here(settings) => {
                        let assigned = AssignedConnection {
                            settings: settings.clone(),
                            tag: acceptor.tag(),
                            stream,
                            peer,
                            share: LoadShare::of(&Load::default()),
                        };
                        self.admit_assigned(assigned);
                    }
                },
                Accepted::Lost => {}
                Accepted::Drained | Accepted::ShortageBegan(_) | Accepted::ShortageGoesOn => break,
            }
        }
        self.unlisten(id);
        accepted
    }

    pub(super) fn accept(&mut self, slot: u32, now: Instant, batch: &mut Batch) {
        for _ in 0..ACCEPT_BUDGET {
            if batch.room() == 0 {
                break;
            }
            let Occupant::Acceptor(acceptor) = self.slots.at(slot) else {
                return;
            };
            match acceptor.accept(now) {
                Accepted::Connection(stream, peer) => match acceptor.destination() {
                    Destination::Balanced(balancer) => balancer.assign(stream, peer),
                    Destination::Here(settings) => {
                        let (settings, tag) = (settings.clone(), acceptor.tag());
                        if let Err(error) = self.admit(stream, peer, settings, tag, batch) {
                            batch.accept_failed(tag, errno(&error));
                            return self.pause_accepting(slot, now);
                        }
                    }
                },
                Accepted::Drained => return,
                Accepted::Lost => {}
                Accepted::ShortageBegan(errno) => {
                    match acceptor.destination() {
                        Destination::Here(_) => batch.accept_paused(acceptor.tag(), errno),
                        Destination::Balanced(balancer) => balancer.tell_paused(errno),
                    }
                    return self.retry_accepting(slot);
                }
                Accepted::ShortageGoesOn => return self.retry_accepting(slot),
            }
        }
        self.list(slot);
    }

    fn admit(
        &mut self,
        stream: Stream,
        peer: Address,
        settings: Arc<Settings>,
        tag: u32,
        batch: &mut Batch,
    ) -> io::Result<()> {
        let Some((id, mut endpoint)) = self.take_on(stream, peer, settings)? else {
            batch.excess_closed(tag);
            return Ok(());
        };
        endpoint.introduce(tag, None);
        endpoint.tell_unless_securing(batch);
        self.slots
            .occupy(id, Occupant::Endpoint(Box::new(endpoint)));
        self.list(id.slot);
        Ok(())
    }

    /// Tells what has happened to accepting elsewhere, as far as there is room.
    pub(super) fn tell_troubles(&mut self, batch: &mut Batch) {
        let count = self.troubles.len().min(batch.room());
        for trouble in self.troubles.drain(..count) {
            match trouble {
                AcceptTrouble::Paused { tag, errno } => batch.accept_paused(tag, errno),
                AcceptTrouble::Failed { tag, errno } => batch.accept_failed(tag, errno),
                AcceptTrouble::Dropped { tag } => batch.excess_closed(tag),
                AcceptTrouble::Ended { tag } => batch.accept_ended(tag),
            }
        }
    }

    fn pause_accepting(&mut self, slot: u32, now: Instant) {
        if let Occupant::Acceptor(acceptor) = self.slots.at(slot) {
            // It is told of already.
            let _ = acceptor.pause(now);
            self.retry_accepting(slot);
        }
    }

    pub(super) fn retry_accepting(&mut self, slot: u32) {
        let id = self.slots.id_at(slot);
        if let Occupant::Acceptor(acceptor) = self.slots.at(slot)
            && let Some(retry) = acceptor.retry()
            && self.wheel.arm(id.key(), retry).is_err()
        {
            // Without memory to be woken it looks in each turn whether it is time.
            self.list(slot);
        }
    }

    /// Takes on a connection that was assigned to this poller. The next turn tells of it.
    pub(super) fn admit_assigned(&mut self, assigned: AssignedConnection) {
        let AssignedConnection {
            stream,
            peer,
            settings,
            tag,
            share,
        } = assigned;
        match self.take_on(stream, peer, settings) {
            Ok(None) => self.troubles.push(AcceptTrouble::Dropped { tag }),
            Ok(Some((id, mut endpoint))) => {
                endpoint.introduce(tag, Some(share));
                self.slots
                    .occupy(id, Occupant::Endpoint(Box::new(endpoint)));
                self.list(id.slot);
            }
            Err(error) => {
                let errno = errno(&error);
                self.troubles.push(AcceptTrouble::Failed { tag, errno });
            }
        }
    }

    /// Makes an endpoint of a connection; `None` where its server has as many as it may have, and none is to be told.
    fn take_on(
        &mut self,
        stream: Stream,
        peer: Address,
        settings: Arc<Settings>,
    ) -> io::Result<Option<(Id, Endpoint)>> {
        let id = self.next_id()?;
        let admission = match &settings.tls {
            Some(Tls::Server(tls)) => match tls.admit() {
                Ok(admission) => Some(admission),
                Err(Excess::Counted) => return Ok(None),
                Err(Excess::Told) => {
                    return Ok(Some((id, Endpoint::excess(stream, peer, id, settings))));
                }
            },
            Some(Tls::Client(_)) | None => None,
        };
        let registry = self.poll.registry();
        let mut endpoint = Endpoint::established(stream, peer, id, settings, registry)?;
        endpoint.admit(admission);
        Ok(Some((id, endpoint)))
    }
}
