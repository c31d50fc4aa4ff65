//! Between batches of records and one JavaScript environment: a batch up, its commands down. A
//! driver says where batches come from and what carries commands out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use napi::{Env, sys};
use netpoll_core::turn_budget::Content;
use netpoll_core::{Asked, Batch, Chunk, Command, Id, TurnBudget};

use crate::javascript::{JavaScript, Procedure};
use crate::memory::SharedMemory;
use crate::memory::foreign_bytes::QueuedArray;
use crate::shared_words::SharedWords;

/// Carries out what JavaScript asks for.
pub trait Sink {
    /// Something is asked of a connection.
    fn command(&mut self, id: Id, command: Command);

    /// Bytes `start..start + length` of a user's buffer are to be sent.
    fn foreign(&mut self, id: Id, array: QueuedArray, start: usize, length: usize);
}

/// Carries nothing out: for whom the commands are has gone.
pub struct Nowhere;

impl Sink for Nowhere {
    fn command(&mut self, _id: Id, _order: Command) {}

    fn foreign(&mut self, _id: Id, _array: QueuedArray, _start: usize, _length: usize) {}
}

/// One pair of shared words. Lives on the environment's thread. No borrow is held while JavaScript runs, because it calls
/// back.
pub struct Bridge {
    memory: Rc<SharedMemory>,
    words: SharedWords,
    javascript: JavaScript,
    dispatch: Procedure,
    /// Of the chunks of the batch in the words, until JavaScript has come to its end: it may look for them until then.
    handles: RefCell<Vec<u32>>,
    /// Batches that JavaScript has not come back from: more than one where a handler turns the event loop.
    deliveries: Cell<usize>,
    settled: Settled,
    budget: TurnBudget,
    /// What the batch in the words tells of.
    content: Cell<Content>,
    /// How many messages it has.
    messages: Cell<usize>,
    /// Records that were put into the words since the start.
    published: Cell<usize>,
    /// The slice whose time is not known: when it began, and how many records had been handled.
    slice: Cell<Option<(Instant, usize)>>,
}

/// When everything has been done that a call into JavaScript makes due at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// When JavaScript has come back.
    OnReturn,
    /// When JavaScript flushes, as it does after each batch. It is called within a host call, which
    /// sees to that once it is over.
    AtFlush,
}

