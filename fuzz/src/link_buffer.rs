//! Link buffers beside a plain list of bytes: the model of the core's own test, which an input drives in the place of a seed.

#[path = "../../crates/core/tests/support/link_buffer_model.rs"]
mod model;

use anyhow::Result;
use model::{Numbers, Round};

use crate::Target;
use crate::choices::Choices;

pub struct LinkBufferTarget;

impl Numbers for &mut Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        Choices::below(self, bound)
    }
}

impl Target for LinkBufferTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut choices = Choices::new(input);
        let mut round = Round::new(&mut choices);
        while !round.numbers().are_used_up() {
            round.operate();
        }
        round.finish();
        Ok(())
    }
}
