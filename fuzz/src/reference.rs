//! What framing means, written the slow way: the model that the core is compared with.

use netpoll_core::Reason;
use netpoll_core::frame::{Delimiter, Endian, Framing, IdField, LengthField, Varint};

use crate::choices::Choices;

/// A framing that can be cut here and there.
#[derive(Clone, Debug)]
pub enum Reference {
    LengthField {
        offset: usize,
        size: usize,
        adjustment: i64,
        strip: usize,
        endian: Endian,
        most: usize,
    },
    Delimiter {
        delimiter: Vec<u8>,
        most: usize,
    },
    Varint {
        most: usize,
    },
}

/// Where the first frame ends, and its message.
enum First {
    Frame {
        total: usize,
        start: usize,
        end: usize,
    },
    Short,
    Refused(Reason),
}

/// Messages of a byte stream, and what is wrong behind them.
#[derive(Default)]
pub struct Decoded {
    pub messages: Vec<Vec<u8>>,
    pub refused: Option<Reason>,
    /// Whether it ends within a message.
    pub is_torn: bool,
}

impl Reference {
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        let most = choices.of(&[100, 0, 20, 5_000, 200_000]);
        match choices.below(4) {
            0 | 1 => {
                let size = choices.of(&[4, 1, 2, 3, 8]);
                let offset = choices.of(&[0, 1, 4]);
                let whole = -((offset + size) as i64);
                Self::LengthField {
                    offset,
                    size,
                    adjustment: choices.of(&[0, whole, 3, -1]),
                    strip: choices.below(offset + size + 1),
                    endian: choices.of(&[Endian::Big, Endian::Little]),
                    most,
                }
            }
            2 => Self::Delimiter {
                delimiter: choices.of(&[&b"\n"[..], b"\0\0", b"\n\n\x01"]).to_vec(),
                most,
            },
            _ => Self::Varint { most },
        }
    }

    /// The same for the core.
    pub fn framing(&self) -> Framing {
        match self {
            Self::LengthField {
                offset,
                size,
                adjustment,
                strip,
                endian,
                most,
            } => Framing::LengthField(
                LengthField::new(*offset, *size, *adjustment, *strip, *endian, *most)
                    .expect("chosen to be possible"),
            ),
            Self::Delimiter { delimiter, most } => {
                Framing::Delimiter(Delimiter::new(delimiter, *most).expect("not empty"))
            }
            Self::Varint { most } => Framing::Varint(Varint::new(*most)),
        }
    }

    /// A message on the wire. It may be more than is allowed, or contain its own end.
    pub fn encode(&self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::LengthField {
                offset,
                size,
                adjustment,
                endian,
                ..
            } => {
                let value = (body.len() as i64 - adjustment) as u64;
                let field = match endian {
                    Endian::Big => value.to_be_bytes()[8 - size..].to_vec(),
                    Endian::Little => value.to_le_bytes()[..*size].to_vec(),
                };
                [&vec![0xee; *offset][..], &field, body].concat()
            }
            Self::Delimiter { delimiter, .. } => [body, delimiter].concat(),
            Self::Varint { .. } => {
                let (mut bytes, mut left) = (Vec::new(), body.len());
                while left >= 0x80 {
                    bytes.push((left & 0x7f) as u8 | 0x80);
                    left >>= 7;
                }
                bytes.push(left as u8);
                bytes.extend_from_slice(body);
                bytes
            }
        }
    }

    pub fn decode(&self, mut bytes: &[u8]) -> Decoded {
        let mut decoded = Decoded::default();
        while !bytes.is_empty() {
            match self.first(bytes) {
                First::Frame { total, start, end } => {
                    decoded.messages.push(bytes[start..end].to_vec());
                    bytes = &bytes[total..];
                }
                First::Short => {
                    decoded.is_torn = true;
                    return decoded;
                }
                First::Refused(reason) => {
                    decoded.refused = Some(reason);
                    return decoded;
                }
            }
        }
        decoded
    }

    fn first(&self, bytes: &[u8]) -> First {
        match self {
            Self::LengthField {
                offset,
                size,
                adjustment,
                strip,
                endian,
                most,
            } => {
                let header = offset + size;
                if bytes.len() < header {
                    return First::Short;
                }
                let mut value = 0_i128;
                for at in 0..*size {
                    let from = match endian {
                        Endian::Big => offset + at,
                        Endian::Little => header - 1 - at,
                    };
                    value = value * 256 + i128::from(bytes[from]);
                }
                let body = value + i128::from(*adjustment);
                if body < 0 {
                    First::Refused(Reason::FrameInvalid)
                } else if body > *most as i128 {
                    First::Refused(Reason::FrameTooLarge)
                } else {
                    frame_of(bytes, header + body as usize, *strip)
                }
            }
            Self::Delimiter { delimiter, most } => {
                let width = delimiter.len();
                let found = bytes.windows(width).position(|window| window == delimiter);
                match found {
                    Some(end) if end <= *most => First::Frame {
                        total: end + width,
                        start: 0,
                        end,
                    },
                    Some(_) => First::Refused(Reason::FrameTooLarge),
                    None if bytes.len() + 1 > most + width => First::Refused(Reason::FrameTooLarge),
                    None => First::Short,
                }
            }
            Self::Varint { most } => {
                let mut length = 0_u128;
                for (at, byte) in bytes.iter().enumerate().take(10) {
                    length += u128::from(byte % 128) << (7 * at);
                    if length > *most as u128 {
                        return First::Refused(Reason::FrameTooLarge);
                    }
                    if *byte < 128 {
                        return frame_of(bytes, at + 1 + length as usize, at + 1);
                    }
                }
                if bytes.len() >= 10 {
                    First::Refused(Reason::FrameInvalid)
                } else {
                    First::Short
                }
            }
        }
    }
}

fn frame_of(bytes: &[u8], total: usize, start: usize) -> First {
    if bytes.len() < total {
        return First::Short;
    }
    First::Frame {
        total,
        start,
        end: total,
    }
}

/// A field of ids, and how to read it here.
#[derive(Clone, Copy)]
pub struct ReferenceId {
    offset: usize,
    size: usize,
    endian: Endian,
}

impl ReferenceId {
    pub fn choose(choices: &mut Choices<'_>) -> Option<Self> {
        let chosen = Self {
            offset: choices.below(6),
            size: choices.of(&[1, 2, 4, 8]),
            endian: choices.of(&[Endian::Big, Endian::Little]),
        };
        choices.one_in(2).then_some(chosen)
    }

    pub fn field(self) -> Option<IdField> {
        IdField::new(self.offset, self.size, self.endian)
    }

    pub fn read(self, message: &[u8]) -> Option<u64> {
        let mut field = message.get(self.offset..self.offset + self.size)?.to_vec();
        if self.endian == Endian::Little {
            field.reverse();
        }
        Some(field.iter().fold(0, |id, byte| id * 256 + u64::from(*byte)))
    }
}

/// Bytes that a peer sends: messages, and what is refused or makes no sense.
pub fn choose_wire(reference: &Reference, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..choices.below(12) {
        match choices.below(16) {
            15 => {
                let length = choices.below(40);
                wire.extend(choices.bytes(length));
            }
            14 => wire.extend(vec![choices.of(&[0xff, 0x80, b'x']); 11]),
            13 => wire.extend(reference.encode(&vec![b'l'; 201 + choices.below(6_000)])),
            _ => {
                let length = choices.below(18);
                wire.extend(reference.encode(&choices.bytes(length)));
            }
        }
    }
    wire
}
