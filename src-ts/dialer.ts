import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { Connection } from './connection'
import { NetpollError, systemError } from './errors'
import { type EventLoop, eventLoop } from './event-loop'
import type { SocketAddress } from './native'
import {
  checkConnectionOptions,
  checkConnectTimeout,
  checkObject,
  checkPort,
  checkSignal,
  checkText,
  type CheckedOptions,
  type DialerOptions,
} from './options'
import { createProfile, type Profile } from './profile'
import { checkSocketPath } from './unix-path'

/** Whom to dial. */
export type DialOptions = (
  | {
      readonly port: number
      /** Address or name. Default `'localhost'`. */
      readonly host?: string
    }
  | {
      /** Path of a unix socket. */
      readonly path: string
    }
) & {
  /** Gives the dial up, and rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

interface Dialing {
  readonly opened: (connection: Connection) => void
  readonly failed: (error: NetpollError) => void
}

/** Makes connections to servers. */
export class Dialer<Data = unknown> {
  readonly #options: DialerOptions<Data>
  readonly #checked: CheckedOptions
  readonly #connectTimeout: number
  readonly #dialing = new Map<Connection, Dialing>()
  #profile: Profile | undefined

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor(options: DialerOptions<Data>) {
    this.#connectTimeout = checkConnectTimeout(options?.connectTimeout)
    const counted = options?.onRequest !== undefined
    this.#checked = checkConnectionOptions(options, {
      paused: false,
      counted,
      stopReadingWhenCongested: false,
    })
    this.#options = options
  }

  /**
   * Connects. Of a name's addresses each is tried until one answers.
   *
   * @throws NetpollError (as a rejection) the system's code, such as `ECONNREFUSED`; `ERR_DIAL_TIMEOUT`;
   * `ERR_UNSUPPORTED`; the signal's reason when it was aborted; Node's own error for an unknown name
   */
  async dial(options: DialOptions): Promise<Connection<Data>> {
    checkObject('options', options)
    checkSignal(options.signal)
    options.signal?.throwIfAborted()
    const addresses = await targets(options)
    let last: unknown
    for (const address of addresses) {
      options.signal?.throwIfAborted()
      try {
        return (await this.#connect(address, options.signal)) as Connection<Data>
      } catch (error) {
        if (options.signal?.aborted) throw options.signal.reason
        last = error
      }
    }
    throw last
  }

  #connect(address: SocketAddress, signal: AbortSignal | undefined): Promise<Connection> {
    const loop = eventLoop()
    this.#profile ??= this.#makeProfile(loop)
    const outcome = loop.native.dial(address, this.#connectTimeout, this.#profile.settings)
    if (outcome.id === undefined) {
      return Promise.reject(systemError(outcome.errno ?? 0, 'connect', place(address)))
    }
    const connection = new Connection(outcome.id, this.#profile, 'connecting')
    loop.attach(connection)
    return new Promise((resolve, reject) => {
      const abandon = (): void => connection.destroy(signal?.reason)
      signal?.addEventListener('abort', abandon, { once: true })
      const done = (): void => {
        signal?.removeEventListener('abort', abandon)
        this.#dialing.delete(connection)
      }
      this.#dialing.set(connection, {
        opened: (opened) => {
          done()
          resolve(opened)
        },
        failed: (error) => {
          done()
          const { errno } = error
          reject(errno === undefined ? error : systemError(-errno, 'connect', place(address)))
        },
      })
    })
  }

  #makeProfile(loop: EventLoop): Profile {
    return createProfile(loop, this.#checked, this.#options, {
      role: 'client',
      opened: (connection) => this.#dialing.get(connection)?.opened(connection),
      closed: (connection, error) => {
        const dialing = this.#dialing.get(connection)
        dialing?.failed(error ?? new NetpollError('ERR_CONN_CLOSED', 'The dial was given up'))
        return dialing === undefined
      },
    })
  }
}

async function targets(options: DialOptions): Promise<SocketAddress[]> {
  if ('path' in options) {
    checkText('options.path', options.path)
    checkSocketPath('connect', options.path)
    return [{ path: options.path }]
  }
  const { port, host = 'localhost' } = options
  checkPort(port, 1)
  checkText('options.host', host)
  if (isIP(host) !== 0) return [{ address: host, port }]
  const found = await lookup(host, { all: true })
  return found.map(({ address }) => ({ address, port }))
}

function place(target: SocketAddress): { address: string; port?: number } {
  const address = target.path ?? target.address ?? ''
  return target.port === undefined ? { address } : { address, port: target.port }
}
