import { type CallOwner, isWornOut, type PendingCall, refuseCall } from '../connection/calls/pending-call'
import { submit } from '../connection/calls/connection-calls'
import type { ConnectionCore } from '../connection/core'
import type { ConnectionOwner } from '../connection/owner'
import type { Payload } from '../memory/payload'
import type { Place } from './waiting-call'

/** Who has a connection of a pool. */
export const Holder = {
  /** Nobody: it is free. */
  Nobody: 0,
  /** A call of the pool. */
  Call: 1,
  /** The user, until it is given back. */
  User: 2,
  /** The user, who has not given it back; but it is gone. */
  UserInVain: 3,
  /** The pool has let go of it: it closes, or is gone. */
  None: 4,
} as const

export type Holder = (typeof Holder)[keyof typeof Holder]

/** A pool, as its connections see it. */
export interface LeaseKeeper {
  /** Something was answered on the connection, the first time. */
  proved(): void
  /** The caller of a call has given up, whose request may not have left yet. */
  gaveUp(lease: Lease): void
  /** A call is done with the connection. */
  called(lease: Lease): void
  /** Too many calls were lost on the connection for it to take this one, of which nothing was sent. */
  refused(lease: Lease, call: PendingCall, request: Payload): void
  /** The peer has ended the connection, or asked not to use it any more. */
  ending(lease: Lease): void
  /** The connection is gone. */
  gone(lease: Lease): void
}

/** A connection of a pool. */
export class Lease implements Place, CallOwner, ConnectionOwner {
  readonly keeper: LeaseKeeper
  readonly connection: ConnectionCore
  /** When it was established, on our clock. */
  readonly established: number
  holder: Holder = Holder.None
  /** Whether a user has had it, who may have sent what nobody could tell for lost. */
  wasLent = false
  /** Whether it was of use: something was answered on it, or a user has put it back as it was. */
  isProven = false
  /** Since when it is free. */
  freeSince = 0

  constructor(keeper: LeaseKeeper, connection: ConnectionCore, now: number) {
    this.keeper = keeper
    this.connection = connection
    this.established = now
    connection.owner = this
  }

  start(call: PendingCall, request: Payload): void {
    this.holder = Holder.Call
    call.owner = this
    try {
      submit(this.connection, call, request)
    } catch (error) {
      // The user's function that finds ids may have aborted it, or ended the connection: then the pool knows.
      if (call.isSettled) return
      if (this.holder !== Holder.Call) {
        refuseCall(call, error)
        return
      }
      if (isWornOut(error)) {
        this.keeper.refused(this, call, request)
        return
      }
      refuseCall(call, error)
      this.keeper.called(this)
    }
  }

  answered(): void {
    this.prove()
    this.#called()
  }

  gaveUp(): void {
    if (this.holder === Holder.Call) this.keeper.gaveUp(this)
  }

  answeredLate(): void {
    this.prove()
  }

  /** It has been of use. */
  prove(): void {
    if (this.isProven) return
    this.isProven = true
    this.keeper.proved()
  }

  inactive(): void {
    this.keeper.ending(this)
  }

  leaving(): void {
    this.keeper.ending(this)
  }

  /** One that is not as it was is let go of by the code that takes it. */
  finishing(): void {}

  callsFailed(): void {
    this.#called()
  }

  closed(): void {
    this.keeper.gone(this)
  }

  /** Not where the connection has gone meanwhile, and its call with it. */
  #called(): void {
    if (this.holder === Holder.Call) this.keeper.called(this)
  }
}
