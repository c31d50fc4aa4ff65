// Made from crates/core/src/protocol.rs: `UPDATE_PROTOCOL=1 cargo test -p netpoll-core --test protocol`.

/** What a record tells. */
export const RecordKind = {
  Message: 0,
  Accepted: 1,
  Connected: 2,
  Inactive: 3,
  Ended: 4,
  Congested: 5,
  Drained: 6,
  Closed: 7,
  AcceptPaused: 8,
  Idle: 9,
  DeadlineTimer: 10,
  BytesRead: 11,
  BytesWritten: 12,
  EndSent: 13,
  Correlation: 14,
  Source: 15,
  AcceptFailed: 16,
  AcceptEnded: 17,
  RefusedLength: 18,
  RefusedBytes: 19,
  Flushed: 20,
  HandshakeFailed: 21,
  Excess: 22,
  ExcessClosed: 23,
  PlainEnded: 24,
  Secured: 25,
  WornOut: 26,
  IdleConfirmed: 27,
} as const

export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

/** What a command asks for. */
export const Operation = {
  Send: 0,
  Reply: 1,
  Acknowledge: 2,
  Close: 3,
  Finish: 4,
  Destroy: 5,
  Reset: 6,
  Pause: 7,
  Resume: 8,
  End: 9,
  DeadlineTimer: 10,
  ReadTimeout: 11,
  WriteTimeout: 12,
  IdleTimeout: 13,
  SendForeign: 14,
  TakeOver: 15,
  AllowBeyond: 16,
  TellFlushed: 17,
  StartTls: 18,
  ConfirmIdle: 19,
  CountMessages: 20,
} as const

export type Operation = (typeof Operation)[keyof typeof Operation]

/** What the system was asked for when it failed. */
export const Call = {
  Connect: 1,
  Read: 2,
  Write: 3,
  Watch: 4,
} as const

export type Call = (typeof Call)[keyof typeof Call]

/** Why a connection ended, where it was not the system: its error numbers are smaller. */
export const ReasonCode = {
  FrameTooLarge: 10_000,
  FrameInvalid: 10_001,
  UnexpectedEnd: 10_002,
  ConnectTimeout: 10_003,
  CloseTimeout: 10_004,
  BufferLimit: 10_005,
  ReadTimeout: 10_006,
  WriteTimeout: 10_007,
  ForeignDetached: 10_008,
  OutOfMemory: 10_009,
  HandshakeTimeout: 10_010,
  TlsAlert: 10_011,
  TlsCertificate: 10_012,
  TlsNoCertificate: 10_013,
  TlsIncompatible: 10_014,
  TlsNoApplicationProtocol: 10_015,
  TlsProtocol: 10_016,
  TlsEndedEarly: 10_017,
  TlsTruncated: 10_018,
  TlsKeysExhausted: 10_019,
  TlsUnknownName: 10_020,
  TlsHandshakeTooLarge: 10_021,
} as const

export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode]

/** What is wrong with a chain of certificates, by the names of Node.js. */
export const CertificateFault = {
  CertHasExpired: 1,
  CertNotYetValid: 2,
  DepthZeroSelfSignedCert: 3,
  SelfSignedCertInChain: 4,
  UnableToVerifyLeafSignature: 5,
  UnableToGetIssuerCertLocally: 6,
  UnableToGetIssuerCert: 7,
  CertSignatureFailure: 8,
  InvalidPurpose: 9,
  InvalidCa: 10,
  PathLengthExceeded: 11,
  CertRejected: 12,
  NoCertificate: 13,
  AltnameInvalid: 14,
  Unspecified: 15,
} as const

export type CertificateFault = (typeof CertificateFault)[keyof typeof CertificateFault]
