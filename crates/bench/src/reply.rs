//! What a reply is beside its request, the same on both sides.

use clap::ValueEnum;

/// How the payload of a reply relates to the payload of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reply {
    /// It is the same: an echo, which a server may send from where it has read it.
    Echo,
    /// Its first four bytes are inverted, the rest is the same. A reply has to be
    /// made, and a server that sends back what came is found out.
    Inverted,
}

/// Bytes at the start of a payload that are inverted.
const INVERTED: usize = 4;

impl Reply {
    /// Makes the payload of a reply of the payload of a request, or the reverse.
    pub fn turn(self, payload: &mut [u8]) {
        if self == Self::Inverted {
            for byte in payload.iter_mut().take(INVERTED) {
                *byte = !*byte;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverted_reply_differs_in_its_first_four_bytes_at_most() {
        for (request, expected) in [
            (vec![], vec![]),
            (vec![1, 2], vec![254, 253]),
            (vec![0, 255, 1, 2, 3, 4], vec![255, 0, 254, 253, 3, 4]),
        ] {
            let mut payload = request.clone();
            Reply::Inverted.turn(&mut payload);
            assert_eq!(payload, expected);
            Reply::Inverted.turn(&mut payload);
            assert_eq!(payload, request);
            Reply::Echo.turn(&mut payload);
            assert_eq!(payload, request);
        }
    }
}
