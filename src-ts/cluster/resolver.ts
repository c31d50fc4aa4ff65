import { invalidType } from '../errors'
import type { Endpoint } from './endpoint'
import { checkEndpoint, checkServerName } from './endpoint'

/**
 * Finds the servers of a service, and follows how they change.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { setTimeout as pause } from 'node:timers/promises'
 * import type { Endpoint, Resolver } from 'netpoll/cluster'
 *
 * class FileResolver implements Resolver {
 *   readonly #path: string
 *
 *   constructor(path: string) {
 *     this.#path = path
 *   }
 *
 *   async *watch(signal: AbortSignal): AsyncGenerator<readonly Endpoint[]> {
 *     while (!signal.aborted) {
 *       yield JSON.parse(await readFile(this.#path, 'utf8'))
 *       await pause(1_000, undefined, { signal, ref: false })
 *     }
 *   }
 * }
 * ```
 */
export interface Resolver {
  /**
   * Gives the list of all servers, and the whole list again whenever it has changed, until `signal` aborts. The cluster
   * keeps its list when this ends. When it throws, the cluster reports the error, keeps its list, and calls `watch` again
   * after a pause.
   */
  watch(signal: AbortSignal): AsyncIterable<readonly Endpoint[]>
  /** A server was lost: a resolver that asks from time to time may ask now. */
  readonly refresh?: (() => void) | undefined
}

/** Whether it is a resolver, and no address. */
export function isResolver(value: unknown): value is Resolver {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { readonly watch?: unknown }).watch === 'function'
  )
}

/** @throws TypeError with `ERR_INVALID_ARG_TYPE` */
export function checkResolver(value: unknown): asserts value is Resolver {
  if (!isResolver(value)) throw invalidType('resolver', 'a Resolver', value)
}

/**
 * A resolver of servers that do not change.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 *
 * @example
 * ```ts
 * import { fixed } from 'netpoll/cluster'
 *
 * const resolver = fixed([{ address: { host: '127.0.0.1', port: 8000 } }, { address: { path: '/run/server.sock' } }])
 * console.log(typeof resolver.watch) // function
 * ```
 */
export function fixed(endpoints: readonly Endpoint[]): Resolver {
  if (!Array.isArray(endpoints)) throw invalidType('endpoints', 'an array of endpoints', endpoints)
  const checked = endpoints.map(checkEndpoint)
  checked.forEach(checkServerName)
  const list = checked.map(asGiven)
  return {
    async *watch() {
      yield list
    },
  }
}

function asGiven({ address, weight, servername }: Endpoint): Endpoint {
  return servername === undefined ? { address, weight } : { address, weight, servername }
}
