//! Runs a poller on a thread of its own, which it never leaves. One kind serves connections and
//! hands its batches over ([`PollerThread::serve`]), the other only accepts for others
//! ([`PollerThread::accept`]).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::buffer::ChunkPool;
use crate::guard::attempt;
use crate::handoff::Handoff;
use crate::inbox::Wake;
use crate::poller::{Poller, PollerHandle, PollerMessage};

/// Batches of one poller. With one in the consumer's hands and one that waits, the poller fills a third; more would only let
/// messages grow old.
const BATCHES: usize = 4;

/// Records for which a batch without messages must have room, so that it is added to while the
/// consumer has not come to it. That is what one connection may need, and more.
const ROOM: usize = 128;

/// Records of a batch that only connections for others fill.
const ACCEPT_RECORDS: usize = 256;

/// Messages that may wait for the poller, until their sender waits for it to catch up: what it sends, its peers may take.
const MAX_WAITING: usize = 16 * 1024;

/// Wakes a poller that has no batch to fill.
pub struct BlankBatchWaker(PollerHandle);

impl Wake for BlankBatchWaker {
    fn wake(&self) {
        self.0.wake();
    }
}

/// Where a poller hands its batches over.
pub type Batches<Consumer> = Handoff<Batch, Consumer, BlankBatchWaker>;

/// Why a thread has ended before it was stopped. Clones tell of the same thread.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<OnceLock<String>>);

impl Failure {
    /// The reason, for a report; `None` while the thread goes on.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// No other code sets it: a thread fails once.
    fn set(&self, reason: String) {
        let _ = self.0.set(reason);
    }
}

/// What the thread does with its poller.
type Work = Box<dyn FnOnce(Poller, &Running) + Send>;

/// What the thread is told, and tells.
#[derive(Clone, Default)]
struct Running {
    is_stopped: Arc<AtomicBool>,
    failure: Failure,
}

