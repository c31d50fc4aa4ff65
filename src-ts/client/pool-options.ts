import type { BytesOption } from '../memory/message-types'
import { type OptionNames, optionNames, takeOptions } from '../checks/known-options'
import { timeLimit, timeLimits } from '../time/time-limits'
import { checkInteger } from '../checks/arguments'
import { dialerOptionNames, type DialerOptions } from './options'

/** What a pool's options say about the pool itself. */
export interface PoolLimits {
  /** Connections at most, those that are being dialed or closed included. Default 100. */
  readonly connections?: number | undefined
  /**
   * Connections that are kept ready beside those in use, as far as `connections` allows. They are dialed at once, and
   * replaced when they are taken or lost. Default 0.
   */
  readonly minIdle?: number | undefined
  /**
   * Milliseconds after which a connection that no caller uses is closed, unless it is one of `minIdle`; 0 for never.
   * Default 60,000.
   */
  readonly maxIdleTime?: number | undefined
  /** Milliseconds after which a connection is used no more, once it is free; 0, the default, for ever. */
  readonly maxLifetime?: number | undefined
  /**
   * Callers that may wait for a connection beside those for whom there is room to dial one. The next caller gets
   * `ERR_POOL_FULL`. Default: no limit.
   */
  readonly maxWaiters?: number | undefined
  /** Milliseconds that a caller waits for a connection, until `ERR_POOL_TIMEOUT`; 0, the default, for ever. */
  readonly waitTimeout?: number | undefined
}

/** Options of `new Pool`. */
export type PoolOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> = DialerOptions<Data, Bytes> &
  PoolLimits

const limitNames: OptionNames<PoolLimits> = {
  connections: true,
  minIdle: true,
  maxIdleTime: true,
  maxLifetime: true,
  maxWaiters: true,
  waitTimeout: true,
}

/** Of `new Pool`. */
export const poolOptionNames = optionNames<PoolOptions>({ ...dialerOptionNames, ...limitNames })

/** Options after checking. */
export interface CheckedPoolOptions {
  readonly connections: number
  readonly minIdle: number
  readonly maxIdleTime: number
  readonly maxLifetime: number
  readonly maxWaiters: number
  readonly waitTimeout: number
}

/**
 * Parts what is said about the pool from what is said about its dials.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function partPoolOptions<Data, Bytes extends BytesOption>(
  options: PoolOptions<Data, Bytes>,
): { readonly ofPool: CheckedPoolOptions; readonly ofDialer: DialerOptions } {
  const taken = takeOptions<PoolOptions<Data, Bytes>>('options', options, poolOptionNames)
  const { connections, minIdle, maxIdleTime, maxLifetime, maxWaiters, waitTimeout, ...ofDialer } = taken
  return { ofPool: checkLimits(taken), ofDialer: ofDialer as typeof ofDialer & DialerOptions }
}

function checkLimits(options: PoolLimits): CheckedPoolOptions {
  const { connections = 100, minIdle = 0 } = options
  checkInteger('options.connections', connections, 1, 1_000_000)
  checkInteger('options.minIdle', minIdle, 0, connections)
  const time = (name: keyof typeof timeLimits.pool): number =>
    timeLimit(`options.${name}`, options[name], timeLimits.pool[name])
  if (options.maxWaiters !== undefined) {
    checkInteger('options.maxWaiters', options.maxWaiters, 0, Number.MAX_SAFE_INTEGER)
  }
  const maxWaiters = options.maxWaiters ?? Number.POSITIVE_INFINITY
  return {
    connections,
    minIdle,
    maxIdleTime: time('maxIdleTime'),
    maxLifetime: time('maxLifetime'),
    maxWaiters,
    waitTimeout: time('waitTimeout'),
  }
}
