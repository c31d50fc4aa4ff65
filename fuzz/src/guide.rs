//! Which of the inputs reach something new. The compiler counts how often each branch is taken, where it is asked to
//! (`npm run fuzz:guided`); without that an input is as good as any other.

use crate::choices::Random;

/// Most bytes of an input that is made of others.
const MOST: usize = 4096;

/// Inputs that reached something which none before had.
pub struct Guide {
    /// By branch: the orders of magnitude of its counts, a bit each.
    seen: Vec<u8>,
    pub inputs: Vec<Vec<u8>>,
}

impl Guide {
    pub fn new() -> Self {
        Self {
            seen: vec![0; counters::all().len()],
            inputs: Vec::new(),
        }
    }

    /// Forgets what was counted so far.
    pub fn begin(&self) {
        counters::all().fill(0);
    }

    /// Keeps the input that has run if it reached something new, here or by what its target says.
    pub fn end(&mut self, input: &[u8], has_reached_more: bool) {
        if self.reached_more() || has_reached_more {
            self.inputs.push(input.to_vec());
        }
    }

    fn reached_more(&mut self) -> bool {
        let mut is_new = false;
        for (seen, count) in self.seen.iter_mut().zip(counters::all().iter()) {
            let magnitude = match count {
                0 => continue,
                1 => 1,
                2 => 2,
                3 => 4,
                4..8 => 8,
                8..16 => 16,
                16..32 => 32,
                32..128 => 64,
                _ => 128,
            };
            is_new |= *seen & magnitude == 0;
            *seen |= magnitude;
        }
        is_new
    }

    /// As [`Self::end`], of an input that is known to reach something, where nothing counts.
    pub fn end_saved(&mut self, input: &[u8], has_reached_more: bool) {
        self.end(input, has_reached_more || self.seen.is_empty());
    }

    /// Another input: random bytes, or one that was kept, changed here and there.
    pub fn next(&self, random: &mut Random) -> Vec<u8> {
        if self.inputs.is_empty() || random.below(4) == 0 {
            let length = 16 << random.below(8);
            return random.bytes(length);
        }
        let mut input = self.inputs[random.below(self.inputs.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(input.len() + 1);
            let count = random.below(16).min(input.len() - at);
            match random.below(5) {
                0 => drop(input.drain(at..at + count)),
                1 => drop(input.splice(at..at, random.bytes(count))),
                2 => {
                    let part = input[at..at + count].to_vec();
                    let place = random.below(input.len() + 1);
                    drop(input.splice(place..place, part));
                }
                3 => {
                    let other = &self.inputs[random.below(self.inputs.len())];
                    let from = random.below(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
                _ if at < input.len() => input[at] = random.below(256) as u8,
                _ => {}
            }
        }
        input.truncate(MOST);
        input
    }
}

#[cfg(not(feature = "guided"))]
mod counters {
    /// None: nothing counts.
    pub fn all() -> &'static mut [u8] {
        &mut []
    }
}

#[cfg(feature = "guided")]
mod counters {
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    static FIRST: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    /// What the code of every compiled unit calls at its start, with the counters of all of them.
    ///
    /// # Safety
    /// Both point into the same static memory, which is used by nothing else than those counters.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(first: *mut u8, end: *mut u8) {
        FIRST.store(first, Ordering::Relaxed);
        COUNT.store(end as usize - first as usize, Ordering::Relaxed);
    }

    /// One for each branch.
    pub fn all() -> &'static mut [u8] {
        let first = FIRST.load(Ordering::Relaxed);
        if first.is_null() {
            return &mut [];
        }
        // SAFETY: the linker made one array of the counters, which lives as long as the process. Targets run in this thread, and
        // a count that is read or lost while another thread runs says a little less about an input.
        unsafe { std::slice::from_raw_parts_mut(first, COUNT.load(Ordering::Relaxed)) }
    }
}