/// What becomes of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// JavaScript has handled all of it.
    Whole,
    /// The rest is to come when the event loop has turned, and nothing may take its words before.
    InPart,
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
        settled: Settled,
    ) -> napi::Result<Self> {
        let javascript = JavaScript::new(env, receiver)?;
        let dispatch = Procedure::hold(env, dispatch)?;
        memory.bridge_added();
        Ok(Self {
            memory,
            words,
            javascript,
            dispatch,
            handles: RefCell::new(Vec::new()),
            deliveries: Cell::new(0),
            settled,
            budget: TurnBudget::new(),
            content: Cell::new(Content::Lifecycle),
            messages: Cell::new(0),
            published: Cell::new(0),
            slice: Cell::new(None),
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

    /// The driver has something to hand over. Returns whether this environment's event loop has to turn before.
    pub fn begin(&self) -> bool {
        self.budget.begin(self.memory.turns());
        self.is_spent()
    }

    /// Whether the event loop has to turn before more is handed over, because JavaScript has been at it for long.
    pub fn is_spent(&self) -> bool {
        self.budget.is_spent(self.memory.bridges())
    }

    /// Hands a batch to JavaScript, and empties it: in one call, unless that may take long. What was handed over before must
    /// be handled by now: see [`Self::resume`].
    pub fn deliver(&self, batch: &RefCell<Batch>) -> Delivered {
        let _delivery = Delivery::begin(&self.deliveries);
        self.javascript
            .scoped(|| self.publish(&mut batch.borrow_mut()));
        let delivered = self.go_on();
        if !self.memory.tell_troubles() {
            return delivered;
        }
        // A loop that was turned meanwhile has had the rest handled.
        match self.has_rest() {
            true => Delivered::InPart,
            false => Delivered::Whole,
        }
    }

    /// Whether JavaScript is handling a batch, or may be doing what that has made due at once. Then
    /// a loop that turns may turn within a handler.
    pub fn is_delivering(&self) -> bool {
        // A handler that runs after an `await`, once the call is over, may wait for the rest.
        let may_be_within = self.settled == Settled::AtFlush && self.words.is_waiting();
        self.deliveries.get() > 0 || self.words.is_unsettled() || may_be_within
    }

    /// Whether the rest of a batch waits for the event loop to turn.
    pub fn is_waiting(&self) -> bool {
        self.words.is_waiting()
    }

    /// Has the rest of the last batch handled, before the next one takes its words. This is done
    /// where the rest has been left, and where the event loop turns within a handler, which may
    /// wait for it.
    pub fn resume(&self) -> Delivered {
        if self.has_rest() {
            self.go_on()
        } else {
            Delivered::Whole
        }
    }

    /// Has JavaScript handle what lies in the words, until it is at the end or the time is over. The clock is looked at when
    /// everything is done that this makes due at once: so it counts, too.
    fn go_on(&self) -> Delivered {
        let _delivery = Delivery::begin(&self.deliveries);
        loop {
            self.begin_slice();
            self.javascript
                .scoped(|| self.javascript.enter(&self.dispatch, &[]));
            let goes_on = match self.settled {
                // Where JavaScript handles nothing any more, its environment is ending. A handler that turned the event loop
                // had others handled meanwhile, and its slice has no time.
                Settled::OnReturn => self.end_slice() != Some(0) && !self.is_spent(),
                Settled::AtFlush => false,
            };
            if !self.words.is_waiting() {
                return Delivered::Whole;
            }
            if !goes_on {
                return Delivered::InPart;
            }
        }
    }

    fn begin_slice(&self) {
        let slice = self.budget.slice(self.content.get(), self.memory.bridges());
        self.words.limit(slice);
        self.slice.set(Some((Instant::now(), self.handled())));
    }

    /// Everything that the last slice made due is done. Returns how many records it had; `None` where its time is not known,
    /// because another one began and ended within it.
    pub fn end_slice(&self) -> Option<usize> {
        let (start, before) = self.slice.take()?;
        let handled = self.handled().wrapping_sub(before);
        self.budget
            .handled(self.content.get(), handled, start.elapsed());
        Some(handled)
    }

    /// Whether JavaScript has come to the end of the last batch, and nothing refers to any of its messages. Told once.
    pub fn take_released(&self) -> bool {
        let messages = self.messages.take();
        messages > 0 && self.words.is_handled() && self.words.released() == messages
    }

    /// Whether this environment alone knows a chunk, and nothing waits to be sent from it.
    pub fn is_filled_alone(&self, chunk: &Chunk) -> bool {
        self.memory.is_filled_alone(chunk)
    }

    /// Records that JavaScript has come to since the start.
    fn handled(&self) -> usize {
        self.published.get().wrapping_sub(self.words.left())
    }

    /// Puts a batch where JavaScript, which asks for it, finds it, and empties it. What goes wrong is told by
    /// [`Self::tell_troubles`], when JavaScript has come to its end.
    pub fn show(&self, batch: &RefCell<Batch>) {
        self.publish(&mut batch.borrow_mut());
        self.begin_slice();
    }

    /// Tells what has gone wrong with chunks. User code runs, so nothing may be borrowed.
    pub fn tell_troubles(&self) {
        self.memory.tell_troubles();
    }

    /// Whether JavaScript, which asks for a batch, has to go on with the last one.
    pub fn show_rest(&self) -> bool {
        let has_rest = self.has_rest();
        if has_rest {
            self.begin_slice();
        }
        has_rest
    }

    /// Whether JavaScript has not come to the end of the last batch.
    fn has_rest(&self) -> bool {
        self.words.is_under_way() || self.words.is_waiting()
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
        for (id, words) in (0..count).filter_map(|index| self.words.command(index)) {
            match words.decode(&*self.memory) {
                Asked::Command(command) => sink.command(id, command),
                Asked::SendForeign {
                    handle,
                    start,
                    length,
                } => {
                    if let Some(array) = self.memory.take_foreign(handle) {
                        sink.foreign(id, array, start, length);
                    }
                }
            }
        }
        if count > 0 {
            self.words.clear_commands();
            self.memory.commands_seen();
        }
        if self.words.is_handled() {
            self.let_go();
        }
        self.memory.forget_collected();
    }

    /// JavaScript does not look for the chunks of the last batch any more.
    fn let_go(&self) {
        let handles = &mut *self.handles.borrow_mut();
        self.memory.batch_handled(handles);
        handles.clear();
    }

    /// Between two JavaScript tasks: if everything in its arena was sent, it may begin at the front
    /// again.
    pub fn reset_arena_if_idle(&self) {
        self.memory.reset_arena_if_idle();
    }

    /// Puts the batch where JavaScript reads it, and makes its chunks known. No code of the user's runs, so that what is
    /// borrowed here, and the batch by the caller, is not asked for meanwhile.
    fn publish(&self, batch: &mut Batch) {
        debug_assert!(
            !self.words.is_waiting(),
            "the rest of a batch would be lost"
        );
        self.let_go();
        let handles = &mut *self.handles.borrow_mut();
        self.memory.make_known(batch.chunks(), handles);
        self.words.publish(batch.records(), handles);
        let published = self.published.get().wrapping_add(batch.len());
        self.published.set(published);
        self.messages.set(batch.messages());
        // A batch that has no chunks has no bytes.
        self.content.set(if batch.chunks().is_empty() {
            Content::Lifecycle
        } else {
            Content::Messages
        });
        batch.clear();
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.let_go();
        self.memory.forget_collected();
        self.memory.bridge_removed();
    }
}
