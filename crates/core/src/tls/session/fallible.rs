//! What the system may refuse: calls that it interrupts, and memory.

use std::io;

use crate::tls::failure::Failure;

/// Calls again what a signal has interrupted.
pub(super) fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Without memory for them, only this connection fails.
pub(super) fn append(memory: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Failure> {
    let reserved = memory.try_reserve(bytes.len());
    reserved.map_err(|_| Failure::OutOfMemory)?;
    memory.extend_from_slice(bytes);
    Ok(())
}
