//! How the system is asked to tell of a stream.
//!
//! Mio knows edges: what has happened is told once. A read that does not fill its space has emptied
//! the socket as a rule, and the next edge tells what comes. A read from a unix socket stops
//! earlier where a descriptor was passed along, and no edge is to come for what stands behind. So
//! on Linux unix sockets are watched by level while they are read. Each look of the poller tells of
//! them anew for as long as they hold something, and no call has to ask.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use crate::faults::inject;
use crate::socket::{Stream, either};

/// When the system tells of what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Whenever more has happened, and when it is asked anew.
    Edge,
    /// In each look for which it is so.
    Level,
}

/// What the system is asked for, and when it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What. The system tells of ends and errors without being asked.
    pub interest: Interest,
    /// When.
    pub trigger: Trigger,
}

impl Stream {
    /// How to watch this stream while everything that arrives is read.
    #[must_use]
    pub fn trigger_while_read(&self) -> Trigger {
        match self {
            Self::Unix(_) if cfg!(any(target_os = "linux", target_os = "android")) => {
                Trigger::Level
            }
            Self::Tcp(_) | Self::Unix(_) => Trigger::Edge,
        }
    }

    /// Has the system tell `registry`'s poll of this stream, as `token`.
    ///
    /// # Errors
    /// The system's.
    pub fn watch(&mut self, registry: &Registry, token: Token, watch: Watch) -> io::Result<()> {
        inject!(failure at Watch, self);
        #[cfg(feature = "faults")]
        crate::faults::watched(self, announcing(registry, self, token, watch));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Self::Unix(socket) = self {
            return control(registry, libc::EPOLL_CTL_ADD, socket, event(token, watch));
        }
        either!(self, Self, socket => socket.register(registry, token, watch.interest))
    }

    /// Takes the place of an earlier [`Self::watch`]. What is so already is told again.
    ///
    /// # Errors
    /// The system's.
    pub fn watch_anew(
        &mut self,
        registry: &Registry,
        token: Token,
        watch: Watch,
    ) -> io::Result<()> {
        inject!(failure at Watch, self);
        #[cfg(feature = "faults")]
        crate::faults::watched(self, announcing(registry, self, token, watch));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Self::Unix(socket) = self {
            return control(registry, libc::EPOLL_CTL_MOD, socket, event(token, watch));
        }
        either!(self, Self, socket => socket.reregister(registry, token, watch.interest))
    }

    /// Ends [`Self::watch`]. Closing does so as well, but only where no other owner has the same
    /// socket open.
    ///
    /// # Errors
    /// The system's.
    pub fn unwatch(&mut self, registry: &Registry) -> io::Result<()> {
        inject!(failure at Unwatch, self);
        #[cfg(feature = "faults")]
        crate::faults::unwatched(self);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Self::Unix(socket) = self {
            let ignored = libc::epoll_event { events: 0, u64: 0 };
            return control(registry, libc::EPOLL_CTL_DEL, socket, ignored);
        }
        either!(self, Self, socket => socket.deregister(registry))
    }
}

/// Urgent bytes are not asked for: by level the system tells what stands behind them, and by edge nothing is read.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn event(token: Token, watch: Watch) -> libc::epoll_event {
    let mut events = libc::EPOLLIN | libc::EPOLLRDHUP;
    if watch.interest.is_writable() {
        events |= libc::EPOLLOUT;
    }
    if watch.trigger == Trigger::Edge {
        events |= libc::EPOLLET;
    }
    libc::epoll_event {
        events: events as u32,
        u64: token.0 as u64,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn control(
    registry: &Registry,
    operation: libc::c_int,
    socket: &impl AsRawFd,
    mut event: libc::epoll_event,
) -> io::Result<()> {
    let (poll, socket) = (registry.as_raw_fd(), socket.as_raw_fd());
    // SAFETY: both descriptors are open, for they are borrowed, and the event is read before the call returns.
    let status = unsafe { libc::epoll_ctl(poll, operation, socket, &raw mut event) };
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What has the system tell of a socket that is watched, whatever kind it has, what is so already: see [`crate::faults`].
#[cfg(feature = "faults")]
fn announcing(
    registry: &Registry,
    socket: &Stream,
    token: Token,
    watch: Watch,
) -> impl Fn() + 'static {
    let mut events = event(token, watch).events;
    if watch.interest.is_priority() {
        events |= libc::EPOLLPRI as u32;
    }
    crate::socket::announcing(registry, socket, token, events)
}
