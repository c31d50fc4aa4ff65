//! One message on its way to a worker, and its answer's way back.

use std::sync::Arc;

use super::pool::Assignable;
use crate::buffer::{OutOfMemory, Slice};
use crate::id::Id;
use crate::inbox::Wake;

/// The bytes of a reply. Nearly all are one piece, which takes no allocation.
#[derive(Default)]
pub enum Bytes {
    /// None.
    #[default]
    Empty,
    /// One piece.
    One(Slice),
    /// Several, in order.
    Many(Vec<Slice>),
}

impl Bytes {
    /// Appends a piece.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing is left, because a part of a reply is none.
    pub fn push(&mut self, slice: Slice) -> Result<(), OutOfMemory> {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(slice),
            Self::One(first) => Self::Many(vec![first, slice]),
            Self::Many(mut pieces) => {
                pieces.try_reserve(1)?;
                pieces.push(slice);
                Self::Many(pieces)
            }
        };
        Ok(())
    }

    /// Takes the pieces out, in order.
    pub fn for_each(self, mut take: impl FnMut(Slice)) {
        match self {
            Self::Empty => {}
            Self::One(slice) => take(slice),
            Self::Many(pieces) => pieces.into_iter().for_each(take),
        }
    }
}

/// What became of a message.
pub enum Answer {
    /// It was handled; these bytes are the reply.
    Reply(Bytes),
    /// Its handler failed: the connection closes once the replies before it have left.
    Failed,
    /// The worker that had it is gone.
    Lost,
}

/// The owner that submits messages and gets their answers: a poller, as it is reached from other
/// threads.
pub trait TaskOwner: Send + Sync {
    /// Its number in this process.
    fn serial(&self) -> u32;

    /// Message `sequence` of a connection is answered.
    fn answer(&self, connection: Id, sequence: u32, answer: Answer);

    /// There is room for messages again.
    fn has_room(&self);
}

/// An owner that waits for room.
pub struct RoomWaiter(pub(crate) Arc<dyn TaskOwner>);

impl PartialEq for RoomWaiter {
    fn eq(&self, other: &Self) -> bool {
        self.0.serial() == other.0.serial()
    }
}

impl Wake for RoomWaiter {
    fn wake(&self) {
        self.0.has_room();
    }
}

/// Where a message came from, and its answer goes. Dropped without an answer, it answers [`Answer::Lost`].
pub struct Origin {
    owner: Arc<dyn TaskOwner>,
    id: Id,
    sequence: u32,
    is_answered: bool,
}

impl Origin {
    pub(crate) fn new(owner: Arc<dyn TaskOwner>, id: Id, sequence: u32) -> Self {
        Self {
            owner,
            id,
            sequence,
            is_answered: false,
        }
    }

    /// The connection that the message came over, which is the same for all of its messages.
    #[must_use]
    pub fn connection(&self) -> Id {
        self.id
    }

    pub(super) fn key(&self) -> u64 {
        self.id.key() ^ u64::from(self.owner.serial()) << 48
    }

    /// The number of the connection's poller.
    #[must_use]
    pub fn poller(&self) -> u32 {
        self.owner.serial()
    }

    /// Tells the connection.
    pub fn answer(mut self, answer: Answer) {
        self.post(answer);
    }

    fn post(&mut self, answer: Answer) {
        self.is_answered = true;
        self.owner.answer(self.id, self.sequence, answer);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if !self.is_answered {
            self.post(Answer::Lost);
        }
    }
}

/// One message to be handled.
pub struct Task {
    /// Where its answer goes.
    pub origin: Origin,
    /// Its bytes.
    pub message: Slice,
}

impl Assignable for Task {
    fn key(&self) -> u64 {
        self.origin.key()
    }
}
