//! The standard library's `Arc` as the models see it, where its count is looked at. Loom's own will not do: its
//! `strong_count` orders what came before, as the standard library's does not, and would hide that a fence is lacking.

use std::ops::Deref;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering, fence};

/// Counts with the same orderings as the standard library. The memory itself is left to the `Arc`s inside: between the
/// count and them no other thread runs.
pub(crate) struct CountedArc<T> {
    count: Arc<AtomicUsize>,
    value: Arc<T>,
}

impl<T> CountedArc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            count: Arc::new(AtomicUsize::new(1)),
            value: Arc::new(value),
        }
    }

    pub(crate) fn strong_count(this: &Self) -> usize {
        this.count.load(Ordering::Relaxed)
    }

    pub(crate) fn ptr_eq(this: &Self, other: &Self) -> bool {
        Arc::ptr_eq(&this.value, &other.value)
    }
}

impl<T> Clone for CountedArc<T> {
    fn clone(&self) -> Self {
        self.count.fetch_add(1, Ordering::Relaxed);
        Self {
            count: self.count.clone(),
            value: self.value.clone(),
        }
    }
}

impl<T> Deref for CountedArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for CountedArc<T> {
    fn drop(&mut self) {
        if self.count.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
        }
    }
}
