//! An endpoint with TLS shakes hands before it is told of, and says farewell.

use std::io;
use std::time::Instant;

use mio::Registry;

use super::{Endpoint, Next};
use crate::batch::{Batch, RecordKind};
use crate::connection::State;
use crate::id::Id;
use crate::poller::assigned::LoadShare;
use crate::poller::dialing::Dialing;
use crate::poller::transport::Rest;
use crate::reason::{Call, Reason};
use crate::tls::{self, Admission, Failure, Handshake, Negotiated, Session, Tls, Unread, Upgrade};

/// Whether consumers know of a connection, and when they are told. Each listener has a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Introduction {
    /// They do.
    Done,
    /// Once it is connected and secured: they have dialed it.
    Dialed,
    /// By the next turn.
    Due { tag: u32 },
    /// Once it is secured, so that what only connects costs them nothing.
    AfterHandshake { tag: u32 },
    /// They were told that the handshake has failed, and are told nothing more. The peer may still read why.
    Abandoned { tag: u32 },
    /// They know of the connection, and are told once it is secured.
    Upgraded,
    /// They do, and are told by the next turn that it is to be used no more.
    WornOut,
    /// By the next turn: its server has no room for it.
    Excess { tag: u32 },
}

impl Endpoint {
    /// The next turn is to tell that this connection was accepted, by the listener of that tag. With TLS it is the turn in which
    /// the handshake is done.
    pub(crate) fn introduce(&mut self, tag: u32, share: Option<LoadShare>) {
        self.introduction = match (self.is_securing(), self.transport.is_secured()) {
            (false, _) => Introduction::Due { tag },
            (true, true) => Introduction::AfterHandshake { tag },
            (true, false) => Introduction::Excess { tag },
        };
        self._share = share;
    }

    /// Counts among the connections of its server until it is gone.
    pub(crate) fn admit(&mut self, admission: Option<Admission>) {
        self.transport.admit(admission);
    }

    /// Whether it has to be secured before anything is told of it.
    pub(crate) fn is_securing(&self) -> bool {
        self.connection.state() == State::Securing
    }

    /// Whether the listener of this tag has accepted it, and its handshake is not done, or has failed.
    pub(crate) fn is_introduced_after_handshake(&self, tag: u32) -> bool {
        let those = [
            Introduction::AfterHandshake { tag },
            Introduction::Abandoned { tag },
        ];
        those.contains(&self.introduction)
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
        let secured = match &settings.tls {
            None => Ok(()),
            Some(tls) => self
                .transport
                .secure(tls, &settings.unfinished, &destination, host),
        };
        match secured {
            Ok(()) => self.connection.reached(),
            Err(error) => self.connection.fail(Reason::system(Call::Connect, &error)),
        }
    }

    /// Shakes hands on a connection that has carried plaintext before, and was stopped.
    pub(crate) fn upgrade(&mut self, upgrade: Upgrade) -> io::Result<()> {
        let is_stopped = self.is_securing() && !self.transport.is_secured();
        if !is_stopped || self.connection.outbound().has_remaining() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        let held_back = self.connection.unread();
        if upgrade.unread == Unread::Refused && !held_back.is_empty() {
            self.connection.fail(Reason::Tls(Failure::Protocol));
            return Ok(());
        }
        let begun = [upgrade.begun, held_back].concat();
        let unfinished = &self.connection.settings().unfinished;
        let destination = format!("{:?}", self.peer);
        let host = upgrade.host.as_deref();
        let begins = self
            .transport
            .secure(&upgrade.tls, unfinished, &destination, host)
            .and_then(|()| self.transport.begin_with(&begun));
        if let Err(error) = begins {
            self.connection.fail(Reason::system(Call::Read, &error));
        }
        self.introduction = Introduction::Upgraded;
        self.readiness.readable = true;
        Ok(())
    }

    /// Goes on to be a connection of which consumers know: the dial ends, its handshake goes on, and it is told of. Returns what
    /// becomes of the endpoint, unless it goes on as any other. Apart, so that a message costs a comparison.
    #[cold]
    pub(super) fn begin(
        &mut self,
        now: Instant,
        registry: &Registry,
        batch: &mut Batch,
    ) -> Option<Next> {
        if let Introduction::Abandoned { .. } = self.introduction {
            return Some(self.linger(now, registry));
        }
        if self.connection.state() == State::Connecting && self.readiness.writable {
            self.finish_connect(batch, registry);
        }
        if self.is_securing()
            && self.transport.is_secured()
            && let Some(next) = self.secure(now, registry, batch)
        {
            if self.introduction == Introduction::Upgraded {
                self.connection.report_clocks(batch, self.id.slot);
            }
            return Some(next);
        }
        if let Introduction::AfterHandshake { tag } = self.introduction {
            self.connection.report_failed_handshake(batch, tag);
            return Some(Next::Gone);
        }
        self.tell_unless_securing(batch);
        None
    }

