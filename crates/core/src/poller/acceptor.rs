//! A listener and its connections-to-be.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load_balancer::LoadBalancer;
use crate::address::Address;
use crate::listener::Listener;
use crate::reason::errno;
use crate::settings::Settings;
use crate::socket::Stream;
use crate::trace::{IS_ON, Subject, trace};

/// How long accepting pauses when the process or the system has no descriptor or memory left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Attempts in a row that fail for reasons of one peer, after which they are taken for a lasting failure.
const LOST_IN_A_ROW: u32 = 64;
/// Connections accepted before others have their turn.
pub(super) const ACCEPT_BUDGET: usize = 64;

/// Whether connections can be accepted. A shortage is reported when it begins, and is over when
/// every peer that waits is accepted. One descriptor that becomes free now and then does not make
/// it a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    Enough,
    Short { retry: Instant },
    Recovering,
}

/// Which poller gets the connections of a listener.
pub(super) enum Destination {
    /// The listener's own poller.
    Here(Arc<Settings>),
    /// The member that a load balancer chooses.
    Balanced(LoadBalancer),
}

pub(super) struct Acceptor {
    listener: Listener,
    destination: Destination,
    /// How records name the listener.
    tag: u32,
    supply: Supply,
    /// Connections that were accepted so far.
    accepted: u64,
    /// Attempts that have failed for reasons of one peer, since the last that did not.
    lost_in_a_row: u32,
}

/// Whether a shortage has been reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    New,
    Known,
}

/// What has happened to accepting, for the listener that records call `tag`; `errno` is the system's.
pub(super) enum AcceptTrouble {
    /// It pauses, for lack of descriptors or memory as a rule.
    Paused { tag: u32, errno: i32 },
    /// A connection could not be watched and was closed.
    Failed { tag: u32, errno: i32 },
    /// A connection was closed, because its server had as many as it may have.
    Dropped { tag: u32 },
    /// No poller accepts for it any more.
    Ended { tag: u32 },
}

/// What one attempt to accept came to.
pub(super) enum Accepted {
    Connection(Stream, Address),
    /// No peer waits.
    Drained,
    /// The peer was gone before it was accepted; the next one may be there.
    Lost,
    /// Accepting fails, for lack of descriptors or memory as a rule, and has not failed before
    /// since no peer waited.
    ShortageBegan(i32),
    /// It fails again, or is not tried yet.
    ShortageGoesOn,
}

impl Acceptor {
    pub(super) fn new(listener: Listener, destination: Destination, tag: u32) -> Self {
        Self {
            listener,
            destination,
            tag,
            supply: Supply::Enough,
            accepted: 0,
            lost_in_a_row: 0,
        }
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(super) fn listener_mut(&mut self) -> &mut Listener {
        &mut self.listener
    }

    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Connections that were accepted so far: of each a record tells, or has told.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn tag(&self) -> u32 {
        self.tag
    }

    /// When to try again after a shortage.
    pub(super) fn retry(&self) -> Option<Instant> {
        match self.supply {
            Supply::Enough | Supply::Recovering => None,
            Supply::Short { retry } => Some(retry),
        }
    }

    pub(super) fn accept(&mut self, now: Instant) -> Accepted {
        if self.retry().is_some_and(|retry| now < retry) {
            return Accepted::ShortageGoesOn;
        }
        let outcome = self.listener.accept();
        if IS_ON && !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            let from = outcome.as_ref().map(|(_, peer)| peer);
            trace!(
                Subject::default(),
                "listener {} accepts: {from:?}", self.tag
            );
        }
        self.lost_in_a_row = match &outcome {
            Err(error) if concerns_one_peer(error) => self.lost_in_a_row + 1,
            _ => 0,
        };
        match outcome {
            Ok((stream, peer)) => {
                self.accepted += 1;
                if self.supply != Supply::Enough {
                    self.supply = Supply::Recovering;
                }
                Accepted::Connection(stream, peer)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.supply = Supply::Enough;
                Accepted::Drained
            }
            Err(error) if (1..LOST_IN_A_ROW).contains(&self.lost_in_a_row) => {
                debug_assert!(concerns_one_peer(&error));
                Accepted::Lost
            }
            // Whatever else it is, trying again at once would keep the processor busy for nothing.
            Err(error) => {
                self.lost_in_a_row = 0;
                if self.pause(now) == Trouble::Known {
                    Accepted::ShortageGoesOn
                } else {
                    Accepted::ShortageBegan(errno(&error))
                }
            }
        }
    }

    /// Accepts no peer for a while. A peer that waits is better off in the system's queue than
    /// closed.
    pub(super) fn pause(&mut self, now: Instant) -> Trouble {
        let before = std::mem::replace(
            &mut self.supply,
            Supply::Short {
                retry: now + BACK_OFF,
            },
        );
        if before == Supply::Enough {
            Trouble::New
        } else {
            Trouble::Known
        }
    }
}

/// Whether the failure took a connection out of the queue, so that the next one may be accepted. Linux
/// passes on network errors that are pending on the new socket.
fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ETIMEDOUT
        )
    )
}
