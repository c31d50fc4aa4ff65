//! What a listener or a dial fixes for its connections, checked once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::Slice;
use crate::frame::{Decoder, Framing, IdField};
use crate::socket::NoDelay;
use crate::tls::Tls;
pub(crate) use crate::unfinished::Claim;
pub use crate::unfinished::UnfinishedBound;
use crate::work::Workers;

/// What happens to our direction when the peer ends its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfOpen {
    /// It closes too, once what had arrived is answered.
    Close,
    /// It stays open until we close it.
    Keep,
}

/// What a connection does about a peer that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenCongested {
    /// It reads no further requests either: a peer that does not read replies is not served.
    StopReading,
    /// It goes on reading. What waits to be sent are requests, and what arrives are replies: two
    /// sides that both stopped would wait for each other.
    KeepReading,
}

/// Whether a new connection hands over messages at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Reading,
    /// When it is resumed.
    Paused,
}

/// What handles messages.
#[derive(Clone, Debug, Default)]
pub enum Handling {
    /// The consumer that gets the poller's batches.
    #[default]
    Owner,
    /// Workers, and no other consumer sees them.
    Workers {
        /// The workers.
        pool: Workers,
        /// What is sent in the place of a reply that got lost with its worker, framed. `None`: the connection closes.
        lost: Option<LostReply>,
    },
}

/// A reply that is the same for every peer.
#[derive(Clone)]
pub struct LostReply(pub Slice);

impl std::fmt::Debug for LostReply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LostReply({} bytes)", self.0.len())
    }
}

/// Which reply leaves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOrder {
    /// That of the oldest message.
    Requests,
    /// Whichever is there first.
    Any,
}

/// What all connections of one listener or dialer have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How input is cut.
    pub framing: Framing,
    /// Where messages carry the ids by which replies are matched. `None` where they are matched otherwise.
    pub id_field: Option<IdField>,
    /// Messages handed over and not yet acknowledged, at which reading stops. `None` where messages
    /// need no acknowledgement, and closing waits for none: replies that a client reads. See
    /// [`crate::connection::Connection::count_messages`].
    pub max_in_flight: Option<NonZeroU32>,
    /// What handles messages.
    pub handling: Handling,
    /// In which order answers of workers are sent. Other handlers of messages send in an order of
    /// their own.
    pub reply_order: ReplyOrder,
    /// Bytes waiting to be sent, at which the connection counts as congested.
    pub high_water_mark: usize,
    /// What follows from that for reading.
    pub when_congested: WhenCongested,
    /// Nagle's algorithm.
    pub no_delay: NoDelay,
    /// Half-closed connections.
    pub half_open: HalfOpen,
    /// Whether to begin paused.
    pub start: Start,
    /// How long a closing connection waits for a peer that makes no progress.
    pub close_timeout: Duration,
    /// How long it waits in all, whatever progress its peer makes.
    pub max_close_time: Duration,
    /// How long a message may be unfinished while we read. What came whole before it is still answered, as far as
    /// messages count as in flight. Means nothing without framing.
    pub read_timeout: Option<Duration>,
    /// How long the peer may take nothing of what is queued.
    pub write_timeout: Option<Duration>,
    /// How long nothing may be read, written or in handling before that is told. It closes nothing.
    pub idle_timeout: Option<Duration>,
    /// How long a TCP peer is silent before the kernel probes it. `None`: it never does.
    pub keep_alive: Option<Duration>,
    /// Bound on the bytes of messages that are unfinished or held back, shared by all connections
    /// that have the same settings.
    pub unfinished: Arc<UnfinishedBound>,
    /// Encryption, if there is any.
    pub tls: Option<Tls>,
}

impl Settings {
    /// Of connections whose input `framing` cuts, and nothing else. They have no bound on messages
    /// in flight, and no time limits but five seconds for closing. They have 64 KiB of output until
    /// a connection is congested, and 64 MiB for unfinished messages.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            id_field: None,
            max_in_flight: None,
            handling: Handling::Owner,
            reply_order: ReplyOrder::Requests,
            high_water_mark: 64 * 1024,
            when_congested: WhenCongested::KeepReading,
            no_delay: NoDelay::On,
            half_open: HalfOpen::Close,
            start: Start::Reading,
            close_timeout: Duration::from_secs(5),
            max_close_time: Duration::from_secs(5),
            read_timeout: None,
            write_timeout: None,
            idle_timeout: None,
            keep_alive: None,
            unfinished: Arc::new(UnfinishedBound::new(64 * 1024 * 1024)),
            tls: None,
        }
    }

    /// How input becomes messages.
    #[must_use]
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder {
            framing: &self.framing,
            id_field: self.id_field,
        }
    }

    /// The most records that a message takes.
    #[must_use]
    pub fn records_per_message(&self) -> usize {
        if self.id_field.is_some() { 2 } else { 1 }
    }
}
