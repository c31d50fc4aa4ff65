//! What Rust and JavaScript say to each other by numbers: the one table of it. `src-ts/native/protocol-numbers.ts` is made
//! from it: `UPDATE_PROTOCOL=1 cargo test -p netpoll-core --test protocol`. Without that variable the test fails where the
//! two differ.

/// One number of the table, as TypeScript is to name it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
}

/// A group of numbers, as TypeScript is to name it.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its numbers.
    pub entries: &'static [Entry],
}

macro_rules! numbers {
    (
        $(#[doc = $about:literal])*
        $name:ident: $word:ty;
        $($(#[doc = $text:literal])* $member:ident = $number:literal,)*
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr($word)]
        pub enum $name {
            $($(#[doc = $text])* $member = $number,)*
        }

        impl $name {
            /// As TypeScript is to name it.
            pub const GROUP: Group = Group {
                name: stringify!($name),
                about: concat!($($about, "\n"),*),
                entries: &[$(Entry { name: stringify!($member), number: $number },)*],
            };

            /// What has that number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$member),)*
                    _ => None,
                }
            }
        }
    };
}

numbers! {
    /// What a record tells.
    RecordKind: u8;
    /// Bytes: a whole message, or whatever arrived where there is no framing.
    Message = 0,
    /// A connection was accepted; `start` is the tag that its listener was given, `length` the
    /// connection's generation.
    Accepted = 1,
    /// A dialed connection is established.
    Connected = 2,
    /// The peer will send nothing more, is gone, or was refused; what had arrived may still follow.
    /// `start` and `length` are as of [`Self::Closed`], as far as there is a reason already. Told again where a refusal
    /// follows the peer's end.
    Inactive = 3,
    /// Everything that the peer sent has been handed over.
    Ended = 4,
    /// More than the high-water mark waits to be sent.
    Congested = 5,
    /// No longer so.
    Drained = 6,
    /// The slot's last record; `start` is the [`crate::Reason`]'s code, `length` its call.
    Closed = 7,
    /// A listener lacks descriptors or memory and pauses; `slot` is its tag, `start` the system's error number.
    AcceptPaused = 8,
    /// Nothing was read or written for the idle timeout, and nothing is in handling. [`Operation::ConfirmIdle`] answers it
    /// where JavaScript is not busy with the connection, either.
    Idle = 9,
    /// The deadline timer that was set has come. `start` is its number, `length` how many
    /// microseconds after its time the socket was looked at last. Every reply that had come by then
    /// stands before this record.
    DeadlineTimer = 10,
    /// Bytes read in all, right before [`Self::Closed`]: the low 32 bits are `start`, the high ones
    /// `length`.
    BytesRead = 11,
    /// Bytes written in all, as [`Self::BytesRead`].
    BytesWritten = 12,
    /// Our direction has ended with everything sent; told of connections that were taken over.
    EndSent = 13,
    /// The id of the message that follows at once: its low 32 bits are `start`, the high ones `length`. Only where
    /// the settings have an id field, and not of a message that is too short to have one.
    Correlation = 14,
    /// Where the message that follows at once comes from, in batches for workers. `slot` is the
    /// number of the poller, `start` and `length` are slot and generation of the connection.
    Source = 15,
    /// An accepted connection cannot be watched and was closed; `slot` is its listener's tag, `start` the system's error
    /// number.
    AcceptFailed = 16,
    /// No poller accepts for a listener any more, because the one that did has failed; `slot` is
    /// its tag.
    AcceptEnded = 17,
    /// How long a message would be that is refused, as [`Self::BytesRead`], right before the record that tells of the refusal.
    /// Not where nothing announces a length.
    RefusedLength = 18,
    /// Up to eight of the first bytes of what is refused, after [`Self::RefusedLength`]; their number takes the place of a
    /// chunk. They are `start` and `length`, least significant byte first.
    RefusedBytes = 19,
    /// Nothing waits to be sent any more, as was asked; `start` is the question's number.
    Flushed = 20,
    /// The handshake of an accepted connection has failed, of which nothing was told before. `slot` is its listener's tag;
    /// `start` and `length` are as of [`Self::Closed`].
    HandshakeFailed = 21,
    /// A connection was accepted that is one too many: it is to be destroyed, and is not read. Otherwise as [`Self::Accepted`].
    Excess = 22,
    /// A connection that is one too many was accepted and closed; `slot` is its listener's tag.
    ExcessClosed = 23,
    /// What was to be sent before a connection goes over to TLS has left, and nothing is read any more until it is secured.
    PlainEnded = 24,
    /// The handshake is done of a connection that went over to TLS.
    Secured = 25,
    /// The TLS keys of a connection are about to be exhausted. It is used no more once what goes on has ended.
    WornOut = 26,
    /// As [`Self::Idle`], after the answer to that, and nothing has come in between: it is idle.
    IdleConfirmed = 27,
}

numbers! {
    /// What a command asks for.
    Operation: u32;
    /// Send bytes.
    Send = 0,
    /// Send bytes, which end the handling of a message.
    Reply = 1,
    /// As many messages as `length` says are done with, one where it is 0; nothing is sent for them.
    Acknowledge = 2,
    /// Send what is queued, then close.
    Close = 3,
    /// Answer what was taken, then close.
    Finish = 4,
    /// Close at once.
    Destroy = 5,
    /// Close at once and reset the peer.
    Reset = 6,
    /// Hand over no further message.
    Pause = 7,
    /// Go on handing over messages.
    Resume = 8,
    /// Send what is queued, then end our direction.
    End = 9,
    /// Tell at the time of the poller's clock whose higher word is in `start` and whose lower in `length`; the handle is its
    /// number.
    DeadlineTimer = 10,
    /// Replace a time limit by `length` milliseconds; 0: none.
    ReadTimeout = 11,
    /// As above.
    WriteTimeout = 12,
    /// As above.
    IdleTimeout = 13,
    /// Send bytes of a user's buffer, whose handle is used up by it.
    SendForeign = 14,
    /// Leave it to JavaScript when the connection ends.
    TakeOver = 15,
    /// Hand over `length` messages more than may be in flight.
    AllowBeyond = 16,
    /// Tell once when nothing waits to be sent; `length` is the question's number.
    TellFlushed = 17,
    /// Send bytes, and read no more: what follows both ways is TLS. [`RecordKind::PlainEnded`] answers it.
    StartTls = 18,
    /// JavaScript is not busy with a connection that is idle as far as the core knows. It was until a time of the poller's
    /// clock, whose higher word is in `start` and whose lower in `length`.
    ConfirmIdle = 19,
    /// Count messages as in flight from now on, without a bound: some are answered, and each is acknowledged.
    CountMessages = 20,
}

numbers! {
    /// What the system was asked for when it failed.
    Call: u32;
    /// To connect.
    Connect = 1,
    /// To read.
    Read = 2,
    /// To write.
    Write = 3,
    /// To watch the socket.
    Watch = 4,
}

numbers! {
    /// Why a connection ended, where it was not the system: its error numbers are smaller.
    ReasonCode: u32;
    /// A message was longer than its framing allows.
    FrameTooLarge = 10_000,
    /// A header said something impossible.
    FrameInvalid = 10_001,
    /// The peer ended within a message.
    UnexpectedEnd = 10_002,
    /// Dialing took longer than allowed.
    ConnectTimeout = 10_003,
    /// The peer did not take, within the time allowed, what was to be sent before closing.
    CloseTimeout = 10_004,
    /// Unfinished messages filled the space that their server allows.
    BufferLimit = 10_005,
    /// The peer did not finish a message within the time allowed.
    ReadTimeout = 10_006,
    /// The peer took nothing of what was queued within the time allowed.
    WriteTimeout = 10_007,
    /// Foreign memory was taken away or shrunk before it was sent.
    ForeignDetached = 10_008,
    /// The system had no memory for what arrived, or for what was to be sent.
    OutOfMemory = 10_009,
    /// A TLS handshake took longer than allowed.
    HandshakeTimeout = 10_010,
    /// The peer has sent a TLS alert, whose number stands in the place of a call.
    TlsAlert = 10_011,
    /// The peer's certificate is refused; what is wrong with it stands in the place of a call.
    TlsCertificate = 10_012,
    /// The peer has shown no certificate, and one is required.
    TlsNoCertificate = 10_013,
    /// No TLS version, cipher or key exchange is common to both.
    TlsIncompatible = 10_014,
    /// No application protocol is common to both.
    TlsNoApplicationProtocol = 10_015,
    /// What came is no TLS, or breaks its rules.
    TlsProtocol = 10_016,
    /// The peer ended before the TLS handshake was done.
    TlsEndedEarly = 10_017,
    /// The peer's socket ended, and TLS has not said that it would.
    TlsTruncated = 10_018,
    /// TLS keys have encrypted as much as they may.
    TlsKeysExhausted = 10_019,
    /// A client asks for a name, or for none, for which there is no certificate. A name stands before the record that tells of
    /// it, as [`RecordKind::RefusedBytes`]. Of one that is cut [`RecordKind::RefusedLength`] tells the length.
    TlsUnknownName = 10_020,
    /// A TLS handshake message of the peer is longer than any may be, such as one with its certificates, or comes in too many
    /// records.
    TlsHandshakeTooLarge = 10_021,
}

numbers! {
    /// What is wrong with a chain of certificates, by the names of Node.js.
    CertificateFault: u32;
    /// CERT_HAS_EXPIRED
    CertHasExpired = 1,
    /// CERT_NOT_YET_VALID
    CertNotYetValid = 2,
    /// DEPTH_ZERO_SELF_SIGNED_CERT
    DepthZeroSelfSignedCert = 3,
    /// SELF_SIGNED_CERT_IN_CHAIN
    SelfSignedCertInChain = 4,
    /// UNABLE_TO_VERIFY_LEAF_SIGNATURE
    UnableToVerifyLeafSignature = 5,
    /// UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    UnableToGetIssuerCertLocally = 6,
    /// UNABLE_TO_GET_ISSUER_CERT
    UnableToGetIssuerCert = 7,
    /// CERT_SIGNATURE_FAILURE
    CertSignatureFailure = 8,
    /// INVALID_PURPOSE
    InvalidPurpose = 9,
    /// INVALID_CA
    InvalidCa = 10,
    /// PATH_LENGTH_EXCEEDED
    PathLengthExceeded = 11,
    /// CERT_REJECTED
    CertRejected = 12,
    /// There is none, although one was asked for.
    NoCertificate = 13,
    /// ERR_TLS_CERT_ALTNAME_INVALID
    AltnameInvalid = 14,
    /// UNSPECIFIED
    Unspecified = 15,
}

/// All groups.
pub const GROUPS: [Group; 5] = [
    RecordKind::GROUP,
    Operation::GROUP,
    Call::GROUP,
    ReasonCode::GROUP,
    CertificateFault::GROUP,
];
