//! The reference counts of `src/buffer/chunk.rs`. What loom watches is a cell beside each chunk's memory.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;
use netpoll_core::{Chunk, ChunkPool};

use crate::support::model;

/// A reference to a chunk, and what stands for its memory.
#[derive(Clone)]
struct Reference {
    memory: Arc<UnsafeCell<()>>,
    chunk: Chunk,
}

impl Reference {
    fn to(chunk: Chunk) -> Self {
        let memory = Arc::default();
        Self { memory, chunk }
    }

    fn read(&self) {
        self.memory.with(|_| {});
    }

    fn write(&self) {
        self.memory.with_mut(|_| {});
    }
}

#[test]
fn the_last_of_three_threads_returns_the_memory_once() {
    model(4, || {
        let pool = ChunkPool::new(1, 4);
        let reference = Reference::to(pool.take());
        let readers = [reference.clone(), reference.clone()].map(|reference| {
            thread::spawn(move || {
                reference.clone().read();
                reference.read();
            })
        });
        reference.read();
        drop(reference);
        for reader in readers {
            reader.join().expect("it does not panic");
        }
        let stats = pool.stats();
        assert_eq!((stats.live, stats.live_bytes, stats.cached), (0, 0, 1));
        let again = pool.take();
        assert!(again.is_unshared());
        assert_eq!((pool.stats().hits, pool.stats().cached), (1, 0));
    });
}

#[test]
fn memory_is_lent_again_after_everybody_has_read_it() {
    model(4, || {
        let pool = ChunkPool::new(1, 4);
        let reference = Reference::to(pool.take());
        reference.write();
        let readers = [reference.clone(), reference.clone()]
            .map(|reference| thread::spawn(move || reference.read()));
        let Reference { memory, chunk } = reference;
        let address = chunk.as_ptr();
        drop(chunk);
        let chunk = pool.take();
        if chunk.as_ptr() == address {
            Reference { memory, chunk }.write();
        }
        for reader in readers {
            reader.join().expect("it does not panic");
        }
    });
}

/// The arena and the chunks of `crates/node/src/chunk_exports.rs`: the table and a finalizer keep a reference each, and when
/// there are no others, the environment's thread writes anew what pollers and workers have sent.
#[test]
fn who_sees_that_others_have_let_go_may_write_what_they_have_read() {
    model(4, || {
        let table = Reference::to(ChunkPool::new(1, 4).take());
        let finalizer = table.chunk.clone();
        table.write();
        let senders = [table.clone(), table.clone()].map(|queued| {
            thread::spawn(move || {
                let being_sent = queued.clone();
                drop(queued);
                being_sent.read();
            })
        });
        if table.chunk.is_held_by_at_most(2) {
            table.write();
        }
        for sender in senders {
            sender.join().expect("it does not panic");
        }
        assert!(table.chunk.is_held_by_at_most(2));
        drop(finalizer);
        assert!(table.chunk.is_unshared());
    });
}
