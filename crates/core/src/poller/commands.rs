//! What may be asked of one connection, and asked about it.

use std::io;
use std::time::{Duration, Instant};

use super::command::Command;
use super::endpoint::Endpoint;
use super::slots::Occupant;
use super::turn::Poller;
use crate::address::Address;
use crate::buffer::Slice;
use crate::connection::{DeadlineTimer, ForeignBytes, Limit};
use crate::id::Id;
use crate::reason::Reason;
use crate::settings::Start;
use crate::socket::NoDelay;
use crate::tls::{Negotiated, Upgrade};
use crate::work::Answer;

/// Commands take effect with the next [`Poller::flush`]. One for a connection that is gone does nothing.
impl Poller {
    /// Does what is asked of one connection. It takes effect with the next [`Self::flush`].
    pub fn carry_out(&mut self, id: Id, command: Command) {
        match command {
            Command::Send(slice) => self.send(id, slice),
            Command::Reply(slice) => {
                self.send(id, slice);
                self.acknowledge(id, 1);
            }
            Command::Acknowledge(count) => self.acknowledge(id, count),
            Command::AllowBeyond(count) => self.allow_beyond(id, count),
            Command::CountMessages => self.count_messages(id),
            Command::Close => self.close(id),
            Command::Finish => self.finish(id),
            Command::Fail(reason) => self.fail(id, reason),
            Command::Reset => self.reset(id),
            Command::Flow(flow) => self.set_flow(id, flow),
            Command::End => self.end(id),
            Command::TakeOver => self.take_over(id),
            Command::StartTls(last) => self.start_tls(id, last),
            Command::TellFlushed(number) => self.tell_flushed(id, number),
            Command::DeadlineTimer(deadline_timer) => self.set_deadline_timer(id, deadline_timer),
            Command::Limit(limit, time) => self.set_limit(id, limit, time),
            Command::ConfirmIdle(busy) => self.confirm_idle(id, busy),
        }
    }

    /// Queues `slice` to be sent by the next [`Self::flush`].
    pub fn send(&mut self, id: Id, slice: Slice) {
        self.command(id, |endpoint| endpoint.connection().send(slice));
    }

    /// As [`Self::send`], for bytes `start..start + length` of foreign memory. If they are not
    /// there any more when it is their turn, the connection fails with [`Reason::ForeignDetached`].
    pub fn send_foreign(
        &mut self,
        id: Id,
        owner: Box<dyn ForeignBytes>,
        start: usize,
        length: usize,
    ) {
        self.command(id, |endpoint| {
            endpoint.connection().send_foreign(owner, start, length);
        });
    }

    /// Sends bytes at once that are not ours, behind what is queued and as far as the system takes them. Returns how many
    /// have left; the rest is for [`Self::send`].
    pub fn send_at_once(&mut self, id: Id, bytes: &[u8], now: Instant) -> usize {
        let mut left = 0;
        self.command(id, |endpoint| {
            left = endpoint.write_behind_queue(bytes, now);
        });
        left
    }

    /// `count` messages of this connection are done with.
    pub fn acknowledge(&mut self, id: Id, count: u32) {
        self.command(id, |endpoint| endpoint.connection().acknowledge(count));
    }

    /// A worker has answered message `sequence` of this connection.
    pub fn answer(&mut self, id: Id, sequence: u32, answer: Answer) {
        self.command(id, |endpoint| {
            endpoint.connection().answer(sequence, answer);
        });
    }

    /// See [`crate::connection::Connection::allow_beyond`].
    pub fn allow_beyond(&mut self, id: Id, count: u32) {
        self.command(id, |endpoint| endpoint.connection().allow_beyond(count));
    }

