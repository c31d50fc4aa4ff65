//! Bytes that differ from each other, for payloads.

/// A fast generator of bytes that need to differ, not to be secret (SplitMix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; different seeds give different bytes.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.next();
        random
    }

    /// The next 8 bytes, as a number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let random = self.next().to_be_bytes();
            word.copy_from_slice(&random[..word.len()]);
        }
    }
}
