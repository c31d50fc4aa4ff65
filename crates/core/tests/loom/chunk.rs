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

/// The arena of `crates/node/src/chunk_exports.rs`: the table and a finalizer have a reference of
/// outside each. When there are no others, the environment's thread writes anew what pollers and
/// workers have sent.
#[test]
fn who_sees_that_others_have_let_go_may_write_what_they_have_read() {
    model(4, || {
        let written = Reference::to(ChunkPool::new(1, 4).take());
        let table = written.chunk.export();
        let finalizer = table.clone();
        written.write();
        let senders = [written.clone(), written.clone()].map(|queued| {
            thread::spawn(move || {
                let being_sent = queued.clone();
                drop(queued);
                being_sent.read();
            })
        });
        let Reference { memory, chunk } = written;
        drop(chunk);
        if table.is_held_by(2) {
            memory.with_mut(|_| {});
        }
        for sender in senders {
            sender.join().expect("it does not panic");
        }
        assert!(table.is_held_by(2));
        drop(finalizer);
        assert!(table.is_held_by(1));
    });
}

/// One environment asks whether its chunk is idle. Another, which knows it as well, makes a
/// reference of one kind out of the other. It sends what it has received, and forgets the chunk
/// meanwhile.
#[test]
fn a_reference_that_changes_its_kind_is_never_overlooked() {
    model(4, || {
        let pool = ChunkPool::new(1, 4);
        let received = Reference::to(pool.take());
        let table = received.chunk.export();
        let other = received.chunk.export();
        let Reference { memory, chunk } = received;
        drop(chunk);
        let reader = {
            let memory = memory.clone();
            thread::spawn(move || {
                let chunk = other.chunk();
                drop(other);
                Reference { memory, chunk }.read();
            })
        };
        if table.is_held_by(1) {
            memory.with_mut(|_| {});
        }
        reader.join().expect("it does not panic");
        assert!(table.is_held_by(1));
    });
}

/// One chunk that two environments have exported, each with a table and a finalizer. They are torn
/// down in any order, while the poller lets go of it, too. Each sees when nothing but exports is
/// left, and the memory comes back once.
#[test]
fn two_environments_that_are_torn_down_in_any_order_return_a_chunk_once() {
    model(3, || {
        let pool = ChunkPool::new(1, 4);
        let filled = Reference::to(pool.take());
        filled.write();
        let environments = [(); 2].map(|()| {
            let (table, finalizer) = (filled.chunk.export(), filled.chunk.export());
            let memory = filled.memory.clone();
            thread::spawn(move || {
                memory.with(|_| {});
                // Only that it may be asked for at any time: whether the poller has let go is not known here.
                let _ = table.is_all_outside();
                drop(table);
                drop(finalizer);
            })
        });
        drop(filled);
        let again = pool.take();
        for environment in environments {
            environment.join().expect("it does not panic");
        }
        let stats = pool.stats();
        assert_eq!(stats.live, 1, "the one that was taken again");
        assert_eq!(stats.hits as usize + stats.cached, 1, "it came back once");
        drop(again);
    });
}

/// As above, and the thread that takes the memory next writes it, wherever it is.
#[test]
fn memory_that_two_environments_had_is_lent_again_after_both_have_read_it() {
    model(3, || {
        let pool = ChunkPool::new(1, 4);
        let filled = Reference::to(pool.take());
        filled.write();
        let address = filled.chunk.as_ptr();
        let environments = [(); 2].map(|()| {
            let (table, finalizer) = (filled.chunk.export(), filled.chunk.export());
            let memory = filled.memory.clone();
            thread::spawn(move || {
                drop(table);
                memory.with(|_| {});
                drop(finalizer);
            })
        });
        let Reference { memory, chunk } = filled;
        drop(chunk);
        let chunk = pool.take();
        if chunk.as_ptr() == address {
            Reference { memory, chunk }.write();
        }
        for environment in environments {
            environment.join().expect("it does not panic");
        }
    });
}
