import type { CallTable } from './call-table'
import * as clock from './clock'
import { Deadlines } from './deadlines'
import { NetpollError, withoutStack } from './errors'
import type { MessageId } from './message-id'
import { checkMilliseconds, checkSignal } from './options'
import type { Payload } from './payload'

/** Options of `call`. */
export interface CallOptions {
  /** Milliseconds until the call rejects with `ERR_REQUEST_TIMEOUT`, 0 for never. Default: `requestTimeout`. */
  readonly timeout?: number
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal
}

/** Who is told how a call ends, beside its caller, unless its connection is gone. */
export interface CallOwner {
  /** It has its reply. */
  answered(): void
  /** Its caller no longer waits: its time is over, or it was aborted. If it was sent, its reply is still to come. */
  gaveUp(why: 'expired' | 'aborted'): void
  /** The reply to a call that was given up has come. */
  answeredLate(): void
}

/** A call that waits for its reply. */
export class PendingCall {
  next: PendingCall | undefined
  /** When it is given up, on our clock; `Infinity` for never. */
  readonly deadline: number
  /** Those whose deadlines are watched with its own, where it has one and was sent. */
  deadlines: Deadlines<PendingCall> | undefined
  owner: CallOwner | undefined
  /** By which its reply is found, where the protocol has ids. */
  id: MessageId | undefined
  /** Where it waits, where the protocol has ids. */
  table: CallTable | undefined
  readonly #timeout: number
  readonly #resolve: (reply: Buffer) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #aborted: (() => void) | undefined
  #isSettled = false

  /**
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; the signal's reason when it is aborted
   * already
   */
  constructor(
    options: CallOptions | undefined,
    requestTimeout: number,
    resolve: (reply: Buffer) => void,
    reject: (error: unknown) => void,
  ) {
    const timeout = options?.timeout ?? requestTimeout
    checkMilliseconds('options.timeout', timeout)
    const signal = options?.signal
    checkSignal(signal)
    signal?.throwIfAborted()
    this.deadline = timeout > 0 ? clock.now() + timeout : Number.POSITIVE_INFINITY
    this.#timeout = timeout
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    this.#aborted = signal === undefined ? undefined : () => this.#giveUp(signal.reason, 'aborted')
    if (this.#aborted !== undefined) signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  /** Whether its caller has a reply or an error. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Its reply has come: dropped, when nobody waits for it any more. */
  reply(message: Buffer): void {
    if (this.#isSettled) {
      this.owner?.answeredLate()
      return
    }
    this.#settle()
    this.#resolve(message)
    this.owner?.answered()
  }

  /** It cannot be sent, or its connection is gone. */
  fail(error: unknown): void {
    if (this.#isSettled) return
    this.#settle()
    this.#reject(error)
  }

  /** Its time is over; `cause` says what it was waiting for, where that is not just the reply. */
  expire(cause?: unknown): void {
    const details = cause === undefined ? {} : { cause }
    const error = withoutStack(
      () => new NetpollError('ERR_REQUEST_TIMEOUT', `No reply within ${this.#timeout} ms`, details),
    )
    this.#giveUp(error, 'expired')
  }

  #giveUp(reason: unknown, why: 'expired' | 'aborted'): void {
    if (this.#isSettled) return
    this.#settle()
    this.#reject(reason)
    this.table?.settled()
    this.owner?.gaveUp(why)
  }

  #settle(): void {
    this.#isSettled = true
    this.deadlines?.settled()
    if (this.#aborted !== undefined) this.#signal?.removeEventListener('abort', this.#aborted)
  }
}

/** Watches when a call has to have its reply. */
export function watchDeadline(deadlines: Deadlines<PendingCall>, call: PendingCall): void {
  if (call.deadline === Number.POSITIVE_INFINITY) return
  deadlines.add(call)
  call.deadlines = deadlines
}

/** Gives up the calls whose time is over at `due`; returns when the next one's is, `Infinity` for never. */
export function expireCalls(deadlines: Deadlines<PendingCall>, due: number): number {
  return deadlines.expire(due, expireCall)
}

const expireCall = (call: PendingCall): void => call.expire()

/** Calls of one connection, and how their replies find them. */
export interface Calls {
  /** Whether no call waits. In order, one that was given up waits until its late reply has come. */
  readonly isEmpty: boolean
  /**
   * Before the request of a call is sent.
   *
   * @throws NetpollError `ERR_NO_ID`, `ERR_DUPLICATE_ID`; what the user's function throws
   */
  prepare(call: PendingCall, request: Payload): void
  /** The request of a call was sent. */
  append(call: PendingCall): void
  /** The core has read the id of the message that comes next, in two words. */
  identify(low: number, high: number): void
  /** A message has come; whether it was the reply to a call. */
  reply(message: Buffer): boolean
  /** Gives up the calls whose time is over at `due`; returns when the next one's is, `Infinity` for never. */
  expire(due: number): number
  /** Fails every call: the connection is gone. */
  failAll(error: NetpollError): void
}

/** Calls of one connection, in the order in which their replies come. One that is given up keeps its place. */
export class CallQueue implements Calls {
  #head: PendingCall | undefined
  #tail: PendingCall | undefined
  readonly #deadlines = new Deadlines<PendingCall>()

  get isEmpty(): boolean {
    return this.#head === undefined
  }

  prepare(): void {}

  append(call: PendingCall): void {
    if (this.#tail === undefined) this.#head = call
    else this.#tail.next = call
    this.#tail = call
    watchDeadline(this.#deadlines, call)
  }

  identify(): void {}

  reply(message: Buffer): boolean {
    const call = this.#head
    if (call === undefined) return false
    this.#head = call.next
    if (call.next === undefined) this.#tail = undefined
    call.reply(message)
    return true
  }

  expire(due: number): number {
    return expireCalls(this.#deadlines, due)
  }

  failAll(error: NetpollError): void {
    let call = this.#head
    this.#head = undefined
    this.#tail = undefined
    for (; call !== undefined; call = call.next) call.fail(error)
  }
}
