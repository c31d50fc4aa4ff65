//! What is asked of one connection, and how JavaScript writes it, in words.

use std::time::{Duration, Instant};

use crate::buffer::Slice;
use crate::connection::{DeadlineTimer, Limit};
use crate::protocol::Operation;
use crate::reason::Reason;
use crate::settings::Start;

/// What is asked of one connection. Carried out by the poller that owns it; for a connection that is gone it does nothing.
pub enum Command {
    /// Send bytes.
    Send(Slice),
    /// Send bytes, which end the handling of a message.
    Reply(Slice),
    /// So many messages are done with.
    Acknowledge(u32),
    /// So many messages may be in handling beyond the bound.
    AllowBeyond(u32),
    /// Count messages as in flight from now on, without a bound.
    CountMessages,
    /// Send what is queued, then close.
    Close,
    /// Answer what was taken, then close.
    Finish,
    /// Close at once, for this reason.
    Fail(Reason),
    /// Close at once and reset the peer.
    Reset,
    /// Stop or resume handing over messages.
    Flow(Start),
    /// Send what is queued, then end our direction.
    End,
    /// Leave it to the caller when the connection ends.
    TakeOver,
    /// Tell once when nothing waits to be sent, with this number.
    TellFlushed(u32),
    /// Send bytes, and read no more: what follows is TLS.
    StartTls(Slice),
    /// Tell when this time has come; `None`: not any more.
    DeadlineTimer(Option<DeadlineTimer>),
    /// Replace a time limit.
    Limit(Limit, Option<Duration>),
    /// The consumer is not busy with it, and was until this time.
    ConfirmIdle(Instant),
}

/// What a command says beside the connection that it is for.
#[derive(Clone, Copy, Debug)]
pub struct CommandWords {
    /// What is asked for.
    pub operation: Operation,
    /// The chunk, or the user's buffer, that the bytes lie in; or what the operation says.
    pub handle: u32,
    /// Where the bytes begin, or what the operation says.
    pub start: u32,
    /// How many bytes, or what the operation says.
    pub length: u32,
}

/// What the words of a command mean to the side that they come from.
pub trait CommandSource {
    /// Bytes of a chunk; `None` where handle or bounds make no sense.
    fn slice(&self, handle: u32, start: usize, length: usize) -> Option<Slice>;

    /// The time so many milliseconds after the beginning of its clock.
    fn time(&self, milliseconds: u64) -> Instant;
}

/// What a command asks for.
pub enum Asked {
    /// Something of the connection.
    Command(Command),
    /// Bytes `start..start + length` of a user's buffer are to be sent. The handle is used up by
    /// it.
    SendForeign {
        /// The buffer.
        handle: u32,
        /// Where they begin.
        start: usize,
        /// How many there are.
        length: usize,
    },
}

