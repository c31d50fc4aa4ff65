import { type Address, addressText } from '../native/address'
import { ConnectionLimit } from './connection-limit'
import { createConnection } from '../connection/connection'
import type { ConnectionCore } from '../connection/core'
import { type Context, captureContext } from '../process/async-context'
import { channels } from '../process/diagnostics'
import { NetpollError, pollerFailed, serverClosed, systemError } from '../errors'
import { type Acceptor, type Poller, nextTag } from '../poller/poller'
import { pollersFor } from '../poller/pollers'
import { checkGoAway } from '../connection/go-away'
import type { GoAway } from '../connection/hooks'
import { type Inspection, inspectCustom, known, show } from '../process/inspection'
import { tellFailedHandshake } from './failed-handshake'
import type { ServerStats } from './server-stats'
import {
  checkListenOptions,
  Listener,
  type ListenOptions,
  type PlaceToOpen,
  resolveName,
  type Sharing,
} from './listener'
import { takeOptions } from '../checks/known-options'
import type { BytesOption } from '../memory/message-types'
import {
  type ConnectionBalancer,
  type ConnectionSettings,
  type NativeId,
  nativeBinding,
} from '../native/binding'
import {
  checkConnectionOptions,
  type CheckedOptions,
  type DataHandler,
  type RequestHandler,
} from '../connection/options'
import { stepBudget } from '../time/step-budget'
import {
  boundOf,
  type BufferBound,
  createGroups,
  type GroupOwner,
  type ConnectionGroup,
} from '../connection/group'
import { whenRejected } from '../checks/promises'
import { SharedListener } from './shared-listener'
import type { ServerTlsOptions, TlsCredentials } from '../tls/options'
import { ServerSecurity, withoutTls } from '../tls/secure-context'
import { threadMemory } from '../memory/thread-memory'
import { isAborted, reasonOf, throwIfAborted, watchAbort } from '../abort'
import { type CloseOptions, closeTimeout } from '../time/close-options'
import { clearTimeout, microtask, setTimeout } from '../time/timers'
import { type CheckedWorkers, checkWorkers } from '../workers/options'
import { type FailedSource, WorkerPool } from '../workers/pool'
import { checkFunction } from '../checks/arguments'
import { checkOwn, own } from '../checks/own-constructor'
import {
  checkHandling,
  type FramedServerOptions,
  serverOptionNames,
  type ServerOptions,
  type StreamServerOptions,
} from './options'

type State = 'idle' | 'starting' | 'listening' | 'closing' | 'closed'

/** @internal Has `close` ask clients to leave, whether or not the server knows of ids. */
export let announceBy: (server: Server, goAway: GoAway) => void

/** @internal What counts against its `maxBufferedBytes`. */
export let boundOfServer: (server: Server) => BufferBound

let newServer: <Data>(options: ServerOptions<Data>) => Server<Data>

/**
 * A server for framed messages. Made by {@link createServer}.
 *
 * @example
 * ```ts
 * import { createServer, lengthField } from 'netpoll'
 *
 * const server = createServer({ framing: lengthField({ size: 4 }), maxConnections: 10_000 }, (request) => request)
 * await server.listen({ path: '/run/echo.sock' })
 * console.log(server.listening, server.stats().connections) // true 0
 * process.once('SIGTERM', () => void server.close({ timeout: 5_000 }))
 * ```
 */
export class Server<Data = unknown> {
  readonly #checked: CheckedOptions
  readonly #connectionLimit: ConnectionLimit
  readonly #connections = new Set<ConnectionCore>()
  readonly #workers: CheckedWorkers | undefined
  readonly #security: ServerSecurity | undefined
  #goAway: GoAway | undefined
  /** Ends the time in which clients may leave by themselves. */
  #grace: NodeJS.Timeout | undefined
  /** How a connection ends while the server closes, also one whose news was on its way when that began. */
  #ending: ((connection: ConnectionCore) => void) | undefined
  #pool: WorkerPool | undefined
  /** One for each poller, the listener's first. */
  #groups: readonly ConnectionGroup[] = []
  #context: Context | undefined
  #state: State = 'idle'
  #referenced = true
  #listener: Listener | SharedListener | undefined
  #tag = 0
  #forgetSignal: (() => void) | undefined
  #accepted = 0
  #failedHandshakes = 0
  /** Connections that records have told of, those included that could not be watched. */
  #reported = 0
  /** How many of them are waited for, where the server has stopped listening. */
  #expected = 0
  #whenEmpty: (() => void)[] = []

