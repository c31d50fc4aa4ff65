//! Where randomness comes from.

/// xorshift: a seed repeats everything.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// Choices that the bytes of an input make, one after the other. Where they are used up, each is the first.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn are_used_up(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        let mut value = self.byte();
        // Wider than any bound: it would never exceed the largest one.
        let mut reach = 256_u128;
        while reach < bound as u128 {
            value = value << 8 | self.byte();
            reach <<= 8;
        }
        value % bound.max(1)
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        // The last one, so that nothing rare happens where choices are used up.
        self.below(count) == count - 1
    }

    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Bytes of little variety: so that delimiters and headers come up in them.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let kind = self.below(4);
        (0..length)
            .map(|at| match kind {
                0 => self.byte() as u8,
                1 => (at % 251) as u8,
                2 => b'\n',
                _ => (self.byte() % 4) as u8,
            })
            .collect()
    }
}
