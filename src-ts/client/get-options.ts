import { takeSignal, throwIfAborted } from '../abort'
import { optionNames, refuseUnknown } from '../checks/known-options'
import { deadlineOf, endOf, timeLimit } from '../time/time-limits'

/** Options of `pool.get` and `mux.connect`. */
export interface GetOptions {
  /**
   * Milliseconds to wait, 0 for ever: until `ERR_POOL_TIMEOUT`, or `ERR_DIAL_TIMEOUT` of a mux. Default: `waitTimeout` of a
   * pool, 0 of a mux.
   */
  readonly timeout?: number | undefined
  /** When the caller gives up waiting at the latest, a `Date` or milliseconds since the epoch. Default: none. */
  readonly deadline?: Date | number | undefined
  /** Gives up waiting, and rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined
}

const getOptionNames = optionNames<GetOptions>({ timeout: true, deadline: true, signal: true })

/** {@link GetOptions} after checking. */
export interface CheckedGetOptions {
  /** What the option `deadline` says, on our clock; `Infinity` without one. */
  readonly latest: number
  /** When waiting is given up, on our clock. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
}

/**
 * Checks the options of `pool.get` and `mux.connect`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; the signal's reason
 */
export function checkGetOptions(options: GetOptions, waitTimeout: number): CheckedGetOptions {
  refuseUnknown('options', options, getOptionNames)
  const { signal: givenSignal, timeout: limit, deadline: latestTime } = options
  const timeout = timeLimit('options.timeout', limit, waitTimeout)
  const latest = deadlineOf('options.deadline', latestTime)
  const signal = takeSignal(givenSignal)
  throwIfAborted(signal)
  return { latest, deadline: Math.min(endOf(timeout), latest), signal }
}
