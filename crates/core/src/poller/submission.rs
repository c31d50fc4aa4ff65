//! Messages on their way from a connection to its workers.

use super::endpoint::{Endpoint, Next};
use super::handle::PollerHandle;
use super::turn::Poller;
use crate::batch::{Batch, RecordKind};
use crate::buffer::{OutOfMemory, Slice};
use crate::id::Id;
use crate::reason::Reason;
use crate::work::{Origin, RoomWaiter, Task};

/// Records of one connection in a round, of which `ROUND_MESSAGES` are messages.
pub(super) const CAPACITY: usize = 128;

/// Gives the messages in `work`, all of this endpoint, to its workers. `tasks` is memory to use. Returns what becomes of the
/// endpoint, which is `next` unless there is no memory for them.
pub(super) fn submit(
    endpoint: &mut Endpoint,
    work: &mut Batch,
    tasks: &mut Vec<Task>,
    handle: &PollerHandle,
    next: Next,
) -> Next {
    let id = endpoint.id();
    let connection = endpoint.connection();
    let messages = || {
        work.records()
            .iter()
            .filter(|record| record.kind() == RecordKind::Message as u8)
    };
    let mut sequence = connection.submitted(messages().count());
    for record in messages() {
        let chunk = work.chunks()[record.chunk()].clone();
        let (start, length) = (record.start as usize, record.length as usize);
        tasks.push(Task {
            origin: Origin::new(handle.task_owner(), id, sequence),
            message: Slice::new(chunk, start, length),
        });
        sequence = sequence.wrapping_add(1);
    }
    work.clear();
    let pool = connection.workers();
    let submitted = pool.map_or(Ok(()), |pool| pool.submit(tasks));
    tasks.clear();
    match submitted {
        Err(OutOfMemory) if next != Next::Gone => {
            connection.fail(Reason::OutOfMemory);
            // Its end is still to be told.
            Next::Again
        }
        _ => next,
    }
}

impl Poller {
    /// A connection has input, and its workers have no room: it is served again when they do.
    pub(super) fn stall(&mut self, id: Id) {
        let Some(endpoint) = self.slots.endpoint(id) else {
            return;
        };
        let Some(pool) = endpoint.connection().workers() else {
            return;
        };
        // Without memory to note it down it asks again in the next turn.
        let is_notable = self.stalled.try_reserve(1).is_ok();
        if pool.await_room(RoomWaiter(self.handle.task_owner())) || !is_notable {
            self.list(id.slot);
        } else {
            self.stalled.insert(id);
        }
    }

    /// Workers have room again.
    pub(super) fn resume_stalled(&mut self) {
        for id in std::mem::take(&mut self.stalled) {
            if self.slots.endpoint(id).is_some() {
                self.list(id.slot);
            }
        }
    }
}
