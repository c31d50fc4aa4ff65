//! Requests and replies as bytes, without sockets.

use super::*;

fn shape(payload_size: usize, comparison: Comparison) -> Shape {
    Shape {
        length_size: 4,
        payload_size,
        reply: Reply::Echo,
        order: Order::Requests,
        comparison,
    }
}

/// Takes all unsent bytes, as a socket with room would.
fn send(frames: &mut Frames) -> Vec<u8> {
    let bytes = frames.unsent().concat();
    frames.sent(bytes.len());
    assert!(!frames.has_unsent());
    bytes
}

#[test]
fn a_frame_is_a_big_endian_length_and_a_payload() {
    for (length_size, expected) in [
        (1, vec![5]),
        (2, vec![0, 5]),
        (3, vec![0, 0, 5]),
        (4, vec![0, 0, 0, 5]),
        (8, vec![0, 0, 0, 0, 0, 0, 0, 5]),
    ] {
        let shape = Shape {
            length_size,
            ..shape(5, Comparison::Start)
        };
        let mut frames = Frames::new(shape, 1, 1);
        frames.queue();
        let bytes = send(&mut frames);
        assert_eq!(bytes.len(), length_size + 5);
        assert_eq!(bytes[..length_size], expected);
    }
}

#[test]
fn replies_may_be_split_at_every_offset() {
    for comparison in [Comparison::Start, Comparison::Whole] {
        for payload_size in [0, 1, 15, 16, 17, 40] {
            let length = 2 * (4 + payload_size);
            for split in 0..=length {
                let mut frames = Frames::new(shape(payload_size, comparison), 3, 7);
                // Start in the middle of the ring, so that two frames wrap.
                for _ in 0..2 {
                    frames.queue();
                    let bytes = send(&mut frames);
                    assert_eq!(frames.receive(&bytes, |_| {}), Ok(()));
                }
                let expected = [frames.queue(), frames.queue()];
                let bytes = send(&mut frames);
                assert_eq!(bytes.len(), length);
                let mut answered = Vec::new();
                assert_eq!(
                    frames.receive(&bytes[..split], |slot| answered.push(slot)),
                    Ok(())
                );
                assert_eq!(
                    frames.receive(&bytes[split..], |slot| answered.push(slot)),
                    Ok(())
                );
                assert_eq!(answered, expected);
                assert_eq!(frames.in_flight(), 0);
            }
        }
    }
}

#[test]
fn requests_may_be_sent_in_parts_of_any_size() {
    for part in 1..=60 {
        let mut frames = Frames::new(shape(20, Comparison::Whole), 3, 3);
        let mut sent = Vec::new();
        let mut answered = 0;
        for _ in 0..10 {
            while frames.free() > 0 {
                frames.queue();
            }
            let bytes = frames.unsent().concat();
            let length = part.min(bytes.len());
            frames.sent(length);
            sent.extend_from_slice(&bytes[..length]);
            assert_eq!(frames.receive(&bytes[..length], |_| answered += 1), Ok(()));
        }
        assert_eq!(answered, sent.len() / 24);
    }
}

#[test]
fn payloads_are_distinct() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..4 {
        let mut frames = Frames::new(shape(64, Comparison::Whole), 1, seed);
        for _ in 0..100 {
            frames.queue();
            let bytes = send(&mut frames);
            assert_eq!(frames.receive(&bytes, |_| {}), Ok(()));
            assert!(seen.insert(bytes));
        }
    }
}

#[test]
fn every_byte_that_is_compared_is_noticed() {
    for (comparison, compared) in [(Comparison::Start, 4 + 16), (Comparison::Whole, 4 + 40)] {
        for offset in 0..44 {
            let mut frames = Frames::new(shape(40, comparison), 1, 9);
            frames.queue();
            let mut bytes = send(&mut frames);
            bytes[offset] ^= 1;
            let expected = if offset < compared {
                Err(Mismatch::Differs { reply: 0, offset })
            } else {
                Ok(())
            };
            assert_eq!(frames.receive(&bytes, |_| {}), expected);
        }
    }
}

#[test]
fn a_reply_without_request_is_noticed() {
    let mut frames = Frames::new(shape(8, Comparison::Start), 2, 1);
    assert_eq!(frames.receive(&[0], |_| {}), Err(Mismatch::Unexpected));
    frames.queue();
    let mut bytes = send(&mut frames);
    bytes.push(0);
    assert_eq!(frames.receive(&bytes, |_| {}), Err(Mismatch::Unexpected));
}

