import { AddressDialer } from './address-dialer'
import { Backoff } from './backoff'
import { type CallOptions, isWornOut, PendingCall, refuseAtOnce } from '../connection/calls/pending-call'
import { beginAt, rejectCall, siteOf } from '../process/call-site'
import * as clock from '../time/clock'
import type { ConnectionCore } from '../connection/core'
import { type Connection, coreOf } from '../connection/connection'
import type { DialTarget } from './dial-options'
import { isOurs, NetpollError, withoutStack } from '../errors'
import { type Inspection, inspectCustom, show } from '../process/inspection'
import { closeOptionNames, optionNames, refuseUnknown } from '../checks/known-options'
import { LazyTimer } from '../time/lazy-timer'
import { Holder, Lease, type LeaseKeeper } from './pooled-connection'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import { pace } from '../time/pace'
import { type Payload, takeApart } from '../memory/payload'
import { type CheckedPoolOptions, type PoolOptions, partPoolOptions } from './pool-options'
import { whenOver } from '../checks/promises'
import { forgetSignal, reasonOf, takeSignal, throwIfAborted } from '../abort'
import { deadlineOf, endOf, patience, timeLimit } from '../time/time-limits'
import { clearTimeout, setTimeout } from '../time/timers'
import { WaitQueue } from './wait-queue'
import { Waiting, WaitingCall } from './waiting-call'

