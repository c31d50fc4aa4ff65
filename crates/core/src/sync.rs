//! What threads share things by. The models (`crates/core/tests/loom.rs`) put loom's in the place of the standard
//! library's, so that they try every order of events.

#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
