//! Why a connection ended.

use std::io;

pub use crate::protocol::Call;
use crate::protocol::ReasonCode;
use crate::tls::Failure;

/// Why a connection ended, as the last record of its slot tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Closed as asked, or the peer ended it between messages.
    Normal,
    /// The system's error number, and what it was asked for.
    System(i32, Call),
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
    /// Foreign memory was taken away or shrunk before it was sent.
    ForeignDetached,
    /// The system had no memory for what arrived, or for what was to be sent.
    OutOfMemory,
    /// The TLS handshake took longer than allowed.
    HandshakeTimeout,
    /// The peer's socket ended, and TLS has not said that it would.
    TlsTruncated,
    /// TLS has ended it.
    Tls(Failure),
}

/// The number of an error that the system has met.
pub(crate) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

impl Reason {
    /// The number that JavaScript reads: 0, a system's error number, or one of ours from 10,000 on.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::System(errno, _) => errno.unsigned_abs(),
            Self::FrameTooLarge => ReasonCode::FrameTooLarge as u32,
            Self::FrameInvalid => ReasonCode::FrameInvalid as u32,
            Self::UnexpectedEnd => ReasonCode::UnexpectedEnd as u32,
            Self::ConnectTimeout => ReasonCode::ConnectTimeout as u32,
            Self::CloseTimeout => ReasonCode::CloseTimeout as u32,
            Self::BufferLimit => ReasonCode::BufferLimit as u32,
            Self::ReadTimeout => ReasonCode::ReadTimeout as u32,
            Self::WriteTimeout => ReasonCode::WriteTimeout as u32,
            Self::ForeignDetached => ReasonCode::ForeignDetached as u32,
            Self::OutOfMemory => ReasonCode::OutOfMemory as u32,
            Self::HandshakeTimeout => ReasonCode::HandshakeTimeout as u32,
            Self::TlsTruncated => ReasonCode::TlsTruncated as u32,
            Self::Tls(failure) => code_of(failure) as u32,
        }
    }

    /// That the system has refused `call`, or what TLS has met in it.
    #[must_use]
    pub fn system(call: Call, error: &io::Error) -> Self {
        match Failure::within(error) {
            None => {}
            Some(Failure::BufferLimit) => return Self::BufferLimit,
            Some(Failure::OutOfMemory) => return Self::OutOfMemory,
            Some(failure) => return Self::Tls(failure),
        }
        match errno(error) {
            // Of a peer that takes nothing any more a read tells as well, if it comes before the next write.
            libc::EPIPE => Self::System(libc::EPIPE, Call::Write),
            errno => Self::System(errno, call),
        }
    }

    /// The number by which JavaScript knows the call that failed; 0 where none has. Of TLS, what the code's own text says.
    #[must_use]
    pub fn call(self) -> u32 {
        match self {
            Self::System(_, call) => call as u32,
            Self::Tls(Failure::Alert(alert)) => u32::from(alert),
            Self::Tls(Failure::Certificate(fault)) => fault as u32,
            _ => 0,
        }
    }
}

fn code_of(failure: Failure) -> ReasonCode {
    match failure {
        Failure::Alert(_) => ReasonCode::TlsAlert,
        Failure::Certificate(_) => ReasonCode::TlsCertificate,
        Failure::NoCertificate => ReasonCode::TlsNoCertificate,
        Failure::Incompatible => ReasonCode::TlsIncompatible,
        Failure::NoApplicationProtocol => ReasonCode::TlsNoApplicationProtocol,
        Failure::UnknownName => ReasonCode::TlsUnknownName,
        Failure::Protocol => ReasonCode::TlsProtocol,
        Failure::HandshakeTooLarge => ReasonCode::TlsHandshakeTooLarge,
        Failure::EndedEarly => ReasonCode::TlsEndedEarly,
        Failure::BufferLimit => ReasonCode::BufferLimit,
        Failure::OutOfMemory => ReasonCode::OutOfMemory,
        Failure::KeysExhausted => ReasonCode::TlsKeysExhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_which_call_has_failed() {
        let error = |errno| io::Error::from_raw_os_error(errno);
        for call in [Call::Connect, Call::Read, Call::Write, Call::Watch] {
            for errno in [libc::ECONNRESET, libc::ENOBUFS, libc::ETIMEDOUT] {
                let reason = Reason::system(call, &error(errno));
                assert_eq!(
                    (reason.code(), reason.call()),
                    (errno as u32, call as u32),
                    "{call:?}"
                );
            }
            assert_eq!(
                Reason::system(call, &error(libc::EPIPE)).call(),
                Call::Write as u32
            );
        }
        assert_eq!(Reason::Normal.call(), 0);
        assert_eq!(Reason::FrameTooLarge.call(), 0);
    }
}
