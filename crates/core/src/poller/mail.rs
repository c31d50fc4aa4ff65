//! A poller reads what reached it from elsewhere.

use std::any::Any;

use super::acceptor::AcceptTrouble;
use super::handle::Remote;
use super::message::Letter;
use super::turn::Poller;

impl Letter {
    /// Something to be done by the poller's own thread.
    pub fn visit(visit: impl FnOnce(&mut Poller) + Send + 'static) -> Self {
        Self::Visit(Box::new(|owner: &mut dyn Any| {
            // Pollers alone own inboxes of letters.
            if let Some(poller) = owner.downcast_mut() {
                visit(poller);
            }
        }))
    }
}

impl Poller {
    /// How other threads reach this poller.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Waits for mail alone, whatever the sockets have to tell, and reads it: who has no batch to fill can serve none of them.
    pub fn await_mail(&mut self) {
        self.remote.inbox().await_ring();
        self.has_mail = true;
        self.read_mail();
    }

    /// Does what was asked from elsewhere. What it queues to be sent leaves with the next [`Self::flush`].
    pub fn read_mail(&mut self) {
        if !std::mem::take(&mut self.has_mail) {
            return;
        }
        let mut letters = std::mem::take(&mut self.letters);
        self.remote.inbox().take(&mut letters);
        for letter in letters.drain(..) {
            match letter {
                Letter::Order(id, order) => self.carry_out(id, order),
                Letter::Dealt(dealt) => self.admit_dealt(*dealt),
                Letter::AcceptPaused { tag, errno } => {
                    self.troubles.push(AcceptTrouble::Paused { tag, errno });
                }
                Letter::AcceptEnded { tag } => {
                    self.troubles.push(AcceptTrouble::Ended { tag });
                }
                Letter::Answer {
                    id,
                    sequence,
                    answer,
                } => self.answer(id, sequence, answer),
                Letter::Room => self.resume_stalled(),
                Letter::Visit(visit) => visit(self),
            }
        }
        self.letters = letters;
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.remote.inbox().close();
    }
}
