import { performance } from 'node:perf_hooks'

// A getter looks up the global of this name at each use, and fake timers put their own `now` on the object.
const { now: ownNow } = Object.getPrototypeOf(performance) as Partial<typeof performance>
// Bun has it on the object alone.
const ofHost = (ownNow ?? performance.now).bind(performance)

/** Milliseconds on a clock that only goes forward, which deadlines are on. */
export function now(): number {
  return ofHost()
}
