//! What reaches a poller from elsewhere: from other threads, or from whoever drives a poller on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::deal::Dealt;
use super::slots::Id;
use super::{AcceptTrouble, Poller};
use crate::buffer::Slice;
use crate::connection::{Alarm, Limit};
use crate::inbox::{Inbox, Wake};
use crate::reason::Reason;
use crate::settings::Start;
use crate::work::Answer;

/// What is asked of one connection. Carried out by the poller that owns it; for a connection that is gone it does nothing.
pub enum Order {
    /// Send bytes.
    Send(Slice),
    /// Send bytes, which end the handling of a message.
    Reply(Slice),
    /// So many messages are done with.
    Acknowledge(u32),
    /// So many messages may be in handling beyond the bound.
    AllowBeyond(u32),
    /// Send what is queued, then close.
    Close,
    /// Answer what was taken, then close.
    Finish,
    /// Close at once, for this reason.
    Fail(Reason),
    /// Close at once and reset the peer.
    Reset,
    /// Stop or resume handing over messages.
    Flow(Start),
    /// Send what is queued, then end our direction.
    End,
    /// Leave it to whoever asks when the connection ends.
    TakeOver,
    /// Tell once when nothing waits to be sent, with this number.
    TellFlushed(u32),
    /// Tell when this time has come; `None`: not any more.
    Alarm(Option<Alarm>),
    /// Replace a time limit.
    Limit(Limit, Option<Duration>),
}

/// Something to be done by a poller's own thread.
pub type Visit = Box<dyn FnOnce(&mut Poller) + Send>;

/// What may be left in a poller's inbox.
pub enum Letter {
    /// Something is asked of a connection.
    Order(Id, Order),
    /// A connection that another poller has accepted.
    Dealt(Box<Dealt>),
    /// A listener elsewhere, whose records say `tag`, lacks descriptors or memory and pauses.
    AcceptPaused {
        /// The tag.
        tag: u32,
        /// The system's error number.
        errno: i32,
    },
    /// Nobody accepts for a listener elsewhere, whose records say `tag`, any more.
    AcceptEnded {
        /// The tag.
        tag: u32,
    },
    /// A worker has answered message `sequence` of a connection.
    Answer {
        /// The connection.
        id: Id,
        /// Which of its messages.
        sequence: u32,
        /// What became of it.
        answer: Answer,
    },
    /// Workers have room for messages again.
    Room,
    /// Anything else.
    Visit(Visit),
}

/// Wakes a poller that waits, or the event loop that watches its descriptor.
pub struct Bell(pub(super) mio::Waker);

impl Wake for Bell {
    fn wake(&self) {
        // It fails only where the descriptor is none any more, and then nobody is left to be woken.
        let _ = self.0.wake();
    }
}

/// Numbers pollers, so that they can be told apart.
static NEXT_SERIAL: AtomicU32 = AtomicU32::new(0);

/// How other threads reach a poller.
#[derive(Clone)]
pub struct Remote {
    pub(super) inbox: Arc<Inbox<Letter, Bell>>,
    serial: u32,
}

impl PartialEq for Remote {
    /// Whether both reach the same poller.
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Remote {
    /// Leaves a letter. One for a poller that is gone is dropped.
    pub fn post(&self, letter: Letter) {
        drop(self.inbox.post(letter));
    }

    /// Leaves letters, which `letters` is drained of; the poller is woken once. Returns how many wait for it now.
    pub fn post_all(&self, letters: &mut Vec<Letter>) -> usize {
        self.inbox.post_all(letters)
    }

    /// Makes the poller look around, without a letter.
    pub fn nudge(&self) {
        self.inbox.nudge();
    }

    /// As [`Self::post`], for what must not get lost.
    ///
    /// # Errors
    /// The letter itself, when the poller is gone.
    pub fn try_post(&self, letter: Letter) -> Result<(), Letter> {
        self.inbox.post(letter)
    }

    pub(super) fn new(bell: Bell) -> Self {
        Self {
            inbox: Arc::new(Inbox::new(bell)),
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The number of the poller in this process.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
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
        self.remote.inbox.await_ring();
        self.has_mail = true;
        self.read_mail();
    }

    /// Does what was asked from elsewhere. What it queues to be sent leaves with the next [`Self::flush`].
    pub fn read_mail(&mut self) {
        if !std::mem::take(&mut self.has_mail) {
            return;
        }
        let mut letters = std::mem::take(&mut self.letters);
        self.remote.inbox.take(&mut letters);
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

    /// Does what is asked of one connection. It takes effect with the next [`Self::flush`].
    pub fn carry_out(&mut self, id: Id, order: Order) {
        match order {
            Order::Send(slice) => self.send(id, slice),
            Order::Reply(slice) => {
                self.send(id, slice);
                self.acknowledge(id, 1);
            }
            Order::Acknowledge(count) => self.acknowledge(id, count),
            Order::AllowBeyond(count) => self.allow_beyond(id, count),
            Order::Close => self.close(id),
            Order::Finish => self.finish(id),
            Order::Fail(reason) => self.fail(id, reason),
            Order::Reset => self.reset(id),
            Order::Flow(flow) => self.set_flow(id, flow),
            Order::End => self.end(id),
            Order::TakeOver => self.take_over(id),
            Order::TellFlushed(number) => self.tell_flushed(id, number),
            Order::Alarm(alarm) => self.set_alarm(id, alarm),
            Order::Limit(limit, time) => self.set_limit(id, limit, time),
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.remote.inbox.close();
    }
}
