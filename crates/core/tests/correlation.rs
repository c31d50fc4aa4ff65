//! Ids are handed over with the messages that carry them, and calls that wait let replies pass the bound.

mod support;

use std::io::Write;
use std::num::NonZeroU32;

use netpoll_core::Reason;
use netpoll_core::frame::{Delimiter, Endian, Framing, IdField};
use support::{Entry, Harness, Random, What, frame, settings};

/// The messages among `entries`, each with its id. An id that no message follows at once is a defect.
fn with_ids(entries: &[Entry]) -> Vec<(Option<u64>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut id = None;
    for entry in entries {
        match &entry.what {
            What::Correlation(value) => {
                assert_eq!(id.replace(*value), None, "two ids for one message");
            }
            What::Message(slice) => found.push((id.take(), slice.as_ref().to_vec())),
            other => assert_eq!(id, None, "an id stands before {}", other.name()),
        }
    }
    assert_eq!(id, None, "an id without a message");
    found
}

#[test]
fn each_message_comes_behind_its_id_however_it_was_torn_and_however_small_the_batch() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let offset = random.below(12);
        let size = [1, 2, 4, 8][random.below(4)];
        let endian = [Endian::Big, Endian::Little][random.below(2)];
        let mut h = Harness::with(
            [4096, 262_144][seed as usize % 2],
            [24, 512][seed as usize % 2],
        );
        let (id, mut peer) = h.unix(&settings(|s| {
            s.id_field = IdField::new(offset, size, endian);
            s.max_in_flight = None;
        }));
        let sent: Vec<Vec<u8>> = (0..300)
            .map(|_| {
                let length = random.below(40);
                random.bytes(length)
            })
            .collect();
        let wire = sent
            .iter()
            .flat_map(|message| frame(message))
            .collect::<Vec<u8>>();
        let mut at = 0;
        while at < wire.len() {
            let end = (at + random.below(900)).min(wire.len());
            peer.write_all(&wire[at..end]).expect("room");
            at = end;
            h.quiesce();
        }
        let entries: Vec<Entry> = h.log.iter().filter(|e| e.id == Some(id)).cloned().collect();
        // The handler sees whole frames here: four bytes of length stand before what was sent.
        let expected: Vec<(Option<u64>, Vec<u8>)> = sent
            .iter()
            .map(|message| {
                let whole = frame(message);
                let field = whole.get(offset..offset + size).map(<[u8]>::to_vec);
                let value = field.map(|mut field| {
                    if endian == Endian::Little {
                        field.reverse();
                    }
                    field
                        .iter()
                        .fold(0, |value, byte| value << 8 | u64::from(*byte))
                });
                (value, whole)
            })
            .collect();
        assert!(with_ids(&entries) == expected, "seed {seed}");
    }
}

#[test]
fn the_offset_counts_from_where_the_message_begins() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.framing = Framing::Delimiter(Delimiter::new(b"\n", 100).expect("valid"));
        s.id_field = IdField::new(1, 1, Endian::Big);
    }));
    peer.write_all(b"ab\nc\n\ndef\n").expect("room");
    h.quiesce();
    let entries: Vec<Entry> = h.log.iter().filter(|e| e.id == Some(id)).cloned().collect();
    let found = with_ids(&entries);
    let ids: Vec<Option<u64>> = found.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [Some(98), None, None, Some(101)]);
}

#[test]
fn without_an_id_field_nobody_pays_for_one() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    peer.write_all(&frame(b"abcdefgh").repeat(3)).expect("room");
    h.quiesce();
    assert_eq!(h.story(id), ["accepted", "message", "message", "message"]);
}

#[test]
fn messages_beyond_the_bound_are_handed_over_as_long_as_that_is_allowed() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    peer.write_all(&frame(b"abcd").repeat(9)).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 1);
    h.poller.allow_beyond(id, 3);
    h.quiesce();
    assert_eq!(h.message_count(id), 4);
    h.poller.allow_beyond(id, 0);
    h.poller.acknowledge(id, 3);
    h.quiesce();
    assert_eq!(h.message_count(id), 4, "one is in flight still");
    h.poller.allow_beyond(id, u32::MAX);
    h.quiesce();
    assert_eq!(h.message_count(id), 9);
    h.poller.allow_beyond(id, 0);
    h.poller.acknowledge(id, 6);
    peer.write_all(&frame(b"last")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 10);
}

#[test]
fn what_is_answered_before_closing_may_wait_for_replies_that_are_still_to_be_read() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    peer.write_all(&frame(b"request")).expect("room");
    h.quiesce();
    h.poller.allow_beyond(id, u32::MAX);
    h.poller.finish(id);
    h.quiesce();
    peer.write_all(&frame(b"a reply")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    h.poller.acknowledge(id, 1);
    h.poller.allow_beyond(id, 0);
    h.quiesce();
    peer.write_all(&frame(b"too late")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2, "nothing is awaited any more");
    h.poller.acknowledge(id, 1);
    h.quiesce();
    drop(peer);
    assert_eq!(h.until_closed(id), 0);
}

#[test]
fn an_end_within_a_reply_that_is_awaited_before_closing_is_told() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    peer.write_all(&frame(b"request")).expect("room");
    h.quiesce();
    h.poller.allow_beyond(id, u32::MAX);
    h.poller.finish(id);
    h.quiesce();
    peer.write_all(&frame(b"half a reply")[..6]).expect("room");
    drop(peer);
    h.quiesce();
    assert!(h.has(id, "ended"));
    h.poller.acknowledge(id, 1);
    assert_eq!(h.until_closed(id), Reason::UnexpectedEnd.code());
}
