//! How an endpoint has its socket watched.

use mio::{Interest, Registry};

use super::{Endpoint, INPUT};
use crate::connection::State;
use crate::reason::{Call, Reason};
use crate::watch::{Trigger, Watch};

impl Endpoint {
    /// A message asks for nothing anew: it costs a few comparisons here.
    pub(super) fn ask_for_events(&mut self, registry: &Registry) {
        let wanted = Watch {
            interest: self.interest(),
            trigger: self.trigger(),
        };
        if wanted == self.watch || self.connection.state() == State::Closed {
            return;
        }
        self.watch = wanted;
        if let Err(error) = self
            .transport
            .stream
            .watch_anew(registry, self.id.token(), wanted)
        {
            self.connection.fail(Reason::system(Call::Watch, &error));
        }
    }

    /// Write readiness is asked for only while the socket is full: a unix socket otherwise
    /// reports it whenever its peer reads.
    fn interest(&self) -> Interest {
        let connecting = self.connection.state() == State::Connecting;
        let full = !self.readiness.writable && self.has_output();
        if connecting || full {
            INPUT | Interest::WRITABLE
        } else {
            INPUT
        }
    }

    /// Whether anything waits for the socket.
    fn has_output(&self) -> bool {
        self.connection.outbound().has_remaining() || self.transport.outgoing() > 0
    }

    /// What is told in each look must go away by being served. Bytes that stay in the socket do
    /// not, nor does an end that was read, or that the connection does not read.
    fn trigger(&self) -> Trigger {
        let Trigger::Level = self.transport.stream.trigger_while_read() else {
            return Trigger::Edge;
        };
        if self.wants_service() {
            // Whether something stays is known when that is done. A large transfer is watched as it was.
            return self.watch.trigger;
        }
        let reads = self.connection.reads() || self.connection.state().discards();
        if reads && !self.readiness.readable {
            Trigger::Level
        } else {
            Trigger::Edge
        }
    }
}
