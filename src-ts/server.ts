import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { type Address, toAddress } from './address'
import { Connection, type RequestHandler } from './connection'
import { NetpollError, systemError } from './errors'
import { type EventLoop, eventLoop } from './event-loop'
import type { ChunkStats, NativeId, SocketAddress } from './native'
import {
  checkBacklog,
  checkConnectionOptions,
  checkFunction,
  checkObject,
  checkPort,
  checkText,
  checkTimeout,
  type CheckedOptions,
  type ServerOptions,
} from './options'
import { createProfile, type Profile } from './profile'
import { isThenable } from './hooks'
import { checkSocketPath, removeDeadSocket, removeSocketFile, type SocketFile, socketFile } from './unix-path'

/** Where to listen. */
export type ListenOptions = (
  | {
      /** Port; 0 lets the system choose. */
      readonly port: number
      /** Address or name. Default: all addresses, IPv6 and IPv4. */
      readonly host?: string
    }
  | {
      /** Path of a unix socket. A dead socket there is replaced, a live one refused. */
      readonly path: string
    }
) & {
  /** Connections that may wait to be accepted. Default 511; the system may allow fewer. */
  readonly backlog?: number
}

/** What a server has done and holds. */
export interface ServerStats {
  /** Connections now. */
  readonly connections: number
  /** Connections accepted since the start. */
  readonly accepted: number
  /** Messages handed to handlers since the start. */
  readonly requests: number
  /** Memory of messages, of the whole process; `pinned` of this thread. */
  readonly chunks: ChunkStats
}

type State = 'idle' | 'starting' | 'listening' | 'closing' | 'closed'

const defaultBacklog = 511
/** How a system without IPv6 refuses '::'. */
const withoutIpv6: readonly string[] = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']
const EADDRINUSE = process.platform === 'darwin' ? 48 : 98

/** A server for framed messages. Made by {@link createServer}. */
export class Server<Data = unknown> {
  readonly #options: ServerOptions<Data>
  readonly #checked: CheckedOptions
  readonly #connections = new Set<Connection>()
  #loop: EventLoop | undefined
  #profile: Profile | undefined
  #state: State = 'idle'
  #referenced = true
  #listener: NativeId | undefined
  #file: SocketFile | undefined
  #accepted = 0
  #whenEmpty: (() => void)[] = []

  /** @internal */
  constructor(options: ServerOptions<Data>, handler: RequestHandler<Data> | undefined) {
    checkFunction('onConnect', options?.onConnect)
    const merged = handler === undefined ? options : { ...options, onRequest: handler }
    const paused = merged?.onConnect !== undefined
    this.#checked = checkConnectionOptions(merged, {
      paused,
      counted: true,
      stopReadingWhenCongested: true,
    })
    this.#options = merged
  }

  /**
   * Starts to listen.
   *
   * @throws NetpollError (as a rejection) the system's code, such as `EADDRINUSE` for a port, or a path
   * with a live socket; `ERR_SERVER_ALREADY_LISTENING`, `ERR_SERVER_CLOSED`, `ERR_UNSUPPORTED`
   */
  async listen(options: ListenOptions): Promise<this> {
    if (this.#state === 'closing' || this.#state === 'closed') throw serverClosed()
    if (this.#state !== 'idle') {
      throw new NetpollError('ERR_SERVER_ALREADY_LISTENING', 'The server is listening already')
    }
    checkObject('options', options)
    checkBacklog(options.backlog)
    this.#state = 'starting'
    try {
      if ('path' in options) this.#listenPath(options.path, options.backlog)
      else await this.#listenPort(options.port, options.host, options.backlog)
    } catch (error) {
      if (this.#state === 'starting') this.#state = 'idle'
      throw error
    }
    return this
  }

  /** Where the server listens, as Node.js gives it; `null` when it does not. */
  address(): Address | null {
    if (this.#loop === undefined || this.#listener === undefined) return null
    return toAddress(this.#loop.native.listenerAddress(this.#listener)) ?? null
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
    if (!this.#referenced && this.#listener !== undefined) this.#loop?.retain()
    this.#referenced = true
    return this
  }

  /** Lets the process end although the server listens. Its connections keep it alive all the same. */
  unref(): this {
    if (this.#referenced && this.#listener !== undefined) this.#loop?.release()
    this.#referenced = false
    return this
  }

  /** What the server has done and holds. */
  stats(): ServerStats {
    return {
      connections: this.#connections.size,
      accepted: this.#accepted,
      requests: this.#profile?.requests ?? 0,
      chunks: (this.#loop ?? eventLoop()).native.chunkStats(),
    }
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(id: NativeId): Connection {
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

  #listenPath(path: string, backlog: number | undefined): void {
    checkText('options.path', path)
    checkSocketPath('listen', path)
    const bind = (): number | undefined => this.#bind({ path }, backlog)
    let errno = bind()
    if (errno === EADDRINUSE && removeDeadSocket(path)) errno = bind()
    if (errno !== undefined) throw systemError(errno, 'listen', { address: path })
    this.#file = socketFile(path)
  }

  async #listenPort(port: number, host: string | undefined, backlog: number | undefined): Promise<void> {
    checkPort(port, 0)
    if (host !== undefined) checkText('options.host', host)
    if (host === undefined) {
      const errno = this.#bind({ address: '::', port }, backlog)
      if (errno === undefined) return
      const { code } = systemError(errno, 'listen', { address: '::', port })
      if (!withoutIpv6.includes(code)) throw systemError(errno, 'listen', { address: '::', port })
    }
    const address = host === undefined ? '0.0.0.0' : await resolve(host)
    if (this.#state !== 'starting') throw serverClosed()
    const errno = this.#bind({ address, port }, backlog)
    if (errno !== undefined) throw systemError(errno, 'listen', { address, port })
  }

  /** Binds and listens; the system's error number when it refuses. */
  #bind(address: SocketAddress, backlog = defaultBacklog): number | undefined {
    this.#loop ??= eventLoop()
    this.#profile ??= this.#makeProfile(this.#loop)
    const outcome = this.#loop.native.listen(address, backlog, this.#profile.settings)
    if (outcome.id === undefined) return outcome.errno
    this.#listener = outcome.id
    this.#loop.attachAcceptor(outcome.id.slot, {
      accepted: (id) => this.#accept(id),
      acceptPaused: (errno) => this.#profile?.failed(systemError(errno, 'accept'), undefined),
    })
    if (this.#referenced) this.#loop.retain()
    this.#state = 'listening'
    return undefined
  }

  #stopListening(): void {
    const loop = this.#loop
    if (loop === undefined || this.#listener === undefined) return
    // Before the socket closes: afterwards a successor may have bound the path.
    if (this.#file !== undefined) removeSocketFile(this.#file)
    loop.native.unlisten(this.#listener)
    this.#listener = undefined
    if (this.#referenced) loop.release()
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

async function resolve(host: string): Promise<string> {
  return isIP(host) === 0 ? (await lookup(host)).address : host
}

function serverClosed(): NetpollError {
  return new NetpollError('ERR_SERVER_CLOSED', 'The server was closed')
}
