import { lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'

import { invalidValue } from '../errors'
import { maxTimeout, timeLimit, timeLimits } from '../time/time-limits'
import { checkFunction, checkInteger, checkText } from '../checks/arguments'

/** How connections are made: of a dialer for all of its dials, or of one dial, which goes first. */
export interface DialSettings {
  /**
   * Milliseconds until a dial fails with `ERR_DIAL_TIMEOUT`, from the call of `dial` on: looking up the
   * name and trying all of its addresses included. 0 for never. Default 30,000.
   */
  readonly connectTimeout?: number | undefined
  /**
   * Milliseconds that an address of a name has to answer before the next is tried beside it, at least 10.
   * Default 250.
   */
  readonly connectionAttemptDelay?: number | undefined
  /**
   * Finds the addresses of a name, called as `node:net` calls it, with `{ all: true, … }`; more than one
   * address is welcome, in the order to try them. They may also come by a promise that it returns. Default `dns.lookup`
   * of Node.js, whose order is kept.
   */
  readonly lookup?: LookupFunction | null | undefined
  /**
   * IP address of this host to connect from. Of a name's addresses only those of its family are tried. Means
   * nothing to a unix socket. Default: the system's choice.
   */
  readonly localAddress?: string | null | undefined
  /** Port to connect from; 0, the default, lets the system choose. Means nothing to a unix socket. */
  readonly localPort?: number | null | undefined
}

/** The address to dial. */
export type DialTarget =
  | {
      /** Port, 1 to 65,535; also as text, as agents have it. */
      readonly port: number | string
      /** Address or name. Default `'localhost'`. */
      readonly host?: string | null | undefined
      /** None, as agents say it. */
      readonly path?: '' | null | undefined
    }
  | {
      /**
       * Path of a unix socket; on Linux also a name of the abstract namespace, which begins with a zero byte. It goes before a
       * host and a port that agents pass beside it.
       */
      readonly path: string
      /** What agents pass beside the path. It means nothing. */
      readonly port?: number | string | null | undefined
      /** As the port. */
      readonly host?: string | null | undefined
    }

/** The address to dial, and how. */
export type DialOptions = DialTarget &
  DialSettings & {
    /**
     * When the dial is given up at the latest, a `Date` or milliseconds since the epoch: the earlier of it and
     * `connectTimeout` counts. One that has passed rejects at once. Default: none.
     */
    readonly deadline?: Date | number | undefined
    /** Gives the dial up, and rejects with the signal's reason. */
    readonly signal?: AbortSignal | null | undefined
    /** Addresses of which family the lookup is asked for: 4, 6, or 0 for both, the default. */
    readonly family?: 0 | 4 | 6 | 'IPv4' | 'IPv6' | null | undefined
  }

/** Settings after checking: nothing but the address is optional any more. */
export interface CheckedDialSettings {
  readonly connectTimeout: number
  readonly connectionAttemptDelay: number
  readonly lookup: LookupFunction
  readonly localAddress: { readonly address: string; readonly family: 4 | 6 } | undefined
  readonly localPort: number
}

/** The defaults, in one place. */
export const defaultDialSettings: CheckedDialSettings = {
  connectTimeout: timeLimits.dial.connectTimeout,
  connectionAttemptDelay: 250,
  lookup: lookup as LookupFunction,
  localAddress: undefined,
  localPort: 0,
}

/** The least that RFC 8305 allows, so that addresses which answer are not flooded. */
const minAttemptDelay = 10

/**
 * Checks settings; what they do not say is as in `others`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function checkDialSettings(settings: DialSettings, others: CheckedDialSettings): CheckedDialSettings {
  // Agents pass `null` for what they do not have.
  const localPort = settings.localPort ?? others.localPort
  const connectTimeout = timeLimit('options.connectTimeout', settings.connectTimeout, others.connectTimeout)
  const { connectionAttemptDelay = others.connectionAttemptDelay } = settings
  checkInteger('options.connectionAttemptDelay', connectionAttemptDelay, minAttemptDelay, maxTimeout)
  const ownLookup = settings.lookup ?? undefined
  checkFunction('lookup', ownLookup)
  const localAddress = settings.localAddress === '' ? undefined : (settings.localAddress ?? undefined)
  checkInteger('options.localPort', localPort, 0, 65_535)
  return {
    connectTimeout,
    connectionAttemptDelay,
    lookup: ownLookup ?? others.lookup,
    localAddress: localAddress === undefined ? others.localAddress : checkLocalAddress(localAddress),
    localPort,
  }
}

/**
 * The family that the addresses of a name are to be of, 0 for both.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE`
 */
export function checkFamily(family: unknown): 0 | 4 | 6 {
  switch (family) {
    case undefined:
    case null:
    case 0:
      return 0
    case 4:
    case 'IPv4':
      return 4
    case 6:
    case 'IPv6':
      return 6
    default:
      throw invalidValue('options.family', 'must be 0, 4 or 6', family)
  }
}

function checkLocalAddress(address: unknown): NonNullable<CheckedDialSettings['localAddress']> {
  checkText('options.localAddress', address)
  const family = isIP(address)
  if (family !== 4 && family !== 6) {
    throw invalidValue('options.localAddress', 'must be an IP address', address)
  }
  return { address, family }
}
