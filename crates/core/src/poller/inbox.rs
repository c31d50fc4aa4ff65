//! A poller reads what reached it from elsewhere.

use std::any::Any;

use super::acceptor::AcceptTrouble;
use super::handle::PollerHandle;
use super::message::PollerMessage;
use super::turn::Poller;

impl PollerMessage {
    /// Something to be done by the poller's own thread.
    pub fn visit(visit: impl FnOnce(&mut Poller) + Send + 'static) -> Self {
        Self::Visit(Box::new(|owner: &mut dyn Any| {
            // Pollers alone own inboxes of messages.
            if let Some(poller) = owner.downcast_mut() {
                visit(poller);
            }
        }))
    }
}

impl Poller {
    /// How other threads reach this poller.
    #[must_use]
    pub fn handle(&self) -> PollerHandle {
        self.handle.clone()
    }

    /// Waits at the inbox alone, whatever the sockets have to tell, and reads it. A poller that has
    /// no batch to fill can serve none of them.
    pub fn await_inbox(&mut self) {
        self.handle.inbox().await_wake();
        self.has_messages = true;
        self.read_inbox();
    }

    /// Does what was asked from elsewhere. What it queues to be sent leaves with the next [`Self::flush`].
    pub fn read_inbox(&mut self) {
        if !std::mem::take(&mut self.has_messages) {
            return;
        }
        let mut messages = std::mem::take(&mut self.messages);
        self.handle.inbox().take(&mut messages);
        for message in messages.drain(..) {
            match message {
                PollerMessage::Command(id, command) => self.carry_out(id, command),
                PollerMessage::Assigned(assigned) => self.admit_assigned(*assigned),
                PollerMessage::AcceptPaused { tag, errno } => {
                    self.troubles.push(AcceptTrouble::Paused { tag, errno });
                }
                PollerMessage::AcceptEnded { tag } => {
                    self.troubles.push(AcceptTrouble::Ended { tag });
                }
                PollerMessage::Answer {
                    id,
                    sequence,
                    answer,
                } => self.answer(id, sequence, answer),
                PollerMessage::Room => self.resume_stalled(),
                PollerMessage::Visit(visit) => visit(self),
            }
        }
        self.messages = messages;
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.handle.inbox().close();
    }
}
