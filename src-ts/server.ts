import { addAbortListener } from 'node:events'

import type { Address } from './address'
import { Admission } from './admission'
import { Connection, type RequestHandler } from './connection'
import { NetpollError, systemError } from './errors'
import { type EventLoop, eventLoop } from './event-loop'
import { type ErrorListener, guarded, isThenable, report } from './hooks'
import { checkListenOptions, Listening, type ListenOptions, type PlaceToOpen, resolveName } from './listen'
import type { ChunkStats, NativeId } from './native'
import {
  type CheckedOptions,
  checkConnectionOptions,
  checkFunction,
  checkObject,
  checkTimeout,
  type ServerOptions,
} from './options'
import { createProfile, type Profile } from './profile'

/** What a server has done and holds. */
export interface ServerStats {
  /** Connections now. */
  readonly connections: number
  /** Connections accepted since the start, without those that were dropped. */
  readonly accepted: number
  /** Connections closed at once since the start, because there were `maxConnections`. */
  readonly dropped: number
  /** Messages handed to handlers since the start. */
  readonly requests: number
  /** Memory of messages, of the whole process; `pinned` of this thread. */
  readonly chunks: ChunkStats
}

type State = 'idle' | 'starting' | 'listening' | 'closing' | 'closed'

/** A server for framed messages. Made by {@link createServer}. */
export class Server<Data = unknown> {
  readonly #options: ServerOptions<Data>
  readonly #checked: CheckedOptions
  readonly #admission: Admission
  readonly #connections = new Set<Connection>()
  #loop: EventLoop | undefined
  #profile: Profile | undefined
  #state: State = 'idle'
  #referenced = true
  #listening: Listening | undefined
  #signalWatch: Disposable | undefined
  #accepted = 0
  #whenEmpty: (() => void)[] = []

