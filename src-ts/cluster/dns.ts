import { promises, type SrvRecord } from 'node:dns'

import { invalidType, invalidValue } from '../errors'
import { checkInteger, checkText } from '../checks/arguments'
import { optionNames, takeOptions } from '../checks/known-options'
import { clock, forgetSignal, maxTimeout } from '../extension'
import type { Endpoint } from './endpoint'
import { Pacer } from './pacer'
import type { Resolver } from './resolver'

/** Options of {@link dns}. */
export interface DnsOptions {
  /** Port of all servers. Records of type SRV have their own. */
  readonly port?: number | undefined
  /** Which records are asked for. Default `'A'`. */
  readonly type?: 'A' | 'AAAA' | 'SRV' | undefined
  /**
   * Milliseconds until the name is asked for again where its records have no time to live. Node.js tells none of type SRV, and
   * none where the system was asked. Default 5,000.
   */
  readonly refresh?: number | undefined
  /** Servers of DNS to ask, as `setServers` of `node:dns` takes them. Default: those of the system. */
  readonly servers?: readonly string[] | undefined
}

const dnsNames = optionNames<DnsOptions>({ port: true, type: true, refresh: true, servers: true })

/** Milliseconds between questions at least, and within which a name is asked for again at the latest. */
const minInterval = 1_000
const maxInterval = 30_000

/** Milliseconds until a question is asked once more. */
const questionTimeout = 2_000

/** What was found, and for how many milliseconds it holds. */
interface Answer {
  readonly endpoints: readonly Endpoint[]
  readonly timeToLive: number
}

type Ask = (resolver: promises.Resolver) => Promise<Answer>

/**
 * Finds servers by DNS. A name is asked for again when its time to live is over, within 1 to 30 s. It is asked for at once
 * after a connection was lost. Where there are no records, as of `localhost` and short names, the system is asked.
 * The `servername` of each endpoint is the name.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 *
 * @example
 * ```ts
 * import { lengthField } from 'netpoll'
 * import { Cluster, dns } from 'netpoll/cluster'
 *
 * const cluster = new Cluster(dns('localhost', { port: 8000 }), {
 *   framing: lengthField({ size: 4 }),
 *   onError: (error) => console.error(error),
 * })
 * await cluster.close()
 * ```
 */
export function dns(name: string, options: DnsOptions = {}): Resolver {
  checkText('name', name)
  const { port, type = 'A', refresh = 5_000, servers: given } = takeOptions('options', options, dnsNames)
  checkInteger('options.refresh', refresh, minInterval, maxTimeout)
  if (type !== 'A' && type !== 'AAAA' && type !== 'SRV') {
    throw invalidValue('options.type', "must be 'A', 'AAAA' or 'SRV'", type)
  }
  const servers = takeServers(given)
  if (type === 'SRV') {
    if (port !== undefined) throw invalidValue('options.port', 'means nothing to records of type SRV', port)
    return new DnsResolver(servers, async (resolver) => {
      const records = await resolver.resolveSrv(name)
      return { endpoints: endpointsOfServices(name, records), timeToLive: refresh }
    })
  }
  checkInteger('options.port', port, 1, 65_535)
  const endpoint = (host: string): Endpoint => ({
    address: { host, port: port as number },
    servername: name,
  })
  const family = type === 'A' ? 4 : 6
  return new DnsResolver(servers, async (resolver) => {
    try {
      const records = await (family === 4
        ? resolver.resolve4(name, { ttl: true })
        : resolver.resolve6(name, { ttl: true }))
      const timeToLive = Math.min(...records.map(({ ttl }) => ttl * 1_000))
      if (records.length > 0 || servers !== undefined) {
        return { endpoints: records.map(({ address }) => endpoint(address)), timeToLive }
      }
    } catch (error) {
      if (servers !== undefined) throw error
    }
    return { endpoints: (await systemsAddresses(name, family)).map(endpoint), timeToLive: refresh }
  })
}

/** What is wrong with them is to be thrown here, and what is changed later changes nothing. */
function takeServers(servers: readonly string[] | undefined): readonly string[] | undefined {
  if (servers === undefined) return undefined
  if (!Array.isArray(servers)) throw invalidType('options.servers', 'an array of addresses', servers)
  if (servers.length === 0) throw invalidValue('options.servers', 'must not be empty', servers)
  const taken = Array.from(servers as readonly string[])
  new promises.Resolver().setServers(taken)
  return taken
}

/** Asks from time to time. */
class DnsResolver implements Resolver {
  readonly #servers: readonly string[] | undefined
  readonly #ask: Ask
  readonly #pacers = new Set<Pacer>()
  /** When the last question was asked, on our clock. */
  #asked = Number.NEGATIVE_INFINITY

  constructor(servers: readonly string[] | undefined, ask: Ask) {
    this.#servers = servers
    this.#ask = ask
  }

  async *watch(signal: AbortSignal): AsyncGenerator<readonly Endpoint[]> {
    const resolver = new promises.Resolver({ timeout: questionTimeout, tries: 2 })
    if (this.#servers !== undefined) resolver.setServers(this.#servers)
    const cancel = (): void => resolver.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    const pacer = new Pacer(signal)
    this.#pacers.add(pacer)
    try {
      // Also where the last question was answered by an error.
      await pacer.until(this.#asked + minInterval)
      while (!signal.aborted) {
        this.#asked = clock.now()
        const { endpoints, timeToLive } = await this.#ask(resolver)
        yield endpoints
        await pacer.pause(minInterval, Math.min(maxInterval, Math.max(minInterval, timeToLive)))
      }
    } finally {
      forgetSignal(signal, cancel)
      this.#pacers.delete(pacer)
    }
  }

  readonly refresh = (): void => {
    for (const pacer of this.#pacers) pacer.hurry()
  }
}

/** Of the records with the lowest priority: the others are for when these are gone. */
function endpointsOfServices(name: string, records: readonly SrvRecord[]): readonly Endpoint[] {
  const first = Math.min(...records.map(({ priority }) => priority))
  return records
    .filter(({ priority }) => priority === first)
    .map(({ name: host, port, weight }) => ({
      address: { host, port },
      // 0 means very little, beside others.
      weight: Math.max(weight, 1),
      servername: name,
    }))
}

async function systemsAddresses(name: string, family: 4 | 6): Promise<readonly string[]> {
  const found = await promises.lookup(name, { all: true, family })
  return found.map(({ address }) => address)
}
