//! A connection with its socket: the only place that reads and writes.

mod connecting;
mod handshake;
mod reading;
mod watching;
mod writing;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use mio::{Interest, Registry};

use super::armed::Armed;
use super::assigned::LoadShare;
use super::dialing::Dialing;
use super::readiness::{ReadUntil, Readiness};
use super::slots::Departed;
use super::transport::Transport;
use crate::address::Address;
use crate::batch::Batch;
use crate::buffer::ReadBuffer;
use crate::connection::{Connection, Due, Input, State};
use crate::id::Id;
use crate::reason::{Call, Reason};
use crate::settings::Settings;
use crate::socket::Stream;
use crate::watch::{Trigger, Watch};
use handshake::Introduction;

/// What is asked for of every socket: bytes, and urgent ones, at which reads stop.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INPUT: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INPUT: Interest = Interest::READABLE;
/// How a socket is watched that connects. By level, one that is connected would be told until we have come round to it.
const DIALING: Watch = Watch {
    interest: INPUT.add(Interest::WRITABLE),
    trigger: Trigger::Edge,
};

/// Which others may have an endpoint's socket open: then closing does not end its watch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// Not shared, but for a moment in which the process makes another.
    Exclusive,
    /// The owner that the socket was adopted from.
    Others,
}

/// Whether an endpoint is on the ready list when its deadline passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// It is, and waits to be served.
    Waiting,
    /// It is not.
    None,
}

/// What becomes of an endpoint after it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It has more to do in the next turn.
    Again,
    /// It waits for an event or a command.
    Wait,
    /// It waits for its workers to have room.
    Stalled,
    /// Its last record is in the batch.
    Gone,
}

pub(super) struct Endpoint {
    transport: Transport,
    id: Id,
    connection: Connection,
    readiness: Readiness,
    watch: Watch,
    sharing: Sharing,
    peer: Option<Address>,
    /// Where it is dialed to, until it is established.
    dialing: Option<Box<Dialing>>,
    armed: Armed,
    /// The deadline for closing that has passed while there was something to do.
    deferred: Option<Instant>,
    introduction: Introduction,
    /// Its part of what was assigned to this poller.
    _share: Option<LoadShare>,
}

impl Endpoint {
    /// A socket that is connected. It is read at once: the request is often there already.
    pub(super) fn established(
        mut stream: Stream,
        peer: Address,
        id: Id,
        settings: Arc<Settings>,
        registry: &Registry,
    ) -> io::Result<Self> {
        set_options(&stream, &settings);
        let watch = Watch {
            interest: INPUT,
            trigger: stream.trigger_while_read(),
        };
        stream.watch(registry, id.token(), watch)?;
        let state = match settings.tls {
            None => State::Open(crate::connection::Peer::Sending),
            Some(_) => State::Securing,
        };
        let mut transport = Transport::plain(stream);
        if let Some(tls) = &settings.tls {
            transport.secure(tls, &settings.unfinished, &format!("{peer:?}"), None)?;
        }
        let connection = Connection::new(settings, state);
        let mut endpoint = Self::over(transport, id, connection, watch);
        if endpoint.is_securing() {
            endpoint.introduction = Introduction::Dialed;
        }
        endpoint.peer = Some(peer);
        endpoint.readiness.readable = true;
        Ok(endpoint)
    }

    /// One that its server has no room for. It is neither read nor watched: the consumer, which is told of it, destroys it.
    pub(super) fn excess(stream: Stream, peer: Address, id: Id, settings: Arc<Settings>) -> Self {
        let watch = Watch {
            interest: INPUT,
            trigger: Trigger::Edge,
        };
        let connection = Connection::new(settings, State::Securing);
        let mut endpoint = Self::over(Transport::plain(stream), id, connection, watch);
        endpoint.peer = Some(peer);
        endpoint
    }

    /// As [`Self::established`], for a socket that others have open as well.
    pub(super) fn adopted(
        stream: Stream,
        peer: Address,
        id: Id,
        settings: Arc<Settings>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut endpoint = Self::established(stream, peer, id, settings, registry)?;
        endpoint.sharing = Sharing::Others;
        Ok(endpoint)
    }