  static {
    announceBy = (server, goAway) => {
      server.#goAway = goAway
    }
    boundOfServer = (server) => boundOf(() => server.#groups)
    newServer = (options) => new Server(own, options)
  }

  private constructor(given: typeof own, options: ServerOptions<Data>) {
    checkOwn(given, 'Servers are made by createServer')
    checkHandling(options)
    const { workers } = options
    this.#workers = workers === undefined ? undefined : checkWorkers(workers)
    this.#checked = checkConnectionOptions(options, 'server', workers === undefined ? 'here' : 'workers')
    this.#goAway = checkGoAway(options.goAway, this.#checked.ids !== undefined)
    checkFunction('onDrop', options.onDrop)
    this.#connectionLimit = new ConnectionLimit(options)
    const limit = { maxConnections: this.#connectionLimit.max, tellsExcess: this.#connectionLimit.isWatched }
    this.#security = options.tls === undefined ? undefined : new ServerSecurity(options.tls, limit)
  }

  /**
   * Starts to listen.
   *
   * @throws NetpollError (as a rejection) the system's code, such as `EADDRINUSE` for a port, or a path with a live
   * socket. `ERR_SERVER_ALREADY_LISTENING`, `ERR_SERVER_CLOSED`, `ERR_UNSUPPORTED`. The signal's reason when it is
   * aborted before the server listens.
   */
  listen(options: ListenOptions): Promise<this> {
    return stepBudget.attempt(() => this.#listen(options))
  }

  async #listen(options: ListenOptions): Promise<this> {
    if (this.#state === 'closing' || this.#state === 'closed') throw serverClosed()
    if (this.#state !== 'idle') {
      throw new NetpollError('ERR_SERVER_ALREADY_LISTENING', 'The server is listening already')
    }
    const { place, sharing, signal } = checkListenOptions(options)
    throwIfAborted(signal)
    this.#state = 'starting'
    try {
      this.#context = captureContext()
      this.#forgetSignal = signal && watchAbort(signal, () => void this.close())
      const placeToOpen = place.kind === 'name' ? await resolveName(place) : place
      if (this.#workers !== undefined) await this.#startWorkers(this.#workers)
      this.#open(placeToOpen, sharing)
    } catch (error) {
      this.#forgetSignal?.()
      this.#forgetSignal = undefined
      await this.#stopWorkers()
      this.#groups = []
      if (this.#state === 'starting') this.#state = 'idle'
      throw isAborted(signal) ? reasonOf(signal) : error
    }
    if (channels.listen.hasSubscribers) channels.listen.publish({ server: this })
    return this
  }

  /** Where the server listens, as Node.js gives it; `null` when it does not. */
  address(): Address | null {
    return this.#listener?.address ?? null
  }

  /** Whether connections are accepted. */
  get listening(): boolean {
    return this.#state === 'listening'
  }

  /**
   * Stops listening and closes idle connections, and busy ones once the requests that were read are answered. A stream
   * is busy while `onData` or the body of a loop runs. One that its user has read otherwise is busy until the user
   * waits for more or closes it. One that `onConnect` reads is busy until that is done or waits for more. With `goAway`
   * clients are asked to leave, and served until they have, for at most `maxCloseTime`. TLS handshakes are closed at once,
   * with `goAway` once that time or `timeout` is over.
   *
   * @param options.timeout milliseconds after which connections that are left are destroyed. Default:
   * never, so that a handler which does not end keeps the server
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const timeout = closeTimeout(options)
    if (this.#state === 'idle' || this.#state === 'starting') this.#state = 'closed'
    if (this.#state === 'listening') {
      this.#state = 'closing'
      this.#stopListening()
      if (this.#goAway === undefined) this.#endAll('finish')
      else this.#askAllToLeave(this.#goAway)
    }
    if (!this.#isEmpty) {
      const timer = timeout === undefined ? undefined : setTimeout(() => this.#endAll('destroy'), timeout)
      await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
      clearTimeout(timer)
    }
    await this.#stopWorkers()
    if (this.#state === 'closing' && this.#goAway !== undefined) {
      // Handshakes of a shared socket are not waited for.
      this.#endAll('destroy')
      this.#detachAcceptors()
    }
    this.#state = 'closed'
    clearTimeout(this.#grace)
    await stepBudget.pass()
  }

  /**
   * Replaces options of TLS, such as the certificate. Connections that begin from now on go by them, and no earlier session
   * is resumed; those that stand are left as they are.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` for a server without `tls`; TypeError `ERR_INVALID_ARG_TYPE`,
   * `ERR_INVALID_ARG_VALUE`, and then nothing has changed
   */
  setSecureContext(options: ServerTlsOptions): void {
    this.#secured().replace(options)
  }

  /**
   * Shows these to clients that ask for `name` from now on, which may begin with `*.`.
   *
   * @throws as {@link setSecureContext}
   */
  addContext(name: string, credentials: TlsCredentials): void {
    this.#secured().addContext(name, credentials)
  }

  #secured(): ServerSecurity {
    if (this.#security !== undefined) return this.#security
    throw withoutTls()
  }

  /** Keeps the process alive while the server listens. The default. */
  ref(): this {
    if (!this.#referenced && this.#listener !== undefined) this.#groups[0]?.poller.retain()
    this.#referenced = true
    return this
  }

  /** Lets the process end although the server listens. Its connections keep it alive all the same. */
  unref(): this {
    if (this.#referenced && this.#listener !== undefined) this.#groups[0]?.poller.release()
    this.#referenced = false
    return this
  }

  /** What the server has done and holds. */
  stats(): ServerStats {
    const security = this.#security
    const workers = this.#pool?.stats()
    return {
      connections: this.#connections.size,
      accepted: this.#accepted,
      dropped: this.#connectionLimit.dropped,
      requests: workers?.requests ?? this.#groups[0]?.counts.requests ?? 0,
      ...(workers && { workers }),
      ...(security && { tls: { handshaking: security.handshaking, failed: this.#failedHandshakes } }),
      chunks: threadMemory().native.chunkStats(),
    }
  }

  /** @internal For `util.inspect`. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    if (!(#state in this)) return this
    const workers = known(() => this.#pool?.stats())
    const members = {
      state: this.#state,
      address: addressText(this.#listener?.address),
      connections: this.#connections.size,
      accepted: this.#accepted,
      dropped: this.#connectionLimit.dropped,
      requests: workers?.requests ?? this.#groups[0]?.counts.requests ?? 0,
      workers: workers?.threads,
    }
    return show(this, 'Server', members, depth, options)
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #isEmpty(): boolean {
    return this.#connections.size === 0 && this.#reported >= this.#expected
  }

  #followEmpty(): void {
    if (this.#isEmpty) for (const done of this.#whenEmpty.splice(0)) done()
  }

  #accept(id: NativeId, group: ConnectionGroup): ConnectionCore {
    const context = this.#context as Context
    this.#reported += 1
    // With TLS the core has let it in, which counts those in their handshake, too.
    if (this.#security === undefined && this.#connectionLimit.isFull(this.#connections.size))
      return this.#connectionLimit.drop(id, group, context)
    const connection = createConnection(id, group, 'open', context)
    this.#accepted += 1
    this.#connections.add(connection)
    if (this.#state === 'listening') return connection
    if (this.#goAway === undefined || this.#state === 'closed') connection.destroy()
    // It came over from another thread while the server began to close. Its hooks come first.
    else microtask(() => this.#ending?.(connection))
    return connection
  }

  #open(place: PlaceToOpen, sharing: Sharing): void {
    if (this.#state !== 'starting') throw serverClosed()
    const groups = this.#groups.length > 0 ? this.#groups : this.#makeGroups()
    this.#groups = groups
    const [{ poller, settings }] = groups as readonly [ConnectionGroup]
    this.#tag = nextTag()
    this.#listener =
      sharing === 'shared'
        ? SharedListener.open(place, groups, this.#tag, this.#checked.loadBalance)
        : this.#openOwn(place, poller, settings)
    // Nothing can have come of it yet: records are handed over between two tasks.
    for (const group of groups) group.poller.attachAcceptor(this.#tag, this.#acceptor(group))
    if (this.#referenced) poller.retain()
    this.#state = 'listening'
  }

  #stopListening(): void {
    const listener = this.#listener
    if (listener === undefined) return
    this.#forgetSignal?.()
    this.#listener = undefined
    // Clients that are to leave by themselves are served, also those that another thread is about to hand over.
    if (this.#goAway === undefined) this.#detachAcceptors()
    if (this.#referenced) this.#groups[0]?.poller.release()
    try {
      // A client that is to be told to leave must not be turned away before.
      this.#expected = listener.stop(this.#goAway === undefined ? 'reset' : 'accepted')
    } catch (error) {
      this.#groups[0]?.listenerFailed(error, this.#context as Context)
    }
  }

  #detachAcceptors(): void {
    for (const { poller } of this.#groups) poller.detachAcceptor(this.#tag)
  }

  #askAllToLeave(goAway: GoAway): void {
    this.#ending = (connection) => connection.askToLeave(goAway)
    for (const connection of this.#connections) this.#ending(connection)
    // A client that does not leave, or cannot, keeps the server no longer than it keeps a connection that closes.
    this.#grace = setTimeout(() => this.#endAll('finish'), this.#checked.settings.maxCloseTime).unref()
  }

  #endAll(how: 'finish' | 'destroy'): void {
    this.#expected = 0
    this.#ending = (connection) => connection[how]()
    // No record has told of connections in their handshake, so that nothing else would end them.
    if (this.#security !== undefined)
      for (const { poller } of this.#groups) poller.native.abandonHandshakes(this.#tag)
    for (const connection of this.#connections) connection[how]()
    this.#followEmpty()
  }

  /** Nothing of a poller comes any more: a server that listens in part only would be hard to notice. */
  #fail(error: NetpollError, group: ConnectionGroup, context: Context): void {
    this.#expected = 0
    this.#followEmpty()
    if (this.#state !== 'listening') return
    group.listenerFailed(error, context)
    whenRejected(this.close(), (second) => group.listenerFailed(second, context))
  }

  async #startWorkers(workers: CheckedWorkers): Promise<void> {
    const { framing, bytes } = this.#checked
    // What this host cannot do is told as such, and not by the end of a worker.
    threadMemory()
    const pool = new WorkerPool(workers, {
      framing,
      bytes,
      failed: (error, source) => this.#requestFailed(error, source),
      workerFailed: (error) => this.#groups[0]?.listenerFailed(error, this.#context as Context),
    })
    this.#pool = pool
    await pool.start()
  }

  async #stopWorkers(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    if (pool === undefined) return
    const [group] = this.#groups
    if (group !== undefined) group.counts.requests = pool.stats().requests
    await pool.close()
  }

  #requestFailed(error: unknown, source: FailedSource): void {
    for (const group of this.#groups) {
      const { poller } = group
      if (poller.native.serial !== source.poller) continue
      const connection = poller.find(source)
      if (connection !== undefined) connection.tell(error)
      else group.listenerFailed(error, this.#context as Context)
    }
  }

  /** One was closed at once. */
  #dropped(): void {
    this.#connectionLimit.failed()
    this.#reported += 1
    this.#followEmpty()
  }

  #acceptor(group: ConnectionGroup): Acceptor {
    const context = this.#context as Context
    return {
      accepted: (id) => this.#accept(id, group),
      exceeded: (id) => {
        this.#reported += 1
        return this.#connectionLimit.drop(id, group, context)
      },
      excessClosed: () => this.#dropped(),
      acceptPaused: (errno) => group.listenerFailed(systemError(errno, 'accept'), context),
      acceptFailed: (errno) => {
        this.#dropped()
        group.listenerFailed(systemError(errno, 'accept'), context)
      },
      handshakeFailed: (code, detail, excerpt) => {
        this.#failedHandshakes += 1
        this.#reported += 1
        this.#followEmpty()
        const hook = this.#security?.onHandshakeError
        if (hook !== undefined) tellFailedHandshake(hook, { code, detail, excerpt }, group, context)
      },
      acceptEnded: () => this.#fail(acceptingFailed(this.#listener), group, context),
      failed: (error) => this.#fail(error, group, context),
    }
  }

  #openOwn(place: PlaceToOpen, poller: Poller, settings: ConnectionSettings): Listener {
    const balancer = this.#makeBalancer()
    try {
      return Listener.open(place, { poller, settings, tag: this.#tag, balancer })
    } finally {
      balancer?.release()
    }
  }

  /** What gives connections to several pollers; `undefined` for one, which has them all. */
  #makeBalancer(): ConnectionBalancer | undefined {
    if (this.#groups.length === 1) return undefined
    const { ConnectionBalancer } = nativeBinding()
    const balancer = new ConnectionBalancer(this.#checked.loadBalance)
    for (const { poller, settings } of this.#groups) balancer.join(poller.native, settings, this.#tag)
    return balancer
  }

  #makeGroups(): readonly ConnectionGroup[] {
    const pollers = pollersFor(this.#checked.pollers)
    const owner: GroupOwner = {
      role: 'server',
      goAway: this.#goAway,
      opened: () => {},
      closed: (connection) => {
        this.#connections.delete(connection)
        this.#followEmpty()
        return true
      },
    }
    const context = this.#security?.context
    return createGroups(pollers, this.#checked, owner, { workers: this.#pool?.native, context })
  }
}

/** Why no thread accepts any more at a socket that others share. */
function acceptingFailed(listener: Listener | SharedListener | undefined): NetpollError {
  const reason = listener instanceof SharedListener ? listener.failure : undefined
  return pollerFailed(reason ?? 'no thread accepts')
}

/**
 * Makes a server. It listens once {@link Server.listen} is called.
 *
 * @typeParam Data what the user keeps in `connection.data`
 * @typeParam Bytes the option `bytes`: inferred, unless `Data` is given
 * @param handler with a framing handles each message, sync or async, and returns the reply: bytes, a string, a list of
 * them, or nothing. Without one it reads what has arrived. It goes before `options.onRequest` and `options.onData`.
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 *
 * @example
 * ```ts
 * import { createServer, Dialer, lengthField } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({ framing }, (request) => `${request}, too`)
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
 * console.log(String(await connection.call('me'))) // me, too
 * await connection.close()
 * await server.close()
 * ```
 */
export function createServer<Data = unknown, Bytes extends BytesOption = 'buffer'>(
  options: FramedServerOptions<Data, Bytes>,
  handler?: RequestHandler<Data, Bytes>,
): Server<Data>
export function createServer<Data = unknown, Bytes extends BytesOption = 'buffer'>(
  options: StreamServerOptions<Data, Bytes>,
  handler?: DataHandler<Data, Bytes>,
): Server<Data>
export function createServer<Data = unknown, Bytes extends BytesOption = 'buffer'>(
  options: ServerOptions<Data, Bytes>,
): Server<Data>
export function createServer<Data>(
  options: ServerOptions<Data>,
  handler?: RequestHandler<Data> | DataHandler<Data>,
): Server<Data> {
  checkFunction('handler', handler)
  const taken = takeOptions<ServerOptions<Data>>('options', options, serverOptionNames)
  if (handler === undefined) return newServer(taken)
  const name = taken.framing === undefined ? 'onData' : 'onRequest'
  return newServer({ ...taken, [name]: handler } as ServerOptions<Data>)
}
