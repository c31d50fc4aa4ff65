//! The turns of a poller: it waits, serves those that are ready, and sends.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use super::acceptor::AcceptTrouble;
use super::dialing::Dialing;
use super::endpoint::{Endpoint, Next, Work};
use super::handle::{PollerHandle, PollerWaker};
use super::message::PollerMessage;
use super::slots::{Occupant, Slots};
use super::submission;
use crate::address::Address;
use crate::batch::Batch;
use crate::buffer::{Chunk, ChunkPool, OutOfMemory, ReadBuffer};
use crate::faults::inject;
use crate::id::Id;
use crate::reason::Reason;
use crate::settings::Settings;
use crate::timer::Wheel;
use crate::tls;
use crate::work::Task;

const EVENTS: usize = 1024;
/// What the system says of messages in the inbox. No id has it: slots are far fewer.
const INBOX: Token = Token(usize::MAX);
/// Records after which a turn takes no other socket on. A few busy peers and their server work
/// at the same time only if the first gets its replies while the others are being read.
const TURN_RECORDS: usize = 64;
/// Bytes read after which a turn takes no other socket on. What is still in the processor's
/// cache when the replies leave is sent for much less.
const TURN_BYTES: usize = 256 * 1024;

/// Sockets, what is known about them, and the list of those that have something to do.
pub struct Poller {
    pub(super) poll: Poll,
    events: Events,
    pub(super) slots: Slots,
    ready: VecDeque<u32>,
    pub(super) unflushed: Vec<Id>,
    /// Slots whose listener or connection has gone. Records about it may not have been looked at
    /// yet, so no other gets such a slot before the next turn.
    resting: Vec<u32>,
    pub(super) wheel: Wheel,
    /// Whether the poller has looked what is ready since deadlines were last acted on.
    polled: Polled,
    /// Until when deadlines that have passed are put off.
    put_off: Option<Instant>,
    read_buffer: ReadBuffer,
    pub(super) handle: PollerHandle,
    /// Whether messages may be in the inbox.
    pub(super) has_messages: bool,
    /// Where messages are taken to, kept for its memory.
    pub(super) messages: Vec<PollerMessage>,
    /// Messages for workers, of the connection that is served.
    work: Batch,
    /// The same as tasks, kept for its memory.
    tasks: Vec<Task>,
    /// What has happened to accepting since the last turn, for listeners that are elsewhere.
    pub(super) troubles: Vec<AcceptTrouble>,
    /// Connections whose workers had no room.
    pub(super) stalled: HashSet<Id>,
}

/// A deadline counts only after a look at the sockets: the process may have stalled, and not the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Polled {
    /// At all of them.
    Yes,
    /// At as many as one call tells of: more may be ready.
    InPart,
    No,
}

/// Whether anything was ready in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Served {
    Some,
    None,
}

