import { randomUUID } from 'node:crypto'

import { invalidType, invalidValue } from '../errors'
import { checkFunction, checkInteger, checkText } from '../checks/arguments'
import { optionNames, takeOptions } from '../checks/known-options'
import {
  backoffNames,
  captureContext,
  clientTlsNames,
  idNames,
  maxTimeout,
  muxOptionNames,
  report,
  takeTls,
  timeLimit,
} from '../extension'
import { type Balancer, checkBalancer, leastLoaded } from './balancer'
import type { CheckedEjection } from './ejection'
import type { LinkMuxOptions } from './endpoint-link'

/** How often calls that have failed are made again. */
export interface RetryOptions {
  /** Further tries of an `idempotent` call that may have been sent, from 0 to 10. Default 2. */
  readonly tries?: number | undefined
  /** Retries and hedges at most, as a share of the calls of the last ten seconds, from 0 to 1. Default 0.2. */
  readonly ratio?: number | undefined
  /** Retries and hedges beside that share, each second. Default 10. */
  readonly perSecond?: number | undefined
}

/** When a second try of an `idempotent` call is made beside the first. */
export interface HedgeOptions {
  /** Milliseconds that the first try may take. */
  readonly delay: number
}

/** When a server that fails gets no more calls. */
export interface EjectionOptions {
  /** Failures in a row, `Infinity` for never. Default 5. */
  readonly failures?: number | undefined
  /** Milliseconds until the first probe. Default 1,000. */
  readonly min?: number | undefined
  /** What the doubled times end at. Default 30,000. */
  readonly max?: number | undefined
  /** Servers that may be out at once, as a share of all, from 0 to 1. Default 0.5. */
  readonly share?: number | undefined
}

/** What a cluster's options say about the cluster itself. */
export interface ClusterLimits {
  /** Chooses the server of each call. Default {@link leastLoaded}. */
  readonly balancer?: Balancer | undefined
  /** How often calls that have failed are made again. */
  readonly retry?: RetryOptions | undefined
  /** When a second try of an `idempotent` call is made beside the first. Default: never. */
  readonly hedge?: HedgeOptions | undefined
  /** When a server that fails gets no more calls. */
  readonly ejection?: EjectionOptions | undefined
  /** Milliseconds in which a server that has come, or has come back, gets more and more calls; 0 for none. Default 10,000. */
  readonly slowStart?: number | undefined
  /** Servers that the cluster connects to, 0 for all. Default 20. */
  readonly subset?: number | undefined
  /** Decides which servers those are. Default: a random text, so that clients share the servers. */
  readonly clientId?: string | undefined
  /** Milliseconds that calls to a server have which is in the list no longer; 0 for ever. Default 30,000. */
  readonly drainTimeout?: number | undefined
  /** Calls that may wait until any server is ready. The next gets `ERR_NO_ENDPOINT`. Default 10,000. */
  readonly maxWaiters?: number | undefined
  /**
   * Whether a reply says that its server cannot serve at present. It counts as a failure of the server, and an `idempotent`
   * call is made again. Default: no reply does.
   */
  readonly isUnavailable?: ((reply: Buffer) => boolean) | undefined
}

/**
 * Options of `new Cluster`: those of a `Mux`, for each server, and those of the cluster. `connections` is 1 by default. A cluster
 * decides `failFast`, `maxIdleTime` and `onReadyChange` itself.
 */
export type ClusterOptions = LinkMuxOptions & ClusterLimits

/** Of `new Cluster`, beside those of a mux. */
export const clusterLimitNames = optionNames<ClusterLimits>({
  balancer: true,
  retry: true,
  hedge: true,
  ejection: true,
  slowStart: true,
  subset: true,
  clientId: true,
  drainTimeout: true,
  maxWaiters: true,
  isUnavailable: true,
})

/** Of `new Cluster`. */
export const clusterOptionNames = optionNames<ClusterOptions>({
  ...ofLinks(muxOptionNames),
  ...clusterLimitNames,
})

function ofLinks(
  names: typeof muxOptionNames,
): Omit<typeof muxOptionNames, 'failFast' | 'maxIdleTime' | 'onReadyChange'> {
  const { failFast, maxIdleTime, onReadyChange, ...others } = names
  return others
}

const retryNames = optionNames<RetryOptions>({ tries: true, ratio: true, perSecond: true })
const hedgeNames = optionNames<HedgeOptions>({ delay: true })
const ejectionNames = optionNames<EjectionOptions>({ failures: true, min: true, max: true, share: true })

/** {@link RetryOptions} after checking. */
export interface CheckedRetry {
  readonly tries: number
  readonly ratio: number
  readonly perSecond: number
}

