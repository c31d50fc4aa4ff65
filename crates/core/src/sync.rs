//! What threads share things by. The models (`crates/core/tests/loom`) put loom's in the place of the standard library's,
//! so that they try every order of events.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU64 as AtomicWord;
#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic::fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU64 as AtomicWord;
#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic::fence};
