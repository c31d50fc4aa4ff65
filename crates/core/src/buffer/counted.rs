//! A counted allocation with references of two kinds, whose numbers are one word.
//!
//! Two words that are read one after the other would be of no use. Between the two reads a
//! reference of one kind can become one of the other, so that memory which is read still looks
//! unused.

use std::alloc::{Layout, alloc};
use std::ops::Deref;
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use super::OutOfMemory;
use crate::sync::{AtomicWord, fence};

/// One inner reference, in the lower half of the word.
const INNER: u64 = 1;
/// One outer reference, in the upper half.
const OUTER: u64 = 1 << 32;
/// Inner references beyond this end the process, as with the standard library's `Arc`. So the lower
/// half never overflows. The other half of its range is more than there are threads to pass the
/// bound at the same time.
const MAX_INNER: u32 = 1 << 31;

struct Node<T> {
    counts: AtomicWord,
    value: T,
}

/// How many references there are, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) inner: u32,
    pub(super) outer: u32,
}

/// A reference of those who read and write the value.
pub(super) struct Inner<T>(NonNull<Node<T>>);

/// A reference of a holder that only keeps the value alive.
pub(super) struct Outer<T>(NonNull<Node<T>>);

// SAFETY: as with the standard library's `Arc`: the references share `&T` between threads, and the last one, on
// whichever thread, drops the `T`.
unsafe impl<T: Send + Sync> Send for Inner<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Inner<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Outer<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Outer<T> {}

impl<T> Inner<T> {
    /// # Errors
    /// [`OutOfMemory`]; `value` is dropped then.
    pub(super) fn try_new(value: T) -> Result<Self, OutOfMemory> {
        // SAFETY: the layout is not of size zero, because a node has its word.
        let pointer = unsafe { alloc(Layout::new::<Node<T>>()) }.cast::<Node<T>>();
        let pointer = NonNull::new(pointer).ok_or(OutOfMemory)?;
        let counts = AtomicWord::new(INNER);
        // SAFETY: allocated just now with the layout of a node, and no other code has it.
        unsafe { pointer.write(Node { counts, value }) };
        Ok(Self(pointer))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    pub(super) fn counts(&self) -> Counts {
        node(&self.0).counts()
    }

    /// Another reference, of the other kind.
    pub(super) fn outer(&self) -> Outer<T> {
        node(&self.0).add_outer();
        Outer(self.0)
    }
}

impl<T> Outer<T> {
    pub(super) fn counts(&self) -> Counts {
        node(&self.0).counts()
    }

    /// Another reference, of the other kind.
    pub(super) fn inner(&self) -> Inner<T> {
        node(&self.0).add_inner();
        Inner(self.0)
    }
}

/// The node that a reference refers to.
fn node<T>(reference: &NonNull<Node<T>>) -> &Node<T> {
    // SAFETY: made by `Inner::try_new`, and freed by `release` with the last reference. Only
    // `Inner` and `Outer` have such a pointer, and each is counted. So the node is there for as
    // long as one of them is borrowed.
    unsafe { reference.as_ref() }
}

impl<T> Node<T> {
    /// What was done through references that are not counted any more has happened before this
    /// returns. Dropping a reference releases, and every change of the word in between goes on with
    /// that release.
    fn counts(&self) -> Counts {
        let word = self.counts.load(Ordering::Acquire);
        Counts {
            inner: word as u32,
            outer: (word >> 32) as u32,
        }
    }

    fn add_inner(&self) {
        // The maker of a reference has one: nothing needs to be ordered.
        if self.counts.fetch_add(INNER, Ordering::Relaxed) as u32 > MAX_INNER {
            abort();
        }
    }

    /// Each outer reference is beside a boxed hint or in a table, whose memory ends first.
    fn add_outer(&self) {
        self.counts.fetch_add(OUTER, Ordering::Relaxed);
    }
}

/// Gives one reference back, and frees the node with the last.
///
/// # Safety
/// `pointer` must be that of an [`Inner`] or [`Outer`] which is counted as `one`, and is never used again.
unsafe fn release<T>(pointer: NonNull<Node<T>>, one: u64) {
    if node(&pointer).counts.fetch_sub(one, Ordering::Release) != one {
        return;
    }
    // What the others did comes before the value is dropped. ThreadSanitizer knows no fences, and sees what a load acquires.
    if cfg!(thread_sanitizer) {
        node(&pointer).counts.load(Ordering::Acquire);
    } else {
        fence(Ordering::Acquire);
    }
    // SAFETY: made by `Inner::try_new`, as a box of it would be; the word is zero, so this was the last pointer to it.
    drop(unsafe { Box::from_raw(pointer.as_ptr()) });
}

impl<T> Clone for Inner<T> {
    fn clone(&self) -> Self {
        node(&self.0).add_inner();
        Self(self.0)
    }
}

impl<T> Clone for Outer<T> {
    fn clone(&self) -> Self {
        node(&self.0).add_outer();
        Self(self.0)
    }
}

impl<T> Deref for Inner<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &node(&self.0).value
    }
}

impl<T> Deref for Outer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &node(&self.0).value
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        // SAFETY: counted as one inner reference when it was made, and dropped once.
        unsafe { release(self.0, INNER) };
    }
}

impl<T> Drop for Outer<T> {
    fn drop(&mut self) {
        // SAFETY: counted as one outer reference when it was made, and dropped once.
        unsafe { release(self.0, OUTER) };
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn each_kind_is_counted_and_the_last_of_either_frees() {
        let value = Rc::new(());
        let inner = Inner::try_new(value.clone()).expect("there is memory");
        let outer = inner.outer();
        let others = (inner.clone(), outer.clone(), outer.inner());
        assert_eq!(inner.counts(), Counts { inner: 3, outer: 2 });
        drop((others, inner));
        assert_eq!(outer.counts(), Counts { inner: 0, outer: 1 });
        let inner = outer.inner();
        drop(outer);
        assert_eq!(Rc::strong_count(&value), 2);
        drop(inner);
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
