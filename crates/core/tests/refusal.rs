//! After a refusal no byte of that connection is parsed, whatever waits: any peer may have chosen
//! the bytes that follow.

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use netpoll_core::frame::{Delimiter, Endian, Framing, IdField, LengthField, Varint};
use netpoll_core::settings::{HalfOpen, Start, UnfinishedBound};
use netpoll_core::{Id, Reason, Settings};
use support::{Harness, What, frame, settings};

/// Longest message of the cases below, but for delimiters.
const MAX_LENGTH: usize = 60;
/// What honest messages say. None has a byte that a delimiter here begins with.
const BEFORE: [&[u8]; 2] = [b"first", b"second"];
/// What stands behind the refused bytes, as whole frames.
const FORGED: [&[u8]; 3] = [b"forged", b"a reply", b"another"];

type Encode = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A framing, what it refuses, and why.
struct Case {
    name: String,
    framing: Framing,
    /// Bytes of unfinished messages that the settings allow.
    bound: usize,
    /// What a message of these bytes looks like on the wire.
    encode: Encode,
    /// Bytes in front of each message that are handed over with it.
    kept: Encode,
    refused: Vec<u8>,
    reason: Reason,
}

fn number(value: u64, size: usize, endian: Endian) -> Vec<u8> {
    match endian {
        Endian::Big => value.to_be_bytes()[8 - size..].to_vec(),
        Endian::Little => value.to_le_bytes()[..size].to_vec(),
    }
}

fn length_fields(cases: &mut Vec<Case>) {
    for (size, endian) in [
        (1, Endian::Big),
        (2, Endian::Little),
        (3, Endian::Big),
        (4, Endian::Big),
        (8, Endian::Little),
    ] {
        let whole = -(2 + size as i64);
        for (offset, adjustment, strip) in
            [(0, 0, 0), (0, 0, size), (2, whole, 0), (1, 3, 1 + size)]
        {
            let header = move |value: u64| {
                let mut bytes = vec![0; offset];
                bytes.extend(number(value, size, endian));
                bytes
            };
            let value_of = move |body: usize| (body as i64 - adjustment) as u64;
            let mut refusals = vec![
                (header(value_of(MAX_LENGTH + 1)), Reason::FrameTooLarge),
                (header(u64::MAX), Reason::FrameTooLarge),
            ];
            if adjustment < 0 {
                refusals.push((header(0), Reason::FrameInvalid));
            }
            for (refused, reason) in refusals {
                cases.push(Case {
                    name: format!("{size} {endian:?} {offset} {adjustment} {strip} {refused:?}"),
                    framing: Framing::LengthField(
                        LengthField::new(offset, size, adjustment, strip, endian, MAX_LENGTH)
                            .expect("valid"),
                    ),
                    bound: usize::MAX,
                    encode: Box::new(move |m| [header(value_of(m.len())), m.to_vec()].concat()),
                    kept: Box::new(move |m| header(value_of(m.len()))[strip..].to_vec()),
                    refused,
                    reason,
                });
            }
        }
    }
}

fn others(cases: &mut Vec<Case>) {
    for delimiter in [&b"\n"[..], b"\r\n\r\n"] {
        cases.push(Case {
            name: format!("delimiter {delimiter:?}"),
            framing: Framing::Delimiter(Delimiter::new(delimiter, 20).expect("valid")),
            bound: usize::MAX,
            encode: Box::new(move |m| [m, delimiter].concat()),
            kept: Box::new(|_| Vec::new()),
            refused: vec![b'x'; 20 + delimiter.len()],
            reason: Reason::FrameTooLarge,
        });
    }
    for (refused, reason) in [
        (vec![MAX_LENGTH as u8 + 1], Reason::FrameTooLarge),
        (vec![0xff, 0xff, 0x03], Reason::FrameTooLarge),
        (vec![0x80; 10], Reason::FrameInvalid),
    ] {
        cases.push(Case {
            name: format!("varint {refused:?}"),
            framing: Framing::Varint(Varint::new(MAX_LENGTH)),
            bound: usize::MAX,
            encode: Box::new(|m| [&[m.len() as u8][..], m].concat()),
            kept: Box::new(|_| Vec::new()),
            refused,
            reason,
        });
    }
    // Allowed by its length, and too much for all connections together: a body of what looks like frames.
    let body = frame(b"within the body").repeat(500);
    cases.push(Case {
        name: "bound on unfinished messages".into(),
        framing: support::whole_frames(1 << 20),
        bound: 5_000,
        encode: Box::new(frame),
        kept: Box::new(|m| frame(m)[..4].to_vec()),
        refused: [&(1_u32 << 20).to_be_bytes()[..], &body].concat(),
        reason: Reason::BufferLimit,
    });
}

/// What goes on when the refused bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Handler,
    Calls,
    CallsAtTheBound,
    /// The server closes, and answers what it has read before.
    CallsWhileFinishing,
    CallsAndHalfOpen,
    /// Our direction has ended.
    CallsAfterOurEnd,
    /// What came was held back until now.
    CallsAndPaused,
}

const WAITING: [Waiting; 8] = [
    Waiting::Nothing,
    Waiting::Handler,
    Waiting::Calls,
    Waiting::CallsAtTheBound,
    Waiting::CallsWhileFinishing,
    Waiting::CallsAndHalfOpen,
    Waiting::CallsAfterOurEnd,
    Waiting::CallsAndPaused,
];

