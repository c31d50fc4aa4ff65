//! Sending from memory that is not ours.

mod support;

use std::cell::Cell;
use std::rc::Rc;

use netpoll_core::Reason;
use netpoll_core::connection::ForeignBytes;
use support::{Harness, Random, read_available, settings};

struct Lent {
    memory: Vec<u8>,
    there: Rc<Cell<bool>>,
}

impl ForeignBytes for Lent {
    fn bytes(&self) -> Option<&[u8]> {
        self.there.get().then_some(&self.memory)
    }
}

fn lent(memory: Vec<u8>) -> (Box<Lent>, Rc<Cell<bool>>) {
    let there = Rc::new(Cell::new(true));
    let owner = Lent {
        memory,
        there: there.clone(),
    };
    (Box::new(owner), there)
}

#[test]
fn foreign_bytes_arrive_in_their_place_and_are_let_go_of() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let payload = Random::new(3).bytes(3_000_000);
    let (owner, there) = lent(payload.clone());
    let (before, after) = (h.slice(b"before"), h.slice(b"after"));
    h.poller.send(id, before);
    h.poller.send_foreign(id, owner, 100, 2_000_000);
    h.poller.send(id, after);
    h.poller.close(id);
    h.flush();
    let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
    assert!(end.is_ok());
    let expected = [b"before", &payload[100..2_000_100], b"after"].concat();
    assert!(got == expected, "{} bytes", got.len());
    assert_eq!(Rc::strong_count(&there), 1);
}

#[test]
fn memory_that_is_taken_away_fails_its_connection_alone() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (id, mut peer) = h.unix(&settings);
    let (other, mut other_peer) = h.unix(&settings);
    let (owner, there) = lent(vec![1; 3_000_000]);
    h.poller.send_foreign(id, owner, 0, 3_000_000);
    h.flush();
    assert!(h.poller.bytes_written(id) > Some(0), "some of it has left");
    there.set(false);
    let mut got = Vec::new();
    read_available(&mut peer, &mut got, usize::MAX).expect("what has left");
    assert_eq!(h.until_closed(id), Reason::ForeignDetached.code());
    assert_eq!(Rc::strong_count(&there), 1);
    let slice = h.slice(b"still here");
    h.poller.send(other, slice);
    assert_eq!(h.peer_reads(&mut other_peer, 10, |_, _| {}), b"still here");
}

#[test]
fn a_connection_that_takes_nothing_lets_go_at_once() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|_| {}));
    h.poller.close(id);
    let (owner, there) = lent(vec![1; 10]);
    h.poller.send_foreign(id, owner, 0, 10);
    assert_eq!(Rc::strong_count(&there), 1);
}
