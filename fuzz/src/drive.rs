//! The loop of every driver that takes its memory from a pool.

use anyhow::{Result, ensure};
use netpoll_core::ChunkPool;

use crate::choices::Choices;

/// What is driven, with a model of it.
pub trait Drive {
    /// Does the next thing, whatever the choices say.
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()>;

    /// Whether a further step would do nothing.
    fn has_ended(&self) -> bool {
        false
    }

    /// Brings everything to its end, and compares what is left.
    fn finish(&mut self) -> Result<()>;
}

/// Goes on until the choices are used up. Of the pool's memory nothing may be left then.
pub fn run(mut drive: impl Drive, choices: &mut Choices<'_>, pool: &ChunkPool) -> Result<()> {
    while !choices.are_used_up() && !drive.has_ended() {
        drive.step(choices)?;
    }
    drive.finish()?;
    drop(drive);
    let live = pool.stats().live;
    ensure!(live == 0, "{live} chunks are left");
    Ok(())
}

/// A peer has read `bytes`, which must be those of `sent` behind the `got` ones.
pub fn receive(bytes: &[u8], sent: &[u8], got: &mut usize) -> Result<()> {
    let expected = sent.get(*got..*got + bytes.len());
    ensure!(expected == Some(bytes), "the peer got other bytes");
    *got += bytes.len();
    Ok(())
}