/// The reply that a server should make of a frame.
fn inverted(mut frame: Vec<u8>) -> Vec<u8> {
    Reply::Inverted.turn(&mut frame[4..]);
    frame
}

#[test]
fn inverted_replies_may_be_split_at_every_offset() {
    for payload_size in [0, 3, 4, 5, 16, 40] {
        for split in 0..=2 * (4 + payload_size) {
            let shape = Shape {
                reply: Reply::Inverted,
                ..shape(payload_size, Comparison::Whole)
            };
            let mut frames = Frames::new(shape, 2, 11);
            // Twice, because a place in the ring holds a reply once it is answered.
            for _ in 0..2 {
                let mut replies = Vec::new();
                for _ in 0..2 {
                    frames.queue();
                    replies.extend(inverted(send(&mut frames)));
                }
                assert_eq!(frames.receive(&replies[..split], |_| {}), Ok(()));
                assert_eq!(frames.receive(&replies[split..], |_| {}), Ok(()));
                assert_eq!(frames.in_flight(), 0);
            }
        }
    }
}

#[test]
fn a_request_that_is_sent_back_is_no_inverted_reply() {
    for order in [Order::Requests, Order::Any] {
        let shape = Shape {
            reply: Reply::Inverted,
            order,
            ..shape(40, Comparison::Start)
        };
        let mut frames = Frames::new(shape, 1, 11);
        frames.queue();
        let request = send(&mut frames);
        assert!(frames.receive(&request, |_| {}).is_err());
    }
}

fn any_order(payload_size: usize) -> Shape {
    Shape {
        reply: Reply::Inverted,
        order: Order::Any,
        ..shape(payload_size, Comparison::Whole)
    }
}

#[test]
fn replies_in_any_order_find_their_requests() {
    for payload_size in [16, 17, 40] {
        for split in 0..=4 * (4 + payload_size) {
            let mut frames = Frames::new(any_order(payload_size), 4, 5);
            // Start in the middle of the ring, so that requests wrap.
            for _ in 0..3 {
                frames.queue();
                let reply = inverted(send(&mut frames));
                assert_eq!(frames.receive(&reply, |_| {}), Ok(()));
            }
            let mut replies = Vec::new();
            let slots: Vec<usize> = (0..4)
                .map(|_| {
                    let slot = frames.queue();
                    replies.push(inverted(send(&mut frames)));
                    slot
                })
                .collect();
            let order = [2, 0, 3, 1];
            let bytes = order.map(|index| replies[index].clone()).concat();
            let mut answered = Vec::new();
            for part in [&bytes[..split], &bytes[split..]] {
                assert_eq!(frames.receive(part, |slot| answered.push(slot)), Ok(()));
            }
            assert_eq!(answered, order.map(|index| slots[index]));
            assert_eq!((frames.in_flight(), frames.free()), (0, 4));
        }
    }
}

#[test]
fn a_place_is_free_once_all_older_requests_are_answered() {
    let mut frames = Frames::new(any_order(16), 3, 5);
    let mut replies = Vec::new();
    for _ in 0..3 {
        frames.queue();
        replies.push(inverted(send(&mut frames)));
    }
    assert_eq!(frames.oldest(), Some(0));
    assert_eq!(frames.receive(&replies[1], |_| {}), Ok(()));
    assert_eq!((frames.in_flight(), frames.free()), (2, 0));
    assert_eq!(frames.receive(&replies[0], |_| {}), Ok(()));
    assert_eq!((frames.in_flight(), frames.free()), (1, 2));
    assert_eq!(frames.oldest(), Some(2));
}

#[test]
fn a_second_reply_and_one_to_an_older_request_belong_to_nobody() {
    for earlier in [0, 3] {
        let mut frames = Frames::new(any_order(16), 2, 5);
        for _ in 0..earlier {
            frames.queue();
            let reply = inverted(send(&mut frames));
            assert_eq!(frames.receive(&reply, |_| {}), Ok(()));
        }
        frames.queue();
        let first = inverted(send(&mut frames));
        frames.queue();
        let second = inverted(send(&mut frames));
        assert_eq!(frames.receive(&second, |_| {}), Ok(()));
        let unknown = Err(Mismatch::Unknown(earlier + 1));
        assert_eq!(frames.receive(&second, |_| {}), unknown);
        let mut never = first;
        never[4] ^= 1;
        assert_eq!(frames.receive(&never, |_| {}), unknown);
    }
}
