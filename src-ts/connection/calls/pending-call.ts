import { beginAt, type CallSite, rejectCall } from '../../process/call-site'
import { originOf } from '../../leaks/origin'
import { leaks, type WatchList } from '../../leaks/watch-list'
import { alwaysOwed, type Look, type Watched, WatchedDebt } from '../../leaks/watched'
import * as clock from '../../time/clock'
import { Deadlines } from '../../time/deadlines'
import { errorForCall, NetpollError, withoutStack } from '../../errors'
import { optionNames, refuseUnknown } from '../../checks/known-options'
import type { MessageId } from '../../framing/message-id'
import { stepBudget } from '../../time/step-budget'
import type { Payload } from '../../memory/payload'
import { forgetSignal, reasonOf, takeSignal, throwIfAborted } from '../../abort'
import { overdue } from '../../time/overdue'
import { deadlineOf, endOf, timeLimit } from '../../time/time-limits'

/** Options of `call`. */
export interface CallOptions {
  /** Milliseconds until the call rejects with `ERR_REQUEST_TIMEOUT`, 0 for never. Default: `requestTimeout`. */
  readonly timeout?: number | undefined
  /**
   * When the call is given up at the latest, a `Date` or milliseconds since the epoch: the earlier of it and `timeout`
   * counts. One that has passed rejects at once, and nothing is sent. Default: none.
   */
  readonly deadline?: Date | number | undefined
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined
}

const callOptionNames = optionNames<CallOptions>({ timeout: true, deadline: true, signal: true })

/** The object that is told how a call ends, beside its caller, unless its connection is gone. */
export interface CallOwner {
  /** It has its reply. */
  answered(): void
  /** Its caller no longer waits: its time is over, or it was aborted. If it was sent, its reply is still to come. */
  gaveUp(why: 'expired' | 'aborted', call: PendingCall): void
}

/** A call that waits for its reply. */
export class PendingCall {
  next: PendingCall | undefined
  previous: PendingCall | undefined
  /** Replies to calls that were given up, and that come right before its own, where replies come in order. */
  lostBefore = 0
  /** When it is given up, on our clock; `Infinity` for never. */
  readonly deadline: number
  /** Those whose deadlines are watched with its own, where it has one and was sent. */
  deadlines: Deadlines<PendingCall> | undefined
  owner: CallOwner | undefined
  /** Makes the message by which its server learns that it was given up; that has no content where none is to be sent. */
  cancel: (() => Payload) | undefined
  /** By which its reply is found, where the protocol has ids. */
  id: MessageId | undefined
  /**
   * Behind how many bytes of its connection its request was sent, at least: replies are not counted. `undefined` until it
   * was.
   */
  startsAt: number | undefined
  /** Where it waits for its reply. */
  calls: Calls | undefined
  /** Milliseconds; `undefined` where a deadline comes first. */
  readonly #timeout: number | undefined
  /**
   * As {@link #reject}: `undefined` once its caller has a reply or an error. Settled calls stay among deadlines for a while,
   * and these functions would keep the reply.
   */
  #resolve: ((reply: Buffer) => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  readonly #signal: AbortSignal | undefined
  readonly #aborted: (() => void) | undefined
  readonly #site: CallSite | undefined
  readonly #watched: Watched | undefined

