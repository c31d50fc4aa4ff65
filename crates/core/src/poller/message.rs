//! What may be left in a poller's inbox. It lies below the poller: what only that understands is a closure.

use std::any::Any;

use super::assigned::AssignedConnection;
use super::command::Command;
use crate::id::Id;
use crate::work::Answer;

/// Something to be done by a poller's own thread, which is given the poller: see [`PollerMessage::visit`].
pub type Visit = Box<dyn FnOnce(&mut dyn Any) + Send>;

/// What may be left in a poller's inbox.
pub enum PollerMessage {
    /// Something is asked of a connection.
    Command(Id, Command),
    /// A connection that another poller has accepted.
    Assigned(Box<AssignedConnection>),
    /// A listener elsewhere, whose records say `tag`, lacks descriptors or memory and pauses.
    AcceptPaused {
        /// The tag.
        tag: u32,
        /// The system's error number.
        errno: i32,
    },
    /// No poller accepts any more for a listener elsewhere, whose records say `tag`.
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
