//! Unsigned numbers in headers and messages.

/// Byte order of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Most significant byte first.
    Big,
    /// Least significant byte first.
    Little,
}

impl Endian {
    /// The number that `bytes` say, at most eight of them.
    pub(super) fn read(self, bytes: &[u8]) -> u64 {
        // The width that nearly every protocol has, in one load.
        if let (Ok(four), Self::Big) = (<[u8; 4]>::try_from(bytes), self) {
            return u64::from(u32::from_be_bytes(four));
        }
        let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        match self {
            Self::Big => bytes.iter().fold(0, append),
            Self::Little => bytes.iter().rev().fold(0, append),
        }
    }
}
