//! What threads share things by. The models (`crates/core/tests/loom`) put loom's in the place of the standard library's,
//! so that they try every order of events.

#[cfg(loom)]
mod counted;

#[cfg(loom)]
pub(crate) use counted::CountedArc;
#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic::fence};
#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, atomic::fence};

/// An `Arc` whose count is looked at.
#[cfg(not(loom))]
pub(crate) use std::sync::Arc as CountedArc;