impl CommandWords {
    /// What they ask for.
    pub fn decode(self, source: &impl CommandSource) -> Asked {
        let Self {
            operation,
            handle,
            start,
            length,
        } = self;
        // Bytes that no message has, such as all of `message.buffer`. Leaving them out would tear what is sent.
        let bytes = |command: fn(Slice) -> Command| {
            let slice = source.slice(handle, start as usize, length as usize);
            slice.map_or(Command::Fail(Reason::ForeignDetached), command)
        };
        let time = || source.time(u64::from(start) << 32 | u64::from(length));
        let limit = |limit| {
            let time = Duration::from_millis(u64::from(length));
            Command::Limit(limit, (length > 0).then_some(time))
        };
        Asked::Command(match operation {
            Operation::Send => bytes(Command::Send),
            Operation::Reply => bytes(Command::Reply),
            Operation::StartTls => bytes(Command::StartTls),
            Operation::SendForeign => {
                return Asked::SendForeign {
                    handle,
                    start: start as usize,
                    length: length as usize,
                };
            }
            Operation::Acknowledge => Command::Acknowledge(length.max(1)),
            Operation::AllowBeyond => Command::AllowBeyond(length),
            Operation::CountMessages => Command::CountMessages,
            Operation::Close => Command::Close,
            Operation::Finish => Command::Finish,
            Operation::Destroy => Command::Fail(Reason::Normal),
            Operation::Reset => Command::Reset,
            Operation::Pause => Command::Flow(Start::Paused),
            Operation::Resume => Command::Flow(Start::Reading),
            Operation::End => Command::End,
            Operation::TakeOver => Command::TakeOver,
            Operation::TellFlushed => Command::TellFlushed(length),
            Operation::DeadlineTimer => Command::DeadlineTimer(Some(DeadlineTimer {
                time: time(),
                number: handle,
            })),
            Operation::ReadTimeout => limit(Limit::Read),
            Operation::WriteTimeout => limit(Limit::Write),
            Operation::IdleTimeout => limit(Limit::Idle),
            Operation::ConfirmIdle => Command::ConfirmIdle(time()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{ChunkPool, Region};
    use crate::protocol::GROUPS;

    /// Has one chunk, of handle 7, in which four bytes were written.
    struct OneChunk {
        slice: Slice,
        origin: Instant,
    }

    impl OneChunk {
        fn new() -> Self {
            let mut region = Region::over(ChunkPool::new(64, 0).take());
            Self {
                slice: region.append(b"four"),
                origin: Instant::now(),
            }
        }
    }

    impl CommandSource for OneChunk {
        fn slice(&self, handle: u32, start: usize, length: usize) -> Option<Slice> {
            (handle == 7).then(|| Slice::checked(self.slice.chunk().clone(), start, length))?
        }

        fn time(&self, milliseconds: u64) -> Instant {
            self.origin + Duration::from_millis(milliseconds)
        }
    }

    fn decode(operation: Operation, [handle, start, length]: [u32; 3]) -> Asked {
        let words = CommandWords {
            operation,
            handle,
            start,
            length,
        };
        words.decode(&OneChunk::new())
    }

    #[test]
    fn bytes_that_no_message_has_fail_their_connection() {
        for operation in [Operation::Send, Operation::Reply, Operation::StartTls] {
            for words in [[8, 0, 4], [7, 1, 4], [7, 0, u32::MAX], [7, u32::MAX, 2]] {
                let asked = decode(operation, words);
                let failed = matches!(
                    asked,
                    Asked::Command(Command::Fail(Reason::ForeignDetached))
                );
                assert!(failed, "{operation:?} {words:?}");
            }
        }
        let asked = decode(Operation::Reply, [7, 1, 3]);
        assert!(matches!(asked, Asked::Command(Command::Reply(slice)) if slice.as_ref() == b"our"));
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        for (length, expected) in [(0, None), (1, Some(Duration::from_millis(1)))] {
            let asked = decode(Operation::ReadTimeout, [0, 0, length]);
            assert!(
                matches!(asked, Asked::Command(Command::Limit(Limit::Read, time)) if time == expected)
            );
        }
    }

    #[test]
    fn a_time_has_both_of_its_words() {
        let source = OneChunk::new();
        let words = CommandWords {
            operation: Operation::DeadlineTimer,
            handle: 3,
            start: 1,
            length: 2,
        };
        let expected = source.origin + Duration::from_millis((1 << 32) + 2);
        let asked = words.decode(&source);
        let Asked::Command(Command::DeadlineTimer(Some(deadline_timer))) = asked else {
            panic!("an deadline_timer was asked for");
        };
        assert_eq!((deadline_timer.number, deadline_timer.time), (3, expected));
    }

    #[test]
    fn one_message_at_least_is_done_with() {
        for (length, expected) in [(0, 1), (1, 1), (5, 5)] {
            let asked = decode(Operation::Acknowledge, [0, 0, length]);
            assert!(
                matches!(asked, Asked::Command(Command::Acknowledge(count)) if count == expected)
            );
        }
    }

    #[test]
    fn every_number_of_the_table_is_a_command() {
        let operations = GROUPS.iter().find(|group| group.name == "Operation");
        for entry in operations.expect("there are some").entries {
            let operation = Operation::from_number(entry.number).expect("it is in the table");
            assert_eq!(format!("{operation:?}"), entry.name);
            decode(operation, [0; 3]);
        }
    }
}
