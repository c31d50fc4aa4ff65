import { NetpollError } from '../errors'
import { checkFunction, checkText } from '../checks/arguments'
import { optionNames, takeOptions } from '../checks/known-options'
import { clearTimeout, refusePromise, setTimeout } from '../extension'
import type { Endpoint } from './endpoint'
import { type EtcdConnectionOptions, EtcdGateway, fromBase64, toBase64 } from './etcd-gateway'
import { parseRecord } from './etcd-records'
import type { Resolver } from './resolver'

/** Options of {@link etcd}. */
export interface EtcdOptions extends EtcdConnectionOptions {
  /** What the keys of all servers begin with, such as `/services/echo/`. */
  readonly prefix: string
  /**
   * Reads the value of a key; `undefined` for one that is no server. Default: what {@link register} and Kitex write, or
   * `host:port` alone. The cluster reports what it throws, and leaves out that server.
   */
  readonly parse?: ((value: string, key: string) => Endpoint | undefined) | undefined
}

const etcdNames = optionNames<EtcdOptions>({ url: true, prefix: true, parse: true, tls: true, headers: true })

/** Milliseconds after which the whole list is asked for, so that a watch that is dead does not go unnoticed. */
const checkInterval = 10_000

/** What etcd says of a key. */
interface KeyValue {
  readonly key?: unknown
  readonly value?: unknown
}

/**
 * Finds servers in etcd, version 3.4 or later, by its JSON gateway: all keys with a prefix, and each change.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 *
 * @example
 * ```ts
 * import { lengthField } from 'netpoll'
 * import { Cluster, etcd } from 'netpoll/cluster'
 *
 * const resolver = etcd({ url: 'http://127.0.0.1:2379', prefix: '/services/echo/' })
 * const cluster = new Cluster(resolver, {
 *   framing: lengthField({ size: 4 }),
 *   onError: (error) => console.error(error),
 * })
 * await cluster.close()
 * ```
 */
export function etcd(options: EtcdOptions): Resolver {
  const { prefix, parse = parseRecord, ...connection } = takeOptions('options', options, etcdNames)
  checkText('options.prefix', prefix)
  checkFunction('parse', parse)
  const gateway = new EtcdGateway(connection)
  return { watch: (signal) => watch(gateway, prefix, parse, signal) }
}

/** The servers of a prefix: all of them first, then each change. Throws where that breaks off, to begin anew. */
async function* watch(
  gateway: EtcdGateway,
  prefix: string,
  parse: NonNullable<EtcdOptions['parse']>,
  signal: AbortSignal,
): AsyncGenerator<readonly Endpoint[]> {
  for (;;) {
    const list = await listOf(gateway, prefix, signal)
    const endpoints = new Map(list.pairs.map(({ key, value }) => [key, read(parse, key, value)]))
    yield present(endpoints)
    const check = new Check(gateway, prefix, signal)
    try {
      const start = { key: toBase64(prefix), range_end: endOf(prefix), start_revision: list.next }
      for await (const message of gateway.stream('/v3/watch', { create_request: start }, check.signal)) {
        const { canceled, compact_revision: compacted, events, cancel_reason: reason } = resultOf(message)
        if (canceled === true && compacted !== undefined) break
        if (canceled === true)
          throw new NetpollError('ERR_ETCD', `The watch was cancelled: ${String(reason)}`)
        if (!Array.isArray(events)) continue
        for (const event of events) apply(endpoints, event, parse)
        yield present(endpoints)
      }
    } catch (error) {
      throw check.failure ?? error
    } finally {
      check.stop()
    }
  }
}