impl Waiting {
    fn settings(self, case: &Case) -> Arc<Settings> {
        settings(|s| {
            s.framing = case.framing.clone();
            s.unfinished = Arc::new(UnfinishedBound::new(case.bound));
            match self {
                Self::Nothing => s.max_in_flight = None,
                Self::CallsAtTheBound => s.max_in_flight = NonZeroU32::new(1),
                _ => {}
            }
            if self == Self::CallsAndHalfOpen {
                s.half_open = HalfOpen::Keep;
            }
            if !matches!(self, Self::Nothing | Self::Handler) {
                s.id_field = IdField::new(0, 1, Endian::Big);
            }
        })
    }

    /// Brings it about, with one message in handling.
    fn begin(self, h: &mut Harness, id: Id) {
        match self {
            Self::Nothing | Self::Handler => return,
            Self::CallsAfterOurEnd => h.poller.end(id),
            Self::CallsWhileFinishing => {
                h.poller.allow_beyond(id, u32::MAX);
                h.poller.finish(id);
            }
            Self::CallsAndPaused => h.poller.set_flow(id, Start::Paused),
            Self::Calls | Self::CallsAtTheBound | Self::CallsAndHalfOpen => {}
        }
        h.poller.allow_beyond(id, u32::MAX);
    }
}

/// Not everything need arrive: the connection may be over before.
fn write(peer: &mut UnixStream, bytes: &[u8]) {
    let _ = peer.write_all(bytes);
}

/// The reasons that are told while the connection is not over.
fn refusals(h: &Harness, id: Id) -> Vec<u32> {
    let told = h.log.iter().filter(|entry| entry.id == Some(id));
    told.filter_map(|entry| match entry.what {
        What::Inactive(code) if code != 0 => Some(code),
        _ => None,
    })
    .collect()
}

/// Has `pieces` arrive one after the other, and checks what is told.
fn check(h: &mut Harness, case: &Case, waiting: Waiting, pieces: &[&[u8]], context: &str) {
    let context = format!("{} {waiting:?} {context}", case.name);
    h.log.clear();
    let expected: Vec<Vec<u8>> = BEFORE
        .iter()
        .map(|m| [(case.kept)(m), m.to_vec()].concat())
        .collect();
    let (id, mut peer) = h.unix(&waiting.settings(case));
    write(&mut peer, &(case.encode)(BEFORE[0]));
    h.quiesce();
    waiting.begin(h, id);
    h.quiesce();
    for piece in pieces {
        write(&mut peer, piece);
        h.quiesce();
    }
    h.poller.set_flow(id, Start::Reading);
    h.quiesce();
    assert_eq!(h.messages(id), expected, "{context}");
    assert_eq!(refusals(h, id), [case.reason.code()], "{context}");
    // A call that is made now, another owner, another order: nothing has a further byte parsed.
    let forged = FORGED.iter().flat_map(|m| (case.encode)(m));
    let forged: Vec<u8> = forged.collect();
    h.poller.allow_beyond(id, u32::MAX);
    write(&mut peer, &forged);
    h.quiesce();
    h.poller.take_over(id);
    h.poller.finish(id);
    h.poller.end(id);
    write(&mut peer, &forged);
    h.quiesce();
    assert_eq!(h.messages(id), expected, "{context}");
    h.poller.acknowledge(id, 2);
    h.quiesce();
    write(&mut peer, &forged);
    h.quiesce();
    drop(peer);
    assert_eq!(h.until_closed(id), case.reason.code(), "{context}");
    assert_eq!(h.messages(id), expected, "{context}");
    assert_eq!(refusals(h, id), [case.reason.code()], "{context}");
}

#[test]
fn nothing_behind_a_refusal_is_parsed_whatever_waits_and_however_it_was_torn() {
    let mut cases = Vec::new();
    length_fields(&mut cases);
    others(&mut cases);
    let mut h = Harness::new();
    for case in &cases {
        let honest = (case.encode)(BEFORE[1]);
        let forged: Vec<u8> = FORGED.iter().flat_map(|m| (case.encode)(m)).collect();
        let wire = [&honest[..], &case.refused, &forged].concat();
        // Of a long body, its beginning and its end are enough.
        let splits = (0..=wire.len()).filter(|at| *at < 100 || *at + 40 > wire.len());
        for split in splits {
            let (one, other) = wire.split_at(split);
            for waiting in WAITING {
                check(&mut h, case, waiting, &[one, other], &format!("{split}"));
            }
        }
        if wire.len() < 200 {
            let bytes: Vec<&[u8]> = wire.chunks(1).collect();
            for waiting in WAITING {
                check(&mut h, case, waiting, &bytes, "byte by byte");
            }
        }
    }
}

#[test]
fn a_refusal_is_told_although_the_peers_end_was_seen_before() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1_000)));
    // More than are handed over in one go.
    peer.write_all(&frame(b"request").repeat(200))
        .expect("room");
    peer.write_all(&[0xff; 4]).expect("room");
    peer.shutdown(Shutdown::Write).expect("ending");
    h.quiesce();
    assert_eq!(h.message_count(id), 200);
    assert_eq!(refusals(&h, id), [Reason::FrameTooLarge.code()]);
    assert_eq!(h.reason(id), None, "200 are in handling");
    h.poller.acknowledge(id, 200);
    assert_eq!(h.until_closed(id), Reason::FrameTooLarge.code());
}
