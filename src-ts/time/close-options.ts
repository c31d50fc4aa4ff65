import { optionNames, refuseUnknown } from '../checks/known-options'
import { patience } from './time-limits'

/** Options of `close` of a server, pool, mux or client. */
export interface CloseOptions {
  /** Milliseconds after which connections that are left are destroyed. Default: never. */
  readonly timeout?: number | undefined
}

const names = optionNames<CloseOptions>({ timeout: true })

/**
 * Milliseconds that a caller of `close` waits for what is left; `undefined` for ever.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`; RangeError `ERR_OUT_OF_RANGE`
 */
export function closeTimeout(options: CloseOptions): number | undefined {
  refuseUnknown('options', options, names)
  return patience('options.timeout', options.timeout)
}
