//! Why TLS has ended a connection.

use std::{error, fmt, io};

use super::chain::CertificateFault;

/// Why TLS has ended a connection. It travels within an [`io::Error`], as what a socket has met does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer has sent this alert.
    Alert(u8),
    /// The peer's certificate is refused.
    Certificate(CertificateFault),
    /// The peer has none, and one is required.
    NoCertificate,
    /// The two have no protocol version, cipher or key exchange in common.
    Incompatible,
    /// They have no application protocol in common.
    NoApplicationProtocol,
    /// The client asks for a name, or for none, and this end has no certificate for that.
    UnknownName,
    /// What came is no TLS, or breaks its rules.
    Protocol,
    /// A handshake message of the peer is longer than 64 KiB, or comes in so many records that they take more than that.
    HandshakeTooLarge,
    /// The peer ended before the handshake was done.
    EndedEarly,
    /// What is kept of the peer's records is more than the bound has room for.
    BufferLimit,
    /// There is no memory for it.
    OutOfMemory,
    /// Its keys have encrypted as much as they may.
    KeysExhausted,
}

impl Failure {
    /// Whether an alert tells the peer of it.
    pub(crate) fn is_told(self) -> bool {
        !matches!(
            self,
            Self::Alert(_) | Self::EndedEarly | Self::BufferLimit | Self::OutOfMemory
        )
    }

    /// As what reading or writing returns.
    pub(crate) fn into_error(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// The failure that travels within `error`, if one does.
    pub(crate) fn within(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TLS: {self:?}")
    }
}

impl error::Error for Failure {}

/// Whether an error of a socket tells that the peer has gone.
pub(crate) fn tells_of_gone_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
