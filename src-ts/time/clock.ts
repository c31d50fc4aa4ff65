import { performance } from 'node:perf_hooks'

// The global of this name is looked up by a getter at each use, and fake timers put a `now` of their own on the object.
const { now: ownNow } = Object.getPrototypeOf(performance) as Partial<typeof performance>
// Bun has it on the object alone.
const ofHost = (ownNow ?? performance.now).bind(performance)

/** Milliseconds on a clock that only goes forward, which deadlines are on. */
export function now(): number {
  return ofHost()
}
