//! One poller owns its listeners and connections outright. A driver asks it to wait, to take a
//! turn, and to flush; nothing above knows which driver that is.

mod acceptor;
mod endpoint;
mod slots;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll};

pub use slots::Id;

use crate::address::Address;
use crate::batch::Batch;
use crate::buffer::{ChunkPool, Intake, Slice};
use crate::reason::Reason;
use crate::settings::{Settings, Start};
use crate::socket::{Listener, NoDelay, Stream};
use crate::timer::Wheel;
use acceptor::{ACCEPT_BUDGET, Accepted, Acceptor};
use endpoint::{Endpoint, Next, Work};
use slots::{Occupant, Slots};

const EVENTS: usize = 1024;
/// Records after which a turn takes nobody else on. A few busy peers and their server work at the same
/// time only if the first of them gets its replies while the others are still being read.
const TURN_RECORDS: usize = 64;
/// Bytes read after which a turn takes nobody else on: what is still in the processor's cache when
/// the replies leave is sent for much less.
const TURN_BYTES: usize = 256 * 1024;

/// Sockets, what is known about them, and the list of those that have something to do.
pub struct Poller {
    poll: Poll,
    events: Events,
    slots: Slots,
    ready: VecDeque<u32>,
    unflushed: Vec<Id>,
    /// Slots whose listener or connection has gone. Records about it may not have been looked at yet,
    /// so nobody else gets such a slot before the next turn.
    resting: Vec<u32>,
    wheel: Wheel,
    intake: Intake,
}