/** Options of `pool.get`. */
export interface GetOptions {
  /** Milliseconds to wait until `ERR_POOL_TIMEOUT`, 0 for ever. Default: `waitTimeout`. */
  readonly timeout?: number | undefined
  /** When whoever waits gives up at the latest, a `Date` or milliseconds since the epoch. Default: none. */
  readonly deadline?: Date | number | undefined
  /** Gives up waiting, and rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined
}

const getOptionNames = optionNames<GetOptions>({ timeout: true, deadline: true, signal: true })

/** What a pool or mux holds now; the words are those of undici. */
export interface PoolStats {
  /** Connections that are established and may be used. */
  readonly connected: number
  /** Those of them that nobody uses. */
  readonly free: number
  /** Those who wait for a connection. */
  readonly pending: number
  /** Those of them for whom no connection is being dialed. */
  readonly queued: number
  /** Connections that somebody has got, and calls that wait for their reply. */
  readonly running: number
  /** All of them: `pending` and `running`. */
  readonly size: number
}

type State = 'open' | 'closing' | 'destroyed'

/** Milliseconds until connections are dialed again that are to be kept ready, at most: the first time, and at last. */
const pauses = { min: 100, max: 30_000 }

/**
 * Long connections to one address, each used by one at a time: by a {@link call}, or by whoever has got it until it is
 * put back. Who finds none free waits for the next, or for one that is dialed, first come, first served.
 *
 * @typeParam Data what the user keeps in `connection.data`
 * @typeParam Bytes the option `bytes`: inferred, unless `Data` is given
 */
export class Pool<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  readonly #options: CheckedPoolOptions
  readonly #dialer: AddressDialer
  readonly #leases = new Set<Lease>()
  /** Those that nobody uses; whoever became free last is used first. */
  readonly #free: Lease[] = []
  readonly #waiting = new WaitQueue<Waiting<Lease>>(() => this.#followEmpty())
  readonly #keeper: LeaseKeeper
  readonly #sweep = new LazyTimer((now) => this.#sweepFree(now))
  readonly #backoff = new Backoff(pauses)
  readonly #redial = new LazyTimer(() => {
    this.#isBackingOff = false
    this.#dialAsNeeded()
    return Number.POSITIVE_INFINITY
  })
  #isBackingOff = false
  /** When calls were last given up that had waited for a connection, and why. */
  #lastWait: { readonly now: number; readonly cause: NetpollError } | undefined
  /** Runs while nothing is dialed, also for those who wait: a peer has asked a connection to leave before it was of use. */
  #dialPause: NodeJS.Timeout | undefined
  /** Whether it was told that connections end unused, since the last that was of use. */
  #hasToldUnused = false
  #dialing = 0
  #running = 0
  #referenced = true
  #state: State = 'open'
  #whenEmpty: (() => void)[] = []

  /**
   * @param address whom to dial: `{ host, port }` or `{ path }`
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
   */
  constructor(address: DialTarget, options: PoolOptions<Data, Bytes> = {}) {
    const { ofPool, ofDialer } = partPoolOptions(options)
    this.#options = ofPool
    this.#dialer = new AddressDialer(address, ofDialer)
    this.#keeper = {
      proved: () => this.#proved(),
      called: (lease) => this.#called(lease),
      gaveUp: (lease) => this.#gaveUp(lease),
      refused: (lease, call, request) => this.#refused(lease, call, request),
      ending: (lease) => this.#ending(lease),
      gone: (lease) => this.#gone(lease),
    }
    this.#dialAsNeeded()
  }

  /**
   * Lends a connection, which nobody else uses until it is given back by {@link put} or {@link discard}.
   *
   * @throws NetpollError (as a rejection) `ERR_POOL_TIMEOUT`, `ERR_POOL_FULL`, `ERR_POOL_CLOSED`; what the dial rejects
   * with; the signal's reason
   */
  get(options: GetOptions = {}): Promise<Connection<Data, Bytes>> {
    return new Promise((resolve, reject) => {
      try {
        const site = siteOf(entries.get)
        this.#lend(options, resolve, (error) => rejectCall(resolve, reject, error, site))
      } catch (error) {
        beginAt(error, entries.get)
        pace.reject(reject, error)
      }
    })
  }

  /**
   * Gives back a connection that {@link get} has lent. One that is not as it was is replaced: one that is closing or
   * gone, that waits for the reply of a call or has unread or unsent bytes, or that somebody else reads or has paused.
   *
   * @throws NetpollError `ERR_POOL_NOT_LENT` when it is not lent by this pool
   */
  put(connection: Connection<Data, Bytes>): void {
    const lease = this.#takeBack(connection)
    if (lease === undefined) return
    if (lease.connection.isClean) lease.prove()
    this.#offerSent(lease)
  }

  /**
   * Gives back a connection that {@link get} has lent, and destroys it.
   *
   * @param error as of `connection.destroy`
   * @throws NetpollError `ERR_POOL_NOT_LENT` when it is not lent by this pool
   */
  discard(connection: Connection<Data, Bytes>, error?: Error): void {
    const lease = this.#takeBack(connection)
    lease?.connection.destroy(error)
  }

  /**
   * As `connection.call`, by a connection of the pool. The time limit is for all of it: waiting for a connection, dialing,
   * and the reply. A connection whose call was given up is replaced, because its late reply stands before the next, unless
   * the protocol has ids.
   *
   * @throws NetpollError (as a rejection) as `connection.call` and {@link get}
   */
  call(request: Payload, options?: CallOptions): Promise<MessageTypes[Bytes]> {
    return new Promise((resolve, reject) => {
      let call: PendingCall | undefined
      try {
        this.#dialer.checkCalls()
        const message = takeApart(request)
        call = new PendingCall(options, this.#dialer.requestTimeout, resolve, reject, siteOf(entries.call))
        // The user's own list, options or signal may have closed the pool, or aborted the call.
        this.#checkOpen()
        if (call.isSettled) return
        const lease = this.#take()
        if (lease !== undefined) {
          lease.start(call, message)
          return
        }
        this.#checkWaiters()
        this.#wait(this.#waitingCall(call, message))
      } catch (error) {
        refuseAtOnce(call, error, reject, entries.call)
      }
    })
  }

  /** What the pool holds now. */
  stats(): PoolStats {
    let connected = 0
    for (const { holder } of this.#leases) if (holder !== Holder.None) connected += 1
    const pending = this.#waiting.length
    const running = this.#running
    const queued = Math.max(0, pending - this.#dialing)
    return { connected, free: this.#free.length, pending, queued, running, size: pending + running }
  }

  /**
   * Lends nothing more, and closes each connection once it is free. Who waits already is still served.
   *
   * @param options.timeout milliseconds after which whoever still waits gets `ERR_POOL_CLOSED`, and connections that are
   * left are destroyed. Default: never, so that a connection which is not given back keeps the pool
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: { readonly timeout?: number | undefined } = {}): Promise<void> {
    refuseUnknown('options', options, closeOptionNames)
    const timeout = patience('options.timeout', options.timeout)
    if (this.#state === 'open') {
      this.#state = 'closing'
      this.#sweep.stop()
      this.#redial.stop()
      for (const lease of this.#free.splice(0)) this.#retire(lease)
      if (this.#waiting.length === 0) this.#abandonDials()
    }
    if (!this.#isEmpty) {
      const timer = timeout === undefined ? undefined : setTimeout(() => this.#destroyAll(), timeout)
      await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
      clearTimeout(timer)
    }
    this.#state = 'destroyed'
    this.#waiting.stop()
    await pace.pass()
  }

  /** Connections that are in use keep the process alive. The default; free ones never do. */
  ref(): this {
    this.#referenced = true
    this.#dialPause?.ref()
    for (const lease of this.#leases) if (lease.holder !== Holder.Nobody) lease.connection.ref()
    return this
  }

  /** Lets the process end whatever is in use. */
  unref(): this {
    this.#referenced = false
    this.#dialPause?.unref()
    for (const lease of this.#leases) lease.connection.unref()
    return this
  }

  /** @internal As of {@link Dialer}. */
  replaceClaim(before: number, now: number): boolean {
    return this.#dialer.replaceClaim(before, now)
  }

  /** @internal For `util.inspect`. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    if (!(#state in this)) return this
    const state = this.#state === 'destroyed' ? 'closed' : this.#state
    return show(
      this,
      'Pool',
      { state, address: this.#dialer.text, ...Pool.prototype.stats.call(this) },
      depth,
      options,
    )
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #lend(
    options: GetOptions,
    resolve: (connection: Connection<Data, Bytes>) => void,
    reject: (error: unknown) => void,
  ): void {
    refuseUnknown('options', options, getOptionNames)
    const { signal: givenSignal, timeout: limit, deadline: latestTime } = options
    const timeout = timeLimit('options.timeout', limit, this.#options.waitTimeout)
    const latest = deadlineOf('options.deadline', latestTime)
    const signal = takeSignal(givenSignal)
    throwIfAborted(signal)
    this.#checkOpen()
    if (latest !== Number.POSITIVE_INFINITY && latest <= clock.now()) throw poolTimeout()
    const deadline = Math.min(endOf(timeout), latest)
    const give = ({ connection }: Lease): void =>
      resolve(connection.facade as Connection & Connection<Data, Bytes>)
    const lend = (lease: Lease): void => {
      lease.holder = Holder.User
      lease.wasLent = true
      // Who takes and gives back in turns, alone or with others, waits for nothing else.
      pace.settle(() => give(lease))
    }
    const lease = this.#take()
    if (lease !== undefined) {
      lend(lease)
      return
    }
    this.#checkWaiters()
    const user = new WaitingUser(this.#waiting, deadline, signal, lend, reject)
    // A signal of the user's may have closed the pool, or been aborted, while it was listened to.
    if (user.isOver) return
    if (this.#state === 'open') this.#wait(user)
    else user.fail(poolClosed())
  }

  get #isEmpty(): boolean {
    return this.#leases.size === 0 && this.#dialing === 0 && this.#waiting.length === 0
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw poolClosed()
  }

  /** A free connection, which counts as used from now on. */
  #take(): Lease | undefined {
    for (let lease = this.#free.pop(); lease !== undefined; lease = this.#free.pop()) {
      if (this.#isUsable(lease)) {
        this.#running += 1
        if (this.#referenced) lease.connection.ref()
        if (this.#free.length < this.#options.minIdle) this.#dialAsNeeded()
        return lease
      }
      this.#retire(lease)
    }
    return undefined
  }

  #isUsable(lease: Lease): boolean {
    const ages = this.#options.clientTtl > 0
    const { connection } = lease
    const isFree = connection.isClean && connection.takesCalls && !connection.isCongested
    return isFree && !(ages && this.#endOfLife(lease) <= clock.now())
  }

  #waitingCall(call: PendingCall, request: Payload): Waiting<Lease> {
    const deadline = Math.min(call.deadline, endOf(this.#options.waitTimeout))
    return new WaitingCall(this.#waiting, call, request, deadline, this.#expired)
  }

  /** Of thousands that are given up at once, each has an error of its own, and all have the same cause. */
  readonly #expired = (call: PendingCall, now: number): void => {
    if (now !== this.#lastWait?.now) this.#lastWait = { now, cause: poolTimeout() }
    const { cause } = this.#lastWait
    if (call.deadline <= now) call.expire(cause)
    else call.fail(cause)
  }

  /** Whether one more may wait. */
  #checkWaiters(): void {
    const room = this.#options.connections - this.#leases.size
    if (this.#waiting.length + 1 - room > this.#options.maxWaiters) {
      throw new NetpollError('ERR_POOL_FULL', `${this.#waiting.length} wait for a connection already`)
    }
  }

  #wait(waiting: Waiting<Lease>): void {
    this.#waiting.push(waiting)
    this.#dialAsNeeded()
  }

  /** Dials for everyone who waits and for those that are kept ready, as far as there is room. */
  #dialAsNeeded(): void {
    if (this.#dialPause !== undefined) return
    const keepsReady = this.#state === 'open' && !this.#isBackingOff
    const ready = keepsReady ? Math.max(0, this.#options.minIdle - this.#free.length) : 0
    const wanted = this.#waiting.length + ready
    const { connections } = this.#options
    while (this.#dialing < wanted && this.#leases.size + this.#dialing < connections) this.#dial()
  }

  #dial(): void {
    this.#dialing += 1
    whenOver(
      this.#dialer.dial(),
      (connection) => this.#dialed(connection),
      (error) => this.#dialFailed(error),
    )
  }

  #dialed(connection: ConnectionCore): void {
    this.#dialing -= 1
    const lease = new Lease(this.#keeper, connection, clock.now())
    this.#leases.add(lease)
    if (!this.#referenced) connection.unref()
    // Whatever the peer has said already is for whoever gets it first.
    this.#handOver(lease)
  }

  #dialFailed(error: unknown): void {
    this.#dialing -= 1
    if (isWornOut(error) && this.#waiting.length > 0 && this.#state === 'open') {
      // The peer was reached, and wants its clients elsewhere: perhaps it restarts.
      this.#pauseDials()
      return
    }
    // Who is served by another dial that goes on, or by whoever gives back meanwhile, is not failed.
    if (this.#waiting.length > this.#dialing) this.#waiting.shift()?.fail(error)
    else if (this.#state === 'open') this.#failedInBackground(error)
    this.#dialAsNeeded()
    this.#followEmpty()
  }

  /** A connection that was to be kept ready cannot be had: that is tried again later. */
  #failedInBackground(error: unknown): void {
    this.#backOff()
    if (isOurs(error) && error.code === 'ERR_CONN_CLOSED') this.#tellUnused()
    else this.#dialer.report(error)
  }

  /** Keeps nothing ready for a while. */
  #backOff(): void {
    if (this.#isBackingOff) return
    this.#isBackingOff = true
    this.#redial.arm(clock.now() + this.#backoff.delay())
  }

  /** Dials nothing for a while. Keeps the process: what waits is served afterwards. */
  #pauseDials(): void {
    if (this.#dialPause !== undefined || this.#state !== 'open') return
    this.#dialPause = setTimeout(() => {
      this.#dialPause = undefined
      this.#dialAsNeeded()
    }, this.#backoff.delay())
    if (!this.#referenced) this.#dialPause.unref()
  }

  #endDialPause(): void {
    clearTimeout(this.#dialPause)
    this.#dialPause = undefined
  }

  /** A connection was of use: whatever is missing is dialed at once. */
  #proved(): void {
    this.#backoff.reset()
    this.#hasToldUnused = false
    if (!this.#isBackingOff && this.#dialPause === undefined) return
    this.#isBackingOff = false
    this.#endDialPause()
    this.#dialAsNeeded()
  }

  /** The peer has ended a connection. If that was of no use, the next would hardly be. */
  #lost({ isProven, established }: Lease): void {
    if (isProven || this.#options.minIdle === 0 || this.#state !== 'open') return
    if (clock.now() - established >= pauses.max) return
    this.#backOff()
    this.#tellUnused()
  }

  #tellUnused(): void {
    if (this.#hasToldUnused) return
    this.#hasToldUnused = true
    const message = 'Connections that are kept ready end before they are of use'
    this.#dialer.report(new NetpollError('ERR_CONN_CLOSED', message))
  }

  /** Somebody is done with a connection: the next one gets it. */
  #offer(lease: Lease): void {
    if (this.#isUsable(lease)) this.#handOver(lease)
    else this.#retire(lease)
  }

  /** As {@link #offer}, of a connection on which something may not have left, behind which nobody is to wait. */
  #offerSent(lease: Lease): void {
    const { connection } = lease
    if (!connection.isClean || !connection.hasUnsent) this.#offer(lease)
    else if (lease.wasLent) this.#retire(lease)
    else this.#drop(lease)
  }

  #handOver(lease: Lease): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) {
      this.#running += 1
      if (this.#referenced) lease.connection.ref()
      waiting.serve(lease)
    } else if (this.#state === 'open') {
      this.#keepFree(lease)
    } else {
      this.#retire(lease)
    }
  }

  #keepFree(lease: Lease): void {
    const now = clock.now()
    lease.holder = Holder.Nobody
    lease.freeSince = now
    lease.connection.unref()
    this.#free.push(lease)
    this.#sweep.arm(this.#expiry(lease))
  }

  /** When a free connection is to be closed, if it is one of more than `minIdle`. */
  #expiry(lease: Lease): number {
    const { maxIdleTime } = this.#options
    const idle = maxIdleTime === 0 ? Number.POSITIVE_INFINITY : lease.freeSince + maxIdleTime
    return Math.min(idle, this.#endOfLife(lease))
  }

  #endOfLife({ established }: Lease): number {
    const { clientTtl } = this.#options
    return clientTtl === 0 ? Number.POSITIVE_INFINITY : established + clientTtl
  }

  /** Closes free connections whose time is over; returns when to look again. */
  #sweepFree(now: number): number {
    const { minIdle } = this.#options
    let next = Number.POSITIVE_INFINITY
    // Those that have been free longest are first.
    for (const lease of [...this.#free]) {
      const isSpare = this.#free.length > minIdle
      const end = isSpare ? this.#expiry(lease) : this.#endOfLife(lease)
      if (end <= now || !lease.connection.isClean) {
        this.#removeFree(lease)
        this.#retire(lease)
      } else {
        next = Math.min(next, end)
      }
    }
    this.#dialAsNeeded()
    return next
  }

  #removeFree(lease: Lease): void {
    const index = this.#free.indexOf(lease)
    if (index >= 0) this.#free.splice(index, 1)
  }

  /** Lets go of a connection that nobody has: one that owes a reply or is half read at once, another one gently. */
  #retire(lease: Lease): void {
    const { connection } = lease
    const isOwed =
      !connection.life.isHalfOpen && (!connection.isClean || (!connection.takesCalls && !lease.wasLent))
    if (isOwed || this.#state === 'destroyed') {
      this.#drop(lease)
      return
    }
    lease.holder = Holder.None
    if (this.#state !== 'open' && this.#referenced) connection.ref()
    void connection.close()
  }

  /** Lets go of a connection at once. */
  #drop(lease: Lease): void {
    lease.holder = Holder.None
    if (this.#state !== 'open' && this.#referenced) lease.connection.ref()
    if (lease.connection.isActive) lease.connection.destroy()
  }

  #takeBack(connection: Connection<Data, Bytes>): Lease | undefined {
    const lease = coreOf(connection)?.owner
    const isOurs = lease instanceof Lease && lease.keeper === this.#keeper
    if (isOurs && lease.holder === Holder.UserInVain) {
      lease.holder = Holder.None
      return undefined
    }
    if (!isOurs || lease.holder !== Holder.User) {
      throw new NetpollError('ERR_POOL_NOT_LENT', 'The connection is not lent by this pool')
    }
    lease.holder = Holder.None
    this.#running -= 1
    return lease
  }

  #called(lease: Lease): void {
    lease.holder = Holder.None
    this.#running -= 1
    this.#offer(lease)
  }

  #gaveUp(lease: Lease): void {
    lease.holder = Holder.None
    this.#running -= 1
    this.#offerSent(lease)
  }

  /** Others take the call, or one that is dialed in place of the connection. */
  #refused(lease: Lease, call: PendingCall, request: Payload): void {
    this.#running -= 1
    // It was dialed in vain, and the next would hardly be of use.
    if (!lease.isProven && !lease.wasLent) this.#pauseDials()
    if (lease.wasLent) this.#retire(lease)
    else this.#drop(lease)
    const other = this.#take()
    if (other !== undefined) {
      other.start(call, request)
      return
    }
    try {
      this.#wait(this.#waitingCall(call, request))
    } catch (error) {
      call.fail(error)
    }
  }

  #ending(lease: Lease): void {
    this.#lost(lease)
    if (lease.holder !== Holder.Nobody) return
    this.#removeFree(lease)
    lease.holder = Holder.None
    // Its peer alone has ended.
    if (lease.connection.life.isHalfOpen) void lease.connection.close()
    this.#dialAsNeeded()
  }

  #gone(lease: Lease): void {
    this.#leases.delete(lease)
    if (lease.holder === Holder.Nobody) {
      this.#lost(lease)
      this.#removeFree(lease)
    }
    if (lease.holder === Holder.Call || lease.holder === Holder.User) this.#running -= 1
    lease.holder = lease.holder === Holder.User ? Holder.UserInVain : Holder.None
    this.#dialAsNeeded()
    this.#followEmpty()
  }

  /** Closing goes on: with nobody waiting no dial is needed, and with nothing left it is over. */
  #followEmpty(): void {
    if (this.#state === 'open') return
    if (this.#waiting.length === 0) this.#abandonDials()
    if (this.#isEmpty) for (const done of this.#whenEmpty.splice(0)) done()
  }

  #abandonDials(): void {
    this.#endDialPause()
    this.#dialer.abandon(poolClosed())
  }

  #destroyAll(): void {
    this.#state = 'destroyed'
    for (const waiting of this.#waiting.takeAll()) waiting.fail(poolClosed())
    this.#abandonDials()
    for (const { connection } of this.#leases) connection.destroy()
    this.#followEmpty()
  }
}

/** Where users call. */
const entries = { call: Pool.prototype.call, get: Pool.prototype.get }

/** Somebody who waits for a connection to use it. */
class WaitingUser extends Waiting<Lease> {
  readonly deadline: number
  readonly #lend: (lease: Lease) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #aborted: () => void
  /** Whether it was aborted, or failed. */
  isOver = false

  constructor(
    queue: WaitQueue<Waiting<Lease>>,
    deadline: number,
    signal: AbortSignal | undefined,
    lend: (lease: Lease) => void,
    reject: (error: unknown) => void,
  ) {
    super()
    this.deadline = deadline
    this.#lend = lend
    this.#reject = reject
    this.#signal = signal
    this.#aborted = () => {
      // It leaves at once, and its promise is over at the pace of this thread.
      this.#end((error) => pace.reject(reject, error), reasonOf(signal))
      queue.leave(this)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  serve(lease: Lease): void {
    forgetSignal(this.#signal, this.#aborted)
    this.#lend(lease)
  }

  fail(error: unknown): void {
    this.#end(this.#reject, error)
  }

  #end(reject: (error: unknown) => void, error: unknown): void {
    if (this.isOver) return
    this.isOver = true
    forgetSignal(this.#signal, this.#aborted)
    reject(error)
  }

  expire(): void {
    this.fail(poolTimeout())
  }
}

function poolClosed(): NetpollError {
  return new NetpollError('ERR_POOL_CLOSED', 'The pool is closed')
}

function poolTimeout(): NetpollError {
  return withoutStack(
    () => new NetpollError('ERR_POOL_TIMEOUT', 'No connection of the pool became free in time'),
  )
}
