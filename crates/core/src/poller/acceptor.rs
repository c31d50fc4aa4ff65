//! A listener and its connections-to-be.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::settings::Settings;
use crate::socket::{Listener, Stream};

/// How long accepting pauses when the process or the system has no descriptor or memory left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Connections accepted before others have their turn.
pub(super) const ACCEPT_BUDGET: usize = 64;

/// Whether the shortage that goes on now has been reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    Enough,
    Short { retry: Instant },
}

pub(super) struct Acceptor {
    listener: Listener,
    settings: Arc<Settings>,
    supply: Supply,
}

/// What one attempt to accept came to.
pub(super) enum Accepted {
    Connection(Stream, Address),
    /// Nobody waits.
    Drained,
    /// The peer was gone before it was accepted; the next one may be there.
    Lost,
    /// No descriptor or memory, for the first time since it was last otherwise.
    ShortageBegan(i32),
    /// Still none.
    ShortageGoesOn,
}

impl Acceptor {
    pub(super) fn new(listener: Listener, settings: Arc<Settings>) -> Self {
        Self {
            listener,
            settings,
            supply: Supply::Enough,
        }
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// When to try again after a shortage.
    pub(super) fn retry(&self) -> Option<Instant> {
        match self.supply {
            Supply::Enough => None,
            Supply::Short { retry } => Some(retry),
        }
    }

    pub(super) fn accept(&mut self, now: Instant) -> Accepted {
        if self.retry().is_some_and(|retry| now < retry) {
            return Accepted::ShortageGoesOn;
        }
        match self.listener.accept() {
            Ok((stream, peer)) => {
                self.supply = Supply::Enough;
                Accepted::Connection(stream, peer)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.supply = Supply::Enough;
                Accepted::Drained
            }
            Err(error) => match error.raw_os_error() {
                Some(errno @ (libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {
                    let known = self.retry().is_some();
                    self.supply = Supply::Short {
                        retry: now + BACK_OFF,
                    };
                    if known {
                        Accepted::ShortageGoesOn
                    } else {
                        Accepted::ShortageBegan(errno)
                    }
                }
                _ => Accepted::Lost,
            },
        }
    }
}
