import { AddressDialer } from './address-dialer'
import { CallMaker, type CancellableCall } from './call-maker'
import { ClientLifecycle } from './client-lifecycle'
import type { CloseOptions } from '../time/close-options'
import { type CallOptions, isWornOut, type PendingCall } from '../connection/calls/pending-call'
import { beginAt, rejectCall, siteOf } from '../process/call-site'
import * as clock from '../time/clock'
import type { ConnectionCore } from '../connection/core'
import type { BufferBound } from '../connection/group'
import { type Connection, coreOf } from '../connection/connection'
import { DialPause } from './dial-pause'
import type { DialTarget } from './dial-options'
import type { NetpollError } from '../errors'
import { FreeConnections } from './free-connections'
import { originOf } from '../leaks/origin'
import { leaks } from '../leaks/watch-list'
import { lookAtLent, PooledState, PooledConnection, type PooledConnectionListener } from './pooled-connection'
import { type Inspection, inspectCustom } from '../process/inspection'
import { showClient } from './show-client'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import { stepBudget } from '../time/step-budget'
import type { Payload } from '../memory/payload'
import { notLent, poolClosed, poolFull, poolTimeout } from './pool-errors'
import { type CheckedPoolOptions, type PoolOptions, partPoolOptions } from './pool-options'
import { type PoolStats, withSize } from './pool-stats'
import { whenOver } from '../checks/promises'
import { endOf } from '../time/time-limits'
import type { ClientTlsOptions } from '../tls/options'
import { WaitQueue } from './wait-queue'
import { type ConnectionWaiter, WaitingCall } from './waiting-call'
import { checkGetOptions, type GetOptions } from './get-options'
import { WaitingUser } from './waiting-user'

/** @internal What counts against its `maxBufferedBytes`. */
export let boundOfPool: (pool: Pool) => BufferBound

/** @internal As its `call`; `cancel` makes the message that tells the server of a call that was given up. */
export let callOfPool: CancellableCall<Pool>

/**
 * Long connections to one address, each used by one caller at a time: by a {@link call}, or by a user until it is put
 * back. A caller that finds none free waits for the next, or for one that is dialed. First come, first served.
 *
 * @typeParam Data what the user keeps in `connection.data`
 * @typeParam Bytes the option `bytes`: inferred, unless `Data` is given
 *
 * @example
 * ```ts
 * import { createServer, lengthField, Pool } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({ framing }, (request) => request)
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const pool = new Pool({ host: '127.0.0.1', port: 8000 }, { framing, connections: 10, waitTimeout: 1_000 })
 * console.log(String(await pool.call('hello', { timeout: 500 }))) // hello
 * const connection = await pool.get()
 * try {
 *   console.log(String(await connection.call('again'))) // again
 * } finally {
 *   pool.put(connection)
 * }
 * await pool.close({ timeout: 5_000 })
 * ```
 */
