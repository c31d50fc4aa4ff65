//! An endpoint that is dialed becomes a connection.

use std::io;

use mio::Registry;

use super::{DIALING, Endpoint, set_options};
use crate::batch::Batch;
use crate::poller::readiness::Readiness;
use crate::poller::transport::Transport;
use crate::reason::{Call, Reason};
use crate::socket::Connected;

impl Endpoint {
    pub(super) fn finish_connect(&mut self, batch: &mut Batch, registry: &Registry) {
        self.readiness.writable = false;
        match self.transport.stream.finish_connect() {
            Ok(Connected::Yes) => {
                let dialing = self.dialing.take();
                self.peer = self.transport.stream.peer_address().ok();
                if self.connection.settings().tls.is_some() {
                    self.begin_handshake(dialing.as_deref());
                } else {
                    self.connection.connected(batch, self.id.slot);
                }
            }
            Ok(Connected::NotYet) => {}
            Ok(Connected::ToItself) => {
                if let Err(error) = self.dial_again(registry) {
                    self.connection.fail(Reason::system(Call::Connect, &error));
                }
            }
            Err(error) => self.connection.fail(Reason::system(Call::Connect, &error)),
        }
    }

    /// No peer was reached but this socket itself, see [`Dialing`].
    fn dial_again(&mut self, registry: &Registry) -> io::Result<()> {
        self.transport.stream.reset_on_close()?;
        let refused = || io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let mut stream = self.dialing.as_mut().ok_or_else(refused)?.connect()?;
        set_options(&stream, self.connection.settings());
        stream.watch(registry, self.id.token(), DIALING)?;
        self.watch = DIALING;
        self.readiness = Readiness::default();
        // Closes the other one.
        self.transport = Transport::plain(stream);
        Ok(())
    }
}
