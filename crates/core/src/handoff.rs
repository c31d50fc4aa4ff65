//! Batches on their way from a poller's thread to their consumer, and empty ones on their way back.

use std::collections::VecDeque;
use std::sync::PoisonError;

use crate::inbox::Wake;
use crate::sync::{Mutex, MutexGuard};

/// A queue that is bounded by how many batches there are. A producer that finds no empty one reads
/// nothing, so that the kernel's buffers fill and the peers wait.
///
/// ```
/// use netpoll_core::{Handoff, Wake};
///
/// struct Silent;
/// impl Wake for Silent {
///     fn wake(&self) {}
/// }
///
/// let handoff = Handoff::new([Vec::new()], Silent, Silent);
/// let mut batch = handoff.blank().expect("one is empty");
/// batch.push("a record");
/// handoff.push(batch);
/// assert!(handoff.blank().is_none(), "the producer waits for the consumer");
/// let (batch, _) = handoff.take().expect("one is full");
/// assert_eq!(batch, ["a record"]);
/// ```
pub struct Handoff<Batch, Consumer, Producer> {
    state: Mutex<HandoffState<Batch>>,
    /// Told that there is something to take.
    consumer: Consumer,
    /// Told that there is an empty one again, after there was none.
    producer: Producer,
}

/// Whether a consumer has to take again without being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Another batch waits.
    Waits,
    /// It will be woken.
    None,
}

struct HandoffState<Batch> {
    full: VecDeque<Batch>,
    empty: VecDeque<Batch>,
    /// Whether the consumer was told and has not taken everything since.
    woken: bool,
    /// Whether the producer has found none and waits for one.
    starved: bool,
}

impl<Batch, Consumer: Wake, Producer: Wake> Handoff<Batch, Consumer, Producer> {
    /// With these batches, all empty.
    pub fn new(
        batches: impl IntoIterator<Item = Batch>,
        consumer: Consumer,
        producer: Producer,
    ) -> Self {
        Self {
            state: Mutex::new(HandoffState {
                full: VecDeque::new(),
                empty: batches.into_iter().collect(),
                woken: false,
                starved: false,
            }),
            consumer,
            producer,
        }
    }

    /// An empty batch; `None` where the consumer has all of them, and the producer is woken when one comes back.
    pub fn blank(&self) -> Option<Batch> {
        let mut state = self.state();
        let blank = state.empty.pop_front();
        state.starved = blank.is_none();
        blank
    }

    /// Hands a batch over.
    pub fn push(&self, batch: Batch) {
        let mut state = self.state();
        state.full.push_back(batch);
        let sleeps = !std::mem::replace(&mut state.woken, true);
        drop(state);
        if sleeps {
            self.consumer.wake();
        }
    }

    /// Gives back a batch that was not used.
    pub fn put_back(&self, batch: Batch) {
        self.state().empty.push_front(batch);
    }

    /// The newest batch that was handed over, to be added to and pushed again. It is there if
    /// `predicate` holds for it and the consumer has not taken it. Only for the producer.
    pub fn take_back(&self, predicate: impl FnOnce(&Batch) -> bool) -> Option<Batch> {
        let mut state = self.state();
        let fits = state.full.back().is_some_and(predicate);
        // The consumer that was told of it finds it again, or nothing, and is told once more.
        if fits { state.full.pop_back() } else { None }
    }

    /// The oldest batch that was handed over, and whether there are more. The consumer takes until there are none: only
    /// then is it woken again.
    pub fn take(&self) -> Option<(Batch, More)> {
        let mut state = self.state();
        let batch = state.full.pop_front();
        state.woken = !state.full.is_empty();
        let more = if state.woken { More::Waits } else { More::None };
        batch.map(|batch| (batch, more))
    }

    /// Gives back a batch that was seen.
    pub fn recycle(&self, batch: Batch) {
        let mut state = self.state();
        state.empty.push_back(batch);
        let starved = std::mem::take(&mut state.starved);
        drop(state);
        if starved {
            self.producer.wake();
        }
    }

    /// Whether `predicate` holds for a batch that was not taken yet.
    pub fn any(&self, predicate: impl FnMut(&Batch) -> bool) -> bool {
        self.state().full.iter().any(predicate)
    }

    /// A panic while the lock was held cannot have left it half-changed: each step is whole.
    fn state(&self) -> MutexGuard<'_, HandoffState<Batch>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Count(Rc<Cell<usize>>);

    impl Wake for Count {
        fn wake(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn the_consumer_is_woken_once_until_it_has_taken_everything() {
        let (consumer, producer) = (Count::default(), Count::default());
        let handoff = Handoff::new([1, 2], consumer.clone(), producer);
        for expected in [1, 2] {
            let batch = handoff.blank().expect("there are two");
            assert_eq!(batch, expected);
            handoff.push(batch);
        }
        assert_eq!(consumer.0.get(), 1);
        assert!(handoff.any(|batch| *batch == 2));
        assert_eq!(handoff.take(), Some((1, More::Waits)));
        assert_eq!(handoff.take(), Some((2, More::None)));
        handoff.push(1);
        assert_eq!(consumer.0.get(), 2);
    }

    #[test]
    fn what_nobody_has_taken_comes_back_to_be_added_to() {
        let (consumer, producer) = (Count::default(), Count::default());
        let handoff = Handoff::new([1, 2], consumer.clone(), producer);
        assert_eq!(handoff.take_back(|_| true), None);
        for _ in 0..2 {
            let batch = handoff.blank().expect("there are two");
            handoff.push(batch);
        }
        assert_eq!(handoff.take_back(|batch| *batch == 1), None, "the newest");
        assert_eq!(handoff.take_back(|batch| *batch == 2), Some(2));
        handoff.push(3);
        assert_eq!(consumer.0.get(), 1);
        assert_eq!(handoff.take(), Some((1, More::Waits)));
        assert_eq!(handoff.take_back(|_| true), Some(3));
        // The consumer looks meanwhile, and is woken again.
        assert_eq!(handoff.take(), None);
        handoff.push(3);
        assert_eq!(consumer.0.get(), 2);
        assert_eq!(handoff.take(), Some((3, More::None)));
    }

    #[test]
    fn the_producer_is_woken_only_when_it_has_found_none() {
        let (consumer, producer) = (Count::default(), Count::default());
        let handoff = Handoff::new([1, 2], consumer, producer.clone());
        let first = handoff.blank().expect("there are two");
        let second = handoff.blank().expect("there are two");
        handoff.recycle(first);
        assert_eq!(producer.0.get(), 0);
        assert_eq!(handoff.blank(), Some(1));
        assert_eq!(handoff.blank(), None);
        handoff.recycle(second);
        assert_eq!(producer.0.get(), 1);
        assert_eq!(handoff.blank(), Some(2));
    }
}
