import { type CallOwner, isWornOut, type PendingCall, refuseCall } from '../connection/calls/pending-call'
import { sendCancel } from '../connection/calls/cancellation'
import { submit } from '../connection/calls/connection-calls'
import type { ConnectionCore } from '../connection/core'
import type { ConnectionOwner } from '../connection/owner'
import type { Look, Watched } from '../leaks/watched'
import type { Payload } from '../memory/payload'
import type { CallTarget } from './waiting-call'

/** The user that has a connection of a pool. */
export const PooledState = {
  /** It waits for its next use. */
  Free: 0,
  /** A call of the pool. */
  InCall: 1,
  /** The user, until it is given back. */
  Lent: 2,
  /** The user, who has not given it back; but it is gone. */
  LostWhileLent: 3,
  /** The pool has let go of it: it closes, or is gone. */
  Released: 4,
} as const

export type PooledState = (typeof PooledState)[keyof typeof PooledState]

/** A pooled connection, as the detector of leaks sees it. One that is gone takes no place in the pool any more. */
export function lookAtLent({ state }: PooledConnection): Look {
  if (state !== PooledState.Lent) return 'over'
  return { what: 'of a pool was lent, and not given back', certainty: 'certain' }
}

/** A pool, as its connections see it. */
export interface PooledConnectionListener {
  /** Something was answered on the connection, the first time. */
  proved(): void
  /** The caller of a call has given up, whose request may not have left yet. */
  gaveUp(pooled: PooledConnection): void
  /** A call is done with the connection. */
  called(pooled: PooledConnection): void
  /** Too many calls were lost on the connection for it to take this one, of which nothing was sent. */
  refused(pooled: PooledConnection, call: PendingCall, request: Payload): void
  /** The peer has ended the connection, or asked not to use it any more. */
  ending(pooled: PooledConnection): void
  /** The connection is gone. */
  gone(pooled: PooledConnection): void
}

/** A connection of a pool. */
export class PooledConnection implements CallTarget, CallOwner, ConnectionOwner {
  readonly listener: PooledConnectionListener
  readonly connection: ConnectionCore
  /** When it was established, on our clock. */
  readonly established: number
  state: PooledState = PooledState.Released
  /** Whether a user has had it, who may have sent what no reply can prove lost. */
  wasLent = false
  /** Whether it was of use: something was answered on it, or a user has put it back as it was. */
  isProven = false
  /** Since when it is lent, as the detector of leaks sees it. */
  loan: Watched | undefined
  /** Since when it is free. */
  freeSince = 0

  constructor(listener: PooledConnectionListener, connection: ConnectionCore, now: number) {
    this.listener = listener
    this.connection = connection
    this.established = now
    connection.owner = this
  }

  start(call: PendingCall, request: Payload): void {
    this.state = PooledState.InCall
    call.owner = this
    try {
      submit(this.connection, call, request)
    } catch (error) {
      // The user's function that finds ids may have aborted it, or ended the connection: then the pool knows.
      if (call.isSettled) return
      if (this.state !== PooledState.InCall) {
        refuseCall(call, error)
        return
      }
      if (isWornOut(error)) {
        this.listener.refused(this, call, request)
        return
      }
      refuseCall(call, error)
      this.listener.called(this)
    }
  }

  answered(): void {
    this.prove()
    this.#called()
  }

  gaveUp(_why: 'expired' | 'aborted', call: PendingCall): void {
    if (this.state === PooledState.InCall) this.listener.gaveUp(this)
    sendCancel(this.connection, call)
  }

  answeredLate(): void {
    this.prove()
  }

  /** It has been of use. */
  prove(): void {
    if (this.isProven) return
    this.isProven = true
    this.listener.proved()
  }

  inactive(): void {
    this.listener.ending(this)
  }

  leaving(): void {
    this.listener.ending(this)
  }

  /** One that is not as it was is let go of by the code that takes it. */
  finishing(): void {}

  callsFailed(): void {
    this.#called()
  }

  closed(): void {
    this.listener.gone(this)
  }

  /** Not where the connection has gone meanwhile, and its call with it. */
  #called(): void {
    if (this.state === PooledState.InCall) this.listener.called(this)
  }
}