/** All pairs of a prefix, and the revision from which on to watch. */
async function listOf(gateway: EtcdGateway, prefix: string, signal: AbortSignal) {
  const body = { key: toBase64(prefix), range_end: endOf(prefix) }
  const answer = (await gateway.call('/v3/kv/range', body, 'background', signal)) as {
    readonly header?: { readonly revision?: unknown }
    readonly kvs?: unknown
  }
  const revision = answer.header?.revision
  if (typeof revision !== 'string' || !/^\d+$/.test(revision)) {
    throw new NetpollError('ERR_ETCD', 'etcd has answered without a revision')
  }
  const pairs = Array.isArray(answer.kvs) ? answer.kvs : []
  return {
    pairs: pairs.map(({ key, value }: KeyValue) => ({ key: fromBase64(key), value: fromBase64(value) })),
    next: String(BigInt(revision) + 1n),
  }
}

function apply(
  endpoints: Map<string, Endpoint | undefined>,
  event: { readonly type?: unknown; readonly kv?: KeyValue },
  parse: NonNullable<EtcdOptions['parse']>,
): void {
  const key = fromBase64(event.kv?.key)
  if (event.type === 'DELETE') endpoints.delete(key)
  else endpoints.set(key, read(parse, key, fromBase64(event.kv?.value)))
}

function resultOf(message: unknown): { readonly [name: string]: unknown } {
  const { result, error } = message as { readonly result?: unknown; readonly error?: unknown }
  if (typeof result === 'object' && result !== null) return result as { readonly [name: string]: unknown }
  throw new NetpollError('ERR_ETCD', `The watch has failed: ${JSON.stringify(error)}`)
}

const present = (endpoints: ReadonlyMap<string, Endpoint | undefined>): readonly Endpoint[] =>
  Array.from(endpoints.values()).filter((endpoint) => endpoint !== undefined)

function read(parse: NonNullable<EtcdOptions['parse']>, key: string, value: string): Endpoint | undefined {
  try {
    const endpoint: unknown = parse(value, key)
    refusePromise('options.parse', endpoint)
    return endpoint as Endpoint | undefined
  } catch (cause) {
    return new Unreadable(new NetpollError('ERR_ETCD', `The value of ${key} is no server`, { cause }))
  }
}

/** What stands for a value that is no server: the cluster finds the error, reports it and leaves it out. */
class Unreadable implements Endpoint {
  readonly #error: NetpollError

  constructor(error: NetpollError) {
    this.#error = error
  }

  get address(): never {
    throw this.#error
  }
}

/** The first key behind all that begin with `prefix`. */
function endOf(prefix: string): string {
  const bytes = Buffer.from(prefix)
  // No byte of UTF-8 is the last one.
  const last = bytes.length - 1
  bytes[last] = (bytes[last] as number) + 1
  return bytes.toString('base64')
}

/** Asks etcd for a sign of life while a watch is silent. Where there is none, the watch is given up. */
class Check {
  readonly #gateway: EtcdGateway
  readonly #prefix: string
  readonly #outer: AbortSignal
  readonly #abandonment = new AbortController()
  readonly #abort = (): void => this.#abandonment.abort()
  #timer: NodeJS.Timeout | undefined
  failure: unknown

  constructor(gateway: EtcdGateway, prefix: string, outer: AbortSignal) {
    this.#gateway = gateway
    this.#prefix = prefix
    this.#outer = outer
    outer.addEventListener('abort', this.#abort, { once: true })
    if (outer.aborted) this.#abort()
    this.#wait()
  }

  get signal(): AbortSignal {
    return this.#abandonment.signal
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#outer.removeEventListener('abort', this.#abort)
    this.#abort()
  }

  #wait(): void {
    this.#timer = setTimeout(() => void this.#ask(), checkInterval)
    this.#timer.unref()
  }

  async #ask(): Promise<void> {
    try {
      const body = { key: toBase64(this.#prefix), count_only: true }
      await this.#gateway.call('/v3/kv/range', body, 'background', this.signal)
      if (!this.signal.aborted) this.#wait()
    } catch (error) {
      if (this.signal.aborted) return
      this.failure = error
      this.#abort()
    }
  }
}
