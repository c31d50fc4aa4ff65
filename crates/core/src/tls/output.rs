//! Records on their way to a socket, one behind the other.

/// Memory that is written to again and again: what lies there stays initialised, so that only its growth fills it.
#[derive(Default)]
pub(super) struct Output {
    memory: Vec<u8>,
    /// How much of it counts.
    length: usize,
}

impl Output {
    /// What was appended.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends what `encode` writes to memory of `room` bytes, or of as many as it says that it needs.
    pub(super) fn append(
        &mut self,
        mut room: usize,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, usize>,
    ) {
        for _ in 0..2 {
            let end = self.length + room;
            if self.memory.len() < end {
                self.memory.resize(end, 0);
            }
            match encode(&mut self.memory[self.length..end]) {
                Ok(count) => {
                    self.length += count;
                    return;
                }
                Err(needed) => room = needed,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_there_whatever_lay_there_before() {
        let mut output = Output::default();
        let write = |output: &mut Output, bytes: &[u8], room: usize| {
            output.append(room, |memory| {
                if memory.len() < bytes.len() {
                    return Err(bytes.len());
                }
                memory[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            });
        };
        write(&mut output, b"long enough", 0);
        write(&mut output, b", and more", 64);
        assert_eq!(output.bytes(), b"long enough, and more");
        output.clear();
        assert_eq!(output.bytes(), b"");
        write(&mut output, b"short", 5);
        assert_eq!(output.bytes(), b"short");
        output.append(1, |memory| Err(memory.len() + 1));
        assert_eq!(output.bytes(), b"short");
    }
}
