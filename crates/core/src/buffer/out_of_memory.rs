//! Allocations whose size a peer or user decides.

use std::collections::TryReserveError;
use std::io;

/// The system has no memory of the size that was asked for. It costs the caller that needed that memory, and not the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

impl From<OutOfMemory> for io::Error {
    fn from(_: OutOfMemory) -> Self {
        Self::from_raw_os_error(libc::ENOMEM)
    }
}

/// A copy of `bytes`.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn try_copy(bytes: &[u8]) -> Result<Box<[u8]>, OutOfMemory> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}
