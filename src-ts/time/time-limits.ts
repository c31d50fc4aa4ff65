import { types } from 'node:util'

import * as clock from './clock'
import { invalidType } from '../errors'

/**
 * Every time limit that users give, and `keepAlive`, by the object that takes it, with its default in milliseconds; 0 is
 * none. `undefined` means that the default depends on the connection of a call, or on the pool of a `get`. A setter has
 * none.
 *
 * One rule holds for all of them, see {@link timeLimit}. Other times are not among them:
 *
 * - `backoff` and `connectionAttemptDelay`, which are no limits;
 * - `maxCloseTime`, which must be finite;
 * - members of the duplex, which follow those of `net.Socket`;
 * - the patience of `close`, see {@link patience}.
 */
export const timeLimits = {
  connection: {
    closeTimeout: 2_000,
    readTimeout: 0,
    writeTimeout: 0,
    idleTimeout: 0,
    requestTimeout: 0,
    keepAlive: 0,
  },
  dial: { connectTimeout: 30_000 },
  pool: { maxIdleTime: 60_000, maxLifetime: 0, waitTimeout: 0 },
  mux: { maxIdleTime: 0, maxLifetime: 0 },
  workers: { idleTimeout: 0 },
  call: { timeout: undefined },
  get: { timeout: undefined },
  connect: { timeout: undefined },
  setReadTimeout: { milliseconds: undefined },
  setWriteTimeout: { milliseconds: undefined },
  setIdleTimeout: { milliseconds: undefined },
  setRequestTimeout: { milliseconds: undefined },
  setKeepAlive: { milliseconds: undefined },
} as const

/** Milliseconds that a timer takes. */
export const maxTimeout = 2 ** 31 - 1

/**
 * The rule: absent is `otherwise`; 0 and `Infinity` are no limit; fractions are rounded up. More than a timer takes, 24 days,
 * is no limit either.
 *
 * @returns whole milliseconds, 0 for none
 * @throws RangeError `ERR_OUT_OF_RANGE` for a negative number or NaN; TypeError `ERR_INVALID_ARG_TYPE`
 */
export function timeLimit(name: string, value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise
  const whole = milliseconds(name, value)
  return whole > maxTimeout ? 0 : whole
}

/** As {@link timeLimit}, where nothing is the default. */
export function requiredLimit(name: string, value: unknown): number {
  if (value === undefined) throw invalidType(name, 'of type number', value)
  return timeLimit(name, value, 0)
}

/** Seconds of silence that systems take at most. */
export const maxKeepAlive = 32_767

/** What the system is told, which counts in seconds: rounded up, so that less than one is not none. */
export function keepAliveSeconds(limit: number): number {
  return Math.min(Math.ceil(limit / 1_000), maxKeepAlive)
}

/**
 * How long a closing caller waits for others. 0 is not at all, because it is no limit but the rest of a budget. Absent and
 * `Infinity` are for ever. Otherwise as {@link timeLimit}.
 */
export function patience(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  const whole = milliseconds(name, value)
  return whole > maxTimeout ? undefined : whole
}

function milliseconds(name: string, value: unknown): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (!(value >= 0)) throw outOfRange(name, 'a number of milliseconds, 0 or more', value)
  // Not the negative zero.
  return Math.ceil(value) + 0
}

/** When something is given up that may take `limit` milliseconds from now on, 0 for ever; on our clock. */
export function endOf(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : clock.now() + limit
}

const { now: systemTime } = Date
const timeOf = Date.prototype.getTime

/**
 * A `deadline` that users give, on our clock, which does not follow when the system's is set; `Infinity` for none.
 *
 * @throws RangeError `ERR_OUT_OF_RANGE` for NaN or an invalid date; TypeError `ERR_INVALID_ARG_TYPE`
 */
export function deadlineOf(name: string, value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY
  const time: unknown = types.isDate(value) ? timeOf.call(value) : value
  if (typeof time !== 'number') throw invalidType(name, 'a Date or a number', value)
  if (Number.isNaN(time)) throw outOfRange(name, 'a time', value)
  return clock.now() + (time - systemTime())
}

/** The system's time, in milliseconds since the epoch, at `end` on our clock. */
export function systemTimeOf(end: number): number {
  return Math.ceil(systemTime() + (end - clock.now()))
}

/** Says that an argument is outside of its range, the way Node.js does. */
export function outOfRange(name: string, expected: string, actual: unknown): RangeError {
  const error = new RangeError(
    `The value of "${name}" is out of range. It must be ${expected}. Received ${String(actual)}`,
  )
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' })
}
