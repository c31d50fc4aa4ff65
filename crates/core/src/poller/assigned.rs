//! A connection that one poller has accepted and another is to own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::address::Address;
use crate::settings::Settings;
use crate::socket::Stream;

/// How many connections a member has, and its claim to one of them: dropped when the connection goes.
#[derive(Clone, Default)]
pub struct Load(Arc<AtomicUsize>);

impl Load {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One connection's part of a [`Load`].
pub(super) struct LoadShare(Load);

impl LoadShare {
    pub(super) fn of(load: &Load) -> Self {
        load.0.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted connection on its way to its poller.
pub struct AssignedConnection {
    pub(super) stream: Stream,
    pub(super) peer: Address,
    pub(super) settings: Arc<Settings>,
    pub(super) tag: u32,
    pub(super) share: LoadShare,
}