impl Poller {
    /// An empty poller that reads into chunks of `pool`.
    ///
    /// # Errors
    /// The system's, such as no descriptor left.
    pub fn new(pool: ChunkPool, now: Instant) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = PollerWaker(Waker::new(poll.registry(), INBOX)?);
        let read_buffer = ReadBuffer::new(pool)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            slots: Slots::default(),
            ready: VecDeque::new(),
            unflushed: Vec::new(),
            resting: Vec::new(),
            wheel: Wheel::new(now),
            polled: Polled::No,
            put_off: None,
            read_buffer,
            handle: PollerHandle::new(waker),
            has_messages: false,
            messages: Vec::new(),
            work: Batch::with_capacity(submission::CAPACITY),
            tasks: Vec::new(),
            troubles: Vec::new(),
            stalled: HashSet::new(),
        })
    }

    /// The place for the next occupant, and in the lists that have one entry for each place.
    pub(super) fn next_id(&mut self) -> Result<Id, OutOfMemory> {
        let id = self.slots.next_id()?;
        let count = self.slots.count();
        let (ready, resting) = (self.ready.len(), self.resting.len());
        self.ready.try_reserve(count.saturating_sub(ready))?;
        self.resting.try_reserve(count.saturating_sub(resting))?;
        Ok(id)
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
        self.follow_dial(Dialing::new(address.clone(), None), settings, deadline)
    }

    /// As [`dial`](Self::dial), by TCP, from an address and port of this host. Port 0 lets the system
    /// choose; an unspecified address leaves that choice to it.
    ///
    /// # Errors
    /// Whatever the system says at once.
    pub fn dial_from(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        settings: Arc<Settings>,
        deadline: Option<Instant>,
    ) -> io::Result<Id> {
        let dialing = Dialing::new(Address::Ip(remote), Some(local));
        self.follow_dial(dialing, settings, deadline)
    }

    /// As [`dial`](Self::dial), or from `local` if that is given, to a server that is called `host`: what TLS asks it for.
    ///
    /// # Errors
    /// Whatever the system says at once.
    pub fn dial_host(
        &mut self,
        address: &Address,
        local: Option<SocketAddr>,
        host: Option<String>,
        settings: Arc<Settings>,
        deadline: Option<Instant>,
    ) -> io::Result<Id> {
        let dialing = Dialing::new(address.clone(), local).with_host(host);
        self.follow_dial(dialing, settings, deadline)
    }

    fn follow_dial(
        &mut self,
        dialing: Dialing,
        settings: Arc<Settings>,
        deadline: Option<Instant>,
    ) -> io::Result<Id> {
        let id = self.next_id()?;
        let registry = self.poll.registry();
        let endpoint = Endpoint::dialed(dialing, id, settings, deadline, registry)?;
        self.slots
            .occupy(id, Occupant::Endpoint(Box::new(endpoint)));
        self.arm(id);
        Ok(id)
    }

    /// Waits until a socket is ready or `timeout` has passed, and notes what is ready.
    ///
    /// # Errors
    /// The system's; an interruption is none.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // Turns without a look in between share it: other sockets wait for that look, and not for a turn.
        tls::begin_turn();
        match self.await_events(timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        self.polled = if self.note_events() < EVENTS {
            Polled::Yes
        } else {
            Polled::InPart
        };
        Ok(())
    }

    fn await_events(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        inject!(failure at Wait, self);
        self.poll.poll(&mut self.events, timeout)
    }

    /// Looks at every socket that the last look has not told of; whether that was possible. The
    /// system begins with them, but need not come to an end: of sockets that are watched by level
    /// it tells again, in turn.
    fn look_at_rest(&mut self) -> bool {
        let mut told = EVENTS;
        while told <= self.slots.count() {
            if self.await_events(Some(Duration::ZERO)).is_err() {
                return false;
            }
            let count = self.note_events();
            if count < EVENTS {
                break;
            }
            told += count;
        }
        true
    }

    /// Acts on deadlines that have passed. More may be ready than one look tells of, and after a stall they would be given up
    /// without their news.
    fn meet_deadlines(&mut self, now: Instant, served: Served) {
        let due = self.wheel.next_wake().filter(|wake| *wake <= now);
        let is_due = due.is_some();
        let knows = match std::mem::replace(&mut self.polled, Polled::No) {
            Polled::Yes => true,
            Polled::InPart => is_due && self.look_at_rest(),
            Polled::No => false,
        };
        // What the look has told of messages is not told again.
        self.read_inbox();
        if knows && !self.puts_off(due, now, served) {
            self.put_off = None;
            self.expire(now);
        }
    }

    /// Whether deadlines wait for a turn in which nothing is ready. One was `due` while the process stalled, and a peer that lives
    /// in this process has stood still as long. It gets as much time as that stall took, at most.
    fn puts_off(&mut self, due: Option<Instant>, now: Instant, served: Served) -> bool {
        let Some(due) = due.filter(|_| served == Served::Some) else {
            return false;
        };
        now < *self.put_off.get_or_insert(now + (now - due))
    }

    /// Notes what the last look has told; how many events those were.
    fn note_events(&mut self) -> usize {
        let mut count = 0;
        for event in &self.events {
            count += 1;
            if event.token() == INBOX {
                self.has_messages = true;
                continue;
            }
            let id = Id::from_key(event.token().0 as u64);
            match self.slots.find(id) {
                Some(Occupant::Endpoint(endpoint)) => endpoint.observe(event),
                Some(Occupant::Acceptor(_)) => {}
                Some(Occupant::Vacant | Occupant::Gone(_)) | None => continue,
            }
            if self.slots.list(id.slot) {
                self.ready.push_back(id.slot);
            }
        }
        count
    }

    /// Reads the inbox, then serves every socket that is ready, each once, until the batch is
    /// full. A socket that has more to do waits for the next turn: see [`Self::has_ready`].
    ///
    /// `batch` must either have been seen by the consumer that gets the records, and cleared: then
    /// slots whose end it told of are free again. Or no consumer has seen it, and it is added to.
    pub fn turn(&mut self, now: Instant, batch: &mut Batch) {
        if batch.is_empty() {
            self.read_buffer.begin_batch();
            for slot in batch.take_vacated() {
                self.slots.vacate(slot);
            }
        }
        self.read_inbox();
        self.tell_troubles(batch);
        let (records_before, bytes_before) = (batch.len(), batch.bytes());
        let served = match self.ready.is_empty() {
            true => Served::None,
            false => Served::Some,
        };
        for _ in 0..self.ready.len() {
            let records = batch.len() - records_before;
            let bytes = batch.bytes() - bytes_before;
            if batch.room() == 0 || records >= TURN_RECORDS || bytes >= TURN_BYTES {
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
        self.meet_deadlines(now, served);
        self.read_buffer.let_go_unused(now);
        batch.vacate_afterwards(&mut self.resting);
    }

    /// Reads into the memory of the last batch again: its consumer has seen all of it, and does not look at it any more.
    /// `is_free` tells it of the chunk.
    pub fn reuse_batch(&mut self, is_free: impl Fn(&Chunk) -> bool) {
        self.read_buffer.reuse_batch(is_free);
    }

    /// Whether another turn has something to do, without any event, once [`Self::wait`] has looked. The poller's descriptor
    /// does not tell: sockets are watched by edges, except for some.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.troubles.is_empty() || self.put_off.is_some()
    }

    /// When the next turn is due at the latest: for a deadline, or to let go of memory.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let wakes = [self.wheel.next_wake(), self.read_buffer.next_look()];
        wakes.into_iter().flatten().min()
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
            match next {
                Next::Wait => {}
                Next::Stalled => self.stall(id),
                Next::Again | Next::Gone => self.list(id.slot),
            }
        }
        // Keeps its memory for the next turn.
        self.unflushed = unflushed;
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

    pub(super) fn arm(&mut self, id: Id) {
        let Some(endpoint) = self.slots.endpoint(id) else {
            return;
        };
        if arm_for(endpoint, &mut self.wheel).is_err() {
            // Its end is still to be told.
            self.list(id.slot);
        }
    }

    fn serve(&mut self, slot: u32, now: Instant, batch: &mut Batch) {
        let next = match self.slots.at(slot) {
            Occupant::Vacant | Occupant::Gone(_) => return,
            Occupant::Acceptor(_) => return self.accept(slot, now, batch),
            Occupant::Endpoint(endpoint) => {
                let registry = self.poll.registry();
                let mut next =
                    endpoint.serve(now, &mut self.read_buffer, registry, batch, &mut self.work);
                if !self.work.is_empty() {
                    let (work, tasks) = (&mut self.work, &mut self.tasks);
                    next = submission::submit(endpoint, work, tasks, &self.handle, next);
                }
                match arm_for(endpoint, &mut self.wheel) {
                    Err(OutOfMemory) if next != Next::Gone => Next::Again,
                    _ => next,
                }
            }
        };
        match next {
            Next::Again => self.list(slot),
            Next::Wait => {}
            Next::Stalled => self.stall(self.slots.id_at(slot)),
            Next::Gone => self.bury(slot),
        }
    }

    /// Empties a slot, and gives back who had it.
    pub(super) fn rest(&mut self, slot: u32) -> Occupant {
        let occupant = std::mem::replace(self.slots.at(slot), Occupant::Vacant);
        self.resting.push(slot);
        if let Occupant::Endpoint(endpoint) = &occupant {
            for deadline in endpoint.armed_deadlines() {
                self.wheel.disarm(endpoint.id().key(), *deadline);
            }
        }
        occupant
    }

    /// Empties the slot of a connection, and keeps what consumers may ask that are told of its end.
    fn bury(&mut self, slot: u32) {
        if let Occupant::Endpoint(mut endpoint) = self.rest(slot) {
            endpoint.unwatch(self.poll.registry());
            *self.slots.at(slot) = Occupant::Gone(endpoint.depart());
        }
    }

    pub(super) fn list(&mut self, slot: u32) {
        if self.slots.list(slot) {
            self.ready.push_back(slot);
        }
    }
}

/// Arms the wheel for the next deadline of an endpoint, unless it is early enough already.
///
/// # Errors
/// [`OutOfMemory`]: the connection has failed by that, because its deadlines would never come.
fn arm_for(endpoint: &mut Endpoint, wheel: &mut Wheel) -> Result<(), OutOfMemory> {
    let Some(deadline) = endpoint.deadline_to_arm() else {
        return Ok(());
    };
    let armed = wheel.arm(endpoint.id().key(), deadline);
    if armed.is_err() {
        endpoint.connection().fail(Reason::OutOfMemory);
    }
    armed
}

impl AsRawFd for Poller {
    /// Readable whenever a socket of this poller has become ready.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}
