//! How a poller is reached from elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::message::PollerMessage;
use crate::id::Id;
use crate::inbox::{Inbox, Wake};
use crate::work::{Answer, TaskOwner};

/// Wakes a poller that waits, or the event loop that watches its descriptor.
pub struct PollerWaker(pub(super) mio::Waker);

impl Wake for PollerWaker {
    fn wake(&self) {
        // It fails only where the descriptor is none any more, and then no poller is left to be
        // woken.
        let _ = self.0.wake();
    }
}

/// Numbers pollers, so that they can be told apart.
static NEXT_SERIAL: AtomicU32 = AtomicU32::new(0);

/// How other threads reach a poller.
#[derive(Clone)]
pub struct PollerHandle(Arc<Reached>);

/// The poller's side that others reach.
struct Reached {
    inbox: Inbox<PollerMessage, PollerWaker>,
    serial: u32,
}

impl TaskOwner for Reached {
    fn serial(&self) -> u32 {
        self.serial
    }

    fn answer(&self, id: Id, sequence: u32, answer: Answer) {
        drop(self.inbox.post(PollerMessage::Answer {
            id,
            sequence,
            answer,
        }));
    }

    fn has_room(&self) {
        drop(self.inbox.post(PollerMessage::Room));
    }
}

impl PartialEq for PollerHandle {
    /// Whether both reach the same poller.
    fn eq(&self, other: &Self) -> bool {
        self.0.serial == other.0.serial
    }
}

impl PollerHandle {
    /// Leaves a message. One for a poller that is gone is dropped.
    pub fn post(&self, message: PollerMessage) {
        drop(self.0.inbox.post(message));
    }

    /// Leaves messages, which `messages` is drained of; the poller is woken once. Returns how many wait for it now.
    pub fn post_all(&self, messages: &mut Vec<PollerMessage>) -> usize {
        self.0.inbox.post_all(messages)
    }

    /// Makes the poller look around, without a message.
    pub fn wake(&self) {
        self.0.inbox.wake();
    }

    /// As [`Self::post`], for what must not get lost.
    ///
    /// # Errors
    /// The message itself, when the poller is gone.
    pub fn try_post(&self, message: PollerMessage) -> Result<(), PollerMessage> {
        self.0.inbox.post(message)
    }

    pub(super) fn new(waker: PollerWaker) -> Self {
        Self(Arc::new(Reached {
            inbox: Inbox::new(waker),
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
        }))
    }

    /// The inbox, for the poller.
    pub(super) fn inbox(&self) -> &Inbox<PollerMessage, PollerWaker> {
        &self.0.inbox
    }

    /// As those know it who answer its messages.
    pub(super) fn task_owner(&self) -> Arc<dyn TaskOwner> {
        self.0.clone()
    }

    /// The number of the poller in this process.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.0.serial
    }
}
