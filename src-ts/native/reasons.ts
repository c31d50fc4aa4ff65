import { constants } from 'node:os'

import type { Excerpt } from './excerpt'
import { NetpollError, type NetpollErrorCode, outOfMemory, systemError, withoutStack } from '../errors'
import { ReasonCode } from './protocol-numbers'
import { alertError, certificateError } from './tls-reasons'

/** From here on reasons are the core's own; those below are error numbers of the system. */
const firstOwnReason = ReasonCode.FrameTooLarge

/** Whether a connection ends by a reason of the core's own, which may refuse its peer. */
export function isOwnReason(code: number): boolean {
  return code >= firstOwnReason
}

/** The reason of connections whose poller has failed, which the core cannot tell any more. */
export const pollerGone = 20_000

/** Whose errors say more than the number. */
type MadeReason =
  | typeof ReasonCode.OutOfMemory
  | typeof ReasonCode.TlsAlert
  | typeof ReasonCode.TlsCertificate
  | typeof ReasonCode.TlsEndedEarly
  | typeof ReasonCode.TlsUnknownName

/** Reasons of the core's own, by the number that a connection's last record carries. */
const reasons: Readonly<
  Record<Exclude<ReasonCode, MadeReason> | typeof pollerGone, readonly [NetpollErrorCode, string]>
> = {
  [ReasonCode.FrameTooLarge]: ['ERR_FRAME_TOO_LARGE', 'The peer announced a message longer than maxLength'],
  [ReasonCode.FrameInvalid]: ['ERR_FRAME_INVALID', 'The peer sent a header that describes no message'],
  [ReasonCode.UnexpectedEnd]: ['ERR_EOF', 'The peer ended the connection within a message'],
  [ReasonCode.ConnectTimeout]: [
    'ERR_DIAL_TIMEOUT',
    'The connection was not established within connectTimeout',
  ],
  [ReasonCode.CloseTimeout]: [
    'ERR_CLOSE_TIMEOUT',
    'The peer did not read what was sent before the connection closed',
  ],
  [ReasonCode.BufferLimit]: [
    'ERR_BUFFER_LIMIT',
    'Unfinished messages of all connections exceed maxBufferedBytes',
  ],
  [ReasonCode.ReadTimeout]: ['ERR_READ_TIMEOUT', 'The peer did not finish a message within readTimeout'],
  [ReasonCode.WriteTimeout]: [
    'ERR_WRITE_TIMEOUT',
    'The peer took nothing of what was sent within writeTimeout',
  ],
  [ReasonCode.ForeignDetached]: [
    'ERR_BUFFER_DETACHED',
    'A buffer passed to writeDirect was transferred away or shrunk before it was sent',
  ],
  [ReasonCode.HandshakeTimeout]: [
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    'The TLS handshake was not done within handshakeTimeout',
  ],
  [ReasonCode.TlsNoCertificate]: [
    'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
    'The peer has shown no certificate',
  ],
  [ReasonCode.TlsIncompatible]: [
    'ERR_TLS_PROTOCOL',
    'The peer has no TLS version, cipher or key exchange in common with this end',
  ],
  [ReasonCode.TlsNoApplicationProtocol]: [
    'ERR_TLS_PROTOCOL',
    'The peer has no application protocol in common with this end',
  ],
  [ReasonCode.TlsProtocol]: ['ERR_TLS_PROTOCOL', 'What the peer sent is no TLS, or breaks its rules'],
  [ReasonCode.TlsHandshakeTooLarge]: [
    'ERR_TLS_PROTOCOL',
    'The peer has sent a TLS handshake message of more than 64 KiB, such as one with its certificates, or in too many records',
  ],
  [ReasonCode.TlsTruncated]: ['ERR_TLS_TRUNCATED', 'The peer ended its socket without the end of TLS'],
  [ReasonCode.TlsKeysExhausted]: ['ERR_TLS_PROTOCOL', 'The TLS keys have encrypted as much as they may'],
  [pollerGone]: ['ERR_POLLER_FAILED', 'The poller of the connection has failed'],
}

const watching = process.platform === 'linux' ? 'epoll_ctl' : 'kevent'

/** System calls of the core, by the number that a connection's last record carries beside the reason. */
const systemCalls: readonly string[] = ['read', 'connect', 'read', 'write', watching]

