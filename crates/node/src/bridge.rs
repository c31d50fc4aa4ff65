//! Between batches of records and one JavaScript environment: a batch up, its commands down. Where batches come from and who
//! carries commands out is for a driver to say.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use napi::{Env, sys};
use netpoll_core::connection::{Alarm, Limit};
use netpoll_core::settings::Start;
use netpoll_core::{Batch, Id, Order, Reason};

use crate::clock;
use crate::foreign_bytes::QueuedArray;
use crate::javascript::{JavaScript, Procedure};
use crate::memory::SharedMemory;
use crate::options::millis;
use crate::shared_words::{Command, Operation, SharedWords};

/// Who carries out what JavaScript asks for.
pub trait Sink {
    /// Something is asked of a connection.
    fn order(&mut self, id: Id, order: Order);

    /// Bytes `start..start + length` of a buffer of the user's are to be sent.
    fn foreign(&mut self, id: Id, array: QueuedArray, start: usize, length: usize);
}

/// Carries nothing out: for whom the commands are has gone.
pub struct Nowhere;

impl Sink for Nowhere {
    fn order(&mut self, _id: Id, _order: Order) {}

    fn foreign(&mut self, _id: Id, _array: QueuedArray, _start: usize, _length: usize) {}
}

/// One pair of shared words. Lives on the environment's thread. No borrow is held while JavaScript runs, because it calls
/// back.
pub struct Bridge {
    memory: Rc<SharedMemory>,
    words: SharedWords,
    javascript: JavaScript,
    dispatch: Procedure,
    handles: RefCell<Vec<u32>>,
    /// Batches that JavaScript has not come back from: more than one where a handler turns the event loop.
    deliveries: Cell<usize>,
}

/// A batch that JavaScript has not come back from.
struct Delivery<'bridge>(&'bridge Cell<usize>);

impl<'bridge> Delivery<'bridge> {
    fn begin(count: &'bridge Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Bridge {
    /// Over the words that JavaScript passes. `dispatch`, called on `receiver`, handles the batch that lies in them.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn new(
        env: Env,
        memory: Rc<SharedMemory>,
        words: SharedWords,
        receiver: sys::napi_value,
        dispatch: sys::napi_value,
    ) -> napi::Result<Self> {
        Ok(Self {
            memory,
            words,
            javascript: JavaScript::new(env, receiver)?,
            dispatch: Procedure::hold(env, dispatch)?,
            handles: RefCell::new(Vec::new()),
            deliveries: Cell::new(0),
        })
    }

    /// How JavaScript is entered.
    pub fn javascript(&self) -> &JavaScript {
        &self.javascript
    }

    /// An empty batch that fits into the words.
    pub fn new_batch(&self) -> Batch {
        Batch::with_capacity(self.words.batch_capacity())
    }

    /// Hands a batch to JavaScript in one call, and empties it. Within a handler of a batch before, whose words this one
    /// takes, [`Self::resume`] comes first.
    pub fn deliver(&self, batch: &RefCell<Batch>) {
        let _delivery = Delivery::begin(&self.deliveries);
        self.javascript.scoped(|| {
            self.publish(&mut batch.borrow_mut());
            self.javascript.enter(&self.dispatch, &[]);
        });
    }

    /// As [`Self::deliver`], of a batch that `emptied` gets before JavaScript handles what was in it. Its chunks are
    /// JavaScript's by then.
    pub fn deliver_from(&self, mut batch: Batch, emptied: impl FnOnce(Batch)) {
        let _delivery = Delivery::begin(&self.deliveries);
        self.javascript.scoped(|| {
            self.publish(&mut batch);
            emptied(batch);
            self.javascript.enter(&self.dispatch, &[]);
        });
    }

    /// Whether JavaScript is handling a batch: a loop that turns now turns within a handler.
    pub fn is_delivering(&self) -> bool {
        self.deliveries.get() > 0 || self.words.has_unhandled()
    }

    /// Where the event loop turns within a handler, has the rest of that batch handled: the handler may wait for it, and the
    /// next batch takes its words.
    pub fn resume(&self) {
        if self.words.has_unhandled() {
            self.javascript
                .scoped(|| self.javascript.enter(&self.dispatch, &[]));
        }
    }

    /// Puts a batch where JavaScript, which asks for it, finds it, and empties it.
    pub fn show(&self, batch: &RefCell<Batch>) {
        self.publish(&mut batch.borrow_mut());
    }

    /// Tells JavaScript that nothing more will come.
    pub fn tell_failed(&self, failed: &Procedure, failure: &str) {
        let javascript = &self.javascript;
        javascript.scoped(|| javascript.enter(failed, &[javascript.text(failure)]));
    }

    /// After the replies of a batch have left, and while its views are garbage already.
    pub fn collect_if_due(&self) {
        self.memory.collect_if_due();
    }

    /// Hands what JavaScript has asked for since the last time to `sink`. It may be in the middle of writing a message, so
    /// its arena stays as it is.
    pub fn take_commands(&self, sink: &mut impl Sink) {
        let count = self.words.command_count();
        for command in (0..count).filter_map(|index| self.words.command(index)) {
            self.command(&command, sink);
        }
        if count > 0 {
            self.words.clear_commands();
            self.memory.commands_seen();
        }
        self.memory.forget_collected();
    }

    /// Between two tasks of JavaScript's: if everything in its arena was sent, it may begin at the front again.
    pub fn reset_arena_if_idle(&self) {
        self.memory.reset_arena_if_idle();
    }

    fn command(&self, command: &Command, sink: &mut impl Sink) {
        let Command {
            id,
            handle,
            start,
            length,
            ..
        } = *command;
        let time = || millis(length as u32);
        let order = match command.operation {
            // Bytes that no message has, such as all of `message.buffer`. Leaving them out would tear what is sent.
            Operation::Send => match self.memory.slice(handle, start, length) {
                Some(slice) => Order::Send(slice),
                None => Order::Fail(Reason::ForeignDetached),
            },
            Operation::Reply => match self.memory.slice(handle, start, length) {
                Some(slice) => Order::Reply(slice),
                None => Order::Fail(Reason::ForeignDetached),
            },
            Operation::SendForeign => {
                if let Some(array) = self.memory.take_foreign(handle) {
                    sink.foreign(id, array, start, length);
                }
                return;
            }
            Operation::Acknowledge => Order::Acknowledge(length.max(1) as u32),
            Operation::AllowBeyond => Order::AllowBeyond(length as u32),
            Operation::Close => Order::Close,
            Operation::Finish => Order::Finish,
            Operation::Destroy => Order::Fail(Reason::Normal),
            Operation::Reset => Order::Reset,
            Operation::Pause => Order::Flow(Start::Paused),
            Operation::Resume => Order::Flow(Start::Reading),
            Operation::End => Order::End,
            Operation::TakeOver => Order::TakeOver,
            Operation::Alarm => Order::Alarm(Some(Alarm {
                time: clock::at(start, length),
                number: handle,
            })),
            Operation::ReadTimeout => Order::Limit(Limit::Read, time()),
            Operation::WriteTimeout => Order::Limit(Limit::Write, time()),
            Operation::IdleTimeout => Order::Limit(Limit::Idle, time()),
        };
        sink.order(id, order);
    }

    /// Puts the batch where JavaScript reads it, and makes its chunks known.
    fn publish(&self, batch: &mut Batch) {
        let handles = &mut *self.handles.borrow_mut();
        handles.clear();
        self.memory.make_known(batch.chunks(), handles);
        self.words.publish(batch.records(), handles);
        batch.clear();
    }
}
