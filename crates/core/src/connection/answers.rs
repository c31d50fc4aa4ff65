//! Answers of workers, put in the order of the messages that they answer.

use std::collections::VecDeque;

use crate::buffer::OutOfMemory;
use crate::work::Answer;

/// The answers that wait for those before them.
#[derive(Default)]
pub struct Answers {
    /// Which message the next answer to be released is for.
    next: u32,
    waiting: VecDeque<Option<Answer>>,
}

impl Answers {
    /// Message `sequence` is answered; `release` gets this answer and those that waited for it, once all before have
    /// been. Each sequence is answered once.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the answer is lost.
    pub fn insert(
        &mut self,
        sequence: u32,
        answer: Answer,
        mut release: impl FnMut(Answer),
    ) -> Result<(), OutOfMemory> {
        let distance = sequence.wrapping_sub(self.next) as usize;
        if distance > 0 {
            if self.waiting.len() <= distance {
                self.waiting
                    .try_reserve(distance + 1 - self.waiting.len())?;
                self.waiting.resize_with(distance + 1, || None);
            }
            self.waiting[distance] = Some(answer);
            return Ok(());
        }
        release(answer);
        self.advance();
        while let Some(answer) = self.waiting.front_mut().and_then(Option::take) {
            release(answer);
            self.advance();
        }
        Ok(())
    }

    fn advance(&mut self) {
        self.next = self.next.wrapping_add(1);
        self.waiting.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release_all(order: &[u32], first: u32) -> Vec<usize> {
        let mut answers = Answers {
            next: first,
            ..Answers::default()
        };
        let mut released = Vec::new();
        for sequence in order {
            let mut count = 0;
            let inserted = answers.insert(first.wrapping_add(*sequence), Answer::Failed, |_| {
                count += 1;
            });
            assert_eq!(inserted, Ok(()));
            released.push(count);
        }
        assert!(answers.waiting.is_empty());
        released
    }

    #[test]
    fn answers_are_released_in_order_however_they_come() {
        for first in [0, u32::MAX - 1] {
            assert_eq!(release_all(&[0, 1, 2], first), [1, 1, 1]);
            assert_eq!(release_all(&[2, 1, 0], first), [0, 0, 3]);
            assert_eq!(release_all(&[1, 0, 3, 2, 4], first), [0, 2, 0, 2, 1]);
        }
    }
}
