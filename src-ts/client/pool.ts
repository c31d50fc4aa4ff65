import { AddressDialer } from './address-dialer'
import { CallMaker } from './call-maker'
import { ClientLifecycle, type CloseOptions } from './client-lifecycle'
import { type CallOptions, isWornOut, type PendingCall } from '../connection/calls/pending-call'
import { beginAt, rejectCall, siteOf } from '../process/call-site'
import * as clock from '../time/clock'
import type { ConnectionCore } from '../connection/core'
import { type Connection, coreOf } from '../connection/connection'
import { DialPauses } from './dial-pauses'
import type { DialTarget } from './dial-options'
import type { NetpollError } from '../errors'
import { FreeConnections } from './free-connections'
import { Holder, Lease, type LeaseKeeper } from './pooled-connection'
import { type Inspection, inspectCustom, show } from '../process/inspection'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import { pace } from '../time/pace'
import type { Payload } from '../memory/payload'
import { notLent, poolClosed, poolFull, poolTimeout } from './pool-errors'
import { type CheckedPoolOptions, type PoolOptions, partPoolOptions } from './pool-options'
import { type PoolStats, withSize } from './pool-stats'
import { whenOver } from '../checks/promises'
import { endOf } from '../time/time-limits'
import { WaitQueue } from './wait-queue'
import { type Waiting, WaitingCall } from './waiting-call'
import { checkGetOptions, type GetOptions, WaitingUser } from './waiting-user'

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
  readonly #free: FreeConnections
  readonly #waiting = new WaitQueue<Waiting<Lease>>(() => this.#followEmpty())
  readonly #keeper: LeaseKeeper
  readonly #pauses: DialPauses
  readonly #lifecycle: ClientLifecycle
  readonly #calls: CallMaker
  /** When calls were last given up that had waited for a connection, and why. */
  #lastWait: { readonly now: number; readonly cause: NetpollError } | undefined
  #dialing = 0
  #running = 0
  #referenced = true

  /**
   * @param address whom to dial: `{ host, port }` or `{ path }`
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
   */
  constructor(address: DialTarget, options: PoolOptions<Data, Bytes> = {}) {
    const { ofPool, ofDialer } = partPoolOptions(options)
    this.#options = ofPool
    this.#dialer = new AddressDialer(address, ofDialer)
    const dialAsNeeded = (): void => this.#dialAsNeeded()
    this.#free = new FreeConnections(ofPool, (lease) => this.#retire(lease), dialAsNeeded)
    this.#pauses = new DialPauses(dialAsNeeded, (error) => this.#dialer.report(error))
    this.#lifecycle = new ClientLifecycle({
      isEmpty: () => this.#leases.size === 0 && this.#dialing === 0 && this.#waiting.length === 0,
      beginClose: () => this.#beginClose(),
      destroyAll: () => this.#destroyAll(),
      stop: () => this.#waiting.stop(),
      closedError: poolClosed,
    })
    this.#calls = new CallMaker(this.#dialer, this.#lifecycle, (call, request) =>
      this.#startOrWait(call, request),
    )
    this.#keeper = {
      proved: () => this.#pauses.proved(),
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
    return this.#calls.call<Bytes>(request, options, entries.call)
  }

  /** What the pool holds now. */
  stats(): PoolStats {
    let connected = 0
    for (const { holder } of this.#leases) if (holder !== Holder.None) connected += 1
    const pending = this.#waiting.length
    const queued = Math.max(0, pending - this.#dialing)
    return withSize({ connected, free: this.#free.length, pending, queued, running: this.#running })
  }

  /**
   * Lends nothing more, and closes each connection once it is free. Who waits already is still served.
   *
   * @param options.timeout milliseconds after which whoever still waits gets `ERR_POOL_CLOSED`, and connections that are
   * left are destroyed. Default: never, so that a connection which is not given back keeps the pool
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#lifecycle.close(options)
  }

  /** Connections that are in use keep the process alive. The default; free ones never do. */
  ref(): this {
    this.#referenced = true
    this.#pauses.ref()
    for (const lease of this.#leases) if (lease.holder !== Holder.Nobody) lease.connection.ref()
    return this
  }

  /** Lets the process end whatever is in use. */
  unref(): this {
    this.#referenced = false
    this.#pauses.unref()
    for (const lease of this.#leases) lease.connection.unref()
    return this
  }

  /** @internal As of {@link Dialer}. */
  replaceClaim(before: number, now: number): boolean {
    return this.#dialer.replaceClaim(before, now)
  }

  /** @internal For `util.inspect`. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    if (!(#lifecycle in this)) return this
    const { state } = this.#lifecycle
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
    const checked = checkGetOptions(options, this.#options.waitTimeout)
    this.#lifecycle.checkOpen()
    if (checked.latest !== Number.POSITIVE_INFINITY && checked.latest <= clock.now()) throw poolTimeout()
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
    const user = new WaitingUser(this.#waiting, checked, lend, reject)
    // A signal of the user's may have closed the pool, or been aborted, while it was listened to.
    if (user.isOver) return
    if (this.#lifecycle.isOpen) this.#wait(user)
    else user.fail(poolClosed())
  }

  /** Gives a call to a free connection, or has it wait for one. */
  #startOrWait(call: PendingCall, request: Payload): void {
    const lease = this.#take()
    if (lease !== undefined) {
      lease.start(call, request)
      return
    }
    this.#checkWaiters()
    this.#wait(this.#waitingCall(call, request))
  }

  /** A free connection, which counts as used from now on. */
  #take(): Lease | undefined {
    for (let lease = this.#free.pop(); lease !== undefined; lease = this.#free.pop()) {
      if (this.#free.isUsable(lease)) {
        this.#running += 1
        if (this.#referenced) lease.connection.ref()
        if (this.#free.missing > 0) this.#dialAsNeeded()
        return lease
      }
      this.#retire(lease)
    }
    return undefined
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
      throw poolFull(this.#waiting.length)
    }
  }

  #wait(waiting: Waiting<Lease>): void {
    this.#waiting.push(waiting)
    this.#dialAsNeeded()
  }

  /** Dials for everyone who waits and for those that are kept ready, as far as there is room. */
  #dialAsNeeded(): void {
    if (this.#pauses.isPaused) return
    const keepsReady = this.#lifecycle.isOpen && !this.#pauses.isBackingOff
    const wanted = this.#waiting.length + (keepsReady ? this.#free.missing : 0)
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
    if (isWornOut(error) && this.#waiting.length > 0 && this.#lifecycle.isOpen) {
      // The peer was reached, and wants its clients elsewhere: perhaps it restarts.
      this.#pauses.pause()
      return
    }
    // Who is served by another dial that goes on, or by whoever gives back meanwhile, is not failed.
    if (this.#waiting.length > this.#dialing) this.#waiting.shift()?.fail(error)
    else if (this.#lifecycle.isOpen) this.#pauses.failedInBackground(error)
    this.#dialAsNeeded()
    this.#followEmpty()
  }

  /** The peer has ended a connection, perhaps before it was of use. */
  #lost({ isProven, established }: Lease): void {
    if (isProven || this.#options.minIdle === 0 || !this.#lifecycle.isOpen) return
    this.#pauses.endedUnused(established)
  }

  /** Somebody is done with a connection: the next one gets it. */
  #offer(lease: Lease): void {
    if (this.#free.isUsable(lease)) this.#handOver(lease)
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
    } else if (this.#lifecycle.isOpen) {
      this.#free.push(lease)
    } else {
      this.#retire(lease)
    }
  }

  /** Lets go of a connection that nobody has: one that owes a reply or is half read at once, another one gently. */
  #retire(lease: Lease): void {
    const { connection } = lease
    const isOwed =
      !connection.life.isHalfOpen && (!connection.isClean || (!connection.takesCalls && !lease.wasLent))
    if (isOwed || this.#lifecycle.isDestroyed) {
      this.#drop(lease)
      return
    }
    lease.holder = Holder.None
    if (!this.#lifecycle.isOpen && this.#referenced) connection.ref()
    void connection.close()
  }

  /** Lets go of a connection at once. */
  #drop(lease: Lease): void {
    lease.holder = Holder.None
    if (!this.#lifecycle.isOpen && this.#referenced) lease.connection.ref()
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
      throw notLent()
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
    if (!lease.isProven && !lease.wasLent && this.#lifecycle.isOpen) this.#pauses.pause()
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
    this.#free.remove(lease)
    lease.holder = Holder.None
    // Its peer alone has ended.
    if (lease.connection.life.isHalfOpen) void lease.connection.close()
    this.#dialAsNeeded()
  }

  #gone(lease: Lease): void {
    this.#leases.delete(lease)
    if (lease.holder === Holder.Nobody) {
      this.#lost(lease)
      this.#free.remove(lease)
    }
    if (lease.holder === Holder.Call || lease.holder === Holder.User) this.#running -= 1
    lease.holder = lease.holder === Holder.User ? Holder.UserInVain : Holder.None
    this.#dialAsNeeded()
    this.#followEmpty()
  }

  /** Closing goes on: with nobody waiting no dial is needed, and with nothing left it is over. */
  #followEmpty(): void {
    if (this.#lifecycle.isOpen) return
    if (this.#waiting.length === 0) this.#abandonDials()
    this.#lifecycle.followEmpty()
  }

  #abandonDials(): void {
    this.#pauses.endPause()
    this.#dialer.abandon(poolClosed())
  }

  #beginClose(): void {
    this.#pauses.stopKeepingReady()
    for (const lease of this.#free.takeAll()) this.#retire(lease)
    if (this.#waiting.length === 0) this.#abandonDials()
  }

  #destroyAll(): void {
    for (const waiting of this.#waiting.takeAll()) waiting.fail(poolClosed())
    this.#abandonDials()
    for (const { connection } of this.#leases) connection.destroy()
    this.#followEmpty()
  }
}

/** Where users call. */
const entries = { call: Pool.prototype.call, get: Pool.prototype.get }