  /** @internal */
  constructor(options: ServerOptions<Data>, handler: RequestHandler<Data> | undefined) {
    checkFunction('onConnect', options?.onConnect)
    checkFunction('onDrop', options?.onDrop)
    const merged = handler === undefined ? options : { ...options, onRequest: handler }
    const paused = merged?.onConnect !== undefined
    this.#checked = checkConnectionOptions(merged, {
      paused,
      counted: true,
      stopReadingWhenCongested: true,
    })
    this.#admission = new Admission(merged)
    this.#options = merged
  }

  /**
   * Starts to listen.
   *
   * @throws NetpollError (as a rejection) the system's code, such as `EADDRINUSE` for a port, or a path
   * with a live socket; `ERR_SERVER_ALREADY_LISTENING`, `ERR_SERVER_CLOSED`, `ERR_UNSUPPORTED`; the
   * signal's reason when it is aborted before the server listens
   */
  async listen(options: ListenOptions): Promise<this> {
    if (this.#state === 'closing' || this.#state === 'closed') throw serverClosed()
    if (this.#state !== 'idle') {
      throw new NetpollError('ERR_SERVER_ALREADY_LISTENING', 'The server is listening already')
    }
    const { place, signal } = checkListenOptions(options)
    signal?.throwIfAborted()
    this.#state = 'starting'
    this.#signalWatch = signal && addAbortListener(signal, () => this.#closeByItself())
    try {
      this.#open(place.kind === 'name' ? await resolveName(place) : place)
    } catch (error) {
      this.#signalWatch?.[Symbol.dispose]()
      if (this.#state === 'starting') this.#state = 'idle'
      throw signal?.aborted === true ? signal.reason : error
    }
    return this
  }

  /** Where the server listens, as Node.js gives it; `null` when it does not. */
  address(): Address | null {
    return this.#listening?.address ?? null
  }

  /** Whether connections are accepted. */
  get listening(): boolean {
    return this.#state === 'listening'
  }

  /**
   * Stops to listen, closes idle connections, and busy ones once the requests that were read are
   * answered.
   *
   * @param options.timeout milliseconds after which connections that are left are destroyed. Default:
   * never, so that a handler which does not end keeps the server
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: { readonly timeout?: number } = {}): Promise<void> {
    checkObject('options', options)
    checkTimeout(options.timeout, 0)
    if (this.#state === 'idle' || this.#state === 'starting') this.#state = 'closed'
    if (this.#state === 'listening') {
      this.#state = 'closing'
      this.#stopListening()
      for (const connection of this.#connections) connection.finish()
    }
    if (this.#connections.size > 0) {
      const destroyAll = (): void => this.#destroyAll()
      const timer = options.timeout === undefined ? undefined : setTimeout(destroyAll, options.timeout)
      await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
      clearTimeout(timer)
    }
    this.#state = 'closed'
  }

  /** Keeps the process alive while the server listens. The default. */
  ref(): this {
    if (!this.#referenced && this.#listening !== undefined) this.#loop?.retain()
    this.#referenced = true
    return this
  }

  /** Lets the process end although the server listens. Its connections keep it alive all the same. */
  unref(): this {
    if (this.#referenced && this.#listening !== undefined) this.#loop?.release()
    this.#referenced = false
    return this
  }

  /** What the server has done and holds. */
  stats(): ServerStats {
    return {
      connections: this.#connections.size,
      accepted: this.#accepted,
      dropped: this.#admission.dropped,
      requests: this.#profile?.requests ?? 0,
      chunks: (this.#loop ?? eventLoop()).native.chunkStats(),
    }
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(id: NativeId): Connection {
    if (this.#admission.isFull(this.#connections.size))
      return this.#admission.drop(id, this.#profile as Profile)
    const connection = new Connection<Data>(id, this.#profile as Profile, 'open')
    this.#accepted += 1
    this.#connections.add(connection as Connection)
    if (this.#state !== 'listening') connection.destroy()
    else if (this.#options.onConnect !== undefined) this.#connect(connection, this.#options.onConnect)
    return connection as Connection
  }

  #connect(connection: Connection<Data>, onConnect: NonNullable<ServerOptions<Data>['onConnect']>): void {
    const begin = (): void => connection.begin()
    const refuse = (error: unknown): void => connection.fail(error)
    try {
      const pending = onConnect(connection)
      if (isThenable(pending)) Promise.resolve(pending).then(begin, refuse)
      else begin()
    } catch (error) {
      refuse(error)
    }
  }

  #open(place: PlaceToOpen): void {
    if (this.#state !== 'starting') throw serverClosed()
    const loop = this.#loop ?? eventLoop()
    const profile = this.#profile ?? this.#makeProfile(loop)
    this.#loop = loop
    this.#profile = profile
    const listening = Listening.open(place, loop, profile.settings)
    this.#listening = listening
    loop.attachAcceptor(listening.slot, {
      accepted: (id) => this.#accept(id),
      acceptPaused: (errno) => profile.failed(systemError(errno, 'accept'), undefined),
    })
    if (this.#referenced) loop.retain()
    this.#state = 'listening'
  }

  #stopListening(): void {
    if (this.#listening === undefined) return
    this.#signalWatch?.[Symbol.dispose]()
    this.#listening.stop()
    this.#listening = undefined
    if (this.#referenced) this.#loop?.release()
  }

  /** Closes because the signal was aborted: nobody waits for it. */
  #closeByItself(): void {
    guarded(
      () => this.close(),
      (error) => report(this.#options.onError as ErrorListener, error, undefined),
    )
  }

  #destroyAll(): void {
    for (const connection of this.#connections) connection.destroy()
  }

  #makeProfile(loop: EventLoop): Profile {
    return createProfile(loop, this.#checked, this.#options, {
      role: 'server',
      opened: () => {},
      closed: (connection) => {
        this.#connections.delete(connection)
        if (this.#connections.size === 0) for (const done of this.#whenEmpty.splice(0)) done()
        return true
      },
    })
  }
}

/**
 * Makes a server. It listens once {@link Server.listen} is called.
 *
 * @param handler handles each message, sync or async, and returns the reply: bytes, a string, a list of
 * them, or nothing. It goes before \`options.onRequest\`.
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function createServer<Data = unknown>(
  options: ServerOptions<Data>,
  handler?: RequestHandler<Data>,
): Server<Data> {
  checkFunction('handler', handler)
  return new Server(options, handler)
}

function serverClosed(): NetpollError {
  return new NetpollError('ERR_SERVER_CLOSED', 'The server was closed')
}