    /// See [`crate::connection::Connection::count_messages`].
    pub fn count_messages(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().count_messages());
    }

    /// See [`crate::connection::Connection::tell_flushed`].
    pub fn tell_flushed(&mut self, id: Id, number: u32) {
        self.command(id, |endpoint| endpoint.connection().tell_flushed(number));
    }

    /// See [`crate::connection::Connection::start_tls`].
    pub fn start_tls(&mut self, id: Id, last: Slice) {
        self.command(id, |endpoint| endpoint.connection().start_tls(last));
    }

    /// Shakes hands on a connection that [`Self::start_tls`] has stopped, once [`crate::RecordKind::PlainEnded`] was told.
    ///
    /// # Errors
    /// `ENOTCONN` where it is not such a connection. What TLS refuses ends it.
    pub fn secure(&mut self, id: Id, upgrade: Upgrade) -> io::Result<()> {
        let gone = || io::Error::from_raw_os_error(libc::ENOTCONN);
        let endpoint = self.slots.endpoint(id).ok_or_else(gone)?;
        endpoint.upgrade(upgrade)?;
        self.list(id.slot);
        Ok(())
    }

    /// Stops or resumes handing over messages.
    pub fn set_flow(&mut self, id: Id, flow: Start) {
        self.command(id, |endpoint| endpoint.connection().set_flow(flow));
    }

    /// See [`crate::connection::Connection::take_over`].
    pub fn take_over(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().take_over());
    }

    /// Sends what is queued, then ends our direction.
    pub fn end(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().end());
    }

    /// Answers what was taken, then closes.
    pub fn finish(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().finish());
    }

    /// Sends what is queued, then closes.
    pub fn close(&mut self, id: Id) {
        self.command(id, |endpoint| endpoint.connection().close());
    }

    /// Closes at once, for `reason`; what is queued is lost.
    pub fn fail(&mut self, id: Id, reason: Reason) {
        self.command(id, |endpoint| endpoint.connection().fail(reason));
    }

    /// Closes at once, in order; what is queued is lost.
    pub fn destroy(&mut self, id: Id) {
        self.fail(id, Reason::Normal);
    }

    /// Closes at once, and has the kernel reset a TCP peer.
    pub fn reset(&mut self, id: Id) {
        self.command(id, |endpoint| {
            // Where it fails, closing still ends the connection.
            let _ = endpoint.stream().reset_on_close();
            endpoint.connection().fail(Reason::Normal);
        });
    }

    /// See [`crate::connection::Connection::set_limit`].
    pub fn set_limit(&mut self, id: Id, limit: Limit, time: Option<Duration>) {
        self.command(id, |endpoint| endpoint.connection().set_limit(limit, time));
    }

    /// See [`crate::connection::Connection::confirm_idle`].
    pub fn confirm_idle(&mut self, id: Id, busy: Instant) {
        self.command(id, |endpoint| endpoint.connection().confirm_idle(busy));
    }

    /// See [`crate::connection::Connection::set_deadline_timer`].
    pub fn set_deadline_timer(&mut self, id: Id, deadline_timer: Option<DeadlineTimer>) {
        self.command(id, |endpoint| {
            endpoint.connection().set_deadline_timer(deadline_timer);
        });
    }

    fn command(&mut self, id: Id, command: impl FnOnce(&mut Endpoint)) {
        let Some(endpoint) = self.slots.endpoint(id) else {
            return;
        };
        command(endpoint);
        // Replies of one connection usually follow each other.
        if self.unflushed.last() == Some(&id) {
            return;
        }
        // As many as commands alternate between connections.
        if self.unflushed.try_reserve(1).is_ok() {
            self.unflushed.push(id);
        } else {
            endpoint.connection().fail(Reason::OutOfMemory);
            self.list(id.slot);
        }
    }
}

/// Settings of the socket, and questions.
impl Poller {
    /// The peer's address, until its last record was seen.
    pub fn peer_address(&mut self, id: Id) -> Option<Address> {
        match self.slots.find(id)? {
            Occupant::Endpoint(endpoint) => endpoint.peer().cloned(),
            Occupant::Gone(departed) => departed.peer.clone(),
            Occupant::Vacant | Occupant::Acceptor(_) => None,
        }
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

    /// What TLS has agreed on, until its last record was seen; `None` without TLS, and before its handshake is done.
    pub fn negotiated(&mut self, id: Id) -> Option<Negotiated> {
        match self.slots.find(id)? {
            Occupant::Endpoint(endpoint) => endpoint.negotiated(),
            Occupant::Gone(departed) => departed.session.as_ref()?.negotiated(),
            Occupant::Vacant | Occupant::Acceptor(_) => None,
        }
    }

    /// Bytes that came from the socket so far, as long as the connection has its slot.
    pub fn bytes_read(&mut self, id: Id) -> Option<u64> {
        let endpoint = self.slots.endpoint(id)?;
        Some(endpoint.connection().bytes_read())
    }

    /// Bytes that the socket took so far, as long as the connection has its slot.
    pub fn bytes_written(&mut self, id: Id) -> Option<u64> {
        let endpoint = self.slots.endpoint(id)?;
        Some(endpoint.connection().bytes_written())
    }

    /// Bytes that wait to be sent, which the socket does not take now; 0 for a connection that is gone.
    pub fn unsent(&mut self, id: Id, now: Instant) -> usize {
        self.flush(now);
        self.slots
            .endpoint(id)
            .map_or(0, |endpoint| endpoint.connection().unsent())
    }

    /// See [`crate::connection::Connection::is_silent`]. What was asked of it before counts, too.
    pub fn is_silent(&mut self, id: Id, now: Instant) -> bool {
        self.flush(now);
        self.slots
            .endpoint(id)
            .is_some_and(|endpoint| endpoint.connection().is_silent())
    }

    /// See [`crate::connection::Connection::ask_congested`].
    pub fn ask_congested(&mut self, id: Id) -> bool {
        self.slots
            .endpoint(id)
            .is_some_and(|endpoint| endpoint.connection().ask_congested())
    }

    /// See [`crate::socket::Stream::set_no_delay`]. A connection that is gone is no error.
    ///
    /// # Errors
    /// The system's.
    pub fn set_no_delay(&mut self, id: Id, delay: NoDelay) -> io::Result<()> {
        let endpoint = self.slots.endpoint(id);
        endpoint.map_or(Ok(()), |endpoint| endpoint.stream().set_no_delay(delay))
    }

    /// See [`crate::socket::Stream::set_keep_alive`]. A connection that is gone is no error.
    ///
    /// # Errors
    /// The system's.
    pub fn set_keep_alive(&mut self, id: Id, idle: Option<Duration>) -> io::Result<()> {
        let endpoint = self.slots.endpoint(id);
        endpoint.map_or(Ok(()), |endpoint| endpoint.stream().set_keep_alive(idle))
    }
}