impl Poller {
    /// An empty poller that reads into chunks of `pool`.
    ///
    /// # Errors
    /// The system's, such as no descriptor left.
    pub fn new(pool: ChunkPool, now: Instant) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            slots: Slots::default(),
            ready: VecDeque::new(),
            unflushed: Vec::new(),
            resting: Vec::new(),
            wheel: Wheel::new(now),
            intake: Intake::new(pool),
        })
    }

    /// Listens on `address`.
    ///
    /// # Errors
    /// The system's, such as an address in use.
    pub fn listen(
        &mut self,
        address: &Address,
        backlog: i32,
        settings: Arc<Settings>,
    ) -> io::Result<Id> {
        let mut listener = Listener::bind(address, backlog)?;
        let id = self.slots.next_id();
        self.poll
            .registry()
            .register(&mut listener, id.token(), Interest::READABLE)?;
        Ok(self
            .slots
            .occupy(Occupant::Acceptor(Acceptor::new(listener, settings))))
    }

    /// Stops listening. Connections that wait to be accepted are reset by the system.
    pub fn unlisten(&mut self, id: Id) {
        if let Some(Occupant::Acceptor(_)) = self.slots.find(id) {
            self.rest(id.slot);
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

    /// Begins to connect to `address`. The outcome is a record: connected, or closed.
    ///
    /// # Errors
    /// Whatever the system says at once.
    pub fn dial(
        &mut self,
        address: &Address,
        settings: Arc<Settings>,
        deadline: Option<Instant>,
    ) -> io::Result<Id> {
        let stream = Stream::connect(address)?;
        let id = self.slots.next_id();
        let registry = self.poll.registry();
        let endpoint = Endpoint::dialed(stream, id, settings, deadline, registry)?;
        self.slots.occupy(Occupant::Endpoint(Box::new(endpoint)));
        self.arm(id);
        Ok(id)
    }

    /// Waits until a socket is ready or `timeout` has passed, and notes what is ready.
    ///
    /// # Errors
    /// The system's; an interruption is none.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let id = Id::from_key(event.token().0 as u64);
            match self.slots.find(id) {
                Some(Occupant::Endpoint(endpoint)) => endpoint.observe(event),
                Some(Occupant::Acceptor(_)) => {}
                Some(Occupant::Nobody) | None => continue,
            }
            if self.slots.list(id.slot) {
                self.ready.push_back(id.slot);
            }
        }
        Ok(())
    }

    /// Serves everyone who is ready, each once, until the batch is full. Whoever has more to do
    /// waits for the next turn: see [`Self::has_ready`].
    pub fn turn(&mut self, now: Instant, batch: &mut Batch) {
        for slot in self.resting.drain(..) {
            self.slots.vacate(slot);
        }
        let bytes_before = batch.bytes();
        for _ in 0..self.ready.len() {
            let bytes = batch.bytes() - bytes_before;
            if batch.room() == 0 || batch.len() >= TURN_RECORDS || bytes >= TURN_BYTES {
                break;
            }
            let Some(slot) = self.ready.pop_front() else {
                break;
            };
            self.slots.unlist(slot);
            self.serve(slot, now, batch);
        }
        // Last, so that after a long pause of the process the progress that a peer has made meanwhile
        // counts before the deadline does.
        self.expire(now);
    }

    /// Whether another turn has something to do, without any event. The poller's descriptor does
    /// not tell: the sockets are edge-triggered.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When a timer is due next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        self.wheel.next_wake()
    }

    /// Queues `slice` to be sent by the next [`Self::flush`].
    pub fn send(&mut self, id: Id, slice: Slice) {
        self.command(id, |endpoint| endpoint.connection().send(slice));
    }

    /// `count` messages of this connection are done with.
    pub fn acknowledge(&mut self, id: Id, count: u32) {
        self.command(id, |endpoint| endpoint.connection().acknowledge(count));
    }

    /// Stops or resumes handing over messages.
    pub fn set_flow(&mut self, id: Id, flow: Start) {
        self.command(id, |endpoint| endpoint.connection().set_flow(flow));
    }

    /// Answers what was taken, then closes.
    pub fn finish(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().finish());
    }

    /// Sends what is queued, then closes.
    pub fn close(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().close());
    }

    /// Closes at once; what is queued is lost.
    pub fn destroy(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().fail(Reason::Normal));
    }

    /// Sends what the commands since the last flush have queued: one system call per connection.
    pub fn flush(&mut self, now: Instant) {
        let mut unflushed = std::mem::take(&mut self.unflushed);
        for id in unflushed.drain(..) {
            let Some(endpoint) = self.slots.endpoint(id) else {
                continue;
            };
            let next = endpoint.flush(now, self.poll.registry());
            self.arm(id);
            if next != Next::Wait && self.slots.list(id.slot) {
                self.ready.push_back(id.slot);
            }
        }
        // Keeps its memory for the next turn.
        self.unflushed = unflushed;
    }

    /// The peer's address, as long as the connection has its slot.
    pub fn peer_address(&mut self, id: Id) -> Option<Address> {
        self.slots.endpoint(id)?.peer().cloned()
    }

    /// The local address, as long as the connection has its slot.
    pub fn local_address(&mut self, id: Id) -> Option<Address> {
        self.slots.endpoint(id)?.stream().local_address().ok()
    }

    /// Whether a connection still takes bytes to send.
    pub fn accepts_output(&mut self, id: Id) -> bool {
        self.slots
            .endpoint(id)
            .is_some_and(|endpoint| endpoint.connection().accepts_output())
    }

    /// See [`crate::connection::Connection::ask_congested`].
    pub fn ask_congested(&mut self, id: Id) -> bool {
        self.slots
            .endpoint(id)
            .is_some_and(|endpoint| endpoint.connection().ask_congested())
    }

    /// See [`Stream::set_no_delay`]. A connection that is gone is no error.
    ///
    /// # Errors
    /// The system's.
    pub fn set_no_delay(&mut self, id: Id, delay: NoDelay) -> io::Result<()> {
        let endpoint = self.slots.endpoint(id);
        endpoint.map_or(Ok(()), |endpoint| endpoint.stream().set_no_delay(delay))
    }

    /// See [`Stream::set_keep_alive`]. A connection that is gone is no error.
    ///
    /// # Errors
    /// The system's.
    pub fn set_keep_alive(&mut self, id: Id, idle: Option<Duration>) -> io::Result<()> {
        let endpoint = self.slots.endpoint(id);
        endpoint.map_or(Ok(()), |endpoint| endpoint.stream().set_keep_alive(idle))
    }

    /// Closes at once, and has the kernel reset a TCP peer.
    pub fn reset(&mut self, id: Id) {
        self.command(id, |endpoint| {
            // Where it fails, closing still ends the connection.
            let _ = endpoint.stream().reset_on_close();
            endpoint.connection().fail(Reason::Normal);
        });
    }

    fn command(&mut self, id: Id, command: impl FnOnce(&mut Endpoint)) {
        let Some(endpoint) = self.slots.endpoint(id) else {
            return;
        };
        command(endpoint);
        // Replies of one connection usually follow each other.
        if self.unflushed.last() != Some(&id) {
            self.unflushed.push(id);
        }
    }

    fn expire(&mut self, now: Instant) {
        let (slots, ready) = (&mut self.slots, &mut self.ready);
        self.wheel.expire(now, |key| {
            let id = Id::from_key(key);
            if slots.find(id).is_none() {
                return;
            }
            let work = if slots.list(id.slot) {
                ready.push_back(id.slot);
                Work::None
            } else {
                Work::Waiting
            };
            if let Some(endpoint) = slots.endpoint(id) {
                endpoint.wheel_fired(now, work);
            }
        });
    }

    fn arm(&mut self, id: Id) {
        let deadline = self.slots.endpoint(id).and_then(Endpoint::deadline_to_arm);
        if let Some(deadline) = deadline {
            self.wheel.arm(id.key(), deadline);
        }
    }

    fn serve(&mut self, slot: u32, now: Instant, batch: &mut Batch) {
        let next = match self.slots.at(slot) {
            Occupant::Nobody => return,
            Occupant::Acceptor(_) => return self.accept(slot, now, batch),
            Occupant::Endpoint(endpoint) => {
                let next = endpoint.serve(now, &mut self.intake, self.poll.registry(), batch);
                if let Some(deadline) = endpoint.deadline_to_arm() {
                    self.wheel.arm(endpoint.id().key(), deadline);
                }
                next
            }
        };
        match next {
            Next::Again => self.list(slot),
            Next::Wait => {}
            Next::Gone => self.rest(slot),
        }
    }

    fn accept(&mut self, slot: u32, now: Instant, batch: &mut Batch) {
        for _ in 0..ACCEPT_BUDGET {
            if batch.room() == 0 {
                break;
            }
            let Occupant::Acceptor(acceptor) = self.slots.at(slot) else {
                return;
            };
            match acceptor.accept(now) {
                Accepted::Connection(stream, peer) => {
                    let settings = acceptor.settings().clone();
                    self.admit(stream, peer, settings, slot, batch);
                }
                Accepted::Drained => return,
                Accepted::Lost => {}
                Accepted::ShortageBegan(errno) => {
                    batch.accept_paused(slot, errno);
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
        listener: u32,
        batch: &mut Batch,
    ) {
        let id = self.slots.next_id();
        // Fails when the peer has reset the connection already: nobody has to know.
        if let Ok(endpoint) = Endpoint::accepted(stream, peer, id, settings, self.poll.registry()) {
            self.slots.occupy(Occupant::Endpoint(Box::new(endpoint)));
            batch.accepted(id.slot, id.generation, listener);
            self.list(id.slot);
        }
    }

    fn rest(&mut self, slot: u32) {
        *self.slots.at(slot) = Occupant::Nobody;
        self.resting.push(slot);
    }

    fn retry_accepting(&mut self, slot: u32) {
        let id = self.slots.id_at(slot);
        if let Occupant::Acceptor(acceptor) = self.slots.at(slot)
            && let Some(retry) = acceptor.retry()
        {
            self.wheel.arm(id.key(), retry);
        }
    }

    fn list(&mut self, slot: u32) {
        if self.slots.list(slot) {
            self.ready.push_back(slot);
        }
    }
}

impl AsRawFd for Poller {
    /// Readable whenever a socket of this poller has become ready.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}
