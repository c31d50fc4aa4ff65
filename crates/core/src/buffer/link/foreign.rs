//! A part of memory that is not ours, and may be taken away before it is sent.

use std::convert::Infallible;

/// Memory that is not ours, and may be taken away or shrink before it is sent.
pub trait ForeignBytes {
    /// What is there now; `None` where nothing is any more. Asked before every write.
    fn bytes(&self) -> Option<&[u8]>;
}

impl ForeignBytes for Box<dyn ForeignBytes> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref().bytes()
    }
}

/// The owner of no memory: where no bytes are foreign.
impl ForeignBytes for Infallible {
    fn bytes(&self) -> Option<&[u8]> {
        match *self {}
    }
}

/// Bytes of foreign memory are not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detached;

/// Bytes `start..start + length` of foreign memory, which is held until this is dropped.
#[derive(Clone)]
pub struct Foreign<Owner> {
    owner: Owner,
    start: usize,
    length: usize,
}

impl<Owner: ForeignBytes> Foreign<Owner> {
    /// The bytes are looked for when they are asked for, so these may be any numbers.
    #[must_use]
    pub fn new(owner: Owner, start: usize, length: usize) -> Self {
        Self {
            owner,
            start,
            length,
        }
    }

    /// Who has the memory.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn bytes(&self) -> Result<&[u8], Detached> {
        let end = self.start.checked_add(self.length).ok_or(Detached)?;
        let all = self.owner.bytes().ok_or(Detached)?;
        all.get(self.start..end).ok_or(Detached)
    }

    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.length, "advanced beyond foreign bytes");
        // Beyond the memory's end there is nothing to be found, wherever it begins.
        self.start = self.start.saturating_add(count);
        self.length -= count;
    }
}