/** Options after checking. */
export interface CheckedClusterOptions {
  readonly balancer: Balancer
  readonly retry: CheckedRetry
  /** Milliseconds; `undefined` for no hedges. */
  readonly hedgeDelay: number | undefined
  readonly ejection: CheckedEjection
  readonly slowStart: number
  /** `Infinity` for all. */
  readonly subset: number
  readonly clientId: string
  /** `undefined` for ever. */
  readonly drainTimeout: number | undefined
  readonly maxWaiters: number
  readonly isUnavailable: ((reply: Buffer) => boolean) | undefined
  readonly requestTimeout: number
  /** Tells the user of what reaches no caller. */
  readonly tell: (error: unknown) => void
}

/**
 * Parts what is said about the cluster from what is said about each mux.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; RangeError `ERR_OUT_OF_RANGE`
 */
export function partClusterOptions(options: ClusterOptions): {
  readonly ofCluster: CheckedClusterOptions
  readonly ofMux: LinkMuxOptions
} {
  const taken = takeOptions<ClusterOptions>('options', options, clusterOptionNames)
  const {
    balancer,
    retry,
    hedge,
    ejection,
    slowStart,
    subset,
    clientId,
    drainTimeout,
    maxWaiters,
    isUnavailable,
    ...others
  } = taken
  const { connections = 1 } = others
  const ofMux: LinkMuxOptions = { ...others, ...takeMembers(others), connections }
  return { ofCluster: checkLimits(taken), ofMux }
}

/** What has members is taken once as well: muxes are made of it later, when its owner may have changed it. */
function takeMembers({ backoff, id, tls }: LinkMuxOptions): Partial<LinkMuxOptions> {
  return {
    ...(isObject(backoff) && { backoff: takeOptions('options.backoff', backoff, backoffNames) }),
    ...(isObject(id) && { id: takeOptions('options.id', id, idNames) }),
    ...(isObject(tls) && { tls: takeTls(tls, clientTlsNames) }),
  }
}

/** All else is left to the mux to refuse. */
function isObject<Value>(value: Value): value is Value & object {
  return typeof value === 'object' && value !== null
}

function checkLimits(options: ClusterOptions): CheckedClusterOptions {
  const { balancer = leastLoaded(), subset = 20, maxWaiters = 10_000, clientId = randomUUID() } = options
  checkBalancer(balancer)
  checkText('options.clientId', clientId)
  const all = subset === 0 || subset === Number.POSITIVE_INFINITY || balancer.usesAll === true
  if (subset !== Number.POSITIVE_INFINITY) checkInteger('options.subset', subset, 0, Number.MAX_SAFE_INTEGER)
  checkInteger('options.maxWaiters', maxWaiters, 0, Number.MAX_SAFE_INTEGER)
  checkFunction('isUnavailable', options.isUnavailable)
  const context = captureContext()
  const drainTimeout = timeLimit('options.drainTimeout', options.drainTimeout, 30_000)
  return {
    balancer,
    retry: checkRetry(options.retry),
    hedgeDelay: checkHedge(options.hedge),
    ejection: checkEjection(options.ejection),
    slowStart: timeLimit('options.slowStart', options.slowStart, 10_000),
    subset: all ? Number.POSITIVE_INFINITY : subset,
    clientId,
    drainTimeout: drainTimeout === 0 ? undefined : drainTimeout,
    maxWaiters,
    isUnavailable: options.isUnavailable,
    requestTimeout: timeLimit('options.requestTimeout', options.requestTimeout, 0),
    tell: (error) => report(options.onError, error, undefined, context),
  }
}

function checkRetry(options: RetryOptions = {}): CheckedRetry {
  const { tries = 2, ratio = 0.2, perSecond = 10 } = takeOptions('options.retry', options, retryNames)
  checkInteger('options.retry.tries', tries, 0, 10)
  checkShare('options.retry.ratio', ratio)
  checkInteger('options.retry.perSecond', perSecond, 0, 1_000_000)
  return { tries, ratio, perSecond }
}

function checkHedge(options: HedgeOptions | undefined): number | undefined {
  if (options === undefined) return undefined
  const { delay } = takeOptions('options.hedge', options, hedgeNames)
  checkInteger('options.hedge.delay', delay, 1, maxTimeout)
  return delay
}

function checkEjection(options: EjectionOptions = {}): CheckedEjection {
  const taken = takeOptions('options.ejection', options, ejectionNames)
  const { failures = 5, min = 1_000, share = 0.5 } = taken
  if (failures !== Number.POSITIVE_INFINITY) {
    checkInteger('options.ejection.failures', failures, 1, Number.MAX_SAFE_INTEGER)
  }
  checkInteger('options.ejection.min', min, 1, maxTimeout)
  const { max = Math.max(min, 30_000) } = taken
  checkInteger('options.ejection.max', max, min, maxTimeout)
  checkShare('options.ejection.share', share)
  return { failures, min, max, share }
}

function checkShare(name: string, value: unknown): void {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (!(value >= 0 && value <= 1)) throw invalidValue(name, 'must be a number from 0 to 1', value)
}
