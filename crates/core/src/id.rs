//! What a listener or a connection is known by, also after it is gone.

use mio::Token;

/// A listener or connection of one poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// Index of the place.
    pub slot: u32,
    /// How often the place was given away before.
    pub generation: u32,
}

impl Id {
    pub(crate) fn key(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub(crate) fn from_key(key: u64) -> Self {
        Self {
            slot: key as u32,
            generation: (key >> 32) as u32,
        }
    }

    pub(crate) fn token(self) -> Token {
        Token(self.key() as usize)
    }
}