    /// A socket that begins to connect, which must succeed before `deadline`.
    pub(super) fn dialed(
        mut dialing: Dialing,
        id: Id,
        settings: Arc<Settings>,
        deadline: Option<Instant>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut stream = dialing.connect()?;
        set_options(&stream, &settings);
        stream.watch(registry, id.token(), DIALING)?;
        let mut connection = Connection::new(settings, State::Connecting);
        if let Some(deadline) = deadline {
            connection.connect_before(deadline);
        }
        let transport = Transport::plain(stream);
        let mut endpoint = Self::over(transport, id, connection, DIALING);
        endpoint.introduction = Introduction::Dialed;
        endpoint.dialing = Some(Box::new(dialing));
        Ok(endpoint)
    }

    fn over(transport: Transport, id: Id, mut connection: Connection, watch: Watch) -> Self {
        connection.trace_as(id);
        Self {
            transport,
            id,
            connection,
            readiness: Readiness::default(),
            watch,
            sharing: Sharing::Exclusive,
            peer: None,
            dialing: None,
            armed: Armed::default(),
            deferred: None,
            introduction: Introduction::Done,
            _share: None,
        }
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.transport.stream
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) fn peer(&self) -> Option<&Address> {
        self.peer.as_ref()
    }

    pub(super) fn depart(self) -> Departed {
        Departed {
            peer: self.peer,
            session: self.transport.into_session(),
        }
    }

