import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'

import { NetpollError } from '../errors'
import { forgetSignal, reasonOf } from '../abort'
import { clearTimeout, setTimeout } from '../time/timers'
import { isThenable, whenSettled } from '../checks/thenables'

/** An IP address, and its family. */
export interface ResolvedAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** What a lookup is to find, and what ends the wait for it. */
export interface LookupLimits {
  /** Addresses of which family, 0 for both. */
  readonly family: 0 | 4 | 6
  readonly signal: AbortSignal | undefined
  /** Milliseconds, 0 for none. */
  readonly timeout: number
}

/**
 * The addresses of a name, at least one, in the lookup's order. An IP address is its own. A lookup cannot be
 * called off: past its limits no dial waits for it, and what it finds is dropped.
 *
 * @throws (as a rejection) whatever `lookup` throws or reports; NetpollError `ENOTFOUND` for no address,
 * `ERR_INVALID_IP_ADDRESS` for something that is none, `ERR_DIAL_TIMEOUT`; the signal's reason
 */
export async function resolveHost(
  host: string,
  lookup: LookupFunction,
  limits: LookupLimits,
): Promise<readonly ResolvedAddress[]> {
  const family = familyOf(host)
  if (family !== undefined) return [{ address: host, family }]
  return checkFound(host, await lookUp(host, lookup, limits))
}

/** What a lookup gives: a list, or, if it knows only one address, that alone. */
type Found = string | LookupAddress | readonly LookupAddress[]

function lookUp(
  host: string,
  lookup: LookupFunction,
  { family, signal, timeout }: LookupLimits,
): Promise<Found> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => {
      settle()
      reject(reasonOf(signal))
    }
    const expire = (): void => {
      settle()
      const message = `The addresses of ${host} were not found within connectTimeout`
      reject(new NetpollError('ERR_DIAL_TIMEOUT', message))
    }
    const timer = timeout > 0 ? setTimeout(expire, timeout) : undefined
    const settle = (): void => {
      clearTimeout(timer)
      forgetSignal(signal, abandon)
    }
    const failed = (error: unknown): void => {
      settle()
      reject(error)
    }
    const foundAll = (found: Found): void => {
      settle()
      resolve(found)
    }
    try {
      signal?.addEventListener('abort', abandon, { once: true })
      const options = { all: true, order: 'verbatim', family, hints: 0 } as const
      const pending: unknown = lookup(host, options, (error, found) => {
        if (error) failed(error)
        else foundAll(found)
      })
      // One that is asynchronous may still call back; what it resolves with counts where that is an answer.
      if (isThenable(pending)) whenSettled(pending, (value) => isFound(value) && foundAll(value), failed)
    } catch (error) {
      failed(error)
    }
  })
}

/** Whether a promise of a lookup has resolved with addresses, as those of `node:dns/promises` do. */
function isFound(value: unknown): value is Found {
  return typeof value === 'string' || Array.isArray(value) || isAddress(value)
}

function isAddress(value: unknown): value is LookupAddress {
  return typeof value === 'object' && value !== null && 'address' in value
}

function checkFound(host: string, found: Found): readonly ResolvedAddress[] {
  const addresses = Array.isArray(found)
    ? found.map(({ address }) => address)
    : [isAddress(found) ? found.address : (found as string)]
  if (addresses.length === 0) {
    throw new NetpollError('ENOTFOUND', `The lookup found no address of ${host}`)
  }
  return addresses.map((address) => {
    const family = familyOf(address)
    if (family !== undefined) return { address, family }
    const message = `The lookup of ${host} gave ${String(address)}, which is no IP address`
    throw new NetpollError('ERR_INVALID_IP_ADDRESS', message)
  })
}

function familyOf(address: string): 4 | 6 | undefined {
  const family = isIP(address)
  return family === 4 || family === 6 ? family : undefined
}