const handshakeErrors = new WeakSet<object>()

/** Whether TLS has ended a connection: its address was reached, and no other is better. */
export function isOfTls(error: unknown): boolean {
  return typeof error === 'object' && error !== null && handshakeErrors.has(error)
}

/** The same error, of which {@link isOfTls} is true. */
export function ofTls<E>(error: E): E {
  if (typeof error === 'object' && error !== null) handshakeErrors.add(error)
  return error
}

/** What was refused of a peer that no connection has told of yet: a name. */
export interface Refused {
  readonly excerpt: Excerpt
}

/** What was refused of a connection: a name, or a frame that might be so long. */
export interface RefusedOfConnection extends Refused {
  readonly maxLength: number
}

function aboutFrame(code: NetpollErrorCode, { excerpt, maxLength }: RefusedOfConnection): string {
  const lengths = code === 'ERR_FRAME_TOO_LARGE' ? `, ${excerpt.lengths(maxLength)}` : ''
  return `${lengths}: it begins with ${excerpt.text()}`
}

/** Why a connection ended, by the numbers of the reason and of the call that failed; `undefined` for an orderly end. */
export function reasonError(
  code: number,
  call: number,
  refused?: Refused | RefusedOfConnection,
): NetpollError | undefined {
  if (code === 0) return undefined
  const known = (reasons as Readonly<Record<number, readonly [NetpollErrorCode, string] | undefined>>)[code]
  const syscall = systemCalls[call] ?? 'read'
  // It comes from the core, and not from whatever calls this.
  const error = withoutStack(() => {
    if (code === ReasonCode.OutOfMemory) return outOfMemory('A message could not be received or sent')
    if (code === ReasonCode.TlsAlert) return alertError(call)
    if (code === ReasonCode.TlsCertificate) return certificateError(call)
    if (code === ReasonCode.TlsEndedEarly) return endedEarly()
    if (code === ReasonCode.TlsUnknownName) return unknownName(refused?.excerpt)
    if (known === undefined) return systemError(code, syscall)
    const [name, message] = known
    const isFrame = refused !== undefined && 'maxLength' in refused
    return new NetpollError(name, isFrame ? message + aboutFrame(name, refused) : message)
  })
  if (code >= ReasonCode.HandshakeTimeout && code < pollerGone) handshakeErrors.add(error)
  return error
}

/** What has ended a connection that its own end has not: its peer, what that has sent, or a limit or the system. */
export type Ender = 'peer' | 'refusal' | 'failure'

const endersByReason: ReadonlyMap<number, Ender> = new Map<number, Ender>([
  [constants.errno.ECONNRESET, 'peer'],
  [constants.errno.ECONNABORTED, 'peer'],
  [constants.errno.EPIPE, 'peer'],
  [ReasonCode.UnexpectedEnd, 'peer'],
  [ReasonCode.TlsAlert, 'peer'],
  [ReasonCode.TlsEndedEarly, 'peer'],
  [ReasonCode.TlsTruncated, 'peer'],
  [ReasonCode.FrameTooLarge, 'refusal'],
  [ReasonCode.FrameInvalid, 'refusal'],
  [ReasonCode.TlsCertificate, 'refusal'],
  [ReasonCode.TlsNoCertificate, 'refusal'],
  [ReasonCode.TlsIncompatible, 'refusal'],
  [ReasonCode.TlsNoApplicationProtocol, 'refusal'],
  [ReasonCode.TlsUnknownName, 'refusal'],
  [ReasonCode.TlsProtocol, 'refusal'],
  [ReasonCode.TlsHandshakeTooLarge, 'refusal'],
])

/** What a reason other than an orderly end says of that. */
export function enderOf(code: number): Ender {
  return endersByReason.get(code) ?? 'failure'
}

/** As Node.js has it. */
function endedEarly(): NetpollError {
  return new NetpollError('ECONNRESET', 'The peer ended the connection before the TLS handshake was done')
}

function unknownName(name: Excerpt | undefined): NetpollError {
  const asked = name === undefined ? 'no name' : `the name ${name.text()}${name.isCut ? '…' : ''}`
  return new NetpollError(
    'ERR_TLS_PROTOCOL',
    `The client asks for ${asked}, for which there is no certificate`,
  )
}