    /// Tells of it, unless that has to wait.
    pub(crate) fn tell_unless_securing(&mut self, batch: &mut Batch) {
        let Id { slot, generation } = self.id;
        match self.introduction {
            Introduction::AfterHandshake { .. } | Introduction::Abandoned { .. } => return,
            Introduction::Dialed if self.connection.state() == State::Connecting => return,
            Introduction::Dialed | Introduction::Upgraded | Introduction::Done => {}
            Introduction::Due { tag } => batch.accepted(slot, generation, tag),
            Introduction::WornOut => batch.lifecycle(slot, RecordKind::WornOut),
            Introduction::Excess { tag } => batch.excess(slot, generation, tag),
        }
        self.introduction = Introduction::Done;
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
        let connection = &mut self.connection;
        match self.transport.shake_hands(|| connection.shakes_hands()) {
            Ok(Handshake::Waits) => Some(self.await_peer(now, registry)),
            Ok(Handshake::Fails(failure)) => {
                let error = failure.into_error();
                self.note_refused_name(&error);
                let reason = Reason::system(Call::Read, &error);
                self.connection.fails_securing(reason, now);
                Some(self.await_peer(now, registry))
            }
            Ok(Handshake::Done) => {
                self.connection.secured();
                // Bytes may have come with it, and wait here.
                self.readiness.readable = true;
                let slot = self.id.slot;
                match self.introduction {
                    Introduction::AfterHandshake { tag } => {
                        self.introduction = Introduction::Due { tag };
                    }
                    Introduction::Upgraded => batch.lifecycle(slot, RecordKind::Secured),
                    _ => batch.lifecycle(slot, RecordKind::Connected),
                }
                None
            }
            Err(error) => {
                self.note_refused_name(&error);
                self.abandon(&error, now, registry, batch)
            }
        }
    }

    /// The handshake has failed, and the alert has left. A listener is told at once, and the peer has the time of closing to read
    /// it. Others, who have dialed or upgraded, know the connection, and are told when it is closed: that is at once.
    fn abandon(
        &mut self,
        error: &io::Error,
        now: Instant,
        registry: &Registry,
        batch: &mut Batch,
    ) -> Option<Next> {
        let reason = Reason::system(Call::Read, error);
        let is_told = Failure::within(error).is_some_and(Failure::is_told);
        self.transport.end_output();
        if is_told && let Introduction::AfterHandshake { tag } = self.introduction {
            self.connection.fails_securing(reason, now);
            self.connection.report_failed_handshake(batch, tag);
            self.introduction = Introduction::Abandoned { tag };
            self.transport.end_tls();
            return Some(self.linger(now, registry));
        }
        self.transport.discard_input();
        self.connection.fail(reason);
        None
    }

    /// Waits for the end of a peer that may still read why its handshake has failed. What it sends would reset it, once the
    /// socket is closed.
    fn linger(&mut self, now: Instant, registry: &Registry) -> Next {
        if self.connection.state() == State::Closed {
            return Next::Gone;
        }
        match self.transport.discard_input() {
            Rest::Awaited => self.await_peer(now, registry),
            Rest::Waits => Next::Again,
            Rest::None => Next::Gone,
        }
    }

    /// Once: what has failed is found again whenever the peer takes a part of the alert.
    fn note_refused_name(&mut self, error: &io::Error) {
        if self.connection.reason() == Reason::Normal
            && Failure::within(error) == Some(Failure::UnknownName)
            && let Some(name) = self.transport.session().and_then(Session::server_name)
        {
            self.connection.refuses_name(name.into());
        }
    }

    /// The handshake goes on once the socket has more to read, or takes more. Where it has taken the rest meanwhile, or has
    /// failed, no event tells.
    fn await_peer(&mut self, now: Instant, registry: &Registry) -> Next {
        let was_full = self.transport.outgoing() > 0;
        self.readiness.emptied();
        self.readiness.writable = !was_full;
        self.settle(now, registry);
        let has_left = was_full && self.transport.outgoing() == 0;
        if has_left || self.connection.state() == State::Closed {
            Next::Again
        } else {
            Next::Wait
        }
    }

    /// Before a connection with TLS settles: what only TLS has to say leaves. Apart, so that others pay a comparison for it.
    #[cold]
    pub(super) fn settle_ciphertext(&mut self, now: Instant) {
        if let Some(session) = self.transport.session_mut() {
            self.connection.note_partial_record(session.has_partial());
            if session.is_newly_worn_out() {
                self.introduction = Introduction::WornOut;
            }
        }
        self.write_ciphertext(now);
        self.note_crept(now);
        if self.connection.owes_farewell() {
            self.transport.say_farewell();
            self.connection.begin_farewell();
            self.write_ciphertext(now);
        }
    }

    /// A part of a record that a slow peer has taken is progress, as the same bytes are without TLS.
    fn note_crept(&mut self, now: Instant) {
        let session = self.transport.session_mut();
        if session.is_some_and(Session::take_crept) {
            self.connection.left(0, now);
        }
    }

    fn write_ciphertext(&mut self, now: Instant) {
        // While write readiness is awaited, trying would only cost a system call.
        let is_awaited = self.watch.interest.is_writable() && !self.readiness.writable;
        if self.transport.outgoing() > 0 && !is_awaited {
            self.write(now);
            self.flush_ciphertext();
        }
        if self.transport.outgoing() == 0 {
            self.connection.end_farewell();
        }
    }

    /// Sends what TLS alone has to say. Where there is plaintext it leaves with that.
    fn flush_ciphertext(&mut self) {
        if self.connection.outbound().has_remaining() || self.connection.state() == State::Closed {
            return;
        }
        match self.transport.flush() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.writable = false;
            }
            // The peer has gone without a word, and misses none. Of plaintext nothing is lost.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.transport.forget_ciphertext();
            }
            // The system tells of it once, and what the peer has sent before is still there.
            Err(error) if is_reset(&error) && self.connection.reads() => {
                self.transport.forget_refused(error);
            }
            Err(error) if self.leaves_only_tls(&error) => self.transport.forget_ciphertext(),
            Err(error) => self.connection.fail(Reason::system(Call::Write, &error)),
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}
