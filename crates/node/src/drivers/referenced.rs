//! Whether a driver keeps its event loop alive.

/// Whether the event loop stays alive for our sake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Referenced {
    /// It does.
    Yes,
    /// It may end.
    No,
}
