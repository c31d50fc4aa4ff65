import { AddressDialer } from './address-dialer'
import { Backoff } from './backoff'
import { CallMaker, type CancellableCall, type StartedCall } from './call-maker'
import { ClientLifecycle } from './client-lifecycle'
import type { CloseOptions } from '../time/close-options'
import { type CallOptions, type PendingCall, refuseCall } from '../connection/calls/pending-call'
import { beginAt, rejectCall, siteOf } from '../process/call-site'
import * as clock from '../time/clock'
import type { ConnectionCore } from '../connection/core'
import type { BufferBound } from '../connection/group'
import type { DialTarget } from './dial-options'
import { connectTimeout, dialErrorForCall, endedUnused, muxClosed } from './mux-errors'
import { checkGetOptions, type GetOptions } from './get-options'
import { type Inspection, inspectCustom } from '../process/inspection'
import { showClient } from './show-client'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import { MuxConnection, type MuxConnectionListener } from './mux-connection'
import { type CheckedMuxOptions, type MuxOptions, partMuxOptions } from './mux-options'
import { MuxUpkeep } from './mux-upkeep'
import { stepBudget } from '../time/step-budget'
import type { Payload } from '../memory/payload'
import { type PoolStats, withSize } from './pool-stats'
import { Readiness, type ReadyChange } from './readiness'
import { Reconnector } from './reconnector'
import type { ClientTlsOptions } from '../tls/options'
import { WaitQueue } from './wait-queue'
import { type ConnectionWaiter, WaitingCall } from './waiting-call'
import { sendOver, WaitingSend } from './waiting-send'
import { WaitingUser } from './waiting-user'

/** @internal What counts against its `maxBufferedBytes`. */
export let boundOfMux: (mux: Mux) => BufferBound

/** @internal As its `call`; `cancel` makes the message that tells the server of a call that was given up. */
export let callOfMux: CancellableCall<Mux>

/** @internal As {@link callOfMux}, without a promise of its own. */
export let startOfMux: StartedCall<Mux>

/**
 * Many calls at once over few connections to one address. Connections are dialed by the first call, and by the next
 * call after they were lost.
 *
 * @typeParam Data what the user keeps in `connection.data`
 * @typeParam Bytes the option `bytes`: inferred, unless `Data` is given
 *
 * @example
 * ```ts
 * import { createServer, lengthField, Mux } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({ framing }, (request) => request)
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const mux = new Mux({ host: '127.0.0.1', port: 8000 }, { framing, connections: 2 })
 * const replies = await Promise.all(['a', 'b', 'c'].map((name) => mux.call(name)))
 * console.log(replies.map(String).join()) // a,b,c
 * await mux.close()
 * ```
 */
