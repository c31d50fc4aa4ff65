import { sendCancel } from '../connection/calls/cancellation'
import { submit } from '../connection/calls/connection-calls'
import { type CallOwner, isWornOut, type PendingCall, refuseCall } from '../connection/calls/pending-call'
import * as clock from '../time/clock'
import type { ConnectionCore } from '../connection/core'
import type { ConnectionOwner } from '../connection/owner'
import type { Payload } from '../memory/payload'
import type { Reconnector } from './reconnector'
import type { CallTarget } from './waiting-call'

/** Milliseconds in which calls run out of time and nothing comes, until a connection is taken for dead. */
const maxSilence = 1_000

/** A mux, as its connections see it. */
export interface MuxConnectionListener {
  /** Whether connections with calls keep the process alive. */
  readonly isReferenced: boolean
  /** A call has been sent. */
  began(): void
  /** A call is over; there is room for another. */
  ended(muxed: MuxConnection): void
  /** Too many calls were lost on the connection for it to take this one, of which nothing was sent. */
  refused(muxed: MuxConnection, call: PendingCall, request: Payload): void
  /** So many calls were lost on the connection that it takes no more. */
  wornOut(muxed: MuxConnection): void
  /** The connection takes no more requests, or no caller should give it any. */
  ending(muxed: MuxConnection): void
  /** The peer or the user wants no more calls on the connection, which closes once its calls have ended. */
  leaving(muxed: MuxConnection): void
  /** The connection closes, and so many calls on it have failed. */
  failed(muxed: MuxConnection, calls: number): void
  /** The connection is gone, and so many calls with it. */
  gone(muxed: MuxConnection, calls: number): void
}

/** One connection of a mux, and the calls on it. */
export class MuxConnection implements CallTarget, CallOwner, ConnectionOwner {
  readonly connection: ConnectionCore
  /** What has dialed it and sees to its place; `undefined` once another connection is dialed in its place. */
  reconnector: Reconnector | undefined
  /** When another one is to take its place, on our clock; `Infinity` for never. */
  readonly endOfLife: number
  /** Whether another one was dialed in its place, because of the calls that were lost on it. */
  isReplaced = false
  /** Whether messages were sent on it, which no reply can prove lost. */
  hasSent = false
  readonly #listener: MuxConnectionListener
  #calls = 0
  #hasAnswered = false
  /** When a call ran out of time, if nothing has come since. */
  #silentSince = Number.POSITIVE_INFINITY

  constructor(
    listener: MuxConnectionListener,
    connection: ConnectionCore,
    reconnector: Reconnector,
    endOfLife: number,
  ) {
    this.#listener = listener
    this.connection = connection
    this.reconnector = reconnector
    this.endOfLife = endOfLife
    connection.owner = this
  }

  /** Calls that wait for their reply. */
  get calls(): number {
    return this.#calls
  }

  /** Whether anything was answered on it. */
  get hasAnswered(): boolean {
    return this.#hasAnswered
  }

  /** The less, the sooner a reply may be expected. */
  get load(): number {
    return this.#silentSince === Number.POSITIVE_INFINITY ? this.#calls : Number.MAX_SAFE_INTEGER
  }

  start(call: PendingCall, request: Payload): void {
    call.owner = this
    this.#calls += 1
    this.#listener.began()
    if (this.#calls === 1 && this.#listener.isReferenced) this.connection.ref()
    try {
      submit(this.connection, call, request)
    } catch (error) {
      // The user's function that finds ids may have aborted it: then it is over already.
      if (call.isSettled) return
      if (this.#calls > 0 && isWornOut(error)) {
        this.#left()
        this.#listener.refused(this, call, request)
        return
      }
      refuseCall(call, error)
      this.#ended()
    }
  }

  /** No caller waits on it, and it takes no more calls. What was sent without a reply is to arrive. */
  letGo(): void {
    const { life } = this.connection
    // It closes by itself, and answers what its peer has asked; or its user has ended it, and may still get messages.
    if (life.isLeaving || life.isEnding) return
    if (this.isReplaced && this.hasSent) void this.connection.close()
    else this.connection.destroy()
  }

  answered(): void {
    this.#heard()
    this.#ended()
  }

  answeredLate(): void {
    this.#heard()
  }

  gaveUp(why: 'expired' | 'aborted', call: PendingCall): void {
    if (why === 'expired') this.#missed(clock.now())
    if (!this.connection.takesCalls) this.#listener.wornOut(this)
    this.#ended()
    sendCancel(this.connection, call)
  }

  inactive(): void {
    this.#listener.ending(this)
  }

  leaving(): void {
    this.#listener.leaving(this)
  }

  finishing(): void {
    this.#listener.leaving(this)
  }

  callsFailed(): void {
    if (this.#calls > 0) this.connection.unref()
    this.#listener.failed(this, this.#takeCalls())
  }

  closed(): void {
    this.#listener.gone(this, this.#takeCalls())
  }

  #takeCalls(): number {
    const calls = this.#calls
    this.#calls = 0
    return calls
  }

  #heard(): void {
    this.#silentSince = Number.POSITIVE_INFINITY
    if (this.#hasAnswered) return
    this.#hasAnswered = true
    this.reconnector?.proved()
  }

  #missed(now: number): void {
    this.#silentSince = Math.min(this.#silentSince, now)
    if (now - this.#silentSince >= maxSilence) this.#listener.ending(this)
  }

  /** Not where the connection has failed meanwhile, and its calls with it. */
  #ended(): void {
    if (this.#calls === 0) return
    this.#left()
    this.#listener.ended(this)
  }

  #left(): void {
    this.#calls -= 1
    if (this.#calls === 0) this.connection.unref()
  }
}
