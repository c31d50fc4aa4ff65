// The global of this name is looked up by a getter at each use.
import { performance } from 'node:perf_hooks'

/** Milliseconds on a clock that only goes forward, which deadlines are on. */
export function now(): number {
  return performance.now()
}
