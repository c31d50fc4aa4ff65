//! An endpoint with TLS shakes hands before it is told of, and says farewell.

use std::time::Instant;

use mio::Registry;

use super::{Endpoint, Next};
use crate::batch::{Batch, RecordKind};
use crate::connection::State;
use crate::poller::assigned::LoadShare;
use crate::poller::dialing::Dialing;
use crate::reason::{Call, Reason};
use crate::tls::{self, Handshake, Negotiated, Tls};

/// Whether consumers know of an accepted connection, and when they are told. Each listener has a tag.
#[derive(Clone, Copy)]
pub(super) enum Introduction {
    /// They do, or it is none.
    Done,
    /// By the next turn.
    Due { tag: u32 },
    /// Once it is secured, so that what only connects costs them nothing.
    AfterHandshake { tag: u32 },
}

impl Endpoint {
    /// The next turn is to tell that this connection was accepted, by the listener of that tag. With TLS it is the turn in which
    /// the handshake is done.
    pub(crate) fn introduce(&mut self, tag: u32, share: Option<LoadShare>) {
        self.introduction = if self.is_securing() {
            Introduction::AfterHandshake { tag }
        } else {
            Introduction::Due { tag }
        };
        self._share = share;
    }

    /// Whether it has to be secured before anything is told of it.
    pub(crate) fn is_securing(&self) -> bool {
        self.connection.state() == State::Securing
    }

    /// What TLS has agreed on with the peer, where there is any, and its handshake is done.
    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        match self.connection.state() {
            State::Connecting | State::Securing => None,
            _ => self.transport.negotiated(),
        }
    }

    /// A dial has reached its peer.
    #[cold]
    pub(super) fn begin_handshake(&mut self, dialing: Option<&Dialing>) {
        let destination = dialing.map(Dialing::destination).unwrap_or_default();
        let host = dialing.and_then(Dialing::host);
        let settings = self.connection.settings();
        match self.transport.secure(settings, &destination, host) {
            Ok(()) => self.connection.reached(),
            Err(error) => self.connection.fail(Reason::system(Call::Connect, &error)),
        }
    }

    /// Goes on to be a connection: the dial ends, or its handshake goes on. Returns what becomes of the endpoint, unless it goes
    /// on as any other.
    #[cold]
    pub(super) fn begin(
        &mut self,
        now: Instant,
        registry: &Registry,
        batch: &mut Batch,
    ) -> Option<Next> {
        if self.connection.state() == State::Connecting && self.readiness.writable {
            self.finish_connect(batch, registry);
        }
        if self.is_securing() {
            self.secure(now, registry, batch)
        } else {
            None
        }
    }

    fn secure(&mut self, now: Instant, registry: &Registry, batch: &mut Batch) -> Option<Next> {
        if self.connection.stage_deadline().is_none()
            && let Some(Tls::Server(tls)) = &self.connection.settings().tls
            && let Some(time) = tls.handshake_timeout()
        {
            self.connection.secure_before(now + time);
        }
        if !tls::takes_handshake_step() {
            return Some(Next::Again);
        }
        match self.transport.shake_hands() {
            Ok(Handshake::Waits) => {
                self.readiness.emptied();
                self.readiness.writable = self.transport.outgoing() == 0;
                self.settle(now, registry);
                Some(Next::Wait)
            }
            Ok(Handshake::Done) => {
                self.connection.secured();
                // Bytes may have come with it, and wait here.
                self.readiness.readable = true;
                if let Introduction::AfterHandshake { tag } = self.introduction {
                    self.introduction = Introduction::Due { tag };
                } else {
                    batch.lifecycle(self.id.slot, RecordKind::Connected);
                }
                None
            }
            Err(error) => {
                self.transport.abandon();
                self.connection.fail(Reason::system(Call::Read, &error));
                None
            }
        }
    }

    /// Before a connection with TLS settles: what only TLS has to say leaves.
    pub(super) fn settle_ciphertext(&mut self, now: Instant) {
        if let Some(session) = self.transport.session() {
            self.connection.note_partial_record(session.has_partial());
        }
        self.write_ciphertext(now);
    }

    /// Everything else has left: the peer is told that nothing more will come.
    #[cold]
    pub(super) fn say_farewell(&mut self, now: Instant) {
        self.transport.say_farewell();
        self.connection.begin_farewell();
        self.write_ciphertext(now);
    }

    fn write_ciphertext(&mut self, now: Instant) {
        // While write readiness is awaited, trying would only cost a system call.
        let is_awaited = self.watch.interest.is_writable() && !self.readiness.writable;
        if self.transport.outgoing() > 0 && !is_awaited {
            self.write(now);
        }
        if self.transport.outgoing() == 0 {
            self.connection.end_farewell();
        }
    }
}