export class Mux<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  readonly #options: CheckedMuxOptions
  readonly #dialer: AddressDialer
  readonly #reconnectors: readonly Reconnector[]
  /** Connections that take calls. */
  readonly #available: MuxConnection[] = []
  /** All that are not gone, with those that only wait for their last replies. */
  readonly #all = new Set<MuxConnection>()
  readonly #waiting = new WaitQueue<ConnectionWaiter<MuxConnection>>(() => this.#left())
  readonly #listener: MuxConnectionListener
  readonly #lifecycle: ClientLifecycle
  readonly #calls: CallMaker
  readonly #readiness: Readiness
  readonly #upkeep: MuxUpkeep
  #running = 0
  #referenced = true
  /** Whether connections are dialed that no call waits for. */
  #isEager = false
  /** Why there is no connection; `undefined` where there is one, or no dial has failed. */
  #failure: { readonly error: unknown } | undefined

  static {
    boundOfMux = (mux) => mux.#dialer.bound
    callOfMux = (mux, request, options, cancel) =>
      mux.#calls.call<'buffer'>(request, options, entries.call, cancel)
    startOfMux = (mux, request, options, cancel, resolve, reject) =>
      mux.#calls.start(request, options, entries.call, cancel, resolve, reject)
  }

  /**
   * @param address where to dial: `{ host, port }` or `{ path }`
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; NetpollError `ERR_UNSUPPORTED` without a
   * framing
   */
  constructor(address: DialTarget, options: MuxOptions<Data, Bytes>) {
    const { ofMux, ofDialer } = partMuxOptions(options)
    this.#options = ofMux
    this.#dialer = new AddressDialer(address, ofDialer)
    this.#dialer.checkCalls()
    this.#reconnectors = Array.from({ length: this.#options.connections }, () => this.#newReconnector())
    this.#lifecycle = new ClientLifecycle({
      isEmpty: () => this.#isEmpty,
      beginClose: () => this.#beginClose(),
      destroyAll: () => this.#destroyAll(),
      stop: () => {
        this.#waiting.stop()
        this.#upkeep.stop()
      },
      closedError: muxClosed,
    })
    const { onReadyChange } = this.#options
    this.#readiness = new Readiness((isReady, why) => {
      if (onReadyChange !== undefined) this.#dialer.tell(onReadyChange, isReady, why)
    })
    this.#upkeep = new MuxUpkeep(this.#options, {
      isBusy: () => this.#running > 0 || this.#waiting.length > 0,
      closeIdle: () => this.#closeIdle(),
      replaceAged: (now) => this.#replaceAged(now),
    })
    this.#calls = new CallMaker(this, this.#dialer, this.#lifecycle, (call, request) =>
      this.#startOrWait(call, request),
    )
    const isReferenced = (): boolean => this.#referenced
    this.#listener = {
      get isReferenced() {
        return isReferenced()
      },
      began: () => {
        this.#running += 1
      },
      ended: (muxed) => this.#ended(muxed),
      refused: (muxed, call, request) => this.#refused(muxed, call, request),
      wornOut: (muxed) => this.#replace(muxed),
      ending: (muxed) => this.#ending(muxed),
      leaving: (muxed) => this.#leaving(muxed),
      failed: (muxed, calls) => this.#failed(muxed, calls),
      gone: (muxed, calls) => this.#gone(muxed, calls),
    }
  }

  /**
   * As `connection.call`, by the connection with the fewest calls. Without a connection it waits for one: as long as its
   * timeout allows, or, without one, until a dial fails.
   *
   * @throws NetpollError (as a rejection) as `connection.call`; `ERR_MUX_CLOSED`; what the dial rejects with
   */
  call(request: Payload, options?: CallOptions): Promise<MessageTypes[Bytes]> {
    return this.#calls.call<Bytes>(request, options, entries.call)
  }

  /**
   * Dials without waiting for a call: resolves once there is a connection for calls. From then on lost ones are dialed again
   * at once, with the pauses of `backoff`, until all are closed because of `maxIdleTime`.
   *
   * @throws NetpollError (as a rejection) what the dial rejects with, where no time is given. With a time `ERR_DIAL_TIMEOUT`,
   * whose cause is what the last dial rejected with. `ERR_MUX_CLOSED`; the signal's reason
   *
   * @example
   * ```ts
   * import { createServer, lengthField, Mux } from 'netpoll'
   *
   * const framing = lengthField({ size: 4 })
   * const server = createServer({ framing }, (request) => request)
   * await server.listen({ host: '127.0.0.1', port: 8000 })
   *
   * const mux = new Mux({ host: '127.0.0.1', port: 8000 }, { framing })
   * await mux.connect({ timeout: 5_000 })
   * console.log(mux.isReady) // true
   * await mux.close()
   * await server.close()
   * ```
   */
  connect(options: GetOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        const site = siteOf(entries.connect)
        this.#connect(
          options,
          () => resolve(),
          (error) => rejectCall(resolve, reject, error, site),
        )
      } catch (error) {
        beginAt(error, entries.connect)
        stepBudget.reject(reject, error)
      }
    })
  }

  /** Whether there is a connection for calls. The option `onReadyChange` is told when that changes. */
  get isReady(): boolean {
    return this.#readiness.isReady
  }

  /**
   * As `connection.send`, by one of the connections. Without one it waits until there is one, or a dial fails.
   *
   * @throws NetpollError (as a rejection) as `connection.send`; `ERR_MUX_CLOSED`; what the dial rejects with
   */
  send(message: Payload): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        this.#lifecycle.checkOpen()
        const muxed = this.#pick()
        if (muxed === undefined) {
          this.#checkFailFast()
          this.#wait(new WaitingSend(message, resolve, reject, siteOf(entries.send)))
        } else {
          resolve(sendOver(muxed, message, entries.send))
          this.#upkeep.used()
        }
      } catch (error) {
        beginAt(error, entries.send)
        stepBudget.reject(reject, error)
      }
    })
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
   * import { lengthField, Mux } from 'netpoll'
   *
   * const identity = () => ({ key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') })
   * const address = { host: '127.0.0.1', port: 8000 }
   * const mux = new Mux(address, { framing: lengthField({ size: 4 }), tls: identity() })
   * mux.setSecureContext(identity()) // once the files are others
   * await mux.close()
   * ```
   */
  setSecureContext(options: ClientTlsOptions): void {
    this.#dialer.setSecureContext(options)
  }

  /** Calls that wait for their reply or for a connection now: the `size` of {@link stats}, without an object for it. */
  get load(): number {
    return this.#running + this.#waiting.length
  }

  /** What the mux holds now. A connection is free when no call waits on it. */
  stats(): PoolStats {
    const connected = this.#available.length
    const free = this.#available.filter(({ calls }) => calls === 0).length
    const pending = this.#waiting.length
    const queued = connected > 0 ? pending : 0
    return withSize({ connected, free, pending, queued, running: this.#running })
  }

  /**
   * Takes no more calls, waits until those that were made are answered or given up, and closes the connections.
   *
   * @param options.timeout milliseconds after which calls that still wait for a connection get `ERR_MUX_CLOSED`, and
   * connections that are left are destroyed. Default: never
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#lifecycle.close(options)
  }

  /**
   * Calls and sends that wait keep the process alive, and so does a {@link close} that is not over. The default; idle
   * connections never do.
   *
   * @example
   * ```ts
   * import { lengthField, Mux } from 'netpoll'
   *
   * const metrics = new Mux({ host: '127.0.0.1', port: 8000 }, { framing: lengthField({ size: 4 }) })
   * metrics.unref() // calls that wait do not keep the process alive
   * metrics.ref()
   * ```
   */
  ref(): this {
    this.#referenced = true
    for (const { connection, calls } of this.#all) {
      if (calls > 0 || !this.#lifecycle.isOpen) connection.ref()
    }
    if (this.#waiting.length > 0) for (const reconnector of this.#reconnectors) reconnector.ref()
    return this
  }

  /** Lets the process end whatever waits. A dial that is under way keeps it until that is over. */
  unref(): this {
    this.#referenced = false
    for (const { connection } of this.#all) connection.unref()
    for (const reconnector of this.#reconnectors) reconnector.unref()
    return this
  }

  /** @internal For `util.inspect`. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    if (!(#lifecycle in this)) return this
    const stats = Mux.prototype.stats.call(this)
    const shown = { name: 'Mux', lifecycle: this.#lifecycle, dialer: this.#dialer, stats } as const
    return showClient(this, shown, depth, options)
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #isEmpty(): boolean {
    const isDialing = this.#reconnectors.some((reconnector) => reconnector.isDialing)
    return this.#all.size === 0 && this.#waiting.length === 0 && !isDialing
  }

  #connect(options: GetOptions, resolve: () => void, reject: (error: unknown) => void): void {
    const checked = checkGetOptions(options, 0)
    this.#lifecycle.checkOpen()
    if (checked.latest <= clock.now()) throw connectTimeout(this.#failure?.error)
    this.#isEager = true
    this.#upkeep.used()
    if (this.#pick() !== undefined) {
      stepBudget.settle(resolve)
      return
    }
    const user = new WaitingUser<MuxConnection>(this.#waiting, checked, resolve, reject, () =>
      connectTimeout(this.#failure?.error),
    )
    // A signal of the user's may have closed the mux, or been aborted, while it was listened to.
    if (user.isOver) return
    if (this.#lifecycle.isOpen) this.#wait(user)
    else user.fail(muxClosed())
  }

  #newReconnector(): Reconnector {
    return new Reconnector({
      dial: () => this.#dialer.dial(),
      backoff: new Backoff(this.#options.backoff),
      connected: (connection, reconnector) => this.#connected(connection, reconnector),
      failed: (error) => this.#dialFailed(error),
    })
  }

  /** The connection that will probably answer first. Those that are missing are dialed. */
  #pick(): MuxConnection | undefined {
    const available = this.#available
    if (available.length < this.#reconnectors.length) this.#dialMissing()
    let best: MuxConnection | undefined
    for (const muxed of available) {
      if ((best === undefined || muxed.load < best.load) && muxed.connection.isActive) best = muxed
    }
    return best
  }

  /** Gives a call to a connection, or has it wait for one. */
  #startOrWait(call: PendingCall, request: Payload): void {
    const muxed = this.#pick()
    if (muxed !== undefined && this.#running < this.#options.maxConcurrentCalls) {
      muxed.start(call, request)
      return
    }
    try {
      if (muxed === undefined) this.#checkFailFast()
      this.#wait(new WaitingCall(this.#waiting, call, request, call.deadline, this.#expired))
    } catch (error) {
      refuseCall(call, error)
    }
  }

  /** @throws what the last dial was refused with, where no call is to wait for the next */
  #checkFailFast(): void {
    if (!this.#options.failFast || this.#failure === undefined) return
    throw dialErrorForCall(this.#failure.error)
  }

  #dialMissing(): void {
    for (const reconnector of this.#reconnectors) reconnector.need()
  }

  /** Another connection takes the call, or the one that is dialed in place of this. */
  #refused(muxed: MuxConnection, call: PendingCall, request: Payload): void {
    this.#running -= 1
    this.#replace(muxed)
    if (muxed.calls === 0) muxed.letGo()
    this.#startOrWait(call, request)
  }

  /** Takes a connection out of use, once its last call has gone, and has another one dialed. */
  #replace(muxed: MuxConnection): void {
    if (!this.#takeOut(muxed, 'lost')) return
    muxed.isReplaced = true
    muxed.reconnector?.replaced()
    if (this.#lifecycle.isOpen) muxed.reconnector?.need()
    this.#redialAsNeeded()
  }

  /** It gets no more calls; false where it got none before. */
  #takeOut(muxed: MuxConnection, why: ReadyChange): boolean {
    const index = this.#available.indexOf(muxed)
    if (index < 0) return false
    this.#available.splice(index, 1)
    if (why === 'lost' && !muxed.hasAnswered) this.#dialer.distrust(muxed.connection)
    this.#dialer.release(muxed.connection)
    if (this.#available.length === 0) this.#readiness.set(false, why)
    return true
  }

  readonly #expired = (call: PendingCall): void => call.expire(this.#failure?.error)

  #wait(waiting: ConnectionWaiter<MuxConnection>): void {
    this.#waiting.push(waiting)
    if (this.#waiting.length === 1 && this.#referenced)
      for (const reconnector of this.#reconnectors) reconnector.ref()
  }

  #serve(): void {
    if (this.#waiting.length === 0) return
    while (this.#running < this.#options.maxConcurrentCalls) {
      const muxed = this.#pick()
      if (muxed === undefined) return
      const waiting = this.#waiting.shift()
      if (waiting === undefined) break
      waiting.serve(muxed)
    }
    this.#followWaiting()
  }

  /** Some have given up waiting. */
  #left(): void {
    this.#followWaiting()
    this.#followEmpty()
  }

  /** Where no caller waits, the next attempt to connect keeps no process. */
  #followWaiting(): void {
    if (this.#waiting.length === 0) for (const reconnector of this.#reconnectors) reconnector.unref()
  }

  #connected(connection: ConnectionCore, reconnector: Reconnector): void {
    this.#failure = undefined
    const muxed = new MuxConnection(this.#listener, connection, reconnector, this.#upkeep.established())
    this.#available.push(muxed)
    this.#all.add(muxed)
    this.#readiness.set(true, 'connected')
    connection.unref()
    this.#retireReplaced()
    this.#serve()
    this.#followEmpty()
  }

  #dialFailed(error: unknown): void {
    if (this.#available.length === 0) {
      this.#failure = { error }
      const { failFast } = this.#options
      const failed = this.#waiting.takeAll(
        (waiting) => waiting.deadline === Number.POSITIVE_INFINITY || (failFast && !waiting.isPatient),
      )
      for (const waiting of failed) waiting.fail(error)
      this.#followWaiting()
      if (failed.length === 0 && this.#waiting.length === 0 && this.#lifecycle.isOpen) {
        this.#dialer.report(error)
      }
    }
    this.#redialAsNeeded()
    this.#followEmpty()
  }

  /** Dials what is missing where callers wait, or where connections are kept or to be replaced. */
  #redialAsNeeded(): void {
    const isWanted = this.#isEager || this.#available.some(({ reconnector }) => reconnector === undefined)
    if (this.#waiting.length > 0 || (isWanted && this.#lifecycle.isOpen)) this.#dialMissing()
  }

  #closeIdle(): void {
    this.#isEager = false
    for (const muxed of [...this.#available]) this.#retire(muxed, 'idle')
  }

  /** Has connections replaced that are too old; returns when to look again. */
  #replaceAged(now: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const muxed of [...this.#available]) {
      const { reconnector, endOfLife, calls } = muxed
      if (endOfLife > now) next = Math.min(next, endOfLife)
      else if (calls === 0 && !this.#isEager) this.#retire(muxed, 'leaving')
      else if (reconnector !== undefined) {
        muxed.reconnector = undefined
        reconnector.replaced()
        reconnector.need()
      }
    }
    return next
  }

  /** A connection was established: an old one that it replaces gets no more calls. */
  #retireReplaced(): void {
    const replaced = this.#available.find(({ reconnector }) => reconnector === undefined)
    if (replaced !== undefined) this.#retire(replaced, 'leaving')
  }

  /** Takes a connection out of use, which closes after its last call. That is not the peer's fault. */
  #retire(muxed: MuxConnection, why: ReadyChange): void {
    if (!this.#takeOut(muxed, why)) return
    muxed.reconnector?.replaced()
    muxed.connection.retire()
  }

  #ended(muxed: MuxConnection): void {
    this.#running -= 1
    if (this.#running === 0) this.#upkeep.used()
    if (muxed.calls === 0 && !this.#available.includes(muxed)) muxed.letGo()
    this.#serve()
    if (!this.#lifecycle.isOpen) this.#followEmpty()
  }

  #ending(muxed: MuxConnection): void {
    if (!this.#takeOut(muxed, 'lost')) return
    muxed.reconnector?.lost()
    if (muxed.calls > 0) muxed.reconnector?.need()
    this.#redialAsNeeded()
  }

  /**
   * Another connection is dialed at once, because this one has done its work. A peer that never did any, or has many leave,
   * is dialed as one that has closed them.
   */
  #leaving(muxed: MuxConnection): void {
    if (!this.#takeOut(muxed, 'leaving')) return
    const isInOrder = muxed.hasAnswered && this.#all.size <= 2 * this.#options.connections
    if (isInOrder) muxed.reconnector?.replaced()
    else muxed.reconnector?.lost()
    if (muxed.calls > 0 && this.#lifecycle.isOpen) muxed.reconnector?.need()
    this.#redialAsNeeded()
  }

  /** Its calls are over, whether or not it is gone: others have their places. */
  #failed(muxed: MuxConnection, calls: number): void {
    this.#running -= calls
    if (calls > 0 && this.#running === 0) this.#upkeep.used()
    this.#ending(muxed)
    // As a dial that fails: its successor waits for the back-off.
    if (calls > 0 && !muxed.hasAnswered && this.#available.length === 0)
      this.#failure ??= { error: endedUnused() }
    if (calls > 0 && this.#lifecycle.isOpen) muxed.reconnector?.need()
    // Its peer alone has ended.
    if (muxed.connection.life.isHalfOpen) void muxed.connection.close()
    this.#serve()
    this.#followEmpty()
  }

  #gone(muxed: MuxConnection, calls: number): void {
    this.#all.delete(muxed)
    this.#failed(muxed, calls)
  }

  /** Closing goes on: with no call left connections close, and with none left it is over. */
  #followEmpty(): void {
    if (this.#lifecycle.isOpen) return
    if (this.#waiting.length === 0) {
      this.#dialer.abandon(muxClosed())
      for (const reconnector of this.#reconnectors) reconnector.stop()
      for (const { connection, calls } of this.#all) {
        if (calls > 0) continue
        // Closing waits for those as well that have lost their peer, and are not gone yet.
        if (this.#referenced) connection.ref()
        if (connection.isActive) void connection.close()
      }
    }
    this.#lifecycle.followEmpty()
  }

  #beginClose(): void {
    this.#readiness.set(false, 'closed')
    this.#followEmpty()
  }

  #destroyAll(): void {
    for (const waiting of this.#waiting.takeAll()) waiting.fail(muxClosed())
    for (const { connection } of this.#all) connection.destroy()
    this.#followEmpty()
  }
}

/** Where users call. */
const entries = { call: Mux.prototype.call, connect: Mux.prototype.connect, send: Mux.prototype.send }
