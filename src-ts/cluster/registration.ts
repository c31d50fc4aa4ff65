import { NetpollError } from '../errors'
import { checkFunction, checkInteger, checkText } from '../checks/arguments'
import { optionNames, takeOptions } from '../checks/known-options'
import { captureContext, report } from '../extension'
import type { DialTarget } from '../index'
import { checkEndpoint, checkServerName } from './endpoint'
import { type EtcdConnectionOptions, EtcdGateway, type Liveness, toBase64 } from './etcd-gateway'
import { recordOf } from './etcd-records'
import { Pacer } from './pacer'

/** Options of {@link register}. */
export interface RegisterOptions extends EtcdConnectionOptions {
  /** The key of this server, such as `/services/echo/10.0.0.1:8000`: no other server may have it. */
  readonly key: string
  /** Where clients dial. */
  readonly address: DialTarget
  /** Its share of the calls, relative to the others. Default 1. */
  readonly weight?: number | undefined
  /** The name that its certificate has to be valid for, with TLS. Default: the host of `address`. */
  readonly servername?: string | undefined
  /** Seconds after which etcd forgets the server if it has died, from 2 to 3,600. Default 10. */
  readonly ttl?: number | undefined
  /** Is told when etcd could not be reached, or has said no. Default: a line on stderr. */
  readonly onError?: ((error: unknown) => void) | undefined
}

const registerNames = optionNames<RegisterOptions>({
  url: true,
  key: true,
  address: true,
  weight: true,
  servername: true,
  ttl: true,
  tls: true,
  headers: true,
  onError: true,
})

/** Milliseconds between attempts to reach an etcd that does not answer. */
const retryInterval = 1_000

/** A server's entry in etcd. Made by {@link register}. */
export interface Registration extends AsyncDisposable {
  /**
   * Removes the entry, so that clients make no more calls: the first step of a shutdown. Does not reject: where etcd cannot be
   * reached, the error is reported, and the entry ends after `ttl` seconds.
   */
  close(): Promise<void>
}

/**
 * Enters a server in etcd for as long as it lives: with a lease, which is kept alive. If etcd has lost the lease, the server is
 * entered again.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; NetpollError `ERR_ETCD`, or what the system says,
 * where the first attempt fails (all as rejections)
 *
 * @example
 * ```ts
 * import { createServer, lengthField } from 'netpoll'
 * import { register } from 'netpoll/cluster'
 *
 * export async function serve(port: number): Promise<void> {
 *   const server = createServer({ framing: lengthField({ size: 4 }) }, (request) => request)
 *   await server.listen({ port })
 *   const registration = await register({
 *     url: 'http://127.0.0.1:2379',
 *     key: `/services/echo/10.0.0.1:${port}`,
 *     address: { host: '10.0.0.1', port },
 *   })
 *   process.once('SIGTERM', async () => {
 *     await registration.close()
 *     await server.close({ timeout: 30_000 })
 *   })
 * }
 * ```
 */
export async function register(options: RegisterOptions): Promise<Registration> {
  const taken = takeOptions('options', options, registerNames)
  const { key, address, weight, servername, ttl = 10, onError, ...connection } = taken
  checkText('options.key', key)
  checkInteger('options.ttl', ttl, 2, 3_600)
  checkFunction('onError', onError)
  const endpoint = checkEndpoint({ address, weight, servername })
  checkServerName(endpoint)
  const context = captureContext()
  const entry = new Entry(new EtcdGateway(connection), key, recordOf(endpoint), ttl, (error) =>
    report(onError, error, undefined, context),
  )
  await entry.enter('awaited')
  entry.keepAlive()
  return entry
}

class Entry implements Registration {
  readonly #gateway: EtcdGateway
  readonly #key: string
  readonly #value: string
  readonly #ttl: number
  readonly #failed: (error: unknown) => void
  readonly #abandonment = new AbortController()
  readonly #pacer = new Pacer(this.#abandonment.signal)
  /** The last that was granted, whether or not the entry is under it. */
  #lease: string | undefined
  #isEntered = false
  #kept: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(
    gateway: EtcdGateway,
    key: string,
    value: string,
    ttl: number,
    failed: (error: unknown) => void,
  ) {
    this.#gateway = gateway
    this.#key = key
    this.#value = value
    this.#ttl = ttl
    this.#failed = failed
  }

  /** Takes a lease, and puts the entry under it. */
  async enter(liveness: Liveness): Promise<void> {
    this.#isEntered = false
    const granted = (await this.#call('/v3/lease/grant', { TTL: this.#ttl }, liveness)) as {
      readonly ID?: unknown
    }
    if (typeof granted.ID !== 'string') throw new NetpollError('ERR_ETCD', 'etcd has granted no lease')
    this.#lease = granted.ID
    const entry = { key: toBase64(this.#key), value: toBase64(this.#value), lease: granted.ID }
    await this.#call('/v3/kv/put', entry, liveness)
    this.#isEntered = true
  }

  keepAlive(): void {
    this.#kept = this.#keepAlive()
  }

  close(): Promise<void> {
    this.#closed ??= this.#leave()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #keepAlive(): Promise<void> {
    const { signal } = this.#abandonment
    let pause = (this.#ttl * 1_000) / 3
    while (!signal.aborted) {
      await this.#pacer.pause(pause, pause)
      if (signal.aborted) return
      try {
        if (!(await this.#isAlive())) await this.enter('background')
        pause = (this.#ttl * 1_000) / 3
      } catch (error) {
        pause = Math.min(retryInterval, pause)
        this.#failed(error)
      }
    }
  }

  /** Has the lease live on; false where etcd has lost it. */
  async #isAlive(): Promise<boolean> {
    if (!this.#isEntered) return false
    const answer = (await this.#call('/v3/lease/keepalive', { ID: this.#lease }, 'background')) as {
      readonly result?: { readonly TTL?: unknown }
    }
    return Number(answer.result?.TTL ?? 0) > 0
  }

  async #leave(): Promise<void> {
    this.#abandonment.abort()
    await this.#kept
    if (this.#lease === undefined) return
    try {
      await this.#gateway.call('/v3/lease/revoke', { ID: this.#lease }, 'awaited')
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Not given up by {@link close}, which has to know what has become of it. */
  #call(path: string, body: object, liveness: Liveness): Promise<unknown> {
    return this.#gateway.call(path, body, liveness)
  }
}
