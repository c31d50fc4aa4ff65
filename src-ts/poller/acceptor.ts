import type { NetpollError } from '../errors'
import type { NativeId } from '../native/binding'
import type { Excerpt } from '../native/excerpt'
import { RecordKind } from '../native/protocol-numbers'
import type { PolledConnection } from './polled-connection'

/** The server that accepts connections on a listener. */
export interface Acceptor {
  /** A connection was accepted; returns the object that stands for it. */
  accepted(id: NativeId): PolledConnection
  /** A connection was accepted that is one too many; returns the object that stands for it until it is destroyed. */
  exceeded(id: NativeId): PolledConnection
  /** A connection was closed that is one too many. */
  excessClosed(): void
  /** No descriptor or memory left: accepting pauses and is tried again. */
  acceptPaused(errno: number): void
  /** A connection was accepted and closed, because the system could not watch it. */
  acceptFailed(errno: number): void
  /** A connection has failed in its handshake, of which nothing was told before: the reason, and what belongs to it. */
  handshakeFailed(code: number, detail: number, excerpt: Excerpt | undefined): void
  /** No thread accepts for it any more: its socket is closed. */
  acceptEnded(): void
  /** Its poller has failed, with everything that it had. */
  failed(error: NetpollError): void
}

/** Whether a record tells of a connection that was accepted. */
export function isAcceptance(kind: number): boolean {
  return kind === RecordKind.Accepted || kind === RecordKind.Excess
}

/** Whether a record names a listener, in the place of a slot. */
export function isOfListener(kind: number): boolean {
  return (
    kind === RecordKind.AcceptPaused ||
    kind === RecordKind.AcceptFailed ||
    kind === RecordKind.AcceptEnded ||
    kind === RecordKind.HandshakeFailed ||
    kind === RecordKind.ExcessClosed
  )
}

/** Tells a listener's server, if it is there, what a record says. */
export function tellAcceptor(
  acceptor: Acceptor | undefined,
  kind: number,
  start: number,
  length: number,
  excerpt: Excerpt | undefined,
): void {
  if (acceptor === undefined) return
  if (kind === RecordKind.AcceptPaused) acceptor.acceptPaused(start)
  else if (kind === RecordKind.AcceptFailed) acceptor.acceptFailed(start)
  else if (kind === RecordKind.HandshakeFailed) acceptor.handshakeFailed(start, length, excerpt)
  else if (kind === RecordKind.ExcessClosed) acceptor.excessClosed()
  else acceptor.acceptEnded()
}