export class Pool<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  readonly #options: CheckedPoolOptions
  readonly #dialer: AddressDialer
  readonly #all = new Set<PooledConnection>()
  readonly #free: FreeConnections
  readonly #waiting = new WaitQueue<ConnectionWaiter<PooledConnection>>(() => this.#followEmpty())
  readonly #listener: PooledConnectionListener
  readonly #pause: DialPause
  readonly #lifecycle: ClientLifecycle
  readonly #calls: CallMaker
  /** When calls were last given up that had waited for a connection, and why. */
  #lastWait: { readonly now: number; readonly cause: NetpollError } | undefined
  #dialing = 0
  #running = 0
  #referenced = true

  static {
    boundOfPool = (pool) => pool.#dialer.bound
    callOfPool = (pool, request, options, cancel) =>
      pool.#calls.call<'buffer'>(request, options, entries.call, cancel)
  }

  /**
   * @param address where to dial: `{ host, port }` or `{ path }`
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
   */
  constructor(address: DialTarget, options: PoolOptions<Data, Bytes> = {}) {
    const { ofPool, ofDialer } = partPoolOptions(options)
    this.#options = ofPool
    this.#dialer = new AddressDialer(address, ofDialer)
    const dialAsNeeded = (): void => this.#dialAsNeeded()
    this.#free = new FreeConnections(ofPool, (pooled) => this.#retire(pooled), dialAsNeeded)
    this.#pause = new DialPause(dialAsNeeded, (error) => this.#dialer.report(error))
    this.#lifecycle = new ClientLifecycle({
      isEmpty: () => this.#all.size === 0 && this.#dialing === 0 && this.#waiting.length === 0,
      beginClose: () => this.#beginClose(),
      destroyAll: () => this.#destroyAll(),
      stop: () => this.#waiting.stop(),
      closedError: poolClosed,
    })
    this.#calls = new CallMaker(this, this.#dialer, this.#lifecycle, (call, request) =>
      this.#startOrWait(call, request),
    )
    this.#listener = {
      proved: () => this.#pause.proved(),
      called: (pooled) => this.#called(pooled),
      gaveUp: (pooled) => this.#gaveUp(pooled),
      refused: (pooled, call, request) => this.#refused(pooled, call, request),
      ending: (pooled) => this.#ending(pooled),
      gone: (pooled) => this.#gone(pooled),
    }
    this.#dialAsNeeded()
  }

  /**
   * Lends a connection, which no other caller uses until it is given back by {@link put} or {@link discard}.
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
        stepBudget.reject(reject, error)
      }
    })
  }

  /**
   * Gives back a connection that {@link get} has lent. One that is not as it was is replaced. It may be closing or
   * gone, wait for the reply of a call, or have unread or unsent bytes. Another reader may read it, or it is paused.
   *
   * @throws NetpollError `ERR_POOL_NOT_LENT` when it is not lent by this pool
   */
  put(connection: Connection<Data, Bytes>): void {
    const pooled = this.#takeBack(connection)
    if (pooled === undefined) return
    if (pooled.connection.isClean) pooled.prove()
    this.#offerSent(pooled)
  }

  /**
   * Gives back a connection that {@link get} has lent, and destroys it.
   *
   * @param error as of `connection.destroy`
   * @throws NetpollError `ERR_POOL_NOT_LENT` when it is not lent by this pool
   */
  discard(connection: Connection<Data, Bytes>, error?: Error): void {
    const pooled = this.#takeBack(connection)
    if (pooled === undefined) return
    this.#dialer.release(pooled.connection)
    pooled.connection.destroy(error)
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

  /**
   * As `dialer.setSecureContext`: replaces options of TLS. Connections that are dialed from now on go by them, and no earlier
   * session is resumed. Those that stand are left as they are; `maxLifetime` replaces them over time.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` without `tls`; TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, and
   * then nothing has changed
   *
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   * import { lengthField, Pool } from 'netpoll'
   *
   * const identity = () => ({ key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') })
   * const address = { host: '127.0.0.1', port: 8000 }
   * const pool = new Pool(address, { framing: lengthField({ size: 4 }), tls: identity() })
   * pool.setSecureContext(identity()) // once the files are others
   * await pool.close()
   * ```
   */
  setSecureContext(options: ClientTlsOptions): void {
    this.#dialer.setSecureContext(options)
  }

  /** Callers that have a connection or wait for one: the `size` of {@link stats}, without an object for it. */
  get load(): number {
    return this.#running + this.#waiting.length
  }

  /** What the pool holds now. */
  stats(): PoolStats {
    let connected = 0
    for (const { state } of this.#all) if (state !== PooledState.Released) connected += 1
    const pending = this.#waiting.length
    const queued = Math.max(0, pending - this.#dialing)
    return withSize({ connected, free: this.#free.length, pending, queued, running: this.#running })
  }

  /**
   * Lends nothing more, and closes each connection once it is free. Callers that wait already are still served.
   *
   * @param options.timeout milliseconds after which callers that still wait get `ERR_POOL_CLOSED`, and connections that
   * are left are destroyed. Default: never, so that a connection which is not given back keeps the pool
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#lifecycle.close(options)
  }

  /** Connections that are in use keep the process alive, and a `close` that is not over. The default; free ones never do. */
  ref(): this {
    this.#referenced = true
    this.#pause.ref()
    for (const pooled of this.#all) if (pooled.state !== PooledState.Free) pooled.connection.ref()
    return this
  }

  /** Lets the process end whatever is in use. */
  unref(): this {
    this.#referenced = false
    this.#pause.unref()
    for (const pooled of this.#all) pooled.connection.unref()
    return this
  }

  /** @internal For `util.inspect`. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    if (!(#lifecycle in this)) return this
    const stats = Pool.prototype.stats.call(this)
    const shown = { name: 'Pool', lifecycle: this.#lifecycle, dialer: this.#dialer, stats } as const
    return showClient(this, shown, depth, options)
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
    const give = ({ connection }: PooledConnection): void =>
      resolve(connection.facade as Connection & Connection<Data, Bytes>)
    const origin = leaks && originOf()
    const lend = (pooled: PooledConnection): void => {
      pooled.state = PooledState.Lent
      pooled.loan = leaks?.watch('connection', pooled, lookAtLent, origin)
      pooled.wasLent = true
      // A user that takes and gives back in turns, alone or with others, waits for nothing else.
      stepBudget.settle(() => give(pooled))
    }
    const pooled = this.#take()
    if (pooled !== undefined) {
      lend(pooled)
      return
    }
    this.#checkWaiters()
    const user = new WaitingUser(this.#waiting, checked, lend, reject, poolTimeout)
    // A signal of the user's may have closed the pool, or been aborted, while it was listened to.
    if (user.isOver) return
    if (this.#lifecycle.isOpen) this.#wait(user)
    else user.fail(poolClosed())
  }

  /** Gives a call to a free connection, or has it wait for one. */
  #startOrWait(call: PendingCall, request: Payload): void {
    const pooled = this.#take()
    if (pooled !== undefined) {
      pooled.start(call, request)
      return
    }
    this.#checkWaiters()
    this.#wait(this.#waitingCall(call, request))
  }

  /** A free connection, which counts as used from now on. */
  #take(): PooledConnection | undefined {
    for (let pooled = this.#free.pop(); pooled !== undefined; pooled = this.#free.pop()) {
      if (this.#free.isUsable(pooled)) {
        this.#running += 1
        if (this.#referenced) pooled.connection.ref()
        if (this.#free.missing > 0) this.#dialAsNeeded()
        return pooled
      }
      this.#retire(pooled)
    }
    return undefined
  }

  #waitingCall(call: PendingCall, request: Payload): ConnectionWaiter<PooledConnection> {
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
    const room = this.#options.connections - this.#all.size
    if (this.#waiting.length + 1 - room > this.#options.maxWaiters) {
      throw poolFull(this.#waiting.length)
    }
  }

  #wait(waiting: ConnectionWaiter<PooledConnection>): void {
    this.#waiting.push(waiting)
    this.#dialAsNeeded()
  }

  /** Dials for all callers that wait and for connections that are kept ready, as far as there is room. */
  #dialAsNeeded(): void {
    if (this.#pause.isForAll) return
    const keepsReady = this.#lifecycle.isOpen && !this.#pause.isOn
    const wanted = this.#waiting.length + (keepsReady ? this.#free.missing : 0)
    const { connections } = this.#options
    while (this.#dialing < wanted && this.#all.size + this.#dialing < connections) this.#dial()
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
    const pooled = new PooledConnection(this.#listener, connection, clock.now())
    this.#all.add(pooled)
    if (!this.#referenced) connection.unref()
    // Whatever the peer has said already is for the first user of the connection.
    this.#handOver(pooled)
  }

  #dialFailed(error: unknown): void {
    this.#dialing -= 1
    if (isWornOut(error) && this.#waiting.length > 0 && this.#lifecycle.isOpen) {
      // The peer was reached, and wants its clients elsewhere: perhaps it restarts.
      this.#pause.begin()
      return
    }
    // A caller does not fail where another dial serves it, or a connection that is given back meanwhile.
    if (this.#waiting.length > this.#dialing) this.#waiting.shift()?.fail(error)
    else if (this.#lifecycle.isOpen) this.#pause.failedInBackground(error)
    this.#dialAsNeeded()
    this.#followEmpty()
  }

  /** The peer has ended a connection, perhaps before it was of use. */
  #lost({ isProven, established, connection }: PooledConnection): void {
    if (!isProven) this.#dialer.distrust(connection)
    if (isProven || this.#options.minIdle === 0 || !this.#lifecycle.isOpen) return
    this.#pause.endedUnused(established)
  }

  /** A caller is done with a connection: the next one gets it. */
  #offer(pooled: PooledConnection): void {
    if (this.#free.isUsable(pooled)) this.#handOver(pooled)
    else this.#retire(pooled)
  }

  /** As {@link #offer}, of a connection on which something may not have left, behind which no call is to wait. */
  #offerSent(pooled: PooledConnection): void {
    const { connection } = pooled
    if (!connection.isClean || !connection.hasUnsent) this.#offer(pooled)
    else if (pooled.wasLent) this.#retire(pooled)
    else this.#drop(pooled)
  }

  #handOver(pooled: PooledConnection): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) {
      this.#running += 1
      if (this.#referenced) pooled.connection.ref()
      waiting.serve(pooled)
    } else if (this.#lifecycle.isOpen) {
      this.#free.push(pooled)
    } else {
      this.#retire(pooled)
    }
  }

  /** Lets go of a connection that no caller has: one that owes a reply or is half read at once, another one gently. */
  #retire(pooled: PooledConnection): void {
    const { connection } = pooled
    const isOwed =
      !connection.life.isHalfOpen && (!connection.isClean || (!connection.takesCalls && !pooled.wasLent))
    if (isOwed || this.#lifecycle.isDestroyed) {
      this.#drop(pooled)
      return
    }
    pooled.state = PooledState.Released
    this.#dialer.release(connection)
    this.#holdProcess(connection)
    void connection.close()
  }

  /** Lets go of a connection at once. */
  #drop(pooled: PooledConnection): void {
    pooled.state = PooledState.Released
    this.#holdProcess(pooled.connection)
    if (pooled.connection.isActive) pooled.connection.destroy()
  }

  /** A pool that closes waits for a connection, and so does the process, unless the user has it. */
  #holdProcess(connection: ConnectionCore): void {
    if (!this.#lifecycle.isOpen && this.#referenced) connection.ref()
  }

  #takeBack(connection: Connection<Data, Bytes>): PooledConnection | undefined {
    const pooled = coreOf(connection)?.owner
    const isOurs = pooled instanceof PooledConnection && pooled.listener === this.#listener
    if (isOurs && pooled.state === PooledState.LostWhileLent) {
      pooled.state = PooledState.Released
      return undefined
    }
    if (!isOurs || pooled.state !== PooledState.Lent) {
      throw notLent()
    }
    pooled.state = PooledState.Released
    leaks?.remove(pooled.loan)
    this.#running -= 1
    return pooled
  }

  #called(pooled: PooledConnection): void {
    pooled.state = PooledState.Released
    this.#running -= 1
    this.#offer(pooled)
  }

  #gaveUp(pooled: PooledConnection): void {
    pooled.state = PooledState.Released
    this.#running -= 1
    this.#offerSent(pooled)
  }

  /** Others take the call, or one that is dialed in place of the connection. */
  #refused(pooled: PooledConnection, call: PendingCall, request: Payload): void {
    this.#running -= 1
    // It was dialed in vain, and the next would hardly be of use.
    if (!pooled.isProven && !pooled.wasLent && this.#lifecycle.isOpen) this.#pause.begin()
    if (pooled.wasLent) this.#retire(pooled)
    else this.#drop(pooled)
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

  #ending(pooled: PooledConnection): void {
    this.#lost(pooled)
    this.#dialer.release(pooled.connection)
    if (pooled.state !== PooledState.Free) return
    this.#free.remove(pooled)
    pooled.state = PooledState.Released
    // Its peer alone has ended.
    if (pooled.connection.life.isHalfOpen) void pooled.connection.close()
    this.#dialAsNeeded()
  }

  #gone(pooled: PooledConnection): void {
    this.#all.delete(pooled)
    if (pooled.state === PooledState.Free) {
      this.#lost(pooled)
      this.#free.remove(pooled)
    }
    if (pooled.state === PooledState.InCall || pooled.state === PooledState.Lent) this.#running -= 1
    pooled.state = pooled.state === PooledState.Lent ? PooledState.LostWhileLent : PooledState.Released
    this.#dialAsNeeded()
    this.#followEmpty()
  }

  /** Closing goes on: with no caller waiting no dial is needed, and with nothing left it is over. */
  #followEmpty(): void {
    if (this.#lifecycle.isOpen) return
    if (this.#waiting.length === 0) this.#abandonDials()
    this.#lifecycle.followEmpty()
  }

  #abandonDials(): void {
    this.#pause.end()
    this.#dialer.abandon(poolClosed())
  }

  #beginClose(): void {
    this.#pause.stopKeepingReady()
    // Those as well that were free when their peer ended, and are not gone yet.
    for (const { connection, state } of this.#all)
      if (state !== PooledState.Lent) this.#holdProcess(connection)
    for (const pooled of this.#free.takeAll()) this.#retire(pooled)
    if (this.#waiting.length === 0) this.#abandonDials()
  }

  #destroyAll(): void {
    for (const waiting of this.#waiting.takeAll()) waiting.fail(poolClosed())
    this.#abandonDials()
    for (const { connection } of this.#all) connection.destroy()
    this.#followEmpty()
  }
}

/** Where users call. */
const entries = { call: Pool.prototype.call, get: Pool.prototype.get }
