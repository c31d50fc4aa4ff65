//! Why a connection ended.

use std::io;

/// Why a connection ended, as the last record of its slot tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Closed as asked, or the peer ended it between messages.
    Normal,
    /// The system's error number.
    System(i32),
    /// A message was longer than its framing allows.
    FrameTooLarge,
    /// A header said something impossible.
    FrameInvalid,
    /// The peer ended within a message.
    UnexpectedEnd,
    /// Dialing took longer than allowed.
    ConnectTimeout,
    /// The peer did not take, within the time allowed, what was to be sent before closing.
    CloseTimeout,
    /// Unfinished messages filled the space that their server allows.
    BufferLimit,
    /// The peer did not finish a message within the time allowed.
    ReadTimeout,
    /// The peer took nothing of what was queued within the time allowed.
    WriteTimeout,
    /// Someone else's memory was taken away or shrunk before it was sent.
    ForeignDetached,
}

impl Reason {
    /// The number that JavaScript reads: 0, a system's error number, or one of ours from 10,000 on.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::System(errno) => errno.unsigned_abs(),
            Self::FrameTooLarge => 10_000,
            Self::FrameInvalid => 10_001,
            Self::UnexpectedEnd => 10_002,
            Self::ConnectTimeout => 10_003,
            Self::CloseTimeout => 10_004,
            Self::BufferLimit => 10_005,
            Self::ReadTimeout => 10_006,
            Self::WriteTimeout => 10_007,
            Self::ForeignDetached => 10_008,
        }
    }
}

impl From<&io::Error> for Reason {
    fn from(error: &io::Error) -> Self {
        Self::System(error.raw_os_error().unwrap_or(libc::EIO))
    }
}