/// A thread and its poller. Dropped, it stops.
///
/// ```
/// use netpoll_core::{Batch, ChunkPool, PollerThread, Wake};
///
/// #[derive(Clone)]
/// struct Silent;
/// impl Wake for Silent {
///     fn wake(&self) {}
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut thread = PollerThread::start("poller", ChunkPool::new(4096, 1))?;
/// let batches = thread.serve(Silent, || Batch::with_capacity(64));
/// let has_ready = thread.handle().ask(|poller| poller.has_ready());
/// assert_eq!(has_ready, Some(false));
/// assert!(batches.take().is_none(), "nothing has happened");
/// thread.stop();
/// # Ok(())
/// # }
/// ```
pub struct PollerThread {
    handle: PollerHandle,
    running: Running,
    /// Gone once the thread knows what to do.
    work: Option<mpsc::SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl PollerThread {
    /// Starts a thread that makes a poller, and waits for what to do with it.
    ///
    /// # Errors
    /// The system's.
    pub fn start(name: &str, pool: ChunkPool) -> io::Result<Self> {
        let (made, handle) = mpsc::sync_channel(1);
        let (work, given) = mpsc::sync_channel::<Work>(1);
        let running = Running::default();
        let known = running.clone();
        let body = move || match Poller::new(pool, Instant::now()) {
            Ok(poller) => {
                // The starter waits for the one, and sends the other, unless it gives up.
                let _ = made.send(Ok(poller.handle()));
                if let Ok(work) = given.recv() {
                    work(poller, &known);
                }
            }
            Err(error) => {
                let _ = made.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(body)?;
        let gone = |_| Err(io::ErrorKind::Other.into());
        let handle = handle.recv().unwrap_or_else(gone)?;
        Ok(Self {
            handle,
            running,
            work: Some(work),
            thread: Some(thread),
        })
    }

    /// How other threads reach the poller.
    #[must_use]
    pub fn handle(&self) -> &PollerHandle {
        &self.handle
    }

    /// Why the thread has ended before it was stopped.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.running.failure
    }

    /// Has the poller serve its connections from now on. Its batches, which `new_batch` makes, go
    /// to the consumer that takes them from what this returns. `consumer` wakes that side, also
    /// when the thread has failed.
    pub fn serve<Consumer>(
        &mut self,
        consumer: Consumer,
        new_batch: impl Fn() -> Batch,
    ) -> Arc<Batches<Consumer>>
    where
        Consumer: Wake + Clone + Send + Sync + 'static,
    {
        let batches = (0..BATCHES).map(|_| new_batch());
        let waker = BlankBatchWaker(self.handle.clone());
        let handoff = Arc::new(Handoff::new(batches, consumer.clone(), waker));
        let batches = handoff.clone();
        self.begin(Box::new(move |poller, running| {
            let Err(reason) = attempt(|| serve(poller, &batches, &running.is_stopped)) else {
                return;
            };
            running.failure.set(reason);
            consumer.wake();
        }));
        handoff
    }

    /// Has the poller accept from now on, for those that its listeners' load balancers know. Should it fail they are told.
    pub fn accept(&mut self) {
        self.begin(Box::new(|mut poller, running| {
            let Err(reason) = attempt(|| accept(&mut poller, &running.is_stopped)) else {
                return;
            };
            // It is there before any server is told.
            running.failure.set(reason);
            // Whatever comes of it, the poller is dropped, its sockets close, and questions to it are given up.
            let _ = attempt(|| {
                poller.tell_failed();
                Ok(())
            });
        }));
    }

    /// Stops the thread and waits for its end. Its sockets are closed then.
    pub fn stop(&mut self) {
        // One that waits for work gets none.
        drop(self.work.take());
        self.running.is_stopped.store(true, Ordering::Release);
        self.handle.wake();
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but the system, and its panics are caught.
            let _ = thread.join();
        }
    }

    fn begin(&mut self, work: Work) {
        if let Some(waiting) = self.work.take() {
            // The thread waits for it.
            let _ = waiting.send(work);
        }
    }
}

impl Drop for PollerThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl PollerHandle {
    /// Asks the poller something, after what was asked of it before, and waits for the answer; `None` when it is gone. Never
    /// from the poller's own thread.
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Poller) -> R + Send + 'static,
    ) -> Option<R> {
        // Fails when the message was dropped, because the poller is gone.
        self.visit(question).recv().ok()
    }

    /// As [`Self::ask`], without waiting for longer than `limit`. What was asked happens all the same, later.
    pub fn ask_within(&self, limit: Duration, question: impl FnOnce(&mut Poller) + Send + 'static) {
        // Late or gone, it is all the same.
        let _ = self.visit(question).recv_timeout(limit);
    }

    /// Posts messages, and waits for the poller to catch up where too many wait for it. Nothing
    /// else tells their sender that it does not keep up.
    pub fn post_paced(&self, messages: &mut Vec<PollerMessage>) {
        if self.post_all(messages) > MAX_WAITING {
            // It comes to this message last.
            self.ask(|_| ());
        }
    }

    fn visit<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Poller) -> R + Send + 'static,
    ) -> mpsc::Receiver<R> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.post(PollerMessage::visit(move |poller| {
            // The asker may not wait any more.
            let _ = sender.send(question(poller));
        }));
        receiver
    }
}

fn serve<Consumer: Wake>(
    mut poller: Poller,
    handoff: &Batches<Consumer>,
    is_stopped: &AtomicBool,
) -> io::Result<()> {
    // Looked at after the inbox was taken: before that, a wake-up reaches a poller that is awake
    // already.
    while !is_stopped.load(Ordering::Acquire) {
        // News of connections are few, and must not keep others waiting whose messages go to workers.
        let blank = handoff.blank().or_else(|| {
            handoff.take_back(|batch: &Batch| batch.chunks().is_empty() && batch.room() >= ROOM)
        });
        let Some(mut batch) = blank else {
            // Until one comes back, of which the poller is told. What sockets have to tell would wake it in vain.
            poller.await_inbox();
            poller.flush(Instant::now());
            continue;
        };
        poller.wait(timeout(&poller))?;
        let now = Instant::now();
        poller.turn(now, &mut batch);
        if batch.is_empty() {
            handoff.put_back(batch);
        } else {
            handoff.push(batch);
        }
        poller.flush(now);
    }
    Ok(())
}

fn accept(poller: &mut Poller, is_stopped: &AtomicBool) -> io::Result<()> {
    let mut batch = Batch::with_capacity(ACCEPT_RECORDS);
    while !is_stopped.load(Ordering::Acquire) {
        poller.wait(timeout(poller))?;
        poller.turn(Instant::now(), &mut batch);
        // The load balancer tells those that share a socket of its troubles.
        batch.clear();
    }
    Ok(())
}

/// How long the poller may wait for events.
fn timeout(poller: &Poller) -> Option<Duration> {
    if poller.has_ready() {
        return Some(Duration::ZERO);
    }
    let wake = poller.next_wake();
    wake.map(|wake| wake.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests;