  /**
   * @throws TypeError with `ERR_INVALID_ARG_TYPE`; RangeError `ERR_OUT_OF_RANGE`; the signal's reason when it is aborted
   * already; NetpollError `ERR_REQUEST_TIMEOUT` when the deadline has passed
   */
  constructor(
    options: CallOptions | undefined,
    requestTimeout: number,
    resolve: (reply: Buffer) => void,
    reject: (error: unknown) => void,
    site: CallSite | undefined,
  ) {
    // No snapshot is made: each option is read once.
    if (options !== undefined) refuseUnknown('options', options, callOptionNames)
    const timeout = timeLimit('options.timeout', options?.timeout, requestTimeout)
    const latest = deadlineOf('options.deadline', options?.deadline)
    const signal = takeSignal(options?.signal)
    throwIfAborted(signal)
    const end = endOf(timeout)
    if (latest !== Number.POSITIVE_INFINITY && latest <= clock.now()) throw deadlinePassed()
    this.deadline = Math.min(end, latest)
    this.#timeout = end <= latest ? timeout : undefined
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    this.#site = site
    this.#aborted = signal === undefined ? undefined : () => this.#giveUp(reasonOf(signal), 'aborted')
    if (this.#aborted !== undefined) signal?.addEventListener('abort', this.#aborted, { once: true })
    this.#watched = leaks && watch(leaks, this, options)
  }

  /** Whether its caller has a reply or an error. */
  get isSettled(): boolean {
    return this.#resolve === undefined
  }

  /** Its reply has come. */
  reply(message: Buffer): void {
    const resolve = this.#resolve
    if (resolve === undefined) return
    this.#settle()
    resolve(message)
    this.owner?.answered()
  }

  /** It cannot be sent, or its connection is gone, which has written so many bytes. */
  fail(error: unknown, written = Number.POSITIVE_INFINITY): void {
    const [resolve, reject] = [this.#resolve, this.#reject]
    if (resolve === undefined || reject === undefined) return
    this.#settle()
    const sent = this.startsAt !== undefined && written > this.startsAt
    rejectCall(resolve, reject, errorForCall(error, sent), this.#site)
  }

  /** It was refused by `error`, which is its own. */
  refuse(error: unknown): void {
    const reject = this.#reject
    if (reject === undefined) return
    this.#settle()
    reject(error)
  }

  /** Its time is over; `cause` says what it was waiting for, where that is not just the reply. */
  expire(cause?: unknown): void {
    const sent = this.startsAt !== undefined
    const details = cause === undefined ? { sent } : { cause, sent }
    const limit = this.#timeout === undefined ? 'by the deadline' : `within ${this.#timeout} ms`
    const error = withoutStack(() => new NetpollError('ERR_REQUEST_TIMEOUT', `No reply ${limit}`, details))
    this.#giveUp(error, 'expired')
  }

  #giveUp(reason: unknown, why: 'expired' | 'aborted'): void {
    const [resolve, reject] = [this.#resolve, this.#reject]
    if (resolve === undefined || reject === undefined) return
    this.#settle()
    // A user that aborts one call after the other, and waits for nothing else, is to let the event loop turn. Time has
    // turned it.
    if (why === 'aborted') stepBudget.reject(reject, reason)
    else rejectCall(resolve, reject, reason, this.#site)
    this.calls?.gaveUp(this)
    this.owner?.gaveUp(why, this)
  }

  #settle(): void {
    this.#resolve = undefined
    this.#reject = undefined
    this.deadlines?.settled()
    if (leaks !== undefined) leaks.remove(this.#watched)
    if (this.#aborted !== undefined) forgetSignal(this.#signal, this.#aborted)
  }
}

function watch(list: WatchList, call: PendingCall, options: CallOptions | undefined): Watched {
  const stack = originOf(undefined, options && list.callers.get(options))
  return list.add(new WatchedDebt(call, alwaysOwed, lookAt, stack))
}

/** A call with a time limit is at fault beyond that. */
function lookAt({ isSettled, deadline }: PendingCall): Look {
  return isSettled ? 'over' : overdue(deadline, 'waits for its reply')
}

/** Has a call that cannot be sent reject with `error`, at the pace of this thread. */
export function refuseCall(call: PendingCall, error: unknown): void {
  // Meanwhile it may be given up, which concerns its caller alone.
  call.owner = undefined
  stepBudget.reject((failure) => call.fail(failure), error)
}

/** As {@link refuseCall}, while its caller still waits for `entry` to return; `call` is `undefined` before there is one. */
export function refuseAtOnce(
  call: PendingCall | undefined,
  error: unknown,
  reject: (error: unknown) => void,
  entry: (...parameters: never[]) => unknown,
): void {
  if (call !== undefined) call.owner = undefined
  const own = call === undefined ? error : errorForCall(error, call.startsAt !== undefined)
  beginAt(own, entry)
  stepBudget.reject(call === undefined ? reject : (failure) => call.refuse(failure), own)
}

/** Says that there was no time left for a call. */
export function deadlinePassed(): NetpollError {
  return new NetpollError('ERR_REQUEST_TIMEOUT', 'The deadline had passed before the call was sent', {
    sent: false,
  })
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

/** The object that is told of the calls of one connection. */
export interface CallsListener {
  /** A call waits, the first one. */
  waiting(): void
  /** No call waits any more. */
  idle(): void
  /** So many more calls, or fewer, were given up and can still be answered. */
  lost(change: number): void
  /** The reply to a call that was given up has come, and is dropped. */
  answeredLate(): void
}

/** Calls of one connection, and how their replies find them. */
export interface Calls {
  /** Whether any caller waits. */
  readonly isAwaited: boolean
  /** How many callers wait. They may have to be counted. */
  readonly waiting: number
  /** Whether the next call's reply finds it, whatever was called before. */
  readonly isClean: boolean
  /** Calls that were given up, and whose late replies can still come. */
  readonly lost: number
  /** Whether so many calls were lost that no more are taken. */
  readonly isWornOut: boolean
  /**
   * Before the request of a call is sent.
   *
   * @throws NetpollError `ERR_TOO_MANY_LOST_CALLS`, `ERR_NO_ID`, `ERR_DUPLICATE_ID`; what the user's function throws
   */
  prepare(call: PendingCall, request: Payload): void
  /** The request of a call was sent, since {@link prepare} without any code of a user. */
  append(call: PendingCall): void
  /** The caller of a call that was appended no longer waits. Its reply can still come. */
  gaveUp(call: PendingCall): void
  /** The core has read the id of the message that comes next, in two words. */
  identify(low: number, high: number): void
  /** A message has come; whether it was the reply to a call. */
  reply(message: Buffer): boolean
  /** Gives up the calls whose time is over at `due`; returns when the next one's is, `Infinity` for never. */
  expire(due: number): number
  /** No message is taken any more: late replies are not waited for. */
  forgetLost(): void
  /** Fails every call: the connection is gone, and has written so many bytes. Each call gets an error of its own. */
  failAll(error: NetpollError, written?: number): void
}

const wornOutErrors = new WeakSet<object>()

/** Notes that `error` is about the connection alone: on another one the same call can be made. */
export function wornOut(error: NetpollError): NetpollError {
  wornOutErrors.add(error)
  return error
}

/** Whether a call failed because of what was lost on its connection, and nothing was sent. */
export function isWornOut(error: unknown): boolean {
  return typeof error === 'object' && error !== null && wornOutErrors.has(error)
}

/** Says that a connection takes no more calls. */
export function tooManyLost(lost: number): NetpollError {
  const message = `${lost} calls of this connection were given up, and can still be answered`
  return wornOut(new NetpollError('ERR_TOO_MANY_LOST_CALLS', message))
}

/** Replies that may be missing in order: each is one of a count, but a peer that owes so many will not catch up. */
const maxLost = 2 ** 20

/** Calls of one connection, in the order in which their replies come. Of one that is given up, its place is counted. */
export class CallQueue implements Calls {
  readonly #listener: CallsListener
  readonly #deadlines = new Deadlines<PendingCall>()
  #head: PendingCall | undefined
  #tail: PendingCall | undefined
  /** Replies to calls that were given up, and that come after those of all calls that wait. */
  #lostAtEnd = 0
  #lost = 0

  constructor(listener: CallsListener) {
    this.#listener = listener
  }

  get isAwaited(): boolean {
    return this.#head !== undefined
  }

  get waiting(): number {
    let count = 0
    for (let call = this.#head; call !== undefined; call = call.next) count += 1
    return count
  }

  get isClean(): boolean {
    return this.#head === undefined && this.#lost === 0
  }

  get lost(): number {
    return this.#lost
  }

  get isWornOut(): boolean {
    return this.#lost >= maxLost
  }

  prepare(): void {
    if (this.isWornOut) throw tooManyLost(this.#lost)
  }

  append(call: PendingCall): void {
    const isFirst = this.#head === undefined
    call.calls = this
    call.lostBefore = this.#lostAtEnd
    this.#lostAtEnd = 0
    call.previous = this.#tail
    if (this.#tail === undefined) this.#head = call
    else this.#tail.next = call
    this.#tail = call
    watchDeadline(this.#deadlines, call)
    if (isFirst) this.#listener.waiting()
  }

  gaveUp(call: PendingCall): void {
    const lost = call.lostBefore + 1
    if (call.next === undefined) this.#lostAtEnd += lost
    else call.next.lostBefore += lost
    this.#remove(call)
    this.#lost += 1
    this.#listener.lost(1)
    if (this.#head === undefined) this.#listener.idle()
  }

  identify(): void {}

  reply(message: Buffer): boolean {
    const call = this.#head
    if (call === undefined) {
      if (this.#lostAtEnd === 0) return false
      this.#lostAtEnd -= 1
      this.#answeredLate()
    } else if (call.lostBefore > 0) {
      call.lostBefore -= 1
      this.#answeredLate()
    } else {
      this.#remove(call)
      if (this.#head === undefined) this.#listener.idle()
      call.reply(message)
    }
    return true
  }

  expire(due: number): number {
    return expireCalls(this.#deadlines, due)
  }

  forgetLost(): void {
    this.#listener.lost(-this.#lost)
    this.#lost = 0
  }

  failAll(error: NetpollError, written?: number): void {
    let call = this.#head
    this.#head = undefined
    this.#tail = undefined
    this.forgetLost()
    // A signal of the user's may abort the others while one is failed: those are not lost.
    for (let other = call; other !== undefined; other = other.next) other.calls = undefined
    for (; call !== undefined; call = call.next) call.fail(error, written)
  }

  #answeredLate(): void {
    this.#lost -= 1
    this.#listener.lost(-1)
    this.#listener.answeredLate()
  }

  #remove(call: PendingCall): void {
    const { previous, next } = call
    if (previous === undefined) this.#head = next
    else previous.next = next
    if (next === undefined) this.#tail = previous
    else next.previous = previous
    // V8 would take all that was called since for long-lived, replies included, because of one call that it has taken for that.
    call.previous = undefined
    call.next = undefined
  }
}