    /// Stops watching the socket, so that it can be given away.
    pub(super) fn prepare_detach(&mut self, registry: &Registry) -> io::Result<()> {
        let state = self.connection.state();
        if !matches!(state, State::Open(_) | State::ReadOnly(_)) {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        if self.transport.is_secured() {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        if self.connection.holds_bytes() {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        self.transport.stream.unwatch(registry)
    }

    /// The last that is done before the socket is closed, which ends the watch where no other owner
    /// shares the socket.
    pub(super) fn unwatch(&mut self, registry: &Registry) {
        // Of one that is watched by level the system would tell in each look. Of another an edge
        // finds no endpoint, but the same socket could not be watched again under the same number.
        if self.watch.trigger == Trigger::Level || self.sharing == Sharing::Others {
            // It fails only where it is watched no longer.
            let _ = self.transport.stream.unwatch(registry);
        }
    }

    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.transport.stream.into()
    }

    pub(super) fn observe(&mut self, event: &mio::event::Event) {
        let closed = event.is_read_closed();
        let failed = event.is_error();
        let urgent = event.is_priority();
        self.readiness.readable |= event.is_readable() || closed || failed || urgent;
        self.readiness.writable |= event.is_writable() || event.is_write_closed() || failed;
        self.readiness.failed |= failed;
        if closed || failed {
            self.readiness.read_until(ReadUntil::End);
        } else if urgent {
            self.readiness.read_until(ReadUntil::Empty);
        }
        if matches!(self.connection.state(), State::Connecting | State::Securing) {
            return;
        }
        if failed || event.is_write_closed() {
            self.connection.hung_up();
        } else if closed {
            self.connection.peer_closing();
        }
    }

    /// Does what is due: completes a dial, sends, reads once and cuts, reports. Messages for workers go to `work`, everything
    /// else to `batch`.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        read_buffer: &mut ReadBuffer,
        registry: &Registry,
        batch: &mut Batch,
        work: &mut Batch,
    ) -> Next {
        if self.introduction != Introduction::Done
            && let Some(next) = self.begin(now, registry, batch)
        {
            return next;
        }
        if self.is_unsent() {
            self.write(now);
        }
        // What the peer sends once it has read our end comes behind that end.
        self.connection.report_sent(batch, self.id.slot);
        if self.connection.workers().is_some() {
            self.read(read_buffer, work);
            batch.read(work.take_bytes());
        } else {
            self.read(read_buffer, batch);
        }
        self.fail_unread();
        self.settle(now, registry);
        self.connection.report(batch, self.id.slot);
        if self.connection.state() == State::Closed {
            return Next::Gone;
        }
        if self.wants_service() {
            Next::Again
        } else {
            self.wait()
        }
    }

    fn wait(&mut self) -> Next {
        if self.has_input() {
            self.wait_with_input()
        } else {
            Next::Wait
        }
    }

    #[cold]
    fn wait_with_input(&mut self) -> Next {
        self.connection.rests();
        let lacks_workers = self.connection.workers().is_some() && self.connection.own_budget() > 0;
        if lacks_workers {
            Next::Stalled
        } else {
            Next::Wait
        }
    }

    /// Sends what is queued, as far as the socket takes it.
    pub(super) fn flush(&mut self, now: Instant, registry: &Registry) -> Next {
        // While write readiness is awaited, trying would only cost a system call.
        if self.connection.outbound().has_remaining() && !self.watch.interest.is_writable() {
            self.write(now);
        } else if self.connection.outbound().has_remaining() && !self.readiness.writable {
            // It was queued behind what waits.
            self.connection.waits_to_send();
        }
        self.settle(now, registry);
        if self.wants_service() || self.connection.has_pending() {
            Next::Again
        } else {
            self.wait()
        }
    }

    /// The deadline for which the wheel has to be armed, if it is not armed early enough.
    pub(super) fn deadline_to_arm(&mut self) -> Option<Instant> {
        let deadline = self.connection.deadline()?;
        self.armed.arm(deadline).then_some(deadline)
    }

    /// The deadlines for which the wheel is armed.
    pub(super) fn armed_deadlines(&self) -> &[Instant] {
        self.armed.pending()
    }

    /// The wheel has fired: gives up what should have happened by `now`. A stall of the process is
    /// not the peer's. Nothing runs out for which the socket is ready and we have not come round to
    /// it.
    pub(super) fn wheel_fired(&mut self, now: Instant, work: Work) {
        self.armed.fired();
        let unacknowledged = if self.connection.wants_unacknowledged(now) {
            self.transport.stream.unacknowledged()
        } else {
            None
        };
        self.expire_stage(now, work, unacknowledged);
        let (unread, unsent) = (self.is_unread(), self.is_unsent());
        if !unread {
            self.connection.expire_read(now, unacknowledged);
        }
        if !unsent {
            self.connection.expire_write(now, unacknowledged);
        }
        if !unread && !unsent {
            let input = self.waiting_input();
            self.connection.expire_idle(now, input);
        }
        let stream = &self.transport.stream;
        self.connection.expire_deadline_timer(now, || match unread {
            true => stream.receive_capacity(),
            false => 0,
        });
    }

    /// An endpoint that has something to do is served once more before it fails to close in time.
    /// This is done once, so that a peer that keeps us busy for good does not escape its deadline.
    fn expire_stage(&mut self, now: Instant, work: Work, unacknowledged: Option<usize>) {
        let Some(deadline) = self
            .connection
            .stage_deadline()
            .filter(|deadline| *deadline <= now)
        else {
            return;
        };
        if work == Work::Waiting && self.deferred != Some(deadline) {
            self.deferred = Some(deadline);
        } else {
            self.connection.expire_stage(now, unacknowledged);
        }
    }

    /// Whether the socket would take what is queued. What only TLS has to say leaves when the connection settles.
    fn is_unsent(&self) -> bool {
        self.readiness.writable && self.connection.outbound().has_remaining()
    }

    /// Whether there is input that we would hand over.
    fn is_unread(&self) -> bool {
        self.has_input() && self.connection.budget() > 0
    }

    /// Whether the peer waits for us, in that we do not read what it has sent.
    fn waiting_input(&self) -> Input {
        let in_socket = self.readiness.readable && self.transport.has_input();
        if in_socket || self.connection.is_held_back() {
            Input::Waits
        } else {
            Input::None
        }
    }

    fn has_input(&self) -> bool {
        let readable = self.readiness.readable && self.connection.reads();
        readable || self.connection.is_held_back()
    }

    fn wants_service(&self) -> bool {
        match self.connection.state() {
            State::Closed => true,
            state => {
                self.is_unsent() || self.is_unread() || self.readiness.readable && state.discards()
            }
        }
    }

    fn settle(&mut self, now: Instant, registry: &Registry) {
        if self.transport.is_secured() {
            self.settle_ciphertext(now);
        }
        if self.connection.settle(now) == Due::ShutdownWrite {
            self.end_output();
        }
        if self.connection.begins_to_wait() {
            self.connection
                .note_unacknowledged(self.transport.stream.unacknowledged());
        }
        self.ask_for_events(registry);
    }

    /// Where the peer is gone already the next read tells. Else a peer that is not told of the end may wait for it for ever,
    /// as we do for that of the peer. Cold, for most turns end nothing.
    #[cold]
    fn end_output(&mut self) {
        match self.transport.stream.shutdown_write() {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                self.connection.fail(Reason::system(Call::Write, &error));
            }
            _ => self.readiness.readable = true,
        }
    }
}

/// A connection without an option of its socket is better than none, and where the peer is gone the next read tells.
fn set_options(stream: &Stream, settings: &Settings) {
    let _ = stream.set_no_delay(settings.no_delay);
    if settings.keep_alive.is_some() {
        let _ = stream.set_keep_alive(settings.keep_alive);
    }
}
