//! A byte sequence after each message, such as a line end.

use memchr::memmem;

use super::decoded::{Decoded, FrameError};

/// Messages that end with `delimiter`, which is not part of them.
///
/// ```
/// use netpoll_core::frame::{Decoded, Delimiter, Framing};
///
/// let lines = Framing::Delimiter(Delimiter::new(b"\r\n", 80).expect("not empty"));
/// assert_eq!(lines.decode(b"one\r", 0), Ok(Decoded::Unknown { scanned: 3 }));
/// // The three bytes that were looked at are not looked at again.
/// assert_eq!(lines.decode(b"one\r\ntwo", 3), Ok(Decoded::Frame { total: 5, start: 0, end: 3 }));
/// ```
#[derive(Clone, Debug)]
pub struct Delimiter {
    finder: Box<memmem::Finder<'static>>,
    max_length: usize,
}

impl Delimiter {
    /// Messages of at most `max_length` bytes, the delimiter not counted. `None` for an empty
    /// delimiter, which would end a message everywhere.
    #[must_use]
    pub fn new(delimiter: &[u8], max_length: usize) -> Option<Self> {
        if delimiter.is_empty() {
            return None;
        }
        Some(Self {
            finder: Box::new(memmem::Finder::new(delimiter).into_owned()),
            max_length,
        })
    }

    pub(super) fn decode(&self, bytes: &[u8], scanned: usize) -> Result<Decoded, FrameError> {
        let width = self.finder.needle().len();
        let from = scanned.min(bytes.len());
        match self.finder.find(&bytes[from..]) {
            Some(found) if from + found > self.max_length => Err(FrameError::TooLarge),
            Some(found) => {
                let end = from + found;
                Ok(Decoded::Frame {
                    total: end + width,
                    start: 0,
                    end,
                })
            }
            // The delimiter may have begun in the last bytes, which are looked at again. A message
            // that is too long even if it ended there is refused now.
            None => {
                let scanned = bytes.len().saturating_sub(width - 1);
                if scanned > self.max_length {
                    return Err(FrameError::TooLarge);
                }
                Ok(Decoded::Unknown { scanned })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_across_every_split() {
        let framing = Delimiter::new(b"\r\n", 100).expect("not empty");
        let bytes = b"PING\r\nrest";
        let mut scanned = 0;
        for end in 0..6 {
            match framing.decode(&bytes[..end], scanned) {
                Ok(Decoded::Unknown { scanned: next }) => scanned = next,
                other => panic!("{end}: {other:?}"),
            }
        }
        assert_eq!(
            framing.decode(&bytes[..6], scanned),
            Ok(Decoded::Frame {
                total: 6,
                start: 0,
                end: 4
            })
        );
        assert_eq!(
            framing.decode(bytes, 0),
            Ok(Decoded::Frame {
                total: 6,
                start: 0,
                end: 4
            })
        );
    }

    #[test]
    fn one_that_never_comes_is_refused() {
        let framing = Delimiter::new(b"\r\n", 4).expect("not empty");
        assert_eq!(
            framing.decode(b"abcd\r", 0),
            Ok(Decoded::Unknown { scanned: 4 })
        );
        assert_eq!(
            framing.decode(b"abcd\r\n", 4),
            Ok(Decoded::Frame {
                total: 6,
                start: 0,
                end: 4
            })
        );
        assert_eq!(framing.decode(b"abcdef", 0), Err(FrameError::TooLarge));
        assert_eq!(framing.decode(b"abcde\r\n", 0), Err(FrameError::TooLarge));
        assert!(Delimiter::new(b"", 4).is_none());
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let framing = Delimiter::new(b"\n", 4).expect("not empty");
        assert_eq!(
            framing.decode(b"\n\n", 0),
            Ok(Decoded::Frame {
                total: 1,
                start: 0,
                end: 0
            })
        );
    }
}
